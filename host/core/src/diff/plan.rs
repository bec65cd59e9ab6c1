//! Two plans of a workflow.

mod grants;
mod templates;

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::StepPath;
use crate::limits::Span;
use crate::plan::{AgentNode, Edge, Node, OnError, Plan, StepLimits, ValueTemplate};

use super::{Change, Direction, noted, schemas};
use templates::{given, text, values};

/// Compares two plans.
///
/// A step that is new is wider, and so is whatever lets a step run, see or do more: a grant, a looser condition, a larger budget or limit, a
/// further value in `with`, another way to go on after a failure. An expression is compared as text: another one is `changed`. What the agents
/// themselves can do is not in a plan; see [`agents`](super::agents).
pub fn plans(before: &Plan, after: &Plan) -> Vec<Change> {
    let mut changes = Vec::new();
    noted(&mut changes, "workflow", before.workflow.as_str(), after.workflow.as_str());
    noted(&mut changes, "version", &before.version, &after.version);
    changes.extend(schemas(&before.input_schema, &after.input_schema).into_iter().map(|change| change.within("input")));
    different(&mut changes, "subject", before.subject.as_ref().map(text), after.subject.as_ref().map(text), [Direction::Changed; 2]);
    let names: BTreeSet<&StepPath> = before.nodes.keys().chain(after.nodes.keys()).collect();
    for name in names {
        let what = format!("step {name}");
        match (before.nodes.get(name), after.nodes.get(name)) {
            (Some(Node::Agent(before)), Some(Node::Agent(after))) => {
                changes.extend(step(before, after).into_iter().map(|change| change.within(&what)));
            }
            (None, Some(Node::Agent(node))) => {
                changes.push(Change::new(Direction::Wider, &*what, None, Some(format!("agent {}", node.agent))));
                let granted = node.may.iter().map(|grant| grants::whole(Direction::Wider, grant));
                changes.extend(granted.map(|change| change.within(&what)));
            }
            (Some(Node::Agent(node)), None) => {
                changes.push(Change::new(Direction::Narrower, &*what, Some(format!("agent {}", node.agent)), None));
            }
            (None, None) => {}
        }
    }
    values(&mut changes, "output", &before.output, &after.output);
    changes
}

/// Says that something is different: `[added, taken away]` where it was not there, or is not any more, `changed` else.
fn different(changes: &mut Vec<Change>, what: &str, before: Option<String>, after: Option<String>, [added, removed]: [Direction; 2]) {
    let direction = match (&before, &after) {
        (before, after) if before == after => return,
        (None, _) => added,
        (_, None) => removed,
        _ => Direction::Changed,
    };
    changes.push(Change::new(direction, what, before, after));
}

fn step(before: &AgentNode, after: &AgentNode) -> Vec<Change> {
    use Direction::{Changed, Narrower, Wider};
    let mut changes = Vec::new();
    different(&mut changes, "agent", Some(before.agent.to_string()), Some(after.agent.to_string()), [Changed; 2]);
    when(&mut changes, before.when.as_deref(), after.when.as_deref());
    values(&mut changes, "with", &before.with, &after.with);
    changes.extend(grants::compare(&before.may, &after.may));
    waits(&mut changes, &before.needs, &after.needs);
    timeout(&mut changes, before.timeout, after.timeout);
    limits(&mut changes, &before.limits, &after.limits);
    // With a stand-in later steps go on where this one was skipped.
    different(&mut changes, "stand-in", before.stand_in.as_ref().map(text), after.stand_in.as_ref().map(text), [Wider, Narrower]);
    on_error(&mut changes, &before.on_error, &after.on_error);
    changes.extend(schemas(&before.input_schema, &after.input_schema).into_iter().map(|change| change.within("the agent takes")));
    changes.extend(schemas(&before.output_schema, &after.output_schema).into_iter().map(|change| change.within("the agent gives")));
    changes
}

/// What says whether a step runs.
fn when(changes: &mut Vec<Change>, before: Option<&str>, after: Option<&str>) {
    let direction = match (before, after) {
        (before, after) if before == after => return,
        (None, _) => Direction::Narrower,
        (_, None) => Direction::Wider,
        (Some(before), Some(after)) if is_further(before, after) => Direction::Narrower,
        (Some(before), Some(after)) if is_further(after, before) => Direction::Wider,
        _ => Direction::Changed,
    };
    changes.push(Change::new(direction, "when", before.map(str::to_owned), after.map(str::to_owned)));
}

/// Whether an expression is another one and a further condition, as text. Where nothing binds less than `&&` it is read so too.
fn is_further(condition: &str, further: &str) -> bool {
    further.strip_prefix(condition).is_some_and(|rest| rest.starts_with(" && ")) && !further.contains(['|', '?'])
}

