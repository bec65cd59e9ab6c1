//! Reading the ledger: in order, by run, by task, by kind, by subject; and what proves that it is the one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

use bailiwick_core::ids::{Digest, RunId, Seq, SubjectId, TaskId, TenantId, WorkflowName};
use bailiwick_core::record::{Envelope, RecordKind};
use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use crate::check;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::encode::kind_name;
use crate::error::{OpenProblem, ReadProblem};
use crate::flat;
use crate::note::{NoteSignature, VerifierKey};
use crate::proof::{self, Subtrees};
use crate::schema::{self, Facts, Found, VERSION};
use crate::secrets::{SALT_BYTES, SubjectKey, commitment};
use crate::state::{StatePaths, is_blank};
use crate::tree::{Tree, leaf_hash};
use crate::unseal::{Unsealed, Unsealer};

/// Most records, or runs, that one page holds.
pub const PAGE: usize = 512;

/// Which records are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Filter<'a> {
    /// All.
    All,
    /// Those of a run.
    Run(&'a RunId),
    /// The events of a run.
    Events(&'a RunId),
    /// Those of a task.
    Task(&'a TaskId),
    /// Those of a kind.
    Kind(RecordKind),
    /// Those whose payload is about a data subject of a tenant. Needs the state folder's subject key.
    Subject(Option<&'a TenantId>, &'a SubjectId),
}

/// Size and root of the Merkle tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of records.
    pub size: u64,
    /// Root over their leaves, RFC 6962 with SHA-256.
    pub root: Digest,
}

/// Where a run began or has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMark {
    /// The record.
    pub seq: Seq,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// Name of the event.
    pub event: Option<String>,
}

/// A run, told by its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The workflow.
    pub workflow: Option<WorkflowName>,
    /// The tenant.
    pub tenant: Option<TenantId>,
    /// Its first event.
    pub first: RunMark,
    /// Its last event so far.
    pub last: RunMark,
}

/// What has become of a record's payload.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadState {
    /// The record never had one.
    None,
    /// It is there, and is what the record commits to.
    Here(Value),
    /// It was erased with its data subject; the erasure is this record.
    Erased(Seq),
    /// It is gone, and no erasure is on record.
    Missing,
    /// It is there and sealed; its key is not at hand.
    Sealed,
}

/// Reads a ledger, whether an executor is running or not. Changes nothing; any number may be open.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    paths: StatePaths,
    unsealer: RefCell<Unsealer>,
}

impl Reader {
    /// Opens the ledger of a state folder.
    ///
    /// # Errors
    /// When there is none, or what lies there is no ledger, is damaged, or has another storage version.
    pub fn open(state: &Path) -> Result<Self, OpenProblem> {
        let (reader, damage) = Self::open_even_damaged(state)?;
        damage.map_or(Ok(reader), Err)
    }

    /// Opens a ledger to be verified: last records, head and tree that contradict each other are for the verifier to name.
    pub(crate) fn open_to_verify(state: &Path) -> Result<Self, OpenProblem> {
        Self::open_even_damaged(state).map(|(reader, _)| reader)
    }

    fn open_even_damaged(state: &Path) -> Result<(Self, Option<OpenProblem>), OpenProblem> {
        let paths = StatePaths::new(state);
        let absent = || OpenProblem::Absent { state: state.to_owned() };
        if is_blank(&paths.ledger)? {
            return Err(absent());
        }
        let connection = schema::open_to_read(&paths)?;
        let damage = match schema::inspect(&connection, &paths.ledger) {
            Ok(Found::Blank) => return Err(absent()),
            Ok(Found::Ledger(Facts { version, .. })) if version < VERSION => {
                return Err(OpenProblem::Older { path: paths.ledger, found: version, known: VERSION });
            }
            Ok(Found::Ledger(_)) => None,
            Err(damage @ OpenProblem::Damaged { .. }) => Some(damage),
            Err(problem) => return Err(problem),
        };
        let unsealer = RefCell::new(Unsealer::to_read(&paths, &connection));
        Ok((Self { connection, paths, unsealer }, damage))
    }

