//! A host that is killed: whatever it had been told is on disk is there, and what is there verifies.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

#[expect(dead_code, reason = "shared by several test files, each of which uses some of it")]
mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bailiwick_core::Recorder;
use bailiwick_core::ids::Seq;
use bailiwick_ledger::{Filter, Ledger, LedgerOptions, OpenProblem, Reader, verify};

use common::{block_on, context, event, open};

const STATE: &str = "BAILIWICK_LEDGER_TEST_STATE";

/// Runs `child` of this file in a process of its own.
fn spawn(state: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test: appends until it is killed and says after each wait what is on disk. Without the variable, it does nothing.
#[test]
fn child() {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else { return };
    let ledger = open(&state);
    let context = context("run-1", "task-1");
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nready").unwrap();
    for round in 0.. {
        let mut last = Seq(0);
        // Many more are on their way than are waited for, so that the kill falls into a commit as often as between two.
        for _ in 0..200 {
            last = ledger.append(event(&context, &format!("e{round}"))).unwrap();
        }
        if round % 3 == 0 {
            block_on(ledger.durable(last)).unwrap();
            writeln!(out, "durable {last}").unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    // Each round has two executors: the one that is killed, and the one that takes over.
    for (epoch, rounds) in [(2, 1), (4, 3), (6, 10), (8, 25)] {
        let mut child = spawn(folder.path());
        let mut lines =
            BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).filter(|line| line.starts_with("durable "));
        let mut last = lines.by_ref().take(rounds).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(later) = lines.last() {
            last = later;
        }
        let acknowledged: u64 = last.strip_prefix("durable ").unwrap().parse().unwrap();

        let there = intact(folder.path());
        assert!(there > acknowledged, "{acknowledged} was acknowledged, {there} records are there");
        assert!(there > before);
        let ledger = open(folder.path());
        assert_eq!(ledger.epoch(), epoch);
        assert_eq!(ledger.append(event(&context("run-2", "t"), "x")).unwrap(), Seq(there));
        ledger.close().unwrap();
        before = intact(folder.path());
        assert_eq!(before, there + 1);
    }
}

/// Verifies, and gives the number of records: a prefix of what was appended, without gaps.
fn intact(state: &Path) -> u64 {
    let report = verify(state).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.records, report.under_heads);
    let reader = Reader::open(state).unwrap();
    let read: Vec<_> = reader.records(Filter::All, Seq(0)).map(|found| found.unwrap().seq.0).collect();
    assert_eq!(read, (0..report.records).collect::<Vec<_>>());
    report.records
}

#[test]
fn a_second_executor_in_another_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = spawn(folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    let problem = Ledger::open(folder.path(), LedgerOptions::default()).unwrap_err();
    let reader = Reader::open(folder.path()).map(|reader| reader.head().unwrap().size);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(&problem, OpenProblem::Held { holder: Some(holder), .. } if holder.pid == child.id()), "{problem}");
    assert!(reader.is_ok());
    // A killed executor holds nothing.
    assert_eq!(open(folder.path()).epoch(), 2);
}
