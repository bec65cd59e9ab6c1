//! What the ledger costs: appending, writing in batches, waiting for the disk, verifying.
//!
//! `append` is what a caller pays; `written` is what the writer thread sustains, the last record's wait for the disk
//! included; `durable` is one record at a time, beside a bare `fdatasync` of the same disk, and then several callers at once,
//! who share a commit; `verify` is the whole verification of a file. `TMPDIR` says on which disk.
#![expect(clippy::expect_used, reason = "a benchmark stops at the first thing that is not as expected")]

#[path = "calls/mod.rs"]
mod calls;

use std::fs::File;
use std::future::Future;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_core::Recorder;
use bailiwick_core::ids::Seq;
use bailiwick_ledger::{Ledger, LedgerOptions, PRESSED_RECORDS, verify};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use calls::{Calls, fill};

/// Records of one measured batch.
const BATCH: u64 = 100_000;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn open(folder: &tempfile::TempDir) -> Ledger {
    Ledger::open(folder.path(), LedgerOptions::default()).expect("a ledger")
}

fn append(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = open(&folder);
    let calls = Calls::new();
    let mut n = 0;
    c.bench_function("append", |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                // Never so many that the caller would have to wait; waiting is not what is measured.
                let some = left.min(PRESSED_RECORDS as u64);
                // Intents refer to no sequence and outcomes to that of the one before, so drafts can be made beforehand.
                let drafts: Vec<_> = (n..n + some).map(|n| calls.draft(n)).collect();
                let mut last = Seq(0);
                let start = Instant::now();
                for draft in drafts {
                    last = black_box(ledger.append(draft).expect("a place"));
                }
                spent += start.elapsed();
                n += some;
                left -= some;
                block_on(ledger.durable(last)).expect("on disk");
            }
            spent
        });
    });
}

fn written(c: &mut Criterion) {
    let calls = Calls::new();
    let mut group = c.benchmark_group("written");
    group.throughput(Throughput::Elements(BATCH)).sample_size(10);
    group.bench_function("100,000 records", |b| {
        b.iter_batched_ref(
            || {
                let folder = tempfile::tempdir().expect("a folder");
                let ledger = open(&folder);
                // In this order, so that the ledger is closed before its folder goes.
                (ledger, folder)
            },
            |(ledger, _)| fill(ledger, &calls, BATCH),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn durable(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = c.benchmark_group("durable");
    let mut file = File::create(folder.path().join("bare")).expect("a file");
    group.bench_function("bare fdatasync of 4 KiB appended", |b| {
        b.iter(|| {
            file.write_all(&[0x5a; 4_096]).expect("written");
            file.sync_data().expect("on disk");
        });
    });
    let ledger = Arc::new(open(&folder));
    let calls = Arc::new(Calls::new());
    group.bench_function("one record", |b| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        b.iter(|| {
            let seq = ledger.append(calls.draft(0)).expect("a place");
            runtime.block_on(ledger.durable(seq)).expect("on disk");
        });
    });
    group.bench_function("one record, 32 callers at once", |b| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        b.iter_custom(|iterations| {
            let start = Instant::now();
            runtime.block_on(async {
                let mut callers = tokio::task::JoinSet::new();
                for caller in 0..32 {
                    let (ledger, calls) = (Arc::clone(&ledger), Arc::clone(&calls));
                    callers.spawn(async move {
                        for _ in (caller..iterations).step_by(32) {
                            let seq = ledger.append(calls.draft(0)).expect("a place");
                            ledger.durable(seq).await.expect("on disk");
                        }
                    });
                }
                callers.join_all().await;
            });
            start.elapsed()
        });
    });
    group.finish();
}

fn verification(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = open(&folder);
    fill(&ledger, &Calls::new(), BATCH);
    ledger.close().expect("written");
    let mut group = c.benchmark_group("verify");
    group.throughput(Throughput::Elements(BATCH)).sample_size(10);
    group.bench_function("100,000 records", |b| {
        b.iter(|| {
            let report = verify(folder.path()).expect("a ledger");
            assert!(report.is_intact() && report.records == BATCH, "{report}");
        });
    });
    group.finish();
}

criterion_group!(benches, append, written, durable, verification);
criterion_main!(benches);