    pub(crate) fn paths(&self) -> &StatePaths {
        &self.paths
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Gives size and root of the tree on disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn head(&self) -> Result<Head, ReadProblem> {
        let tree = schema::stored_tree(&self.connection)?;
        let tree = tree.ok_or_else(|| ReadProblem::Head("the edge of the tree does not fit its size".to_owned()))?;
        Ok(Head { size: tree.size(), root: tree.root() })
    }

    /// Gives one record; `None` when there are not so many.
    ///
    /// # Errors
    /// When it cannot be read or is not what was written.
    pub fn envelope(&self, seq: Seq) -> Result<Option<Envelope>, ReadProblem> {
        let found = self.page(Filter::All, seq, 1)?.pop();
        Ok(found.filter(|envelope| envelope.seq == seq))
    }

    /// Gives at most `limit` (and [`PAGE`]) of the wanted records in order, from a sequence on.
    ///
    /// # Errors
    /// When one cannot be read or is not what was written.
    pub fn page(&self, filter: Filter<'_>, from: Seq, limit: usize) -> Result<Vec<Envelope>, ReadProblem> {
        let Ok(from) = i64::try_from(from.0) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit.min(PAGE)).unwrap_or(0);
        let wanted = self.key_of(filter)?;
        let mut statement = self.connection.prepare_cached(select(filter))?;
        let mut rows = match wanted {
            None => statement.query(params![from, limit])?,
            Some(wanted) => statement.query(params![from, limit, wanted])?,
        };
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            page.push(decode(row)?);
        }
        Ok(page)
    }

    /// Gives what the index of a filter is searched for.
    pub(crate) fn key_of(&self, filter: Filter<'_>) -> Result<Option<SqlValue>, ReadProblem> {
        Ok(match filter {
            Filter::All => None,
            Filter::Run(run) | Filter::Events(run) => Some(run.as_str().to_owned().into()),
            Filter::Task(task) => Some(task.as_str().to_owned().into()),
            Filter::Kind(kind) => Some(kind_name(kind).to_owned().into()),
            Filter::Subject(tenant, subject) => {
                let wrong = |reason| OpenProblem::SubjectKey { path: self.paths.subject_key.clone(), reason };
                let key = SubjectKey::read(&self.paths)?.ok_or_else(|| wrong("is missing"))?;
                let check: Vec<u8> = self.connection.query_row("SELECT key_check FROM host", [], |row| row.get(0))?;
                if check != key.check_value().as_bytes() {
                    return Err(wrong("is not the one that the ledger was written with").into());
                }
                Some(key.file_under(tenant, subject).as_bytes().to_vec().into())
            }
        })
    }

    /// Gives all the wanted records in order, from a sequence on, a page at a time: records written meanwhile are seen too.
    pub fn records<'a>(&'a self, filter: Filter<'a>, from: Seq) -> Records<'a> {
        Records { reader: self, filter, next: Some(from), page: VecDeque::new() }
    }

    /// Gives the payload of a record as one JSON object; `None` when it has none, or when it was erased or is missing.
    ///
    /// # Errors
    /// When it cannot be read or is not what the record commits to, or when the payload keys are not there.
    pub fn payload(&self, envelope: &Envelope) -> Result<Option<Value>, ReadProblem> {
        match self.payload_state(envelope)? {
            PayloadState::Here(value) => Ok(Some(value)),
            PayloadState::None | PayloadState::Erased(_) | PayloadState::Missing => Ok(None),
            PayloadState::Sealed => Err(ReadProblem::PayloadKeys { path: self.paths.payload_keys.clone() }),
        }
    }

    /// Gives the payload of a record, or why there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not what the record commits to.
    pub fn payload_state(&self, envelope: &Envelope) -> Result<PayloadState, ReadProblem> {
        self.with_payload(envelope.seq, envelope.commitment, |_, _, body| {
            check::read(body).map_err(|reason| format!("its payload is {reason}"))
        })
        .map(|found| match found {
            Payload::Here(value) => PayloadState::Here(value),
            Payload::Not(state) => state,
        })
    }

    /// Hands salt, name and body of a payload to a function, after having compared them with the commitment.
    pub(crate) fn with_payload<T>(
        &self,
        at: Seq,
        committed: Option<Digest>,
        take: impl FnOnce(&[u8; SALT_BYTES], &[u8], &[u8]) -> Result<T, String>,
    ) -> Result<Payload<T>, ReadProblem> {
        let Some(committed) = committed else { return Ok(Payload::Not(PayloadState::None)) };
        let bad = |reason: String| ReadProblem::Record { seq: at, reason };
        let seq = at.0.cast_signed();
        let mut statement = self.connection.prepare_cached("SELECT subject, key, body FROM payloads WHERE seq = ?1")?;
        let mut rows = statement.query([seq])?;
        let Some(row) = rows.next()? else {
            let mut erased = self.connection.prepare_cached("SELECT record FROM erased WHERE seq = ?1")?;
            let record = erased.query_row([seq], |row| row.get::<_, i64>(0)).optional()?;
            return Ok(Payload::Not(record.map_or(PayloadState::Missing, |record| PayloadState::Erased(Seq(record.cast_unsigned())))));
        };
        let ValueRef::Blob(sealed) = row.get_ref(2)? else { return Err(bad("its payload has another type".to_owned())) };
        let subject = row.get_ref(0)?.as_blob_or_null().ok().flatten().unwrap_or_default();
        let mut unsealer = self.unsealer.borrow_mut();
        match unsealer.open(at, subject, row.get::<_, i64>(1)?.cast_unsigned(), sealed) {
            Unsealed::Open(salt, body) if commitment(salt, subject, body) == committed => {
                take(salt, subject, body).map(Payload::Here).map_err(bad)
            }
            Unsealed::Open(..) => Err(bad("its payload is not the one that it commits to".to_owned())),
            Unsealed::Bad => Err(bad("its payload is not what was sealed for it, or its key was destroyed".to_owned())),
            Unsealed::NoKeys => Ok(Payload::Not(PayloadState::Sealed)),
        }
    }

    /// Gives the keys that sign the ledger, in order, each with the first record that is under its checkpoints alone.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn signing_keys(&self) -> Result<Vec<(Seq, VerifierKey)>, ReadProblem> {
        let keys = schema::stored_keys(&self.connection)?;
        keys.map(|keys| keys.signing).ok_or_else(|| ReadProblem::Head("the keys that it names cannot be read".to_owned()))
    }

    /// Gives the newest signed checkpoint; `None` while there is no record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, ReadProblem> {
        self.signed_head(
            "SELECT size, root, signature FROM heads WHERE signature IS NOT NULL AND size <= ?1 ORDER BY size DESC LIMIT 1",
            i64::MAX,
        )
    }

    /// Gives the signed checkpoint over exactly so many records; `None` when none was made.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint_at(&self, size: u64) -> Result<Option<SignedCheckpoint>, ReadProblem> {
        self.signed_head("SELECT size, root, signature FROM heads WHERE signature IS NOT NULL AND size = ?1", size.cast_signed())
    }

    fn signed_head(&self, sql: &str, size: i64) -> Result<Option<SignedCheckpoint>, ReadProblem> {
        let found: Option<(i64, [u8; 32], [u8; 64])> =
            self.connection.prepare_cached(sql)?.query_row([size], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        let Some((size, root, signature)) = found else { return Ok(None) };
        let size = size.cast_unsigned();
        let keys = self.signing_keys()?;
        let key = keys.iter().rev().find(|(first, _)| first.0 < size).or(keys.first()).map(|(_, key)| key);
        let key = key.ok_or_else(|| ReadProblem::Head("it names no key".to_owned()))?;
        let checkpoint = Checkpoint { origin: key.name().to_owned(), size, root: Digest::from_bytes(root) };
        Ok(Some(SignedCheckpoint::new(checkpoint, NoteSignature::new(key, &signature))))
    }

    /// Makes the proof that a record lies in the tree over the first `size` records, from the stored leaves. Costs by the size.
    ///
    /// # Errors
    /// When the record does not lie below the size, there are not so many records, or leaves cannot be read.
    pub fn inclusion_proof(&self, seq: Seq, size: u64) -> Result<Vec<Digest>, ReadProblem> {
        if seq.0 >= size {
            return Err(ReadProblem::Head(format!("record {seq} does not lie below {size}")));
        }
        proof::inclusion(self, seq.0, size)
    }

    /// Makes the proof that the tree over the first `old` records is the beginning of that over the first `new`, from the stored leaves.
    /// Costs by the size.
    ///
    /// # Errors
    /// When there are not so many records, or leaves cannot be read.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Digest>, ReadProblem> {
        proof::consistency(self, old, new)
    }

    /// Gives the events of a run in order, each with its payload: what the run's state is folded from.
    pub fn events_of<'a>(&'a self, run: &'a RunId) -> impl Iterator<Item = Result<(Envelope, Option<Value>), ReadProblem>> + 'a {
        self.records(Filter::Events(run), Seq(0)).map(|envelope| {
            let envelope = envelope?;
            let payload = self.payload(&envelope)?;
            Ok((envelope, payload))
        })
    }

    /// Gives at most `limit` (and [`PAGE`]) runs, by descending id, so the newest first; those below `before`, where that is
    /// given. The id of the last one asks for the next page.
    ///
    /// # Errors
    /// When a record cannot be read or is not what was written.
    pub fn runs(&self, before: Option<&RunId>, limit: usize) -> Result<Vec<RunSummary>, ReadProblem> {
        let mut runs: Vec<RunSummary> = Vec::new();
        while runs.len() < limit.min(PAGE) {
            let below = runs.last().map(|last| &last.run).or(before);
            let Some(run) = self.run_below(below)? else { break };
            let first = self.event_at(FIRST_EVENT, &run)?;
            let last = self.event_at(LAST_EVENT, &run)?;
            runs.push(RunSummary {
                workflow: first.context.workflow.clone(),
                tenant: first.context.tenant.clone(),
                first: mark(first),
                last: mark(last),
                run,
            });
        }
        Ok(runs)
    }

    /// Seeks in the index from run to run, so that listing costs by the number of runs and not of records.
    fn run_below(&self, below: Option<&RunId>) -> Result<Option<RunId>, ReadProblem> {
        let found: Option<String> = match below {
            None => self.connection.prepare_cached(LAST_RUN)?.query_row([], |row| row.get(0)).optional()?,
            Some(below) => self.connection.prepare_cached(RUN_BELOW)?.query_row([below.as_str()], |row| row.get(0)).optional()?,
        };
        Ok(found.map(RunId::from))
    }

    fn event_at(&self, sql: &str, run: &RunId) -> Result<Envelope, ReadProblem> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([run.as_str()])?;
        // The index named the run just now, and nothing is deleted.
        rows.next()?.map_or(Err(ReadProblem::Storage(rusqlite::Error::QueryReturnedNoRows)), decode)
    }
}

