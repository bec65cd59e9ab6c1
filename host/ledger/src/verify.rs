//! The verifier: recomputes everything that the ledger's file says about itself and names the first bad record.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, FORMAT, RecordKind};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::encode::kind_name;
use crate::error::OpenProblem;
use crate::reader::Reader;
use crate::schema;
use crate::secrets::commitment;
use crate::tree::{Tree, leaf_hash};

/// How many missing payloads a report names; all are counted.
pub const PAYLOADS_NAMED: usize = 100;

/// Records that are read in one read transaction, so that a long verification does not keep the executor from tidying up.
const STRIDE: u64 = 8_192;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// There is no record with this sequence, though there are later ones, or the last head counts it.
    #[error("it is missing")]
    Missing,
    /// The record stands after the end that the last head gives.
    #[error("it lies beyond the last head, which counts {size} records")]
    Beyond {
        /// Records that the last head counts.
        size: u64,
    },
    /// The database cannot read it, or gives values of other types.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The envelope is not canonical JSON, or no envelope.
    #[error("its envelope is {0}")]
    Envelope(String),
    /// The envelope has a format that this program does not know.
    #[error("its format is {0}, this program knows {FORMAT}")]
    Format(u32),
    /// The envelope carries another sequence: records were swapped, moved or put in.
    #[error("its envelope says that it is record {0}: records were swapped, moved or put in")]
    Place(Seq),
    /// The time is earlier than that of the record before.
    #[error("its time goes back from {before_ms} to {time_ms} (milliseconds since 1970)")]
    Time {
        /// Time of the record before.
        before_ms: u64,
        /// Time of this one.
        time_ms: u64,
    },
    /// A column by which records are found says another thing than the envelope.
    #[error("column `{0}`, by which it is found, is not what its envelope says")]
    Column(&'static str),
    /// The stored leaf is not the hash of the envelope.
    #[error("its envelope does not hash to its leaf: one of the two was changed")]
    Leaf,
    /// The outcome of a call refers to no earlier intent.
    #[error("it is the outcome of a call and refers to no earlier intent")]
    Intent,
    /// The payload is not what the envelope commits to.
    #[error("its payload is not the one that it commits to: payload, salt or commitment was changed")]
    Commitment,
    /// The payload is not canonical JSON.
    #[error("its payload is {0}")]
    Payload(String),
    /// There is a payload for a record that commits to none.
    #[error("it has a payload that it does not commit to")]
    Stray,
    /// The records up to here do not give the root that the head after them says.
    #[error("records {} to {last} do not give the root of the head over {} records: at least one of them, leaf included, or the head was changed", .first, .last.0 + 1)]
    Head {
        /// The first record after the head before.
        first: Seq,
        /// The last record under the head.
        last: Seq,
    },
    /// The stored edge of the tree is not that of the records.
    #[error("the stored edge of the tree is not that of the {size} records: it was changed")]
    Edge {
        /// Number of records.
        size: u64,
    },
}

/// The first record that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BadRecord {
    /// Which one. For a flaw of a head, the first record that may be meant.
    pub seq: Seq,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.seq, self.flaw)
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerifyReport {
    /// Records that are what was written, from the first on.
    pub records: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// Of them, those under a stored head that was recomputed. Heads are not signed and nothing is anchored outside, so they
    /// vouch against damage and against changes to parts of the file, not against somebody who rewrites all of it.
    pub under_heads: u64,
    /// Stored heads that were recomputed.
    pub heads: u64,
    /// Payloads that are what their records commit to.
    pub payloads: u64,
    /// Records whose payload is missing. Erasing a data subject does that, so it is no flaw in itself.
    pub payloads_missing: u64,
    /// The first [`PAYLOADS_NAMED`] of them.
    pub missing: Vec<Seq>,
    /// The first bad record; nothing after it was looked at.
    pub first_bad: Option<BadRecord>,
    /// What SQLite's own check says against the file (an index that leads elsewhere, say); `None` for nothing. Not said when a
    /// record is bad already.
    pub file_damage: Option<String>,
}

