//! A run that is asked to stop while a call is on its way: it ends soon, everything is on record, and the state folder goes on to be used.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::bailiwick;
use support::mailing::Mailing;

/// What is promised, and as much again for a busy machine.
const SOON: Duration = Duration::from_secs(2);

const WORKFLOW: &str = r#"workflow: one
version: "1.0.0"
input: { schema: { type: object, required: [customer], additionalProperties: false, properties: { customer: { type: string } } } }
subject: "${ input.customer }"
steps:
  mail:
    agent: customer-mail
    with: { customer: "${ subject }", order: O-20417, decision: accepted, reason: eligible }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
      - call: notify/messages.send
        where: { customer: "${ subject }", channel: email, subject: any, body: any }
  later:
    after: [mail]
    agent: customer-mail
    with: { customer: "${ subject }", order: O-20417, decision: accepted, reason: eligible }
output: { message: "${ mail.message }" }
"#;

/// A project whose agent sends a mail and waits for the mail server.
struct Hanging(Mailing);

impl Hanging {
    fn new() -> Self {
        Self(Mailing::new(WORKFLOW))
    }

    fn run(&self) -> Command {
        let mut command = self.0.run();
        command.arg("--json");
        command
    }

    fn ledger(&self, words: &[&str]) -> Value {
        let output = bailiwick(["ledger"].iter().chain(words).chain(&["--project", self.0.project.path(), "--json"]));
        assert_eq!(output.code, 0, "{output:?}");
        serde_json::from_str(&output.stdout).unwrap()
    }
}

/// Every task has an end and every call an outcome.
fn assert_complete(records: &Value) {
    let of_kind = |kind: &str| {
        let records = records.as_array().unwrap().iter().map(|record| record["envelope"].clone());
        records.filter(|record| record["kind"] == kind).collect::<Vec<_>>()
    };
    let (started, ended) = (of_kind("task-started"), of_kind("task-ended"));
    assert_eq!((started.len(), ended.len()), (1, 1), "{records}");
    assert_eq!((&ended[0]["task"], &ended[0]["reason"]), (&started[0]["task"], &Value::from("cancelled")), "{records}");
    let outcome_of = |intent: &Value| of_kind("call-outcome").into_iter().find(|outcome| outcome["intent"] == intent["seq"]);
    let outcomes: Vec<Value> = of_kind("call-intent").iter().map(|intent| outcome_of(intent).unwrap()["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ok", "indeterminate"], "{records}");
}

#[test]
fn a_run_that_is_asked_to_stop_ends_soon_with_everything_on_record() {
    let hanging = Hanging::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let running = hanging.0.start(hanging.run());
        let asked = Instant::now();
        running.send(signal);
        let (code, document, lines) = running.end();
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        assert_eq!((code, &document["exit"]), (6, &Value::from("stopped")), "{signal:?}: {lines:?}");
        let message = document["problems"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("run ") && message.ends_with(" was stopped"), "{message}");
        for (step, said) in [("mail ", "stopped ("), ("later", "not started")] {
            assert!(lines.iter().any(|line| line.starts_with(step) && line.contains(said)), "{lines:?}");
        }
        assert_complete(&hanging.ledger(&["show", "--last"])["records"]);
        assert_eq!(hanging.ledger(&["verify"])["intact"], true);
    }
    // The state folder is free and whole. With files in place of the server the run goes through.
    hanging.0.without_server();
    let output = bailiwick(["run", hanging.0.project.path(), "--json"]);
    assert_eq!(output.code, 3, "the second step has no grants: {output:?}");
    assert!(output.stdout.contains("\"answered\""), "{output:?}");
    assert_eq!(hanging.ledger(&["verify"])["intact"], true);
}

#[test]
fn a_tried_agent_that_is_asked_to_stop_has_its_end_on_record() {
    let hanging = Hanging::new();
    hanging.0.project.write("claim.json", r#"{ "customer": "C-1042", "order": "O-20417", "decision": "accepted", "reason": "eligible" }"#);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["try", "customer-mail", "--json", "--project", hanging.0.project.path(), "--subject", "C-1042"]);
    command.arg("--input").arg(hanging.0.project.file("claim.json"));
    command.args(["--may", "crm/customers.get where id=C-1042"]);
    command.args(["--may", "notify/messages.send where customer=C-1042 channel=email subject=any body=any"]);
    let running = hanging.0.start(command);
    running.send(Signal::TERM);
    let (code, document, lines) = running.end();
    assert_eq!((code, &document["exit"]), (6, &Value::from("stopped")), "{lines:?}");
    let message = document["problems"][0]["message"].as_str().unwrap();
    let run = message.split(' ').nth(1).unwrap();
    assert_complete(&hanging.ledger(&["show", "--run", run])["records"]);
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let hanging = Hanging::new();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_bailiwick"), "run", hanging.0.project.path(), "--json"]);
    let running = hanging.0.start(command);
    running.send(Signal::HUP);
    // The mail server ends the conversation, and the run ends by itself.
    running.connection.shutdown(std::net::Shutdown::Both).unwrap();
    let (code, document, lines) = running.end();
    assert_eq!((code, &document["exit"]), (3, &Value::from("failed")), "{lines:?}");
}

#[test]
fn who_asks_twice_does_not_wait_for_the_disk() {
    let hanging = Hanging::new();
    let running = hanging.0.start(hanging.run());
    // Nothing can be written while another holds the database.
    let ledger = rusqlite::Connection::open(hanging.0.project.file(".bailiwick/ledger.sqlite")).unwrap();
    ledger.execute_batch("BEGIN IMMEDIATE").unwrap();
    running.send(Signal::INT);
    let stopped = running.lines.iter().find(|line| line.contains("stopped (")).unwrap();
    assert!(stopped.starts_with("mail"), "{stopped}");
    let asked = Instant::now();
    running.send(Signal::INT);
    let (code, _, _) = running.end();
    assert!(code == 6 && asked.elapsed() < SOON, "{code} {:?}", asked.elapsed());
    drop(ledger);
    assert_eq!(hanging.ledger(&["verify"])["intact"], true);
}
