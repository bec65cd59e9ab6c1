//! Administrative acts: what people do to a host, as against what agents do through it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, RunId, StepPath, SubjectId, TenantId, WorkflowName};
use crate::policy::AgentFacts;

/// What somebody wants to do to the host. Serialisable, so that it can wait for a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Install a version of an agent.
    InstallAgent(AgentFacts),
    /// Have new tasks use a version of an agent.
    ActivateAgent(AgentFacts),
    /// Accept that a version asks for more than the one before it.
    AcceptWider(AgentFacts),
    /// Bring other policies into force.
    InstallPolicy,
    /// Stop something at its next call.
    Freeze(FreezeScope),
    /// End a freeze.
    Lift(FreezeScope),
    /// Answer a step that waits for a person.
    Approve(Waiting),
    /// Erase what the ledger keeps of a data subject.
    EraseSubject(DataSubject),
    /// Keep what the ledger has of a data subject from being erased.
    HoldSubject(DataSubject),
    /// Replace the key that signs the ledger.
    RotateKey,
    /// Let somebody ask under this name: [`crate::policy::Requester::id`].
    AddRequester(String),
    /// Let nobody ask under this name any more.
    RemoveRequester(String),
}

impl Act {
    /// Gives the name under which policies know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InstallAgent(_) => "agents.install",
            Self::ActivateAgent(_) => "agents.activate",
            Self::AcceptWider(_) => "agents.accept-wider",
            Self::InstallPolicy => "policy.install",
            Self::Freeze(_) => "freeze",
            Self::Lift(_) => "lift",
            Self::Approve(_) => "approve",
            Self::EraseSubject(_) => "ledger.erase",
            Self::HoldSubject(_) => "ledger.hold",
            Self::RotateKey => "ledger.rotate-key",
            Self::AddRequester(_) => "requesters.add",
            Self::RemoveRequester(_) => "requesters.remove",
        }
    }
}

/// Somebody of whom a tenant keeps data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DataSubject {
    /// The tenant.
    pub tenant: TenantId,
    /// Who.
    pub id: SubjectId,
}

/// A step that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    /// The tenant of the run.
    pub tenant: TenantId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// Who opened the run, by [`crate::policy::Requester::id`].
    pub opened_by: String,
    /// Whose data the run is about.
    pub subject: Option<SubjectId>,
}

/// What a freeze stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreezeScope {
    /// Everything.
    Host,
    /// Every run of a tenant.
    Tenant(TenantId),
    /// Every version of an agent.
    Agent(AgentName),
    /// A package (`crm`), interface (`crm/customers`) or operation (`crm/customers.get`) in every version, or in one (`@0.1.0`).
    Capability(String),
}

impl FreezeScope {
    /// Gives its kind: `host`, `tenant`, `agent` or `capability`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Tenant(_) => "tenant",
            Self::Agent(_) => "agent",
            Self::Capability(_) => "capability",
        }
    }

    /// Gives the name of what it stops; empty for the host.
    pub fn name(&self) -> &str {
        match self {
            Self::Host => "",
            Self::Tenant(tenant) => tenant.as_str(),
            Self::Agent(agent) => agent.as_str(),
            Self::Capability(name) => name,
        }
    }
}

impl fmt::Display for FreezeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host"),
            other => write!(f, "{} `{}`", other.kind(), other.name()),
        }
    }
}