/// What is waited for. A step that has to have a value, or not to have failed, is one more thing that can keep this one from running.
fn waits(changes: &mut Vec<Change>, before: &BTreeMap<StepPath, Edge>, after: &BTreeMap<StepPath, Edge>) {
    let names: BTreeSet<&StepPath> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let direction = match (old, new) {
            (old, new) if old == new => continue,
            // How it ended is read, whatever it is: the order alone is another.
            (None, Some(Edge::State)) | (Some(Edge::State), None) => Direction::Noted,
            (old, new) if old < new => Direction::Narrower,
            _ => Direction::Wider,
        };
        let words = |edge: Option<&Edge>| {
            edge.map(|edge| {
                match edge {
                    Edge::State => "until it ends",
                    Edge::After => "until it ends, and not if it failed",
                    Edge::Value => "for its value",
                }
                .to_owned()
            })
        };
        changes.push(Change::new(direction, format!("waits for {name}"), words(old), words(new)));
    }
}

fn timeout(changes: &mut Vec<Change>, before: Option<Span>, after: Option<Span>) {
    // Without one the project's limit holds, which is at least as long.
    let direction = match (before, after) {
        (before, after) if before == after => return,
        (None, _) => Direction::Narrower,
        (_, None) => Direction::Wider,
        (Some(before), Some(after)) if after.0 > before.0 => Direction::Wider,
        _ => Direction::Narrower,
    };
    changes.push(Change::new(direction, "timeout", before.map(|span| span.to_string()), after.map(|span| span.to_string())));
}

fn limits(changes: &mut Vec<Change>, before: &StepLimits, after: &StepLimits) {
    let rows = |limits: &StepLimits| {
        [
            ("limit fuel", limits.fuel),
            ("limit memory", limits.memory.map(|bytes| bytes.0)),
            ("limit table-elements", limits.table_elements),
            ("limit host-calls", limits.host_calls),
            ("limit output", limits.output.map(|bytes| bytes.0)),
            ("limit log", limits.log.map(|bytes| bytes.0)),
            ("limit host-buffer", limits.host_buffer.map(|bytes| bytes.0)),
        ]
    };
    for ((what, old), (_, new)) in rows(before).into_iter().zip(rows(after)) {
        amount(changes, what, old, new);
    }
}

/// A number of which more is wider, and none the project's own, which is at least as much.
fn amount(changes: &mut Vec<Change>, what: &str, before: Option<u64>, after: Option<u64>) {
    if before == after {
        return;
    }
    let most = |amount: Option<u64>| amount.unwrap_or(u64::MAX);
    let direction = if most(after) > most(before) { Direction::Wider } else { Direction::Narrower };
    changes.push(Change::new(direction, what, before.map(|n| n.to_string()), after.map(|n| n.to_string())));
}

/// What happens after a failure. The first entry that applies is taken, so their order is part of what they say.
fn on_error(changes: &mut Vec<Change>, before: &[OnError], after: &[OnError]) {
    if before == after {
        return;
    }
    let words = |entries: &[OnError]| entries.iter().map(remedy).collect::<Vec<_>>();
    let (old, new) = (words(before), words(after));
    let is_within = |part: &[String], whole: &[String]| {
        let mut whole = whole.iter();
        part.iter().all(|entry| whole.any(|other| other == entry))
    };
    // Each further entry is a further way to go on.
    let direction = match (is_within(&old, &new), is_within(&new, &old)) {
        (true, false) => Direction::Wider,
        (false, true) => Direction::Narrower,
        _ => Direction::Changed,
    };
    let text = |entries: &[String]| (!entries.is_empty()).then(|| entries.join(", "));
    changes.push(Change::new(direction, "on-error", text(&old), text(&new)));
}

fn remedy(entry: &OnError) -> String {
    match entry {
        OnError::Retry { max, backoff, jitter, .. } => {
            format!("retry {max} times after {backoff}{}", if *jitter { " with jitter" } else { "" })
        }
        OnError::Alternate { agent, .. } => format!("alternate {agent}"),
        OnError::Partial { stand_in } => format!("partial {}", text(stand_in)),
        OnError::Escalate { queue, stand_in } => {
            format!("escalate to {queue}{}", stand_in.as_ref().map(|value| format!(" with {}", text(value))).unwrap_or_default())
        }
    }
}

/// Whether two templates are the same text.
fn is_same(before: &ValueTemplate, after: &ValueTemplate) -> bool {
    given(before) == given(after)
}

#[cfg(test)]
mod tests;
