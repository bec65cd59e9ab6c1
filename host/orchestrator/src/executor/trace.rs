//! When what happened in a run, and the tasks' reports: what the account is made from. None of it decides anything.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_core::event::Event;
use bailiwick_core::ids::{AgentName, StepPath};
use bailiwick_core::runner::TaskReport;

/// The times of one step.
#[derive(Debug, Default)]
pub(crate) struct StepTrace {
    pub attempts: Vec<AttemptTrace>,
    /// When the step was settled.
    pub settled: Option<Duration>,
    /// As which of all steps it was settled: times can be the same, the order is one.
    pub place: usize,
}

/// The times of one attempt that was handed to an agent.
#[derive(Debug)]
pub(crate) struct AttemptTrace {
    pub attempt: u32,
    pub agent: AgentName,
    pub start: Duration,
    pub end: Option<Duration>,
    pub report: Option<TaskReport>,
}

/// The times of a run, all counted from its begin.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub steps: BTreeMap<StepPath, StepTrace>,
    /// How long the run waited for the disk itself.
    pub disk: Duration,
}

impl Trace {
    /// Notes an event.
    pub(crate) fn note(&mut self, at: Duration, event: &Event) {
        let Some(step) = event.step() else { return };
        let place = self.steps.values().filter(|trace| trace.settled.is_some()).count();
        let trace = self.steps.entry(step.clone()).or_default();
        match event {
            Event::TaskStarted { attempt, agent, .. } => {
                trace.attempts.push(AttemptTrace { attempt: *attempt, agent: agent.clone(), start: at, end: None, report: None });
            }
            Event::StepAnswered { .. } | Event::StoodIn { .. } | Event::StepFailed { .. } | Event::StepSkipped { .. } => {
                trace.settled = Some(at);
                trace.place = place;
            }
            _ => {}
        }
    }

    /// Keeps the report of an attempt that ended.
    pub(crate) fn keep(&mut self, at: Duration, step: &StepPath, report: TaskReport) {
        let attempts = self.steps.get_mut(step).map(|trace| &mut trace.attempts);
        if let Some(attempt) = attempts.and_then(|attempts| attempts.last_mut()) {
            attempt.end = Some(at);
            attempt.report = Some(report);
        }
    }
}
