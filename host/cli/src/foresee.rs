//! A project as far as it can be known without running: its agents, its workflow, its policies, and what they come to together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bailiwick_core::AgentRunner;
use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::connector::BoxFuture;
use bailiwick_core::ids::{AgentName, StepPath, WorkflowName};
use bailiwick_core::policy::{AgentFacts, Foreseen, Prospect};
use bailiwick_core::runner::{AgentInfo, EndReason, TaskReport, TaskSpec};
use bailiwick_orchestrator::CheckedWorkflow;
use bailiwick_orchestrator::reach::{Asked, Lens, Reach, reach};
use bailiwick_policy::CedarEngine;
use bailiwick_runtime::{RegistryProblem, Sandbox};
use serde_json::{Value, json};

use crate::args::Place;
use crate::display;
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::project::{Component, Origin, PROJECT_FILE, Project, ProjectAgent};
use crate::{build, governance, state, text, wire, workflow};

/// A project, nothing of which runs. What an agent says about itself is read as at install, in a sandbox without capabilities.
pub struct Still {
    /// The project; one of nothing where there is none.
    pub project: Project,
    /// Every operation that it knows.
    pub catalog: Catalog,
    policy: CedarEngine,
    policy_files: Vec<String>,
    /// Kept for as long as components may be looked at in it.
    scratch: tempfile::TempDir,
}

/// What is known of agents. It runs none.
#[derive(Default)]
pub struct KnownAgents(BTreeMap<AgentName, Arc<AgentInfo>>);

impl KnownAgents {
    /// Gives them in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<AgentInfo>> {
        self.0.values()
    }
}

impl AgentRunner for KnownAgents {
    fn agent(&self, name: &AgentName) -> Option<Arc<AgentInfo>> {
        self.0.get(name).map(Arc::clone)
    }

    fn agents(&self) -> Vec<AgentName> {
        self.0.keys().cloned().collect()
    }

    fn run(&self, task: TaskSpec) -> BoxFuture<'_, TaskReport> {
        let reason = EndReason::NoAgent(format!("`{}` is looked at and not run", task.agent));
        Box::pin(async { wire::not_run(reason) })
    }
}

impl Still {
    /// Opens a project with its policies.
    ///
    /// # Errors
    /// Everything that is wrong with the project file or the policies.
    pub fn open(at: &Path, state: Option<&Path>) -> Result<Self> {
        let scratch = state::scratch()?;
        let project = Project::load(at, state)?;
        Self::with(project, scratch)
    }

    /// Opens the project of a command about one agent. For a component file, and for the agents of a state folder, there need be none: the default
    /// policy is looked at then.
    ///
    /// # Errors
    /// See [`Still::open`].
    pub fn open_for_agent(place: &Place, agents: &[&str]) -> Result<Self> {
        let has_project = place.project.join(PROJECT_FILE).exists() || place.project.is_file();
        let needs_none = place.state.is_some() || agents.iter().all(|agent| is_file(Path::new(agent)));
        if has_project || !needs_none {
            return Self::open(&place.project, place.state.as_deref());
        }
        let scratch = state::scratch()?;
        let none = Project::none(scratch.path());
        let mut project = none.map_err(|error| Fault::internal(format!("no folder for a while can be used: {error}")))?;
        if let Some(state) = &place.state {
            project.state.clone_from(state);
        }
        Self::with(project, scratch)
    }

    fn with(project: Project, scratch: tempfile::TempDir) -> Result<Self> {
        let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
        // Those in force, where there are any: a project's files may be others.
        let (policies, files) = governance::policies_in_force(&project, &catalog)?;
        let freezes = governance::frozen(&project.state)?;
        let policy = CedarEngine::new(Arc::new(policies), freezes);
        Ok(Self { project, catalog, policy, policy_files: files, scratch })
    }

    /// Says what the policy will decide of an operation for an agent, and for a step where one is meant.
    pub fn prospect(
        &self,
        info: &AgentInfo,
        operation: &Operation,
        place: Option<(&WorkflowName, &StepPath)>,
        bound: Option<bool>,
    ) -> Prospect {
        let facts = AgentFacts {
            name: info.name.clone(),
            version: info.version.clone(),
            tier: self.project.agent(info.name.as_str()).map_or(0, |agent| agent.tier),
            data_level: info.data_level.clone(),
            risk_class: info.risk_class.clone(),
        };
        self.policy.prospect(&Foreseen { agent: &facts, tenant: &self.project.tenant, place, bound }, operation)
    }

    /// Names the policies in force, for people.
    pub fn policy_text(&self) -> String {
        let version = self.policy.policies().version().to_string();
        let shown = version.get(..19).unwrap_or(&version);
        format!("{}, version {shown}", self.policy_files.join(", "))
    }

