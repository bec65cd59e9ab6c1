//! The promises that need the real ledger: effects stop when it cannot be written, and what hostile tasks leave in it verifies.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_core::Recorder;
use bailiwick_core::grant::Condition;
use bailiwick_core::record::RecordKind;
use bailiwick_core::runner::{EndReason, TaskOutcome};
use bailiwick_ledger::{Filter, Ledger, LedgerOptions, verify};
use bailiwick_test_artifacts as artifacts;
use bailiwick_test_host::upstream::CUSTOMER;
use bailiwick_test_host::{Bench, Settings, TaskDraft, ended};
use serde_json::json;

use crate::{bench, settings};

const NOTES: &str = "crm/notes.append";

fn writing<'a>(bench: &'a Bench, count: u64) -> Result<TaskDraft<'a>> {
    let draft = bench.task_of("grants-more-calls-than-budget").input(json!({"id": CUSTOMER, "count": count}));
    let draft =
        draft.grant_with("crm/customers.get", &[("id", Condition::Equals(json!(CUSTOMER)))], |request| request.budgets.calls = count)?;
    let note = [("customer", Condition::Equals(json!(CUSTOMER))), ("text", Condition::Any)];
    draft.grant_with(NOTES, &note, |request| request.budgets.calls = count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_stop_when_the_disk_is_full() -> Result<()> {
    let state = tempfile::tempdir()?;
    let options = LedgerOptions { max_pages: Some(120), ..LedgerOptions::default() };
    let ledger = Arc::new(Ledger::open(state.path(), options)?);
    let bench = Bench::open(Settings { recorder: Some(Arc::clone(&ledger) as Arc<dyn Recorder>), ..settings() }).await?;
    bench.install(&artifacts::GRANTS_MORE_CALLS_THAN_BUDGET).await?;
    let mut tasks = 0;
    let failed = loop {
        ensure!(tasks < 200, "the disk does not fill up");
        tasks += 1;
        let report = writing(&bench, 10)?.run().await.0;
        if !matches!(report.outcome, TaskOutcome::Answered(_)) {
            break report;
        }
    };
    ensure!(tasks > 1, "nothing fitted on the disk");
    ensure!(matches!(ended(&failed)?, EndReason::Ledger(_)), "{:?}", failed.outcome);
    let effects = bench.upstream.effects(NOTES);

    // Nothing more reaches the outside, and every later task says why.
    for _ in 0..3 {
        let draft = writing(&bench, 1)?;
        let (report, _) = draft.run().await;
        ensure!(
            matches!(ended(&report)?, EndReason::Ledger(failure) if failure.to_string().contains("cannot be written")),
            "{:?}",
            report.outcome
        );
        ensure!(bench.upstream.of_task(&draft.spec.id).is_empty(), "a call reached the upstream");
    }
    ensure!(bench.upstream.effects(NOTES) == effects, "an effect after the ledger had failed");

    // Every effect that happened has its intent on disk.
    let reader = ledger.reader()?;
    let mut intents = 0;
    for envelope in reader.records(Filter::All, bailiwick_core::ids::Seq(0)) {
        let envelope = envelope?;
        let is_note = envelope.fields.operation.as_deref().is_some_and(|operation| operation.ends_with("notes@0.1.0.append"));
        intents += usize::from(envelope.kind == RecordKind::CallIntent && is_note);
    }
    ensure!(effects > 0 && intents >= effects, "{effects} effects, {intents} intents on disk");
    let report = verify(state.path())?;
    ensure!(report.is_intact(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_in_the_middle_ends_before_its_effect() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::GRANTS_MORE_CALLS_THAN_BUDGET).await?;
    let gate = bench.upstream.hold("crm/customers.get");
    let draft = writing(&bench, 1)?;
    let (spec, sandbox) = (draft.spec.clone(), Arc::clone(&bench.sandbox));
    let running = tokio::spawn(async move { bailiwick_core::AgentRunner::run(&*sandbox, spec).await });
    bench.recorder.until(|records| records.iter().any(|record| record.kind == RecordKind::CallIntent)).await;
    bench.recorder.break_down();
    gate.add_permits(1);
    let report = running.await?;
    ensure!(matches!(ended(&report)?, EndReason::Ledger(_)), "{:?}", report.outcome);
    ensure!(bench.upstream.effects(NOTES) == 0, "the effect happened off the record");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hostile_tasks_leave_verifies_and_names_nobody() -> Result<()> {
    let state = tempfile::tempdir()?;
    let ledger = Arc::new(Ledger::open(state.path(), LedgerOptions::default())?);
    let bench = Bench::open(Settings { recorder: Some(Arc::clone(&ledger) as Arc<dyn Recorder>), ..settings() }).await?;
    let own = [("id", Condition::Equals(json!(CUSTOMER)))];
    let flood = bench.task(&artifacts::GRANTS_DENIED_FLOOD).await?.input(json!({"count": 300})).grant("crm/customers.get", &own)?;
    let others = bench.task(&artifacts::GRANTS_ANOTHER_CUSTOMER).await?.input(json!({"id": CUSTOMER})).grant("crm/customers.get", &own)?;
    let escapes = bench.task(&artifacts::LIMITS_LOG_FLOOD_WITH_TERMINAL_ESCAPES).await?.input(json!({"count": 100_000}));
    let exits = bench.task(&artifacts::CONTRACT_EXIT_CALL).await?;
    for draft in [&flood, &others, &escapes, &exits] {
        draft.run().await;
    }
    let reader = ledger.reader()?;
    let last = last_record(&ledger).await?;
    let report = verify(state.path())?;
    ensure!(report.is_intact() && report.payloads_missing == 0, "{report}");
    ensure!(report.records > last, "{} records of {last}", report.records);
    let mut outcomes = 0;
    for envelope in reader.records(Filter::All, bailiwick_core::ids::Seq(0)) {
        let text = serde_json::to_string(&envelope?)?;
        ensure!(!text.contains(CUSTOMER) && !text.contains("C-2000"), "an envelope names a subject: {text}");
        outcomes += usize::from(text.contains("\"outcome\":\"denied\"") && text.contains("call-outcome"));
    }
    ensure!(outcomes == 302, "{outcomes} denials are on record");
    Ok(())
}

/// Appends a record, waits for the disk and gives its place.
async fn last_record(ledger: &Ledger) -> Result<u64> {
    let draft = bailiwick_core::record::Draft {
        kind: RecordKind::RunEvent,
        context: Default::default(),
        fields: Default::default(),
        payload: None,
    };
    let Ok(seq) = ledger.append(draft) else { bail!("the ledger takes no record") };
    ledger.durable(seq).await.context("the record is on disk")?;
    Ok(seq.0)
}
