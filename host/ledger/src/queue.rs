//! The queue between those who append and the writer thread.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_core::connector::BoxFuture;
use bailiwick_core::grant::{Condition, Grant};
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{Draft, LedgerFailure, Part, TaskStart};
use bailiwick_core::runner::{Source, TaskOutcome, Usage};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::check::DEPTH;
use crate::orders::Order;

/// From so many records waiting for the disk on, callers are asked to wait: about a tenth of a second of the writer's work.
pub const PRESSED_RECORDS: usize = 8_192;

/// From so many bytes waiting for the disk on, callers are asked to wait: 16 MiB, as held in memory.
pub const PRESSED_BYTES: usize = 16 * 1024 * 1024;

/// At so many times the pressed bounds, [`append`](bailiwick_core::Recorder::append) itself waits for the writer thread,
/// since somebody does not heed them.
pub const FULL_FACTOR: usize = 4;

/// So many records are a batch worth an fsync of its own, also when nobody waits.
const GATHERED_RECORDS: usize = 1_024;

/// How long the writer lies idle before it tidies up.
const IDLE: Duration = Duration::from_millis(100);

/// Gives milliseconds since 1970-01-01T00:00:00Z.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A record that has its place and is not on disk.
pub(crate) struct Pending {
    pub(crate) seq: Seq,
    pub(crate) time_ms: u64,
    pub(crate) draft: Draft,
}

/// Something that only the writer can do, with the place of the record that it makes.
pub(crate) struct Placed {
    pub(crate) seq: Seq,
    pub(crate) time_ms: u64,
    pub(crate) order: Order,
}

/// What the writer thread is to do next.
pub(crate) enum Work {
    /// Write these records, and then do what was ordered. One of the two may be missing.
    Batch(Vec<Pending>, Option<Placed>),
    /// Nothing came for a while.
    Idle,
    /// Everything is written and nothing more will come.
    Done,
}

type Outcome = Result<(), LedgerFailure>;

struct Inner {
    queue: Vec<Pending>,
    orders: VecDeque<Order>,
    queued_bytes: usize,
    /// Being written.
    writing_records: usize,
    writing_bytes: usize,
    next: u64,
    /// Records on disk.
    durable: u64,
    last_time_ms: u64,
    waiters: Vec<(Seq, oneshot::Sender<Outcome>)>,
    writer_sleeps: bool,
    is_closed: bool,
    failure: Option<LedgerFailure>,
}

impl Inner {
    fn is_over(&self, factor: usize) -> bool {
        self.queue.len() + self.writing_records > PRESSED_RECORDS * factor
            || self.queued_bytes + self.writing_bytes > PRESSED_BYTES * factor
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.orders.is_empty()
    }

    /// Gives the next sequence and its time.
    fn place(&mut self, now_ms: u64) -> (Seq, u64) {
        let seq = Seq(self.next);
        let time_ms = now_ms.max(self.last_time_ms);
        self.next += 1;
        self.last_time_ms = time_ms;
        (seq, time_ms)
    }

    fn refusal(&self) -> Option<LedgerFailure> {
        match &self.failure {
            Some(failure) => Some(failure.clone()),
            None if self.is_closed => Some(LedgerFailure("it was closed".to_owned())),
            None => None,
        }
    }
}

/// The queue. One writer thread takes from it.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// For the writer: there is something to do.
    work: Condvar,
    /// For those who append: there is room again.
    room: Condvar,
    is_pressed: AtomicBool,
    clock: Clock,
    gather: Duration,
}

impl Queue {
    /// Makes a queue that goes on after `size` records, the last of them at `last_time_ms`.
    pub(crate) fn new(size: u64, last_time_ms: u64, clock: Clock, gather: Duration) -> Self {
        let inner = Inner {
            queue: Vec::new(),
            orders: VecDeque::new(),
            queued_bytes: 0,
            writing_records: 0,
            writing_bytes: 0,
            next: size,
            durable: size,
            last_time_ms,
            waiters: Vec::new(),
            writer_sleeps: false,
            is_closed: false,
            failure: None,
        };
        Self { inner: Mutex::new(inner), work: Condvar::new(), room: Condvar::new(), is_pressed: AtomicBool::new(false), clock, gather }
    }