/// A payload, or why there is none.
pub(crate) enum Payload<T> {
    Here(T),
    Not(PayloadState),
}

impl Subtrees for Reader {
    type Problem = ReadProblem;

    fn root_of(&self, leaves: Range<u64>) -> Result<Digest, ReadProblem> {
        let mut statement = self.connection.prepare_cached("SELECT seq, leaf FROM records WHERE seq >= ?1 AND seq < ?2 ORDER BY seq")?;
        let mut rows = statement.query(params![leaves.start.cast_signed(), leaves.end.cast_signed()])?;
        let mut tree = Tree::default();
        for seq in leaves {
            let bad = |reason: &str| ReadProblem::Record { seq: Seq(seq), reason: reason.to_owned() };
            let row = rows.next()?.ok_or_else(|| bad("it is missing"))?;
            if row.get::<_, i64>(0)?.cast_unsigned() != seq {
                return Err(bad("it is missing"));
            }
            tree.push(Digest::from_bytes(row.get(1).map_err(|_| bad("its leaf is no hash"))?));
        }
        Ok(tree.root())
    }
}

const LAST_RUN: &str =
    "SELECT run FROM records INDEXED BY run_events WHERE kind = 'run-event' AND run IS NOT NULL ORDER BY run DESC LIMIT 1";
