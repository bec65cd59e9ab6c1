//! Limits: each ends the task with its own reason, at the number that it says, and nobody else notices.

use std::time::Duration;

use anyhow::{Result, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::grant::Condition;
use bailiwick_core::limits::{ByteCount, LimitKind, Span};
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_core::runner::{EndReason, TaskOutcome, TaskReport};
use bailiwick_test_artifacts::{self as artifacts, assert_every_limits};
use bailiwick_test_host::upstream::CUSTOMER;
use bailiwick_test_host::{Kept, answered, ended};
use serde_json::json;

use crate::{bench, settings};

assert_every_limits!();

/// A debug build on a busy machine; the benches measure the real figure.
const OVERSHOOT: Duration = Duration::from_millis(250);

/// Checks the reason, that the ledger has it, and that the task left nothing else behind.
fn assert_limit(report: &TaskReport, kept: &Kept, expected: LimitKind) -> Result<()> {
    let reason = ended(report)?;
    ensure!(matches!(reason, EndReason::Limit { limit, .. } if *limit == expected), "{expected} was expected, not {reason}");
    ensure!(kept.end() == format!("limit-{expected}"), "the ledger says `{}`", kept.end());
    ensure!(
        kept.kinds().first() == Some(&RecordKind::TaskStarted) && kept.kinds().last() == Some(&RecordKind::TaskEnded),
        "{:?}",
        kept.kinds()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_endless_loop() -> Result<()> {
    // One thread for all guests: the loop must let its neighbours in.
    let bench = bailiwick_test_host::Bench::open(bailiwick_test_host::Settings { threads: 1, ..settings() }).await?;
    let deadline = Duration::from_millis(400);
    let task = bench.task(&artifacts::LIMITS_ENDLESS_LOOP).await?.limits(|limits| {
        limits.deadline = Span(deadline);
        limits.fuel = u64::MAX / 2;
    });
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Deadline)?;
    let time = Duration::from_micros(report.usage.time_us);
    ensure!(time >= deadline && time < deadline + OVERSHOOT, "it ended after {time:?}");
    let neighbours = bench.recorder.all().0.iter().filter(|record| record.fields.reason.as_deref() == Some("answered")).count();
    ensure!(neighbours > 1, "{neighbours} neighbours got through beside the loop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuel_ends_a_loop_and_a_little_more_does_not() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_ENDLESS_LOOP).await?.limits(|limits| limits.fuel = 5_000_000);
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Fuel)?;
    ensure!(report.usage.fuel >= 5_000_000, "{} units were used", report.usage.fuel);

    let task = bench.task(&artifacts::LIMITS_HOST_CALL_LOOP).await?.input(json!({"count": 3}));
    let (report, _) = task.run().await;
    answered(&report)?;
    let used = report.usage.fuel;
    let with = |fuel: u64| bench.task_of("limits-host-call-loop").input(json!({"count": 3})).limits(|limits| limits.fuel = fuel);
    // Fuel is looked at where functions and loops begin, so the exact number lies at most some straight code below what was used.
    let (mut too_little, mut enough) = (used / 2, used);
    while too_little + 1 < enough {
        let middle = too_little.midpoint(enough);
        match with(middle).run().await.0.outcome {
            TaskOutcome::Answered(_) => enough = middle,
            _ => too_little = middle,
        }
    }
    for (fuel, is_enough) in [(enough + 1, true), (enough, true), (enough - 1, false), (used / 2, false)] {
        let (report, kept) = with(fuel).run().await;
        if is_enough {
            answered(&report)?;
        } else {
            assert_limit(&report, &kept, LimitKind::Fuel)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_host_call_loop() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_HOST_CALL_LOOP).await?;
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::HostCalls)?;
    ensure!(report.usage.host_calls == 10_001, "{} calls were counted", report.usage.host_calls);
    ensure!(kept.of(RecordKind::TaskTranscript).len() == 1, "one transcript holds all ambient calls: {:?}", kept.kinds());

    let calls = |count: u64, most: u64| {
        bench.task_of("limits-host-call-loop").input(json!({"count": count})).limits(|limits| limits.host_calls = most)
    };
    let (report, _) = calls(1, 10_000).run().await;
    // What std itself calls at its start.
    let beside = report.usage.host_calls - 1;
    for (most, is_enough) in [(beside + 51, true), (beside + 50, true), (beside + 49, false)] {
        let (report, kept) = calls(50, most).run().await;
        if is_enough {
            answered(&report)?;
        } else {
            assert_limit(&report, &kept, LimitKind::HostCalls)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_memory_bomb() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_MEMORY_BOMB).await?;
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Memory)?;
    ensure!(report.usage.memory_peak <= ByteCount::mib(64).0, "{} bytes", report.usage.memory_peak);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_several_memories() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::LIMITS_SEVERAL_MEMORIES).await?;
    let pages = 50 * 64 * 1024;
    for (memory, is_enough) in [(pages + 1, true), (pages, true), (pages - 1, false)] {
        let task = bench.task_of("limits-several-memories").limits(|limits| limits.memory = ByteCount(memory));
        let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
        if is_enough {
            answered(&report)?;
            ensure!(report.usage.memory_peak == pages, "{} bytes", report.usage.memory_peak);
        } else {
            assert_limit(&report, &kept, LimitKind::Memory)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_table_bomb() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::LIMITS_TABLE_BOMB).await?;
    for (elements, is_enough) in [(1_001, true), (1_000, true), (999, false)] {
        let task = bench.task_of("limits-table-bomb").limits(|limits| limits.table_elements = elements);
        let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
        if is_enough {
            answered(&report)?;
        } else {
            assert_limit(&report, &kept, LimitKind::TableElements)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_deep_recursion() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_DEEP_RECURSION).await?.input(json!({"count": 100_000_000}));
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Stack)?;
    let (report, _) = bench.task_of("limits-deep-recursion").input(json!({"count": 1_000})).run().await;
    ensure!(answered(&report)?.output["count"] == 1_000, "{:?}", report.outcome);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_output_flood() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_OUTPUT_FLOOD).await?.input(json!({"count": 3 << 20}));
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Output)?;

    let flood = |output: u64| {
        bench.task_of("limits-output-flood").input(json!({"count": 1_000})).limits(|limits| limits.output = ByteCount(output))
    };
    let (report, _) = flood(100_000).run().await;
    let length = answered(&report)?.output.to_string().len() as u64;
    for (output, is_enough) in [(length + 1, true), (length, true), (length - 1, false)] {
        let (report, kept) = flood(output).run().await;
        if is_enough {
            answered(&report)?;
        } else {
            assert_limit(&report, &kept, LimitKind::Output)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_log_flood_with_terminal_escapes() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_LOG_FLOOD_WITH_TERMINAL_ESCAPES).await?.input(json!({"count": 100_000}));
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Log)?;
    ensure!(report.log.iter().map(String::len).sum::<usize>() < 4 * 64 * 1024, "the log is larger than its limit explains");
    for line in &report.log {
        ensure!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?} reaches a terminal");
    }
    let transcript = kept.of(RecordKind::TaskTranscript).first().map(|record| record.payload.to_string()).unwrap_or_default();
    ensure!(!transcript.contains("\\u001b") && !transcript.contains('\u{202e}'), "the ledger holds escapes");

    // One line of the one kind and one of the other.
    let per_round = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}drowssap\r\n".len() + "\u{1b}[1A\u{9b}31mfine".len();
    let exact = 10 * per_round as u64;
    for (log, is_enough) in [(exact + 1, true), (exact, true), (exact - 1, false)] {
        let draft = bench
            .task_of("limits-log-flood-with-terminal-escapes")
            .input(json!({"count": 10}))
            .limits(|limits| limits.log = ByteCount(log));
        let (report, kept) = draft.run().await;
        if is_enough {
            answered(&report)?;
        } else {
            assert_limit(&report, &kept, LimitKind::Log)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_stdout_flood() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_STDOUT_FLOOD).await?.input(json!({"count": 1_000_000, "text": "x".repeat(100)}));
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::Log)?;
    let (report, _) = bench.task_of("limits-stdout-flood").input(json!({"count": 1, "text": "seen"})).run().await;
    answered(&report)?;
    ensure!(report.log == ["stdout: \u{fffd}[31mout seen", "stderr: \u{fffd}[32merr seen"], "{:?}", report.log);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_huge_strings_at_the_boundary() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::LIMITS_HUGE_STRINGS_AT_THE_BOUNDARY).await?;
    let draft = |count: u64, buffer: ByteCount| {
        let conditions = [("customer", Condition::Equals(json!(CUSTOMER))), ("text", Condition::Any)];
        let task = bench.task_of("limits-huge-strings-at-the-boundary").input(json!({"id": CUSTOMER, "count": count}));
        let task = task.grant_with("crm/notes.append", &conditions, |request| request.budgets.bytes_out = ByteCount::mib(64));
        task.map(|task| task.limits(|limits| limits.host_buffer = buffer))
    };
    let task = draft(16 << 20, ByteCount::mib(4))?;
    let id = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    assert_limit(&report, &kept, LimitKind::HostBuffer)?;
    ensure!(bench.upstream.of_task(&id).is_empty(), "the call reached the upstream");

    // Both arguments count.
    let exact = 10_000 + CUSTOMER.len() as u64;
    for (buffer, is_enough) in [(exact + 1, true), (exact, true), (exact - 1, false)] {
        let (report, kept) = draft(10_000, ByteCount(buffer))?.run().await;
        if is_enough {
            ensure!(answered(&report)?.output["results"] == json!(["ok"]), "{:?}", report.outcome);
        } else {
            assert_limit(&report, &kept, LimitKind::HostBuffer)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_denied_huge_strings() -> Result<()> {
    // One thread: a guest that hardly works and makes the host copy must let its neighbours in all the same.
    let bench = bailiwick_test_host::Bench::open(bailiwick_test_host::Settings { threads: 1, ..settings() }).await?;
    let task = bench.task(&artifacts::LIMITS_DENIED_HUGE_STRINGS).await?.input(json!({"count": 60}));
    // It is to finish, also on a machine that has other things to do.
    let task = task.limits(|limits| limits.deadline = Span(Duration::from_secs(120)));
    let hostile = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    ensure!(answered(&report)?.output["results"] == json!(["denied"]), "{:?}", report.outcome);
    ensure!(
        kept.outcomes().iter().all(|(outcome, rule)| *outcome == Some(CallOutcome::Denied) && rule == "no-grant"),
        "{:?}",
        kept.outcomes()
    );
    ensure!(kept.outcomes().len() == 60, "{} denials are on record", kept.outcomes().len());
    let kept_bytes: usize = kept.0.iter().map(|record| record.payload.to_string().len()).sum();
    ensure!(kept_bytes < 1 << 20, "{kept_bytes} bytes of what was denied were kept");
    ensure!(bench.upstream.of_task(&hostile).is_empty(), "a denied call reached the upstream");
    let ends: Vec<_> = bench.recorder.all().of(RecordKind::TaskEnded).iter().map(|record| record.context.task.clone()).collect();
    ensure!(ends.first() != Some(&Some(hostile)), "no neighbour got through before the hostile guest had finished");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_random_flood() -> Result<()> {
    let bench = bailiwick_test_host::Bench::open(bailiwick_test_host::Settings { threads: 1, ..settings() }).await?;
    bench.install(&artifacts::LIMITS_RANDOM_FLOOD).await?;
    for (bytes, is_enough) in [(65_535, true), (65_536, true), (65_537, false)] {
        let (report, kept) = bench.task_of("limits-random-flood").attempt(bytes).run().await;
        if is_enough {
            answered(&report)?;
        } else {
            assert_limit(&report, &kept, LimitKind::HostBuffer)?;
        }
    }
    let deadline = Duration::from_millis(300);
    let task = bench.task_of("limits-random-flood").limits(|limits| limits.deadline = Span(deadline));
    let hostile = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    match &report.outcome {
        // A fast machine gets through the calls first.
        TaskOutcome::Ended(EndReason::Limit { limit: LimitKind::HostCalls, .. }) => {}
        _ => {
            assert_limit(&report, &kept, LimitKind::Deadline)?;
            let time = Duration::from_micros(report.usage.time_us);
            ensure!(time < deadline + OVERSHOOT, "it ended after {time:?}");
        }
    }
    let ends: Vec<_> = bench.recorder.all().of(RecordKind::TaskEnded).iter().map(|record| record.context.task.clone()).skip(3).collect();
    ensure!(ends.first() != Some(&Some(hostile)), "no neighbour got through before the hostile guest had finished");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_handle_flood() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::LIMITS_HANDLE_FLOOD).await?;
    for (handles, is_enough) in [(999, true), (1_000, true), (1_001, false)] {
        let task = bench.task_of("limits-handle-flood").attempt(handles);
        let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
        if is_enough {
            answered(&report)?;
        } else {
            ensure!(matches!(ended(&report)?, EndReason::Trap(text) if text.contains("handle")), "{:?}", report.outcome);
            ensure!(kept.end() == "trap", "the ledger says `{}`", kept.end());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_nobody_waits_for_ends_and_its_end_is_on_record() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_ENDLESS_LOOP).await?.limits(|limits| {
        limits.deadline = Span::millis(600_000);
        limits.fuel = u64::MAX / 2;
    });
    let id = task.spec.id.clone();
    let sandbox = std::sync::Arc::clone(&bench.sandbox);
    let waiting = tokio::spawn(async move { sandbox.run(task.spec).await });
    let of_kind = |kind: RecordKind| {
        let id = id.clone();
        move |records: &[bailiwick_test_host::Record]| {
            records.iter().any(|record| record.kind == kind && record.context.task.as_ref() == Some(&id))
        }
    };
    bench.recorder.until(of_kind(RecordKind::TaskStarted)).await;
    waiting.abort();
    ensure!(waiting.await.is_err_and(|error| error.is_cancelled()));
    // A host that stops waits for this, and then nothing is missing.
    bench.sandbox.settled().await;
    ensure!(bench.recorder.of_task(&id).end() == "cancelled", "{:?}", bench.recorder.of_task(&id).end());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_never_answers_ends_at_the_deadline() -> Result<()> {
    let bench = bench().await?;
    let _never = bench.upstream.hold("crm/notes.append");
    let deadline = Duration::from_millis(200);
    let conditions = [("customer", Condition::Equals(json!(CUSTOMER))), ("text", Condition::Any)];
    let task = bench.task(&artifacts::LIMITS_HUGE_STRINGS_AT_THE_BOUNDARY).await?.input(json!({"id": CUSTOMER, "count": 3}));
    let task = task.grant("crm/notes.append", &conditions)?.limits(|limits| limits.deadline = Span(deadline));
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    // The guest is told in time to say so itself: the effect may have happened.
    ensure!(answered(&report)?.output["results"] == json!(["indeterminate"]), "{:?}", report.outcome);
    ensure!(kept.outcomes() == [(Some(CallOutcome::Indeterminate), String::new())], "{:?}", kept.outcomes());
    ensure!(Duration::from_micros(report.usage.time_us) < deadline + OVERSHOOT, "it ended after {}us", report.usage.time_us);
    Ok(())
}
