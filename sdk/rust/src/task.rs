//! What every task can always do: report progress, write to its log, ask for the time. No grant is needed; every call is counted,
//! bounded and recorded like any other.
//!
//! A panic's message and whatever is printed to standard output or error reach the task's log too.

use std::time::SystemTime;

/// How important a log line is.
pub use crate::bindings::bailiwick::task::host::Level;

/// Tells the people who watch the run what the task is doing. The host keeps at most 200 bytes and replaces control characters.
pub fn progress(message: impl AsRef<str>) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::bailiwick::task::host::progress(message.as_ref());
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::progress(message.as_ref());
}

/// Writes one line to the task's log. Lines count against the task's log bytes; the host replaces control characters.
pub fn log(level: Level, message: impl AsRef<str>) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::bailiwick::task::host::log(level, message.as_ref());
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::log(level, message.as_ref());
}

/// Writes a line at [`Level::Debug`].
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message);
}

/// Writes a line at [`Level::Info`].
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message);
}

/// Writes a line at [`Level::Warn`].
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message);
}

/// Writes a line at [`Level::Error`].
pub fn error(message: impl AsRef<str>) {
    log(Level::Error, message);
}

/// Gives the time at which the task started, to the millisecond. It is the same for every call within a task, and recorded, so that a
/// task can be replayed exactly. Against fakes it is 1970 unless the test says otherwise.
pub fn now() -> SystemTime {
    #[cfg(target_arch = "wasm32")]
    return SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(crate::bindings::bailiwick::task::host::now());
    #[cfg(not(target_arch = "wasm32"))]
    return crate::fake::now();
}
