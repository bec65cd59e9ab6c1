//! What happens to a run, written before it counts.
//!
//! A run is the fold of its events ([`crate::run::RunState::apply`]), live and when they are read back. An event stands in the ledger as a
//! [`RecordKind::RunEvent`](crate::record::RecordKind::RunEvent) record: its name in the envelope, all of it in the payload under the run's subject.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::capability::Label;
use crate::ids::{AgentName, Digest, RunId, StepPath, SubjectId, TaskId, WorkflowName};
use crate::policy::Requester;
use crate::runner::{Answer, EndReason, FailureKind};

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The run.
        run: RunId,
        /// The workflow.
        workflow: WorkflowName,
        /// Its version.
        version: String,
        /// Digest of its plan.
        plan: Digest,
        /// The input; it satisfies the input schema.
        input: Value,
        /// Whose data the run is about.
        subject: Option<SubjectId>,
        /// Who asked for it.
        requester: Requester,
    },
    /// A step's attempt was handed to an agent.
    TaskStarted {
        /// The step.
        step: StepPath,
        /// Which try, from 1.
        attempt: u32,
        /// The task.
        task: TaskId,
        /// The agent.
        agent: AgentName,
    },
    /// An attempt gave an answer that fits the output schema.
    StepAnswered {
        /// The step.
        step: StepPath,
        /// Which try.
        attempt: u32,
        /// The answer.
        answer: Answer,
    },
    /// An attempt gave none, or could not even begin.
    AttemptFailed {
        /// The step.
        step: StepPath,
        /// Which try.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// The step will be tried again.
    RetryScheduled {
        /// The step.
        step: StepPath,
        /// When, in milliseconds since 1970-01-01T00:00:00Z.
        at_ms: u64,
    },
    /// The time to try again has come.
    RetryDue {
        /// The step.
        step: StepPath,
    },
    /// Another agent takes the step over.
    AlternateChosen {
        /// The step.
        step: StepPath,
        /// The agent.
        agent: AgentName,
    },
    /// A briefing card was put before a person.
    Escalated {
        /// The step.
        step: StepPath,
        /// The card.
        card: BriefingCard,
    },
    /// A step that failed got its stand-in as value.
    StoodIn {
        /// The step.
        step: StepPath,
        /// What gave the stand-in.
        by: StandInBy,
        /// The value.
        value: Value,
    },
    /// A step failed for good.
    StepFailed {
        /// The step.
        step: StepPath,
    },
    /// A step does not run.
    StepSkipped {
        /// The step.
        step: StepPath,
        /// Why.
        reason: SkipReason,
        /// Its value nevertheless, where the workflow names one; it can be null.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        stand_in: Option<Value>,
    },
    /// The run is over.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// The composed result; null for a failed run.
        output: Value,
    },
}

impl Event {
    /// Gives the name under which the event stands in envelopes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run-started",
            Self::TaskStarted { .. } => "task-started",
            Self::StepAnswered { .. } => "step-answered",
            Self::AttemptFailed { .. } => "attempt-failed",
            Self::RetryScheduled { .. } => "retry-scheduled",
            Self::RetryDue { .. } => "retry-due",
            Self::AlternateChosen { .. } => "alternate-chosen",
            Self::Escalated { .. } => "escalated",
            Self::StoodIn { .. } => "stood-in",
            Self::StepFailed { .. } => "step-failed",
            Self::StepSkipped { .. } => "step-skipped",
            Self::RunFinished { .. } => "run-finished",
        }
    }

    /// Gives the step that the event is about; none for the run's begin and end.
    pub fn step(&self) -> Option<&StepPath> {
        match self {
            Self::RunStarted { .. } | Self::RunFinished { .. } => None,
            Self::TaskStarted { step, .. }
            | Self::StepAnswered { step, .. }
            | Self::AttemptFailed { step, .. }
            | Self::RetryScheduled { step, .. }
            | Self::RetryDue { step }
            | Self::AlternateChosen { step, .. }
            | Self::Escalated { step, .. }
            | Self::StoodIn { step, .. }
            | Self::StepFailed { step }
            | Self::StepSkipped { step, .. } => Some(step),
        }
    }
}

/// Reads a value that is there, null included: a stand-in that is null is not one that is absent.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Why a run or an attempt failed, as one of few classes that reports count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The workflow does not fit what is installed: an agent that is not there, an input that its agent refuses.
    Planning,
    /// The run's input is not acceptable.
    Input,
    /// An expression had no value, or was too expensive.
    Expression,
    /// An agent trapped, gave an answer that does not fit its schema, or gave up.
    AgentFault,
    /// A system behind a connector was silent, slow or wrong.
    Upstream,
    /// A limit or a budget was reached.
    Limit,
    /// A grant or a call was refused.
    Denied,
    /// A person has to decide.
    NeedsHuman,
    /// The ledger cannot be written, so effects stop.
    Ledger,
    /// A fault of the host.
    Internal,
}

