//! Who touched a data subject: what is found, of whom, and what is not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

#[expect(dead_code, reason = "shared by several test files, each of which uses some of it")]
mod common;

use std::path::Path;
use std::sync::Arc;

use bailiwick_core::Recorder as _;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{CallOutcome, Draft, Fields, Payload, RecordContext, RecordKind, Verdict};
use bailiwick_ledger::{AccessQuery, Accesses, Ledger, LedgerOptions, ReadProblem, Reader, Relation};
use serde_json::{Value, json};

use common::{block_on, open};

const SUBJECT: &str = "C-1042";
const OPERATION: &str = "bailiwick:crm/customers@0.1.0.get";

/// Writes calls as the gate does.
struct Task<'a> {
    ledger: &'a Ledger,
    context: Arc<RecordContext>,
    subject: Option<&'a str>,
}

impl<'a> Task<'a> {
    fn start(ledger: &'a Ledger, name: &str, subject: Option<&'a str>) -> Self {
        let context = RecordContext {
            tenant: Some("acme".into()),
            requester: Some("channel:web".to_owned()),
            workflow: Some("returns".into()),
            run: Some(format!("run-{name}").into()),
            step: Some("look".into()),
            task: Some(format!("task-{name}").into()),
            agent: Some("looker".into()),
            ..RecordContext::default()
        };
        let task = Self { ledger, context: Arc::new(context), subject };
        task.append(RecordKind::TaskStarted, Fields::default(), &[("start", json!({ "agent-version": "1.2.0" }))]);
        task
    }

