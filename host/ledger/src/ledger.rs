//! The ledger of a running host: takes the executor role and records.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bailiwick_core::Recorder;
use bailiwick_core::connector::BoxFuture;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{Draft, LedgerFailure};
use rusqlite::Connection;

use crate::error::OpenProblem;
use crate::queue::{Clock, Queue};
use crate::reader::Reader;
use crate::schema::{self, Found};
use crate::secrets::SubjectKey;
use crate::state::{ExecutorLock, StatePaths, is_blank, private_file};
use crate::tree::Tree;
use crate::writer::Writer;

/// How a ledger is opened.
#[derive(Clone)]
pub struct LedgerOptions {
    /// Where time comes from. Default: the system's clock. When it goes back, records keep the time of the one before.
    pub clock: Clock,
    /// How long records gather before they are written when nobody waits for them. Default 3 ms, so that with the commit
    /// itself a record is on disk within about 5 ms.
    pub gather: Duration,
    /// Most pages (of 4 KiB) of the database. Default `None`: as the disk has room. A full database fails like a full disk.
    pub max_pages: Option<u32>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { clock: Arc::new(system_time_ms), gather: Duration::from_millis(3), max_pages: None }
    }
}

impl std::fmt::Debug for LedgerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerOptions").field("gather", &self.gather).field("max_pages", &self.max_pages).finish_non_exhaustive()
    }
}

fn system_time_ms() -> u64 {
    // A clock before 1970 gives 0; times never go back, so the order stays right.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The append-only record of a host, held open by its one executor.
///
/// Records are appended from any thread and written by one; dropping the ledger writes what is queued and gives the
/// executor role back. After the first failure to write, nothing can be appended any more.
pub struct Ledger {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
    state: PathBuf,
    epoch: u64,
    // Given back after the writer has ended: fields are dropped after `drop` has run.
    _lock: ExecutorLock,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("state", &self.state).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Takes the executor role of a state folder and opens its ledger. A folder that does not exist is made, with an empty
    /// ledger.
    ///
    /// # Errors
    /// When another executor holds the folder, or what lies there is no ledger, is damaged, or was written by a newer
    /// version. Nothing but the lock file was touched then.
    pub fn open(state: &Path, options: LedgerOptions) -> Result<Self, OpenProblem> {
        let paths = StatePaths::new(state);
        paths.create_folder()?;
        let mut lock = ExecutorLock::take(&paths)?;
        let opened = Opened::open(&paths, options.max_pages)?;
        let epoch = opened.epoch;
        lock.announce(epoch).map_err(|problem| OpenProblem::file("write", &paths.lock, problem))?;
        let queue = Arc::new(Queue::new(opened.tree.size(), opened.last_time_ms, options.clock, options.gather));
        let writer = Writer::new(opened.connection, opened.tree, opened.subject_key);
        let for_writer = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer.run(for_writer))
            .map_err(|source| OpenProblem::System { source })?;
        Ok(Self { queue, writer: Some(writer), state: state.to_owned(), epoch, _lock: lock })
    }

    /// Gives the epoch: how many executors this state folder has had, this one included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Opens the same ledger for reading. It sees what is on disk.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn reader(&self) -> Result<Reader, OpenProblem> {
        Reader::open(&self.state)
    }

    /// Waits until everything that was appended so far is on disk: for a host that ends while others still hold its ledger.
    ///
    /// # Errors
    /// When not everything could be written.
    pub fn flush(&self) -> BoxFuture<'static, Result<(), LedgerFailure>> {
        self.queue.all_durable()
    }

    /// Writes what is queued and gives the executor role back.
    ///
    /// # Errors
    /// When not everything could be written.
    pub fn close(mut self) -> Result<(), LedgerFailure> {
        self.end();
        self.queue.failure().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has become the queue's failure.
            let _ = writer.join();
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.end();
    }
}

impl Recorder for Ledger {
    /// Gives a record its place. Costs a short lock; the record is made into bytes on the writer thread. Waits for that
    /// thread only when [`FULL_FACTOR`](crate::FULL_FACTOR) times the pressed bounds are queued.
    fn append(&self, draft: Draft) -> Result<Seq, LedgerFailure> {
        self.queue.append(draft)
    }

    /// Waits until a record is on disk. The writer learns of the wish when this is called, not when the future is polled.
    fn durable(&self, seq: Seq) -> BoxFuture<'_, Result<(), LedgerFailure>> {
        self.queue.durable(seq)
    }

    fn is_pressed(&self) -> bool {
        self.queue.is_pressed()
    }
}

/// A ledger that was checked and taken over.
struct Opened {
    connection: Connection,
    tree: Tree,
    last_time_ms: u64,
    subject_key: SubjectKey,
    epoch: u64,
}

impl Opened {
    fn open(paths: &StatePaths, max_pages: Option<u32>) -> Result<Self, OpenProblem> {
        let path = &paths.ledger;
        let found = if is_blank(path)? { Found::Blank } else { schema::inspect(&schema::open_to_read(paths)?, path)? };
        let key = SubjectKey::read(paths)?;
        let (subject_key, version, tree, last_time_ms, last_epoch) = match found {
            // A key without a ledger is what a crash between the two leaves behind.
            Found::Blank => (key.map_or_else(|| SubjectKey::create(paths), Ok)?, 0, Tree::default(), 0, 0),
            Found::Ledger { version, last_time_ms, tree, key_check, epoch } => {
                let wrong = |reason| OpenProblem::SubjectKey { path: paths.subject_key.clone(), reason };
                let key = key.ok_or_else(|| wrong("is missing"))?;
                if key.check_value() != key_check {
                    return Err(wrong("is not the one that the ledger was written with"));
                }
                (key, version, tree, last_time_ms, epoch)
            }
        };
        if version == 0 {
            private_file()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(|problem| OpenProblem::file("create", path, problem))?;
        }
        let mut connection = schema::open_to_write(paths, max_pages)?;
        let epoch = last_epoch + 1;
        schema::take_over(&mut connection, version, epoch, &subject_key.check_value())
            .map_err(|problem| OpenProblem::storage(path, problem))?;
        paths.sync_folder()?;
        Ok(Self { connection, tree, last_time_ms, subject_key, epoch })
    }
}
