//! Verification of a state folder's ledger.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use bailiwick_core::ids::{Digest, Seq};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::record::{self, EnvelopeView, Seen};
use super::report::{BadRecord, Flaw, VerifyReport};
use super::strides;
use super::walk::{FoundHead, Walk};
use super::{Counts, Signed, Trust};
use crate::check;
use crate::encode::kind_name;
use crate::error::OpenProblem;
use crate::note::VerifierKey;
use crate::reader::Reader;
use crate::schema;
use crate::secrets::commitment;
use crate::state::kept_checkpoint;
use crate::tree::{Tree, leaf_hash};
use crate::unseal::{Unsealed, Unsealer};

/// Records that are read in one read transaction, so that a long verification does not keep the executor from tidying up.
const STRIDE: u64 = 4_096;

/// Verifies the ledger of a state folder by itself: against the key that it names, and against nothing kept elsewhere.
///
/// # Errors
/// As [`verify_against`].
pub fn verify(state: &Path) -> Result<VerifyReport, OpenProblem> {
    verify_against(state, &Trust::default())
}

/// Verifies the ledger of a state folder, read-only, whether an executor is running or not; records that are written
/// meanwhile are not looked at. Payloads are opened where the payload keys lie beside the ledger.
///
/// # Errors
/// When there is no ledger that could be verified. What is wrong with records is no error: it is in the report.
pub fn verify_against(state: &Path, trust: &Trust) -> Result<VerifyReport, OpenProblem> {
    let reader = Reader::open_to_verify(state)?;
    let mut trust = trust.clone();
    // Before the ledger's extent is read: what is anchored meanwhile lies beyond it.
    trust.take_cosigned(kept_checkpoint(reader.paths()));
    let beside = Reader::open_to_verify(state)?;
    let stop = beside.connection().get_interrupt_handle();
    Ok(std::thread::scope(|scope| {
        // Beside the records, on a connection of its own: it takes more than half as long as they do.
        let file = scope.spawn(move || file_damage(beside.connection()));
        let mut report = records(&reader, state, &trust);
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

/// What the file says about itself at the beginning.
struct Extent {
    /// Records that the last head counts.
    headed: u64,
    /// A record, payload or head that lies outside of that, and where.
    outside: Option<BadRecord>,
    /// Stored tree; `None` where size and edge do not fit together.
    tree: Option<Tree>,
    keys: Vec<(Seq, VerifierKey)>,
}

/// Why a record, or the one at this place, is bad; a failure of SQLite is one of the reasons.
impl From<rusqlite::Error> for Flaw {
    fn from(problem: rusqlite::Error) -> Self {
        Self::Unreadable(problem.to_string())
    }
}

fn records(reader: &Reader, state: &Path, trust: &Trust) -> VerifyReport {
    let mut report = VerifyReport::blank(trust);
    let extent = match extent(reader.connection()) {
        Ok(extent) => extent,
        Err(problem) => {
            report.first_bad = Some(BadRecord { seq: Seq(0), flaw: problem.into() });
            return report;
        }
    };
    let mut walk = Walk::new(trust, extent.keys.first().map(|(_, key)| key.clone()), extent.headed);
    report.first_bad = walk_all(&extent, state, &mut walk, &mut report).err();
    report.end(walk);
    report
}

fn walk_all(extent: &Extent, state: &Path, walk: &mut Walk, report: &mut VerifyReport) -> Result<(), BadRecord> {
    walk.check_origins()?;
    let mut result = Ok(());
    let stride = |worker: &mut Option<Worker>, number: u64| {
        let from = number * STRIDE;
        let end = extent.headed.min(from + STRIDE);
        match worker {
            Some(worker) => worker.stride(&extent.keys, from, end),
            None => Stride::bad(BadRecord { seq: Seq(from), flaw: Flaw::Unreadable("the file cannot be opened again".to_owned()) }),
        }
    };
    let make = || Reader::open_to_verify(state).ok().map(Worker::new);
    strides::in_order(extent.headed.div_ceil(STRIDE), make, stride, |stride| {
        result = take(walk, stride, report);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    result?;
    if let Some(outside) = &extent.outside {
        return Err(outside.clone());
    }
    if extent.tree.as_ref() != Some(&walk.tree) {
        let size = walk.tree.size();
        return Err(BadRecord { seq: Seq(size.saturating_sub(1)), flaw: Flaw::Edge { size } });
    }
    walk.finish()
}

/// Takes a stretch of records, and the heads among them.
fn take(walk: &mut Walk, stride: Stride, report: &mut VerifyReport) -> Result<(), BadRecord> {
    report.count(stride.counts);
    let mut heads = stride.heads.into_iter().peekable();
    for seen in stride.seen {
        walk.push(seen)?;
        while let Some(head) = heads.next_if(|head| head.size <= walk.tree.size()) {
            walk.head(&head)?;
        }
    }
    stride.bad.map_or(Ok(()), Err)
}

/// Reads ends and tree at one moment; what an executor adds later lies beyond.
fn extent(connection: &Connection) -> rusqlite::Result<Extent> {
    let moment = connection.unchecked_transaction()?;
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
        ("erasure", "SELECT min(seq), (SELECT min(seq) FROM erased WHERE seq >= ?1) FROM erased"),
    ] {
        let (first, beyond) = moment.query_row(sql, [headed], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        if first.is_some_and(|first| first < 0) {
            outside.get_or_insert(BadRecord { seq: Seq(0), flaw: Flaw::Unreadable(format!("there is a {what} with a negative sequence")) });
        }
        if let Some(beyond) = beyond {
            let flaw = Flaw::Beyond { size: headed.cast_unsigned() };
            outside.get_or_insert(BadRecord { seq: Seq(beyond.cast_unsigned()), flaw });
        }
    }
    let keys = schema::stored_keys(&moment)?.map(|keys| keys.signing).unwrap_or_default();
    Ok(Extent { headed: headed.max(0).cast_unsigned(), outside, tree: schema::stored_tree(&moment)?, keys })
}

/// A stretch of records, each checked by itself.
#[derive(Default)]
struct Stride {
    seen: Vec<Seen>,
    heads: Vec<FoundHead>,
    counts: Counts,
    /// The one after those seen.
    bad: Option<BadRecord>,
}

impl Stride {
    fn bad(bad: BadRecord) -> Self {
        Self { bad: Some(bad), ..Self::default() }
    }
}

const ROWS: &str = "SELECT records.seq, kind, run, task, leaf, envelope, payloads.seq, payloads.key, body, subject
    FROM records LEFT JOIN payloads ON payloads.seq = records.seq WHERE records.seq >= ?1 AND records.seq < ?2 ORDER BY records.seq";

/// What a thread that checks records owns.
struct Worker {
    reader: Reader,
    unsealer: Unsealer,
    scratch: Vec<u8>,
}

impl Worker {
    fn new(reader: Reader) -> Self {
        let unsealer = Unsealer::to_verify(reader.paths(), reader.connection());
        Self { reader, unsealer, scratch: Vec::new() }
    }

    fn stride(&mut self, keys: &[(Seq, VerifierKey)], from: u64, end: u64) -> Stride {
        let mut stride = Stride::default();
        if let Err(flaw) = self.check(keys, from, end, &mut stride) {
            stride.bad = Some(BadRecord { seq: Seq(from + stride.seen.len() as u64), flaw });
        }
        stride
    }

    fn check(&mut self, keys: &[(Seq, VerifierKey)], from: u64, end: u64, stride: &mut Stride) -> Result<(), Flaw> {
        let Self { reader, unsealer, scratch } = self;
        // At one moment, since an erasure moves payloads from one table to the other.
        let moment = reader.connection().unchecked_transaction()?;
        stride.heads = heads_between(&moment, keys, from, end)?;
        let erased = erased_between(&moment, from, end)?;
        let mut statement = moment.prepare_cached(ROWS)?;
        let mut rows = statement.query(params![from.cast_signed(), end.cast_signed()])?;
        for seq in (from..end).map(Seq) {
            let row = rows.next()?.ok_or(Flaw::Missing)?;
            let erased_by = erased.get(&seq).copied();
            let seen = check_row(row, seq, erased_by, unsealer, scratch, &mut stride.counts)?;
            stride.seen.push(seen);
        }
        Ok(())
    }
}

/// Checks one record and its payload.
fn check_row(
    row: &Row<'_>,
    seq: Seq,
    erased_by: Option<Seq>,
    unsealer: &mut Unsealer,
    scratch: &mut Vec<u8>,
    counts: &mut Counts,
) -> Result<Seen, Flaw> {
    if row.get::<_, i64>(0)?.cast_unsigned() != seq.0 {
        return Err(Flaw::Missing);
    }
    let (ValueRef::Blob(leaf), ValueRef::Blob(envelope)) = (row.get_ref(4)?, row.get_ref(5)?) else {
        return Err(Flaw::Unreadable("leaf or envelope has another type".to_owned()));
    };
    let hash = leaf_hash(envelope);
    if hash.as_bytes() != leaf {
        return Err(Flaw::Leaf);
    }
    let view = record::view(envelope, seq, scratch)?;
    check_columns(row, &view)?;
    check_payload(row, seq, view.commitment, erased_by, unsealer, scratch, counts)?;
    Ok(Seen { leaf: hash, time_ms: view.time_ms, what: view.what(envelope), erased_by })
}

fn check_columns(row: &Row<'_>, view: &EnvelopeView<'_>) -> Result<(), Flaw> {
    for (index, name, said) in [(1, "kind", Some(kind_name(view.kind))), (2, "run", view.run.as_deref()), (3, "task", view.task.as_deref())]
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
    Ok(())
}

fn check_payload(
    row: &Row<'_>,
    seq: Seq,
    committed: Option<Digest>,
    erased_by: Option<Seq>,
    unsealer: &mut Unsealer,
    scratch: &mut Vec<u8>,
    counts: &mut Counts,
) -> Result<(), Flaw> {
    let is_there = row.get_ref(6)? != ValueRef::Null;
    match (committed, is_there, erased_by) {
        (None, false, None) => return Ok(()),
        (None, true, _) => return Err(Flaw::Stray),
        (None, false, Some(record)) | (Some(_), true, Some(record)) => return Err(Flaw::Erased(record)),
        (Some(_), false, Some(_)) => {
            counts.erased += 1;
            return Ok(());
        }
        (Some(_), false, None) => {
            counts.missing.push(seq);
            return Ok(());
        }
        (Some(_), true, None) => {}
    }
    let ValueRef::Blob(sealed) = row.get_ref(8)? else { return Err(Flaw::Payload("of another type".to_owned())) };
    // Whose it is belongs to it: filed under another subject, it would be missing where somebody asks about the first.
    let subject = match row.get_ref(9)? {
        ValueRef::Blob(subject) => subject,
        ValueRef::Null => &[],
        _ => return Err(Flaw::Payload("of another type".to_owned())),
    };
    match unsealer.open(seq, subject, row.get::<_, i64>(7)?.cast_unsigned(), sealed) {
        Unsealed::NoKeys => counts.sealed += 1,
        Unsealed::Bad => return Err(Flaw::Sealed),
        Unsealed::Open(salt, body) => {
            if Some(commitment(salt, subject, body)) != committed {
                return Err(Flaw::Commitment);
            }
            check::check(body, scratch).map_err(Flaw::Payload)?;
            counts.payloads += 1;
        }
    }
    Ok(())
}

fn heads_between(connection: &Connection, keys: &[(Seq, VerifierKey)], from: u64, end: u64) -> rusqlite::Result<Vec<FoundHead>> {
    let mut statement =
        connection.prepare_cached("SELECT size, root, signature FROM heads WHERE size > ?1 AND size <= ?2 ORDER BY size")?;
    let mut rows = statement.query(params![from.cast_signed(), end.cast_signed()])?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next()? {
        let size = row.get::<_, i64>(0)?.cast_unsigned();
        // A root of another length is a root that the records do not give.
        let root = row.get::<_, Vec<u8>>(1)?.try_into().map_or_else(|other: Vec<u8>| Digest::of(&other), Digest::from_bytes);
        let key = keys.iter().rev().find(|(first, _)| first.0 < size).or(keys.first());
        let signature = match (row.get::<_, Option<Vec<u8>>>(2)?, key) {
            // One of another length is one that no key has made.
            (Some(signature), Some((_, key))) => Some(Signed { key: key.id(), signature: signature.try_into().unwrap_or([0; 64]) }),
            _ => None,
        };
        heads.push(FoundHead { size, root, signature });
    }
    Ok(heads)
}

fn erased_between(connection: &Connection, from: u64, end: u64) -> rusqlite::Result<BTreeMap<Seq, Seq>> {
    let mut statement = connection.prepare_cached("SELECT seq, record FROM erased WHERE seq >= ?1 AND seq < ?2")?;
    statement
        .query_map(params![from.cast_signed(), end.cast_signed()], |row| {
            Ok((Seq(row.get::<_, i64>(0)?.cast_unsigned()), Seq(row.get::<_, i64>(1)?.cast_unsigned())))
        })?
        .collect()
}
