use std::path::PathBuf;
use std::time::Duration;

use bailiwick_core::error::GuestError;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::generator::fixed;
use crate::support::*;

const TABLES: &str =
    "CREATE TABLE things (tenant TEXT NOT NULL, id TEXT NOT NULL, n INTEGER CHECK (n < 100), PRIMARY KEY (tenant, id)) STRICT";

/// Loads a connector whose only operation has these lines; its table is `things`.
fn load(operation: &str, lines: &str) -> Result<std::sync::Arc<dyn Connector>, String> {
    let state = tempfile::tempdir().unwrap();
    let text = format!("kind = \"sql\"\ndatabase = \"t.sqlite\"\nschema = \"t.sql\"\n[operations.\"{operation}\"]\n{lines}\n");
    load_text(&text, state.path(), &[("t.sql", TABLES)])
}

fn refused(operation: &str, lines: &str) -> String {
    load(operation, lines).err().unwrap_or_else(|| panic!("accepted: {lines}"))
}

fn path_of(state: &tempfile::TempDir) -> PathBuf {
    state.path().join("data/shop.sqlite")
}

fn count(state: &tempfile::TempDir, sql: &str) -> i64 {
    let connection = database::open(&path_of(state).canonicalize().unwrap(), Access::Read).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn customers_and_orders_are_read_as_their_wit_records() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let answer = ok(&*shop, call("crm/customers.get", json!({"id": fixed::CUSTOMER}), 0)).await;
    assert_eq!(answer.value["name"], fixed::CUSTOMER_NAME);
    assert_eq!(answer.value["address"]["postal-code"], fixed::CUSTOMER_POSTAL_CODE);
    assert_eq!(answer.value["opted-out"], false);
    assert!(answer.as_of.is_some() && !answer.cached);
    let answer = ok(&*shop, call("crm/customers.get", json!({"id": fixed::WITHOUT_EMAIL}), 0)).await;
    assert_eq!(answer.value["email"], Value::Null);

    for id in [fixed::ORDER_ACCEPTED, fixed::ORDER_OPEN, fixed::ORDER_LONG, fixed::ORDER_JPY, fixed::ORDER_FREE] {
        let operation = operation("orders/orders.get");
        let answer = ok(&*shop, call_of(operation.clone(), json!({"id": id}), 0)).await;
        // Every field of the record is there, and nothing else.
        values::conform(&answer.value, operation.signature.ok().unwrap(), "").unwrap();
        let lines = answer.value["lines"].as_array().unwrap();
        let total: i64 = lines.iter().map(|l| l["price"]["minor-units"].as_i64().unwrap() * l["quantity"].as_i64().unwrap()).sum();
        assert_eq!(answer.value["paid"]["minor-units"], total, "{id}");
        assert_eq!(lines.len() == 40, id == fixed::ORDER_LONG);
    }
}

#[tokio::test]
async fn every_generated_customer_and_order_fits_its_record() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    for n in (1..5000).step_by(211) {
        for (name, id) in [("crm/customers.get", format!("C-{}", 1000 + n)), ("orders/orders.get", format!("O-{}", 10_000 + n * 4))] {
            match shop.call(call(name, json!({"id": id}), 0)).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.guest, GuestError::NotFound, "{id}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn one_tenant_never_sees_another() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    for (name, id) in [("crm/customers.get", fixed::NEIGHBOUR), ("crm/customers.get", "C-0"), ("orders/orders.get", fixed::ORDER_UNKNOWN)] {
        assert_eq!(error(&*shop, call(name, json!({"id": id}), 0)).await.guest, GuestError::NotFound);
    }
    let mut foreign = call("crm/customers.get", json!({"id": fixed::CUSTOMER}), 0);
    foreign.origin.tenant = "suedlicht".into();
    assert_eq!(error(&*shop, foreign).await.guest, GuestError::NotFound);
    let note = call("crm/notes.append", json!({"customer": fixed::NEIGHBOUR, "text": "x"}), 1);
    assert_eq!(error(&*shop, note).await.guest, GuestError::NotFound);
    assert_eq!(count(&state, "notes"), 0);
}

