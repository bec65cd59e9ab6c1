//! The writer thread: everything queued becomes leaves, rows and one signed head in one transaction, and so costs one fsync.

use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::anchor::Post;
use crate::checkpoint::SignedCheckpoint;
use crate::encode::PayloadProblem;
use crate::encoder::Encoder;
use crate::error::OpenProblem;
use crate::keys::KeyProblem;
use crate::queue::{Pending, Queue, Work};
use crate::signing::{self, SignProblem, Signer};
use crate::state::StatePaths;
use crate::tree::Tree;

/// Pages in the write-ahead log (of 4 KiB, so 64 MiB) at which a commit also moves them into the database. It is done
/// earlier, and without anybody waiting, when the writer is idle; more often would write the same index pages again.
pub(crate) const CHECKPOINT_PAGES: u32 = 16_384;

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteProblem {
    #[error("{0}")]
    Storage(#[from] rusqlite::Error),
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("{0}")]
    Payload(#[from] PayloadProblem),
    #[error("{0}")]
    Sign(#[from] SignProblem),
    #[error("{0}")]
    Keys(#[from] KeyProblem),
    #[error("{0}")]
    File(#[from] OpenProblem),
    #[error("a payload is too long to be sealed")]
    Seal,
    #[error("{0} records are more than a database can number")]
    TooMany(u64),
}

/// What the writer thread owns.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) tree: Tree,
    pub(crate) encoder: Encoder,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) paths: StatePaths,
    /// Where checkpoints go to be anchored.
    pub(crate) post: Arc<Post>,
}

/// Tells those who wait when the thread ends otherwise than by its own choice, that is, by a panic.
struct Watch(Arc<Queue>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the writer thread panicked".to_owned());
        }
    }
}

impl Writer {
    /// Writes until the queue is closed and empty, or until something cannot be written.
    pub(crate) fn run(mut self, queue: Arc<Queue>) {
        let watch = Watch(queue);
        let queue = &watch.0;
        let mut spare = Vec::new();
        loop {
            match queue.take(spare) {
                Work::Batch(mut batch, order) => {
                    let written = if batch.is_empty() { Ok(()) } else { self.write(&batch) };
                    if written.is_ok() {
                        queue.written(self.tree.size());
                    }
                    let done = written.and_then(|()| order.map_or(Ok(()), |order| self.obey(order, queue)));
                    if let Err(problem) = done {
                        queue.fail(problem.to_string());
                        return;
                    }
                    batch.clear();
                    spare = batch;
                }
                Work::Idle => {
                    // Housekeeping: everything is on disk already, and a failure shows at the next commit.
                    let _ = self.checkpoint("PASSIVE");
                    spare = Vec::new();
                    queue.sleep();
                }
                Work::Done => {
                    let _ = self.checkpoint("TRUNCATE");
                    return;
                }
            }
        }
    }

    pub(crate) fn checkpoint(&self, mode: &str) -> rusqlite::Result<()> {
        self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    }

    fn write(&mut self, batch: &[Pending]) -> Result<(), WriteProblem> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.encoder.insert_all(batch, &mut self.tree, &transaction)?;
        let head = close_batch(&transaction, &self.tree, self.signer.as_ref())?;
        transaction.commit()?;
        self.post.put(head);
        Ok(())
    }
}

/// Stores the signed head of a batch, and the tree.
pub(crate) fn close_batch(transaction: &Transaction<'_>, tree: &Tree, signer: &dyn Signer) -> Result<SignedCheckpoint, WriteProblem> {
    let size = row_id(tree.size())?;
    let root = tree.root();
    // About 20 microseconds, beside an fsync of hundreds: no reason to sign less often than what is on disk moves on.
    let (head, signature) = signing::sign(signer, tree.size(), root)?;
    let mut heads = transaction.prepare_cached("INSERT INTO heads VALUES (?1, ?2, ?3)")?;
    heads.execute(params![size, root.as_bytes().as_slice(), signature.as_slice()])?;
    transaction.prepare_cached("UPDATE tree SET size = ?1, edge = ?2")?.execute(params![size, tree.edge_bytes()])?;
    Ok(head)
}

pub(crate) fn row_id(number: u64) -> Result<i64, WriteProblem> {
    i64::try_from(number).map_err(|_| WriteProblem::TooMany(number))
}
