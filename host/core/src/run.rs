//! The state of a run: the fold of its events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{BriefingCard, Event, FailureClass, Outcome, SkipReason, StandInBy, Tried};
use crate::ids::{AgentName, Digest, RunId, StepPath, SubjectId, TaskId, WorkflowName};
use crate::plan::Plan;
use crate::policy::Requester;
use crate::runner::{Answer, Confidence};

/// Where a run stands.
///
/// Only [`RunState::apply`] changes it, the same function live and when events are read back. It is made for one plan and knows its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunState {
    plan: Digest,
    head: Option<RunHead>,
    steps: BTreeMap<StepPath, StepState>,
    end: Option<RunEnd>,
}

/// What a run began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunHead {
    /// The run.
    pub run: RunId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// Its version.
    pub version: String,
    /// The input.
    pub input: Value,
    /// Whose data the run is about.
    pub subject: Option<SubjectId>,
    /// Who asked for it.
    pub requester: Requester,
}

/// What a run ended with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// The composed result; null for a failed run.
    pub output: Value,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepState {
    /// Its phase.
    pub phase: Phase,
    /// How many attempts have begun.
    pub attempts: u32,
    /// How many of them were retries.
    pub retries: u32,
    /// The agent of the last attempt that was handed to one.
    pub agent: Option<AgentName>,
    /// Agents that took the step over, in order; the last one is in charge.
    pub alternates: Vec<AgentName>,
    /// Attempts that failed.
    pub failures: Vec<Tried>,
    /// The answer.
    pub answer: Option<Answer>,
    /// The step's value: of its answer, or of a stand-in; it can be null.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::event::present")]
    pub value: Option<Value>,
    /// The card that was put before a person.
    pub card: Option<BriefingCard>,
}

/// The phase of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// What it needs is not settled, or it has not been looked at since.
    #[default]
    Waiting,
    /// A further attempt may begin.
    Ready,
    /// An attempt is with an agent.
    Running {
        /// The task.
        task: TaskId,
    },
    /// An attempt failed and it is not yet decided what follows.
    Failing,
    /// A further attempt begins later.
    Backoff {
        /// When, in milliseconds since 1970-01-01T00:00:00Z.
        at_ms: u64,
    },
    /// It has an answer.
    Answered,
    /// It failed and has a stand-in as value.
    StoodIn {
        /// What gave it.
        by: StandInBy,
    },
    /// It does not run.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// It failed for good.
    Failed,
}

impl Phase {
    /// Gives the word for it: what expressions see as `steps.NAME.status`, and reports.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Waiting | Self::Ready => "waiting",
            Self::Running { .. } | Self::Failing | Self::Backoff { .. } => "running",
            Self::Answered => "answered",
            Self::StoodIn { .. } => "stood-in",
            Self::Skipped { .. } => "skipped",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen to the step.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Answered | Self::StoodIn { .. } | Self::Skipped { .. } | Self::Failed)
    }
}

impl StepState {
    /// Whether the step failed, or was skipped because one that it needs failed.
    pub fn is_lost_to_failure(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Skipped { reason: SkipReason::NeedsFailed { .. } })
    }

    /// An operation that may have happened in an earlier attempt and whose repeat nobody would recognise.
    pub fn unrepeatable(&self) -> Option<&str> {
        self.failures.iter().find_map(|tried| tried.failure.unrepeatable.as_deref())
    }

    /// How sure the agent is, if there is an answer.
    pub fn confidence(&self) -> Option<Confidence> {
        self.answer.as_ref().map(|answer| answer.confidence)
    }

    /// Time of the oldest data that the answer rests on, RFC 3339, where that is known.
    pub fn as_of(&self) -> Option<&str> {
        self.answer.as_ref()?.sources.iter().filter_map(|source| source.as_of.as_deref()).min()
    }
}