impl FailureClass {
    /// Gives the word of reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Input => "input",
            Self::Expression => "expression",
            Self::AgentFault => "agent-fault",
            Self::Upstream => "upstream",
            Self::Limit => "limit",
            Self::Denied => "denied",
            Self::NeedsHuman => "needs-human",
            Self::Ledger => "ledger",
            Self::Internal => "internal",
        }
    }
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// As which class it counts.
    pub class: FailureClass,
    /// What happened.
    pub cause: Cause,
    /// An operation that may have happened in this attempt and whose repeat nobody would recognise: nothing is tried again after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unrepeatable: Option<String>,
    /// Labels of everything that the attempt had read: its message, and that it failed, may come from there. Records of before labels were kept have
    /// none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub labels: BTreeSet<Label>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cause.fmt(f)
    }
}

/// What happened to an attempt that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The agent said so.
    #[error("the agent says: {message}")]
    Agent {
        /// How.
        kind: FailureKind,
        /// In its words.
        message: String,
    },
    /// The host ended the task, or never started it.
    #[error("{0}")]
    Ended(EndReason),
    /// An expression of the step had no value.
    #[error("{place}: {message}")]
    Expression {
        /// Where it stands: `when`, `with`, `may[0].where.id`.
        place: String,
        /// Why.
        message: String,
    },
    /// The input that the step gives does not fit the agent's schema.
    #[error("the input does not fit what `{agent}` takes: {message}")]
    Input {
        /// The agent.
        agent: AgentName,
        /// Which field, and why.
        message: String,
    },
    /// The answer does not fit the schema that the workflow was checked with.
    #[error("the answer does not fit what the workflow was checked with: {message}")]
    Answer {
        /// Which field, and why.
        message: String,
    },
}

/// What gave a stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInBy {
    /// `partial`.
    Partial,
    /// `escalate`.
    Escalate,
}

/// Why a step does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// Its `when` is false.
    When,
    /// It needs a step that was skipped.
    NeedsSkipped {
        /// That step.
        step: StepPath,
    },
    /// It needs a step that failed, or that was skipped because of one that failed.
    NeedsFailed {
        /// That step.
        step: StepPath,
    },
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::When => f.write_str("`when` is false"),
            Self::NeedsSkipped { step } => write!(f, "needs `{step}`, which was skipped"),
            Self::NeedsFailed { step } => write!(f, "needs `{step}`, which failed"),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step that was to run has answered. A business "no" is a result.
    Done,
    /// There is a result, and at least one step has a stand-in in place of an answer.
    Partial,
    /// There is no result.
    Failed {
        /// As which class it counts.
        class: FailureClass,
        /// What happened and where.
        message: String,
    },
}

/// What a person needs who has to take over a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BriefingCard {
    /// The queue.
    pub queue: String,
    /// What happened, in one sentence.
    pub summary: String,
    /// What is known: the run's input and the values that the step was to work on.
    pub facts: Vec<Fact>,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
    /// What has to be decided.
    pub question: String,
}

/// One thing that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fact {
    /// Where it comes from: `input` or a step.
    pub source: String,
    /// The value.
    pub value: Value,
    /// Time of the oldest data that it rests on, RFC 3339, where that is known.
    pub as_of: Option<String>,
}

/// One attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tried {
    /// Which try.
    pub attempt: u32,
    /// The agent, where it was handed to one.
    pub agent: Option<AgentName>,
    /// Why it failed.
    pub failure: Failure,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_json_with_their_name_as_tag() {
        let event = Event::StepSkipped { step: "mail".into(), reason: SkipReason::NeedsFailed { step: "record".into() }, stand_in: None };
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(value, json!({"event": "step-skipped", "step": "mail", "reason": {"needs-failed": {"step": "record"}}}));
        assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
        let event = Event::StepSkipped { step: "mail".into(), reason: SkipReason::When, stand_in: Some(Value::Null) };
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(value["stand-in"], Value::Null);
        assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event, "a stand-in of null is one");
    }

    #[test]
    fn names_are_the_tags() {
        let cause = Cause::Expression { place: "when".to_owned(), message: "division by zero".to_owned() };
        let failure = Failure {
            class: FailureClass::Expression,
            cause,
            unrepeatable: Some("notify/messages.send".to_owned()),
            labels: ["pii".to_owned()].into(),
        };
        let card = BriefingCard { queue: String::new(), summary: String::new(), facts: vec![], tried: vec![], question: String::new() };
        let step = StepPath::from("s");
        let events = [
            Event::AttemptFailed { step: step.clone(), attempt: 1, failure },
            Event::RetryScheduled { step: step.clone(), at_ms: 1 },
            Event::RetryDue { step: step.clone() },
            Event::AlternateChosen { step: step.clone(), agent: "b".into() },
            Event::Escalated { step: step.clone(), card },
            Event::StoodIn { step: step.clone(), by: StandInBy::Partial, value: json!(1) },
            Event::StepFailed { step },
            Event::RunFinished { outcome: Outcome::Done, output: json!(null) },
        ];
        for event in events {
            let value = serde_json::to_value(&event).unwrap();
            assert_eq!(value["event"], event.name());
            assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
        }
    }
}
