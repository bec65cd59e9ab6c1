//! What the benchmarks share: the guest, a recorder that only counts, a connector that answers from memory.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bailiwick_core::budget::{BudgetUse, Budgets};
use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::connector::{BoxFuture, Connector, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::CallError;
use bailiwick_core::grant::{Condition, GrantRequest};
use bailiwick_core::ids::{Digest, Seq, TaskId};
use bailiwick_core::limits::{ByteCount, Limits, Span};
use bailiwick_core::policy::{Requester, StepRule};
use bailiwick_core::record::{Draft, LedgerFailure, Recorder};
use bailiwick_core::runner::{TaskSpec, WantedGrant};
use bailiwick_runtime::{CompileCommand, EngineSettings, InstallOptions, Sandbox, SandboxParts};
use serde_json::{Value, json};

/// The allocator of the host's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Must be called first by every bench: it is also the compiling child.
pub fn be_the_child_if_asked() {
    if std::env::args().nth(1).as_deref() == Some("__compile") {
        std::process::exit(bailiwick_runtime::compile::child_main());
    }
}

/// Builds the guest, or takes the one that is built, and gives its bytes.
///
/// # Errors
/// When it does not build.
pub fn guest() -> anyhow::Result<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let args = std::fs::read_to_string(root.join("sdk/rust/build-args.txt"))?;
    let target = root.join("target/guests");
    let status = Command::new("cargo")
        .args(args.lines())
        .args(["-p", "bailiwick-bench-guest", "--target-dir"])
        .arg(&target)
        .current_dir(&root)
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .context("cargo could not be run")?;
    if !status.success() {
        bail!("the guest does not build");
    }
    Ok(std::fs::read(target.join("wasm32-wasip2/guest/bailiwick_bench_guest.wasm"))?)
}

/// Takes records and forgets them; counts, so that nothing is optimised away.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Recorder for Counting {
    fn append(&self, draft: Draft) -> Result<Seq, LedgerFailure> {
        std::hint::black_box(&draft);
        Ok(Seq(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn durable(&self, _: Seq) -> BoxFuture<'_, Result<(), LedgerFailure>> {
        Box::pin(async { Ok(()) })
    }

    fn is_pressed(&self) -> bool {
        false
    }
}

/// The answer that every call gives.
pub fn customer() -> Value {
    json!({
        "id": "C-1", "name": "Erika Beispiel", "email": "erika@example.com",
        "address": {"name": "Erika Beispiel", "street": "Am Weg 1", "postal-code": "10115", "city": "Berlin", "country": "DE"},
        "birth-date": "1980-01-02", "language": "de", "opted-out": false, "deceased": false, "tier": "gold",
        "version": "7", "as-of": "2026-11-20T10:00:00Z"
    })
}

/// A connector that answers from memory.
pub struct FromMemory(Value);

impl Connector for FromMemory {
    fn name(&self) -> &str {
        "memory"
    }

    fn config_digest(&self) -> Digest {
        Digest::of(b"memory")
    }

    fn check(&self, _: &Operation) -> Result<(), String> {
        Ok(())
    }

    fn call(&self, _: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async { Ok(ConnectorAnswer::of(self.0.clone())) })
    }
}

/// A sandbox with the guest installed.
pub struct Bench {
    /// The sandbox.
    pub sandbox: Arc<Sandbox>,
    /// The guest's bytes.
    pub wasm: Vec<u8>,
    /// The operations.
    pub catalog: Arc<Catalog>,
    _state: tempfile::TempDir,
}

/// Makes a sandbox with the guest installed; `threads` is the number of threads for guests.
///
/// # Errors
/// When the guest does not build or install.
pub async fn bench(threads: usize, settings: EngineSettings) -> anyhow::Result<Bench> {
    let wasm = guest()?;
    let state = tempfile::tempdir()?;
    let catalog = Arc::new(bailiwick_wit::builtin_catalog()?);
    let operation = catalog.resolve("crm/customers.get")?.id.clone();
    let connector: Arc<dyn Connector> = Arc::new(FromMemory(customer()));
    let sandbox = Sandbox::open(SandboxParts {
        registry: state.path().to_owned(),
        catalog: Arc::clone(&catalog),
        routes: [(operation, connector)].into(),
        recorder: Arc::new(Counting::default()),
        policy: Arc::new(StepRule),
        compile: CompileCommand { program: std::env::current_exe()?, args: vec!["__compile".into()], env: Vec::new() },
        settings,
        guests: bailiwick_runtime::guest_runtime(threads)?,
    })
    .await?;
    let info = sandbox.registry().install("bench", &wasm, InstallOptions { activate: true, ..InstallOptions::default() }).await?;
    ensure!(info.name.as_str() == "bailiwick-bench-guest", "another agent");
    Ok(Bench { sandbox: Arc::new(sandbox), wasm, catalog, _state: state })
}

/// An input of about 200 bytes.
pub fn input(calls: u32, spin: bool) -> Value {
    json!({"calls": calls, "spin": spin, "padding": "x".repeat(150)})
}

impl Bench {
    /// Makes a task with one grant.
    ///
    /// # Errors
    /// When the operation is not known.
    pub fn task(&self, input: Value, deadline: Duration) -> anyhow::Result<TaskSpec> {
        let operation = self.catalog.resolve("crm/customers.get")?;
        let request = GrantRequest {
            operation: operation.id.clone(),
            conditions: [("id".parse()?, vec![Condition::Equals(json!("C-1"))])].into(),
            owner: Some("C-1".to_owned()),
            budgets: Budgets { calls: 1_000_000, bytes_in: ByteCount::mib(4096), bytes_out: ByteCount::mib(4096) },
            delegable: false,
        };
        Ok(TaskSpec {
            id: TaskId::fresh(),
            parent: None,
            requester: Arc::new(Requester { id: "local:bench".into(), tenant: "bench".into(), attributes: Default::default() }),
            workflow: "bench".into(),
            plan: Digest::of(b"plan"),
            run: "run".into(),
            step: "step".into(),
            attempt: 1,
            agent: "bailiwick-bench-guest".into(),
            input: Arc::new(input),
            run_input: Arc::default(),
            labels: Default::default(),
            subject: Some("C-1".into()),
            wants: vec![WantedGrant { request, used: Arc::new(BudgetUse::default()) }],
            limits: Limits { deadline: Span(deadline), host_calls: 10_000_000, fuel: u64::MAX / 2, ..Limits::default() },
        })
    }
}

/// Gives the value below which `per_mille` of the samples lie.
pub fn percentile(samples: &mut [Duration], per_mille: usize) -> Duration {
    samples.sort_unstable();
    let index = (samples.len() * per_mille / 1000).min(samples.len().saturating_sub(1));
    samples.get(index).copied().unwrap_or_default()
}
