//! What the tests of this crate share: calls as the gate would make them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_core::Connector;
use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::connector::{CallOrigin, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::CallError;
use bailiwick_core::ids::IdempotencyKey;
use serde_json::Value;

pub(crate) fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| bailiwick_wit::builtin_catalog().unwrap())
}

pub(crate) fn operation(name: &str) -> Arc<Operation> {
    catalog().resolve(name).unwrap().clone()
}

/// A call by tenant `nordwind`; `ordinal` tells one key from another.
pub(crate) fn call(name: &str, args: Value, ordinal: u32) -> ConnectorCall {
    call_of(operation(name), args, ordinal)
}

pub(crate) fn call_of(operation: Arc<Operation>, args: Value, ordinal: u32) -> ConnectorCall {
    let origin = CallOrigin {
        tenant: "nordwind".into(),
        run: "run-1".into(),
        step: "step".into(),
        task: "task-1".into(),
        subject: Some("C-1042".into()),
    };
    let key = IdempotencyKey::new(&origin.tenant, &origin.run, &origin.step, &operation.full, ordinal);
    let is_read = operation.spec.effect == bailiwick_core::capability::Effect::Read;
    ConnectorCall {
        args: Arc::new(args),
        key: (!is_read).then_some(key),
        operation,
        time_left: Duration::from_secs(20),
        max_result_bytes: 1 << 20,
        origin,
    }
}

/// The project folder of the returns sample.
pub(crate) fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/returns")
}

/// A state folder whose shop database is there already, copied from one that was generated once for all tests.
pub(crate) fn state() -> tempfile::TempDir {
    static SHOP: OnceLock<tempfile::TempDir> = OnceLock::new();
    let template = SHOP.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        crate::generator::ensure(&folder.path().canonicalize().unwrap().join("shop.sqlite"), 1).unwrap();
        folder
    });
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("data")).unwrap();
    std::fs::copy(template.path().join("shop.sqlite"), state.path().join("data/shop.sqlite")).unwrap();
    state
}

/// A connector of the returns sample.
pub(crate) fn sample_connector(name: &str, state: &Path) -> Arc<dyn Connector> {
    let file = PathBuf::from(format!("connectors/{name}.toml"));
    crate::Connectors::load_checked(&sample(), state, &[file], catalog()).unwrap_or_else(|problems| panic!("{problems:#?}")).remove(0)
}

/// Writes a project with one connector file and loads it.
pub(crate) fn load_text(text: &str, state: &Path, others: &[(&str, &str)]) -> Result<Arc<dyn Connector>, String> {
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("c.toml"), text).unwrap();
    for (name, text) in others {
        let path = project.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    crate::Connectors::load_checked(project.path(), state, &["c.toml".into()], catalog())
        .map(|mut connectors| connectors.remove(0))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

pub(crate) async fn ok(connector: &dyn Connector, call: ConnectorCall) -> ConnectorAnswer {
    connector.call(call).await.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn error(connector: &dyn Connector, call: ConnectorCall) -> CallError {
    connector.call(call).await.expect_err("an error was expected")
}
