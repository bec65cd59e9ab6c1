//! The account of a run: what it gave, who did what, how long it took and where the time went.

mod path;

use std::path::PathBuf;
use std::time::Duration;

use bailiwick_core::event::{BriefingCard, Outcome};
use bailiwick_core::ids::{AgentName, Digest, RunId, StepPath, WorkflowName};
use bailiwick_core::run::{Phase, RunState, StepState};
use bailiwick_core::runner::{Confidence, TaskReport};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::executor::RunRequest;
use crate::executor::trace::{AttemptTrace, StepTrace, Trace};
use crate::micros;
use crate::variables;

/// All that is known of a run that is over. Times are microseconds from the begin of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// Its version.
    pub version: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// How it ended.
    pub outcome: Outcome,
    /// The composed result; null for a failed run.
    pub output: Value,
    /// Steps in the order of the file.
    pub steps: Vec<StepReport>,
    /// Steps that the end of the run waited for, in order: to make the run faster, make one of them faster.
    pub critical_path: Vec<PathEntry>,
    /// Where the time went.
    pub time: RunTime,
    /// Cards that were put before people.
    pub cards: Vec<CardReport>,
    /// Documents that came into being.
    pub artifacts: Vec<ArtifactReport>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepReport {
    /// The step.
    pub step: StepPath,
    /// How it ended.
    pub status: StepStatus,
    /// Why it has no answer.
    pub reason: Option<String>,
    /// The agent that answered, or was asked last, or would have been.
    pub agent: AgentName,
    /// Version of the agent, where a task of it was made.
    pub agent_version: Option<String>,
    /// How sure the agent is.
    pub confidence: Option<Confidence>,
    /// The step's value: of its answer, or of a stand-in; it can be null.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Value>,
    /// Attempts that were handed to an agent.
    pub attempts: Vec<AttemptReport>,
    /// When the first attempt began.
    pub start_us: Option<u64>,
    /// When the step was settled.
    pub end_us: Option<u64>,
}

/// Reads a value that is there, null included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// With an answer.
    Answered,
    /// It failed, and a stand-in took the answer's place.
    StoodIn,
    /// It did not have to run, or could not.
    Skipped,
    /// It failed.
    Failed,
    /// It was running when the run could not go on.
    Stopped,
    /// It was waiting when the run could not go on.
    NotStarted,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptReport {
    /// Which try, from 1.
    pub attempt: u32,
    /// The agent.
    pub agent: AgentName,
    /// When it was handed over.
    pub start_us: u64,
    /// When it came back.
    pub end_us: Option<u64>,
    /// What the host knows of the task; none where the run could not wait for it.
    pub task: Option<TaskReport>,
}

/// A step on the critical path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PathEntry {
    /// The step.
    pub step: StepPath,
    /// When its first attempt began.
    pub start_us: u64,
    /// When it was settled.
    pub end_us: u64,
}

/// Where the time of a run went, along its critical path. The four parts make up the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunTime {
    /// From the request to the result on disk.
    pub total_us: u64,
    /// Agents and the systems that they called.
    pub agents_us: u64,
    /// Waiting for the ledger's disk.
    pub disk_us: u64,
    /// Waiting before further attempts.
    pub backoff_us: u64,
    /// The host's own share: everything else.
    pub host_us: u64,
}

/// A card that was put before a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CardReport {
    /// The step.
    pub step: StepPath,
    /// The card.
    pub card: BriefingCard,
}

/// A document that came into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ArtifactReport {
    /// The step.
    pub step: StepPath,
    /// What it is, for example `label` or `mail`.
    pub kind: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The account of a run that never began.
pub(crate) fn refused(request: &RunRequest, outcome: Outcome) -> RunReport {
    let plan = request.workflow.plan();
    RunReport {
        run: request.run_id.clone(),
        workflow: plan.workflow.clone(),
        version: plan.version.clone(),
        plan: *request.workflow.compiled().digest(),
        outcome,
        output: Value::Null,
        steps: Vec::new(),
        critical_path: Vec::new(),
        time: RunTime::default(),
        cards: Vec::new(),
        artifacts: Vec::new(),
    }
}