    /// Names the policies in force, as JSON.
    pub fn policy_json(&self) -> Value {
        json!({ "files": self.policy_files, "version": self.policy.policies().version() })
    }

    /// Finds the project's agents: as they would run. In a development project that is as last built, else the active version.
    ///
    /// # Errors
    /// When one was neither built nor installed, or does not install.
    pub async fn agents(&self) -> Result<KnownAgents> {
        let installed = wire::open_registry_to_read(&self.project.state).await?;
        let built = build::find_built(&wire::sources(&self.project))?;
        let mut agents = KnownAgents::default();
        let mut wrong = Vec::new();
        for agent in &self.project.agents {
            let built = built.get(&agent.name).map(|path| read(path)).transpose()?;
            match self.agent(agent, built, installed.as_ref()).await {
                Ok(info) => drop(agents.0.insert(agent.name.clone(), info)),
                Err(fault) => wrong.extend(fault.diagnoses),
            }
        }
        if wrong.is_empty() { Ok(agents) } else { Err(Fault::bad_project(wrong)) }
    }

    async fn agent(&self, agent: &ProjectAgent, built: Option<Component>, installed: Option<&Sandbox>) -> Result<Arc<AgentInfo>> {
        let active = installed.and_then(|sandbox| sandbox.agent(&agent.name));
        let component = match &agent.origin {
            Origin::Wasm(component) => Some(component.clone()),
            Origin::Source(_) if self.project.development || active.is_none() => built,
            Origin::Source(_) => None,
        };
        match (component, active) {
            (Some(component), Some(active)) if active.component == component.digest => Ok(active),
            (Some(component), _) => self.look_at(&component).await,
            (None, Some(active)) => Ok(active),
            (None, None) => Err(Fault::bad_input(wire::not_built(&agent.name))),
        }
    }

    /// Reads what a component says about itself.
    async fn look_at(&self, component: &Component) -> Result<Arc<AgentInfo>> {
        let sandbox = wire::open_scratch_registry(self.scratch.path(), &self.project.state).await?;
        sandbox.registry().inspect(&text::path(&component.path), &component.bytes).await.map_err(wire::registry_fault)
    }

    /// Finds one agent: a component file, an installed version, or an agent of the project as last built.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(&self, agent: &str) -> Result<Arc<AgentInfo>> {
        let path = Path::new(agent);
        if is_file(path) {
            return self.look_at(&read(path)?).await;
        }
        let (name, version) = agent.split_once('@').map_or((agent, None), |(name, version)| (name, Some(version)));
        let installed = wire::open_registry_to_read(&self.project.state).await?;
        let of_project = self.project.agent(name).filter(|_| version.is_none());
        let found = match &installed {
            Some(sandbox) => sandbox.registry().info(&name.into(), version).await,
            None => {
                let help =
                    format!("none is installed in `{}`: run the project once, or name a component file", text::path(&self.project.state));
                Err(RegistryProblem::Unknown { what: agent.to_owned(), help })
            }
        };
        match (found, of_project) {
            (Err(RegistryProblem::Unknown { .. }), Some(agent)) => {
                let built = build::find_built(&wire::sources(&self.project))?;
                let built = built.get(&agent.name).map(|path| read(path)).transpose()?;
                self.agent(agent, built, None).await
            }
            (found, _) => found.map_err(wire::registry_fault),
        }
    }

    /// Loads the project's workflow, or another one with its agents; warnings are told.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn workflow(&self, agents: &KnownAgents, other: Option<&Source>) -> Result<CheckedWorkflow> {
        let source = match other {
            Some(source) => source.clone(),
            None => self.project.read(&self.project.workflow).map_err(Fault::bad_input)?,
        };
        let (workflow, warnings) = workflow::load_text(&self.project, &source, agents, &self.catalog).map_err(Fault::bad_project)?;
        display::diagnoses(&warnings);
        Ok(workflow)
    }

    /// Finds the reach of a workflow under the policies in force.
    pub fn reach(&self, agents: &KnownAgents, workflow: &CheckedWorkflow) -> Reach {
        let name = &workflow.plan().workflow;
        let word = |asked: &Asked<'_>| match agents.agent(asked.agent) {
            Some(info) => self.prospect(&info, asked.operation, Some((name, asked.step)), asked.bound),
            None => Prospect::Never { rules: Vec::new(), reason: format!("there is no agent `{}`", asked.agent) },
        };
        reach(workflow.compiled(), &Lens { catalog: &self.catalog, agents, policy: &word })
    }
}

/// Whether an argument means a component file and not a name.
pub fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm") || path.is_file()
}

/// Reads a component file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Component> {
    Component::read(path).map_err(|error| {
        let diagnosis = Diagnosis::new(format!("component `{}` cannot be read: {error}", text::path(path)));
        Fault::bad_input(diagnosis.with_help("`bailiwick build PROJECT` prints where components are".to_owned()))
    })
}
