//! The composition root: ledger, connectors, sandbox and registry of one project, put together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_connectors::Connectors;
use bailiwick_core::act::Act;
use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::connector::{BoxFuture, Connector};
use bailiwick_core::ids::{AgentName, Digest};
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::{AgentFacts, PolicyEngine, Requester, StepRule};
use bailiwick_core::record::{Draft, Fields, LedgerFailure, Payload, RecordContext, RecordKind, Recorder};
use bailiwick_core::runner::{AgentInfo, AgentRunner, EndReason, TaskOutcome, TaskReport, TaskSpec, Usage};
use bailiwick_ledger::{AnchorState, Anchors, Ledger, LedgerOptions, OpenProblem};
use bailiwick_runtime::{
    CompileCommand, CompileProblem, EngineSettings, InstallOptions, InstallProblem, Member, RegistryProblem, Routes, Sandbox, SandboxParts,
};
use serde_json::json;

use crate::build;
use crate::display::Notes;
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::governance::Governance;
use crate::project::{Component, Origin, Project, ProjectAgent};
use crate::text;

/// The one argument with which this program is the child that compiles components.
pub const COMPILE_WORD: &str = "__compile";
/// Folder of the registry in the state folder.
const REGISTRY: &str = "registry";
/// Longest wait for tasks that were stopped. They yield every few milliseconds.
const SETTLING_MOST: Duration = Duration::from_millis(500);
/// Threads that do I/O: connectors and the ledger wait there; guests have a runtime of their own.
const IO_THREADS: usize = 2;

/// Makes the runtime on which everything but guests runs.
///
/// # Errors
/// When threads cannot be started.
pub fn io_runtime() -> Result<tokio::runtime::Runtime> {
    let made = tokio::runtime::Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build();
    made.map_err(|error| Fault::internal(format!("threads cannot be started: {error}")))
}

/// The connectors of a project and what they serve.
pub struct Served {
    /// Every operation that the project knows.
    pub catalog: Arc<Catalog>,
    /// The connectors.
    pub connectors: Vec<Arc<dyn Connector>>,
    /// The connector of each operation that has one.
    pub routes: Routes,
}

impl Served {
    /// Loads a project's connectors; their data lie in the state folder and are made if they are not there.
    ///
    /// # Errors
    /// Everything that is wrong with the connector files, and operations that two connectors serve.
    pub fn load(project: &Project, state: &Path) -> Result<Self> {
        let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
        let connectors = Connectors::load_checked(&project.root, state, &project.connectors, &catalog)
            .map_err(|problems| Fault::bad_project(problems.iter().map(|problem| connector_problem(project, problem)).collect()))?;
        let mut routes = Routes::new();
        let mut wrong = Vec::new();
        for operation in catalog.iter() {
            let mut serving = connectors.iter().filter(|connector| connector.check(operation).is_ok());
            let Some(first) = serving.next() else { continue };
            if let Some(second) = serving.next() {
                let message = format!(
                    "operation `{}` is served by both connector `{}` and connector `{}`",
                    operation.short,
                    first.name(),
                    second.name()
                );
                wrong.push(Diagnosis::new(message).with_help("let one of them serve it".to_owned()));
            }
            routes.insert(operation.id.clone(), Arc::clone(first));
        }
        if wrong.is_empty() { Ok(Self { catalog: Arc::new(catalog), connectors, routes }) } else { Err(Fault::bad_project(wrong)) }
    }

    /// Says why an operation has no connector; `None` where it has one.
    pub fn why_unserved(&self, operation: &Operation) -> Option<Diagnosis> {
        if self.routes.contains_key(&operation.id) || bailiwick_runtime::is_delegation(operation) {
            return None;
        }
        let reasons: Vec<String> = self
            .connectors
            .iter()
            .filter_map(|connector| Some(format!("connector `{}`: {}", connector.name(), connector.check(operation).err()?)))
            .collect();
        let help = if reasons.is_empty() {
            "the project has no connectors: put a file into its `connectors` folder".to_owned()
        } else {
            reasons.join("; ")
        };
        Some(Diagnosis::new(format!("operation `{}` is granted, and no connector serves it", operation.short)).with_help(help))
    }
}