#[tokio::test]
async fn a_strangers_order_is_no_order_for_a_write_either() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let set = |order: &str, version: &str, ordinal: u32| {
        call("billing/accounts.set-return-status", json!({"order": order, "status": "expected", "if-version": version}), ordinal)
    };
    // Whatever version is named, right, wrong or any: as if it did not exist.
    for (ordinal, (order, version)) in
        [(fixed::ORDER_OF_OTHER, ""), (fixed::ORDER_OF_OTHER, "1"), (fixed::ORDER_UNKNOWN, "1")].iter().enumerate()
    {
        assert_eq!(error(&*shop, set(order, version, ordinal as u32)).await.guest, GuestError::NotFound, "{order} {version}");
    }
    let mut about_nobody = set(fixed::ORDER_ACCEPTED, "", 10);
    about_nobody.origin.subject = None;
    assert_eq!(error(&*shop, about_nobody).await.guest, GuestError::NotFound);
    assert_eq!(count(&state, &format!("orders WHERE id = '{}' AND return_status = 'none' AND version = 3", fixed::ORDER_OF_OTHER)), 1);
    ok(&*shop, set(fixed::ORDER_ACCEPTED, "", 11)).await;
}

#[tokio::test]
async fn notes_and_tickets_are_written_undone_and_not_doubled() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let append = call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "accepted"}), 0);
    let first = ok(&*shop, append.clone()).await;
    let again = ok(&*shop, append.clone()).await;
    assert!(!first.cached && again.cached && first.value == again.value);
    assert_eq!(count(&state, "notes"), 1);
    let other = call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "other"}), 0);
    assert!(matches!(error(&*shop, other).await.guest, GuestError::Conflict(_)));
    let void = call("crm/notes.void", json!({"customer": fixed::CUSTOMER, "note": first.value}), 1);
    assert_eq!(ok(&*shop, void).await.prior, Some(json!({"state": "valid"})));
    assert_eq!(count(&state, "notes WHERE state = 'void'"), 1);
    let of_other = call("crm/notes.void", json!({"customer": fixed::OTHER_CUSTOMER, "note": first.value}), 2);
    assert_eq!(error(&*shop, of_other).await.guest, GuestError::NotFound);

    let create = json!({"customer": fixed::CUSTOMER, "kind": "goods-return", "status": "waiting", "subject": "Return", "body": "O-20417"});
    let ticket = ok(&*shop, call("ticketing/tickets.create", create, 3)).await;
    assert_eq!((ticket.value["status"].as_str(), ticket.version.as_deref()), (Some("waiting"), Some("1")));
    let cancel = json!({"customer": fixed::CUSTOMER, "id": ticket.value["id"]});
    let cancelled = ok(&*shop, call("ticketing/tickets.cancel", cancel, 4)).await;
    assert_eq!((cancelled.prior, cancelled.version.as_deref()), (Some(json!({"status": "waiting", "version": 1})), Some("2")));
    let solved = json!({"customer": fixed::CUSTOMER, "kind": "question", "status": "solved", "subject": "s", "body": ""});
    let solved = ok(&*shop, call("ticketing/tickets.create", solved, 5)).await;
    let cancel = json!({"customer": fixed::CUSTOMER, "id": solved.value["id"]});
    assert_eq!(error(&*shop, call("ticketing/tickets.cancel", cancel, 6)).await.guest, GuestError::Conflict("1".to_owned()));
}

#[tokio::test]
async fn a_return_status_is_set_only_on_the_version_that_was_read_and_can_be_undone() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let order = ok(&*shop, call("orders/orders.get", json!({"id": fixed::ORDER_ACCEPTED}), 0)).await.value;
    let set = |status: &str, version: Value, ordinal| {
        call(
            "billing/accounts.set-return-status",
            json!({"order": fixed::ORDER_ACCEPTED, "status": status, "if-version": version}),
            ordinal,
        )
    };
    let stale = error(&*shop, set("expected", json!("999"), 0)).await;
    assert_eq!(stale.guest, GuestError::Conflict(order["version"].as_str().unwrap().to_owned()));
    let changed = ok(&*shop, set("expected", order["version"].clone(), 0)).await;
    assert_eq!(changed.value["prior"], "none");
    assert_ne!(changed.value["version"], order["version"]);
    let now = ok(&*shop, call("orders/orders.get", json!({"id": fixed::ORDER_ACCEPTED}), 0)).await.value;
    assert_eq!((&now["status"], &now["version"]), (&json!("return-open"), &changed.value["version"]));
    // The undo, as `capability.toml` declares it: prior status, version after the change.
    ok(&*shop, set("none", changed.value["version"].clone(), 1)).await;
    let now = ok(&*shop, call("orders/orders.get", json!({"id": fixed::ORDER_ACCEPTED}), 0)).await.value;
    assert_eq!(now["status"], "delivered");
    let unknown = json!({"order": fixed::ORDER_UNKNOWN, "status": "expected", "if-version": ""});
    assert_eq!(error(&*shop, call("billing/accounts.set-return-status", unknown, 2)).await.guest, GuestError::NotFound);
}