    /// Gives a record its place and time.
    pub(crate) fn append(&self, draft: Draft) -> Result<Seq, LedgerFailure> {
        let bytes = weigh(&draft);
        let now_ms = (self.clock)();
        let mut inner = self.inner.lock();
        while inner.is_over(FULL_FACTOR) && inner.refusal().is_none() {
            self.room.wait(&mut inner);
        }
        if let Some(refusal) = inner.refusal() {
            return Err(refusal);
        }
        let (seq, time_ms) = inner.place(now_ms);
        inner.queued_bytes += bytes;
        inner.queue.push(Pending { seq, time_ms, draft });
        if inner.is_over(1) {
            self.is_pressed.store(true, Ordering::Relaxed);
        }
        // Waking costs a system call, so it is done once a batch: when the first record comes, and when enough have come.
        let wakes = inner.writer_sleeps || inner.queue.len() == GATHERED_RECORDS;
        drop(inner);
        if wakes {
            self.work.notify_one();
        }
        Ok(seq)
    }

    /// Has the writer do something. Its record is placed after everything that was appended before.
    pub(crate) fn order(&self, order: Order) -> Outcome {
        let mut inner = self.inner.lock();
        if let Some(refusal) = inner.refusal() {
            return Err(refusal);
        }
        inner.orders.push_back(order);
        drop(inner);
        self.work.notify_one();
        Ok(())
    }

