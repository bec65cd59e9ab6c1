//! A swap under load: tasks that run while versions change, beside tasks that run while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bailiwick_benches::{Bench, be_the_child_if_asked, bench, input, percentile};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::runner::TaskOutcome;
use bailiwick_runtime::{EngineSettings, InstallOptions};

/// How long each round lasts.
const ROUND: Duration = Duration::from_secs(3);
/// Times between two swaps: ten a second, fifty a second.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(20)];

fn main() -> anyhow::Result<()> {
    be_the_child_if_asked();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().event_interval(8).build()?;
    runtime.block_on(async {
        let bench = Arc::new(bench(2, EngineSettings { sandboxes: 64 }).await?);
        let first = bench.wasm.clone();
        // The same agent with another digest: a custom section is no code.
        let mut second = first.clone();
        second.extend_from_slice(b"\0\x05\x04swap");
        let replace = InstallOptions { activate: true, replace: true, ..InstallOptions::default() };
        bench.sandbox.registry().install("second", &second, replace).await?;
        let mut quiet = Vec::new();
        let mut swapped = [Vec::new(), Vec::new()];
        let mut swaps = [0_u32; 2];
        for _ in 0..3 {
            quiet.extend(round(&bench, async |_| Ok(())).await?);
            for ((pause, samples), swaps) in PAUSES.into_iter().zip(&mut swapped).zip(&mut swaps) {
                let beside = async |stop: &AtomicBool| {
                    while !stop.load(Ordering::Relaxed) {
                        for wasm in [&first, &second] {
                            bench.sandbox.registry().install("swap", wasm, replace).await?;
                            *swaps += 1;
                            tokio::time::sleep(pause).await;
                        }
                    }
                    Ok(())
                };
                samples.extend(round(&bench, beside).await?);
            }
        }
        println!(
            "\n## Swap under load (2 callers, no failed task)\n\n| | tasks | swaps | p50 | p99 | p99 ratio |\n|---|---|---|---|---|---|"
        );
        let floor = percentile(&mut quiet, 990);
        println!("| no swap | {} | 0 | {:.1?} | {floor:.1?} | 1 |", quiet.len(), percentile(&mut quiet, 500));
        for ((pause, mut samples), swaps) in PAUSES.into_iter().zip(swapped).zip(swaps) {
            let (p50, p99) = (percentile(&mut samples, 500), percentile(&mut samples, 990));
            let ratio = p99.as_secs_f64() / floor.as_secs_f64();
            println!("| an install and a swap every {pause:?} | {} | {swaps} | {p50:.1?} | {p99:.1?} | {ratio:.2} |", samples.len());
        }
        Ok(())
    })
}

/// Two callers run tasks one after the other, for a while; `beside` runs beside them until told to stop.
async fn round(bench: &Arc<Bench>, beside: impl AsyncFnOnce(&AtomicBool) -> anyhow::Result<()>) -> anyhow::Result<Vec<Duration>> {
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (bench, stop) = (Arc::clone(bench), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut samples = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let task = bench.task(input(1, false), Duration::from_secs(5))?;
                    let started = Instant::now();
                    let report = bench.sandbox.run(task).await;
                    samples.push(started.elapsed());
                    ensure!(matches!(report.outcome, TaskOutcome::Answered(_)), "a task failed: {:?}", report.outcome);
                }
                anyhow::Ok(samples)
            })
        })
        .collect();
    let timer = async {
        tokio::time::sleep(ROUND).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (done, ()) = tokio::join!(beside(&stop), timer);
    done?;
    let mut samples = Vec::new();
    for caller in callers {
        samples.extend(caller.await??);
    }
    Ok(samples)
}
