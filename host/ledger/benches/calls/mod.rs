//! Records as the gate makes them, for both benchmarks.
#![expect(clippy::expect_used, reason = "a benchmark stops at the first thing that is not as expected")]

use std::sync::Arc;

use bailiwick_core::Recorder as _;
use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, Draft, Fields, Payload, RecordContext, RecordKind};
use bailiwick_ledger::{Ledger, PRESSED_RECORDS};
use serde_json::json;

fn context() -> Arc<RecordContext> {
    Arc::new(RecordContext {
        tenant: Some("acme".into()),
        requester: Some("local:anna".to_owned()),
        workflow: Some("returns".into()),
        plan: Some(Digest::of(b"plan")),
        run: Some("run-019a1b2c3d4e7f60818283848586878a".into()),
        step: Some("parcel".into()),
        attempt: Some(1),
        task: Some("task-019a1b2c3d4e7f60818283848586878b".into()),
        parent_task: None,
        agent: Some("return-label".into()),
        component: Some(Digest::of(b"component")),
    })
}

/// A call as the gate records it: an intent with arguments and an outcome with a result.
pub struct Calls {
    context: Arc<RecordContext>,
    operation: Arc<str>,
    args: Arc<serde_json::Value>,
    result: Arc<serde_json::Value>,
}

impl Calls {
    pub fn new() -> Self {
        Self {
            context: context(),
            operation: "bailiwick:crm/customers@0.1.0.get".into(),
            args: Arc::new(json!({"id": "C-1042"})),
            result: Arc::new(json!({"customer": "C-1042", "name": "Erika Mustermann", "emails": ["erika@example.org"], "version": 7})),
        }
    }

    pub fn draft(&self, n: u64) -> Draft {
        let is_intent = n.is_multiple_of(2);
        let (name, value) = if is_intent { ("args", &self.args) } else { ("result", &self.result) };
        Draft {
            kind: if is_intent { RecordKind::CallIntent } else { RecordKind::CallOutcome },
            context: Arc::clone(&self.context),
            fields: Fields {
                operation: Some(Arc::clone(&self.operation)),
                ordinal: Some(0),
                intent: (!is_intent).then(|| Seq(n - 1)),
                outcome: (!is_intent).then_some(CallOutcome::Ok),
                fuel: Some(1_234_567),
                duration_us: Some(42),
                ..Fields::default()
            },
            payload: Some(Payload { subject: Some("C-1042".into()), parts: vec![(name, Arc::clone(value).into())] }),
        }
    }
}

/// Appends so many records until they are on disk.
pub fn fill(ledger: &Ledger, calls: &Calls, count: u64) {
    fill_from(ledger, calls, 0, count);
}

/// Appends the records from one sequence to another until they are on disk.
pub fn fill_from(ledger: &Ledger, calls: &Calls, from: u64, end: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut last = Seq(0);
    for n in from..end {
        last = ledger.append(calls.draft(n)).expect("a place");
        if ledger.is_pressed() {
            // For half of what is queued, so that the writer has something to do meanwhile.
            let half = Seq(last.0.saturating_sub(PRESSED_RECORDS as u64 / 2));
            runtime.block_on(ledger.durable(half)).expect("on disk");
        }
    }
    runtime.block_on(ledger.durable(last)).expect("on disk");
}
