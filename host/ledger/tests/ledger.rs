//! The ledger by its public surface: what is appended reads back; who may open it; what happens when it cannot write.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_core::Recorder;
use bailiwick_core::ids::{Digest, RunId, Seq};
use bailiwick_core::record::{CallOutcome, Draft, Part, Payload, RecordKind};
use bailiwick_ledger::{FULL_FACTOR, Filter, Ledger, LedgerOptions, OpenProblem, PAGE, PRESSED_BYTES, PRESSED_RECORDS, Reader, verify};
use serde_json::json;

use common::{about, block_on, context, draft, event, fill, intent, open, outcome};

#[test]
fn records_read_back_in_order_and_by_what_they_are_about() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 200);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.head().unwrap().size, 1_200);
    let all: Vec<_> = reader.records(Filter::All, Seq(0)).map(Result::unwrap).collect();
    assert_eq!(all.iter().map(|envelope| envelope.seq.0).collect::<Vec<_>>(), (0..1_200).collect::<Vec<_>>());
    assert!(all.len() > 2 * PAGE);

    let (run, other, task) = ("run-0007".into(), "run-0008".into(), "task-0007".into());
    fn seqs(reader: &Reader, filter: Filter<'_>) -> Vec<u64> {
        reader.records(filter, Seq(0)).map(|envelope| envelope.unwrap().seq.0).collect()
    }
    assert_eq!(seqs(&reader, Filter::Run(&run)), [42, 43, 44, 45, 46, 47]);
    assert_eq!(seqs(&reader, Filter::Run(&other)), [48, 49, 50, 51, 52, 53]);
    assert_eq!(seqs(&reader, Filter::Task(&task)), [42, 43, 44, 45, 46, 47]);
    assert_eq!(seqs(&reader, Filter::Events(&run)), [42, 47]);
    assert_eq!(seqs(&reader, Filter::Run(&"run-9".into())), [0; 0]);
    assert_eq!(seqs(&reader, Filter::Kind(RecordKind::CallIntent)).len(), 200);
    assert_eq!(reader.page(Filter::Run(&run), Seq(44), 2).unwrap().iter().map(|found| found.seq.0).collect::<Vec<_>>(), [44, 45]);
    assert_eq!(seqs(&reader, Filter::Subject(Some(&"acme".into()), &"C-7".into())), [44]);
    assert_eq!(seqs(&reader, Filter::Subject(Some(&"other".into()), &"C-7".into())), [0; 0]);
    assert_eq!(seqs(&reader, Filter::Subject(None, &"C-7".into())), [0; 0]);

    let intent = reader.envelope(Seq(44)).unwrap().unwrap();
    assert_eq!(reader.payload(&intent).unwrap(), Some(json!({"event": {"id": "C-7"}})));
    assert_eq!(reader.payload(&reader.envelope(Seq(43)).unwrap().unwrap()).unwrap(), None);
    assert_eq!(reader.envelope(Seq(1_200)).unwrap(), None);
    let events: Vec<_> = reader.events_of(&run).map(|event| event.unwrap().1.unwrap()["event"]["name"].clone()).collect();
    assert_eq!(events, ["run-started", "run-finished"]);
}

#[test]
fn runs_are_listed_newest_first_with_their_last_event() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 5);
    let ledger = open(folder.path());
    let unfinished = context("run-0005", "task-x");
    let started = ledger.append(event(&unfinished, "run-started")).unwrap();
    let later = ledger.append(draft(RecordKind::TaskStarted, &unfinished)).unwrap();
    block_on(ledger.durable(later)).unwrap();
    let reader = ledger.reader().unwrap();
    let page = reader.runs(None, 2).unwrap();
    let ids = |page: &[bailiwick_ledger::RunSummary]| page.iter().map(|run| run.run.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&page), ["run-0005", "run-0004"]);
    assert_eq!((page[0].first.seq, page[0].last.event.as_deref()), (started, Some("run-started")));
    assert_eq!(page[1].last.event.as_deref(), Some("run-finished"));
    assert_eq!(page[1].workflow, Some("returns".into()));
    let next = reader.runs(Some(&page[1].run), PAGE).unwrap();
    assert_eq!(ids(&next), ["run-0003", "run-0002", "run-0001", "run-0000"]);
    assert!(reader.runs(Some(&next[3].run), PAGE).unwrap().is_empty());
}