#[tokio::test]
async fn hostile_arguments_are_data_or_refused() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    for id in ["C-1042' OR '1'='1", "'; DROP TABLE customers; --", "c-1042", " C-1042", "", "%", "../../etc/passwd", ":tenant", "💥"] {
        assert_eq!(error(&*shop, call("crm/customers.get", json!({"id": id}), 0)).await.guest, GuestError::NotFound, "{id}");
    }
    for id in [json!("C-1042\0"), json!("x".repeat(1 << 20)), json!(1042), json!(null), json!(["C-1042"])] {
        assert_eq!(error(&*shop, call("crm/customers.get", json!({"id": id}), 0)).await.guest, GuestError::Invalid("id".to_owned()));
    }
    let extra = call("crm/customers.get", json!({"id": "C-1042", "tenant": "suedlicht"}), 0);
    assert_eq!(error(&*shop, extra).await.guest, GuestError::Invalid("tenant".to_owned()));
    let text = "'); DELETE FROM notes; --\r\nBcc: x";
    let note = ok(&*shop, call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": text}), 0)).await;
    assert_eq!(count(&state, &format!("notes WHERE id = '{}' AND length(text) = {}", note.value.as_str().unwrap(), text.len())), 1);
    assert_eq!(count(&state, "customers"), 5000);
    let mut keyless = call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "x"}), 9);
    keyless.key = None;
    assert_eq!(error(&*shop, keyless).await.guest, GuestError::Unavailable);
    assert_eq!(error(&*shop, call("rules/tables.evaluate", json!({}), 0)).await.guest, GuestError::Unavailable);
}

#[tokio::test]
async fn an_answer_stops_at_its_bytes_and_a_call_at_its_deadline() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let get = call("orders/orders.get", json!({"id": fixed::ORDER_LONG}), 0);
    let bytes = bailiwick_core::canonical::to_bytes(&ok(&*shop, get.clone()).await.value).len() as u64;
    ok(&*shop, ConnectorCall { max_result_bytes: bytes, ..get.clone() }).await;
    for most in [bytes - 1, 100, 0] {
        let error = error(&*shop, ConnectorCall { max_result_bytes: most, ..get.clone() }).await;
        assert!(matches!(error.guest, GuestError::Budget(_)), "{error}");
    }
    let note = call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "x"}), 0);
    assert!(matches!(error(&*shop, ConnectorCall { max_result_bytes: 3, ..note.clone() }).await.guest, GuestError::Budget(_)));
    let late = |call: ConnectorCall| ConnectorCall { time_left: Duration::ZERO, ..call };
    assert_eq!(error(&*shop, late(get)).await.guest, GuestError::Timeout);
    assert_eq!(error(&*shop, late(note)).await.guest, GuestError::Unavailable);
    assert_eq!(count(&state, "notes"), 0);
}

#[tokio::test]
async fn a_dropped_call_is_done_wholly_or_not_at_all_and_its_repeat_finds_it() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let note = call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "x"}), 0);
    let mut future = shop.call(note.clone());
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await.is_pending());
    drop(future);
    let answer = ok(&*shop, note).await;
    assert_eq!(count(&state, "notes"), 1);
    assert_eq!(count(&state, "bailiwick_outcomes"), 1);
    assert!(answer.value.as_str().unwrap().starts_with("N-"));
}

#[tokio::test]
async fn what_was_committed_survives_a_restart_and_what_was_not_does_not() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let note = |ordinal| call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "x"}), ordinal);
    let first = ok(&*shop, note(0)).await;
    // A crash between effect and commit: the effect's rows are written and the connection is closed.
    let connection = database::open(&path_of(&state).canonicalize().unwrap(), Access::Write).unwrap();
    connection
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO notes SELECT tenant, id || 'b', customer, text, state, written_at, run FROM notes")
        .unwrap();
    drop(connection);
    drop(shop);
    let shop = sample_connector("shop", state.path());
    let again = ok(&*shop, note(0)).await;
    assert!(again.cached && again.value == first.value);
    assert!(!ok(&*shop, note(1)).await.cached);
    assert_eq!(count(&state, "notes"), 2);
}

