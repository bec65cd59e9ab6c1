//! Briefing cards: what a person needs who has to take over a step.

use bailiwick_core::event::{BriefingCard, Cause, Fact};
use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Edge;
use bailiwick_core::run::{RunHead, RunState, StepState};
use bailiwick_core::runner::FailureKind;

use crate::compiled::CompiledStep;

/// Writes the card for a step whose attempt failed.
pub(crate) fn make(
    run: &RunState,
    head: &RunHead,
    name: &StepPath,
    step: &CompiledStep,
    state: &StepState,
    queue: &str,
    has_stand_in: bool,
) -> BriefingCard {
    BriefingCard {
        queue: queue.to_owned(),
        summary: summary(head, name, state),
        facts: facts(run, head, step),
        tried: state.failures.clone(),
        question: question(name, step, state, has_stand_in),
    }
}

fn summary(head: &RunHead, name: &StepPath, state: &StepState) -> String {
    let times = match state.attempts {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let reason = state.failures.last().map_or_else(String::new, |tried| format!(": {}", tried.failure));
    format!("step `{name}` of workflow `{}` was tried {times} and has no answer{reason}", head.workflow)
}

/// The input, and the values that the step was to work on.
fn facts(run: &RunState, head: &RunHead, step: &CompiledStep) -> Vec<Fact> {
    let mut facts = vec![Fact { source: "input".to_owned(), value: head.input.clone(), as_of: None }];
    let needs = step.node.needs.iter().filter(|(_, edge)| **edge == Edge::Value);
    for (need, state) in needs.filter_map(|(need, _)| Some((need, run.step(need)?))) {
        if let Some(value) = &state.value {
            facts.push(Fact { source: need.to_string(), value: value.clone(), as_of: state.as_of().map(str::to_owned) });
        }
    }
    facts
}

fn question(name: &StepPath, step: &CompiledStep, state: &StepState, has_stand_in: bool) -> String {
    let last = state.failures.last();
    if let Some(Cause::Agent { kind: FailureKind::NeedsHuman, message }) = last.map(|tried| &tried.failure.cause) {
        return message.clone();
    }
    let meanwhile = match has_stand_in {
        true => "the run goes on with a stand-in",
        false => "the run does without it",
    };
    match state.unrepeatable() {
        Some(operation) => format!("did `{operation}` happen? if not, do it by hand; {meanwhile} and does not try again"),
        None => format!("what should agent `{}` have answered in step `{name}`? {meanwhile}", step.node.agent),
    }
}
