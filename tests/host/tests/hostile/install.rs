//! Installs: what a component imports and exports is checked before any of its code runs.

use anyhow::{Result, ensure};
use bailiwick_core::grant::Condition;
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_core::runner::EndReason;
use bailiwick_runtime::{CompileProblem, InstallProblem, RegistryProblem};
use bailiwick_test_artifacts::{self as artifacts, Artifact, assert_every_install};
use bailiwick_test_host::{answered, ended};
use serde_json::json;

use crate::bench;
use crate::contract::refused;

assert_every_install!();

async fn unknown_import(artifact: &Artifact, expected: &str) -> Result<()> {
    let problem = refused(&bench().await?, artifact).await?;
    ensure!(matches!(&problem, InstallProblem::UnknownImport { name, .. } if name == expected), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_undeclared_import() -> Result<()> {
    // Its start function traps: had it run, the error would be another.
    unknown_import(&artifacts::INSTALL_UNDECLARED_IMPORT, "evil:net/dial@1.0.0.open").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_nested_undeclared_import() -> Result<()> {
    unknown_import(&artifacts::INSTALL_NESTED_UNDECLARED_IMPORT, "evil:net/dial@1.0.0.open").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_unknown_version() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::INSTALL_UNKNOWN_VERSION).await?;
    ensure!(problem.to_string().contains("did you mean `bailiwick:crm/customers@0.1.0.get`?"), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_other_type() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::INSTALL_OTHER_TYPE).await?;
    ensure!(matches!(&problem, InstallProblem::OtherType { name } if name == "bailiwick:crm/customers@0.1.0.get"), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_not_an_agent() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::INSTALL_NOT_AN_AGENT).await?;
    ensure!(matches!(problem, InstallProblem::NoAgent(_)), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_other_exports() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::INSTALL_OTHER_EXPORTS).await?;
    ensure!(matches!(problem, InstallProblem::Describe(_) | InstallProblem::NoAgent(_)), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_undeclared_stub() -> Result<()> {
    let problem = refused(&bench().await?, &artifacts::INSTALL_UNDECLARED_STUB).await?;
    ensure!(matches!(&problem, InstallProblem::UndeclaredStub(name) if name.starts_with("wasi:sockets/tcp-create-socket@")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_declared_stub() -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(&artifacts::INSTALL_DECLARED_STUB).await?;
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    answered(&report)?;
    ensure!(kept.security_events() == ["stub-called"], "{:?}", kept.security_events());
    let event = kept.of(RecordKind::SecurityEvent)[0];
    ensure!(event.fields.operation.as_deref() == Some("wasi:sockets/tcp-create-socket@0.2.6.create-tcp-socket"), "{:?}", event.fields);
    ensure!(event.fields.outcome == Some(CallOutcome::Denied), "{:?}", event.fields);

    let (report, kept) = bench.task_of("install-declared-stub").attempt(2).run().await;
    ensure!(matches!(ended(&report)?, EndReason::DeniedWithoutError(name) if name.contains("instance-network")), "{:?}", report.outcome);
    ensure!(kept.end() == "denied-without-error" && kept.security_events() == ["stub-called"], "{:?}", kept.kinds());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn install_start_calls_import() -> Result<()> {
    let bench = bench().await?;
    // While it describes itself, the call is denied and leaves no trace.
    let task = bench.task(&artifacts::INSTALL_START_CALLS_IMPORT).await?;
    ensure!(bench.recorder.all().of(RecordKind::CallIntent).is_empty(), "a call left while the component described itself");
    let task = task.grant("crm/customers.get", &[("id", Condition::Equals(json!("C-1042")))])?;
    let id = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    answered(&report)?;
    ensure!(kept.outcomes() == [(Some(CallOutcome::Denied), "grant-conditions".to_owned())], "{:?}", kept.outcomes());
    ensure!(kept.security_events() == ["call-outside-grant"], "{:?}", kept.security_events());
    ensure!(bench.upstream.of_task(&id).is_empty(), "the call reached the upstream");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_component_is_refused() -> Result<()> {
    let bench = bench().await?;
    for bytes in [b"".as_slice(), b"#!/bin/sh\n", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\xff\xff\xff"] {
        let result = bench.sandbox.registry().install("file.wasm", bytes, Default::default()).await;
        let Err(RegistryProblem::Install { problem: InstallProblem::Compile(problem), .. }) = result else {
            anyhow::bail!("{bytes:?} was taken for a component");
        };
        ensure!(matches!(problem, CompileProblem::Invalid(_)), "{problem}");
    }
    let large = vec![0; usize::try_from(bailiwick_runtime::compile::COMPONENT_BYTES_MOST)? + 1];
    let result = bench.sandbox.registry().install("file.wasm", &large, Default::default()).await;
    ensure!(
        matches!(result, Err(RegistryProblem::Install { problem: InstallProblem::Compile(CompileProblem::TooLarge), .. })),
        "it is too large"
    );
    Ok(())
}
