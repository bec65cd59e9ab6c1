//! What the host keeps beside a guest: the state of one store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_core::budget::BudgetUse;
use bailiwick_core::capability::{Label, Operation};
use bailiwick_core::connector::CallOrigin;
use bailiwick_core::grant::Grant;
use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::limits::{LimitKind, Limits};
use bailiwick_core::policy::{PolicyContext, PolicyEngine};
use bailiwick_core::record::{CallOutcome, Draft, Fields, LedgerFailure, Part, Payload, RecordContext, RecordKind, Recorder};
use bailiwick_core::runner::{CallSummary, EndReason, Source, Usage};
use bailiwick_core::text::is_active;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde_json::{Value, json};

use crate::delegate::{Above, Started};
use crate::sandbox::{Shared, Watcher};

/// Calls of a task that its account shows; further ones are only in the ledger.
pub(crate) const CALLS_SHOWN: usize = 1_000;

/// How long the calls of one task may keep a thread before others have their turn.
const TURN: Duration = Duration::from_micros(500);

/// Ends a task from inside a host function or the limiter; it travels through wasmtime as an error and comes out
/// as the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Ended(pub EndReason);

impl Ended {
    pub(crate) fn limit(limit: LimitKind, detail: impl Into<String>) -> wasmtime::Error {
        wasmtime::Error::new(Self(EndReason::Limit { limit, detail: detail.into() }))
    }

    pub(crate) fn because(reason: EndReason) -> wasmtime::Error {
        wasmtime::Error::new(Self(reason))
    }
}

/// A grant in the hands of a task.
#[derive(Debug)]
pub(crate) struct HeldGrant {
    pub grant: Arc<Grant>,
    pub operation: Arc<Operation>,
    pub used: Arc<BudgetUse>,
    /// Calls under it, and under what was made of it for other tasks, that reached the connector.
    pub calls: Arc<AtomicU64>,
    /// Those that it was made from, the nearest first; empty for a grant of a step.
    pub above: Vec<Above>,
}

/// What a task is and where its records go. The same for all its calls.
pub(crate) struct TaskScope {
    /// Sees progress while the task runs.
    pub watcher: Option<Watcher>,
    pub origin: CallOrigin,
    pub records: Arc<RecordContext>,
    pub recorder: Arc<dyn Recorder>,
    pub policy: Arc<dyn PolicyEngine>,
    pub policy_context: Arc<PolicyContext>,
    /// What starts further tasks.
    pub shared: Arc<Shared>,
    /// Labels of what the task has read, its input included: they only ever become more.
    pub labels: BTreeSet<Label>,
    pub seed: [u8; 32],
    /// Milliseconds since 1970 when the task started.
    pub started_ms: u64,
    pub started: Instant,
}

/// A call that has left and has no outcome on record yet.
pub(crate) struct InFlight {
    pub intent: Seq,
    pub operation: Arc<Operation>,
    pub ordinal: u32,
}

/// Everything that one store holds for the host.
pub(crate) struct Host {
    /// `None` while a component describes itself at install: every capability is denied then and nothing is recorded.
    pub scope: Option<TaskScope>,
    pub limits: Limits,
    pub grants: Vec<HeldGrant>,
    /// Next ordinal by slot of the component's imports.
    pub ordinals: Vec<u32>,
    pub in_flight: Option<InFlight>,
    /// Tasks that this one has started; they end with it.
    pub started: Started,
    pub usage: Usage,
    pub calls: Vec<CallSummary>,
    pub sources: Vec<Source>,
    pub log: Vec<String>,
    /// The unfinished lines of standard output and standard error.
    printed: [Vec<u8>; 2],
    pub transcript: Vec<(Arc<str>, Value)>,
    /// Denials that have been recorded, for the bound on what a denied guest can write.
    pub denials: u32,
    /// Calls that were denied, other than for a budget; for the task's report.
    pub denied_calls: u64,
    /// The task's latest record, for waiting until the disk has caught up.
    latest: AtomicU64,
    /// When a call last let other tasks have the thread.
    last_turn: Instant,
    /// Steps of the deterministic monotonic clock.
    pub ticks: u64,
    memory_bytes: u64,
    table_elements: u64,
    log_bytes: u64,
    rng: Option<ChaCha12Rng>,
}

impl Host {
    pub(crate) fn new(scope: Option<TaskScope>, limits: Limits, grants: Vec<HeldGrant>, slots: usize) -> Self {
        Self {
            scope,
            limits,
            grants,
            ordinals: vec![0; slots],
            in_flight: None,
            started: Started::default(),
            usage: Usage::default(),
            calls: Vec::new(),
            sources: Vec::new(),
            log: Vec::new(),
            printed: [Vec::new(), Vec::new()],
            transcript: Vec::new(),
            denials: 0,
            denied_calls: 0,
            latest: AtomicU64::new(0),
            last_turn: Instant::now(),
            ticks: 0,
            memory_bytes: 0,
            table_elements: 0,
            log_bytes: 0,
            rng: None,
        }
    }

