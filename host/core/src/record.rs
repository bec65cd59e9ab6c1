//! Records of the ledger: an envelope that can be shown to anyone, and a payload that belongs to a data subject.
//!
//! Format version 1. An envelope holds no plain subject id and no unsalted digest of data; what can identify a person
//! stands in the payload, which lies beside the tree under the subject's key. The envelope's canonical bytes
//! ([`crate::canonical`]) are the Merkle leaf.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connector::BoxFuture;
use crate::grant::Grant;
use crate::ids::{AgentName, Digest, GrantId, PolicyVersion, RunId, Seq, StepPath, SubjectId, TaskId, TenantId, WorkflowName};
use crate::runner::{TaskOutcome, Usage};

/// Version of the envelope's format, written into each.
pub const FORMAT: u32 = 1;

/// What a record is about. Kebab-case names are the wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// A host took the state folder: digests of the binary and of the engine configuration, epoch.
    HostStarted,
    /// A project's configuration was loaded: digests of its files.
    ConfigurationLoaded,
    /// A policy came into force.
    PolicyInstalled,
    /// A component was installed.
    ComponentInstalled,
    /// A version became the one that new tasks use.
    VersionActivated,
    /// An event of a run; the payload is the event.
    RunEvent,
    /// A task's sandbox was made: limits, seed, clock, input, engine configuration.
    TaskStarted,
    /// A task ended: outcome, usage.
    TaskEnded,
    /// Everything ambient (WASI, task functions) that a task called, in order.
    TaskTranscript,
    /// A grant was issued.
    GrantIssued,
    /// A grant was asked for and not issued.
    GrantDenied,
    /// A call was about to leave: arguments.
    CallIntent,
    /// What became of a call: result or error.
    CallOutcome,
    /// Something that a security reviewer must see.
    SecurityEvent,
    /// A person was asked.
    Escalated,
    /// A run was asked for and the policy did not permit it.
    RunDenied,
    /// An administrative act was asked for: which, by whom, and what was decided. Written before the act is done.
    Administered,
    /// A data subject's payloads, salts and key were destroyed. The envelope does not tell whose: it has the digest of the
    /// erased records' sequences.
    SubjectErased,
    /// A data subject's payloads must be kept: erasing is refused until the hold is released.
    SubjectHeld,
    /// A hold was released.
    SubjectReleased,
    /// The ledger is signed with another key from the next record on; this record is signed with the one before.
    KeyRotated,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallOutcome {
    /// It gave a result.
    Ok,
    /// It gave an error.
    Error,
    /// It was refused: before any connector was called or, for an owner condition, before the guest saw the result.
    Denied,
    /// It is not known whether the effect happened.
    Indeterminate,
    /// The stored outcome of an earlier, same call was given.
    Cached,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes.
    Permit,
    /// No.
    Forbid,
}