    fn append(&self, kind: RecordKind, fields: Fields, parts: &[(&'static str, Value)]) -> Seq {
        let parts: Vec<_> = parts.iter().map(|(name, value)| (*name, value.clone().into())).collect();
        let payload = (!parts.is_empty()).then(|| Payload { subject: self.subject.map(Into::into), parts });
        let fields = Fields { operation: (kind != RecordKind::TaskStarted).then(|| OPERATION.into()), ..fields };
        self.ledger.append(Draft { kind, context: Arc::clone(&self.context), fields, payload }).unwrap()
    }

    fn intent(&self, args: Value) -> Seq {
        self.append(RecordKind::CallIntent, Fields { decision: Some(Verdict::Permit), ..Fields::default() }, &[("args", args)])
    }

    fn outcome(&self, intent: Seq, outcome: CallOutcome, parts: &[(&'static str, Value)]) -> Seq {
        self.append(RecordKind::CallOutcome, Fields { intent: Some(intent), outcome: Some(outcome), ..Fields::default() }, parts)
    }

    fn denied(&self, rule: &str, parts: &[(&'static str, Value)]) -> Seq {
        let fields =
            Fields { outcome: Some(CallOutcome::Denied), decision: Some(Verdict::Forbid), rule: Some(rule.into()), ..Fields::default() };
        self.append(RecordKind::CallOutcome, fields, parts)
    }
}

fn ask_between(state: &Path, from_ms: Option<u64>, to_ms: Option<u64>) -> Result<Accesses, ReadProblem> {
    let (tenant, subject) = ("acme".into(), SUBJECT.into());
    Reader::open(state).unwrap().accesses(&AccessQuery { tenant: Some(&tenant), subject: &subject, from_ms, to_ms })
}

fn ask(state: &Path) -> Accesses {
    ask_between(state, None, None).unwrap()
}

fn flush(ledger: &Ledger, last: Seq) {
    block_on(ledger.durable(last)).unwrap();
}

#[test]
fn every_call_of_a_task_about_the_subject_is_found_with_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let task = Task::start(&ledger, "a", Some(SUBJECT));
    let answered = task.intent(json!({ "id": SUBJECT }));
    task.outcome(answered, CallOutcome::Ok, &[("result", json!({ "name": "Erika", "emails": ["a", "b"], "note": null }))]);
    let cached = task.intent(json!({ "id": SUBJECT }));
    task.outcome(cached, CallOutcome::Cached, &[("result", json!("x"))]);
    // Without a payload: a budget is used up.
    task.denied("budget", &[]);
    task.denied("grant-conditions", &[("args", json!({ "id": "C-7" })), ("detail", json!("another"))]);
    task.denied("no-grant", &[("args", json!({ "bytes": 9000, "digest": "sha256:00" })), ("detail", json!(""))]);
    // An answer that the guest did not see.
    let withheld = task.intent(json!({ "id": SUBJECT }));
    let fields = Fields {
        intent: Some(withheld),
        outcome: Some(CallOutcome::Denied),
        decision: Some(Verdict::Forbid),
        rule: Some("frozen".into()),
        ..Fields::default()
    };
    task.append(RecordKind::CallOutcome, fields, &[("result", json!({ "name": "Erika" }))]);
    let last = task.intent(json!({ "id": SUBJECT }));
    flush(&ledger, last);
    drop(ledger);

    let found = ask(folder.path()).calls;
    let outcomes: Vec<_> = found.iter().map(|call| (call.outcome, call.rule.as_deref())).collect();
    let denied = Some(CallOutcome::Denied);
    assert_eq!(
        outcomes,
        [
            (Some(CallOutcome::Ok), None),
            (Some(CallOutcome::Cached), None),
            (denied, Some("budget")),
            (denied, Some("grant-conditions")),
            (denied, Some("no-grant")),
            (denied, Some("frozen")),
            (None, None),
        ]
    );
    assert!(found.iter().all(|call| call.relation == Relation::About && call.agent_version.as_deref() == Some("1.2.0")));
    assert_eq!(
        (found[0].passed.names.as_slice(), found[0].given.names.as_slice()),
        (&["id".to_owned()][..], &["emails.*".to_owned(), "name".to_owned()][..])
    );
    assert_eq!(found[1].given.names, ["(value)"]);
    assert_eq!(found[3].passed.names, ["id"]);
    assert!(found[4].passed.unknown, "its arguments were too large to be kept");
    assert_eq!(found[5].given.names, [""; 0], "the guest was not given it");
    assert!(!format!("{found:?}").contains("Erika"), "no value is given");
}

#[test]
fn calls_of_others_that_name_the_subject_are_found_and_similar_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let other = Task::start(&ledger, "other", Some("C-7"));
    let denied = other.denied("grant-conditions", &[("args", json!({ "id": SUBJECT })), ("detail", json!("another"))]);
    let passed = other.intent(json!({ "note": { "about": [SUBJECT] } }));
    other.outcome(passed, CallOutcome::Ok, &[("result", json!({ "ok": true }))]);
    // Another id, a text with the id in it, a field of that name, a reason that speaks of it.
    for args in [json!({ "id": "C-10421" }), json!({ "text": format!("see {SUBJECT}") }), json!({ SUBJECT: "x" })] {
        other.denied("grant-conditions", &[("args", args), ("detail", json!(SUBJECT))]);
    }
    let nobody = Task::start(&ledger, "nobody", None);
    let tried = nobody.intent(json!({ "id": SUBJECT }));
    let last = nobody.outcome(tried, CallOutcome::Error, &[("error", json!("not-found"))]);
    flush(&ledger, last);
    drop(ledger);

    let found = ask(folder.path()).calls;
    let told: Vec<_> = found.iter().map(|call| (call.seq, call.relation, call.outcome)).collect();
    assert_eq!(
        told,
        [
            (denied, Relation::NamedByOther, Some(CallOutcome::Denied)),
            (passed, Relation::NamedByOther, Some(CallOutcome::Ok)),
            (tried, Relation::NamedByNobody, Some(CallOutcome::Error)),
        ]
    );
    assert_eq!(found[1].passed.names, ["note.about.*"]);
    assert!(found.iter().all(|call| call.agent_version.as_deref() == Some("1.2.0")));
}

#[test]
fn the_tenants_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let task = Task::start(&ledger, "a", Some(SUBJECT));
    task.denied("no-grant", &[("args", json!({ "id": SUBJECT })), ("detail", json!(""))]);
    let last = task.intent(json!({ "id": SUBJECT }));
    flush(&ledger, last);
    drop(ledger);
    let (tenant, subject) = ("other".into(), SUBJECT.into());
    let reader = Reader::open(folder.path()).unwrap();
    let found = reader.accesses(&AccessQuery { tenant: Some(&tenant), subject: &subject, from_ms: None, to_ms: None }).unwrap();
    assert_eq!(found.calls, []);
    assert_eq!(ask(folder.path()).calls.len(), 2);
}

#[test]
fn an_erased_subject_is_found_no_more_and_the_erasure_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let task = Task::start(&ledger, "a", Some(SUBJECT));
    let last = task.intent(json!({ "id": SUBJECT }));
    flush(&ledger, last);
    assert_eq!((ask(folder.path()).calls.len(), ask(folder.path()).erasures), (1, 0));
    ledger.erase(Some(&"acme".into()), &SUBJECT.into(), None).unwrap();
    // What comes after an erasure is found again.
    let again = Task::start(&ledger, "b", Some(SUBJECT));
    let last = again.intent(json!({ "id": SUBJECT }));
    flush(&ledger, last);
    drop(ledger);
    let found = ask(folder.path());
    assert_eq!((found.calls.iter().map(|call| call.seq).collect::<Vec<_>>(), found.erasures), (vec![last], 1));
}

#[test]
fn a_time_has_a_beginning_that_counts_and_an_end_that_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(std::sync::atomic::AtomicU64::new(1_000));
    let clock = {
        let now = Arc::clone(&now);
        move || now.load(std::sync::atomic::Ordering::SeqCst)
    };
    let options = LedgerOptions { clock: Arc::new(clock), ..LedgerOptions::default() };
    let ledger = Ledger::open(folder.path(), options).unwrap();
    let task = Task::start(&ledger, "a", Some(SUBJECT));
    let mut last = Seq(0);
    for time_ms in [1_000, 2_000, 3_000] {
        now.store(time_ms, std::sync::atomic::Ordering::SeqCst);
        last = task.intent(json!({ "id": SUBJECT }));
        task.denied("budget", &[]);
    }
    now.store(4_000, std::sync::atomic::Ordering::SeqCst);
    let end = task.outcome(last, CallOutcome::Ok, &[]);
    flush(&ledger, end);
    drop(ledger);
    for (from, to, times) in [
        (None, None, &[1_000, 1_000, 2_000, 2_000, 3_000, 3_000][..]),
        (Some(2_000), None, &[2_000, 2_000, 3_000, 3_000]),
        (Some(2_001), None, &[3_000, 3_000]),
        (None, Some(2_000), &[1_000, 1_000]),
        (Some(2_000), Some(2_001), &[2_000, 2_000]),
        (Some(9_000), None, &[]),
        (Some(3_000), Some(1_000), &[]),
    ] {
        let found = ask_between(folder.path(), from, to).unwrap().calls;
        assert_eq!(found.iter().map(|call| call.time_ms).collect::<Vec<_>>(), times, "{from:?} {to:?}");
    }
    // The outcome lies beyond the end, and is that of a call within.
    let found = ask_between(folder.path(), Some(3_000), Some(3_001)).unwrap().calls;
    assert_eq!(found[0].outcome, Some(CallOutcome::Ok));
}

#[test]
fn a_refused_run_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let context = RecordContext { run: Some("run-x".into()), requester: Some("customer:7".to_owned()), ..RecordContext::default() };
    let context = Arc::new(RecordContext { tenant: Some("acme".into()), ..context });
    let fields = Fields { decision: Some(Verdict::Forbid), rule: Some("customer-about-himself".into()), ..Fields::default() };
    let payload = Payload { subject: Some(SUBJECT.into()), parts: vec![("reason", json!("no").into())] };
    let last = ledger.append(Draft { kind: RecordKind::RunDenied, context, fields, payload: Some(payload) }).unwrap();
    flush(&ledger, last);
    drop(ledger);
    let found = ask(folder.path()).refused_runs;
    assert_eq!(
        found.iter().map(|run| (run.requester.as_deref(), run.rule.as_deref())).collect::<Vec<_>>(),
        [(Some("customer:7"), Some("customer-about-himself"))]
    );
}

#[test]
fn without_keys_it_is_an_error_and_not_an_empty_answer() {
    for key in ["subject.key", "payload.keys"] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path());
        let task = Task::start(&ledger, "a", Some(SUBJECT));
        let last = task.intent(json!({ "id": SUBJECT }));
        flush(&ledger, last);
        drop(ledger);
        std::fs::remove_file(folder.path().join(key)).unwrap();
        assert!(ask_between(folder.path(), None, None).is_err(), "{key}");
    }
}