#[test]
fn no_subject_stands_in_the_file_in_plain_outside_of_its_payload() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let context = context("run-1", "task-1");
    for _ in 0..2 {
        let payload = Payload { subject: Some("Erika-Mustermann".into()), parts: vec![("args", json!(1).into())] };
        ledger.append(Draft { payload: Some(payload), ..draft(RecordKind::CallIntent, &context) }).unwrap();
    }
    ledger.close().unwrap();
    let bytes = std::fs::read(folder.path().join("ledger.sqlite")).unwrap();
    assert!(!bytes.windows(16).any(|window| window == b"Erika-Mustermann"));
    let reader = Reader::open(folder.path()).unwrap();
    let commitments: Vec<_> = reader.records(Filter::All, Seq(0)).map(|envelope| envelope.unwrap().commitment.unwrap()).collect();
    // Salted: the same payload gives another commitment each time, and none is its plain digest.
    assert_ne!(commitments[0], commitments[1]);
    assert!(!commitments.contains(&Digest::of(br#"{"args":1}"#)));
}

#[test]
fn files_are_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for file in [
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
        "subject.key",
        "payload.keys",
        "signing.key",
        "ledger.checkpoint",
        "lock",
    ] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(ledger);
}

#[test]
fn time_never_goes_back_also_not_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&now);
    let options = LedgerOptions { clock: Arc::new(move || clock.load(Ordering::Relaxed)), ..LedgerOptions::default() };
    let context = context("run-1", "task-1");
    for times in [[1_000, 500, 2_000], [100, 1_999, 2_001]] {
        let ledger = Ledger::open(folder.path(), options.clone()).unwrap();
        for time in times {
            now.store(time, Ordering::Relaxed);
            ledger.append(event(&context, "x")).unwrap();
        }
        ledger.close().unwrap();
    }
    let reader = Reader::open(folder.path()).unwrap();
    let times: Vec<_> = reader.records(Filter::All, Seq(0)).map(|envelope| envelope.unwrap().time_ms).collect();
    assert_eq!(times, [1_000, 1_000, 2_000, 2_000, 2_000, 2_001]);
}

#[test]
fn a_reopened_ledger_goes_on_where_it_was_in_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 3);
    let ledger = open(folder.path());
    assert_eq!(ledger.epoch(), 2);
    assert_eq!(ledger.append(event(&context("run-9", "t"), "x")).unwrap(), Seq(18));
    drop(ledger);
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.under_heads), (19, 19));
}

#[test]
fn durable_means_that_a_reader_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(folder.path()));
    let writers: Vec<_> = (0..8)
        .map(|thread| {
            let ledger = Arc::clone(&ledger);
            std::thread::spawn(move || {
                let context = context(&format!("run-{thread}"), "t");
                let reader = ledger.reader().unwrap();
                for n in 0..50 {
                    let seq = ledger.append(event(&context, &format!("e{n}"))).unwrap();
                    block_on(ledger.durable(seq)).unwrap();
                    // Opening looks at records, head and tree: it must see them of one moment.
                    assert!(ledger.reader().unwrap().head().unwrap().size > seq.0);
                    let found = reader.envelope(seq).unwrap().unwrap();
                    assert_eq!((found.context.run, found.fields.event.as_deref()), (context.run.clone(), Some(&*format!("e{n}"))));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(ledger.reader().unwrap().head().unwrap().size, 400);
}

#[test]
fn waiting_for_what_was_never_appended_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    assert!(block_on(ledger.durable(Seq(0))).unwrap_err().to_string().contains("record 0 was never appended"));
}

/// Keeps the writer from writing for as long as it lives.
fn hold(state: &Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(state.join("ledger.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[test]
fn records_press_above_the_bound_and_not_at_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let held = hold(folder.path());
    let context = context("run-1", "t");
    for n in 1..=PRESSED_RECORDS {
        ledger.append(event(&context, "x")).unwrap();
        assert!(!ledger.is_pressed(), "{n} records");
    }
    let last = ledger.append(event(&context, "x")).unwrap();
    assert!(ledger.is_pressed());
    drop(held);
    block_on(ledger.durable(last)).unwrap();
    assert!(!ledger.is_pressed());
}

#[test]
fn bytes_press_above_the_bound_and_not_below() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let held = hold(folder.path());
    let append = |bytes: usize| {
        let payload = Payload { subject: None, parts: vec![("args", json!("x".repeat(bytes)).into())] };
        ledger.append(Draft { payload: Some(payload), ..draft(RecordKind::CallIntent, &context("r", "t")) }).unwrap()
    };
    // Records themselves have some hundred bytes each.
    append(PRESSED_BYTES / 2);
    append(PRESSED_BYTES / 2 - 4_096);
    assert!(!ledger.is_pressed());
    let last = append(4_096);
    assert!(ledger.is_pressed());
    drop(held);
    block_on(ledger.durable(last)).unwrap();
    assert!(!ledger.is_pressed());
}

#[test]
fn who_does_not_heed_the_pressure_waits_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let held = hold(folder.path());
    let context = context("run-1", "t");
    let count = PRESSED_RECORDS * FULL_FACTOR + 1_000;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                sender.send(ledger.append(event(&context, "x")).unwrap()).unwrap();
            }
            drop(sender);
        });
        // Until the bound it goes on although nothing is written; beyond it, only once something is.
        for n in 0..=PRESSED_RECORDS * FULL_FACTOR {
            assert_eq!(receiver.recv().unwrap(), Seq(n as u64));
        }
        drop(held);
        assert_eq!(receiver.iter().count(), 999);
    });
    ledger.close().unwrap();
    assert_eq!(verify(folder.path()).unwrap().records, count as u64);
}

