//! Ambient functions: what a guest needs to start (WASI's clocks, random numbers, standard streams, environment) and the
//! task's own functions.
//!
//! None reaches anything outside. They are served deterministically from the task's seed and start time, counted against
//! the limits, and kept in the task's transcript so that a replay can compare. Where the type has a place to say no,
//! the answer is empty; `docs/limits.md` lists each function with what it gives.

use std::sync::Arc;

use bailiwick_core::limits::LimitKind;
use bailiwick_core::record::{CallOutcome, Fields, RecordKind, Verdict};
use bailiwick_core::runner::EndReason;
use bailiwick_core::signature::WitType;
use rand_chacha::rand_core::Rng as _;
use serde_json::{Value, json};
use wasmtime::StoreContextMut;
use wasmtime::component::{ResourceAny, ResourceDynamic, Val};

use crate::gate::Import;
use crate::host::{Ended, Host, clean};

/// Bytes of a progress message that are kept.
const PROGRESS_KEPT: usize = 200;
/// Most bytes of random numbers in one call.
const RANDOM_MOST: u64 = 64 * 1024;
/// What an output stream says it can take at once.
const WRITE_WINDOW: u64 = 4096;
/// Nanoseconds by which the monotonic clock goes on at each look.
const TICK_NS: u64 = 1_000;

/// The interface of the task's own functions.
pub(crate) const TASK_INTERFACE: &str = "bailiwick:task/host@0.1.0";

/// An ambient function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Progress,
    Log,
    Now,
    /// Gives an empty list.
    EmptyList,
    /// Gives nothing of an option.
    Absent,
    Exit,
    Stdin,
    Stdout,
    Stderr,
    /// An input stream that has ended.
    Closed,
    CheckWrite,
    Write,
    WriteZeroes,
    Flush,
    /// Gives a pollable that is ready.
    Pollable,
    Ready,
    Block,
    Poll,
    ErrorText,
    MonotonicNow,
    Resolution,
    WallNow,
    WallResolution,
    RandomBytes,
    RandomNumber,
    RandomPair,
}

