//! Erasing a data subject: what is gone, what stays, what forbids it; and payloads of a ledger that kept them plain.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

#[expect(dead_code, reason = "shared by several test files, each of which uses some of it")]
mod common;

use std::path::Path;

use bailiwick_core::Recorder;
use bailiwick_core::ids::Seq;
use bailiwick_core::record::{Draft, RecordKind};
use bailiwick_ledger::{EraseProblem, Filter, Flaw, Ledger, LedgerOptions, PayloadState, ReadProblem, Reader, verify};
use serde_json::json;

use common::{about, block_on, context, draft, event, open};

const SUBJECT: &str = "Erika-Mustermann";
const DATA: &str = "erika@example.org";

/// Records about two subjects and nobody; the first is in many pages and some overflow pages.
fn fill(ledger: &Ledger) {
    let context = context("run-1", "task-1");
    for n in 0..200 {
        ledger.append(event(&context, "run-started")).unwrap();
        for (subject, data) in [(SUBJECT, DATA), ("Max", "max@example.org")] {
            let value = json!({ "id": subject, "email": data, "text": format!("{data} ").repeat(1 + n % 300) });
            ledger.append(Draft { payload: Some(about(Some(subject), value)), ..draft(RecordKind::CallIntent, &context) }).unwrap();
        }
    }
    let last = ledger.append(event(&context, "run-finished")).unwrap();
    block_on(ledger.durable(last)).unwrap();
}

/// Every file of the state folder that has these bytes somewhere.
fn files_with(state: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(state).unwrap() {
        let path = file.unwrap().path();
        // The file that replaces the last checkpoint comes and goes.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes.windows(needle.len()).any(|window| window == needle) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

fn keys(state: &Path) -> Vec<Vec<u8>> {
    std::fs::read(state.join("payload.keys")).unwrap().chunks(32).map(<[u8]>::to_vec).collect()
}

fn states(state: &Path, subject: &str) -> Vec<PayloadState> {
    let reader = Reader::open(state).unwrap();
    let of_subject = |envelope: &bailiwick_core::record::Envelope| match envelope.seq.0 % 3 {
        1 => SUBJECT,
        2 => "Max",
        _ => "",
    } == subject;
    let all: Vec<_> =
        reader.records(Filter::All, Seq(0)).map(Result::unwrap).filter(|found| found.seq.0 < 600 && of_subject(found)).collect();
    all.iter().map(|envelope| reader.payload_state(envelope).unwrap()).collect()
}

#[test]
fn nothing_of_an_erased_subject_is_left_in_any_file_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let ledger = open(state);
    fill(&ledger);
    // Plain data never reaches a file, erased or not, in log and free pages either.
    for needle in [SUBJECT.as_bytes(), DATA.as_bytes(), b"max@example.org"] {
        assert_eq!(files_with(state, needle), [""; 0]);
    }
    let before = keys(state);
    let erased = ledger.erase(Some(&"acme".into()), &SUBJECT.into(), Some("local:anna")).unwrap();
    assert_eq!((erased.record, erased.payloads), (Seq(601), 200));

    let after = keys(state);
    let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).map(|(before, _)| before).collect();
    assert_eq!(changed.len(), 1, "one key is gone");
    assert_eq!(files_with(state, changed[0]), [""; 0], "the destroyed key is in no file");
    assert_eq!(files_with(state, SUBJECT.as_bytes()), [""; 0]);
    let report = verify(state).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.payloads, report.payloads_erased, report.payloads_missing), (401, 200, 0));
    assert!(report.to_string().contains("payload erased: 200 records"), "{report}");
    assert!(states(state, SUBJECT).iter().all(|state| *state == PayloadState::Erased(Seq(601))));
    assert!(states(state, "Max").iter().all(|state| matches!(state, PayloadState::Here(_))));
    assert_eq!(states(state, "Max").len(), 200);

    // What comes after an erasure is a new beginning.
    let payload = Some(about(Some(SUBJECT), json!("again")));
    let again = ledger.append(Draft { payload, ..draft(RecordKind::CallIntent, &context("run-2", "t")) }).unwrap();
    block_on(ledger.durable(again)).unwrap();
    let reader = ledger.reader().unwrap();
    let (tenant, subject) = ("acme".into(), SUBJECT.into());
    let found: Vec<_> = reader.records(Filter::Subject(Some(&tenant), &subject), Seq(0)).map(Result::unwrap).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(reader.payload(&found[0]).unwrap(), Some(json!({ "event": "again" })));
    assert_eq!(ledger.erase(Some(&tenant), &subject, None).unwrap().payloads, 1);

    let record = ledger.reader().unwrap().envelope(erased.record).unwrap().unwrap();
    assert_eq!((record.kind, record.context.requester.as_deref()), (RecordKind::SubjectErased, Some("local:anna")));
    assert!(!serde_json::to_string(&record).unwrap().contains(SUBJECT));
    ledger.close().unwrap();
    assert!(verify(state).unwrap().is_intact());
    assert_eq!(files_with(state, changed[0]), [""; 0]);
}

