//! What the ledger's tests share.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bailiwick_core::Recorder;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{CallOutcome, Draft, Fields, Payload, RecordContext, RecordKind};
use bailiwick_ledger::{Ledger, LedgerOptions};
use serde_json::{Value, json};

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

pub fn open(state: &Path) -> Ledger {
    Ledger::open(state, LedgerOptions::default()).unwrap()
}

pub fn context(run: &str, task: &str) -> Arc<RecordContext> {
    Arc::new(RecordContext {
        tenant: Some("acme".into()),
        workflow: Some("returns".into()),
        run: Some(run.into()),
        task: Some(task.into()),
        ..RecordContext::default()
    })
}

pub fn draft(kind: RecordKind, context: &Arc<RecordContext>) -> Draft {
    Draft { kind, context: Arc::clone(context), fields: Fields::default(), payload: None }
}

pub fn event(context: &Arc<RecordContext>, name: &str) -> Draft {
    let fields = Fields { event: Some(name.into()), ..Fields::default() };
    Draft { fields, payload: Some(about(None, json!({ "name": name }))), ..draft(RecordKind::RunEvent, context) }
}

pub fn about(subject: Option<&str>, value: Value) -> Payload {
    Payload { subject: subject.map(Into::into), parts: vec![("event", value.into())] }
}

pub fn intent(context: &Arc<RecordContext>, subject: &str) -> Draft {
    Draft { payload: Some(about(Some(subject), json!({ "id": subject }))), ..draft(RecordKind::CallIntent, context) }
}

pub fn outcome(context: &Arc<RecordContext>, intent: Option<Seq>, outcome: CallOutcome) -> Draft {
    let fields = Fields { intent, outcome: Some(outcome), ..Fields::default() };
    Draft { fields, ..draft(RecordKind::CallOutcome, context) }
}

/// Opens a ledger that writes when somebody waits, or enough has come, and not by time.
pub fn open_patient(state: &Path) -> Ledger {
    let options = LedgerOptions { gather: Duration::from_secs(3_600), ..LedgerOptions::default() };
    Ledger::open(state, options).unwrap()
}

/// Appends `runs` runs of six records, each run in one commit, and closes the ledger.
pub fn fill(state: &Path, runs: usize) {
    let ledger = open_patient(state);
    for run in 0..runs {
        let context = context(&format!("run-{run:04}"), &format!("task-{run:04}"));
        ledger.append(event(&context, "run-started")).unwrap();
        ledger.append(draft(RecordKind::TaskStarted, &context)).unwrap();
        let seq = ledger.append(intent(&context, &format!("C-{run}"))).unwrap();
        ledger.append(outcome(&context, Some(seq), CallOutcome::Ok)).unwrap();
        ledger.append(outcome(&context, None, CallOutcome::Denied)).unwrap();
        let last = ledger.append(event(&context, "run-finished")).unwrap();
        block_on(ledger.durable(last)).unwrap();
    }
    ledger.close().unwrap();
}
