//! Tasks, and what runs them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::BudgetUse;
use crate::capability::Label;
use crate::connector::{Artifact, BoxFuture};
use crate::grant::GrantRequest;
use crate::ids::{AgentName, Digest, GrantId, RunId, StepPath, SubjectId, TaskId, WorkflowName};
use crate::limits::{LimitKind, Limits};
use crate::policy::Requester;
use crate::record::LedgerFailure;

/// One delegated piece of work: input, grants asked for, limits.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// Id, new for each attempt.
    pub id: TaskId,
    /// The task that delegated this one.
    pub parent: Option<TaskId>,
    /// Who asked for the run.
    pub requester: Arc<Requester>,
    /// The workflow.
    pub workflow: WorkflowName,
    /// Digest of the plan.
    pub plan: Digest,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// Which try, from 1.
    pub attempt: u32,
    /// The agent; its active version is taken when the task starts.
    pub agent: AgentName,
    /// The step's input. Whether it satisfies the agent's input schema is for the runner to check: an agent's schema is checked within the bounds
    /// of an agent's work.
    pub input: Arc<Value>,
    /// Whose data the run is about.
    pub subject: Option<SubjectId>,
    /// What the requester gave the run. A policy may ask whether a grant's conditions come from it.
    pub run_input: Arc<Value>,
    /// Labels of the values that the input, the grants and the step's conditions were made of.
    pub labels: BTreeSet<Label>,
    /// What the step gives, bound from the run's data, with what earlier attempts used of it.
    pub wants: Vec<WantedGrant>,
    /// Limits. The deadline is the smaller of the step's timeout and the project's limit.
    pub limits: Limits,
}

/// A grant that a step asks for.
#[derive(Debug, Clone)]
pub struct WantedGrant {
    /// Operation, conditions, budgets.
    pub request: GrantRequest,
    /// What earlier attempts of the step used.
    pub used: Arc<BudgetUse>,
}

/// How sure an agent is of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Rules applied to facts.
    Certain,
    /// Per mille, 0 to 1000.
    PerMille(u16),
}

impl Confidence {
    /// Gives the per mille; certain is 1000.
    pub fn to_per_mille(self) -> u16 {
        match self {
            Self::Certain => 1000,
            Self::PerMille(n) => n,
        }
    }
}

/// What a call of a task rested on, filled in by the host from what it recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    /// The operation, in short form.
    pub operation: String,
    /// When the data were read, RFC 3339.
    pub as_of: Option<String>,
}

/// An answer that satisfies the agent's output schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The output.
    pub output: Arc<Value>,
    /// How sure the agent is.
    pub confidence: Confidence,
    /// What the agent says that it rests on.
    pub claimed_sources: Vec<String>,
    /// What it did read.
    pub sources: Vec<Source>,
    /// Labels of everything that the task had read when it answered, its input included. Filled in by the host.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Label>,
}

/// How an agent says that it has no answer; the cases of WIT `failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The input makes no sense to the agent.
    InvalidInput,
    /// The work belongs to another agent.
    NotMine,
    /// A later attempt may succeed.
    Retryable,
    /// No attempt will succeed.
    Permanent,
    /// A person has to decide.
    NeedsHuman,
}

/// Why the host ended a task, or never started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// A limit was reached.
    #[error("limit `{limit}` reached: {detail}")]
    Limit {
        /// Which one.
        limit: LimitKind,
        /// Numbers: what was asked for, what was allowed.
        detail: String,
    },
    /// The guest trapped: a panic, an unreachable instruction, a broken contract of the component model.
    #[error("the agent trapped: {0}")]
    Trap(String),
    /// The input does not satisfy the agent's input schema, so nothing of the agent ran.
    #[error("the input does not fit: {0}")]
    InvalidInput(String),
    /// The answer is no JSON, does not satisfy the output schema, or has a confidence beyond 1000.
    #[error("the answer is not valid: {0}")]
    InvalidAnswer(String),
    /// The agent called something for which a denial has no typed error.
    #[error("a call was denied and its type has no error to say so: `{0}`")]
    DeniedWithoutError(String),
    /// A grant of the step was not issued.
    #[error("grant for `{operation}` was not issued: {reason}")]
    GrantDenied {
        /// The operation, in short form.
        operation: String,
        /// Why.
        reason: String,
    },
    /// There is no such agent, or no version of it is active.
    #[error("{0}")]
    NoAgent(String),
    /// The host has no room for another task now.
    #[error("no room for another task: {0}")]
    Overloaded(String),
    /// The ledger cannot be written, so effects stop.
    #[error("{0}")]
    Ledger(LedgerFailure),
    /// A fault of the host.
    #[error("internal fault: {0}")]
    Internal(String),
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskOutcome {
    /// With an answer.
    Answered(Answer),
    /// With a failure that the agent named.
    Failed {
        /// Which kind.
        kind: FailureKind,
        /// What the agent says.
        message: String,
    },
    /// The host ended it.
    Ended(EndReason),
}