#[test]
fn a_subject_of_another_tenant_is_another_subject() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    fill(&ledger);
    assert_eq!(ledger.erase(Some(&"other".into()), &SUBJECT.into(), None).unwrap().payloads, 0);
    assert_eq!(ledger.erase(None, &SUBJECT.into(), None).unwrap().payloads, 0);
    assert_eq!(ledger.erase(Some(&"acme".into()), &SUBJECT.into(), None).unwrap().payloads, 200);
    // Twice is no mistake.
    assert_eq!(ledger.erase(Some(&"acme".into()), &SUBJECT.into(), None).unwrap().payloads, 0);
    ledger.close().unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.payloads_erased, 200);
}

#[test]
fn a_hold_refuses_an_erasure_until_it_is_released_and_all_of_it_is_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    fill(&ledger);
    let (tenant, subject) = ("acme".into(), SUBJECT.into());
    let hold = ledger.hold(Some(&tenant), &subject, Some("local:anna"), "case 4711").unwrap();
    let problem = ledger.erase(Some(&tenant), &subject, None).unwrap_err();
    assert_eq!(problem, EraseProblem::Held { hold, record: Seq(hold.0 + 1) });
    assert!(problem.to_string().contains("release it first"), "{problem}");
    // Also after a restart: the hold is what the records say.
    ledger.close().unwrap();
    let ledger = open(folder.path());
    assert!(matches!(ledger.erase(Some(&tenant), &subject, None), Err(EraseProblem::Held { .. })));
    // Another subject's hold is another's.
    assert_eq!(ledger.erase(Some(&tenant), &"Max".into(), None).unwrap().payloads, 200);
    ledger.release(Some(&tenant), &subject, Some("local:anna"), "case closed").unwrap();
    // With the hold's and the release's own.
    assert_eq!(ledger.erase(Some(&tenant), &subject, None).unwrap().payloads, 202);
    ledger.close().unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let kinds = |kind| reader.records(Filter::Kind(kind), Seq(0)).map(|found| found.unwrap()).collect::<Vec<_>>();
    assert_eq!(kinds(RecordKind::SubjectHeld).len(), 1);
    assert_eq!(kinds(RecordKind::SubjectReleased).len(), 1);
    assert_eq!(kinds(RecordKind::SubjectErased).len(), 2);
    let refused: Vec<_> = kinds(RecordKind::SecurityEvent).iter().map(|found| found.fields.reason.as_deref().unwrap().to_owned()).collect();
    assert_eq!(refused, ["erasure-refused-by-hold"; 2]);
    assert!(verify(folder.path()).unwrap().is_intact());
}

#[test]
fn an_erasure_that_a_crash_cut_in_two_is_finished_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let ledger = open(state);
    fill(&ledger);
    let before = keys(state);
    ledger.erase(Some(&"acme".into()), &SUBJECT.into(), None).unwrap();
    ledger.close().unwrap();
    // As if it had stopped after its commit: the ledger has given the key up, the file has it still.
    let number = before.iter().zip(keys(state)).position(|(before, after)| *before != after).unwrap();
    std::fs::write(state.join("payload.keys"), before.concat()).unwrap();
    let database = rusqlite::Connection::open(state.join("ledger.sqlite")).unwrap();
    database.execute("INSERT INTO doomed VALUES (?1)", [number as i64]).unwrap();
    database.close().unwrap();
    assert_eq!(files_with(state, &before[number]), ["payload.keys"]);
    open(state).close().unwrap();
    assert_eq!(files_with(state, &before[number]), [""; 0]);
}

fn erased() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    fill(&ledger);
    ledger.erase(Some(&"acme".into()), &SUBJECT.into(), None).unwrap();
    ledger.close().unwrap();
    folder
}

