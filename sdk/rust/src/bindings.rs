//! The only place where bindings are generated. What authors use of it is re-exported under better names.
//!
//! The module is public because the macro that exports an agent names it from the author's crate. The WIT texts are a copy of the
//! repository's `wit/`, so that the crate builds wherever it is copied; a test compares the two.

wit_bindgen::generate!({
    path: [
        "wit/common", "wit/task", "wit/agent",
        "wit/crm", "wit/orders", "wit/rules", "wit/shipping", "wit/ticketing", "wit/billing", "wit/notify",
        "wit/delegate",
        "wit/web",
    ],
    inline: "
        package bailiwick:sdk;

        /// Everything that an agent can import. What an agent does not use is dropped from its component by the linker,
        /// so this list grants and asks for nothing.
        world guest {
            include bailiwick:agent/agent@0.1.0;
            import bailiwick:crm/customers@0.1.0;
            import bailiwick:crm/notes@0.1.0;
            import bailiwick:orders/orders@0.1.0;
            import bailiwick:rules/tables@0.1.0;
            import bailiwick:shipping/parcels@0.1.0;
            import bailiwick:ticketing/tickets@0.1.0;
            import bailiwick:billing/accounts@0.1.0;
            import bailiwick:notify/messages@0.1.0;
            import bailiwick:delegate/tasks@0.1.0;
            import bailiwick:web/http@0.1.0;
        }
    ",
    world: "bailiwick:sdk/guest",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_agent",
    default_bindings_module: "bailiwick_sdk::bindings",
    runtime_path: "bailiwick_sdk::wit_bindgen::rt",
    additional_derives: [PartialEq],
    additional_type_attributes: {
        "bailiwick:common/types@0.1.0/money": [
            #[derive(Eq, Hash, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
            #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        ],
    },
});
