//! Decisions that no sample run has: budgets, freezes, grants that were not issued, many denials, runs whose data were erased.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::Recorder as _;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{CallOutcome, Draft, Fields, Payload, RecordContext, RecordKind, Verdict};
use bailiwick_ledger::{Ledger, LedgerOptions, Reader};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{History, Known, Rules, WhyProblem, advise, explain};

const GET: &str = "bailiwick:crm/customers@0.1.0.get";
const APPEND: &str = "bailiwick:crm/notes@0.1.0.append";

/// A run with one task, written as the host writes it.
struct Written {
    folder: tempfile::TempDir,
    ledger: Ledger,
    context: RecordContext,
}

impl Written {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), LedgerOptions::default()).unwrap();
        let context = RecordContext {
            tenant: Some("acme".into()),
            requester: Some("local:anna".to_owned()),
            workflow: Some("w".into()),
            run: Some("run-1".into()),
            ..RecordContext::default()
        };
        let written = Self { folder, ledger, context };
        let event = json!({
            "event": "run-started", "run": "run-1", "workflow": "w", "version": "1", "plan": format!("sha256:{}", "0".repeat(64)),
            "input": { "order": "O-1" }, "subject": "C-1", "requester": { "id": "local:anna", "tenant": "acme" },
        });
        written.event("run-started", event);
        written.task(1);
        written
    }

    fn append(&self, kind: RecordKind, attempt: Option<u32>, fields: Fields, part: Option<(&'static str, Value)>) -> Seq {
        let mut context = self.context.clone();
        if let Some(attempt) = attempt {
            context.step = Some("s".into());
            context.attempt = Some(attempt);
            context.task = Some(format!("task-{attempt}").into());
            context.agent = Some("a".into());
        }
        let payload = part.map(|(name, value)| Payload { subject: Some("C-1".into()), parts: vec![(name, value.into())] });
        self.ledger.append(Draft { kind, context: Arc::new(context), fields, payload }).unwrap()
    }

    fn event(&self, name: &str, event: Value) -> Seq {
        let fields = Fields { event: Some(name.into()), ..Fields::default() };
        let fields = if name == "run-started" {
            Fields { decision: Some(Verdict::Permit), rule: Some("local-opens".into()), ..fields }
        } else {
            fields
        };
        self.append(RecordKind::RunEvent, None, fields, Some(("event", event)))
    }

    fn task(&self, attempt: u32) {
        self.append(RecordKind::TaskStarted, Some(attempt), Fields::default(), Some(("input", json!({}))));
    }

    fn grant(&self, attempt: u32, operation: &str, argument: &str, calls: u64) -> Seq {
        let grant = json!({
            "operation": operation, "conditions": { argument: [{ "equals": "C-1" }] }, "owner": null,
            "budgets": { "calls": calls, "bytes-out": "1KiB", "bytes-in": "1KiB" }, "delegable": false,
        });
        let fields = Fields { rule: Some("step-gives".into()), policy_version: Some("step-rule/1".into()), ..of(operation, attempt) };
        self.append(RecordKind::GrantIssued, Some(attempt), fields, Some(("grant", grant)))
    }

    fn call(&self, attempt: u32, operation: &str, ordinal: u32, reason: Option<&str>) -> Seq {
        let fields = Fields { ordinal: Some(ordinal), decision: Some(Verdict::Permit), ..of(operation, attempt) };
        let intent = self.append(RecordKind::CallIntent, Some(attempt), fields, Some(("args", json!({ "id": "C-1" }))));
        let outcome = if reason.is_some() { CallOutcome::Error } else { CallOutcome::Ok };
        let fields = Fields { intent: Some(intent), outcome: Some(outcome), reason: reason.map(Into::into), ..of(operation, attempt) };
        self.append(RecordKind::CallOutcome, Some(attempt), fields, None);
        intent
    }

    fn denied(&self, attempt: u32, operation: &str, rule: &str, args: Option<Value>) -> Seq {
        let fields = Fields {
            rule: Some(rule.into()),
            outcome: Some(CallOutcome::Denied),
            decision: Some(Verdict::Forbid),
            ..of(operation, attempt)
        };
        self.append(RecordKind::CallOutcome, Some(attempt), fields, args.map(|args| ("args", args)))
    }

    fn read(self) -> (tempfile::TempDir, Reader) {
        self.ledger.close().unwrap();
        let reader = Reader::open(self.folder.path()).unwrap();
        (self.folder, reader)
    }
}

fn of(operation: &str, attempt: u32) -> Fields {
    Fields { operation: Some(operation.into()), grant: Some(format!("task-{attempt}/{operation}").into()), ..Fields::default() }
}

fn known() -> Known {
    Known {
        catalog: Arc::new(bailiwick_wit::builtin_catalog().unwrap()),
        workflow: None,
        file: "workflow.yaml".to_owned(),
        why_not: Some("it is a test".to_owned()),
        agents: BTreeMap::new(),
    }
}

fn why(reader: &Reader, call: Option<Seq>) -> Answer {
    let history = History::read(reader, &"run-1".into(), |_| true).unwrap();
    explain(&history, &known(), Rules::new(reader), "s", call).unwrap()
}

#[test]
fn a_budget_says_how_much_was_counted_over_all_attempts() {
    let written = Written::new();
    written.grant(1, GET, "id", 3);
    written.call(1, GET, 0, None);
    written.call(1, GET, 1, None);
    written.task(2);
    written.grant(2, GET, "id", 3);
    written.call(2, GET, 0, None);
    let denied = written.denied(2, GET, "budget", None);
    let (_folder, reader) = written.read();
    let decision = why(&reader, Some(denied)).decisions.remove(0);
    assert_eq!(
        decision.to_pass,
        ["more than `calls: 3` for `crm/customers.get`: 3 were counted before this one, over all attempts of the step"]
    );
    assert_eq!((decision.rules[0].kind, decision.policy_version), ("built-in", None));
}

