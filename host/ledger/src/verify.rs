//! The verifier: recomputes everything that the ledger's file says about itself and names the first bad record.

use std::borrow::Cow;
use std::path::Path;

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, FORMAT, RecordKind};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde::Deserialize;

use crate::check;
use crate::encode::kind_name;
use crate::error::OpenProblem;
use crate::reader::Reader;
use crate::schema;
use crate::secrets::commitment;
use crate::tree::{Tree, leaf_hash};

mod report;

pub use report::{BadRecord, Flaw, PAYLOADS_NAMED, VerifyReport};

/// Records that are read in one read transaction, so that a long verification does not keep the executor from tidying up.
const STRIDE: u64 = 8_192;

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

const ROWS: &str = "SELECT records.seq, kind, run, task, leaf, envelope, payloads.seq, salt, body, subject
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
        // Whose it is belongs to it: filed under another subject, it would be missing where somebody asks about the first.
        let subject = match row.get_ref(9)? {
            ValueRef::Blob(subject) => subject,
            ValueRef::Null => &[],
            _ => return Err(Flaw::Payload("of another type".to_owned())),
        };
        if salt.try_into().ok().map(|salt| commitment(salt, subject, body)) != Some(committed) {
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