    /// Adds the labels of an answer that the guest is about to see; gives those of this answer.
    pub(crate) fn read_labels(&mut self, operation: &Operation, result: &Value) -> Vec<Label> {
        let mut found = BTreeSet::new();
        for (path, labels) in &operation.spec.labels {
            let is_there = path.within("result").is_some_and(|path| !path.select(result).is_empty());
            if is_there {
                found.extend(labels.iter().cloned());
            }
        }
        if let Some(scope) = &mut self.scope {
            scope.labels.extend(found.iter().cloned());
        }
        found.into_iter().collect()
    }

    /// Gives the labels of everything that the task has read so far.
    pub(crate) fn labels(&self) -> BTreeSet<Label> {
        self.scope.as_ref().map(|scope| scope.labels.clone()).unwrap_or_default()
    }

    /// Counts a call; the first act of the gate.
    pub(crate) fn count_call(&mut self) -> wasmtime::Result<()> {
        self.usage.host_calls += 1;
        if self.usage.host_calls > self.limits.host_calls {
            return Err(Ended::limit(LimitKind::HostCalls, format!("more than {} calls", self.limits.host_calls)));
        }
        Ok(())
    }

    /// Counts bytes that a guest wants to leave in the log.
    pub(crate) fn count_log(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.log_bytes = self.log_bytes.saturating_add(bytes as u64);
        if self.log_bytes > self.limits.log.0 {
            return Err(Ended::limit(LimitKind::Log, format!("more than {} of log and output", self.limits.log)));
        }
        Ok(())
    }

    /// Adds what was printed to the log, line by line: a program prints a line in pieces. The bytes have been counted.
    pub(crate) fn print(&mut self, to_stderr: bool, bytes: &[u8]) {
        let [stdout, stderr] = &mut self.printed;
        let (name, unfinished) = if to_stderr { ("stderr", stderr) } else { ("stdout", stdout) };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.log.extend(log_line(name, unfinished));
                unfinished.clear();
            }
        }
    }

    /// Adds the unfinished lines to the log, when the task has ended.
    pub(crate) fn finish_printing(&mut self) {
        for (name, unfinished) in ["stdout", "stderr"].into_iter().zip(&mut self.printed) {
            self.log.extend(log_line(name, unfinished));
            unfinished.clear();
        }
    }

    /// Time left until the task's deadline.
    pub(crate) fn time_left(&self) -> Duration {
        let spent = self.scope.as_ref().map_or(Duration::ZERO, |scope| scope.started.elapsed());
        self.limits.deadline.0.saturating_sub(spent)
    }

    /// Gives the task's deterministic random numbers. Made on first use: most tasks need none.
    pub(crate) fn rng(&mut self) -> &mut ChaCha12Rng {
        let seed = self.scope.as_ref().map_or([0; 32], |scope| scope.seed);
        self.rng.get_or_insert_with(|| ChaCha12Rng::from_seed(seed))
    }

    /// Milliseconds since 1970 when the task started; 0 while a component describes itself.
    pub(crate) fn started_ms(&self) -> u64 {
        self.scope.as_ref().map_or(0, |scope| scope.started_ms)
    }

    /// Makes an opaque reference for the guest: it says nothing, and the ledger's record has it.
    pub(crate) fn reference(&self, what: &str) -> Arc<str> {
        let task = self.scope.as_ref().map_or("", |scope| scope.origin.task.as_str());
        let digest = Digest::of_parts([task.as_bytes(), what.as_bytes(), &self.usage.host_calls.to_be_bytes()]);
        format!("ref-{}", digest.to_short()).into()
    }

    /// Writes a record of this task.
    pub(crate) fn record(
        &self,
        kind: RecordKind,
        fields: Fields,
        payload: Option<Vec<(&'static str, Part)>>,
    ) -> wasmtime::Result<Option<Seq>> {
        let Some(scope) = &self.scope else { return Ok(None) };
        let payload = payload.map(|parts| Payload { subject: scope.origin.subject.clone(), parts });
        let seq = scope
            .recorder
            .append(Draft { kind, context: Arc::clone(&scope.records), fields, payload })
            .map_err(|failure| Ended::because(EndReason::Ledger(failure)))?;
        self.latest.store(seq.0, Ordering::Relaxed);
        Ok(Some(seq))
    }

    /// Writes everything ambient that the task has called as one record, if there is any; what was written is not written again.
    pub(crate) fn record_transcript(&mut self) -> Result<(), LedgerFailure> {
        let lines: Vec<Value> = std::mem::take(&mut self.transcript).into_iter().map(|(name, note)| json!([&*name, note])).collect();
        let Some(scope) = self.scope.as_ref().filter(|_| !lines.is_empty()) else { return Ok(()) };
        let payload = Payload { subject: scope.origin.subject.clone(), parts: vec![("calls", Value::Array(lines).into())] };
        let draft = Draft {
            kind: RecordKind::TaskTranscript,
            context: Arc::clone(&scope.records),
            fields: Fields::default(),
            payload: Some(payload),
        };
        scope.recorder.append(draft).map(|_| ())
    }

    /// Lets other tasks have the thread where calls have kept it for long. A guest pays for its own instructions with
    /// fuel, at whose intervals it yields; what its calls make the host do costs it none, so without this a few instructions
    /// around a costly call starved every neighbour and the task's own deadline.
    pub(crate) async fn take_turns(&mut self) {
        if self.last_turn.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.last_turn = Instant::now();
        }
    }

    /// Waits while the ledger has more records than its disk takes: a guest must not be able to fill memory with them.
    pub(crate) async fn wait_for_ledger(&mut self) -> wasmtime::Result<()> {
        match &self.scope {
            Some(scope) if scope.recorder.is_pressed() => self.wait_for_disk(Seq(self.latest.load(Ordering::Relaxed))).await,
            _ => Ok(()),
        }
    }

    /// Waits until a record is on disk.
    pub(crate) async fn wait_for_disk(&mut self, seq: Seq) -> wasmtime::Result<()> {
        let Some(scope) = &self.scope else { return Ok(()) };
        let waiting = Instant::now();
        let written = scope.recorder.durable(seq).await;
        self.usage.disk_us += micros(waiting.elapsed());
        written.map_err(|failure| Ended::because(EndReason::Ledger(failure)))
    }

    pub(crate) fn summarise(&mut self, summary: CallSummary) {
        if self.calls.len() < CALLS_SHOWN {
            self.calls.push(summary);
        }
    }
}

