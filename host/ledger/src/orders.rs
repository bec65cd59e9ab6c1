//! What only the writer can do, in order with all records: erasing a data subject, and changing the key that signs.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{Draft, Fields, RecordContext, RecordKind};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::encode::kind_name;
use crate::keys::digest_of_erased;
use crate::queue::{Pending, Placed, Queue};
use crate::signing::{HostKey, Signer};
use crate::writer::{WriteProblem, Writer, close_batch, row_id};

/// Name, in an erasure's record, of the digest of the sequences whose payloads it destroyed.
pub(crate) const ERASED_RECORDS: &str = "erased-records";

/// Reason, in the record of an erasure that a hold has refused.
const REFUSED: &str = "erasure-refused-by-hold";

/// What was ordered, and who waits for it.
pub(crate) enum Order {
    Erase(Erase),
    Rotate(Rotate),
}

/// Erases a data subject.
pub(crate) struct Erase {
    /// The name under which it is filed.
    pub(crate) subject: Digest,
    pub(crate) context: Arc<RecordContext>,
    pub(crate) answer: Sender<Erasure>,
}

/// What became of it.
pub(crate) enum Erasure {
    Done { record: Seq, payloads: u64 },
    Held { hold: Seq, record: Seq },
}

/// Has another signer sign.
pub(crate) struct Rotate {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) context: Arc<RecordContext>,
    /// Whether it is the host's own key, which waits to be promoted.
    pub(crate) is_host_key: bool,
    pub(crate) answer: Sender<Seq>,
}

impl Writer {
    /// Does what was ordered. Whoever does not wait any more need not be told.
    pub(crate) fn obey(&mut self, placed: Placed, queue: &Queue) -> Result<(), WriteProblem> {
        let Placed { seq, time_ms, order } = placed;
        match order {
            Order::Erase(erase) => {
                let erasure = self.erase(seq, time_ms, &erase)?;
                queue.written(self.tree.size());
                let _ = erase.answer.send(erasure);
            }
            Order::Rotate(rotate) => {
                self.rotate(seq, time_ms, &rotate)?;
                queue.written(self.tree.size());
                let _ = rotate.answer.send(seq);
            }
        }
        Ok(())
    }

    /// Writes the one record of an order with whatever else belongs to its commit.
    fn write_one(&mut self, record: Pending, with: impl FnOnce(&Transaction<'_>) -> Result<(), WriteProblem>) -> Result<(), WriteProblem> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.encoder.insert_all(&[record], &mut self.tree, &transaction)?;
        with(&transaction)?;
        let head = close_batch(&transaction, &self.tree, self.signer.as_ref())?;
        transaction.commit()?;
        self.post.put(head);
        Ok(())
    }

    fn erase(&mut self, record: Seq, time_ms: u64, erase: &Erase) -> Result<Erasure, WriteProblem> {
        let draft = |kind, fields| Draft { kind, context: Arc::clone(&erase.context), fields, payload: None };
        let hold = hold_on(&self.connection, &erase.subject)?;
        if let Some(hold) = hold {
            let fields = Fields { reason: Some(REFUSED.into()), ..Fields::default() };
            self.write_one(Pending { seq: record, time_ms, draft: draft(RecordKind::SecurityEvent, fields) }, |_| Ok(()))?;
            return Ok(Erasure::Held { hold, record });
        }
        let erased = payloads_of(&self.connection, &erase.subject)?;
        let digests = [(ERASED_RECORDS.to_owned(), digest_of_erased(erased.iter().copied()))].into();
        let draft = draft(RecordKind::SubjectErased, Fields { digests, ..Fields::default() });
        let (at, subject) = (row_id(record.0)?, erase.subject.as_bytes().as_slice());
        self.write_one(Pending { seq: record, time_ms, draft }, |transaction| {
            transaction.execute("INSERT INTO erased SELECT seq, ?2 FROM payloads WHERE subject = ?1", params![subject, at])?;
            transaction.execute("DELETE FROM payloads WHERE subject = ?1", [subject])?;
            // The key goes when this is on disk: the other way round, a crash would leave payloads that nobody erased and nobody can read.
            transaction.execute("INSERT INTO doomed SELECT key FROM subjects WHERE subject = ?1", [subject])?;
            transaction.execute("DELETE FROM subjects WHERE subject = ?1", [subject])?;
            Ok(())
        })?;
        self.encoder.forget(&erase.subject);
        self.encoder.book.destroy_doomed(&self.connection)?;
        // So that the log keeps no page of before, unless somebody is reading it. What it could keep is sealed with the key that is gone.
        let _ = self.checkpoint("TRUNCATE");
        Ok(Erasure::Done { record, payloads: erased.len() as u64 })
    }

    fn rotate(&mut self, record: Seq, time_ms: u64, rotate: &Rotate) -> Result<(), WriteProblem> {
        let vkey = rotate.signer.verifier_key().to_string();
        let fields = Fields { key: Some(vkey.as_str().into()), ..Fields::default() };
        let draft = Draft { kind: RecordKind::KeyRotated, context: Arc::clone(&rotate.context), fields, payload: None };
        let first = row_id(record.0 + 1)?;
        // The head of this very commit is the last that the old key signs: it hands over.
        self.write_one(Pending { seq: record, time_ms, draft }, |transaction| {
            transaction.execute("INSERT INTO signing_keys VALUES (?1, ?2)", params![first, vkey])?;
            Ok(())
        })?;
        if rotate.is_host_key {
            HostKey::promote(&self.paths)?;
        }
        self.signer = Arc::clone(&rotate.signer);
        Ok(())
    }
}

/// Gives the hold on a subject that was not released, as its records say.
fn hold_on(connection: &Connection, subject: &Digest) -> rusqlite::Result<Option<Seq>> {
    let sql = "SELECT records.seq, kind FROM payloads INDEXED BY payloads_subject JOIN records ON records.seq = payloads.seq
        WHERE subject = ?1 AND kind IN ('subject-held', 'subject-released') ORDER BY payloads.seq DESC LIMIT 1";
    let last: Option<(i64, String)> = connection.query_row(sql, [subject.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(last.filter(|(_, kind)| kind == kind_name(RecordKind::SubjectHeld)).map(|(seq, _)| Seq(seq.cast_unsigned())))
}

fn payloads_of(connection: &Connection, subject: &Digest) -> rusqlite::Result<Vec<Seq>> {
    let mut statement = connection.prepare("SELECT seq FROM payloads WHERE subject = ?1 ORDER BY seq")?;
    statement.query_map([subject.as_bytes()], |row| Ok(Seq(row.get::<_, i64>(0)?.cast_unsigned())))?.collect()
}
