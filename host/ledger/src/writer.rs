//! The writer thread: everything queued becomes leaves, rows and one head in one transaction, and so costs one fsync.

use std::sync::Arc;

use bailiwick_core::ids::Digest;
use bailiwick_core::record::Payload;
use rusqlite::{CachedStatement, Connection, TransactionBehavior, params};

use crate::encode::{self, PayloadProblem, Place};
use crate::queue::{Pending, Queue, Work};
use crate::secrets::{Salts, SubjectKey, commitment};
use crate::tree::{Tree, leaf_hash};

/// Pages in the write-ahead log (of 4 KiB, so 64 MiB) at which a commit also moves them into the database. It is done
/// earlier, and without anybody waiting, when the writer is idle; more often would write the same index pages again.
pub(crate) const CHECKPOINT_PAGES: u32 = 16_384;

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
enum WriteProblem {
    #[error("{0}")]
    Storage(#[from] rusqlite::Error),
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("{0}")]
    Payload(#[from] PayloadProblem),
    #[error("{0} records are more than a database can number")]
    TooMany(u64),
}

/// What the writer thread owns.
pub(crate) struct Writer {
    connection: Connection,
    tree: Tree,
    encoder: Encoder,
}

/// Turns drafts into bytes; its buffers are used again for each record.
struct Encoder {
    salts: Salts,
    subject_key: SubjectKey,
    envelope: Vec<u8>,
    body: Vec<u8>,
}

/// The payload of a record, ready to be stored; its bytes lie in [`Encoder::body`].
struct Sealed {
    subject: Option<Digest>,
    salt: [u8; 32],
    commitment: Digest,
}

impl Encoder {
    fn seal(&mut self, payload: &Payload, record: &Pending) -> Result<Sealed, WriteProblem> {
        self.body.clear();
        encode::payload(&mut self.body, &payload.parts)?;
        let salt = self.salts.next()?;
        let tenant = record.draft.context.tenant.as_ref();
        let subject = payload.subject.as_ref().map(|subject| self.subject_key.file_under(tenant, subject));
        let filed_under = subject.as_ref().map_or([].as_slice(), |subject| subject.as_bytes().as_slice());
        let commitment = commitment(&salt, filed_under, &self.body);
        Ok(Sealed { subject, salt, commitment })
    }
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
    pub(crate) fn new(connection: Connection, tree: Tree, subject_key: SubjectKey) -> Self {
        let encoder =
            Encoder { salts: Salts::default(), subject_key, envelope: Vec::with_capacity(1_024), body: Vec::with_capacity(4_096) };
        Self { connection, tree, encoder }
    }

    /// Writes until the queue is closed and empty, or until something cannot be written.
    pub(crate) fn run(mut self, queue: Arc<Queue>) {
        let watch = Watch(queue);
        let queue = &watch.0;
        let mut spare = Vec::new();
        loop {
            match queue.take(spare) {
                Work::Batch(mut batch) => {
                    if let Err(problem) = self.write(&batch) {
                        queue.fail(problem.to_string());
                        return;
                    }
                    queue.written(self.tree.size());
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

    fn checkpoint(&self, mode: &str) -> rusqlite::Result<()> {
        self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    }

    fn write(&mut self, batch: &[Pending]) -> Result<(), WriteProblem> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut records = transaction.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            let mut payloads = transaction.prepare_cached("INSERT INTO payloads VALUES (?1, ?2, ?3, ?4)")?;
            for record in batch {
                self.tree.push(self.encoder.insert(record, &mut records, &mut payloads)?);
            }
        }
        let size = row_id(self.tree.size())?;
        transaction.prepare_cached("INSERT INTO heads VALUES (?1, ?2)")?.execute(params![size, self.tree.root().as_bytes().as_slice()])?;
        transaction.prepare_cached("UPDATE tree SET size = ?1, edge = ?2")?.execute(params![size, self.tree.edge_bytes()])?;
        transaction.commit()?;
        Ok(())
    }
}

impl Encoder {
    /// Inserts a record and its payload, and gives the hash of its leaf.
    fn insert(
        &mut self,
        record: &Pending,
        records: &mut CachedStatement<'_>,
        payloads: &mut CachedStatement<'_>,
    ) -> Result<Digest, WriteProblem> {
        let (seq, draft) = (row_id(record.seq.0)?, &record.draft);
        let sealed = draft.payload.as_ref().map(|payload| self.seal(payload, record)).transpose()?;
        let commitment = sealed.as_ref().map(|sealed| sealed.commitment);
        self.envelope.clear();
        let place = Place { seq: record.seq, time_ms: record.time_ms, commitment };
        encode::envelope(&mut self.envelope, place, draft.kind, &draft.context, &draft.fields);
        let leaf = leaf_hash(&self.envelope);
        let (run, task) = (draft.context.run.as_ref().map(|run| run.as_str()), draft.context.task.as_ref().map(|task| task.as_str()));
        records.execute(params![seq, encode::kind_name(draft.kind), run, task, leaf.as_bytes().as_slice(), self.envelope])?;
        if let Some(Sealed { subject, salt, .. }) = &sealed {
            payloads.execute(params![seq, subject.as_ref().map(|subject| subject.as_bytes().as_slice()), salt.as_slice(), self.body])?;
        }
        Ok(leaf)
    }
}

fn row_id(number: u64) -> Result<i64, WriteProblem> {
    i64::try_from(number).map_err(|_| WriteProblem::TooMany(number))
}
