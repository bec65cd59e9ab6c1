//! The texts themselves. A test compares the list with the folders, so that no file is forgotten.

macro_rules! sdk {
    ($($path:literal),* $(,)?) => {
        /// The SDK: path in a new agent's folder, text.
        pub(crate) const SDK: &[(&str, &str)] = &[$((concat!("sdk/", $path), include_str!(concat!("../../", $path)))),*];
    };
}

/// What has placeholders: path in a new agent's folder, text.
pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    (".gitignore", include_str!("../files/gitignore.template")),
    ("Cargo.lock", include_str!("../files/Cargo.lock.template")),
    ("Cargo.toml", include_str!("../files/Cargo.toml.template")),
    ("README.md", include_str!("../files/README.md.template")),
    ("src/lib.rs", include_str!("../files/src/lib.rs.template")),
    ("src/tests.rs", include_str!("../files/src/tests.rs.template")),
];

sdk! {
    "macros/Cargo.toml",
    "macros/src/about.rs",
    "macros/src/expand.rs",
    "macros/src/expand/tests.rs",
    "macros/src/lib.rs",
    "macros/src/operations.txt",
    "rust/Cargo.toml",
    "rust/build-args.txt",
    "rust/src/agent.rs",
    "rust/src/bindings.rs",
    "rust/src/call.rs",
    "rust/src/capabilities.rs",
    "rust/src/fake.rs",
    "rust/src/http.rs",
    "rust/src/lib.rs",
    "rust/src/money.rs",
    "rust/src/serve.rs",
    "rust/src/task.rs",
    "rust/src/testing.rs",
    "rust/wit/agent/agent.wit",
    "rust/wit/billing/billing.wit",
    "rust/wit/common/common.wit",
    "rust/wit/crm/crm.wit",
    "rust/wit/delegate/delegate.wit",
    "rust/wit/notify/notify.wit",
    "rust/wit/orders/orders.wit",
    "rust/wit/rules/rules.wit",
    "rust/wit/shipping/shipping.wit",
    "rust/wit/task/task.wit",
    "rust/wit/ticketing/ticketing.wit",
    "rust/wit/web/web.wit",
}