/// Finds the ambient function of a WASI 0.2 interface (name without version) or of the task interface.
pub(crate) fn find(interface: &str, function: &str) -> Option<Function> {
    use Function::*;
    Some(match (interface, function) {
        ("bailiwick:task/host", "progress") => Progress,
        ("bailiwick:task/host", "log") => Log,
        ("bailiwick:task/host", "now") => Now,
        ("wasi:cli/environment", "get-environment" | "get-arguments") => EmptyList,
        ("wasi:cli/environment", "initial-cwd") => Absent,
        ("wasi:cli/exit", "exit" | "exit-with-code") => Exit,
        ("wasi:cli/stdin", "get-stdin") => Stdin,
        ("wasi:cli/stdout", "get-stdout") => Stdout,
        ("wasi:cli/stderr", "get-stderr") => Stderr,
        ("wasi:cli/terminal-stdin", "get-terminal-stdin") => Absent,
        ("wasi:cli/terminal-stdout", "get-terminal-stdout") => Absent,
        ("wasi:cli/terminal-stderr", "get-terminal-stderr") => Absent,
        ("wasi:io/error", "[method]error.to-debug-string") => ErrorText,
        ("wasi:io/poll", "poll") => Poll,
        ("wasi:io/poll", "[method]pollable.ready") => Ready,
        ("wasi:io/poll", "[method]pollable.block") => Block,
        ("wasi:io/streams", "[method]input-stream.subscribe" | "[method]output-stream.subscribe") => Pollable,
        ("wasi:io/streams", name) if name.starts_with("[method]input-stream.") => Closed,
        ("wasi:io/streams", "[method]output-stream.splice" | "[method]output-stream.blocking-splice") => Closed,
        ("wasi:io/streams", "[method]output-stream.check-write") => CheckWrite,
        ("wasi:io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => Write,
        ("wasi:io/streams", "[method]output-stream.write-zeroes" | "[method]output-stream.blocking-write-zeroes-and-flush") => WriteZeroes,
        ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => Flush,
        ("wasi:clocks/monotonic-clock", "now") => MonotonicNow,
        ("wasi:clocks/monotonic-clock", "resolution") => Resolution,
        ("wasi:clocks/monotonic-clock", "subscribe-instant" | "subscribe-duration") => Pollable,
        ("wasi:clocks/wall-clock", "now") => WallNow,
        ("wasi:clocks/wall-clock", "resolution") => WallResolution,
        ("wasi:random/random", "get-random-bytes") | ("wasi:random/insecure", "get-insecure-random-bytes") => RandomBytes,
        ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => RandomNumber,
        ("wasi:random/insecure-seed", "insecure-seed") => RandomPair,
        _ => return None,
    })
}

/// Gives the tag of a host resource by its name. Two names never share one.
pub(crate) fn resource_tag(name: &str) -> u32 {
    match name {
        "pollable" => 1,
        "error" => 2,
        "input-stream" => 3,
        "output-stream" => 4,
        "terminal-input" => 5,
        "terminal-output" => 6,
        // Resources of stubs are never made, so nothing can confuse two of them.
        _ => 0,
    }
}

/// Output streams by their rep.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Serves an ambient call and keeps it in the transcript.
pub(crate) fn serve(
    mut store: StoreContextMut<'_, Host>,
    function: Function,
    import: &Import,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let mut note = Value::Null;
    let stream = take_handles(&mut store, params)?;
    let result = answer(&mut store, function, params, stream, &mut note);
    store.data_mut().transcript.push((Arc::clone(&import.name), note));
    match (result?, results.first_mut()) {
        (Some(val), Some(slot)) => *slot = val,
        (None, None) => {}
        _ => return Err(Ended::because(EndReason::Internal(format!("`{}` is served with another type", import.name)))),
    }
    Ok(())
}

fn answer(
    store: &mut StoreContextMut<'_, Host>,
    function: Function,
    params: &[Val],
    stream: Option<u32>,
    note: &mut Value,
) -> wasmtime::Result<Option<Val>> {
    let host = store.data_mut();
    Ok(Some(match function {
        Function::Progress | Function::Log => return task_line(host, function, params, note).map(|()| None),
        Function::Now => Val::U64(host.started_ms()),
        Function::EmptyList => Val::List(Vec::new()),
        Function::Absent => Val::Option(None),
        Function::Exit => return Err(Ended::because(EndReason::Trap("the agent called `exit` instead of answering".to_owned()))),
        Function::Stdin => handle(store, 0, "input-stream")?,
        Function::Stdout => handle(store, STDOUT, "output-stream")?,
        Function::Stderr => handle(store, STDERR, "output-stream")?,
        Function::Closed => Val::Result(Err(Some(Box::new(Val::Variant("closed".to_owned(), None))))),
        Function::CheckWrite => Val::Result(Ok(Some(Box::new(Val::U64(WRITE_WINDOW))))),
        Function::Write => return write(host, params, stream, note).map(Some),
        Function::WriteZeroes => {
            let length = if let Some(Val::U64(length)) = params.get(1) { *length } else { 0 };
            host.count_log(usize::try_from(length).unwrap_or(usize::MAX))?;
            Val::Result(Ok(None))
        }
        Function::Flush => Val::Result(Ok(None)),
        Function::Pollable => handle(store, 0, "pollable")?,
        Function::Ready => Val::Bool(true),
        Function::Block => return Ok(None),
        Function::Poll => {
            // Everything is ready: no ambient function ever waits.
            let count = if let Some(Val::List(items)) = params.first() { items.len() } else { 0 };
            Val::List((0..u32::try_from(count).unwrap_or(u32::MAX)).map(Val::U32).collect())
        }
        Function::ErrorText => Val::String("not available".to_owned()),
        Function::MonotonicNow => {
            host.ticks += 1;
            Val::U64(host.ticks * TICK_NS)
        }
        Function::Resolution => Val::U64(TICK_NS),
        Function::WallNow => date_time(host.started_ms() / 1000, u32::try_from(host.started_ms() % 1000).unwrap_or(0) * 1_000_000),
        Function::WallResolution => date_time(0, 1_000_000),
        Function::RandomBytes => return random_bytes(host, params, note).map(Some),
        Function::RandomNumber => Val::U64(host.rng().next_u64()),
        Function::RandomPair => {
            let (a, b) = (host.rng().next_u64(), host.rng().next_u64());
            Val::Tuple(vec![Val::U64(a), Val::U64(b)])
        }
    }))
}

fn handle(store: &mut StoreContextMut<'_, Host>, rep: u32, name: &str) -> wasmtime::Result<Val> {
    let any: ResourceAny = ResourceDynamic::new_own(rep, resource_tag(name)).try_into_resource_any(store)?;
    Ok(Val::Resource(any))
}

/// Takes the handles that a call was lent and gives the rep of the first.
///
/// Each can be taken once, and one that stays lent makes the guest's call trap when it returns: so all are taken here, before
/// the call is served.
fn take_handles(store: &mut StoreContextMut<'_, Host>, params: &[Val]) -> wasmtime::Result<Option<u32>> {
    let mut first = None;
    for param in params {
        let rep = match param {
            Val::Resource(any) => Some(ResourceDynamic::try_from_resource_any(*any, &mut *store)?.rep()),
            Val::List(items) if matches!(items.first(), Some(Val::Resource(_))) => take_handles(store, items)?,
            _ => None,
        };
        first = first.or(rep);
    }
    Ok(first)
}

fn date_time(seconds: u64, nanoseconds: u32) -> Val {
    Val::Record(vec![("seconds".to_owned(), Val::U64(seconds)), ("nanoseconds".to_owned(), Val::U32(nanoseconds))])
}

fn task_line(host: &mut Host, function: Function, params: &[Val], note: &mut Value) -> wasmtime::Result<()> {
    let (level, message) = match (function, params) {
        (Function::Log, [Val::Enum(level), Val::String(message)]) => (level.as_str(), message.as_str()),
        (_, [Val::String(message)]) => ("progress", message.get(..message.floor_char_boundary(PROGRESS_KEPT)).unwrap_or_default()),
        _ => return Err(Ended::because(EndReason::Internal("a task line of another type".to_owned()))),
    };
    host.count_log(message.len().max(1))?;
    let message = clean(message);
    if let (Function::Progress, Some(scope)) = (function, &host.scope)
        && let Some(watcher) = &scope.watcher
    {
        watcher(&scope.origin.run, &scope.origin.step, &message);
    }
    let line = format!("{level}: {message}");
    *note = json!(line);
    host.log.push(line);
    Ok(())
}

fn write(host: &mut Host, params: &[Val], stream: Option<u32>, note: &mut Value) -> wasmtime::Result<Val> {
    let [Val::Resource(_), Val::List(items)] = params else {
        return Err(Ended::because(EndReason::Internal("a write of another type".to_owned())));
    };
    host.count_log(items.len())?;
    let bytes: Vec<u8> = items.iter().filter_map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None }).collect();
    *note = json!(clean(&String::from_utf8_lossy(&bytes)));
    host.print(stream == Some(STDERR), &bytes);
    Ok(Val::Result(Ok(None)))
}