#[test]
fn when_the_disk_is_full_effects_stop_and_what_was_written_stays() {
    let folder = tempfile::tempdir().unwrap();
    let options = LedgerOptions { max_pages: Some(64), ..LedgerOptions::default() };
    let ledger = Ledger::open(folder.path(), options).unwrap();
    let context = context("run-1", "t");
    let mut acknowledged = 0;
    let failure = loop {
        let payload = Some(about(Some("C-1"), json!("x".repeat(2_000))));
        let seq = ledger.append(Draft { payload, ..draft(RecordKind::CallIntent, &context) }).unwrap();
        match block_on(ledger.durable(seq)) {
            Ok(()) => acknowledged = seq.0 + 1,
            Err(failure) => break failure,
        }
    };
    assert!(acknowledged > 10);
    assert!(failure.to_string().contains("full"), "{failure}");
    // For good, for everybody, and with the reason.
    assert_eq!(ledger.append(event(&context, "x")).unwrap_err(), failure);
    assert_eq!(block_on(ledger.durable(Seq(acknowledged))).unwrap_err(), failure);
    assert_eq!(block_on(ledger.durable(Seq(acknowledged - 1))), Ok(()));
    assert_eq!(ledger.close().unwrap_err(), failure);

    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.records, acknowledged);
    // With room again, it goes on.
    let ledger = open(folder.path());
    assert_eq!(ledger.append(event(&context, "x")).unwrap(), Seq(acknowledged));
    ledger.close().unwrap();
    assert!(verify(folder.path()).unwrap().is_intact());
}

#[test]
fn those_who_wait_when_it_fails_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let part = |n: i64| ("args", Part::from(json!(n)));
    let bad = Payload { subject: None, parts: vec![part(1), part(2)] };
    let context = context("r", "t");
    let good = ledger.append(event(&context, "x")).unwrap();
    let seq = ledger.append(Draft { payload: Some(bad), ..draft(RecordKind::CallIntent, &context) }).unwrap();
    let after = ledger.append(event(&context, "x"));
    let waits = [good, seq].map(|seq| ledger.durable(seq));
    let [first, second] = waits.map(block_on);
    assert!(second.unwrap_err().to_string().contains("two parts of a payload are named `args`"));
    // The first was on disk before, or fell with its batch.
    assert_eq!(first.is_ok(), verify(folder.path()).unwrap().records == 1);
    assert!(after.is_err() || block_on(ledger.durable(after.unwrap())).is_err());
}

fn error(state: &Path) -> OpenProblem {
    Ledger::open(state, LedgerOptions::default()).unwrap_err()
}

#[test]
fn a_second_executor_is_refused_by_name_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let problem = error(folder.path());
    assert!(matches!(&problem, OpenProblem::Held { holder: Some(holder), .. } if holder.pid == std::process::id() && holder.epoch == 1));
    assert!(problem.to_string().contains(&format!("process {} (epoch 1)", std::process::id())));
    let seq = ledger.append(event(&context("r", "t"), "x")).unwrap();
    block_on(ledger.durable(seq)).unwrap();
}

