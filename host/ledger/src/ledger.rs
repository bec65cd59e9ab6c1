//! The ledger of a running host: takes the executor role and records.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bailiwick_core::Recorder;
use bailiwick_core::connector::BoxFuture;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{Draft, LedgerFailure};
use parking_lot::Mutex;

use crate::anchor::{AnchorState, Anchorer, Anchors, Post};
use crate::encoder::Encoder;
use crate::error::OpenProblem;
use crate::note::VerifierKey;
use crate::opened::Opened;
use crate::queue::{Clock, Queue};
use crate::reader::Reader;
use crate::secrets::SubjectKey;
use crate::signing::Signer;
use crate::state::{ExecutorLock, StatePaths};
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
    /// Name of a new ledger, as its checkpoints say it: best a URL of yours without scheme, `example.com/ledgers/returns`. Default: made
    /// from the first key. A ledger keeps the name that it has.
    pub origin: Option<String>,
    /// Who signs. Default `None`: a key of the host's own, made on first start in the state folder.
    pub signer: Option<Arc<dyn Signer>>,
    /// Where checkpoints are anchored. Default: nowhere, so that the ledger proves nothing against who can write all of it.
    pub anchors: Anchors,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(system_time_ms),
            gather: Duration::from_millis(3),
            max_pages: None,
            origin: None,
            signer: None,
            anchors: Anchors::default(),
        }
    }
}

impl std::fmt::Debug for LedgerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerOptions")
            .field("gather", &self.gather)
            .field("max_pages", &self.max_pages)
            .field("anchors", &self.anchors)
            .finish_non_exhaustive()
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
    pub(crate) queue: Arc<Queue>,
    pub(crate) paths: StatePaths,
    pub(crate) subject_key: SubjectKey,
    /// The key that signs now.
    pub(crate) key: Mutex<VerifierKey>,
    post: Arc<Post>,
    writer: Option<JoinHandle<()>>,
    anchorer: Option<JoinHandle<()>>,
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
        let opened = Opened::open(&paths, &options)?;
        let epoch = opened.epoch;
        lock.announce(epoch).map_err(|problem| OpenProblem::file("write", &paths.lock, problem))?;
        let queue = Arc::new(Queue::new(opened.tree.size(), opened.last_time_ms, options.clock, options.gather));
        let post = Arc::new(Post::default());
        let key = Mutex::new(opened.signer.verifier_key().clone());
        if opened.tree.size() > 0 {
            post.put(opened.checkpoint);
        }
        let writer = Writer {
            connection: opened.connection,
            tree: opened.tree,
            encoder: Encoder::new(opened.subject_key.clone(), opened.book),
            signer: opened.signer,
            paths: paths.clone(),
            post: Arc::clone(&post),
        };
        let anchorer = Anchorer::new(paths.clone(), opened.files, &options.anchors).spawn(Arc::clone(&post))?;
        let mut ledger = Self {
            queue,
            paths,
            subject_key: opened.subject_key,
            key,
            post,
            writer: None,
            anchorer: Some(anchorer),
            state: state.to_owned(),
            epoch,
            _lock: lock,
        };
        let for_writer = Arc::clone(&ledger.queue);
        let thread = std::thread::Builder::new().name("ledger-writer".to_owned());
        ledger.writer = Some(thread.spawn(move || writer.run(for_writer)).map_err(|source| OpenProblem::System { source })?);
        Ok(ledger)
    }

    /// Gives the public key that signs now.
    pub fn verifier_key(&self) -> VerifierKey {
        self.key.lock().clone()
    }

    /// Says how far each place of anchoring has got, as of the last time.
    pub fn anchors(&self) -> Vec<AnchorState> {
        self.post.states()
    }

    /// Anchors what is on disk now, and says how far each place has got. Waits for files and witness.
    pub fn anchor_now(&self) -> Vec<AnchorState> {
        self.post.hurry(self.queue.on_disk())
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
    pub fn close(self) -> Result<(), LedgerFailure> {
        self.close_anchored().map(|_| ())
    }

    /// As [`Ledger::close`], and says how far each place of anchoring has got: its last checkpoint is over everything.
    ///
    /// # Errors
    /// When not everything could be written.
    pub fn close_anchored(mut self) -> Result<Vec<AnchorState>, LedgerFailure> {
        self.end();
        self.queue.failure().map_or_else(|| Ok(self.anchors()), Err)
    }

    fn end(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has become the queue's failure.
            let _ = writer.join();
        }
        // After the writer, whose last checkpoint is still to be anchored.
        self.post.close();
        if let Some(anchorer) = self.anchorer.take() {
            let _ = anchorer.join();
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
