//! The executor: drives a run through the agent runner, and writes every event before it counts.

mod drive;
pub(crate) mod trace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::event::{Event, FailureClass, Outcome};
use bailiwick_core::ids::{RunId, SubjectId};
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::{Decision, Opening, Permit, PolicyEngine, Requester};
use bailiwick_core::record::{Draft, Fields, Payload, RecordContext, RecordKind, Verdict};
use bailiwick_core::{AgentRunner, Recorder};
use serde_json::Value;

use crate::check::CheckedWorkflow;
use crate::report::RunReport;
use crate::variables::InputVariables;
use crate::{bind, failure, report};
use drive::Drive;

/// Longest id of a subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// Settings of an orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Most tasks that one run has at the same time; zero is taken as one. Default 16.
    pub max_parallel_tasks: usize,
    /// Most bytes of a run's input, as JSON. Default 1 MiB.
    pub max_input_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_parallel_tasks: 16, max_input_bytes: 1 << 20 }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The workflow.
    pub workflow: Arc<CheckedWorkflow>,
    /// The input.
    pub input: Value,
    /// Who asks, authenticated.
    pub requester: Arc<Requester>,
    /// Id of the run; see [`RunId::fresh`].
    pub run_id: RunId,
    /// The project's limits of a task; a step's own take effect where they are lower.
    pub limits: Limits,
}

/// What sees a run while it runs, for displays. It is called between events and holds the run up while it works, so it returns at once.
pub trait Observer: Send + Sync {
    /// An event happened, so long after the run began. It is in the ledger; the last one is on disk.
    fn happened(&self, after: Duration, event: &Event);
}

/// Sees nothing.
impl Observer for () {
    fn happened(&self, _: Duration, _: &Event) {}
}

/// Turns requests into tasks. It holds no capability itself: what it knows of the world is a runner and a recorder.
#[derive(Clone)]
pub struct Orchestrator {
    runner: Arc<dyn AgentRunner>,
    recorder: Arc<dyn Recorder>,
    policy: Arc<dyn PolicyEngine>,
    options: Options,
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Makes an orchestrator.
    pub fn new(runner: Arc<dyn AgentRunner>, recorder: Arc<dyn Recorder>, policy: Arc<dyn PolicyEngine>, options: Options) -> Self {
        Self { runner, recorder, policy, options }
    }

    /// Runs a workflow to its end. Has to be called within a tokio runtime with time.
    ///
    /// Never fails: whatever happens is in the report. The result is on disk when this returns, or the report says that it is not. Dropping the
    /// future ends all tasks of the run.
    pub async fn run(&self, request: RunRequest, observer: Arc<dyn Observer>) -> RunReport {
        let subject = match self.admit(&request).await {
            Ok(subject) => subject,
            Err(message) => return report::refused(&request, Outcome::Failed { class: FailureClass::Input, message }),
        };
        let opening = match self.open(&request, subject.as_ref()).await {
            Ok(permit) => permit,
            Err(outcome) => return report::refused(&request, outcome),
        };
        match Drive::new(self, &request, subject, opening, observer) {
            Ok(drive) => drive.run().await,
            Err(message) => report::refused(&request, Outcome::Failed { class: FailureClass::Internal, message }),
        }
    }

    /// Asks the policy whether the requester may have this run. A refusal is on disk before anybody hears of it.
    async fn open(&self, request: &RunRequest, subject: Option<&SubjectId>) -> Result<Permit, Outcome> {
        let plan = request.workflow.plan();
        let requester = &request.requester;
        let opening = Opening { workflow: &plan.workflow, tenant: &requester.tenant, subject };
        let (rules, policy_version, reason) = match self.policy.at_open(requester, &opening) {
            Decision::Permit(permit) => return Ok(permit),
            Decision::Forbid { rules, policy_version, reason } => (rules, policy_version, reason),
        };
        let context = RecordContext {
            tenant: Some(requester.tenant.clone()),
            requester: Some(requester.id.clone()),
            workflow: Some(plan.workflow.clone()),
            plan: Some(*request.workflow.compiled().digest()),
            run: Some(request.run_id.clone()),
            ..RecordContext::default()
        };
        let fields = Fields {
            decision: Some(Verdict::Forbid),
            rule: Some(rules.join(", ").into()),
            policy_version: Some(policy_version),
            ..Fields::default()
        };
        let payload = Payload { subject: subject.cloned(), parts: vec![("reason", Value::from(reason.clone()).into())] };
        let draft = Draft { kind: RecordKind::RunDenied, context: Arc::new(context), fields, payload: Some(payload) };
        let written = match self.recorder.append(draft) {
            Ok(seq) => self.recorder.durable(seq).await,
            Err(failure) => Err(failure),
        };
        match written {
            Ok(()) => {
                let message = format!("`{}` may not have this run: {reason}", requester.id);
                Err(Outcome::Failed { class: FailureClass::Denied, message })
            }
            Err(failure) => Err(Outcome::Failed { class: FailureClass::Ledger, message: failure.to_string() }),
        }
    }

    /// Checks the input, and finds whose data the run is about.
    async fn admit(&self, request: &RunRequest) -> Result<Option<SubjectId>, String> {
        let compiled = request.workflow.compiled();
        let bytes = request.input.to_string().len();
        if bytes > self.options.max_input_bytes {
            return Err(format!("the input has {bytes} bytes, at most {} are taken", self.options.max_input_bytes));
        }
        failure::checked(&compiled.input, &request.input)
            .await
            .map_err(|message| format!("the input does not fit its schema: {message}"))?;
        let Some(template) = &compiled.subject else { return Ok(None) };
        let subject = bind::evaluate(template, &InputVariables(&request.input), "subject").map_err(|cause| cause.to_string())?;
        match subject {
            Value::String(subject) if !subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES => Ok(Some(subject.into())),
            _ => Err(format!("the input names no subject: a text of 1 to {MAX_SUBJECT_BYTES} bytes is needed")),
        }
    }
}
