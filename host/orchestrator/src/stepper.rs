//! The stepper: what is to be done next, from the plan and the state of a run alone.
//!
//! It touches no clock, no disk and no randomness, and it is a function of the state: asked twice, it says the same twice. What it says is a
//! command; what comes of a command is an event, and only events change the state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::capability::Label;
use bailiwick_core::event::{Cause, Event, Failure, FailureClass, Outcome, SkipReason, StandInBy};
use bailiwick_core::grant::GrantRequest;
use bailiwick_core::ids::{AgentName, Digest, StepPath};
use bailiwick_core::limits::Span;
use bailiwick_core::plan::{Edge, OnError, StepLimits};
use bailiwick_core::run::{Phase, RunHead, RunState, StepState};
use serde_json::Value;

use crate::bind;
use crate::card;
use crate::compiled::{Compiled, CompiledStep, Remedy};
use crate::failure;
use crate::variables::{RunVariables, skip_reason};

/// Longest wait before a further attempt.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Append this event and apply it: a decision that needs nothing from outside.
    Record(Box<Event>),
    /// Hand an attempt to an agent, after a [`Event::TaskStarted`].
    RunTask(Box<TaskOrder>),
    /// Append an [`Event::RetryScheduled`], wait, and append an [`Event::RetryDue`].
    SetTimer {
        /// The step.
        step: StepPath,
        /// How long.
        delay: Duration,
    },
}

/// An attempt that is ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOrder {
    /// The step.
    pub step: StepPath,
    /// Which try, from 1.
    pub attempt: u32,
    /// The agent.
    pub agent: AgentName,
    /// The input; it fits the agent's schema.
    pub input: Arc<Value>,
    /// Labels of the answers that the step reads.
    pub labels: BTreeSet<Label>,
    /// What the step gives, in the order of the plan.
    pub wants: Vec<GrantRequest>,
    /// Limits of the step.
    pub limits: StepLimits,
    /// Longest time.
    pub timeout: Option<Span>,
}

/// Says what is to be done next in a run. Nothing means: wait for a task or a timer, or the run is over.
///
/// `room` is how many more tasks may be started; attempts beyond it are not worked out yet.
pub fn step(workflow: &Compiled, state: &RunState, room: usize) -> Vec<Command> {
    let Some(head) = state.head().filter(|_| state.end().is_none()) else { return Vec::new() };
    if let Some(outcome) = state.outcome() {
        return vec![Command::Record(Box::new(finish(workflow, state, head, outcome)))];
    }
    let stepper = Stepper { workflow, state, head, variables: RunVariables::new(state, head) };
    let mut commands = Vec::new();
    let mut room = room;
    for (name, compiled) in &workflow.steps {
        let Some(step) = state.step(name) else { continue };
        let command = match &step.phase {
            Phase::Waiting => stepper.look(name, compiled, step, room > 0),
            Phase::Ready if room > 0 => Some(stepper.order(name, compiled, step)),
            Phase::Failing => Some(stepper.remedy(name, compiled, step)),
            _ => None,
        };
        room -= usize::from(matches!(command, Some(Command::RunTask(_))));
        commands.extend(command);
    }
    commands
}

fn finish(workflow: &Compiled, state: &RunState, head: &RunHead, outcome: Outcome) -> Event {
    if let Outcome::Failed { .. } = outcome {
        // What a failed run would compose is not what its workflow promises.
        return Event::RunFinished { outcome, output: Value::Null };
    }
    match bind::evaluate(&workflow.output, &RunVariables::new(state, head), "output") {
        Ok(output) => Event::RunFinished { outcome, output },
        Err(cause) => {
            let outcome = Outcome::Failed { class: FailureClass::Expression, message: cause.to_string() };
            Event::RunFinished { outcome, output: Value::Null }
        }
    }
}

struct Stepper<'s> {
    workflow: &'s Compiled,
    state: &'s RunState,
    head: &'s RunHead,
    variables: RunVariables<'s>,
}