/// The account of a run that is over. `broken` says why it could not go on, if it could not.
pub(crate) fn of_run(request: &RunRequest, state: &RunState, trace: Trace, total: Duration, broken: Option<Outcome>) -> RunReport {
    let mut report = refused(request, Outcome::Done);
    let (outcome, output) = match (broken, state.end()) {
        (Some(outcome), _) => (outcome, Value::Null),
        (None, Some(end)) => (end.outcome.clone(), end.output.clone()),
        (None, None) => {
            let message = "the run is over without an end".to_owned();
            (Outcome::Failed { class: bailiwick_core::event::FailureClass::Internal, message }, Value::Null)
        }
    };
    (report.outcome, report.output) = (outcome, output);
    report.critical_path = path::critical(request.workflow.plan(), &trace);
    report.time = path::time(&report.critical_path, &trace, total);
    let Trace { steps: mut traces, .. } = trace;
    for name in request.workflow.order() {
        let (Some(step), Some(node)) = (state.step(name), request.workflow.plan().nodes.get(name)) else { continue };
        let bailiwick_core::plan::Node::Agent(node) = node;
        if let Some(card) = &step.card {
            report.cards.push(CardReport { step: name.clone(), card: card.clone() });
        }
        let step = step_report(name, step, &node.agent, traces.remove(name).unwrap_or_default());
        report.artifacts.extend(artifacts(&step));
        report.steps.push(step);
    }
    report
}

fn step_report(name: &StepPath, state: &StepState, planned: &AgentName, trace: StepTrace) -> StepReport {
    let agent = state.agent.as_ref().or(state.alternates.last()).unwrap_or(planned).clone();
    let start_us = trace.attempts.first().map(|attempt| micros(attempt.start));
    let attempts: Vec<AttemptReport> = trace.attempts.into_iter().map(attempt_report).collect();
    let version = attempts.iter().rev().find_map(|attempt| attempt.task.as_ref()?.component.as_ref().map(|(_, version)| version.clone()));
    StepReport {
        step: name.clone(),
        status: status(&state.phase),
        reason: variables::reason(state),
        agent,
        agent_version: version,
        confidence: state.confidence(),
        value: state.value.clone(),
        attempts,
        start_us,
        end_us: trace.settled.map(micros),
    }
}

fn attempt_report(trace: AttemptTrace) -> AttemptReport {
    AttemptReport {
        attempt: trace.attempt,
        agent: trace.agent,
        start_us: micros(trace.start),
        end_us: trace.end.map(micros),
        task: trace.report,
    }
}

fn status(phase: &Phase) -> StepStatus {
    match phase {
        Phase::Answered => StepStatus::Answered,
        Phase::StoodIn { .. } => StepStatus::StoodIn,
        Phase::Skipped { .. } => StepStatus::Skipped,
        Phase::Failed => StepStatus::Failed,
        Phase::Running { .. } | Phase::Failing | Phase::Backoff { .. } | Phase::Ready => StepStatus::Stopped,
        Phase::Waiting => StepStatus::NotStarted,
    }
}

fn artifacts(step: &StepReport) -> Vec<ArtifactReport> {
    let calls = step.attempts.iter().filter_map(|attempt| attempt.task.as_ref()).flat_map(|task| &task.calls);
    let mut found: Vec<ArtifactReport> = Vec::new();
    for artifact in calls.flat_map(|call| &call.artifacts) {
        let artifact = ArtifactReport { step: step.step.clone(), kind: artifact.kind.clone(), path: artifact.path.clone() };
        // A repeated effect names its document again.
        if !found.contains(&artifact) {
            found.push(artifact);
        }
    }
    found
}
