//! What it costs to ask who touched a data subject, over 100,000 calls: an intent and an outcome each, with payloads.
//!
//! Once with the calls spread over 1,000 subjects, where one has a hundred and all others' arguments are looked through, and once with all of them about one
//! subject. `TMPDIR` says on which disk; the file was written just before, so it is in memory. More than two seconds of the processor are a failure.
#![expect(clippy::expect_used, reason = "a benchmark stops at the first thing that is not as expected")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_core::Recorder as _;
use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, Draft, Fields, Payload, RecordContext, RecordKind, Verdict};
use bailiwick_ledger::{AccessQuery, Ledger, LedgerOptions, PRESSED_RECORDS, Reader};
use serde_json::json;

const CALLS: u64 = 100_000;
/// Calls of one task.
const CALLS_OF_TASK: u64 = 5;
const MOST: Duration = Duration::from_secs(2);
const TRIES: usize = 5;

/// Processor time of this process so far; a tick is 10 ms.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // After the name, which may hold anything, the 12th and 13th fields.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let ticks: u64 = fields.into_iter().flatten().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

fn main() {
    for subjects in [1_000, 1] {
        let folder = tempfile::tempdir().expect("a folder");
        fill(&folder, subjects);
        let (mut wall, mut processor): (Vec<_>, Vec<_>) = (0..TRIES).map(|_| ask(&folder, subjects)).unzip();
        wall.sort();
        processor.sort();
        let ([best, .., worst], [least, .., most]) = (wall.as_slice(), processor.as_slice()) else {
            unreachable!("there are several tries")
        };
        println!(
            "{CALLS} calls, {} of them about the subject: {best:.2?} to {worst:.2?} wall, {least:.2?} to {most:.2?} processor",
            CALLS / subjects
        );
        // Of the processor, since whoever else uses the machine takes from the wall clock.
        assert!(*least < MOST, "{least:?} is more than {MOST:?}");
    }
}

/// Opens the ledger anew and asks, as the command does.
fn ask(folder: &tempfile::TempDir, subjects: u64) -> (Duration, Duration) {
    let (before, start) = (spent(), Instant::now());
    let reader = Reader::open(folder.path()).expect("a ledger");
    let (tenant, subject) = ("acme".into(), "C-0".into());
    let found = reader.accesses(&AccessQuery { tenant: Some(&tenant), subject: &subject, from_ms: None, to_ms: None }).expect("accesses");
    let took = (start.elapsed(), spent().saturating_sub(before));
    assert_eq!(found.calls.len() as u64, CALLS / subjects);
    assert!(found.calls.iter().all(|call| call.passed.names == ["id"] && !call.given.names.is_empty()));
    took
}

fn fill(folder: &tempfile::TempDir, subjects: u64) {
    let ledger = Ledger::open(folder.path(), LedgerOptions::default()).expect("a ledger");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let operation: Arc<str> = "bailiwick:crm/customers@0.1.0.get".into();
    let mut last = Seq(0);
    for n in 0..CALLS {
        let task = n / CALLS_OF_TASK;
        let subject = format!("C-{}", task % subjects);
        let context = Arc::new(context(task));
        let fields = Fields { operation: Some(Arc::clone(&operation)), ordinal: Some(0), fuel: Some(1_234_567), ..Fields::default() };
        let payload = |name, value| Some(Payload { subject: Some(subject.as_str().into()), parts: vec![(name, value)] });
        let intent = Draft {
            kind: RecordKind::CallIntent,
            context: Arc::clone(&context),
            fields: Fields { decision: Some(Verdict::Permit), ..fields.clone() },
            payload: payload("args", json!({ "id": subject }).into()),
        };
        let intent = ledger.append(intent).expect("a place");
        let result = json!({ "customer": subject, "name": "Erika Mustermann", "emails": ["erika@example.org"], "version": 7 });
        let outcome = Draft {
            kind: RecordKind::CallOutcome,
            context,
            fields: Fields { intent: Some(intent), outcome: Some(CallOutcome::Ok), duration_us: Some(42), ..fields },
            payload: payload("result", result.into()),
        };
        last = ledger.append(outcome).expect("a place");
        if ledger.is_pressed() {
            runtime.block_on(ledger.durable(Seq(last.0.saturating_sub(PRESSED_RECORDS as u64 / 2)))).expect("on disk");
        }
    }
    runtime.block_on(ledger.durable(last)).expect("on disk");
    ledger.close().expect("written");
}

fn context(task: u64) -> RecordContext {
    RecordContext {
        tenant: Some("acme".into()),
        requester: Some("local:anna".to_owned()),
        workflow: Some("returns".into()),
        plan: Some(Digest::of(b"plan")),
        run: Some(format!("run-019a1b2c3d4e7f608182{task:012}").into()),
        step: Some("parcel".into()),
        attempt: Some(1),
        task: Some(format!("task-019a1b2c3d4e7f608182{task:012}").into()),
        parent_task: None,
        agent: Some("return-label".into()),
        component: Some(Digest::of(b"component")),
    }
}
