//! Swap: tasks that run finish on the version they started with, new tasks use the new one, the old one is freed after its last task.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::grant::Condition;
use bailiwick_core::ids::{AgentName, Digest};
use bailiwick_core::record::RecordKind;
use bailiwick_runtime::{InstallOptions, RegistryProblem};
use bailiwick_test_artifacts::{self as artifacts, assert_every_swap};
use bailiwick_test_host::answered;
use bailiwick_test_host::upstream::CUSTOMER;
use serde_json::json;

use crate::bench;

assert_every_swap!();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swap_one() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::SWAP_ONE).await?;
    let gate = bench.upstream.hold("crm/customers.get");
    let own = [("id", Condition::Equals(json!(CUSTOMER)))];
    let mut running = Vec::new();
    for _ in 0..3 {
        let spec = bench.task_of("swap").input(json!({"id": CUSTOMER})).grant("crm/customers.get", &own)?.spec;
        let sandbox = Arc::clone(&bench.sandbox);
        running.push(tokio::spawn(async move { sandbox.run(spec).await }));
    }
    bench.recorder.until(|records| records.iter().filter(|record| record.kind == RecordKind::CallIntent).count() == 3).await;
    let name = AgentName::from("swap");
    // The registry's entry holds what is known of the version: who sees the one go has seen the other go.
    let old = Arc::downgrade(&bench.sandbox.agent(&name).context("it is active")?);

    bench.install(&artifacts::SWAP_TWO).await?;
    ensure!(bench.sandbox.agent(&name).is_some_and(|info| info.version == "2.0.0"), "new tasks use the new version");
    let (report, kept) = bench.task_of("swap").run().await;
    ensure!(answered(&report)?.output["text"] == "two", "{:?}", report.outcome);
    let new = Digest::of(&artifacts::SWAP_TWO.bytes()?);
    ensure!(kept.0.iter().all(|record| record.context.component == Some(new)), "every record names the new component");
    ensure!(old.upgrade().is_some(), "the old version is freed while tasks run on it");

    gate.add_permits(3);
    for task in running {
        let report = task.await?;
        ensure!(*answered(&report)?.output == json!({"results": ["ok"], "count": 0, "text": "one"}), "{:?}", report.outcome);
        ensure!(report.component == Some((Digest::of(&artifacts::SWAP_ONE.bytes()?), "1.0.0".to_owned())), "{:?}", report.component);
    }
    ensure!(old.upgrade().is_none(), "the old version is not freed after its last task");
    let activated = bench.recorder.all();
    let versions: Vec<_> =
        activated.of(RecordKind::VersionActivated).iter().map(|record| record.fields.reason.clone().unwrap_or_default()).collect();
    ensure!(versions.iter().map(AsRef::as_ref).eq(["1.0.0", "2.0.0"]), "{versions:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swap_two() -> Result<()> {
    // There and back, under tasks that never stop coming: none fails.
    let bench = Arc::new(bench().await?);
    let registry = bench.sandbox.registry();
    let options = InstallOptions { accept_wider: true, activate: true, ..InstallOptions::default() };
    registry.install("one", &artifacts::SWAP_ONE.bytes()?, options).await?;
    registry.install("two", &artifacts::SWAP_TWO.bytes()?, options).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let beside = Arc::clone(&bench);
    let tasks = tokio::spawn(async move {
        let mut seen = std::collections::BTreeMap::<String, u32>::new();
        while !*stopped.borrow() {
            let (report, _) = beside.task_of("swap").input(json!({"id": CUSTOMER})).run().await;
            *seen.entry(answered(&report)?.output["text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        anyhow::Ok(seen)
    });
    let name = AgentName::from("swap");
    for round in 0..40 {
        let before = bench.recorder.all().of(RecordKind::TaskEnded).len();
        registry.activate(&name, if round % 2 == 0 { "1.0.0" } else { "2.0.0" }, true).await?;
        // Each version gets a task to itself before the next swap.
        bench.recorder.until(|records| records.iter().filter(|record| record.kind == RecordKind::TaskEnded).count() > before + 1).await;
    }
    stop.send(true)?;
    let seen = tasks.await??;
    ensure!(seen.get("one").is_some_and(|n| *n >= 10) && seen.get("two").is_some_and(|n| *n >= 10), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swap_wider() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::SWAP_ONE).await?;
    let name = AgentName::from("swap");
    let Err(RegistryProblem::Wider { wider, .. }) = bench.install(&artifacts::SWAP_WIDER).await else { bail!("it became active") };
    ensure!(wider == ["bailiwick:crm/notes@0.1.0.append"], "{wider:?}");
    ensure!(bench.sandbox.agent(&name).is_some_and(|info| info.version == "1.0.0"), "the old version stays");

    let registry = bench.sandbox.registry();
    registry.install("wider", &artifacts::SWAP_WIDER.bytes()?, InstallOptions::default()).await?;
    ensure!(matches!(registry.activate(&name, "3.0.0", false).await, Err(RegistryProblem::Wider { .. })), "it became active");
    registry.activate(&name, "3.0.0", true).await?;
    ensure!(bench.sandbox.agent(&name).is_some_and(|info| info.version == "3.0.0"), "accepted in words");
    // Narrower asks nobody.
    registry.activate(&name, "1.0.0", false).await?;
    ensure!(
        matches!(registry.activate(&name, "1.0.1", false).await, Err(RegistryProblem::Unknown { help, .. }) if help.contains("1.0.0")),
        "a slip is named"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_a_version_is_one_component() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::SWAP_ONE).await?;
    let mut other = artifacts::SWAP_ONE.bytes()?;
    // A custom section at the end: another digest, the same agent.
    other.extend_from_slice(&[0, 2, 1, b'x']);
    let registry = bench.sandbox.registry();
    let again = registry.install("other", &other, InstallOptions { activate: true, ..InstallOptions::default() }).await;
    ensure!(matches!(again, Err(RegistryProblem::VersionTaken { .. })), "{again:?}");
    registry.install("other", &other, InstallOptions { activate: true, replace: true, ..InstallOptions::default() }).await?;
    ensure!(bench.sandbox.agent(&"swap".into()).is_some_and(|info| info.component == Digest::of(&other)), "replaced in words");
    Ok(())
}
