//! A policy that is withdrawn: between two calls, and while one is out. With the real engine at the real gate.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::grant::Condition;
use bailiwick_core::policy::PolicyEngine;
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_core::runner::TaskReport;
use bailiwick_test_host::upstream::CUSTOMER;
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
    Ok(())
}