impl Drop for Host {
    /// A task that ends in the middle, of a call too, leaves an outcome and its transcript on record all the same.
    fn drop(&mut self) {
        if let Some(call) = self.in_flight.take() {
            let fields = Fields {
                operation: Some(Arc::clone(&call.operation.full)),
                ordinal: Some(call.ordinal),
                intent: Some(call.intent),
                outcome: Some(CallOutcome::Indeterminate),
                reason: Some("task-ended".into()),
                ..Fields::default()
            };
            if let Err(error) = self.record(RecordKind::CallOutcome, fields, None) {
                tracing::error!(%error, operation = %call.operation.full, "an outcome could not be recorded");
            }
        }
        if let Err(error) = self.record_transcript() {
            tracing::error!(%error, "the transcript of a task could not be recorded");
        }
    }
}

impl wasmtime::ResourceLimiter for Host {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The memory's own maximum: the guest sees a failed growth, nothing is counted.
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current) as u64);
        if total > self.limits.memory.0 {
            return Err(Ended::limit(LimitKind::Memory, format!("{total} bytes were asked for, {} are allowed", self.limits.memory.0)));
        }
        self.memory_bytes = total;
        self.usage.memory_peak = self.usage.memory_peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_add(desired.saturating_sub(current) as u64);
        if total > self.limits.table_elements {
            let detail = format!("{total} elements were asked for, {} are allowed", self.limits.table_elements);
            return Err(Ended::limit(LimitKind::TableElements, detail));
        }
        self.table_elements = total;
        Ok(true)
    }
}

/// Gives a printed line as a line of the log; `None` for an empty one.
fn log_line(stream: &str, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    (!text.is_empty()).then(|| format!("{stream}: {}", clean(text)))
}

/// Gives whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Gives a text that is safe to show: characters that are [active](is_active) become visible.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if is_active(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::ResourceLimiter as _;

    fn host() -> Host {
        let limits = Limits {
            memory: bailiwick_core::limits::ByteCount(100),
            table_elements: 10,
            host_calls: 2,
            log: bailiwick_core::limits::ByteCount(5),
            ..Limits::default()
        };
        Host::new(None, limits, Vec::new(), 0)
    }

    #[test]
    fn memory_is_summed_over_all_memories() {
        let mut host = host();
        assert!(host.memory_growing(0, 60, None).unwrap());
        assert!(host.memory_growing(0, 40, None).unwrap());
        assert!(!host.memory_growing(40, 60, Some(50)).unwrap());
        assert!(host.memory_growing(40, 41, None).unwrap_err().to_string().contains("memory"));
        assert_eq!(host.usage.memory_peak, 100);
    }

    #[test]
    fn tables_calls_and_log_end_at_their_limits() {
        let mut host = host();
        assert!(host.table_growing(0, 10, None).unwrap());
        assert!(host.table_growing(10, 11, None).is_err());
        assert!(host.count_call().is_ok() && host.count_call().is_ok());
        assert!(host.count_call().is_err());
        assert!(host.count_log(5).is_ok());
        assert!(host.count_log(1).is_err());
    }

    #[test]
    fn pieces_become_lines() {
        let mut host = host();
        host.print(false, b"a");
        host.print(true, b"x\n\ny");
        host.print(false, "b\u{e9}\r\nc".as_bytes());
        host.finish_printing();
        assert_eq!(host.log, ["stderr: x", "stdout: ab\u{e9}", "stdout: c", "stderr: y"]);
    }

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c");
    }
}
