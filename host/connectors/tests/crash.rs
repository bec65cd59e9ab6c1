//! A host that is killed in the middle: whatever was committed has its effect and its outcome, whatever was not has neither.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground is missing, in its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_connectors::Connectors;
use bailiwick_core::Connector;
use bailiwick_core::capability::Operation;
use bailiwick_core::connector::{CallOrigin, ConnectorCall};
use bailiwick_core::ids::IdempotencyKey;
use serde_json::json;

/// Set in the process that is going to be killed: the state folder.
const STATE: &str = "BAILIWICK_TEST_CRASH_STATE";

const PROJECT: [(&str, &str); 2] = [
    (
        "shop.toml",
        r#"
            kind = "sql"
            database = "shop.sqlite"
            schema = "shop.sql"
            [operations."crm/notes.append"]
            statements = [
              { sql = "UPDATE counters SET n = n + 1 WHERE tenant = :tenant" },
              { name = "note", sql = "INSERT INTO notes (tenant, id, text) VALUES (:tenant, :key, :customer || ' ' || :text) RETURNING id" },
            ]
            result = "note.id"
        "#,
    ),
    (
        "shop.sql",
        "CREATE TABLE notes (tenant TEXT NOT NULL, id TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
         CREATE TABLE counters (tenant TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;
         INSERT INTO counters VALUES ('t', 0);",
    ),
];

fn connector(state: &Path) -> Arc<dyn Connector> {
    let project = state.join("project");
    std::fs::create_dir_all(&project).unwrap();
    for (name, text) in PROJECT {
        std::fs::write(project.join(name), text).unwrap();
    }
    Connectors::load(&project, state, &[PathBuf::from("shop.toml")]).unwrap_or_else(|problems| panic!("{problems:?}")).remove(0)
}

fn call(operation: &Arc<Operation>, ordinal: u32) -> ConnectorCall {
    let origin = CallOrigin { tenant: "t".into(), run: "r".into(), step: "s".into(), task: "k".into(), subject: None };
    let args = json!({ "customer": "C-1", "text": ordinal.to_string() });
    ConnectorCall {
        key: Some(IdempotencyKey::new(&origin.tenant, &origin.run, &origin.step, &operation.full, ordinal)),
        operation: operation.clone(),
        args: Arc::new(args),
        time_left: Duration::from_secs(60),
        max_result_bytes: 1000,
        origin,
    }
}

fn operation() -> Arc<Operation> {
    bailiwick_wit::builtin_catalog().unwrap().resolve("crm/notes.append").unwrap().clone()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The process that is killed: writes one note after another and says so. Does nothing in an ordinary test run.
#[test]
fn write_until_killed() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let (connector, operation) = (connector(Path::new(&state)), operation());
    runtime().block_on(async {
        for ordinal in 0..u32::MAX {
            connector.call(call(&operation, ordinal)).await.unwrap();
            println!("\nwritten {ordinal}");
        }
    });
}

#[test]
fn killing_the_host_leaves_effect_and_outcome_together() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().canonicalize().unwrap();
    let mut known = 0;
    for round in 1..=4_u32 {
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["write_until_killed", "--exact", "--nocapture"])
            .env(STATE, &state)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed after a few writes, wherever the next one is just then. A new host finds the earlier keys and goes on behind them.
        let lines = BufReader::new(host.stdout.take().unwrap()).lines();
        let last = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("written ")?.parse::<u32>().ok())
            .nth((known + round * 3) as usize);
        host.kill().unwrap();
        host.wait().unwrap();
        let written = last.expect("the host wrote until it was killed") + 1;

        let connection = rusqlite::Connection::open(state.join("data/shop.sqlite")).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
        let notes = count("SELECT count(*) FROM notes");
        assert!(notes >= written, "{notes} notes, {written} were reported");
        assert_eq!(notes, count("SELECT n FROM counters"));
        assert_eq!(notes, count("SELECT count(*) FROM bailiwick_outcomes WHERE answer IS NOT NULL"));
        drop(connection);

        let (connector, operation) = (connector(&state), operation());
        runtime().block_on(async {
            for ordinal in 0..notes {
                assert!(connector.call(call(&operation, ordinal)).await.unwrap().cached, "{ordinal}");
            }
        });
        known = notes;
    }
}