fn connector_problem(project: &Project, problem: &bailiwick_connectors::Problem) -> Diagnosis {
    let diagnosis = Diagnosis::new(problem.message.clone()).with_help(problem.help.clone());
    match (project.read(&problem.file), problem.line) {
        (Ok(source), Some(line)) => {
            let at = source.offset(line, problem.column.unwrap_or(1));
            let length = source.text.get(at..).and_then(|rest| rest.split([' ', '\n', '=', ',']).next()).map_or(0, str::len);
            diagnosis.at(&source, at..at + length)
        }
        (Ok(source), None) => diagnosis.in_file(&source),
        (Err(_), _) => Diagnosis::new(format!("{}: {}", problem.file.display(), problem.message)).with_help(problem.help.clone()),
    }
}

/// How every command that writes opens the ledger.
pub fn ledger_options(anchors: Vec<PathBuf>) -> LedgerOptions {
    LedgerOptions { anchors: Anchors { files: anchors, ..Anchors::default() }, ..LedgerOptions::default() }
}

/// What the parts of a host are opened with.
pub struct HostParts<'a> {
    /// The project.
    pub project: &'a Project,
    /// The state folder.
    pub state: &'a Path,
    /// The registry's folder where it is not that of the state folder.
    pub registry: Option<PathBuf>,
    /// Whether nothing of this stays, so that nobody's authority is asked for.
    pub is_rehearsal: bool,
    /// Files to which the ledger's checkpoints are appended. From the command line alone: a project file that came from elsewhere must
    /// not have us write outside of its folder.
    pub anchors: Vec<PathBuf>,
}

/// A host that holds a state folder.
pub struct Host {
    /// What governs it.
    pub governance: Arc<Governance>,
    /// The sandbox.
    pub sandbox: Arc<Sandbox>,
    /// The connectors.
    pub served: Served,
    is_rehearsal: bool,
}

impl Host {
    /// Takes the state folder and puts the parts together. Blocks the calling task while data are generated.
    ///
    /// # Errors
    /// When the state folder is held, of a newer version or damaged, or a connector file is wrong.
    pub async fn open(parts: HostParts<'_>, notes: &Notes) -> Result<Self> {
        let HostParts { project, state, registry, is_rehearsal, anchors } = parts;
        let governance = Arc::new(Governance::open(project, state, anchors).await?);
        let preparing = notes.work("preparing connectors and their data");
        let served = tokio::task::block_in_place(|| Served::load(project, state))?;
        preparing.finish(None);
        let recorder: Arc<dyn Recorder> = Arc::clone(&governance.ledger) as Arc<dyn Recorder>;
        let registry = registry.unwrap_or_else(|| state.join(REGISTRY));
        let sandbox = open_sandbox(
            registry,
            Arc::clone(&served.catalog),
            served.routes.clone(),
            recorder,
            Arc::clone(&governance.policy) as Arc<dyn PolicyEngine>,
        )
        .await?;
        if is_rehearsal {
            sandbox.registry().borrow_compiled(&project.state.join(REGISTRY));
        }
        let host = Self { governance, sandbox: Arc::new(sandbox), served, is_rehearsal };
        host.record_start(project).await?;
        Ok(host)
    }

    /// Puts on record what runs here: program, engine, configuration.
    async fn record_start(&self, project: &Project) -> Result<()> {
        let binary = tokio::task::block_in_place(own_digest)?;
        let engine = self.sandbox.registry().engine_digest();
        let digests = BTreeMap::from([("binary".to_owned(), binary), ("engine".to_owned(), engine)]);
        let started = json!({ "version": env!("CARGO_PKG_VERSION"), "epoch": self.governance.ledger.epoch() });
        self.record(RecordKind::HostStarted, Fields { digests, ..Fields::default() }, Some(started))?;
        let mut digests = project.digests.clone();
        digests
            .extend(self.served.connectors.iter().map(|connector| (format!("connector {}", connector.name()), connector.config_digest())));
        let loaded = json!({ "project": project.name, "tenant": project.tenant, "development": project.development });
        let last = self.record(RecordKind::ConfigurationLoaded, Fields { digests, ..Fields::default() }, Some(loaded))?;
        self.governance.ledger.durable(last).await.map_err(ledger_fault)
    }

    fn record(&self, kind: RecordKind, fields: Fields, part: Option<serde_json::Value>) -> Result<bailiwick_core::ids::Seq> {
        let payload = part.map(|part| Payload { subject: None, parts: vec![("start", part.into())] });
        self.governance.ledger.append(Draft { kind, context: Arc::new(RecordContext::default()), fields, payload }).map_err(ledger_fault)
    }

