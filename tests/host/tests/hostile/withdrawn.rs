//! A policy that is withdrawn: between two calls, and while one is out. With the real engine at the real gate.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::error::CallError;
use bailiwick_core::grant::Condition;
use bailiwick_core::policy::PolicyEngine;
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_core::runner::TaskReport;
use bailiwick_test_host::upstream::{CUSTOMER, ORDER};
use bailiwick_test_host::{Bench, Kept, Settings, TaskDraft};
use serde_json::{Value, json};

use crate::attacks::{CUSTOMERS, NOTE, ORDERS, call, cedar, is, policy, puppet, puppet_bench, results};
use crate::settings;

const DENIED: Option<CallOutcome> = Some(CallOutcome::Denied);

const PERMIT: &str = r#"@id("all") permit (principal is Bailiwick::Agent, action, resource);"#;

fn without(operation: &str) -> String {
    format!("{PERMIT}\n@id(\"over\") forbid (principal is Bailiwick::Agent, action in Bailiwick::Action::\"{operation}\", resource);")
}

fn drafted(bench: &Bench, acts: Vec<Value>) -> Result<TaskDraft<'_>> {
    puppet(bench, json!({ "acts": acts }))
        .grant(CUSTOMERS, &[("id", is(CUSTOMER))])?
        .grant_with(ORDERS, &[("id", Condition::Any)], |request| request.owner = Some(CUSTOMER.to_owned()))?
        .grant(NOTE, &[("customer", is(CUSTOMER)), ("text", Condition::Any)])
}

/// Runs a task, and brings other policies into force while its first call of `held` is out.
async fn change_during(
    acts: Vec<Value>,
    held: &str,
    before: &str,
    after: &str,
    prepare: impl FnOnce(&Bench),
) -> Result<(TaskReport, Kept, Bench)> {
    let engine = cedar(before)?;
    let bench = puppet_bench(Settings { policy: Arc::clone(&engine) as Arc<dyn PolicyEngine>, ..settings() }).await?;
    prepare(&bench);
    let gate = bench.upstream.hold(held);
    let spec = drafted(&bench, acts)?.spec;
    let (id, sandbox) = (spec.id.clone(), Arc::clone(&bench.sandbox));
    let running = tokio::spawn(async move { sandbox.run(spec).await });
    let held = held.rsplit('.').next().unwrap_or_default().to_owned();
    bench
        .recorder
        .until(|records| {
            let is_out = |operation: Option<&str>| operation.is_some_and(|operation| operation.ends_with(&held));
            records.iter().any(|record| record.kind == RecordKind::CallIntent && is_out(record.fields.operation.as_deref()))
        })
        .await;
    engine.install(policy(after)?);
    gate.add_permits(100);
    let report = running.await?;
    let kept = bench.recorder.of_task(&id);
    Ok((report, kept, bench))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_withdrawn_between_two_calls_bites_at_the_next() -> Result<()> {
    // The read that is out when the policy changes is not concerned; the write after it is.
    let acts = vec![call(CUSTOMERS, CUSTOMER), call(NOTE, CUSTOMER)];
    let (report, kept, bench) = change_during(acts, CUSTOMERS, PERMIT, &without("crm/notes.append"), |_| ()).await?;
    ensure!(results(&report)? == json!(["ok", "denied"]), "{:?}", report.outcome);
    ensure!(kept.outcomes() == [(Some(CallOutcome::Ok), String::new()), (DENIED, "over".to_owned())], "{:?}", kept.outcomes());
    ensure!(bench.upstream.effects(NOTE) == 0, "the write took effect");
    let versions: Vec<_> = kept.0.iter().filter_map(|record| record.fields.policy_version.clone()).collect();
    ensure!(versions.first() != versions.last(), "the denial names the policy that denied: {versions:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_under_a_withdrawn_policy_tells_nothing_at_all() -> Result<()> {
    // Somebody's own order, nobody's, somebody else's, and a system that fails: all the same.
    for (id, failure) in [(ORDER, None), ("O-404", None), ("O-2", None), (ORDER, Some(CallError::unavailable("down")))] {
        let prepare = |bench: &Bench| {
            if let Some(failure) = failure.clone() {
                bench.upstream.answer(ORDERS, Err(failure));
            }
        };
        let (report, kept, bench) = change_during(vec![call(ORDERS, id)], ORDERS, PERMIT, &without("orders"), prepare).await?;
        ensure!(results(&report)? == json!(["revoked"]), "{id}, {failure:?}: {:?}", report.outcome);
        ensure!(report.denied_calls == 1, "{id}: {} denials", report.denied_calls);
        ensure!(kept.outcomes().len() == 1 && kept.outcomes()[0].0 == DENIED, "{id}: {:?}", kept.outcomes());
        ensure!(kept.security_events().contains(&"withdrawn-in-flight".to_owned()), "{id}: {:?}", kept.security_events());
        ensure!(bench.recorder.all().of(RecordKind::CallIntent).len() == 1, "{id}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_out_when_its_policy_was_withdrawn_is_on_record_as_it_went() -> Result<()> {
    for (failure, outcome) in [(None, CallOutcome::Ok), (Some(CallError::unavailable("down")), CallOutcome::Error)] {
        let prepare = |bench: &Bench| {
            if let Some(failure) = failure.clone() {
                bench.upstream.answer(NOTE, Err(failure));
            }
        };
        let (report, kept, _) = change_during(vec![call(NOTE, CUSTOMER)], NOTE, PERMIT, &without("crm/notes.append"), prepare).await?;
        ensure!(results(&report)? == json!(["revoked"]), "{failure:?}: {:?}", report.outcome);
        ensure!(kept.outcomes() == [(Some(outcome), "over".to_owned())], "{failure:?}: {:?}", kept.outcomes());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_policy_that_permits_the_call_lets_it_come_back() -> Result<()> {
    // The call was the first when it left. It is still the first when it comes back, and its bytes are those that it took.
    let first = "permit (principal is Bailiwick::Agent, action, resource) when { context.calls < 1 && context[\"bytes-out\"] < 1 };";
    let after = format!("{first}\n@id(\"else\") forbid (principal is Bailiwick::Agent, action in Bailiwick::Action::\"rules\", resource);");
    let acts = vec![call(CUSTOMERS, CUSTOMER), call(CUSTOMERS, CUSTOMER)];
    let (report, kept, _) = change_during(acts, CUSTOMERS, first, &after, |_| ()).await?;
    ensure!(results(&report)? == json!(["ok", "denied"]), "{:?}; {:?}", report.outcome, kept.outcomes());
    Ok(())
}