/// An event that cannot have happened to a run in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// Something happened before the run began.
    #[error("`{event}` before `run-started`")]
    NotStarted {
        /// The event.
        event: &'static str,
    },
    /// The run began twice.
    #[error("the run has already started")]
    AlreadyStarted,
    /// The run belongs to another plan.
    #[error("the run belongs to plan {found}, not to {expected}")]
    OtherPlan {
        /// The plan of this state.
        expected: Digest,
        /// The plan of the event.
        found: Digest,
    },
    /// Something happened after the run was over.
    #[error("`{event}` after `run-finished`")]
    AfterEnd {
        /// The event.
        event: &'static str,
    },
    /// The plan has no such step.
    #[error("the plan has no step `{step}`")]
    UnknownStep {
        /// The step.
        step: StepPath,
    },
    /// The step is in a phase in which this does not happen.
    #[error("`{event}` while step `{step}` is {phase}")]
    WrongPhase {
        /// The step.
        step: StepPath,
        /// The event.
        event: &'static str,
        /// The phase.
        phase: &'static str,
    },
    /// The attempt is not the one that is due.
    #[error("attempt {found} of step `{step}`, where {expected} is due")]
    WrongAttempt {
        /// The step.
        step: StepPath,
        /// The attempt that is due.
        expected: u32,
        /// The attempt of the event.
        found: u32,
    },
    /// The run ended while a step was not settled.
    #[error("`run-finished` while step `{step}` is {phase}")]
    Unsettled {
        /// The step.
        step: StepPath,
        /// Its phase.
        phase: &'static str,
    },
    /// The way in which the run ended does not fit how its steps ended.
    #[error("the run cannot have ended as {outcome}: step `{step}` is {phase}")]
    WrongOutcome {
        /// How the run is said to have ended.
        outcome: &'static str,
        /// A step that ended otherwise.
        step: StepPath,
        /// How it ended.
        phase: &'static str,
    },
}

impl RunState {
    /// Makes the state of a run to which nothing has happened.
    ///
    /// # Errors
    /// When the plan has no digest; see [`Plan::digest`].
    pub fn new(plan: &Plan) -> Result<Self, serde_json::Error> {
        let steps = plan.nodes.keys().map(|step| (step.clone(), StepState::default())).collect();
        Ok(Self { plan: plan.digest()?, head: None, steps, end: None })
    }

    /// Folds events that were read back.
    ///
    /// # Errors
    /// The first event that cannot have happened, with its index.
    pub fn fold<'e>(mut self, events: impl IntoIterator<Item = &'e Event>) -> Result<Self, (usize, IllegalEvent)> {
        for (index, event) in events.into_iter().enumerate() {
            self.apply(event).map_err(|problem| (index, problem))?;
        }
        Ok(self)
    }

    /// Digest of the plan.
    pub fn plan(&self) -> &Digest {
        &self.plan
    }

    /// What the run began with, once it has.
    pub fn head(&self) -> Option<&RunHead> {
        self.head.as_ref()
    }

    /// All steps of the plan.
    pub fn steps(&self) -> &BTreeMap<StepPath, StepState> {
        &self.steps
    }

    /// One step.
    pub fn step(&self, step: &StepPath) -> Option<&StepState> {
        self.steps.get(step)
    }

    /// What the run ended with, once it has.
    pub fn end(&self) -> Option<&RunEnd> {
        self.end.as_ref()
    }

    /// Says whether an event can have happened now, without applying it: an event is written before it counts, and what could not be read back
    /// must not be written.
    ///
    /// # Errors
    /// As [`RunState::apply`].
    pub fn check(&self, event: &Event) -> Result<(), IllegalEvent> {
        if let Event::RunStarted { plan, .. } = event {
            return self.check_start(*plan);
        }
        if self.head.is_none() {
            return Err(IllegalEvent::NotStarted { event: event.name() });
        }
        if self.end.is_some() {
            return Err(IllegalEvent::AfterEnd { event: event.name() });
        }
        if let Event::RunFinished { outcome, .. } = event {
            return self.check_end(outcome);
        }
        let Some(step) = event.step() else { return Ok(()) };
        let Some(state) = self.steps.get(step) else { return Err(IllegalEvent::UnknownStep { step: step.clone() }) };
        state.clone().apply(step, event)
    }

    /// Applies an event.
    ///
    /// # Errors
    /// When the event cannot have happened now; the state is as before then.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        match event {
            Event::RunStarted { run, workflow, version, input, subject, requester, .. } => {
                self.check(event)?;
                self.head = Some(RunHead {
                    run: run.clone(),
                    workflow: workflow.clone(),
                    version: version.clone(),
                    input: input.clone(),
                    subject: subject.clone(),
                    requester: requester.clone(),
                });
                Ok(())
            }
            Event::RunFinished { outcome, output } => {
                self.check(event)?;
                self.end = Some(RunEnd { outcome: outcome.clone(), output: output.clone() });
                Ok(())
            }
            _ if self.head.is_none() || self.end.is_some() => self.check(event),
            _ => {
                let Some(step) = event.step() else { return Ok(()) };
                let Some(state) = self.steps.get_mut(step) else { return Err(IllegalEvent::UnknownStep { step: step.clone() }) };
                state.apply(step, event)
            }
        }
    }

    fn check_start(&self, plan: Digest) -> Result<(), IllegalEvent> {
        if self.head.is_some() {
            return Err(IllegalEvent::AlreadyStarted);
        }
        match plan == self.plan {
            true => Ok(()),
            false => Err(IllegalEvent::OtherPlan { expected: self.plan, found: plan }),
        }
    }

    /// A run that is done or partial has no step left; one that failed has none that still runs. The outcome fits the steps.
    fn check_end(&self, outcome: &Outcome) -> Result<(), IllegalEvent> {
        for (step, state) in &self.steps {
            let phase = state.phase.status();
            let open = match outcome {
                Outcome::Failed { .. } => matches!(state.phase, Phase::Running { .. }),
                Outcome::Done | Outcome::Partial => !state.phase.is_settled(),
            };
            if open {
                return Err(IllegalEvent::Unsettled { step: step.clone(), phase });
            }
            let wrong = |outcome| Err(IllegalEvent::WrongOutcome { outcome, step: step.clone(), phase });
            match (outcome, &state.phase) {
                (Outcome::Done, Phase::StoodIn { .. } | Phase::Failed) => return wrong("done"),
                (Outcome::Partial, Phase::Failed) => return wrong("partial"),
                _ => {}
            }
        }
        Ok(())
    }

    /// How the run ends by how its steps ended, once all are settled.
    pub fn outcome(&self) -> Option<Outcome> {
        if !self.steps.values().all(|state| state.phase.is_settled()) {
            return None;
        }
        let failed = self.steps.iter().find(|(_, state)| state.phase == Phase::Failed);
        if let Some((step, state)) = failed {
            let last = state.failures.last();
            let class = last.map_or(FailureClass::Internal, |tried| tried.failure.class);
            let reason = last.map_or_else(String::new, |tried| format!(": {}", tried.failure));
            return Some(Outcome::Failed { class, message: format!("step `{step}` failed{reason}") });
        }
        let partial = self.steps.values().any(|state| matches!(state.phase, Phase::StoodIn { .. }));
        Some(if partial { Outcome::Partial } else { Outcome::Done })
    }
}