fn random_bytes(host: &mut Host, params: &[Val], note: &mut Value) -> wasmtime::Result<Val> {
    let length = if let Some(Val::U64(length)) = params.first() { *length } else { 0 };
    if length > RANDOM_MOST {
        return Err(Ended::limit(
            LimitKind::HostBuffer,
            format!("{length} random bytes were asked for, {RANDOM_MOST} are allowed at once"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    host.rng().fill_bytes(&mut bytes);
    *note = json!(length);
    Ok(Val::List(bytes.into_iter().map(Val::U8).collect()))
}

/// Answers a call of a WASI function that is linked as always denied: with its own error where it has one, empty
/// where the type allows, else with the end of the task. The attempt is a security event.
pub(crate) fn deny_stub(
    mut store: StoreContextMut<'_, Host>,
    import: &Import,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    take_handles(&mut store, params)?;
    let host = store.data_mut();
    host.denials = host.denials.saturating_add(1);
    let fields = Fields {
        operation: Some(Arc::clone(&import.name)),
        outcome: Some(CallOutcome::Denied),
        decision: Some(Verdict::Forbid),
        rule: Some("stub".into()),
        reason: Some("stub-called".into()),
        ..Fields::default()
    };
    host.record(RecordKind::SecurityEvent, fields, None)?;
    host.transcript.push((Arc::clone(&import.name), json!("denied")));
    let no_place = || Ended::because(EndReason::DeniedWithoutError(import.name.to_string()));
    match (results.first_mut(), &import.signature.result) {
        (None, None) => Ok(()),
        (Some(slot), Some(ty)) => {
            *slot = refusal(ty).ok_or_else(no_place)?;
            Ok(())
        }
        _ => Err(no_place()),
    }
}

fn refusal(ty: &WitType) -> Option<Val> {
    let is_denial = |case: &String| case == "access-denied" || case == "denied";
    match ty {
        WitType::List(_) | WitType::Bytes => Some(Val::List(Vec::new())),
        WitType::Option(_) => Some(Val::Option(None)),
        WitType::Result { err: None, .. } => Some(Val::Result(Err(None))),
        WitType::Result { err: Some(err), .. } => {
            let error = match &**err {
                WitType::Enum(cases) => Val::Enum(cases.iter().find(|case| is_denial(case))?.clone()),
                WitType::Variant(cases) => {
                    Val::Variant(cases.iter().find(|(case, payload)| payload.is_none() && is_denial(case))?.0.clone(), None)
                }
                _ => return None,
            };
            Some(Val::Result(Err(Some(Box::new(error)))))
        }
        _ => None,
    }
}
