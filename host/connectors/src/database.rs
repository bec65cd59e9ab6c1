//! An SQLite file with threads of its own: one that writes, a few that only read, each behind a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use bailiwick_core::error::{BudgetKind, CallError, GuestError};
use parking_lot::Mutex;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;

/// Threads that read from one database.
const READERS: usize = 2;

/// Calls that may wait for the threads of one database, for each of reading and writing. One more is `unavailable`.
pub(crate) const QUEUE: usize = 64;

/// Longest wait for a lock that another process holds.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(2);

/// Steps of SQLite's virtual machine between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 1_000;

/// Longest text or blob that a statement may make, in bytes.
const MAX_VALUE_BYTES: i32 = 16 * 1024 * 1024;

/// Whether a connection may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// An SQLite file and the threads that work on it.
///
/// The threads end when the last handle is dropped and what they were doing is done.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    reading: SyncSender<Job>,
    writing: Option<SyncSender<Job>>,
}

type Job = Box<dyn FnOnce(&mut Slot) + Send>;

impl Database {
    /// Starts the threads. The file is opened with the first job.
    pub(crate) fn start(path: &Path, access: Access) -> std::io::Result<Self> {
        let reading = start_threads(path, Access::Read, READERS)?;
        let writing = match access {
            Access::Read => None,
            Access::Write => Some(start_threads(path, Access::Write, 1)?),
        };
        Ok(Self { path: path.to_owned(), reading, writing })
    }

    /// Runs a job on a read-only connection.
    ///
    /// # Errors
    /// Those of the job; `unavailable` when the queue is full or the file cannot be opened; `timeout` when the
    /// deadline was over before the job began.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&mut Connection) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let lost = CallError::unavailable(format!("the thread that read `{}` ended", self.path.display()));
        self.run(&self.reading, Access::Read, deadline, job, lost).await
    }

    /// Runs a job on the writing connection. A job that has begun is finished even if nobody waits for it any more;
    /// one that nobody waits for before it begins is not begun.
    ///
    /// # Errors
    /// Those of the job; `unavailable` when the queue is full, the file cannot be opened or the deadline was over before
    /// the job began: nothing happened then.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce(&mut Connection) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let Some(writing) = &self.writing else {
            return Err(CallError::unavailable(format!("`{}` is open for reading only", self.path.display())));
        };
        let lost = indeterminate(format!("the thread that wrote `{}` ended in the middle of its work", self.path.display()));
        self.run(writing, Access::Write, deadline, job, lost).await
    }

    async fn run<T: Send + 'static>(
        &self,
        queue: &SyncSender<Job>,
        access: Access,
        deadline: Instant,
        job: impl FnOnce(&mut Connection) -> Result<T, CallError> + Send + 'static,
        lost: CallError,
    ) -> Result<T, CallError> {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let boxed: Job = Box::new(move |slot| {
            if answer.is_closed() {
                return;
            }
            let result = slot.run(deadline, job).map_err(|error| at_deadline(error, access, &path));
            // Nobody waits any more: what was done is in the database, and a repeat finds it there by its key.
            let _ = answer.send(result);
        });
        match queue.try_send(boxed) {
            Ok(()) => answered.await.unwrap_or(Err(lost)),
            Err(TrySendError::Full(_)) => Err(CallError::unavailable(format!("{QUEUE} calls wait for `{}` already", self.path.display()))),
            Err(TrySendError::Disconnected(_)) => Err(CallError::unavailable(format!("`{}` has no threads left", self.path.display()))),
        }
    }
}

/// A write that ran out of time was rolled back, so nothing happened; a read simply did not finish.
fn at_deadline(error: CallError, access: Access, path: &Path) -> CallError {
    match (&error.guest, access) {
        (GuestError::Timeout, Access::Write) => {
            CallError::unavailable(format!("the deadline passed before the change of `{}` was committed; nothing changed", path.display()))
        }
        _ => error,
    }
}

/// It is not known whether the effect happened. The gate replaces the reference by one of its own.
pub(crate) fn indeterminate(detail: impl Into<String>) -> CallError {
    CallError::new(GuestError::Indeterminate(String::new()), detail)
}

