//! From drafts to bytes that are ready to be stored: envelopes, leaves, sealed payloads.
//!
//! A large batch is encoded by a thread of its own, a chunk ahead of the one that hands rows to SQLite: the two take about as long, and
//! the writer is what bounds the ledger.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, mpsc};

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{Payload, RecordKind};
use rusqlite::{Connection, Transaction, params};

use crate::encode::{self, Place};
use crate::keys::KeyBook;
use crate::queue::Pending;
use crate::seal::{BEFORE_BODY, PayloadKey};
use crate::secrets::{Salts, SubjectKey, commitment};
use crate::tree::{Tree, leaf_hash};
use crate::writer::{WriteProblem, row_id};

/// Records of a chunk.
const CHUNK: usize = 256;

/// From so many records on, encoding has a thread of its own. Starting one costs about as much as encoding ten records.
const LARGE: usize = 2 * CHUNK;

/// Subjects whose names are held ready; the keyed hash costs as much as the rest of an envelope.
const NAMES: usize = 4_096;

/// Whose a payload is, and with what it is sealed.
struct Assigned {
    /// The name under which it is filed; `None` for nobody's.
    subject: Option<Digest>,
    number: i64,
    key: Arc<PayloadKey>,
}

/// A record as it is stored; ranges are of its chunk's bytes.
struct Row {
    seq: Seq,
    leaf: Digest,
    envelope: Range<usize>,
    sealed: Option<Range<usize>>,
}

/// Records encoded together.
struct Chunk {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// Turns drafts into bytes, and stores them.
pub(crate) struct Encoder {
    salts: Salts,
    subject_key: SubjectKey,
    pub(crate) book: KeyBook,
    names: HashMap<String, Digest>,
    /// For looking a name up without a copy.
    scratch: String,
}

impl Encoder {
    pub(crate) fn new(subject_key: SubjectKey, book: KeyBook) -> Self {
        Self { salts: Salts::default(), subject_key, book, names: HashMap::new(), scratch: String::new() }
    }

    /// Inserts records and their payloads, and appends their leaves.
    pub(crate) fn insert_all(&mut self, batch: &[Pending], tree: &mut Tree, transaction: &Transaction<'_>) -> Result<(), WriteProblem> {
        let assigned = batch.iter().map(|record| self.assign(record, transaction)).collect::<Result<Vec<_>, _>>()?;
        let salts = &mut self.salts;
        let mut chunks = batch.chunks(CHUNK).zip(assigned.chunks(CHUNK));
        if batch.len() < LARGE {
            return chunks
                .try_for_each(|(records, assigned)| insert(&encode(records, assigned, salts)?, records, assigned, tree, transaction));
        }
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(2);
            let for_thread = chunks.clone();
            scope.spawn(move || {
                for (records, assigned) in for_thread {
                    let chunk = encode(records, assigned, salts);
                    // Who does not take any more has failed.
                    if sender.send(chunk).is_err() {
                        return;
                    }
                }
            });
            for chunk in receiver {
                if let Some((records, assigned)) = chunks.next() {
                    insert(&chunk?, records, assigned, tree, transaction)?;
                }
            }
            Ok(())
        })
    }

    /// Finds out whose a record's payload is. A new subject is given a key within the transaction.
    fn assign(&mut self, record: &Pending, within: &Connection) -> Result<Option<Assigned>, WriteProblem> {
        let Some(payload) = &record.draft.payload else { return Ok(None) };
        let subject = self.name_of(payload, record);
        let (number, key) = self.book.key_for(within, subject.as_ref())?;
        Ok(Some(Assigned { subject, number: row_id(number)?, key }))
    }

    fn name_of(&mut self, payload: &Payload, record: &Pending) -> Option<Digest> {
        let subject = payload.subject.as_ref()?;
        let tenant = record.draft.context.tenant.as_ref();
        self.scratch.clear();
        // The length keeps tenant and subject apart, whatever they are.
        let of_tenant = tenant.map_or("", |tenant| tenant.as_str());
        self.scratch.push_str(&of_tenant.len().to_string());
        self.scratch.extend([" ", of_tenant, subject.as_str()]);
        if let Some(name) = self.names.get(&self.scratch) {
            return Some(*name);
        }
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        let name = self.subject_key.file_under(tenant, subject);
        self.names.insert(self.scratch.clone(), name);
        Some(name)
    }

    /// Forgets a subject, in plain and its key.
    pub(crate) fn forget(&mut self, subject: &Digest) {
        self.names.retain(|_, name| name != subject);
        self.scratch = String::new();
        self.book.forget(subject);
    }
}