impl VerifyReport {
    /// Whether no record is bad. Payloads may be missing.
    pub fn is_intact(&self) -> bool {
        self.first_bad.is_none() && self.file_damage.is_none()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} records are what was written, {} of them under {} stored heads; root {}",
            self.records, self.under_heads, self.heads, self.root
        )?;
        writeln!(f, "{} payloads are what their records commit to", self.payloads)?;
        if self.payloads_missing > 0 {
            let named: Vec<_> = self.missing.iter().take(10).map(ToString::to_string).collect();
            let more = if self.payloads_missing > 10 { ", …" } else { "" };
            writeln!(f, "payload missing: {} records ({}{more}); legal after an erasure only", self.payloads_missing, named.join(", "))?;
        }
        writeln!(f, "the heads are not signed and not anchored outside: whoever can write the whole file can make another that verifies")?;
        match (&self.first_bad, &self.file_damage) {
            (Some(bad), _) => write!(f, "first bad {bad}"),
            (None, Some(damage)) => write!(f, "the records are good, the file around them is damaged: {damage}"),
            (None, None) => write!(f, "no record is bad"),
        }
    }
}

/// Verifies the ledger of a state folder, read-only, whether an executor is running or not; records that are written
/// meanwhile are not looked at.
///
/// # Errors
/// When there is no ledger that could be verified. What is wrong with records is no error: it is in the report.
pub fn verify(state: &Path) -> Result<VerifyReport, OpenProblem> {
    let reader = Reader::open_to_verify(state)?;
    let beside = Reader::open_to_verify(state)?;
    let stop = beside.connection().get_interrupt_handle();
    Ok(std::thread::scope(|scope| {
        // Beside the records, on a connection of its own: it takes more than half as long as they do.
        let file = scope.spawn(move || file_damage(beside.connection()));
        let mut report = Verifier::new(reader.connection()).run();
        if report.first_bad.is_some() {
            stop.interrupt();
        }
        let damage = file.join().unwrap_or_else(|_| Some("the check of the file panicked".to_owned()));
        report.file_damage = damage.filter(|_| report.first_bad.is_none());
        report
    }))
}

/// Asks SQLite whether indexes and pages are sound.
fn file_damage(connection: &Connection) -> Option<String> {
    match connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(answer) if answer == "ok" => None,
        Ok(answer) => Some(answer),
        Err(problem) => Some(problem.to_string()),
    }
}

/// The fields of an envelope that the verifier compares.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EnvelopeView<'a> {
    format: u32,
    seq: Seq,
    time_ms: u64,
    kind: RecordKind,
    #[serde(borrow)]
    run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    task: Option<Cow<'a, str>>,
    intent: Option<Seq>,
    outcome: Option<CallOutcome>,
    commitment: Option<Digest>,
}

/// What the file says about itself at the beginning.
struct Extent {
    /// Records that the last head counts.
    headed: u64,
    /// A record, payload or head that lies outside of that, and where.
    outside: Option<BadRecord>,
    /// Stored tree; `None` where size and edge do not fit together.
    tree: Option<Tree>,
}

struct Verifier<'a> {
    connection: &'a Connection,
    report: VerifyReport,
    tree: Tree,
    last_time_ms: u64,
    /// One bit a record: it is an intent.
    intents: Vec<u64>,
    scratch: Vec<u8>,
}

/// Why a record, or the one at this place, is bad; a failure of SQLite is one of the reasons.
impl From<rusqlite::Error> for Flaw {
    fn from(problem: rusqlite::Error) -> Self {
        Self::Unreadable(problem.to_string())
    }
}

const ROWS: &str = "SELECT records.seq, kind, run, task, leaf, envelope, payloads.seq, salt, body
    FROM records LEFT JOIN payloads ON payloads.seq = records.seq WHERE records.seq >= ?1 AND records.seq < ?2 ORDER BY records.seq";

impl<'a> Verifier<'a> {
    fn new(connection: &'a Connection) -> Self {
        let report = VerifyReport {
            records: 0,
            root: Tree::default().root(),
            under_heads: 0,
            heads: 0,
            payloads: 0,
            payloads_missing: 0,
            missing: Vec::new(),
            first_bad: None,
            file_damage: None,
        };
        Self { connection, report, tree: Tree::default(), last_time_ms: 0, intents: Vec::new(), scratch: Vec::new() }
    }

