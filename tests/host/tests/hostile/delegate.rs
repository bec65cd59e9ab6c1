//! Delegation: a task that another one started holds a part of what that one holds, counts for it, and ends with it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::grant::Condition;
use bailiwick_core::ids::TaskId;
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::PolicyEngine;
use bailiwick_core::record::RecordKind;
use bailiwick_runtime::Member;
use bailiwick_test_artifacts::{self as artifacts, assert_every_delegate};
use bailiwick_test_host::upstream::CUSTOMER;
use bailiwick_test_host::{Bench, Kept, Record, Settings, TaskDraft, answered};
use serde_json::{Value, json};

use crate::grants::Changing;
use crate::settings;

assert_every_delegate!();

/// A bench with a lead of tier 1, and helpers of tiers 0 and 1.
async fn bench(settings: Settings) -> Result<Bench> {
    let bench = Bench::open(settings).await?;
    for artifact in [&artifacts::DELEGATE_LEAD, &artifacts::DELEGATE_HELPER, &artifacts::GRANTS_ANOTHER_CUSTOMER] {
        bench.install(artifact).await?;
    }
    let member = |tier| Member { tier, limits: Limits::default() };
    let tiers = [("delegate-lead", 1), ("delegate-helper", 0), ("grants-another-customer", 1)];
    bench.sandbox.set_roster(tiers.into_iter().map(|(name, tier)| (name.into(), member(tier))).collect());
    Ok(bench)
}

fn lead<'a>(bench: &'a Bench, text: &str, calls: u64) -> Result<TaskDraft<'a>> {
    let any = |names: &'static [&'static str]| names.iter().map(|name| (*name, Condition::Any)).collect::<Vec<_>>();
    let draft = bench.task_of("delegate-lead").input(json!({"id": CUSTOMER, "text": text, "count": 100}));
    let draft = draft.grant_with("crm/customers.get", &[("id", Condition::Equals(json!(CUSTOMER)))], |request| {
        request.delegable = true;
        request.budgets.calls = calls;
    })?;
    let draft = draft.grant_with("delegate/tasks.start", &any(&["agent", "input", "parts", "fuel", "deadline-ms"]), |request| {
        request.budgets.calls = 200;
    })?;
    draft.grant("delegate/tasks.await", &any(&["task"]))?.grant("delegate/tasks.cancel", &any(&["task"]))
}