impl Stepper<'_> {
    /// Looks at a step that waits: once all it needs is settled, it is skipped or begins.
    fn look(&self, name: &StepPath, step: &CompiledStep, state: &StepState, has_room: bool) -> Option<Command> {
        let mut lost = None;
        for (need, edge) in &step.node.needs {
            let needed = self.state.step(need)?;
            if !needed.phase.is_settled() {
                return None;
            }
            let is_lost = match edge {
                Edge::State => false,
                Edge::After => needed.is_lost_to_failure(),
                Edge::Value => needed.value.is_none(),
            };
            if is_lost {
                let reason = skip_reason(need, needed);
                // A failure is the stronger reason: no stand-in of this step hides it.
                let is_failure = matches!(reason, SkipReason::NeedsFailed { .. });
                if lost.is_none() || is_failure {
                    lost = Some(reason);
                }
            }
        }
        if let Some(reason) = lost {
            return Some(self.skip(name, step, state, reason));
        }
        match step.when.as_ref().map(|when| when.eval(&self.variables)) {
            None | Some(Ok(Value::Bool(true))) => has_room.then(|| self.order(name, step, state)),
            Some(Ok(Value::Bool(false))) => Some(self.skip(name, step, state, SkipReason::When)),
            Some(Ok(other)) => {
                let message = format!("a yes or no is needed, found {other}");
                Some(failed(name, state, Cause::Expression { place: "when".to_owned(), message }))
            }
            Some(Err(error)) => Some(failed(name, state, Cause::Expression { place: "when".to_owned(), message: error.to_string() })),
        }
    }

    fn skip(&self, name: &StepPath, step: &CompiledStep, state: &StepState, reason: SkipReason) -> Command {
        let template = match reason {
            // What decides was lost: nothing may pretend that it was decided.
            SkipReason::NeedsFailed { .. } => None,
            SkipReason::When | SkipReason::NeedsSkipped { .. } => step.stand_in.as_ref(),
        };
        match template.map(|template| bind::evaluate(template, &self.variables, "stand-in")).transpose() {
            Ok(stand_in) => Command::Record(Box::new(Event::StepSkipped { step: name.clone(), reason, stand_in })),
            Err(cause) => failed(name, state, cause),
        }
    }

    /// Works out an attempt.
    fn order(&self, name: &StepPath, step: &CompiledStep, state: &StepState) -> Command {
        let agent = state.alternates.last().unwrap_or(&step.node.agent).clone();
        let bound = bind::input(step, &self.variables).and_then(|input| Ok((input, bind::grants(step, &self.variables)?)));
        match bound {
            Err(cause) => failed(name, state, cause),
            Ok((input, wants)) => Command::RunTask(Box::new(TaskOrder {
                step: name.clone(),
                attempt: state.attempts + 1,
                agent,
                input,
                labels: self.labels(step, state),
                wants,
                limits: step.node.limits,
                timeout: step.node.timeout,
            })),
        }
    }

    /// Gives the labels of everything that a step reads or waits for, and of what its own earlier attempts had read: that there is a further one tells
    /// it something of them. A step that has no answer hands on what decided about it: that it was skipped, failed, or has a stand-in, tells something
    /// of what it has read, or would have.
    fn labels(&self, step: &CompiledStep, state: &StepState) -> BTreeSet<Label> {
        let mut labels = failed_labels(state);
        let mut seen = BTreeSet::new();
        let mut open: Vec<&StepPath> = step.node.needs.keys().collect();
        while let Some(name) = open.pop() {
            if !seen.insert(name) {
                continue;
            }
            let (Some(state), Some(step)) = (self.state.step(name), self.workflow.steps.get(name)) else { continue };
            labels.extend(failed_labels(state));
            match &state.answer {
                Some(answer) => labels.extend(answer.labels.iter().cloned()),
                None => {
                    open.extend(step.node.needs.keys());
                    open.extend(step.stand_in_reads.iter().filter(|_| state.value.is_some()));
                }
            }
        }
        labels
    }

    /// Finds what follows on a failed attempt: the first entry of `on-error` that applies.
    fn remedy(&self, name: &StepPath, step: &CompiledStep, state: &StepState) -> Command {
        let lost = || Command::Record(Box::new(Event::StepFailed { step: name.clone() }));
        let Some(tried) = state.failures.last() else { return lost() };
        if tried.failure.class == FailureClass::Ledger {
            return lost();
        }
        if state.card.is_some() {
            return self.after_card(name, step).unwrap_or_else(lost);
        }
        let applies = step.remedies.iter().find_map(|remedy| self.apply(name, step, state, &tried.failure, remedy));
        applies.unwrap_or_else(lost)
    }

    fn apply(&self, name: &StepPath, step: &CompiledStep, state: &StepState, failure: &Failure, remedy: &Remedy) -> Option<Command> {
        let is_repeatable = state.unrepeatable().is_none();
        match &remedy.rule {
            OnError::Retry { on, max, backoff, jitter } => {
                let applies = is_repeatable && state.retries < *max && failure::is_retryable(failure, on);
                let wait = || self.backoff(name, state, *backoff, *jitter);
                applies.then(|| Command::SetTimer { step: name.clone(), delay: wait() })
            }
            OnError::Alternate { agent, .. } => {
                let applies = is_repeatable && !state.alternates.contains(agent) && failure::is_for_alternate(failure);
                applies.then(|| Command::Record(Box::new(Event::AlternateChosen { step: name.clone(), agent: agent.clone() })))
            }
            OnError::Partial { .. } => {
                // A stand-in that has no value itself helps nobody; the failure that led here is the one to tell.
                let value = bind::evaluate(remedy.stand_in.as_ref()?, &self.variables, "on-error").ok()?;
                Some(Command::Record(Box::new(Event::StoodIn { step: name.clone(), by: StandInBy::Partial, value })))
            }
            OnError::Escalate { queue, stand_in } => {
                let card = card::make(self.state, self.head, name, step, state, queue, stand_in.is_some());
                Some(Command::Record(Box::new(Event::Escalated { step: name.clone(), card })))
            }
        }
    }

    fn after_card(&self, name: &StepPath, step: &CompiledStep) -> Option<Command> {
        let remedy = step.remedies.iter().find(|remedy| matches!(remedy.rule, OnError::Escalate { .. }))?;
        let value = bind::evaluate(remedy.stand_in.as_ref()?, &self.variables, "on-error").ok()?;
        Some(Command::Record(Box::new(Event::StoodIn { step: name.clone(), by: StandInBy::Escalate, value })))
    }

    /// The wait doubles with each retry. What is added to it is a hash of run, step and attempt: spread over runs, the same when asked again.
    fn backoff(&self, name: &StepPath, state: &StepState, backoff: Span, jitter: bool) -> Duration {
        let doubled = backoff.0.saturating_mul(1_u32.checked_shl(state.retries).unwrap_or(u32::MAX)).min(MAX_BACKOFF);
        if !jitter {
            return doubled;
        }
        let attempt = state.attempts.to_be_bytes();
        let digest = Digest::of_parts([self.head.run.as_str().as_bytes(), name.as_str().as_bytes(), &attempt]);
        let [first, second, ..] = *digest.as_bytes();
        let share = u32::from(u16::from_be_bytes([first, second]));
        let most = doubled / 4;
        (doubled + most * share / u32::from(u16::MAX)).min(MAX_BACKOFF)
    }
}

/// Labels of what the failed attempts of a step had read.
fn failed_labels(state: &StepState) -> BTreeSet<Label> {
    state.failures.iter().flat_map(|tried| tried.failure.labels.iter().cloned()).collect()
}

/// An attempt that could not even begin.
fn failed(name: &StepPath, state: &StepState, cause: Cause) -> Command {
    let failure = Failure { class: FailureClass::Expression, cause, unrepeatable: None, labels: BTreeSet::new() };
    Command::Record(Box::new(Event::AttemptFailed { step: name.clone(), attempt: state.attempts + 1, failure }))
}
