//! A recorder that keeps what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bailiwick_core::connector::BoxFuture;
use bailiwick_core::ids::{Seq, TaskId};
use bailiwick_core::record::{CallOutcome, Draft, Fields, LedgerFailure, RecordContext, RecordKind, Recorder};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

/// A record as it was given.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its place.
    pub seq: Seq,
    /// What it is about.
    pub kind: RecordKind,
    /// Whose and which.
    pub context: Arc<RecordContext>,
    /// What only this record has.
    pub fields: Fields,
    /// Its data, one object, with the subject under `subject`; null without payload.
    pub payload: Value,
}

/// Records, to be asked.
#[derive(Debug, Clone, Default)]
pub struct Kept(pub Vec<Record>);

impl Kept {
    /// Gives the kinds in order.
    pub fn kinds(&self) -> Vec<RecordKind> {
        self.0.iter().map(|record| record.kind).collect()
    }

    /// Gives the records of a kind.
    pub fn of(&self, kind: RecordKind) -> Vec<&Record> {
        self.0.iter().filter(|record| record.kind == kind).collect()
    }

    /// Gives the word with which the task ended; empty where its end is not on record.
    pub fn end(&self) -> String {
        let end = self.of(RecordKind::TaskEnded);
        match end.as_slice() {
            [one] => one.fields.reason.as_deref().unwrap_or_default().to_owned(),
            [] => String::new(),
            more => format!("{} ends", more.len()),
        }
    }

    /// Gives the outcome and the rule of each call in order.
    pub fn outcomes(&self) -> Vec<(Option<CallOutcome>, String)> {
        let of = |record: &&Record| (record.fields.outcome, record.fields.rule.as_deref().unwrap_or_default().to_owned());
        self.of(RecordKind::CallOutcome).iter().map(of).collect()
    }

    /// Gives the reasons of the security events in order.
    pub fn security_events(&self) -> Vec<String> {
        let reason = |record: &&Record| record.fields.reason.as_deref().unwrap_or_default().to_owned();
        self.of(RecordKind::SecurityEvent).iter().map(reason).collect()
    }
}

/// A recorder that keeps records in memory. It can be told to fail, and says how far callers run ahead of its disk.
#[derive(Default)]
pub struct MemoryRecorder {
    records: Mutex<Vec<Record>>,
    changed: Notify,
    /// Records from which on the caller is asked to wait; 0 for never.
    pressed_from: AtomicUsize,
    waiting: AtomicUsize,
    waiting_most: AtomicUsize,
    is_broken: AtomicBool,
    /// Records that are on disk: those before this place.
    durable: AtomicU64,
}

impl MemoryRecorder {
    /// Gives the records of a task.
    pub fn of_task(&self, task: &TaskId) -> Kept {
        Kept(self.records.lock().iter().filter(|record| record.context.task.as_ref() == Some(task)).cloned().collect())
    }

    /// Gives all records.
    pub fn all(&self) -> Kept {
        Kept(self.records.lock().clone())
    }

    /// Waits until the records satisfy a condition. Ends with the test's own time where they never do.
    pub async fn until(&self, mut holds: impl FnMut(&[Record]) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that no record comes between.
            changed.as_mut().enable();
            if holds(&self.records.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Says that the disk is slow: from so many records on that nobody waited for, callers are asked to wait.
    pub fn press_from(&self, records: usize) {
        self.pressed_from.store(records, Ordering::SeqCst);
    }

    /// Most records that were ever given without anybody waiting for the disk.
    pub fn waiting_most(&self) -> usize {
        self.waiting_most.load(Ordering::SeqCst)
    }

    /// Says whether somebody has waited until a record was on disk.
    pub fn is_durable(&self, seq: Seq) -> bool {
        seq.0 < self.durable.load(Ordering::SeqCst)
    }

    /// Refuses everything from now on.
    pub fn break_down(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }

    fn failure(&self) -> Result<(), LedgerFailure> {
        if self.is_broken.load(Ordering::SeqCst) { Err(LedgerFailure("the disk is full".to_owned())) } else { Ok(()) }
    }
}

impl Recorder for MemoryRecorder {
    fn append(&self, draft: Draft) -> Result<Seq, LedgerFailure> {
        self.failure()?;
        let mut records = self.records.lock();
        let seq = Seq(records.len() as u64);
        let payload = draft.payload.map_or(Value::Null, |payload| {
            let parts = payload.parts.into_iter().map(|(name, value)| (name.to_owned(), value.to_value().unwrap_or_default().into_owned()));
            let subject = ("subject".to_owned(), Value::from(payload.subject.map(|subject| subject.to_string())));
            Value::Object(parts.chain([subject]).collect())
        });
        records.push(Record { seq, kind: draft.kind, context: draft.context, fields: draft.fields, payload });
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.waiting_most.fetch_max(waiting, Ordering::SeqCst);
        drop(records);
        self.changed.notify_waiters();
        Ok(seq)
    }

    fn durable(&self, seq: Seq) -> BoxFuture<'_, Result<(), LedgerFailure>> {
        self.waiting.store(0, Ordering::SeqCst);
        // A disk takes its time: the caller is back only after others had their turn.
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.failure()?;
            self.durable.fetch_max(seq.0 + 1, Ordering::SeqCst);
            Ok(())
        })
    }

    fn is_pressed(&self) -> bool {
        let from = self.pressed_from.load(Ordering::SeqCst);
        from > 0 && self.waiting.load(Ordering::SeqCst) >= from
    }
}