/// Whose and which: what all records of a task, or of a run, have in common. Shared, so that a record costs no copies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordContext {
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who asked, by [`crate::policy::Requester::id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// The workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowName>,
    /// Digest of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepPath>,
    /// Which try, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The task that delegated this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task: Option<TaskId>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Digest of its component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
}

/// A record before the ledger gives it sequence, time and commitment.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is about.
    pub kind: RecordKind,
    /// Whose and which.
    pub context: Arc<RecordContext>,
    /// What only this record has.
    pub fields: Fields,
    /// Data, kept apart from the envelope.
    pub payload: Option<Payload>,
}

/// Envelope fields of single records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fields {
    /// For run events: the event's name, for example `step-started`. For administrative acts: the act's, for example `agents.install`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Arc<str>>,
    /// Operation in full, with its WIT version: `bailiwick:crm/customers@0.1.0.get`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Arc<str>>,
    /// Ordinal of the call within its operation and task, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// For an outcome: the sequence of its intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Seq>,
    /// For an outcome: what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
    /// Case of the error, reason of an end, state of a task: one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Verdict>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<str>>,
    /// The policy version that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<PolicyVersion>,
    /// The grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// What an opaque reference given to a guest refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// For a rotation: the new key, as a C2SP verifier key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// Labels of the data; empty until labels are kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub labels: Vec<String>,
    /// Fuel used so far by the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// How long a call or task took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Public digests by name (binary, configuration, component): never of data about persons.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty", default)]
    pub digests: std::collections::BTreeMap<String, Digest>,
}

/// Data of a record, kept beside the tree.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Whose data it is; `None` for data about nobody.
    pub subject: Option<SubjectId>,
    /// The parts, by name: `args`, `result`, `event` and so on. Written as one JSON object in canonical form.
    pub parts: Vec<(&'static str, Part)>,
}

/// A part of a payload. What every task has becomes JSON where it is written, on the ledger's thread, and not where a guest waits for it.
#[derive(Debug, Clone)]
pub enum Part {
    /// JSON.
    Value(Arc<Value>),
    /// How a task starts.
    Start(Box<TaskStart>),
    /// A grant as it was issued.
    Grant(Arc<Grant>),
    /// How a task ended.
    Outcome(Box<TaskOutcome>),
    /// What a task used.
    Usage(Box<Usage>),
}

/// What a task's replay starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskStart {
    /// Seed of the random numbers that the task is given.
    #[serde(with = "hex::serde")]
    pub seed: [u8; 32],
    /// Milliseconds since 1970-01-01T00:00:00Z that its clock starts from.
    pub clock_ms: u64,
    /// Version of the agent.
    pub agent_version: String,
}

impl Part {
    /// Gives the part as JSON.
    ///
    /// # Errors
    /// When it has no JSON form, which no part that the host makes lacks.
    pub fn to_value(&self) -> Result<Cow<'_, Value>, serde_json::Error> {
        match self {
            Self::Value(value) => Ok(Cow::Borrowed(value)),
            Self::Start(start) => serde_json::to_value(start).map(Cow::Owned),
            Self::Grant(grant) => serde_json::to_value(grant).map(Cow::Owned),
            Self::Outcome(outcome) => serde_json::to_value(outcome).map(Cow::Owned),
            Self::Usage(usage) => serde_json::to_value(usage).map(Cow::Owned),
        }
    }
}

impl From<Arc<Value>> for Part {
    fn from(value: Arc<Value>) -> Self {
        Self::Value(value)
    }
}

impl From<Value> for Part {
    fn from(value: Value) -> Self {
        Self::Value(Arc::new(value))
    }
}

/// An envelope as it is stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Envelope {
    /// [`FORMAT`].
    pub format: u32,
    /// Position.
    pub seq: Seq,
    /// Milliseconds since 1970-01-01T00:00:00Z; never less than the record before.
    pub time_ms: u64,
    /// What it is about.
    pub kind: RecordKind,
    /// Whose and which.
    #[serde(flatten)]
    pub context: RecordContext,
    /// What only this record has.
    #[serde(flatten)]
    pub fields: Fields,
    /// Salted commitment to the payload: SHA-256 over a 32-byte salt, the keyed name under which the payload is filed for its
    /// subject (its length as 8 bytes, big-endian, before it; none for nobody's) and the payload's canonical bytes. Salt and name lie with the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commitment: Option<Digest>,
}

/// Why a record could not be written. Once it happened, nothing can be written until the host is started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the ledger cannot be written: {0}")]
pub struct LedgerFailure(pub String);

/// What takes records.
pub trait Recorder: Send + Sync {
    /// Gives a record its place. It is on disk with the next group commit (within 5 ms).
    ///
    /// # Errors
    /// When the ledger cannot be written any more.
    fn append(&self, draft: Draft) -> Result<Seq, LedgerFailure>;

    /// Waits until a record, and with it every earlier one, is on disk.
    ///
    /// # Errors
    /// When it could not be written.
    fn durable(&self, seq: Seq) -> BoxFuture<'_, Result<(), LedgerFailure>>;

    /// Whether so many records wait for the disk that the caller has to await [`Recorder::durable`] before it appends
    /// more. Keeps memory bounded when a guest makes records faster than the disk takes them.
    fn is_pressed(&self) -> bool;
}
