//! The returns sample through the public surface alone: what a host does with this crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground is missing, in its helpers too")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_connectors::{Connectors, Delayed, Journal, generator, schemas};
use bailiwick_core::Connector;
use bailiwick_core::capability::{Catalog, Effect};
use bailiwick_core::connector::{CallOrigin, ConnectorCall};
use bailiwick_core::error::GuestError;
use bailiwick_core::ids::IdempotencyKey;
use serde_json::{Value, json};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/returns")
}

/// All connectors of the sample, the one that needs another's database first.
fn load(state: &Path, catalog: &Catalog) -> Vec<Arc<dyn Connector>> {
    let files = ["mail", "rules", "shipping", "shop"].map(|name| PathBuf::from(format!("connectors/{name}.toml")));
    Connectors::load_checked(&sample(), state, &files, catalog).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn call(catalog: &Catalog, name: &str, args: Value) -> ConnectorCall {
    let operation = catalog.resolve(name).unwrap().clone();
    let origin = CallOrigin {
        tenant: generator::TENANT.into(),
        run: "run".into(),
        step: "step".into(),
        task: "task".into(),
        subject: Some(generator::fixed::CUSTOMER.into()),
    };
    let key = IdempotencyKey::new(&origin.tenant, &origin.run, &origin.step, &operation.full, 0);
    ConnectorCall {
        key: (operation.spec.effect != Effect::Read).then_some(key),
        operation,
        args: Arc::new(args),
        time_left: Duration::from_secs(60),
        max_result_bytes: 1 << 20,
        origin,
    }
}

#[tokio::test]
async fn every_operation_of_every_package_is_served_by_exactly_one_connector_of_the_sample() {
    let state = tempfile::tempdir().unwrap();
    let catalog = bailiwick_wit::builtin_catalog().unwrap();
    let connectors = load(state.path(), &catalog);
    let names: Vec<&str> = connectors.iter().map(|connector| connector.name()).collect();
    assert_eq!(names, ["mail", "rules", "shipping", "shop"]);
    // The sample has no business on the web.
    let (web, rest): (Vec<_>, Vec<_>) = catalog.iter().partition(|operation| operation.id.interface.package == "bailiwick:web");
    for operation in web {
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("web.toml"), "kind = \"web\"\n").unwrap();
        let connector = Connectors::load(project.path(), state.path(), &["web.toml".into()]).unwrap().remove(0);
        assert_eq!(connector.check(operation), Ok(()));
        assert!(connectors.iter().all(|connector| connector.check(operation).is_err()), "{}", operation.short);
    }
    // Delegation reaches nothing outside: the host serves it.
    for operation in rest.into_iter().filter(|operation| operation.id.interface.package != "bailiwick:delegate") {
        let serving: Vec<&str> = connectors.iter().filter(|c| c.check(operation).is_ok()).map(|c| c.name()).collect();
        assert_eq!(serving.len(), 1, "{}: {serving:?}", operation.short);
    }
}