fn encode(records: &[Pending], assigned: &[Option<Assigned>], salts: &mut Salts) -> Result<Chunk, WriteProblem> {
    // About what an envelope and a short payload have.
    let mut chunk = Chunk { bytes: Vec::with_capacity(records.len() * 1_024), rows: Vec::with_capacity(records.len()) };
    let mut body = Vec::new();
    for (record, assigned) in records.iter().zip(assigned) {
        let draft = &record.draft;
        let sealed = match (&draft.payload, assigned) {
            (Some(payload), Some(assigned)) => Some(seal(&mut body, payload, record.seq, assigned, salts)?),
            _ => None,
        };
        let start = chunk.bytes.len();
        let place = Place { seq: record.seq, time_ms: record.time_ms, commitment: sealed };
        encode::envelope(&mut chunk.bytes, place, draft.kind, &draft.context, &draft.fields);
        let envelope = start..chunk.bytes.len();
        let leaf = leaf_hash(chunk.bytes.get(envelope.clone()).unwrap_or_default());
        let sealed = sealed.map(|_| {
            let start = chunk.bytes.len();
            chunk.bytes.extend_from_slice(&body);
            start..chunk.bytes.len()
        });
        chunk.rows.push(Row { seq: record.seq, leaf, envelope, sealed });
    }
    Ok(chunk)
}

/// Seals a payload into `body`, and gives the commitment to it.
fn seal(body: &mut Vec<u8>, payload: &Payload, seq: Seq, assigned: &Assigned, salts: &mut Salts) -> Result<Digest, WriteProblem> {
    let (salt, nonce) = salts.next()?;
    body.clear();
    body.extend_from_slice(&nonce);
    body.extend_from_slice(&salt);
    encode::payload(body, &payload.parts)?;
    let filed_under = assigned.subject.as_ref().map_or([].as_slice(), |subject| subject.as_bytes().as_slice());
    let commitment = commitment(&salt, filed_under, body.get(BEFORE_BODY..).unwrap_or_default());
    assigned.key.seal(body, seq, filed_under).ok_or(WriteProblem::Seal)?;
    Ok(commitment)
}

/// Hands a chunk to the database, and appends its leaves.
fn insert(
    chunk: &Chunk,
    records: &[Pending],
    assigned: &[Option<Assigned>],
    tree: &mut Tree,
    transaction: &Transaction<'_>,
) -> Result<(), WriteProblem> {
    let mut into_records = transaction.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut into_payloads = transaction.prepare_cached("INSERT INTO payloads VALUES (?1, ?2, ?3, ?4)")?;
    let bytes = |range: &Range<usize>| chunk.bytes.get(range.clone()).unwrap_or_default();
    for ((row, record), assigned) in chunk.rows.iter().zip(records).zip(assigned) {
        let (seq, context) = (row_id(row.seq.0)?, &record.draft.context);
        let (run, task) = (context.run.as_ref().map(|run| run.as_str()), context.task.as_ref().map(|task| task.as_str()));
        let kind: RecordKind = record.draft.kind;
        into_records.execute(params![seq, encode::kind_name(kind), run, task, row.leaf.as_bytes().as_slice(), bytes(&row.envelope)])?;
        if let (Some(sealed), Some(assigned)) = (&row.sealed, assigned) {
            let subject = assigned.subject.as_ref().map(|subject| subject.as_bytes().as_slice());
            into_payloads.execute(params![seq, subject, assigned.number, bytes(sealed)])?;
        }
        tree.push(row.leaf);
    }
    Ok(())
}