#[tokio::test]
async fn a_damaged_outcome_is_indeterminate_and_a_failing_effect_leaves_no_outcome() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    let note = call("crm/notes.append", json!({"customer": fixed::CUSTOMER, "text": "x"}), 0);
    ok(&*shop, note.clone()).await;
    let connection = database::open(&path_of(&state).canonicalize().unwrap(), Access::Write).unwrap();
    connection.execute("UPDATE bailiwick_outcomes SET answer = '{'", []).unwrap();
    assert!(matches!(error(&*shop, note).await.guest, GuestError::Indeterminate(_)));
    error(&*shop, call("crm/notes.void", json!({"customer": fixed::CUSTOMER, "note": "N-unknown"}), 5)).await;
    assert_eq!(count(&state, "bailiwick_outcomes"), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever calls come in whatever order and however often: each key has one effect, the first arguments win, and
    /// repeats with them give the first outcome.
    #[test]
    fn each_key_has_one_effect(calls in prop::collection::vec((0..4_u32, 0..3_u8), 1..20)) {
        let state = state();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shop = sample_connector("shop", state.path());
            let mut model = std::collections::BTreeMap::new();
            for (ordinal, text) in calls {
                let args = json!({"customer": fixed::CUSTOMER, "text": text.to_string()});
                let result = shop.call(call("crm/notes.append", args, ordinal)).await;
                match model.get(&ordinal) {
                    None => {
                        let answer = result.unwrap();
                        assert!(!answer.cached);
                        model.insert(ordinal, (text, answer.value));
                    }
                    Some((first, value)) if *first == text => {
                        let answer = result.unwrap();
                        assert!(answer.cached && answer.value == *value);
                    }
                    Some(_) => assert!(matches!(result.unwrap_err().guest, GuestError::Conflict(_))),
                }
            }
            assert_eq!(count(&state, "notes"), model.len() as i64);
        });
    }
}

#[test]
fn the_shop_fits_its_operations_and_others_are_refused_with_the_nearest() {
    let state = state();
    let shop = sample_connector("shop", state.path());
    for name in ["crm/customers.get", "crm/notes.append", "crm/notes.void", "orders/orders.get", "billing/accounts.set-return-status"] {
        shop.check(&operation(name)).unwrap();
    }
    assert!(shop.check(&operation("notify/messages.send")).unwrap_err().contains("does not declare"));
    assert_eq!(shop.config_digest(), sample_connector("shop", state.path()).config_digest());
}

