//! How sharp the limits are and what a sandbox weighs: deadline overshoot of an endless loop, what its neighbours notice, memory of idle instances.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bailiwick_benches::{Bench, be_the_child_if_asked, bench, customer, input, percentile};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::limits::LimitKind;
use bailiwick_core::runner::{EndReason, TaskOutcome};
use bailiwick_runtime::EngineSettings;
use bailiwick_runtime::floor::Floor;

/// Pace of the neighbours.
const PACE: Duration = Duration::from_millis(2);

fn main() -> anyhow::Result<()> {
    be_the_child_if_asked();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().event_interval(8).build()?;
    runtime.block_on(async {
        let bench = bench(2, EngineSettings { sandboxes: 64 }).await?;
        deadlines(&bench).await?;
        neighbours(&bench).await
    })?;
    runtime.block_on(density())
}

async fn deadlines(bench: &Bench) -> anyhow::Result<()> {
    println!("\n## Overshoot of an endless loop (elapsed minus deadline)\n\n| deadline | n | p50 | p99 | max |\n|---|---|---|---|---|");
    for (deadline, count) in [(10, 300), (100, 60)] {
        let deadline = Duration::from_millis(deadline);
        let mut over = Vec::new();
        for _ in 0..count {
            let task = bench.task(input(0, true), deadline)?;
            let started = Instant::now();
            let report = bench.sandbox.run(task).await;
            over.push(started.elapsed().saturating_sub(deadline));
            let is_deadline = matches!(report.outcome, TaskOutcome::Ended(EndReason::Limit { limit: LimitKind::Deadline, .. }));
            ensure!(is_deadline, "ended otherwise: {:?}", report.outcome);
        }
        let (p50, p99, max) = (percentile(&mut over, 500), percentile(&mut over, 990), percentile(&mut over, 1000));
        println!("| {deadline:?} | {count} | {p50:.2?} | {p99:.2?} | {max:.2?} |");
    }
    Ok(())
}

/// Due to done of a timer on the I/O runtime, and of a governed task started at the same pace, each without and with endless loops beside it.
async fn neighbours(bench: &Bench) -> anyhow::Result<()> {
    println!("\n## Neighbours every {PACE:?}, rounds alternate\n\n| neighbour | endless loops | n | p50 | p99 |\n|---|---|---|---|---|");
    let mut samples: [Vec<Duration>; 4] = Default::default();
    for _ in 0..6 {
        for spinners in [0_usize, 1] {
            let spinning: Vec<_> = (0..spinners)
                .map(|_| {
                    let task = bench.task(input(0, true), Duration::from_secs(10))?;
                    let sandbox = std::sync::Arc::clone(&bench.sandbox);
                    anyhow::Ok(tokio::spawn(async move { sandbox.run(task).await }))
                })
                .collect::<Result<_, _>>()?;
            let timer = paced(400, || async { Ok(()) }).await?;
            let tasks = paced(400, || async {
                let report = bench.sandbox.run(bench.task(input(1, false), Duration::from_secs(5))?).await;
                ensure!(matches!(report.outcome, TaskOutcome::Answered(_)), "{:?}", report.outcome);
                Ok(())
            })
            .await?;
            for handle in spinning {
                handle.abort();
            }
            let [idle_timer, idle_task, busy_timer, busy_task] = &mut samples;
            let (into_timer, into_task) = if spinners == 0 { (idle_timer, idle_task) } else { (busy_timer, busy_task) };
            into_timer.extend(timer);
            into_task.extend(tasks);
        }
    }
    let names = [("timer on the I/O runtime", 0), ("governed task", 0), ("timer on the I/O runtime", 1), ("governed task", 1)];
    for ((name, spinners), samples) in names.into_iter().zip(&mut samples) {
        println!("| {name} | {spinners} | {} | {:.2?} | {:.2?} |", samples.len(), percentile(samples, 500), percentile(samples, 990));
    }
    Ok(())
}

async fn paced<F: Future<Output = anyhow::Result<()>>>(count: usize, work: impl Fn() -> F) -> anyhow::Result<Vec<Duration>> {
    let mut interval = tokio::time::interval(PACE);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let due = interval.tick().await;
        work().await?;
        samples.push(due.elapsed());
    }
    Ok(samples)
}

async fn density() -> anyhow::Result<()> {
    const COUNT: usize = 1_000;
    let wasm = bailiwick_benches::guest()?;
    let catalog = bailiwick_wit::builtin_catalog()?;
    let floor = Floor::new(EngineSettings { sandboxes: 1_024 }, &wasm, &catalog, &customer()).map_err(anyhow::Error::msg)?;
    let text = input(1, false).to_string();
    let warm = floor.idle(1, &text).await.map_err(anyhow::Error::msg)?;
    let before = resident_kib()?;
    let idle = floor.idle(COUNT, &text).await.map_err(anyhow::Error::msg)?;
    let after = resident_kib()?;
    println!(
        "\n## Idle instances\n\n{COUNT} instances after one call each: {:.1} KiB resident each",
        (after - before) as f64 / COUNT as f64
    );
    drop((warm, idle));
    Ok(())
}

fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
