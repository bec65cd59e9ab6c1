//! Processor time a record, of all threads together: what does not depend on who else uses the machine, beside the wall clock.
//!
//! `cargo bench -p bailiwick-ledger --bench processor`. `TMPDIR` says on which disk; on a RAM disk the disk's own time is left out.
#![expect(clippy::expect_used, reason = "a benchmark stops at the first thing that is not as expected")]

#[path = "calls/mod.rs"]
mod calls;

use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_ledger::{Ledger, LedgerOptions, Reader, Trust, verify, verify_bundle};

use calls::{Calls, fill, fill_from};

const RECORDS: u64 = 300_000;
/// Records that get a head each.
const SINGLE: u64 = 10_000;

/// Processor time of this process so far, in user and in system mode.
fn spent() -> Duration {
    ticks_of(Path::new("/proc/self/stat"))
}

fn ticks_of(stat: &Path) -> Duration {
    let stat = std::fs::read_to_string(stat).expect("Linux");
    // After the name, which may hold anything, the 12th and 13th fields; a tick is 10 ms.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let ticks: u64 = fields.into_iter().flatten().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// Processor time of the writer thread so far: what bounds the ledger where there are processors enough for the others.
fn spent_by_writer() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").map(|task| task.expect("a thread").path());
    let writers = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "ledger-writer"));
    writers.map(|task| ticks_of(&task.join("stat"))).max().unwrap_or_default()
}

fn measure(what: &str, records: u64, work: impl FnOnce()) {
    let (before, start) = (spent(), Instant::now());
    work();
    let (processor, wall) = (spent() - before, start.elapsed());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / records as f64;
    println!("{what:<28} {:>6.2} µs processor {:>6.2} µs wall a record, {:>9.0} records/s", each(processor), each(wall), 1e6 / each(wall));
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, bundle) = (folder.path().join("state"), folder.path().join("bundle"));
    let calls = Calls::new();
    measure("appended until on disk", RECORDS, || {
        let ledger = Ledger::open(&state, LedgerOptions::default()).expect("a ledger");
        fill(&ledger, &calls, RECORDS);
        println!("of that, the writer thread     {:.2} µs processor a record", spent_by_writer().as_secs_f64() * 1e6 / RECORDS as f64);
        ledger.close().expect("written");
    });
    let report = |records: u64| assert_eq!(records, RECORDS);
    measure("verified", RECORDS, || report(verify(&state).expect("a ledger").records));
    let keys = hide(&state, "payload.keys");
    measure("verified, payloads sealed", RECORDS, || report(verify(&state).expect("a ledger").records));
    std::fs::rename(keys, state.join("payload.keys")).expect("put back");
    let reader = Reader::open(&state).expect("a ledger");
    measure("exported, without payloads", RECORDS, || drop(reader.export(&bundle, false).expect("a bundle")));
    let trust = Trust { keys: vec![reader.signing_keys().expect("keys").remove(0).1], ..Trust::default() };
    measure("verified, bundle", RECORDS, || report(verify_bundle(&bundle, &trust).expect("a bundle").records));

    // The dearest there is: every record durable by itself, so that each has a head, and each head a signature.
    let single = folder.path().join("single");
    let ledger = Ledger::open(&single, LedgerOptions::default()).expect("a ledger");
    measure("one head a record: appended", SINGLE, || (0..SINGLE).for_each(|n| fill_from(&ledger, &calls, n, n + 1)));
    ledger.close().expect("written");
    measure("one head a record: verified", SINGLE, || assert!(verify(&single).expect("a ledger").is_intact()));
}

fn hide(state: &Path, name: &str) -> std::path::PathBuf {
    let aside = state.join("aside");
    std::fs::rename(state.join(name), &aside).expect("moved");
    aside
}