    /// Installs a project's agents and makes them active: compiled sources and components by digest.
    ///
    /// # Errors
    /// When one does not install, describes itself by another name, or asks for more than its active version in a project that is no
    /// development project.
    pub async fn install(&self, project: &Project, built: &BTreeMap<AgentName, Component>, notes: &Notes) -> Result<()> {
        let preparing = notes.work("preparing agents");
        for agent in &project.agents {
            preparing.set(agent.name.as_str());
            self.install_named(project, agent, built, notes).await?;
        }
        preparing.finish(None);
        Ok(())
    }

    /// Installs one agent of a project; see [`Host::install`].
    ///
    /// # Errors
    /// See [`Host::install`].
    pub async fn install_named(
        &self,
        project: &Project,
        agent: &ProjectAgent,
        built: &BTreeMap<AgentName, Component>,
        notes: &Notes,
    ) -> Result<()> {
        let component = match &agent.origin {
            Origin::Wasm(component) => Some(component),
            Origin::Source(_) => built.get(&agent.name),
        };
        match component {
            Some(component) => self.install_one(project, &agent.name, component, notes).await,
            None if self.sandbox.agent(&agent.name).is_some() => Ok(()),
            None => Err(Fault::bad_input(not_built(&agent.name))),
        }
    }

    async fn install_one(&self, project: &Project, name: &AgentName, component: &Component, notes: &Notes) -> Result<()> {
        let registry = self.sandbox.registry();
        let what = text::path(&component.path);
        if self.sandbox.agent(name).is_some_and(|info| info.component == component.digest) {
            return Ok(());
        }
        let info = registry.inspect(&what, &component.bytes).await.map_err(registry_fault)?;
        if info.name != *name {
            let message = format!("agent `{name}` of the project: component `{what}` calls itself `{}`", info.name);
            return Err(Fault::bad_input(
                Diagnosis::new(message).with_help(format!("write `{}` in `[agents]`, or rename the agent", info.name)),
            ));
        }
        let operator = self.operator()?;
        self.administer(&operator, Act::InstallAgent(facts_of(&info)), &info).await?;
        self.administer(&operator, Act::ActivateAgent(facts_of(&info)), &info).await?;
        if let Some(before) = self.sandbox.agent(name).filter(|_| project.development) {
            let wider: Vec<&str> = info.imports.iter().filter(|import| !before.imports.contains(import)).map(String::as_str).collect();
            if !wider.is_empty() {
                self.administer(&operator, Act::AcceptWider(facts_of(&info)), &info).await?;
                notes.tell(&format!(
                    "agent {name} asks for more than before: {} (accepted, since this is a development project)",
                    wider.join(", ")
                ));
            }
        }
        let options = InstallOptions { replace: project.development, activate: true, accept_wider: project.development };
        registry.install(&what, &component.bytes, options).await.map_err(registry_fault)?;
        Ok(())
    }

    /// Gives who sits at this host's command line.
    fn operator(&self) -> Result<Requester> {
        Ok(self.governance.requesters()?.account(rustix::process::getuid().as_raw(), &self.governance.tenant))
    }

    /// Asks whether somebody may do something with a component.
    ///
    /// # Errors
    /// As [`Governance::administer`].
    pub async fn administer(&self, who: &Requester, act: Act, info: &AgentInfo) -> Result<()> {
        if self.is_rehearsal {
            return Ok(());
        }
        self.governance.administer(who, &act, &info.component.to_string()).await.map(|_| ())
    }

    /// Gives the host as the orchestrator sees it: the project's agents and no others, each within its own limits.
    pub fn runner(&self, project: &Project) -> Arc<dyn AgentRunner> {
        let member = |agent: &ProjectAgent| (agent.name.clone(), Member { tier: agent.tier, limits: agent.limits });
        self.sandbox.set_roster(project.agents.iter().map(member).collect());
        let limits = project.agents.iter().map(|agent| (agent.name.clone(), agent.limits)).collect();
        Arc::new(ProjectRunner { sandbox: Arc::clone(&self.sandbox), limits })
    }

    /// Gives the state folder back when everything is on disk. Tasks that were stopped have [`SETTLING_MOST`] to write their ends.
    ///
    /// Says how far each place of anchoring has got.
    ///
    /// # Errors
    /// When not everything could be written.
    pub async fn close(self) -> Result<Vec<AnchorState>> {
        let Self { governance, sandbox, served, .. } = self;
        // A task that does not yield in this time is ended with the process, like one of a host that crashes.
        let _ = tokio::time::timeout(SETTLING_MOST, sandbox.settled()).await;
        drop((sandbox, served));
        match Arc::try_unwrap(governance) {
            Ok(governance) => governance.close().await,
            Err(shared) => flush(&shared.ledger).await,
        }
    }

