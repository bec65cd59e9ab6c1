//! A sandbox with everything around it that a test wants to ask.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_core::budget::{BudgetUse, Budgets};
use bailiwick_core::capability::{Catalog, FieldPath};
use bailiwick_core::grant::{Condition, GrantRequest};
use bailiwick_core::ids::{AgentName, Digest, RunId, TaskId};
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::{PolicyEngine, Requester, StepRule};
use bailiwick_core::record::Recorder;
use bailiwick_core::runner::{Answer, EndReason, TaskOutcome, TaskReport, TaskSpec, WantedGrant};
use bailiwick_core::{AgentRunner as _, Connector};
use bailiwick_runtime::{CompileCommand, EngineSettings, InstallOptions, RegistryProblem, Routes, Sandbox, SandboxParts, guest_runtime};
use bailiwick_test_artifacts::{Artifact, IDENTITY_VERIFIER};
use serde_json::{Value, json};

use crate::recorder::{Kept, MemoryRecorder};
use crate::upstream::{CUSTOMER, Upstream};

/// What a test may choose.
pub struct Settings {
    /// The compiling child.
    pub compile_child: PathBuf,
    /// Where compiled code is kept between tests.
    pub code: PathBuf,
    /// Sandboxes alive at the same time. Default 16.
    pub sandboxes: u32,
    /// Threads on which guests run. Default 2.
    pub threads: usize,
    /// Decides. Default: the step's rule.
    pub policy: Arc<dyn PolicyEngine>,
    /// Serve their operations in place of the upstream.
    pub connectors: Vec<Arc<dyn Connector>>,
    /// Takes records in place of the bench's own recorder.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// Operations in place of those that Bailiwick comes with.
    pub catalog: Option<Arc<Catalog>>,
    /// Connectors in place of the bench's own upstream.
    pub routes: Option<Routes>,
}

impl Settings {
    /// Starts from the defaults. A test names `env!("CARGO_BIN_EXE_compile_child")` and a folder in `env!("CARGO_TARGET_TMPDIR")`.
    pub fn new(compile_child: &str, code: &str) -> Self {
        Self {
            compile_child: compile_child.into(),
            code: code.into(),
            sandboxes: 16,
            threads: 2,
            policy: Arc::new(StepRule),
            connectors: Vec::new(),
            recorder: None,
            catalog: None,
            routes: None,
        }
    }
}

