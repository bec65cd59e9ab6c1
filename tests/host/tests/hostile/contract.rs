//! The contract: what an agent hands back, says about itself and leaves behind.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::grant::Condition;
use bailiwick_core::limits::{ByteCount, LimitKind};
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_core::runner::{Confidence, EndReason, FailureKind, TaskOutcome};
use bailiwick_runtime::{InstallProblem, RegistryProblem};
use bailiwick_test_artifacts::{self as artifacts, Artifact, assert_every_contract};
use bailiwick_test_host::upstream::CUSTOMER;
use bailiwick_test_host::{Bench, answered, ended};
use serde_json::json;

use crate::bench;

assert_every_contract!();

/// Installs what must not be installed, gives the problem, and checks that nothing of it stayed.
pub(crate) async fn refused(bench: &Bench, artifact: &Artifact) -> Result<InstallProblem> {
    let Err(RegistryProblem::Install { problem, .. }) = bench.install(artifact).await else {
        bail!("`{}` was installed", artifact.name);
    };
    ensure!(bench.sandbox.agents().iter().all(|name| name.as_str() != artifact.agent()), "it is active all the same");
    ensure!(bench.sandbox.registry().list().await.is_empty(), "it is in the registry all the same");
    ensure!(bench.recorder.all().of(RecordKind::ComponentInstalled).is_empty(), "the ledger says that it was installed");
    ensure!(problem.to_string().len() < 2_000, "the message has {} bytes", problem.to_string().len());
    bench.run_neighbour_installed().await?;
    Ok(problem)
}