/// The records of the tasks that a task started, by task.
fn below(bench: &Bench, parent: &TaskId) -> Vec<Kept> {
    let is_child = |record: &&Record| record.kind == RecordKind::TaskStarted && record.context.parent_task.as_ref() == Some(parent);
    let all = bench.recorder.all();
    let children: Vec<TaskId> =
        all.of(RecordKind::TaskStarted).into_iter().filter(is_child).filter_map(|record| record.context.task.clone()).collect();
    children.iter().map(|task| bench.recorder.of_task(task)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_lead() -> Result<()> {
    let bench = bench(settings()).await?;
    let draft = lead(&bench, "more", 5)?;
    let (report, kept) = draft.run().await;
    let mut expected = vec!["denied"; 9];
    expected.push("not-found");
    ensure!(answered(&report)?.output["results"] == json!(expected), "{:?}", report.outcome);
    let rules: Vec<String> = kept.outcomes().into_iter().map(|(_, rule)| rule).collect();
    let parts = "delegation-parts";
    ensure!(
        rules[..9] == [parts, parts, parts, parts, "delegation-circle", "delegation-agent", "delegation-tier", parts, parts],
        "{rules:?}"
    );
    ensure!(kept.security_events() == vec!["call-outside-grant"; 9], "{:?}", kept.security_events());
    // What is quoted of it is bounded.
    let details = kept.of(RecordKind::CallOutcome).into_iter().filter_map(|record| record.payload["detail"].as_str().map(str::len));
    ensure!(details.max().is_some_and(|longest| longest < 2_000), "a denial quotes without end");
    ensure!(
        report.calls.iter().all(|call| call.detail.as_ref().is_none_or(|detail| detail.len() < 2_000)),
        "an account quotes without end"
    );
    ensure!(below(&bench, &draft.spec.id).is_empty(), "a task was started");
    ensure!(bench.upstream.of_task(&draft.spec.id).is_empty(), "something reached the upstream");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegate_helper() -> Result<()> {
    let bench = bench(settings()).await?;
    // Three calls: two are passed on and used, so one is left for the lead, and none after it.
    for (calls, own) in [(3, "ok"), (2, "budget-budgetkind::calls")] {
        let draft = lead(&bench, "ask", calls)?;
        let (report, kept) = draft.run().await;
        let output = &answered(&report)?.output;
        let told: Value = serde_json::from_str(output["text"].as_str().context("no outcome")?)?;
        ensure!(told["results"] == json!(["denied", "ok", "ok", "budget-budgetkind::calls"]), "{told}");
        ensure!(output["results"] == json!([own, "not-found"]), "{output}");
        let children = below(&bench, &draft.spec.id);
        let [child] = children.as_slice() else { anyhow::bail!("{} tasks were started", children.len()) };
        let grant = &child.of(RecordKind::GrantIssued)[0].payload["grant"];
        let parent = kept.of(RecordKind::GrantIssued)[0].payload["grant"]["id"].clone();
        ensure!(grant["parent"] == parent && grant["budgets"]["calls"] == 2, "{grant}");
        ensure!(child.security_events() == ["call-outside-grant"], "{:?}", child.security_events());
        // What was done below is told as the lead's: nobody takes it for nothing.
        ensure!(
            report.calls.iter().filter(|call| call.operation == "crm/customers.get" && call.result == "ok").count() as u64 == calls,
            "{:?}",
            report.calls
        );
        ensure!(report.denied_calls == 1, "{} denials", report.denied_calls);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_task_had_read_goes_with_its_failure_and_its_words_do_not() -> Result<()> {
    let bench = bench(settings()).await?;
    let (report, _) = lead(&bench, "fails", 1)?.run().await;
    let answer = answered(&report)?;
    ensure!(answer.output["text"] == "Outcome::Permanent", "{}", answer.output);
    ensure!(answer.labels.contains("pii"), "{:?}", answer.labels);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_below_ends_with_what_is_above() -> Result<()> {
    let bench = bench(settings()).await?;
    for (text, expected, most) in [("leave", json!(["ok"]), 1), ("cancel", json!(["ok", "not-found"]), 1), ("flood", json!([]), 8)] {
        let draft = lead(&bench, text, 1)?.limits(|limits| limits.deadline.0 = Duration::from_secs(20));
        let (report, _) = draft.run().await;
        let output = &answered(&report)?.output;
        ensure!(output["results"] == expected, "{text}: {output}");
        // Eight at a time, however many are asked for.
        ensure!(text != "flood" || output["count"] == 8, "{output}");
        tokio::time::timeout(Duration::from_secs(10), bench.sandbox.settled()).await.context("something goes on")?;
        // One that was ended before its first instruction has no record but the call that started it.
        let ends: Vec<String> = below(&bench, &draft.spec.id).iter().map(Kept::end).collect();
        ensure!(ends.len() <= most && ends.iter().all(|end| end == "cancelled"), "{text}: {ends:?}");
    }
    bench.run_neighbour_installed().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_cut_off_takes_those_below_with_it() -> Result<()> {
    let bench = bench(settings()).await?;
    let gate = bench.upstream.hold("crm/customers.get");
    let draft = lead(&bench, "ask", 5)?;
    let (id, spec) = (draft.spec.id.clone(), draft.spec.clone());
    let sandbox = Arc::clone(&bench.sandbox);
    let running = tokio::spawn(async move { sandbox.run(spec).await });
    bench
        .recorder
        .until(|records| records.iter().any(|record| record.kind == RecordKind::CallIntent && record.context.parent_task.is_some()))
        .await;
    running.abort();
    tokio::time::timeout(Duration::from_secs(10), bench.sandbox.settled()).await.context("something goes on")?;
    let children = below(&bench, &id);
    ensure!(children.len() == 1 && children[0].end() == "cancelled", "{:?}", children[0].kinds());
    drop(gate);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_withdrawn_above_is_withdrawn_below() -> Result<()> {
    let policy = Arc::new(Changing::default());
    // It says no to the lead alone.
    *policy.forbids_only.lock() = Some("delegate-lead".into());
    let bench = bench(Settings { policy: Arc::clone(&policy) as Arc<dyn PolicyEngine>, ..settings() }).await?;
    let gate = bench.upstream.hold("crm/customers.get");
    let draft = lead(&bench, "ask", 5)?;
    let (id, spec) = (draft.spec.id.clone(), draft.spec.clone());
    let sandbox = Arc::clone(&bench.sandbox);
    let running = tokio::spawn(async move { sandbox.run(spec).await });
    // The one below is at its call, and the lead waits for it.
    let is_call = |record: &Record, ending: &str| {
        record.kind == RecordKind::CallIntent && record.fields.operation.as_deref().is_some_and(|operation| operation.ends_with(ending))
    };
    let both = |records: &[Record]| [".get", ".await"].iter().all(|ending| records.iter().any(|record| is_call(record, ending)));
    bench.recorder.until(both).await;
    *policy.forbids.lock() = true;
    gate.add_permits(10);
    running.await?;
    let child = &below(&bench, &id)[0];
    let rules: Vec<String> = child.outcomes().into_iter().map(|(_, rule)| rule).collect();
    ensure!(rules == ["grant-conditions", "no-reading", "no-reading", "no-reading"], "{rules:?}");
    ensure!(child.security_events().iter().any(|event| event == "withdrawn-in-flight"), "{:?}", child.security_events());
    Ok(())
}