impl StepState {
    fn apply(&mut self, step: &StepPath, event: &Event) -> Result<(), IllegalEvent> {
        let due = |expected: u32, found: u32| match expected == found {
            true => Ok(()),
            false => Err(IllegalEvent::WrongAttempt { step: step.clone(), expected, found }),
        };
        match (event, &self.phase) {
            (Event::TaskStarted { attempt, task, agent, .. }, Phase::Waiting | Phase::Ready) => {
                due(self.attempts + 1, *attempt)?;
                self.attempts += 1;
                self.agent = Some(agent.clone());
                self.phase = Phase::Running { task: task.clone() };
            }
            (Event::StepAnswered { attempt, answer, .. }, Phase::Running { .. }) => {
                due(self.attempts, *attempt)?;
                self.value = Some(Value::clone(&answer.output));
                self.answer = Some(answer.clone());
                self.phase = Phase::Answered;
            }
            (Event::AttemptFailed { attempt, failure, .. }, Phase::Running { .. }) => {
                due(self.attempts, *attempt)?;
                let tried = Tried { attempt: *attempt, agent: self.agent.clone(), failure: failure.clone() };
                self.failures.push(tried);
                self.phase = Phase::Failing;
            }
            // It never came to a task: an expression had no value, or the input did not fit.
            (Event::AttemptFailed { attempt, failure, .. }, Phase::Waiting | Phase::Ready) => {
                due(self.attempts + 1, *attempt)?;
                self.attempts += 1;
                self.failures.push(Tried { attempt: *attempt, agent: None, failure: failure.clone() });
                self.phase = Phase::Failing;
            }
            (Event::RetryScheduled { at_ms, .. }, Phase::Failing) if self.card.is_none() => {
                self.retries += 1;
                self.phase = Phase::Backoff { at_ms: *at_ms };
            }
            (Event::RetryDue { .. }, Phase::Backoff { .. }) => self.phase = Phase::Ready,
            (Event::AlternateChosen { agent, .. }, Phase::Failing) if self.card.is_none() => {
                self.alternates.push(agent.clone());
                self.phase = Phase::Ready;
            }
            (Event::Escalated { card, .. }, Phase::Failing) if self.card.is_none() => self.card = Some(card.clone()),
            (Event::StoodIn { by, value, .. }, Phase::Failing) if (*by == StandInBy::Escalate) == self.card.is_some() => {
                self.value = Some(value.clone());
                self.phase = Phase::StoodIn { by: *by };
            }
            (Event::StepFailed { .. }, Phase::Failing) => self.phase = Phase::Failed,
            (Event::StepSkipped { reason, stand_in, .. }, Phase::Waiting) => {
                self.value.clone_from(stand_in);
                self.phase = Phase::Skipped { reason: reason.clone() };
            }
            (_, phase) => return Err(IllegalEvent::WrongPhase { step: step.clone(), event: event.name(), phase: phase.status() }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
