//! One task: a fresh store built from grants and limits, the call, and what became of it.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_core::limits::{LimitKind, Limits};
use bailiwick_core::runner::{Answer, EndReason, TaskOutcome};
use serde_json::Value;
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap};

use crate::agent::{AnswerOut, FailureOut, RunResult, TaskIn};
use crate::checks::{Checks, OutOfTime};
use crate::engine::FUEL_YIELD_INTERVAL;
use crate::host::{Ended, Host, clean};
use crate::install::Entry;
use crate::turns::{InTurns, Overdue};

/// Handles of host resources that a guest may hold at the same time.
const HANDLES_MOST: usize = 1_000;
/// Claimed sources that are kept.
const SOURCES_KEPT: usize = 100;

/// Puts the limits on a store. A store without them cannot run: it has no fuel.
pub(crate) fn arm(store: &mut Store<Host>, limits: &Limits) -> wasmtime::Result<()> {
    store.limiter(|host| host);
    store.set_fuel(limits.fuel)?;
    store.set_hostcall_fuel(usize::try_from(limits.host_buffer.0).unwrap_or(usize::MAX));
    store.set_max_component_handles(HANDLES_MOST);
    Ok(())
}

/// Runs an entry in a fresh store, until it answers or a limit ends it. Gives back what the host noted meanwhile.
pub(crate) async fn execute(
    engine: &Engine,
    checks: &Checks,
    entry: &Entry,
    host: Host,
    task: TaskIn,
    started: Instant,
) -> (Host, TaskOutcome) {
    let limits = host.limits;
    let mut store = Store::new(engine, host);
    let time_left = store.data().time_left();
    let result = match arm(&mut store, &limits).and_then(|()| store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))) {
        Ok(()) => {
            let call = std::pin::pin!(call(&mut store, entry, task, started));
            let deadline = Instant::now() + time_left;
            tokio::time::timeout_at(deadline.into(), InTurns::new(call, deadline)).await.unwrap_or(Err(Overdue))
        }
        Err(error) => Ok(Err(error)),
    };
    let fuel_left = store.get_fuel().unwrap_or(0);
    let mut host = store.into_data();
    host.finish_printing();
    host.usage.fuel = limits.fuel.saturating_sub(fuel_left);
    let outcome = match result {
        Err(Overdue) => TaskOutcome::Ended(deadline_over(&limits)),
        Ok(Err(error)) => TaskOutcome::Ended(reason(&error, &limits)),
        Ok(Ok(Ok(answer))) => accept(checks, entry, &mut host, answer).await,
        Ok(Ok(Err(failure))) => failed(failure, &limits),
    };
    (host, outcome)
}

async fn call(store: &mut Store<Host>, entry: &Entry, task: TaskIn, started: Instant) -> wasmtime::Result<Result<AnswerOut, FailureOut>> {
    let instance = entry.pre.instantiate_async(&mut *store).await?;
    let run = instance.get_typed_func::<(TaskIn,), RunResult>(&mut *store, entry.run)?;
    store.data_mut().usage.setup_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(run.call_async(&mut *store, (task,)).await?.0)
}

/// Says that a task has used up its time.
pub(crate) fn deadline_over(limits: &Limits) -> EndReason {
    EndReason::Limit { limit: LimitKind::Deadline, detail: format!("{} are over", limits.deadline) }
}

fn ended(limit: LimitKind, detail: String) -> TaskOutcome {
    TaskOutcome::Ended(EndReason::Limit { limit, detail })
}

/// Bounds and validates an answer before anyone sees it.
async fn accept(checks: &Checks, entry: &Entry, host: &mut Host, answer: AnswerOut) -> TaskOutcome {
    let limits = host.limits;
    let claimed: usize = answer.sources.iter().map(String::len).sum();
    let bytes = (answer.output.len() + claimed) as u64;
    if bytes > limits.output.0 {
        return ended(LimitKind::Output, format!("{bytes} bytes, {} are allowed", limits.output));
    }
    let invalid = |message: String| TaskOutcome::Ended(EndReason::InvalidAnswer(message));
    let Some(confidence) = answer.confidence.to_confidence() else {
        return invalid("its confidence is beyond 1000 per mille".to_owned());
    };
    let output: Arc<Value> = match serde_json::from_str(&answer.output) {
        Ok(output) => Arc::new(output),
        Err(error) => return invalid(format!("it is no JSON: {error}")),
    };
    match checks.check(&entry.output, &output, Instant::now() + host.time_left()).await {
        Ok(Ok(())) => {}
        Ok(Err(message)) => return invalid(message),
        Err(OutOfTime) => return TaskOutcome::Ended(deadline_over(&host.limits)),
    }
    let claimed_sources = answer.sources.iter().take(SOURCES_KEPT).map(|source| clean(source)).collect();
    TaskOutcome::Answered(Answer { output, confidence, claimed_sources, sources: std::mem::take(&mut host.sources), labels: host.labels() })
}

fn failed(failure: FailureOut, limits: &Limits) -> TaskOutcome {
    let (kind, message) = failure.into_parts();
    if message.len() as u64 > limits.output.0 {
        return ended(LimitKind::Output, format!("{} bytes, {} are allowed", message.len(), limits.output));
    }
    TaskOutcome::Failed { kind, message: clean(&message) }
}

/// Tells from an error why a guest ended.
pub(crate) fn reason(error: &wasmtime::Error, limits: &Limits) -> EndReason {
    if let Some(ended) = error.downcast_ref::<Ended>() {
        return ended.0.clone();
    }
    let limit = |limit, detail: String| EndReason::Limit { limit, detail };
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return limit(LimitKind::Fuel, format!("{} units are used up", limits.fuel)),
        Some(Trap::StackOverflow) => return limit(LimitKind::Stack, format!("deeper than {} bytes", crate::engine::STACK_BYTES)),
        Some(Trap::UnreachableCodeReached) => return EndReason::Trap("it panicked or aborted; its log may say why".to_owned()),
        Some(trap) => return EndReason::Trap(trap.to_string()),
        None => {}
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return EndReason::Overloaded(full.to_string());
    }
    let text = format!("{:#}", error.root_cause());
    // wasmtime has no type for this one; a test holds the text.
    if text.contains("fuel allocated for hostcalls") {
        return limit(LimitKind::HostBuffer, format!("a call would copy more than {}", limits.host_buffer));
    }
    EndReason::Trap(clean(&text))
}