#[tokio::test]
async fn a_return_goes_through_all_of_them() {
    let state = tempfile::tempdir().unwrap();
    let catalog = bailiwick_wit::builtin_catalog().unwrap();
    let connectors = load(state.path(), &catalog);
    let ask = async |name: &str, args: Value| {
        let call = call(&catalog, name, args);
        let connector = connectors.iter().find(|connector| connector.check(&call.operation).is_ok()).unwrap();
        connector.call(call).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let customer = ask("crm/customers.get", json!({"id": generator::fixed::CUSTOMER})).await.value;
    let order = ask("orders/orders.get", json!({"id": generator::fixed::ORDER_ACCEPTED})).await.value;
    let categories: Vec<&Value> = order["lines"].as_array().unwrap().iter().map(|line| &line["category"]).collect();
    let facts = json!([
        {"name": "requested-on", "value": {"date": generator::fixed::REQUESTED_ON}},
        {"name": "delivered-on", "value": {"date": order["delivered-on"]}},
        {"name": "status", "value": {"text": order["status"]}},
        {"name": "categories", "value": {"texts": categories}},
        {"name": "paid-minor-units", "value": {"number": order["paid"]["minor-units"]}},
    ]);
    let decision = ask("rules/tables.evaluate", json!({"ruleset": "returns", "facts": facts})).await.value;
    assert_eq!(decision["outcome"], "eligible");
    let label =
        ask("shipping/parcels.create-label", json!({"order": order["id"], "sender": customer["address"], "weight-grams": 1500})).await;
    let ticket = json!({"customer": customer["id"], "kind": "goods-return", "status": "waiting", "subject": "Return", "body": ""});
    ask("ticketing/tickets.create", ticket).await;
    ask("crm/notes.append", json!({"customer": customer["id"], "text": "return accepted"})).await;
    let status = json!({"order": order["id"], "status": "expected", "if-version": order["version"]});
    ask("billing/accounts.set-return-status", status).await;
    let mail = json!({"customer": customer["id"], "channel": "email", "subject": "Your return", "body": label.value["tracking"]});
    let mail = ask("notify/messages.send", mail).await;
    for path in [&label.artifacts[0].path, &mail.artifacts[0].path] {
        assert!(path.is_file() && path.starts_with(state.path().canonicalize().unwrap()), "{}", path.display());
    }
}

#[tokio::test(start_paused = true)]
async fn a_latency_counts_against_the_deadline_and_happens_before_the_effect() {
    let state = tempfile::tempdir().unwrap();
    let catalog = bailiwick_wit::builtin_catalog().unwrap();
    let connectors = load(state.path(), &catalog);
    let journal = Journal::around(connectors[1].clone());
    let delayed = Delayed::new(journal.clone(), Duration::from_millis(200));
    assert_eq!((delayed.name(), delayed.config_digest()), ("rules", connectors[1].config_digest()));
    let facts = json!([]);
    let evaluate = call(&catalog, "rules/tables.evaluate", json!({"ruleset": "none", "facts": facts}));
    let start = tokio::time::Instant::now();
    assert_eq!(delayed.call(evaluate.clone()).await.unwrap_err().guest, GuestError::NotFound);
    assert_eq!(start.elapsed(), Duration::from_millis(200));
    let late = |call: ConnectorCall| ConnectorCall { time_left: Duration::from_millis(200), ..call };
    assert_eq!(delayed.call(late(evaluate)).await.unwrap_err().guest, GuestError::Timeout);
    let write = call(&catalog, "crm/notes.append", json!({"customer": "C-1", "text": "x"}));
    assert_eq!(delayed.call(late(write)).await.unwrap_err().guest, GuestError::Unavailable);
    // Only the first reached what is behind.
    assert_eq!(journal.operations(), ["rules/tables.evaluate"]);
    let entry = journal.entries().remove(0);
    assert_eq!(entry.args["ruleset"], "none");
    assert_eq!(entry.result.unwrap().unwrap_err().guest, GuestError::NotFound);
}

#[test]
fn every_file_of_the_sample_has_a_schema_that_it_satisfies() {
    let schemas = schemas();
    let validate = |schema: &str, instance: &Value| {
        let validator = jsonschema::validator_for(&schemas[schema]).unwrap();
        let errors: Vec<String> = validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new(), "{schema}");
    };
    for (schema, file) in [("sql", "shop"), ("rules", "rules"), ("shipping", "shipping"), ("mail", "mail")] {
        let text = std::fs::read_to_string(sample().join(format!("connectors/{file}.toml"))).unwrap();
        let value: Value = toml::from_str(&text).unwrap();
        validate(&format!("connector-{schema}.json"), &value);
        let mut wrong = value;
        wrong["no-such-key"] = json!(1);
        assert!(!jsonschema::is_valid(&schemas[format!("connector-{schema}.json").as_str()], &wrong), "{file}");
    }
    let text = std::fs::read_to_string(sample().join("rules/returns.yaml")).unwrap();
    validate("ruleset.json", &serde_saphyr::from_str::<Value>(&text).unwrap());
}