/// A sandbox, its upstream and its recorder.
pub struct Bench {
    /// The sandbox.
    pub sandbox: Arc<Sandbox>,
    /// What reached the outside.
    pub upstream: Arc<Upstream>,
    /// What was recorded.
    pub recorder: Arc<MemoryRecorder>,
    catalog: Arc<Catalog>,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// Opens a sandbox in a folder of its own.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(settings: Settings) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let registry = dir.path().join("registry");
        share_compiled_code(&registry, &settings.code)?;
        let upstream = Arc::new(Upstream::default());
        let recorder = Arc::new(MemoryRecorder::default());
        let catalog = match settings.catalog {
            Some(catalog) => catalog,
            None => Arc::new(bailiwick_wit::builtin_catalog()?),
        };
        let mut routes = settings.routes.unwrap_or_else(|| upstream.routes(&catalog));
        for operation in catalog.iter() {
            for connector in settings.connectors.iter().filter(|connector| connector.check(operation).is_ok()) {
                routes.insert(operation.id.clone(), Arc::clone(connector));
            }
        }
        let sandbox = Sandbox::open(SandboxParts {
            registry,
            catalog: Arc::clone(&catalog),
            routes,
            recorder: settings.recorder.unwrap_or_else(|| Arc::clone(&recorder) as Arc<dyn Recorder>),
            policy: settings.policy,
            compile: CompileCommand { program: settings.compile_child, args: Vec::new(), env: Vec::new() },
            settings: EngineSettings { sandboxes: settings.sandboxes },
            guests: guest_runtime(settings.threads)?,
        })
        .await?;
        Ok(Self { sandbox: Arc::new(sandbox), upstream, recorder, catalog, _dir: dir })
    }

    /// Installs a component and makes it the active version.
    ///
    /// # Errors
    /// When it fails a check of the install; see [`RegistryProblem`].
    pub async fn install(&self, artifact: &Artifact) -> Result<(), RegistryProblem> {
        let storage = |source| RegistryProblem::Storage { path: artifact.path.into(), source };
        let wasm = artifact.bytes().map_err(storage)?;
        self.install_bytes(artifact.name, &wasm).await
    }

    /// Installs a component that a test has made.
    ///
    /// # Errors
    /// As [`Bench::install`].
    pub async fn install_bytes(&self, name: &str, wasm: &[u8]) -> Result<(), RegistryProblem> {
        let options = InstallOptions { activate: true, ..InstallOptions::default() };
        self.sandbox.registry().install(name, wasm, options).await.map(|_| ())
    }

    /// Installs a component and drafts a task for it.
    ///
    /// # Errors
    /// When it does not install.
    pub async fn task(&self, artifact: &Artifact) -> Result<TaskDraft<'_>> {
        self.install(artifact).await?;
        Ok(self.task_of(&artifact.agent()))
    }

    /// Drafts a task for an agent that is installed.
    pub fn task_of(&self, agent: &str) -> TaskDraft<'_> {
        let spec = TaskSpec {
            id: TaskId::fresh(),
            parent: None,
            requester: Arc::new(Requester { id: "local:test".to_owned(), tenant: "nordwind".into(), attributes: BTreeMap::new() }),
            workflow: "hostile".into(),
            plan: Digest::of(b"plan"),
            run: RunId::fresh(),
            step: "step".into(),
            attempt: 1,
            agent: AgentName::from(agent),
            input: Arc::new(json!({})),
            run_input: Arc::default(),
            labels: Default::default(),
            subject: Some(CUSTOMER.into()),
            wants: Vec::new(),
            limits: Limits::default(),
        };
        TaskDraft { bench: self, spec }
    }

    /// Runs a task that its neighbours must not notice: until it ends, healthy tasks run beside it, one after another and at least one,
    /// and each has to answer rightly and in time.
    ///
    /// # Errors
    /// When a neighbour does not.
    pub async fn run_beside_neighbours(&self, spec: TaskSpec) -> Result<(TaskReport, Kept)> {
        self.install(&IDENTITY_VERIFIER).await?;
        let id = spec.id.clone();
        let sandbox = Arc::clone(&self.sandbox);
        let hostile = tokio::spawn(async move { sandbox.run(spec).await });
        loop {
            self.run_neighbour().await?;
            if hostile.is_finished() {
                break;
            }
        }
        Ok((hostile.await?, self.recorder.of_task(&id)))
    }

    /// Installs the neighbour and runs it.
    ///
    /// # Errors
    /// As [`Bench::run_neighbour`].
    pub async fn run_neighbour_installed(&self) -> Result<TaskReport> {
        self.install(&IDENTITY_VERIFIER).await?;
        self.run_neighbour().await
    }

    /// Runs a healthy task and checks its answer.
    ///
    /// # Errors
    /// When the answer is not the right one, or late.
    pub async fn run_neighbour(&self) -> Result<TaskReport> {
        let evidence = json!({"name": "Anna Berg", "postal-code": "10115", "birth-date": "1980-02-29"});
        let mut draft = self.task_of("identity-verifier").input(json!({"customer": CUSTOMER, "evidence": evidence}));
        draft = draft.grant("crm/customers.get", &[("id", Condition::Equals(json!(CUSTOMER)))])?;
        draft = draft.limits(|limits| limits.deadline.0 = Duration::from_secs(5));
        let report = self.sandbox.run(draft.spec).await;
        let output = &answered(&report).context("a neighbour was harmed")?.output;
        ensure!(**output == json!({"verified": true, "strength": "strong"}), "a neighbour answered {output}");
        Ok(report)
    }
}