/// Runs a guest whose answer must not be accepted.
async fn invalid(artifact: &Artifact, input: serde_json::Value, expected: &str) -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(artifact).await?.input(input);
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    let reason = ended(&report)?;
    ensure!(matches!(reason, EndReason::InvalidAnswer(text) if text.contains(expected)), "{reason}");
    ensure!(kept.end() == "invalid-answer", "the ledger says `{}`", kept.end());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_invalid_json() -> Result<()> {
    invalid(&artifacts::CONTRACT_INVALID_JSON, json!({}), "no JSON").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_wrong_schema() -> Result<()> {
    for wrong in [json!({"amount": 101}), json!({"amount": "1"}), json!({}), json!({"amount": 1, "more": true}), json!([])] {
        invalid(&artifacts::CONTRACT_WRONG_SCHEMA, wrong, "").await?;
    }
    invalid(&artifacts::CONTRACT_WRONG_SCHEMA, json!({"amount": 101}), "`amount`").await?;
    let bench = bench().await?;
    let (report, _) = bench.task(&artifacts::CONTRACT_WRONG_SCHEMA).await?.input(json!({"amount": 100})).run().await;
    ensure!(*answered(&report)?.output == json!({"amount": 100}), "{:?}", report.outcome);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_confidence_too_high() -> Result<()> {
    for too_high in [json!(1_001), json!(u32::MAX), json!(65_536 + 1_000)] {
        invalid(&artifacts::CONTRACT_CONFIDENCE_TOO_HIGH, too_high, "1000 per mille").await?;
    }
    let bench = bench().await?;
    bench.install(&artifacts::CONTRACT_CONFIDENCE_TOO_HIGH).await?;
    for per_mille in [999, 1_000] {
        let (report, _) = bench.task_of("contract-confidence-too-high").input(json!(per_mille)).run().await;
        ensure!(answered(&report)?.confidence == Confidence::PerMille(per_mille), "{:?}", report.outcome);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_deep_json() -> Result<()> {
    invalid(&artifacts::CONTRACT_DEEP_JSON, json!(100_000), "recursion").await?;
    invalid(&artifacts::CONTRACT_DEEP_JSON, json!(128), "recursion").await?;
    let bench = bench().await?;
    let (report, _) = bench.task(&artifacts::CONTRACT_DEEP_JSON).await?.input(json!(127)).run().await;
    answered(&report)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_self_referencing_schema() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_SELF_REFERENCING_SCHEMA).await?;
    ensure!(matches!(&problem, InstallProblem::Description(text) if text.contains("output schema")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_remote_ref_schema() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_REMOTE_REF_SCHEMA).await?;
    ensure!(matches!(&problem, InstallProblem::Description(text) if text.contains("output schema")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_exponential_schema() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_EXPONENTIAL_SCHEMA).await?;
    ensure!(matches!(&problem, InstallProblem::Description(text) if text.contains("output schema")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_catastrophic_pattern_schema() -> Result<()> {
    // Linear for us: the answer is checked, and does not fit.
    invalid(&artifacts::CONTRACT_CATASTROPHIC_PATTERN_SCHEMA, json!({}), "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_costly_pattern_schema() -> Result<()> {
    // It may be installed: what it costs depends on the value, which is weighed before it is checked.
    invalid(&artifacts::CONTRACT_COSTLY_PATTERN_SCHEMA, json!({}), "too many to be checked").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_wants_less_than_it_imports() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_WANTS_LESS_THAN_IT_IMPORTS).await?;
    ensure!(matches!(&problem, InstallProblem::Unlisted(operation) if operation == "crm/customers.get"), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_wants_more_than_it_imports() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_WANTS_MORE_THAN_IT_IMPORTS).await?;
    ensure!(matches!(&problem, InstallProblem::NotImported(operation) if operation == "crm/customers.get"), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_huge_description() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_HUGE_DESCRIPTION).await?;
    ensure!(matches!(&problem, InstallProblem::Description(text) if text.contains("data-level")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_endless_describe() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::CONTRACT_ENDLESS_DESCRIBE).await?;
    ensure!(matches!(&problem, InstallProblem::Describe(text) if text.contains("fuel") || text.contains("2s")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_exit_call() -> Result<()> {
    let bench = bench().await?;
    for code in [0, 1] {
        let task = bench.task(&artifacts::CONTRACT_EXIT_CALL).await?.input(json!({"count": code}));
        let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
        ensure!(matches!(ended(&report)?, EndReason::Trap(text) if text.contains("exit")), "{:?}", report.outcome);
        ensure!(kept.end() == "trap", "the ledger says `{}`", kept.end());
    }
    Ok(())
}

fn note() -> [(&'static str, Condition); 2] {
    [("customer", Condition::Equals(json!(CUSTOMER))), ("text", Condition::Any)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_trap_after_one_effect() -> Result<()> {
    let bench = bench().await?;
    let draft = bench.task(&artifacts::CONTRACT_TRAP_AFTER_ONE_EFFECT).await?.input(json!({"id": CUSTOMER, "text": "called", "count": 1}));
    let draft = draft.grant("crm/notes.append", &note())?;
    let (report, kept) = bench.run_beside_neighbours(draft.spec.clone()).await?;
    ensure!(matches!(ended(&report)?, EndReason::Trap(_)), "{:?}", report.outcome);
    ensure!(report.log.iter().any(|line| line.contains("after ok")), "the panic's message is in the log: {:?}", report.log);
    use RecordKind::{CallIntent, CallOutcome as Outcome, GrantIssued, TaskEnded, TaskStarted, TaskTranscript};
    ensure!(kept.kinds() == [TaskStarted, GrantIssued, CallIntent, Outcome, TaskTranscript, TaskEnded], "{:?}", kept.kinds());
    ensure!(kept.end() == "trap", "the ledger says `{}`", kept.end());
    let outcome = kept.of(Outcome)[0];
    ensure!(outcome.fields.intent == Some(kept.of(CallIntent)[0].seq), "the outcome refers to its intent: {:?}", outcome.fields);
    ensure!(outcome.payload["undo"]["operation"] == "notes.void", "what undoes it is on record: {}", outcome.payload);

    // The next attempt makes the same effect: it is recognised, and the budget of one call suffices.
    let second = draft.next_attempt();
    let id = second.id.clone();
    let report = bench.sandbox.run(second).await;
    ensure!(answered(&report)?.output["results"] == json!(["ok"]), "{:?}", report.outcome);
    ensure!(
        bench.recorder.of_task(&id).outcomes() == [(Some(CallOutcome::Cached), String::new())],
        "{:?}",
        bench.recorder.of_task(&id).outcomes()
    );
    ensure!(bench.upstream.effects("crm/notes.append") == 1, "{} effects", bench.upstream.effects("crm/notes.append"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_same_ordinal_other_arguments() -> Result<()> {
    let bench = bench().await?;
    let draft = bench.task(&artifacts::CONTRACT_SAME_ORDINAL_OTHER_ARGUMENTS).await?.input(json!({"id": CUSTOMER}));
    let draft = draft.grant("crm/notes.append", &note())?;
    let (report, _) = bench.run_beside_neighbours(draft.spec.clone()).await?;
    ensure!(matches!(report.outcome, TaskOutcome::Failed { kind: FailureKind::Retryable, .. }), "{:?}", report.outcome);
    let second = draft.next_attempt();
    let id = second.id.clone();
    let report = bench.sandbox.run(second).await;
    ensure!(answered(&report)?.output["results"] == json!(["conflict"]), "{:?}", report.outcome);
    let kept = bench.recorder.of_task(&id);
    ensure!(kept.outcomes() == [(Some(CallOutcome::Error), String::new())], "{:?}", kept.outcomes());
    ensure!(kept.of(RecordKind::CallOutcome)[0].fields.reason.as_deref() == Some("conflict"), "{:?}", kept.of(RecordKind::CallOutcome));
    ensure!(bench.upstream.effects("crm/notes.append") == 1, "{} effects", bench.upstream.effects("crm/notes.append"));
    let keys: Vec<_> = [&draft.spec.id, &id].iter().flat_map(|task| bench.upstream.of_task(task)).map(|call| call.key).collect();
    ensure!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "attempts have the same key: {keys:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_state_from_earlier_task() -> Result<()> {
    // Few places, so that later tasks get the memory of earlier ones.
    let bench = Bench::open(bailiwick_test_host::Settings { sandboxes: 2, ..crate::settings() }).await?;
    bench.install(&artifacts::CONTRACT_STATE_FROM_EARLIER_TASK).await?;
    for round in 0..6 {
        let task = bench.task_of("contract-state-from-earlier-task").limits(|limits| limits.memory = ByteCount::mib(32));
        let (report, _) = bench.run_beside_neighbours(task.spec).await?;
        let output = &answered(&report)?.output;
        ensure!(output["count"] == 0 && output["text"] == "0 bytes", "round {round}: {output}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_does_not_fit_never_starts_a_task() -> Result<()> {
    let bench = bench().await?;
    let draft = bench.task(&artifacts::LIMITS_ENDLESS_LOOP).await?.input(json!({"count": "many"}));
    let (report, kept) = draft.run().await;
    let EndReason::InvalidInput(message) = ended(&report)? else { bail!("{:?}", report.outcome) };
    ensure!(message.contains("`count`"), "{message}");
    ensure!(kept.0.is_empty() && report.usage.fuel == 0, "something ran: {:?}", kept.kinds());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_for_nobody_says_so() -> Result<()> {
    let bench = bench().await?;
    let (report, _) = bench.task_of("nobody").run().await;
    ensure!(matches!(ended(&report)?, EndReason::NoAgent(text) if text.contains("`nobody`")), "{:?}", report.outcome);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_a_task_that_only_sets_up() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::LIMITS_ENDLESS_LOOP).await?.limits(|limits| limits.deadline.0 = Duration::ZERO);
    let (report, kept) = task.run().await;
    ensure!(matches!(ended(&report)?, EndReason::Limit { limit: LimitKind::Deadline, .. }), "{:?}", report.outcome);
    kept.of(RecordKind::TaskEnded).first().context("its end is on record")?;
    Ok(())
}