#[test]
fn an_effect_that_is_repeated_counts_once() {
    let written = Written::new();
    written.grant(1, APPEND, "customer", 2);
    written.call(1, APPEND, 0, None);
    written.task(2);
    written.grant(2, APPEND, "customer", 2);
    written.call(2, APPEND, 0, None);
    let denied = written.denied(2, APPEND, "budget", None);
    let (_folder, reader) = written.read();
    // One of two calls is counted, so it was the bytes.
    assert!(why(&reader, Some(denied)).decisions[0].to_pass[0].contains("`bytes-out: 1KiB`"));
}

#[test]
fn freezes_and_the_lack_of_a_permit_are_explained() {
    let written = Written::new();
    written.grant(1, GET, "id", 3);
    let frozen = written.denied(1, GET, "freeze", Some(json!({ "id": "C-1" })));
    let silent = written.denied(1, GET, "", Some(json!({ "id": "C-1" })));
    let fields =
        Fields { decision: Some(Verdict::Forbid), rule: Some("gone-policy".into()), policy_version: Some("v0".into()), ..of(APPEND, 1) };
    let refused = written.append(RecordKind::GrantDenied, Some(1), fields, Some(("reason", json!("closed"))));
    let (_folder, reader) = written.read();
    let one = |seq| why(&reader, Some(seq)).decisions.remove(0);
    assert_eq!((one(frozen).rules[0].kind, one(frozen).to_pass), ("built-in", vec!["the freeze lifted".to_owned()]));
    assert_eq!(one(silent).rules[0].kind, "default");
    let refused = one(refused);
    assert_eq!(
        (refused.about, refused.permitted, refused.detail.as_deref(), refused.rules[0].kind),
        ("grant", false, Some("closed"), "unknown")
    );
}

#[test]
fn many_denials_are_counted_and_each_can_be_asked_for() {
    let written = Written::new();
    let denied: Vec<Seq> = (0..60).map(|_| written.denied(1, GET, "no-grant", Some(json!({ "id": "C-1" })))).collect();
    let (_folder, reader) = written.read();
    let answer = why(&reader, None);
    assert_eq!(answer.decisions.len(), 50);
    assert!(answer.notes.iter().any(|note| note.starts_with("10 further forbidden decisions")), "{:?}", answer.notes);
    let last = why(&reader, denied.last().copied()).decisions.remove(0);
    assert!(last.add.unwrap().contains("id: \"${ subject }\"\n  calls: 60"));
}

#[test]
fn what_was_erased_is_said_and_nothing_is_guessed() {
    let written = Written::new();
    written.grant(1, GET, "id", 3);
    let call = written.call(1, GET, 0, None);
    written.ledger.erase(Some(&"acme".into()), &"C-1".into(), None).unwrap();
    let (_folder, reader) = written.read();
    let answer = why(&reader, Some(call));
    assert_eq!((&answer.decisions[0].facts, answer.decisions[0].compared.len(), answer.decisions[0].permitted), (&None, 0, true));
    assert!(answer.notes.iter().any(|note| note.contains("payloads of the run are not there any more")), "{:?}", answer.notes);
}

#[test]
fn a_record_of_another_step_is_refused() {
    let written = Written::new();
    let grant = written.grant(1, GET, "id", 3);
    let (_folder, reader) = written.read();
    let history = History::read(&reader, &"run-1".into(), |_| true).unwrap();
    let ask = |step: &str, call| explain(&history, &known(), Rules::new(&reader), step, Some(call));
    assert_eq!(ask("s", grant).unwrap().decisions[0].about, "grant");
    assert!(matches!(ask("s", Seq(0)), Err(WhyProblem::NoCall { .. })));
    assert!(matches!(ask("other", grant), Err(WhyProblem::NoStep { .. })));
}

#[test]
fn advice_counts_as_the_gate_does() {
    let written = Written::new();
    written.grant(1, GET, "id", 32);
    written.grant(1, APPEND, "customer", 5);
    written.call(1, GET, 0, None);
    // Given back: nothing happened. Repeated in the next attempt: the same effect.
    written.call(1, APPEND, 0, Some("unavailable"));
    written.task(2);
    written.grant(2, GET, "id", 32);
    written.grant(2, APPEND, "customer", 5);
    written.call(2, GET, 0, None);
    written.call(2, APPEND, 0, None);
    written.call(2, APPEND, 1, None);
    written.denied(2, "bailiwick:orders/orders@0.1.0.get", "no-grant", None);
    let (_folder, reader) = written.read();
    let agent = "a".into();
    let history = History::read(&reader, &"run-1".into(), |envelope| super::wants(envelope, &agent)).unwrap();
    let advice = advise(std::slice::from_ref(&history), &agent, &known());
    assert_eq!((advice.len(), advice[0].tasks, advice[0].unused.len()), (1, 2, 0));
    let may = &advice[0].may;
    assert!(may.contains("- call: crm/customers.get\n    where:\n      id: \"${ subject }\"\n    calls: 2"), "{may}");
    assert!(
        may.contains(
            "- call: crm/notes.append\n    where:\n      customer: \"${ subject }\"\n    calls: 2\n    bytes-out: 1KiB\n    bytes-in: 1KiB"
        ),
        "{may}"
    );
    assert_eq!((advice[0].asked[0].operation.as_str(), advice[0].asked[0].calls), ("orders/orders.get", 1));
    assert!(advice[0].notes.iter().any(|note| note.contains("it is a test")));
}