    /// Gives what records.
    pub fn recorder(&self) -> Arc<dyn Recorder> {
        Arc::clone(&self.governance.ledger) as Arc<dyn Recorder>
    }
}

/// Brings a ledger that others still hold to disk and to its anchors.
///
/// # Errors
/// When not everything could be written.
pub async fn flush(ledger: &Ledger) -> Result<Vec<AnchorState>> {
    ledger.flush().await.map_err(ledger_fault)?;
    Ok(tokio::task::block_in_place(|| ledger.anchor_now()))
}

/// What policies may look at of an agent that is to be installed or activated.
pub fn facts_of(info: &AgentInfo) -> AgentFacts {
    AgentFacts {
        name: info.name.clone(),
        version: info.version.clone(),
        tier: 0,
        data_level: info.data_level.clone(),
        risk_class: info.risk_class.clone(),
    }
}

/// Says that an agent was never built.
pub fn not_built(name: &AgentName) -> Diagnosis {
    let help = "run `bailiwick build PROJECT`, then `bailiwick agents install FILE`; or say `development = true` in `[project]`";
    Diagnosis::new(format!("agent `{name}` is a source folder, and no version of it is installed")).with_help(help.to_owned())
}

/// Opens a sandbox that compiles in children of this program.
pub async fn open_sandbox(
    registry: PathBuf,
    catalog: Arc<Catalog>,
    routes: Routes,
    recorder: Arc<dyn Recorder>,
    policy: Arc<dyn PolicyEngine>,
) -> Result<Sandbox> {
    let program = std::env::current_exe().map_err(|error| Fault::internal(format!("this program cannot find itself: {error}")))?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let guests =
        bailiwick_runtime::guest_runtime(threads).map_err(|error| Fault::internal(format!("threads cannot be started: {error}")))?;
    let parts = SandboxParts {
        registry,
        catalog,
        routes,
        recorder,
        policy,
        compile: CompileCommand { program, args: vec![COMPILE_WORD.into()], env: Vec::new() },
        settings: EngineSettings::default(),
        guests,
    };
    Sandbox::open(parts).await.map_err(registry_fault)
}

/// Opens the registry of a state folder to read it; nothing can be installed or activated through it.
///
/// # Errors
/// When there is none, or it cannot be read.
pub async fn open_registry_to_read(state: &Path) -> Result<Option<Sandbox>> {
    let registry = state.join(REGISTRY);
    if !registry.join("index.json").is_file() {
        return Ok(None);
    }
    let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
    open_sandbox(registry, Arc::new(catalog), Routes::new(), Arc::new(NoRecorder), Arc::new(StepRule)).await.map(Some)
}

/// Opens a registry of its own in a folder that is thrown away, to look at components that are not installed. What the state folder's
/// registry has compiled is not compiled again.
///
/// # Errors
/// When the folder cannot be used.
pub async fn open_scratch_registry(folder: &Path, state: &Path) -> Result<Sandbox> {
    let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
    let sandbox = open_sandbox(folder.join(REGISTRY), Arc::new(catalog), Routes::new(), Arc::new(NoRecorder), Arc::new(StepRule)).await?;
    sandbox.registry().borrow_compiled(&state.join(REGISTRY));
    Ok(sandbox)
}

/// Takes no records, so nothing that has to be recorded can be done.
struct NoRecorder;

impl Recorder for NoRecorder {
    fn append(&self, _: Draft) -> std::result::Result<bailiwick_core::ids::Seq, LedgerFailure> {
        Err(LedgerFailure("this command only reads".to_owned()))
    }

    fn durable(&self, _: bailiwick_core::ids::Seq) -> BoxFuture<'_, std::result::Result<(), LedgerFailure>> {
        Box::pin(async { Err(LedgerFailure("this command only reads".to_owned())) })
    }

    fn is_pressed(&self) -> bool {
        false
    }
}

/// Shows a project's agents and no others, each within its own limits.
struct ProjectRunner {
    sandbox: Arc<Sandbox>,
    limits: BTreeMap<AgentName, Limits>,
}

impl AgentRunner for ProjectRunner {
    fn agent(&self, name: &AgentName) -> Option<Arc<AgentInfo>> {
        self.limits.contains_key(name).then(|| self.sandbox.agent(name)).flatten()
    }