#[test]
fn declarations_are_checked_when_they_are_loaded() {
    let get = |sql: &str| format!("statements = [{{ sql = \"{sql}\" }}]");
    let void = "crm/notes.void";
    for (operation, lines, expected) in [
        (
            "crm/customers.gett",
            get("SELECT id FROM things WHERE tenant = :tenant"),
            "c.toml:4:13: there is no operation `crm/customers.gett`: did you mean `crm/customers.get`?",
        ),
        (void, get("SELECT id FROM thing WHERE tenant = :tenant"), "no such table: thing"),
        (void, get("SELECT idd FROM things WHERE tenant = :tenant"), "no such column: idd"),
        (void, get("SELECT id FROM things"), "does not use `:tenant`"),
        (
            void,
            get("SELECT id FROM things WHERE tenant = :tenant AND id = :notes"),
            "`notes` is no argument of the operation: did you mean `note`?",
        ),
        (void, get("SELECT id FROM things WHERE tenant = :tenant AND id = ?"), "a parameter without a name"),
        (void, get("SELECT id FROM things WHERE tenant = :tenant; DELETE FROM things"), "more than one statement"),
        (void, get("PRAGMA table_info(things)"), "more than reading and changing rows"),
        (void, get("ATTACH 'x' AS y"), "more than reading and changing rows"),
        (void, get("DROP TABLE things"), "more than reading and changing rows"),
        (void, get("COMMIT"), "more than reading and changing rows"),
        (void, get("DELETE FROM bailiwick_outcomes WHERE key <> :tenant"), "more than reading and changing rows"),
        (void, get("SELECT answer FROM bailiwick_outcomes WHERE key <> :tenant"), "more than reading and changing rows"),
        (void, get("SELECT id, id FROM things WHERE tenant = :tenant"), "occurs twice"),
        (void, "statements = []".to_owned(), "between 1 and 16 statements"),
        (void, "statments = []".to_owned(), "unknown key `statments`: did you mean `statements`?"),
        (void, "statements = [{ sql = \"SELECT 1\", tenant = \"none\" }]".to_owned(), "belong together"),
        (void, "statements = [{ sql = \"SELECT 1 AS n WHERE :tenant <> ''\", empty = \"gone\" }]".to_owned(), "`gone` is no error"),
        (
            void,
            format!("{}\nparameters = {{ x = \"args.note\" }}", get("DELETE FROM things WHERE tenant = :tenant")),
            "no statement uses the parameter `:x`",
        ),
        (
            void,
            format!("{}\nparameters = {{ x = \"before.id\" }}", get("DELETE FROM things WHERE tenant = :tenant AND id = :x")),
            "no statement `before`",
        ),
        (void, format!("{}\nresult = \"a.b\"", get("DELETE FROM things WHERE tenant = :tenant")), "no statement `a`"),
        (
            "orders/orders.get",
            get("DELETE FROM things WHERE tenant = :tenant RETURNING id"),
            "the operation is a `read`, and this statement writes",
        ),
        ("crm/customers.get", get("SELECT id FROM things WHERE tenant = :tenant AND id = :id"), "nothing gives the field `name`"),
        ("crm/notes.append", get("DELETE FROM things WHERE tenant = :tenant"), "no statement gives the result"),
        ("crm/notes.append", get("SELECT id, n FROM things WHERE tenant = :tenant"), "name its column"),
        (
            "ticketing/tickets.create",
            get("SELECT id, 'open' AS status, '1' AS version, n FROM things WHERE tenant = :tenant"),
            "the column `n` fills no field",
        ),
    ] {
        let message = refused(operation, &lines);
        assert!(message.contains(expected), "{lines}\n{message}");
        assert!(message.starts_with("c.toml:"), "{message}");
    }
}

#[test]
fn places_of_mistakes_are_exact() {
    let lines = "statements = [\n  { sql = \"\"\"\n    SELECT id\n    FROM things WHERE tenant = :tenant AND idd = 1\"\"\" },\n]";
    assert!(
        refused("crm/notes.void", lines).starts_with("c.toml:8:44: the statement is not valid: no such column: idd"),
        "{}",
        refused("crm/notes.void", lines)
    );
}

#[test]
fn a_database_is_needed_and_stays_inside() {
    let state = tempfile::tempdir().unwrap();
    let load = |head: &str| load_text(&format!("kind = \"sql\"\n{head}\n[operations]\n"), state.path(), &[]).err().unwrap_or_default();
    assert!(load("database = \"none.sqlite\"").contains("there is no database"));
    assert!(load("database = \"../none.sqlite\"").contains("cannot be a database"));
    assert!(load("database = \"/etc/passwd\"").contains("cannot be a database"));
    assert!(load("database = \"x.sqlite\"\nschema = \"../x.sql\"").contains("cannot be read"));
    assert!(load("database = \"x.sqlite\"\nschema = \"x.sql\"\ngenerate = { seed = 1 }").contains("exclude each other"));
    assert!(load("database = \"x.sqlite\"\ngenerate = { sed = 1 }").contains("did you mean `seed`?"));
    assert!(load("database = \"x.sqlite\"\nlatency = \"2h\"").contains("at most 1m"));
    assert!(load("database = \"x.sqlite\"\nlatency = 5").contains("c.toml:3:11"));
    std::fs::write(state.path().join("data/y.sqlite"), "this is not a database, however long it may be, and whatever its name says")
        .unwrap();
    assert!(load("database = \"y.sqlite\"").contains("not a database"));
}

#[test]
fn a_schema_that_fails_leaves_no_database() {
    let state = tempfile::tempdir().unwrap();
    let text = "kind = \"sql\"\ndatabase = \"t.sqlite\"\nschema = \"t.sql\"\n[operations]\n";
    assert!(
        load_text(text, state.path(), &[("t.sql", "CREATE TABLE a (n); CREATE TABLE a (n)")]).err().unwrap().contains("cannot be applied")
    );
    load_text(text, state.path(), &[("t.sql", TABLES)]).unwrap();
}

