//! What governance costs: a governed task and a governed call beside the bare engine, in one run.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_benches::{be_the_child_if_asked, bench, customer, input};
use bailiwick_core::ids::TaskId;
use bailiwick_core::runner::{TaskOutcome, TaskSpec, WantedGrant};
use bailiwick_runtime::EngineSettings;
use bailiwick_runtime::floor::Floor;
use criterion::{Criterion, criterion_group};

const MANY: u32 = 1_000;

#[expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]
fn governed(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(8).build().unwrap();
    let bench = runtime.block_on(bench(1, EngineSettings { sandboxes: 64 })).unwrap();
    let floor = Floor::new(EngineSettings { sandboxes: 64 }, &bench.wasm, &bench.catalog, &customer()).unwrap();
    let mut group = c.benchmark_group("task");
    group.measurement_time(Duration::from_secs(8));
    for (name, calls) in [("one-call", 1), ("thousand-calls", MANY)] {
        let value = Arc::new(input(calls, false));
        let text = value.to_string();
        group.bench_function(format!("floor/{name}"), |b| b.to_async(&runtime).iter(|| async { floor.run(&text).await.unwrap() }));
        let spec = bench.task(input(calls, false), Duration::from_secs(10)).unwrap();
        group.bench_function(format!("governed/{name}"), |b| {
            b.to_async(&runtime).iter(|| async {
                let report = bench.sandbox.run_here(again(&spec)).await;
                assert!(matches!(report.outcome, TaskOutcome::Answered(_)), "{:?}", report.outcome);
            })
        });
    }
    group.finish();
}

/// The same task again, as an orchestrator makes it from its plan: a new id and unused budgets.
fn again(spec: &TaskSpec) -> TaskSpec {
    let wants = spec.wants.iter().map(|wanted| WantedGrant { request: wanted.request.clone(), used: Arc::default() }).collect();
    TaskSpec { id: TaskId::fresh(), wants, ..spec.clone() }
}

criterion_group!(benches, governed);

fn main() {
    be_the_child_if_asked();
    benches();
    criterion::Criterion::default().configure_from_args().final_summary();
}