/// A task in the making.
pub struct TaskDraft<'a> {
    bench: &'a Bench,
    /// What has been said so far.
    pub spec: TaskSpec,
}

impl TaskDraft<'_> {
    /// Sets the input.
    pub fn input(mut self, input: Value) -> Self {
        self.spec.input = Arc::new(input);
        self
    }

    /// Sets the attempt.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.spec.attempt = attempt;
        self
    }

    /// Changes limits.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.spec.limits);
        self
    }

    /// Adds a grant with the default budgets.
    ///
    /// # Errors
    /// When there is no such operation.
    pub fn grant(self, operation: &str, conditions: &[(&str, Condition)]) -> Result<Self> {
        self.grant_with(operation, conditions, |_| {})
    }

    /// Adds a grant and changes what it asks for.
    ///
    /// # Errors
    /// When there is no such operation.
    pub fn grant_with(mut self, operation: &str, conditions: &[(&str, Condition)], change: impl FnOnce(&mut GrantRequest)) -> Result<Self> {
        let operation = self.bench.catalog.resolve(operation)?;
        let mut by_path: BTreeMap<FieldPath, Vec<Condition>> = BTreeMap::new();
        for (path, condition) in conditions {
            by_path.entry(path.parse()?).or_default().push(condition.clone());
        }
        let mut request = GrantRequest {
            operation: operation.id.clone(),
            conditions: by_path,
            owner: None,
            budgets: Budgets::default_for(operation.spec.effect),
            delegable: false,
        };
        change(&mut request);
        self.spec.wants.push(WantedGrant { request, used: Arc::new(BudgetUse::default()) });
        Ok(self)
    }

    /// Makes the next attempt of the same step: another task, the same run, step and budgets.
    pub fn next_attempt(&self) -> TaskSpec {
        TaskSpec { id: TaskId::fresh(), attempt: self.spec.attempt + 1, ..self.spec.clone() }
    }

    /// Runs it, alone.
    pub async fn run(&self) -> (TaskReport, Kept) {
        let report = self.bench.sandbox.run(self.spec.clone()).await;
        (report, self.bench.recorder.of_task(&self.spec.id))
    }

    /// Runs it as a new task, alone.
    pub async fn run_again(&self) -> (TaskReport, Kept) {
        let spec = TaskSpec { id: TaskId::fresh(), run: RunId::fresh(), ..self.spec.clone() };
        let id = spec.id.clone();
        let report = self.bench.sandbox.run(spec).await;
        (report, self.bench.recorder.of_task(&id))
    }
}

/// Gives the answer of a task.
///
/// # Errors
/// When it has none.
pub fn answered(report: &TaskReport) -> Result<&Answer> {
    match &report.outcome {
        TaskOutcome::Answered(answer) => Ok(answer),
        other => bail!("an answer was expected, not {other:?}; log: {:?}", report.log),
    }
}

/// Gives the reason for which the host ended a task.
///
/// # Errors
/// When it did not.
pub fn ended(report: &TaskReport) -> Result<&EndReason> {
    match &report.outcome {
        TaskOutcome::Ended(reason) => Ok(reason),
        other => bail!("an end by the host was expected, not {other:?}"),
    }
}

/// Lets all tests use one cache of compiled code. Its files carry the MAC of a key that lies beside them, so each test
/// still goes through every check of a load.
fn share_compiled_code(registry: &Path, cache: &Path) -> Result<()> {
    std::fs::create_dir_all(cache)?;
    std::fs::create_dir_all(registry)?;
    // The key has to be there before two tests make one each.
    let key = cache.join("key");
    if !key.exists() {
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        file.write_all(Digest::of(RunId::fresh().as_str().as_bytes()).as_bytes())?;
        match file.persist_noclobber(&key) {
            Err(problem) if !key.exists() => return Err(problem.error.into()),
            _ => {}
        }
    }
    std::os::unix::fs::symlink(cache, registry.join("cache"))?;
    Ok(())
}