fn flaw(sql: &str) -> (u64, Flaw) {
    let folder = erased();
    let database = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    database.execute_batch(sql).unwrap();
    database.close().unwrap();
    let bad = verify(folder.path()).unwrap().first_bad.unwrap();
    (bad.seq.0, bad.flaw)
}

#[test]
fn erased_and_missing_are_told_apart_and_neither_can_be_passed_off_as_the_other() {
    // A payload that is taken away is missing, not erased.
    let folder = erased();
    let database = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    database.execute_batch("DELETE FROM payloads WHERE seq = 2").unwrap();
    database.close().unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.payloads_missing, report.payloads_erased, report.missing), (1, 200, vec![Seq(2)]));
    // Said to be erased, it is not among those that the erasure names.
    let hide = "DELETE FROM payloads WHERE seq = 2; INSERT INTO erased VALUES (2, 601)";
    assert_eq!(flaw(hide), (601, Flaw::ErasedRecords));
    assert_eq!(flaw("DELETE FROM erased WHERE seq = 1"), (601, Flaw::ErasedRecords));
    assert_eq!(flaw("DELETE FROM payloads WHERE seq = 2; INSERT INTO erased VALUES (2, 600)"), (600, Flaw::NoErasure));
    assert_eq!(flaw("DELETE FROM payloads WHERE seq = 2; INSERT INTO erased VALUES (2, 1)"), (2, Flaw::Erased(Seq(1))));
    assert_eq!(flaw("INSERT INTO erased VALUES (2, 601)"), (2, Flaw::Erased(Seq(601))));
}

#[test]
fn without_its_keys_a_ledger_verifies_and_no_payload_can_be_read() {
    let folder = erased();
    std::fs::remove_file(folder.path().join("payload.keys")).unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.payloads, report.payloads_sealed, report.payloads_erased), (0, 401, 200));
    let reader = Reader::open(folder.path()).unwrap();
    let envelope = reader.envelope(Seq(2)).unwrap().unwrap();
    assert_eq!(reader.payload_state(&envelope).unwrap(), PayloadState::Sealed);
    assert!(matches!(reader.payload(&envelope), Err(ReadProblem::PayloadKeys { .. })));
    // A new vault would make all of them unreadable for good, without a word.
    let problem = Ledger::open(folder.path(), LedgerOptions::default()).unwrap_err();
    assert!(problem.to_string().contains("payload.keys` are missing"), "{problem}");
    assert!(!folder.path().join("payload.keys").exists());
}

/// A ledger written by the version before, with payloads in plain.
fn old() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ledger.sqlite", "subject.key"] {
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn a_ledger_of_the_first_version_is_signed_and_sealed_by_the_first_start() {
    let folder = old();
    let state = folder.path();
    assert_eq!(files_with(state, b"Erika-Mustermann@example.org"), ["ledger.sqlite"]);
    assert!(Reader::open(state).unwrap_err().to_string().contains("start an executor once"));
    let ledger = open(state);
    assert_eq!(ledger.epoch(), 3);
    for needle in ["Mustermann", "please call back soon", "run-started\"}"] {
        assert_eq!(files_with(state, needle.as_bytes()), [""; 0], "{needle} is still there in plain");
    }
    let reader = ledger.reader().unwrap();
    let report = verify(state).unwrap();
    assert!(report.is_intact(), "{report}");
    // Heads of before have no signature; the one over all of them has.
    assert_eq!((report.records, report.under_heads, report.heads, report.payloads), (18, 18, 2, 18));
    assert_eq!(report.vouched.unwrap().records, 18);
    assert!(reader.checkpoint_at(9).unwrap().is_none() && reader.checkpoint_at(18).unwrap().is_some());
    let found = |subject: &str| reader.records(Filter::Subject(Some(&"acme".into()), &subject.into()), Seq(0)).count();
    assert_eq!((found("Erika-Mustermann"), found("Max-Mustermann")), (4, 8));
    let envelope = reader.envelope(Seq(2)).unwrap().unwrap();
    assert_eq!(reader.payload(&envelope).unwrap(), Some(json!({ "event": { "email": "Erika-Mustermann@example.org" } })));
    assert_eq!(ledger.erase(Some(&"acme".into()), &"Erika-Mustermann".into(), None).unwrap().payloads, 4);
    ledger.close().unwrap();
    let ledger = open(state);
    assert_eq!(ledger.append(event(&context("run-9", "t"), "x")).unwrap(), Seq(19));
    ledger.close().unwrap();
    let report = verify(state).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.payloads, report.payloads_erased), (15, 4));
}