    /// Waits until a record is on disk. The writer learns of it at once, not when the future is first polled.
    pub(crate) fn durable(&self, seq: Seq) -> BoxFuture<'static, Outcome> {
        let mut inner = self.inner.lock();
        if seq.0 < inner.durable {
            return Box::pin(std::future::ready(Ok(())));
        }
        if let Some(failure) = &inner.failure {
            return Box::pin(std::future::ready(Err(failure.clone())));
        }
        if seq.0 >= inner.next {
            return Box::pin(std::future::ready(Err(LedgerFailure(format!("record {seq} was never appended")))));
        }
        let (sender, receiver) = oneshot::channel();
        inner.waiters.push((seq, sender));
        drop(inner);
        self.work.notify_one();
        Box::pin(async move { receiver.await.unwrap_or_else(|_| Err(LedgerFailure("the writer thread is gone".to_owned()))) })
    }

    /// Waits until everything that was appended so far is on disk.
    pub(crate) fn all_durable(&self) -> BoxFuture<'static, Outcome> {
        let next = self.inner.lock().next;
        match next.checked_sub(1) {
            Some(last) => self.durable(Seq(last)),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    /// Whether callers should wait before they append more.
    pub(crate) fn is_pressed(&self) -> bool {
        self.is_pressed.load(Ordering::Relaxed)
    }

    /// Waits for something to do. `spare` becomes the next queue, so that its memory is used again.
    pub(crate) fn take(&self, spare: Vec<Pending>) -> Work {
        let mut inner = self.inner.lock();
        while !inner.has_work() {
            if inner.is_closed || inner.failure.is_some() {
                return Work::Done;
            }
            inner.writer_sleeps = true;
            let is_idle = self.work.wait_for(&mut inner, IDLE).timed_out();
            inner.writer_sleeps = false;
            if is_idle && !inner.has_work() {
                return Work::Idle;
            }
        }
        let gathered_by = Instant::now() + self.gather;
        while inner.waiters.is_empty() && inner.orders.is_empty() && inner.queue.len() < GATHERED_RECORDS && !inner.is_closed {
            if self.work.wait_until(&mut inner, gathered_by).timed_out() {
                break;
            }
        }
        inner.writing_records = inner.queue.len();
        inner.writing_bytes = mem::take(&mut inner.queued_bytes);
        let batch = mem::replace(&mut inner.queue, spare);
        let order = inner.orders.pop_front().map(|order| {
            let (seq, time_ms) = inner.place((self.clock)());
            Placed { seq, time_ms, order }
        });
        Work::Batch(batch, order)
    }

    /// Sleeps until something comes. For a writer that has tidied up, so that an idle host does nothing at all.
    pub(crate) fn sleep(&self) {
        let mut inner = self.inner.lock();
        while !inner.has_work() && !inner.is_closed && inner.failure.is_none() {
            inner.writer_sleeps = true;
            self.work.wait(&mut inner);
            inner.writer_sleeps = false;
        }
    }

    /// Says that the first `size` records are on disk.
    pub(crate) fn written(&self, size: u64) {
        let mut inner = self.inner.lock();
        inner.durable = size;
        inner.writing_records = 0;
        inner.writing_bytes = 0;
        self.is_pressed.store(inner.is_over(1), Ordering::Relaxed);
        let (done, waiting) = mem::take(&mut inner.waiters).into_iter().partition(|(seq, _)| seq.0 < size);
        inner.waiters = waiting;
        drop(inner);
        self.room.notify_all();
        for (_, waiter) in done {
            // Who has stopped waiting need not be told.
            let _ = waiter.send(Ok(()));
        }
    }

    /// Ends the ledger for good: who waits and whoever comes gets the reason.
    pub(crate) fn fail(&self, reason: String) {
        let mut inner = self.inner.lock();
        let failure = inner.failure.get_or_insert(LedgerFailure(reason)).clone();
        let waiters = mem::take(&mut inner.waiters);
        // Who waits for an order learns of the failure when it is dropped.
        let dropped = (mem::take(&mut inner.queue), mem::take(&mut inner.orders));
        inner.queued_bytes = 0;
        drop(inner);
        drop(dropped);
        self.work.notify_one();
        self.room.notify_all();
        for (_, waiter) in waiters {
            let _ = waiter.send(Err(failure.clone()));
        }
    }

    /// Lets nothing more in; the writer ends when all is written.
    pub(crate) fn close(&self) {
        self.inner.lock().is_closed = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// Gives the number of records on disk.
    pub(crate) fn on_disk(&self) -> u64 {
        self.inner.lock().durable
    }

    /// Gives the reason of the failure, if there was one.
    pub(crate) fn failure(&self) -> Option<LedgerFailure> {
        self.inner.lock().failure.clone()
    }
}

/// Estimates the bytes that a draft holds in memory. An estimate that has reached the pressed bound is not refined, so the
/// work is bounded whatever the payload.
fn weigh(draft: &Draft) -> usize {
    let mut bytes = size_of::<Pending>();
    for (_, part) in draft.payload.iter().flat_map(|payload| &payload.parts) {
        weigh_part(part, &mut bytes);
    }
    bytes
}

fn weigh_part(part: &Part, bytes: &mut usize) {
    match part {
        Part::Value(value) => weigh_value(value, DEPTH, bytes),
        Part::Start(_) => *bytes += size_of::<TaskStart>(),
        Part::Usage(_) => *bytes += size_of::<Usage>(),
        Part::Grant(grant) => {
            *bytes += size_of::<Grant>();
            for condition in grant.scope().conditions.values().flatten() {
                *bytes += size_of::<Condition>();
                match condition {
                    Condition::Equals(value) => weigh_value(value, DEPTH, bytes),
                    Condition::In(values) => values.iter().for_each(|value| weigh_value(value, DEPTH, bytes)),
                    Condition::Prefix(text) | Condition::Host(text) | Condition::Path(text) => *bytes += text.len(),
                    Condition::Names(names) => *bytes += names.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>(),
                    Condition::Any | Condition::Max(_) | Condition::Min(_) => {}
                }
            }
        }
        Part::Outcome(outcome) => {
            *bytes += size_of::<TaskOutcome>();
            match outcome.as_ref() {
                TaskOutcome::Answered(answer) => {
                    weigh_value(&answer.output, DEPTH, bytes);
                    *bytes += answer.claimed_sources.iter().map(|source| source.len() + size_of::<String>()).sum::<usize>();
                    *bytes += answer.sources.len() * size_of::<Source>();
                }
                TaskOutcome::Failed { message, .. } => *bytes += message.len(),
                // Its texts are the host's, and short.
                TaskOutcome::Ended(_) => {}
            }
        }
    }
}

/// `levels` bounds the recursion; the writer refuses what nests deeper.
fn weigh_value(value: &Value, levels: usize, bytes: &mut usize) {
    *bytes += size_of::<Value>();
    if levels == 0 || *bytes >= PRESSED_BYTES {
        return;
    }
    match value {
        Value::String(text) => *bytes += text.len(),
        Value::Array(items) => {
            for item in items.iter().take(PRESSED_BYTES / size_of::<Value>()) {
                weigh_value(item, levels - 1, bytes);
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter().take(PRESSED_BYTES / size_of::<Value>()) {
                *bytes += key.len() + size_of::<String>();
                weigh_value(item, levels - 1, bytes);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