    fn agents(&self) -> Vec<AgentName> {
        self.sandbox.agents().into_iter().filter(|name| self.limits.contains_key(name)).collect()
    }

    fn run(&self, mut task: TaskSpec) -> BoxFuture<'_, TaskReport> {
        let Some(limits) = self.limits.get(&task.agent) else {
            let reason = EndReason::NoAgent(format!("the project has no agent `{}`", task.agent));
            return Box::pin(async { not_run(reason) });
        };
        task.limits = task.limits.within(*limits);
        self.sandbox.run(task)
    }
}

/// The report of a task that nobody runs.
pub fn not_run(reason: EndReason) -> TaskReport {
    TaskReport {
        outcome: TaskOutcome::Ended(reason),
        component: None,
        usage: Usage::default(),
        grants: Vec::new(),
        calls: Vec::new(),
        denied_calls: 0,
        labels: Default::default(),
        log: Vec::new(),
    }
}

/// Compiles the source agents of a project.
///
/// # Errors
/// See [`build::build`].
pub fn build_sources(project: &Project, notes: &Notes) -> Result<BTreeMap<AgentName, Component>> {
    build::build(&sources(project), notes)
}

/// Gives the source agents of a project.
pub fn sources(project: &Project) -> Vec<build::SourceAgent> {
    let sources = project.agents.iter().filter_map(|agent| match &agent.origin {
        Origin::Source(folder) => Some(build::SourceAgent { name: agent.name.clone(), folder: folder.clone() }),
        Origin::Wasm(_) => None,
    });
    sources.collect()
}

/// Hashes this program as it runs. The link leads to the file that was started, also when another lies in its place by now.
fn own_digest() -> Result<Digest> {
    let bytes = std::fs::read("/proc/self/exe").or_else(|_| std::fs::read(std::env::current_exe()?));
    bytes.map(|bytes| Digest::of(&bytes)).map_err(|error| Fault::internal(format!("this program cannot be read: {error}")))
}

/// Sorts why a ledger could not be opened.
pub fn open_fault(problem: OpenProblem) -> Fault {
    let exit = match &problem {
        OpenProblem::Held { .. }
        | OpenProblem::Absent { .. }
        | OpenProblem::NotADatabase { .. }
        | OpenProblem::NotALedger { .. }
        | OpenProblem::Newer { .. }
        | OpenProblem::Older { .. }
        | OpenProblem::Gone { .. }
        | OpenProblem::SetBack { .. }
        | OpenProblem::AnchorInside { .. }
        | OpenProblem::Anchor { .. }
        | OpenProblem::Checkpoints { .. }
        | OpenProblem::Signer { .. } => Exit::BadInput,
        OpenProblem::File { .. }
        | OpenProblem::Damaged { .. }
        | OpenProblem::SubjectKey { .. }
        | OpenProblem::SigningKey { .. }
        | OpenProblem::PayloadKeys { .. }
        | OpenProblem::Sign { .. }
        | OpenProblem::Storage { .. }
        | OpenProblem::System { .. } => Exit::Internal,
    };
    Fault::of(exit, vec![Diagnosis::new(problem.to_string())])
}

/// Without a ledger nothing runs.
pub fn ledger_fault(failure: LedgerFailure) -> Fault {
    let diagnosis = Diagnosis::new(failure.to_string())
        .with_help("effects have stopped; see to the disk of the state folder, then start again".to_owned());
    Fault::of(Exit::Internal, vec![diagnosis])
}

/// Sorts why the registry did not do what it was asked.
pub fn registry_fault(problem: RegistryProblem) -> Fault {
    let (exit, help) = match &problem {
        RegistryProblem::Install { problem: InstallProblem::Compile(CompileProblem::Child(_)), .. } | RegistryProblem::Storage { .. } => {
            (Exit::Internal, None)
        }
        RegistryProblem::Wider { name, version, .. } => (
            Exit::BadInput,
            Some(format!(
                "look at it with `bailiwick agents inspect {name}@{version}`, then `bailiwick agents activate {name}@{version} --accept-wider`"
            )),
        ),
        RegistryProblem::Install { .. }
        | RegistryProblem::VersionTaken { .. }
        | RegistryProblem::Unknown { .. }
        | RegistryProblem::Newer { .. } => (Exit::BadInput, None),
        RegistryProblem::Ledger(failure) => return ledger_fault(failure.clone()),
    };
    Fault::of(exit, vec![Diagnosis::new(problem.to_string()).with_help(help)])
}
