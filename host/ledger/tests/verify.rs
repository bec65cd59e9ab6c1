//! Tampering: whatever is changed in the file, the verifier names the first bad record and what is wrong with it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first thing that is not as expected")]

#[expect(dead_code, reason = "shared by several test files, each of which uses some of it")]
mod common;

use std::path::{Path, PathBuf};

use bailiwick_core::Recorder;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::CallOutcome;
use bailiwick_ledger::{Flaw, Reader, VerifyReport, verify};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use common::{block_on, context, fill, intent, open_patient, outcome};

/// Twenty runs of six records; a head after each run. Record 2 of a run is an intent, record 3 its outcome.
const RECORDS: u64 = 120;

struct Tampered {
    folder: tempfile::TempDir,
}

impl Tampered {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 20);
        Self { folder }
    }

    fn database(&self) -> Connection {
        Connection::open(self.folder.path().join("ledger.sqlite")).unwrap()
    }

    fn sql(self, sql: &str) -> Self {
        self.database().execute_batch(sql).unwrap();
        self
    }

    fn flip(self, table: &str, column: &str, seq: i64, at: usize) -> Self {
        let database = self.database();
        let mut bytes: Vec<u8> =
            database.query_row(&format!("SELECT {column} FROM {table} WHERE seq = ?1"), [seq], |row| row.get(0)).unwrap();
        bytes[at] ^= 1;
        assert_eq!(database.execute(&format!("UPDATE {table} SET {column} = ?2 WHERE seq = ?1"), params![seq, bytes]).unwrap(), 1);
        self
    }

    /// Replaces text in an envelope and makes its leaf fit again, as somebody would who knows the format.
    fn forge(self, seq: i64, from: &str, to: &str) -> Self {
        let database = self.database();
        let bytes: Vec<u8> = database.query_row("SELECT envelope FROM records WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{text}");
        self.put(seq, text.replacen(from, to, 1).as_bytes())
    }

    fn put(self, seq: i64, envelope: &[u8]) -> Self {
        let leaf: [u8; 32] = Sha256::new().chain_update([0]).chain_update(envelope).finalize().into();
        let changed =
            self.database().execute("UPDATE records SET envelope = ?2, leaf = ?3 WHERE seq = ?1", params![seq, envelope, leaf.as_slice()]);
        assert_eq!(changed.unwrap(), 1);
        self
    }

    fn report(&self) -> VerifyReport {
        verify(self.folder.path()).unwrap()
    }

    fn first_bad(&self) -> (u64, Flaw) {
        let report = self.report();
        assert!(!report.is_intact());
        let bad = report.first_bad.clone().unwrap_or_else(|| panic!("no bad record: {report}"));
        assert!(report.to_string().contains(&format!("first bad record {}: ", bad.seq)), "{report}");
        (bad.seq.0, bad.flaw)
    }
}

#[test]
fn an_untouched_ledger_is_intact() {
    let report = Tampered::new().report();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.under_heads, report.heads, report.payloads), (RECORDS, RECORDS, 20, 60));
    assert_eq!((report.payloads_missing, report.missing.len()), (0, 0));
}

#[test]
fn an_empty_ledger_is_intact() {
    let folder = tempfile::tempdir().unwrap();
    open_patient(folder.path()).close().unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact());
    assert_eq!(report.records, 0);
    assert_eq!(report.root, Reader::open(folder.path()).unwrap().head().unwrap().root);
}

#[test]
fn a_flipped_byte_is_found_wherever_it_lies() {
    let envelope_bytes = 150;
    for at in [0, 1, 40, envelope_bytes - 1] {
        assert_eq!(Tampered::new().flip("records", "envelope", 50, at).first_bad(), (50, Flaw::Leaf), "byte {at}");
    }
    assert_eq!(Tampered::new().flip("records", "leaf", 50, 31).first_bad(), (50, Flaw::Leaf));
    // Nonce, salt, payload and tag.
    for at in [0, 30, 60, 80] {
        assert_eq!(Tampered::new().flip("payloads", "body", 50, at).first_bad(), (50, Flaw::Sealed), "byte {at}");
    }
    assert_eq!(Tampered::new().sql("UPDATE payloads SET key = key + 1 WHERE seq = 50").first_bad(), (50, Flaw::Sealed));
    assert_eq!(Tampered::new().sql("UPDATE payloads SET body = x'00' WHERE seq = 50").first_bad(), (50, Flaw::Sealed));
    let size = 54;
    let signature = format!("UPDATE heads SET signature = zeroblob(64) WHERE size = {size}");
    assert_eq!(Tampered::new().sql(&signature).first_bad(), (48, Flaw::Signature { size }));
}

#[test]
fn a_payload_that_is_filed_under_nobody_or_somebody_else_is_found() {
    for subject in ["NULL", "x''", "zeroblob(32)"] {
        let tampered = Tampered::new().sql(&format!("UPDATE payloads SET subject = {subject} WHERE seq = 50"));
        assert_eq!(tampered.first_bad(), (50, Flaw::Sealed), "{subject}");
    }
}

