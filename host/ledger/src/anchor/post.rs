//! The thread that anchors.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::anchor::AnchorFile;
use crate::anchor::witness::{self, Witness};
use crate::checkpoint::SignedCheckpoint;
use crate::error::OpenProblem;
use crate::reader::Reader;
use crate::state::{StatePaths, replace_file};

/// Where checkpoints go.
#[derive(Clone)]
pub struct Anchors {
    /// Files outside of the state folder to which checkpoints are appended, each with its signatures. Default none.
    pub files: Vec<PathBuf>,
    /// Who cosigns. Default nobody.
    pub witness: Option<Arc<dyn Witness>>,
    /// How long records may wait to be anchored. Default one second. Each anchoring costs an fsync a file, on a thread of its own.
    pub every: Duration,
}

impl Default for Anchors {
    fn default() -> Self {
        Self { files: Vec::new(), witness: None, every: Duration::from_secs(1) }
    }
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let witness = self.witness.as_ref().map(|witness| witness.key().name().to_owned());
        f.debug_struct("Anchors").field("files", &self.files).field("witness", &witness).field("every", &self.every).finish()
    }
}

/// How far one place of anchoring has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorState {
    /// The file, or the name of the witness.
    pub place: String,
    /// Records under the last checkpoint there.
    pub size: u64,
    /// Why the last attempt failed. It is tried again with the next checkpoint; the ledger goes on.
    pub problem: Option<String>,
}

#[derive(Default)]
struct Inner {
    latest: Option<SignedCheckpoint>,
    states: Vec<AnchorState>,
    /// Records under the last checkpoint that was taken to its places.
    taken: u64,
    is_closed: bool,
    is_hurried: bool,
}

/// Where the writer leaves its newest checkpoint.
#[derive(Default)]
pub(crate) struct Post {
    inner: Mutex<Inner>,
    news: Condvar,
    done: Condvar,
}

impl Post {
    /// Leaves a checkpoint; an older one that was not taken yet is covered by it.
    pub(crate) fn put(&self, checkpoint: SignedCheckpoint) {
        let mut inner = self.inner.lock();
        // One wake-up for what may be many commits: the thread looks again after its pause.
        let is_first = inner.latest.is_none();
        inner.latest = Some(checkpoint);
        drop(inner);
        if is_first {
            self.news.notify_one();
        }
    }

    pub(crate) fn close(&self) {
        self.inner.lock().is_closed = true;
        self.news.notify_one();
    }

    /// Has the newest checkpoint taken to its places now, and waits for that.
    pub(crate) fn hurry(&self, size: u64) -> Vec<AnchorState> {
        let mut inner = self.inner.lock();
        while inner.taken < size && !inner.is_closed {
            inner.is_hurried = true;
            self.news.notify_one();
            self.done.wait(&mut inner);
        }
        inner.states.clone()
    }

    pub(crate) fn states(&self) -> Vec<AnchorState> {
        self.inner.lock().states.clone()
    }

    /// Waits for a checkpoint, and then for the pause to be over. `None` when nothing more will come.
    fn take(&self, not_before: Instant) -> Option<SignedCheckpoint> {
        let mut inner = self.inner.lock();
        loop {
            match (&inner.latest, inner.is_closed) {
                (None, true) => return None,
                (None, false) => self.news.wait(&mut inner),
                (Some(_), _) => {
                    let is_due = inner.is_closed || inner.is_hurried || self.news.wait_until(&mut inner, not_before).timed_out();
                    if is_due {
                        inner.is_hurried = false;
                        return inner.latest.take();
                    }
                }
            }
        }
    }

    fn taken(&self, size: u64, states: Vec<AnchorState>) {
        let mut inner = self.inner.lock();
        inner.taken = size;
        inner.states = states;
        drop(inner);
        self.done.notify_all();
    }
}

/// What the thread owns.
pub(crate) struct Anchorer {
    paths: StatePaths,
    files: Vec<AnchorFile>,
    witness: Option<Arc<dyn Witness>>,
    /// Records that the witness has cosigned, as far as is known.
    cosigned: u64,
    every: Duration,
}

impl Anchorer {
    pub(crate) fn new(paths: StatePaths, files: Vec<AnchorFile>, anchors: &Anchors) -> Self {
        Self { paths, files, witness: anchors.witness.clone(), cosigned: 0, every: anchors.every }
    }

    /// Starts the thread. It ends when the post is closed and empty.
    pub(crate) fn spawn(self, post: Arc<Post>) -> Result<JoinHandle<()>, OpenProblem> {
        let run = move || self.run(&post);
        std::thread::Builder::new().name("ledger-anchor".to_owned()).spawn(run).map_err(|source| OpenProblem::System { source })
    }

    fn run(mut self, post: &Post) {
        let mut not_before = Instant::now();
        while let Some(checkpoint) = post.take(not_before) {
            not_before = Instant::now() + self.every;
            let size = checkpoint.checkpoint().size;
            let states = self.anchor(checkpoint);
            post.taken(size, states);
        }
    }

    fn anchor(&mut self, mut checkpoint: SignedCheckpoint) -> Vec<AnchorState> {
        let size = checkpoint.checkpoint().size;
        let mut states = Vec::new();
        if let Some(witness) = self.witness.clone() {
            let problem = match witness::cosign(witness.as_ref(), &checkpoint, self.cosigned, |old, new| self.proof(old, new)) {
                Ok(cosigned) => {
                    checkpoint = cosigned;
                    self.cosigned = size;
                    None
                }
                Err(problem) => Some(problem.to_string()),
            };
            states.push(AnchorState { place: witness.key().name().to_owned(), size: self.cosigned, problem });
        }
        for file in &mut self.files {
            let problem = file.append(&checkpoint).err().map(|problem| problem.to_string());
            let size = file.last().map_or(0, |last| last.checkpoint().size);
            states.push(AnchorState { place: file.path().display().to_string(), size, problem });
        }
        let kept = replace_file(&self.paths.checkpoint, checkpoint.to_string().as_bytes());
        if let Err(problem) = kept {
            states.push(AnchorState { place: self.paths.checkpoint.display().to_string(), size: 0, problem: Some(problem.to_string()) });
        }
        states
    }

    fn proof(&self, old: u64, new: u64) -> Result<Vec<bailiwick_core::ids::Digest>, String> {
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        let reader = Reader::open(&self.paths.folder).map_err(|problem| problem.to_string())?;
        reader.consistency_proof(old, new).map_err(|problem| problem.to_string())
    }
}