/// Changes something in a closed ledger, expects an error, and that opening has changed nothing.
fn refused(damage: impl Fn(&Path)) -> (OpenProblem, Result<Reader, OpenProblem>) {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20);
    damage(&folder.path().join("ledger.sqlite"));
    let contents = || ["ledger.sqlite", "subject.key"].map(|name| std::fs::read(folder.path().join(name)).ok());
    let before = contents();
    let problem = error(folder.path());
    let reader = Reader::open(folder.path());
    assert!(before == contents(), "opening changed something");
    (problem, reader)
}

fn sql(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

#[test]
fn what_is_no_ledger_is_refused_and_left_alone() {
    let (problem, reader) = refused(|path| std::fs::write(path, "dear diary, ".repeat(1_000)).unwrap());
    assert!(matches!(problem, OpenProblem::NotADatabase { .. }), "{problem}");
    assert!(matches!(reader, Err(OpenProblem::NotADatabase { .. })));

    let (problem, _) = refused(|path| {
        std::fs::remove_file(path).unwrap();
        sql(path, "CREATE TABLE diary (day TEXT)");
    });
    assert!(matches!(problem, OpenProblem::NotALedger { .. }), "{problem}");

    let (problem, reader) = refused(|path| sql(path, "PRAGMA user_version = 3"));
    assert!(matches!(problem, OpenProblem::Newer { found: 3, known: 2, .. }), "{problem}");
    assert!(matches!(reader, Err(OpenProblem::Newer { .. })));

    let trigger = "CREATE TRIGGER hide AFTER INSERT ON records BEGIN DELETE FROM payloads WHERE seq = new.seq; END";
    let (problem, _) = refused(|path| sql(path, trigger));
    assert!(matches!(problem, OpenProblem::NotALedger { .. }), "{problem}");
}

#[test]
fn a_damaged_ledger_is_refused_and_left_alone() {
    let (problem, _) = refused(|path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 8192 * 4096).unwrap();
    });
    assert!(matches!(problem, OpenProblem::Damaged { .. }), "{problem}");
    for change in [
        "DELETE FROM records WHERE seq = 119",
        "DELETE FROM heads WHERE size = 120",
        "UPDATE heads SET root = zeroblob(32) WHERE size = 120",
        "UPDATE tree SET size = 119",
        "UPDATE tree SET edge = zeroblob(128)",
        "DELETE FROM tree",
        "DELETE FROM host",
        "UPDATE records SET envelope = x'7b7d' WHERE seq = 119",
    ] {
        let (problem, reader) = refused(|path| sql(path, change));
        assert!(matches!(problem, OpenProblem::Damaged { .. }), "{change}: {problem}");
        assert!(matches!(reader, Err(OpenProblem::Damaged { .. })), "{change}");
    }
}

#[test]
fn a_lost_or_foreign_subject_key_is_refused_and_none_is_made() {
    for replacement in [None, Some(vec![7; 32]), Some(vec![7; 5])] {
        let (problem, reader) = refused(|path| {
            let key = path.with_file_name("subject.key");
            match &replacement {
                None => std::fs::remove_file(key).unwrap(),
                Some(bytes) => std::fs::write(key, bytes).unwrap(),
            }
        });
        assert!(matches!(problem, OpenProblem::SubjectKey { .. }), "{problem}");
        // What needs no key still reads.
        let reader = reader.unwrap();
        assert!(reader.page(Filter::All, Seq(0), 1).is_ok());
        assert!(reader.page(Filter::Subject(None, &"C-1".into()), Seq(0), 1).is_err());
    }
}

#[test]
fn a_reader_finds_no_ledger_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(OpenProblem::Absent { .. })));
    assert!(matches!(Reader::open(&folder.path().join("no")), Err(OpenProblem::Absent { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_reads_while_the_executor_writes() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.head().unwrap().size, 0);
    let run = RunId::from("run-1");
    let context = context("run-1", "t");
    let mut records = reader.records(Filter::Run(&run), Seq(0));
    for n in 0..3 {
        let intent = ledger.append(intent(&context, "C-1")).unwrap();
        let last = ledger.append(outcome(&context, Some(intent), CallOutcome::Ok)).unwrap();
        block_on(ledger.durable(last)).unwrap();
        assert_eq!(records.next().unwrap().unwrap().seq, Seq(n));
    }
    assert!(verify(folder.path()).unwrap().is_intact());
}