#[test]
fn the_first_of_several_is_named() {
    let tampered = Tampered::new().flip("records", "leaf", 90, 0).flip("payloads", "body", 30, 5).flip("records", "leaf", 31, 0);
    assert_eq!(tampered.first_bad(), (30, Flaw::Sealed));
    assert_eq!(tampered.report().records, 30);
    assert_eq!(tampered.report().under_heads, 30);
}

#[test]
fn a_dropped_record_is_missed() {
    assert_eq!(Tampered::new().sql("DELETE FROM records WHERE seq = 50").first_bad(), (50, Flaw::Missing));
    assert_eq!(Tampered::new().sql("DELETE FROM records WHERE seq = 0").first_bad(), (0, Flaw::Missing));
    // The last ones: the head still counts them.
    assert_eq!(Tampered::new().sql("DELETE FROM records WHERE seq >= 119").first_bad(), (119, Flaw::Missing));
    assert_eq!(Tampered::new().sql("DELETE FROM records; DELETE FROM payloads").first_bad(), (0, Flaw::Missing));
    // With their head, but not the edge of the tree.
    let cut = "DELETE FROM records WHERE seq >= 114; DELETE FROM payloads WHERE seq >= 114; DELETE FROM heads WHERE size = 120";
    assert_eq!(Tampered::new().sql(cut).first_bad(), (113, Flaw::Edge { size: 114 }));
}

#[test]
fn swapped_records_are_found_even_with_their_leaves() {
    let swap = "UPDATE records SET seq = -1 WHERE seq = 50; UPDATE records SET seq = 50 WHERE seq = 80; UPDATE records SET seq = 80 WHERE seq = -1;
        UPDATE payloads SET seq = -1 WHERE seq = 50; UPDATE payloads SET seq = 50 WHERE seq = 80; UPDATE payloads SET seq = 80 WHERE seq = -1";
    assert_eq!(Tampered::new().sql(swap).first_bad(), (50, Flaw::Place(Seq(80))));
}

#[test]
fn an_inserted_record_is_found() {
    // In the middle, the others moved up; at the end; before the first.
    let shift = "UPDATE records SET seq = -seq WHERE seq >= 50; UPDATE records SET seq = 1 - seq WHERE seq < 0;
        INSERT INTO records SELECT 50, kind, run, task, leaf, envelope FROM records WHERE seq = 49";
    assert_eq!(Tampered::new().sql(shift).first_bad(), (50, Flaw::Place(Seq(49))));
    let append = "INSERT INTO records SELECT 120, kind, run, task, leaf, envelope FROM records WHERE seq = 119";
    assert_eq!(Tampered::new().sql(append).first_bad(), (120, Flaw::Beyond { size: 120 }));
    let before = "INSERT INTO records SELECT -1, kind, run, task, leaf, envelope FROM records WHERE seq = 0";
    assert!(matches!(Tampered::new().sql(before).first_bad(), (0, Flaw::Unreadable(_))));
    let payload = "INSERT INTO payloads SELECT 120, subject, key, body FROM payloads WHERE seq = 50";
    assert_eq!(Tampered::new().sql(payload).first_bad(), (120, Flaw::Beyond { size: 120 }));
    let stray = "INSERT INTO payloads SELECT 51, subject, key, body FROM payloads WHERE seq = 50";
    assert_eq!(Tampered::new().sql(stray).first_bad(), (51, Flaw::Stray));
}

#[test]
fn a_forged_record_with_a_fitting_leaf_is_found_by_the_head_after_it() {
    let tampered = Tampered::new().forge(50, "\"tenant\":\"acme\"", "\"tenant\":\"evil\"");
    assert_eq!(tampered.first_bad(), (48, Flaw::Head { first: Seq(48), last: Seq(53) }));
    assert_eq!(tampered.report().under_heads, 48);
    // One head further off, where the nearer one was taken away.
    let tampered = Tampered::new().forge(50, "acme", "evil").sql("DELETE FROM heads WHERE size = 54");
    assert_eq!(tampered.first_bad(), (48, Flaw::Head { first: Seq(48), last: Seq(59) }));
    assert_eq!(Tampered::new().sql("UPDATE heads SET root = zeroblob(32) WHERE size = 54").first_bad().0, 48);
    assert_eq!(Tampered::new().sql("UPDATE tree SET edge = zeroblob(length(edge))").first_bad(), (119, Flaw::Edge { size: 120 }));
}

