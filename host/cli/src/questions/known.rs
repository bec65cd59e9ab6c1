//! What is known beside the ledger: operations, the workflow as it is now, installed agents. Nothing is changed, and nothing of it has to be there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::ids::{Digest, StepPath};
use bailiwick_core::plan::{AgentNode, GrantTemplate, Node};
use bailiwick_core::policy::AgentFacts;
use bailiwick_orchestrator::{CheckedWorkflow, Compiled};

use crate::args::Place;
use crate::fault::{Fault, Result};
use crate::project::{PROJECT_FILE, Project};
use crate::wire;

/// What is known beside the ledger.
pub struct Known {
    /// Every operation that this host knows.
    pub catalog: Arc<Catalog>,
    /// The project's workflow as its file is now.
    pub workflow: Option<CheckedWorkflow>,
    /// Its file.
    pub file: String,
    /// Why the workflow is not known.
    pub why_not: Option<String>,
    /// Installed agents, by component.
    pub agents: BTreeMap<Digest, AgentFacts>,
}

impl Known {
    /// Looks at what a project and its state folder have.
    ///
    /// # Errors
    /// When the registry of the state folder cannot be read. A project that is not there, or whose workflow does not load, is said in [`Known::why_not`].
    pub fn load(place: &Place, state: &Path) -> Result<Self> {
        let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
        let mut known = Self {
            catalog: Arc::new(catalog),
            workflow: None,
            file: "the workflow file".to_owned(),
            why_not: Some("no project was named".to_owned()),
            agents: BTreeMap::new(),
        };
        wire::io_runtime()?.block_on(known.look(place, state))?;
        Ok(known)
    }

    async fn look(&mut self, place: &Place, state: &Path) -> Result<()> {
        let Some(sandbox) = wire::open_registry_to_read(state).await? else {
            self.why_not = Some("no agent is installed in the state folder".to_owned());
            return Ok(());
        };
        for installed in sandbox.registry().list().await {
            // A version whose component cannot be read any more is one of which less is known.
            let Ok(info) = sandbox.registry().info(&installed.name, Some(&installed.version)).await else { continue };
            let (data_level, risk_class) = (info.data_level.clone(), info.risk_class.clone());
            let facts = AgentFacts { name: installed.name, version: installed.version, tier: 0, data_level, risk_class };
            self.agents.insert(installed.component, facts);
        }
        if !(place.project.join(PROJECT_FILE).exists() || place.project.is_file()) {
            return Ok(());
        }
        match Project::load(&place.project, place.state.as_deref()) {
            Ok(project) => self.load_workflow(&project, &sandbox),
            Err(fault) => self.why_not = Some(first(fault.diagnoses.iter().map(ToString::to_string))),
        }
        Ok(())
    }

    fn load_workflow(&mut self, project: &Project, agents: &dyn bailiwick_core::AgentRunner) {
        let source = match project.read(&project.workflow) {
            Ok(source) => source,
            Err(diagnosis) => return self.why_not = Some(diagnosis.to_string()),
        };
        self.file = project.workflow.to_string_lossy().into_owned();
        let read = |path: &str| {
            project.read(Path::new(path)).map(|source| source.text.to_string()).map_err(|diagnosis| io::Error::other(diagnosis.to_string()))
        };
        let known = bailiwick_orchestrator::Known { catalog: &self.catalog, agents, read: &read };
        match bailiwick_orchestrator::load(&source.name, &source.text, &known) {
            Ok(workflow) => {
                self.workflow = Some(workflow);
                self.why_not = None;
            }
            Err(refused) => self.why_not = Some(first(refused.0.into_iter().map(|diagnostic| diagnostic.message))),
        }
    }

    /// Gives the plan of a run, where the workflow file still compiles to it.
    pub fn plan(&self, digest: Option<&Digest>) -> Option<&Arc<Compiled>> {
        let compiled = self.workflow.as_ref()?.compiled();
        (digest == Some(compiled.digest())).then_some(compiled)
    }

    /// Says why the plan of a run is not known.
    pub fn why_no_plan(&self) -> String {
        match &self.why_not {
            Some(reason) => format!("what the workflow file said then is not known: {reason}"),
            None => format!(
                "what the workflow file said then is not known: `{}` has changed since, or another version of an agent is active",
                self.file
            ),
        }
    }

    /// Finds an operation by its full name.
    pub fn operation(&self, full: &str) -> Option<&Arc<Operation>> {
        self.catalog.get(&full.parse().ok()?)
    }
}

/// Gives a step of a plan.
pub fn node<'a>(compiled: &'a Compiled, step: &StepPath) -> Option<&'a AgentNode> {
    match compiled.plan().nodes.get(step)? {
        Node::Agent(node) => Some(node),
    }
}

/// Gives what a step of a plan gives of an operation.
pub fn template<'a>(compiled: &'a Compiled, step: &StepPath, operation: &Operation) -> Option<&'a GrantTemplate> {
    node(compiled, step)?.may.iter().find(|grant| grant.operation == operation.id)
}

fn first(mut messages: impl Iterator<Item = String>) -> String {
    messages.next().unwrap_or_else(|| "it does not load".to_owned())
}