const RUN_BELOW: &str = "SELECT run FROM records INDEXED BY run_events WHERE kind = 'run-event' AND run < ?1 ORDER BY run DESC LIMIT 1";
const FIRST_EVENT: &str =
    "SELECT seq, leaf, envelope FROM records INDEXED BY run_events WHERE kind = 'run-event' AND run = ?1 ORDER BY seq LIMIT 1";
const LAST_EVENT: &str =
    "SELECT seq, leaf, envelope FROM records INDEXED BY run_events WHERE kind = 'run-event' AND run = ?1 ORDER BY seq DESC LIMIT 1";

fn select(filter: Filter<'_>) -> &'static str {
    match filter {
        Filter::All => "SELECT seq, leaf, envelope FROM records WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
        Filter::Run(_) => {
            "SELECT seq, leaf, envelope FROM records INDEXED BY records_run WHERE run = ?3 AND seq >= ?1 ORDER BY seq LIMIT ?2"
        }
        Filter::Events(_) => {
            "SELECT seq, leaf, envelope FROM records INDEXED BY run_events WHERE kind = 'run-event' AND run = ?3 AND seq >= ?1 ORDER BY seq LIMIT ?2"
        }
        Filter::Task(_) => {
            "SELECT seq, leaf, envelope FROM records INDEXED BY records_task WHERE task = ?3 AND seq >= ?1 ORDER BY seq LIMIT ?2"
        }
        Filter::Kind(_) => {
            "SELECT seq, leaf, envelope FROM records INDEXED BY records_kind WHERE kind = ?3 AND seq >= ?1 ORDER BY seq LIMIT ?2"
        }
        Filter::Subject(..) => {
            "SELECT records.seq, leaf, envelope FROM payloads INDEXED BY payloads_subject JOIN records ON records.seq = payloads.seq
             WHERE subject = ?3 AND payloads.seq >= ?1 ORDER BY payloads.seq LIMIT ?2"
        }
    }
}

/// Reads `seq, leaf, envelope`. What does not hash to its leaf is not handed out.
pub(crate) fn decode(row: &Row<'_>) -> Result<Envelope, ReadProblem> {
    let seq = row.get::<_, i64>(0)?.cast_unsigned();
    let bad = |reason: &str| ReadProblem::Record { seq: Seq(seq), reason: reason.to_owned() };
    let (ValueRef::Blob(leaf), ValueRef::Blob(bytes)) = (row.get_ref(1)?, row.get_ref(2)?) else {
        return Err(bad("it has another type"));
    };
    if leaf_hash(bytes).as_bytes() != leaf {
        return Err(bad("its envelope is not what was written"));
    }
    let envelope = flat::read(bytes).map_err(|problem| bad(&format!("its envelope cannot be read: {problem}")))?;
    if envelope.seq != Seq(seq) {
        return Err(bad("it stands in another's place"));
    }
    Ok(envelope)
}

fn mark(envelope: Envelope) -> RunMark {
    RunMark { seq: envelope.seq, time_ms: envelope.time_ms, event: envelope.fields.event.as_deref().map(str::to_owned) }
}

/// Records in order, read a page at a time. Ends after the first problem.
#[derive(Debug)]
pub struct Records<'a> {
    reader: &'a Reader,
    filter: Filter<'a>,
    /// Where the next page begins; `None` after the last one.
    next: Option<Seq>,
    page: VecDeque<Envelope>,
}

impl Iterator for Records<'_> {
    type Item = Result<Envelope, ReadProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            let from = self.next.take()?;
            match self.reader.page(self.filter, from, PAGE) {
                Ok(page) => self.page = page.into(),
                Err(problem) => return Some(Err(problem)),
            }
            self.next = self.page.back().map(|last| Seq(last.seq.0 + 1));
        }
        self.page.pop_front().map(Ok)
    }
}