#[tokio::test]
async fn constraints_and_results_mean_what_was_declared() {
    let insert = "statements = [{ sql = \"INSERT INTO things VALUES (:tenant, :customer, length(:text)) RETURNING id\" }]";
    let note = |text: &str, ordinal| call("crm/notes.append", json!({"customer": "C", "text": text}), ordinal);
    let state = tempfile::tempdir().unwrap();
    let load = |more: &str| {
        let head = "kind = \"sql\"\ndatabase = \"t.sqlite\"\nschema = \"t.sql\"\n[operations.\"crm/notes.append\"]\n";
        load_text(&format!("{head}{insert}\n{more}"), state.path(), &[("t.sql", TABLES)]).unwrap()
    };
    let plain = load("");
    assert_eq!(error(&*plain, note(&"x".repeat(100), 0)).await.guest, GuestError::BadUpstream);
    ok(&*plain, note("x", 0)).await;
    assert_eq!(error(&*plain, note("x", 1)).await.guest, GuestError::Conflict(String::new()));
    let declared = load("on-constraint = { unique = \"invalid(customer)\", check = \"invalid(text)\" }");
    assert_eq!(error(&*declared, note("x", 1)).await.guest, GuestError::Invalid("customer".to_owned()));
    assert_eq!(error(&*declared, note(&"x".repeat(100), 2)).await.guest, GuestError::Invalid("text".to_owned()));

    // A result of the wrong type, and more rows than one.
    let wrong = |sql: &str| load_wrong(&state, sql);
    assert_eq!(error(&*wrong("SELECT n FROM things WHERE tenant = :tenant"), note("x", 3)).await.guest, GuestError::BadUpstream);
    let many = wrong("SELECT id FROM things WHERE tenant = :tenant UNION ALL SELECT 'b'");
    assert_eq!(error(&*many, note("x", 4)).await.guest, GuestError::BadUpstream);
    let gone = wrong("SELECT id FROM things WHERE tenant = :tenant AND id = 'nobody'");
    assert_eq!(error(&*gone, note("x", 5)).await.guest, GuestError::NotFound);
}

fn load_wrong(state: &tempfile::TempDir, sql: &str) -> std::sync::Arc<dyn Connector> {
    let text = format!(
        "kind = \"sql\"\ndatabase = \"t.sqlite\"\nschema = \"t.sql\"\n[operations.\"crm/notes.append\"]\nstatements = [{{ sql = \"{sql}\" }}]\n"
    );
    load_text(&text, state.path(), &[("t.sql", TABLES)]).unwrap()
}

#[tokio::test]
async fn json_columns_are_checked_against_their_type() {
    let customer = |address: &str| {
        format!(
            "statements = [{{ sql = '''SELECT :id AS id, 'n' AS name, NULL AS email, '{address}' AS address, NULL AS birth_date, 'en' AS language,
             0 AS opted_out, 0 AS deceased, 't' AS tier, '1' AS version, :now AS as_of WHERE :tenant <> \"\" ''' }}]"
        )
    };
    let good = r#"{"name":"n","street":"s","postal-code":"1","city":"c","country":"DE"}"#;
    let state = tempfile::tempdir().unwrap();
    for (address, fits) in [(good, true), ("{}", false), ("[]", false), ("no json", false), (r#"{"name":1}"#, false)] {
        let text = format!(
            "kind = \"sql\"\ndatabase = \"t.sqlite\"\nschema = \"t.sql\"\n[operations.\"crm/customers.get\"]\n{}",
            customer(address)
        );
        let connector = load_text(&text.replace("\"\" '''", "'' '''"), state.path(), &[("t.sql", TABLES)]).unwrap();
        let result = connector.call(call("crm/customers.get", json!({"id": "C"}), 0)).await;
        assert_eq!(result.is_ok(), fits, "{address} {result:?}");
    }
}

#[test]
fn another_file_of_the_same_name_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = vec!["connectors/rules.toml".into(), "rules.toml".into(), "nowhere.toml".into()];
    let problems = crate::Connectors::load(&sample(), state.path(), &files).err().unwrap();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("another connector called `rules`") && text[1].contains("nowhere.toml: the file cannot be read"), "{text:?}");
}