/// What a task used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// Wall clock from start to end, in microseconds.
    pub time_us: u64,
    /// Of it, waiting for connectors.
    pub connector_us: u64,
    /// Of it, waiting for the ledger's disk.
    pub disk_us: u64,
    /// Of it, making the sandbox: grants, store, instance.
    pub setup_us: u64,
    /// Fuel.
    pub fuel: u64,
    /// Most bytes of memory at any time, summed over the store.
    pub memory_peak: u64,
    /// Calls that left the sandbox, ambient ones included.
    pub host_calls: u64,
}

/// What was done under one grant by one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantUse {
    /// The grant.
    pub id: GrantId,
    /// The operation, in short form.
    pub operation: String,
    /// Calls that reached the connector.
    pub calls: u64,
}

/// One capability call of a task, for the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallSummary {
    /// The operation, in short form.
    pub operation: String,
    /// `ok`, or the case of the error that the guest got.
    pub result: String,
    /// Why it was denied or failed, for the operator.
    pub detail: Option<String>,
    /// How long it took, in microseconds.
    pub time_us: u64,
    /// Documents that came into being.
    pub artifacts: Vec<Artifact>,
}

/// All that the host knows of a task that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskReport {
    /// How it ended.
    pub outcome: TaskOutcome,
    /// Digest and version of the component, where the task got as far.
    pub component: Option<(Digest, String)>,
    /// What it used.
    pub usage: Usage,
    /// Grants, used or not.
    pub grants: Vec<GrantUse>,
    /// Calls in order; the first 1,000.
    pub calls: Vec<CallSummary>,
    /// Calls that were outside the grants or that the policy forbade, all of them: a denial is final, also where the agent makes other calls
    /// afterwards.
    pub denied_calls: u64,
    /// Labels of everything that a task without an answer had read, its input included: what it says of its failure, and that it failed, may come
    /// from there. An answer has its own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Label>,
    /// Log lines and progress, cleaned of control characters; bounded by the log limit.
    pub log: Vec<String>,
}

/// What an agent says about itself, as read at install.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgentInfo {
    /// Name.
    pub name: AgentName,
    /// Version.
    pub version: String,
    /// Digest of the component.
    pub component: Digest,
    /// What it is for.
    pub purpose: String,
    /// Who answers for it.
    pub owner: String,
    /// Highest class of data that it is meant to see.
    pub data_level: String,
    /// How much harm a wrong answer does.
    pub risk_class: String,
    /// When it is to be reviewed, or empty.
    pub review_by: String,
    /// JSON schema of the input.
    pub input_schema: Value,
    /// JSON schema of the output.
    pub output_schema: Value,
    /// Operations that it imports, in full form, each interface expanded to the functions it can call.
    pub imports: Vec<String>,
    /// Operations that the manifest says it wants, in short form.
    pub wants: Vec<String>,
    /// WASI interfaces that it imports, served as ambient functions.
    pub ambient: Vec<String>,
    /// WASI interfaces that are linked as always denied.
    pub stubs: Vec<String>,
}

/// What runs tasks. Implemented by the sandbox; the orchestrator knows no more of it.
pub trait AgentRunner: Send + Sync {
    /// Gives what is known of the active version of an agent.
    fn agent(&self, name: &AgentName) -> Option<Arc<AgentInfo>>;

    /// Gives the names of all agents with an active version.
    fn agents(&self) -> Vec<AgentName>;

    /// Checks a task's input and runs the task to its end. Never fails: whatever happens is in the report. Dropping the future ends the task.
    fn run(&self, task: TaskSpec) -> BoxFuture<'_, TaskReport>;
}

/// Limits of a step's attempt: the project's, with the step's timeout as deadline where that is shorter.
pub fn limits_within(limits: Limits, timeout: Option<Duration>) -> Limits {
    let deadline = timeout.map_or(limits.deadline.0, |timeout| timeout.min(limits.deadline.0));
    Limits { deadline: crate::limits::Span(deadline), ..limits }
}