#[test]
fn forged_envelopes_are_found_for_what_they_say() {
    assert!(matches!(Tampered::new().forge(50, "{", "{ ").first_bad(), (50, Flaw::Envelope(_))));
    assert!(matches!(Tampered::new().put(50, b"{}").first_bad(), (50, Flaw::Envelope(_))));
    assert!(matches!(Tampered::new().put(50, "[".repeat(100_000).as_bytes()).first_bad(), (50, Flaw::Envelope(_))));
    assert_eq!(Tampered::new().forge(50, "\"format\":1", "\"format\":2").first_bad(), (50, Flaw::Format(2)));
    assert!(matches!(Tampered::new().forge(50, "\"time-ms\":1", "\"time-ms\":").first_bad(), (50, Flaw::Time { .. })));
    assert_eq!(Tampered::new().forge(51, "\"intent\":50", "\"intent\":49").first_bad(), (51, Flaw::Intent));
    assert_eq!(Tampered::new().forge(51, "\"intent\":50", "\"intent\":51").first_bad(), (51, Flaw::Intent));
    assert_eq!(Tampered::new().forge(51, "\"intent\":50", "\"intent\":56").first_bad(), (51, Flaw::Intent));
    assert_eq!(Tampered::new().forge(51, "\"intent\":50,", "").first_bad(), (51, Flaw::Intent));
}

#[test]
fn what_hides_a_record_from_queries_is_found() {
    assert_eq!(Tampered::new().sql("UPDATE records SET run = 'run-0000' WHERE seq = 50").first_bad(), (50, Flaw::Column("run")));
    assert_eq!(Tampered::new().sql("UPDATE records SET task = NULL WHERE seq = 50").first_bad(), (50, Flaw::Column("task")));
    assert_eq!(Tampered::new().sql("UPDATE records SET kind = 'escalated' WHERE seq = 50").first_bad(), (50, Flaw::Column("kind")));
}

#[test]
fn an_index_that_hides_a_record_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 100);
    let path = folder.path().join("ledger.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    // The index by task names the task of a record; the table and the envelope go on naming it too.
    let leaf_page_of_an_index = 10;
    let needle = b"task-0050";
    let changed = bytes.chunks_mut(4_096).filter(|page| page[0] == leaf_page_of_an_index).any(|page| {
        let found = page.windows(needle.len()).position(|window| window == needle);
        found.inspect(|at| page[*at + 8] = b'1').is_some()
    });
    assert!(changed);
    std::fs::write(&path, bytes).unwrap();
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.first_bad, None);
    assert!(!report.is_intact());
    assert!(report.to_string().contains("the file around them is damaged"), "{report}");
}

#[test]
fn a_missing_payload_is_no_flaw_of_a_record_and_fails_all_the_same() {
    let report = Tampered::new().sql("DELETE FROM payloads WHERE seq IN (50, 56)").report();
    assert!(report.is_intact() && !report.is_complete(), "{report}");
    assert_eq!((report.payloads_missing, report.payloads), (2, 58));
    assert_eq!(report.missing, [Seq(50), Seq(56)]);
    assert!(report.to_string().contains("payload missing: 2 records (50, 56)"), "{report}");
}

#[test]
fn reading_a_damaged_record_is_an_error_too() {
    let tampered = Tampered::new().flip("records", "envelope", 50, 40).flip("payloads", "body", 56, 5);
    let reader = Reader::open(tampered.folder.path()).unwrap();
    assert!(reader.envelope(Seq(50)).unwrap_err().to_string().contains("record 50"));
    assert!(reader.envelope(Seq(49)).is_ok());
    let envelope = reader.envelope(Seq(56)).unwrap().unwrap();
    assert!(reader.payload(&envelope).unwrap_err().to_string().contains("record 56"));
}

#[test]
fn pages_overwritten_from_outside_never_verify() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 100);
    let path = folder.path().join("ledger.sqlite");
    let good = std::fs::read(&path).unwrap();
    let pages = good.len() / 4_096;
    assert!(pages > 20);
    for page in 0..pages {
        let mut bad = good.clone();
        bad[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        std::fs::write(&path, &bad).unwrap();
        assert!(!verify(folder.path()).is_ok_and(|report| report.is_intact() && report.payloads_missing == 0), "page {page}");
    }
}

#[test]
fn outcomes_of_what_was_done_need_an_intent() {
    for (result, is_good) in [
        (CallOutcome::Ok, false),
        (CallOutcome::Indeterminate, false),
        (CallOutcome::Denied, true),
        (CallOutcome::Error, true),
        (CallOutcome::Cached, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open_patient(folder.path());
        let context = context("r", "t");
        let seq = ledger.append(intent(&context, "C-1")).unwrap();
        ledger.append(outcome(&context, Some(seq), result)).unwrap();
        let last = ledger.append(outcome(&context, None, result)).unwrap();
        block_on(ledger.durable(last)).unwrap();
        assert_eq!(verify(folder.path()).unwrap().is_intact(), is_good, "{result:?}");
    }
}

#[test]
fn a_copy_on_a_read_only_medium_verifies() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 3);
    let medium: PathBuf = folder.path().join("a 100% #copy?");
    std::fs::create_dir(&medium).unwrap();
    // The database alone is enough: without the key, without lock or log.
    std::fs::copy(folder.path().join("ledger.sqlite"), medium.join("ledger.sqlite")).unwrap();
    let read_only = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    read_only(&medium.join("ledger.sqlite"), 0o400);
    read_only(&medium, 0o500);
    let report = verify(&medium);
    read_only(&medium, 0o700);
    assert!(report.unwrap().is_intact());
}