fn start_threads(path: &Path, access: Access, count: usize) -> std::io::Result<SyncSender<Job>> {
    let (queue, jobs) = sync_channel::<Job>(QUEUE);
    let jobs = Arc::new(Mutex::new(jobs));
    for number in 0..count {
        let (jobs, path) = (jobs.clone(), path.to_owned());
        let name = format!("sqlite-{}{number}", if access == Access::Read { "r" } else { "w" });
        std::thread::Builder::new().name(name).spawn(move || work(&jobs, Slot { path, access, open: None }))?;
    }
    Ok(queue)
}

fn work(jobs: &Mutex<Receiver<Job>>, mut slot: Slot) {
    loop {
        // The guard lives only as long as the wait, so that another thread can take the next job.
        let job = jobs.lock().recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(|| job(&mut slot))).is_err() {
            // A panic is our bug; the connection may be in the middle of a transaction, which closing rolls back.
            slot.open = None;
        }
    }
}

/// One thread's connection, opened when it is first needed.
struct Slot {
    path: PathBuf,
    access: Access,
    open: Option<(Connection, FileId)>,
}

/// Which file a path leads to; it changes when the file is replaced.
type FileId = (u64, u64);

impl Slot {
    fn run<T>(&mut self, deadline: Instant, job: impl FnOnce(&mut Connection) -> Result<T, CallError>) -> Result<T, CallError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(CallError::new(
                GuestError::Timeout,
                format!("the deadline passed while the call waited for `{}`", self.path.display()),
            ));
        }
        let connection = self.connection()?;
        let prepared = connection
            .busy_timeout(left.min(MAX_LOCK_WAIT))
            .and_then(|()| connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || Instant::now() >= deadline)));
        prepared.map_err(|error| failure(&error))?;
        let result = job(connection);
        // Whatever the job left open is undone: the next job starts on a clean connection or on a new one.
        let clean = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        if !clean {
            self.open = None;
        }
        result
    }

    /// Gives the connection; a file that is gone or was replaced is noticed, since SQLite would go on with the old one.
    fn connection(&mut self) -> Result<&mut Connection, CallError> {
        let now = file_id(&self.path)
            .map_err(|error| CallError::unavailable(format!("the database `{}` cannot be reached: {error}", self.path.display())))?;
        let open = match self.open.take() {
            Some((connection, then)) if then == now => (connection, now),
            _ => (open(&self.path, self.access).map_err(|error| failure(&error))?, now),
        };
        Ok(&mut self.open.insert(open).0)
    }
}

#[cfg(unix)]
fn file_id(path: &Path) -> std::io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> std::io::Result<FileId> {
    std::fs::metadata(path).map(|_| (0, 0))
}

/// Opens a database that exists.
///
/// # Errors
/// SQLite's reason.
pub(crate) fn open(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(MAX_LOCK_WAIT)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    match access {
        // The second lock on the same door: the file is opened read-only, and no statement may even try.
        Access::Read => connection.pragma_update(None, "query_only", true)?,
        Access::Write => {
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "FULL")?;
        }
    }
    Ok(connection)
}

/// Makes an empty database where there is none.
///
/// # Errors
/// SQLite's reason.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    drop(Connection::open_with_flags(path, flags)?);
    open(path, Access::Write)
}

/// Says what a failed statement means while nothing is committed yet.
pub(crate) fn failure(error: &rusqlite::Error) -> CallError {
    let detail = format!("the database says: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => CallError::new(GuestError::Timeout, "the statement was stopped at the deadline"),
        Some(ErrorCode::TooBig) => CallError::new(GuestError::Budget(BudgetKind::BytesIn), detail),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed,
        ) => CallError::unavailable(detail),
        _ => CallError::bad_upstream(detail),
    }
}

/// Commits.
///
/// # Errors
/// `unavailable` when it is certain that nothing was committed; `indeterminate` when an input or output error leaves it open, because
/// pages with a valid commit mark may have reached the disk.
pub(crate) fn commit(connection: &mut Connection) -> Result<(), CallError> {
    // From here on only the disk decides: a commit that has begun is not interrupted.
    connection.progress_handler(0, None::<fn() -> bool>).map_err(|error| failure(&error))?;
    connection.execute_batch("COMMIT").map_err(|error| commit_failure(&error))
}

fn commit_failure(error: &rusqlite::Error) -> CallError {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt) | None => {
            indeterminate(format!("it is not known whether the change was committed: {error}"))
        }
        Some(ErrorCode::ConstraintViolation) => CallError::bad_upstream(format!("the database refused to commit: {error}")),
        Some(_) => CallError::unavailable(format!("the change was not committed: {error}")),
    }
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