    fn run(mut self) -> VerifyReport {
        self.report.first_bad = self.verify_all().err();
        self.report.records = self.tree.size();
        self.report.root = self.tree.root();
        self.report
    }

    fn bad(&self, flaw: Flaw) -> BadRecord {
        BadRecord { seq: Seq(self.tree.size()), flaw }
    }

    fn verify_all(&mut self) -> Result<(), BadRecord> {
        let extent = self.extent().map_err(|problem| self.bad(problem.into()))?;
        while self.tree.size() < extent.headed {
            let end = extent.headed.min(self.tree.size() + STRIDE);
            self.verify_until(end)?;
        }
        if let Some(outside) = extent.outside {
            return Err(outside);
        }
        if extent.tree.as_ref() != Some(&self.tree) {
            let size = self.tree.size();
            return Err(BadRecord { seq: Seq(size.saturating_sub(1)), flaw: Flaw::Edge { size } });
        }
        Ok(())
    }

    /// Reads ends and tree at one moment; what an executor adds later lies beyond.
    fn extent(&self) -> rusqlite::Result<Extent> {
        let moment = self.connection.unchecked_transaction()?;
        let ends = |sql: &str| moment.query_row(sql, [], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)));
        let (first_head, last_head) = ends("SELECT min(size), max(size) FROM heads")?;
        let headed = last_head.unwrap_or(0);
        let mut outside = None;
        if first_head.is_some_and(|size| size < 1) {
            outside = Some(BadRecord { seq: Seq(0), flaw: Flaw::Unreadable(format!("there is a head over {headed} records")) });
        }
        for (what, sql) in [
            ("record", "SELECT min(seq), (SELECT min(seq) FROM records WHERE seq >= ?1) FROM records"),
            ("payload", "SELECT min(seq), (SELECT min(seq) FROM payloads WHERE seq >= ?1) FROM payloads"),
        ] {
            let (first, beyond) =
                moment.query_row(sql, [headed], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
            if first.is_some_and(|first| first < 0) {
                outside.get_or_insert(BadRecord {
                    seq: Seq(0),
                    flaw: Flaw::Unreadable(format!("there is a {what} with a negative sequence")),
                });
            }
            if let Some(beyond) = beyond {
                let flaw = Flaw::Beyond { size: headed.cast_unsigned() };
                outside.get_or_insert(BadRecord { seq: Seq(beyond.cast_unsigned()), flaw });
            }
        }
        Ok(Extent { headed: headed.max(0).cast_unsigned(), outside, tree: schema::stored_tree(&moment)? })
    }

    /// Verifies the records up to `end`, and the heads among them.
    fn verify_until(&mut self, end: u64) -> Result<(), BadRecord> {
        let connection = self.connection;
        let from = self.tree.size();
        let mut heads = heads_between(connection, from, end).map_err(|problem| self.bad(problem.into()))?.into_iter().peekable();
        let mut statement = connection.prepare_cached(ROWS).map_err(|problem| self.bad(problem.into()))?;
        let mut rows = statement.query(params![from.cast_signed(), end.cast_signed()]).map_err(|problem| self.bad(problem.into()))?;
        while self.tree.size() < end {
            let row = rows.next().map_err(|problem| self.bad(problem.into()))?.ok_or_else(|| self.bad(Flaw::Missing))?;
            let leaf = self.verify_row(row).map_err(|flaw| self.bad(flaw))?;
            self.tree.push(leaf);
            if let Some((size, root)) = heads.next_if(|(size, _)| *size <= self.tree.size()) {
                if size != self.tree.size() || root != self.tree.root().as_bytes() {
                    let (first, last) = (Seq(self.report.under_heads), Seq(self.tree.size() - 1));
                    return Err(BadRecord { seq: first, flaw: Flaw::Head { first, last } });
                }
                self.report.under_heads = size;
                self.report.heads += 1;
            }
        }
        Ok(())
    }

    /// Verifies one record and its payload, and gives its leaf.
    fn verify_row(&mut self, row: &Row<'_>) -> Result<Digest, Flaw> {
        let expected = self.tree.size();
        if row.get::<_, i64>(0)?.cast_unsigned() != expected {
            return Err(Flaw::Missing);
        }
        let (ValueRef::Blob(leaf), ValueRef::Blob(envelope)) = (row.get_ref(4)?, row.get_ref(5)?) else {
            return Err(Flaw::Unreadable("leaf or envelope has another type".to_owned()));
        };
        let hash = leaf_hash(envelope);
        if hash.as_bytes() != leaf {
            return Err(Flaw::Leaf);
        }
        let text = check::check(envelope, &mut self.scratch).map_err(Flaw::Envelope)?;
        let view: EnvelopeView<'_> = serde_json::from_str(text).map_err(|problem| Flaw::Envelope(format!("no envelope: {problem}")))?;
        self.verify_envelope(row, &view)?;
        self.verify_payload(row, view.commitment)?;
        Ok(hash)
    }

    fn verify_envelope(&mut self, row: &Row<'_>, view: &EnvelopeView<'_>) -> Result<(), Flaw> {
        let expected = self.tree.size();
        if view.format != FORMAT {
            return Err(Flaw::Format(view.format));
        }
        if view.seq != Seq(expected) {
            return Err(Flaw::Place(view.seq));
        }
        if view.time_ms < self.last_time_ms {
            return Err(Flaw::Time { before_ms: self.last_time_ms, time_ms: view.time_ms });
        }
        for (index, name, said) in
            [(1, "kind", Some(kind_name(view.kind))), (2, "run", view.run.as_deref()), (3, "task", view.task.as_deref())]
        {
            let found = match row.get_ref(index)? {
                ValueRef::Null => None,
                ValueRef::Text(text) => Some(text),
                _ => return Err(Flaw::Column(name)),
            };
            if found != said.map(str::as_bytes) {
                return Err(Flaw::Column(name));
            }
        }
        self.verify_intent(view)?;
        self.last_time_ms = view.time_ms;
        Ok(())
    }

    /// What was done, or may have been done, needs an intent; what was refused may never have had one.
    fn verify_intent(&mut self, view: &EnvelopeView<'_>) -> Result<(), Flaw> {
        let bit = view.seq.0 % 64;
        if bit == 0 {
            self.intents.push(0);
        }
        if view.kind == RecordKind::CallIntent
            && let Some(last) = self.intents.last_mut()
        {
            *last |= 1 << bit;
        }
        if view.kind != RecordKind::CallOutcome {
            return Ok(());
        }
        match (view.intent, view.outcome) {
            (Some(intent), _) if intent < view.seq && self.is_intent(intent) => Ok(()),
            (None, Some(CallOutcome::Denied | CallOutcome::Error | CallOutcome::Cached)) => Ok(()),
            _ => Err(Flaw::Intent),
        }
    }

    fn is_intent(&self, seq: Seq) -> bool {
        let word = usize::try_from(seq.0 / 64).ok().and_then(|word| self.intents.get(word));
        word.is_some_and(|word| word >> (seq.0 % 64) & 1 == 1)
    }

    fn verify_payload(&mut self, row: &Row<'_>, committed: Option<Digest>) -> Result<(), Flaw> {
        let is_there = row.get_ref(6)? != ValueRef::Null;
        let Some(committed) = committed else {
            return if is_there { Err(Flaw::Stray) } else { Ok(()) };
        };
        if !is_there {
            self.report.payloads_missing += 1;
            if self.report.missing.len() < PAYLOADS_NAMED {
                self.report.missing.push(Seq(self.tree.size()));
            }
            return Ok(());
        }
        let (ValueRef::Blob(salt), ValueRef::Blob(body)) = (row.get_ref(7)?, row.get_ref(8)?) else {
            return Err(Flaw::Payload("of another type".to_owned()));
        };
        if salt.try_into().ok().map(|salt| commitment(salt, body)) != Some(committed) {
            return Err(Flaw::Commitment);
        }
        check::check(body, &mut self.scratch).map_err(Flaw::Payload)?;
        self.report.payloads += 1;
        Ok(())
    }
}

fn heads_between(connection: &Connection, from: u64, end: u64) -> rusqlite::Result<Vec<(u64, Vec<u8>)>> {
    let mut statement = connection.prepare_cached("SELECT size, root FROM heads WHERE size > ?1 AND size <= ?2 ORDER BY size")?;
    statement
        .query_map(params![from.cast_signed(), end.cast_signed()], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Vec<u8>>(1)?))
        })?
        .collect()
}
