//! What changed between the reach of two workflows.

use std::collections::BTreeSet;

use bailiwick_core::capability::Label;
use bailiwick_core::diff::{Change, Direction};
use bailiwick_core::policy::Prospect;

use super::{Reach, StepReach};

/// Compares what two workflows reach: data classes, what the policy says of grants that both have, and what answers open.
pub fn changes(before: &Reach, after: &Reach) -> Vec<Change> {
    let mut changes = Vec::new();
    for step in &after.steps {
        if let Some(old) = before.steps.iter().find(|old| old.step == step.step) {
            classes(&mut changes, &format!("step {}, may see", step.step), &old.holds, &step.holds);
            policy(&mut changes, old, step);
        }
    }
    classes(&mut changes, "output, may hold", &before.output.holds, &after.output.holds);
    openings(&mut changes, before, after);
    changes
}

fn classes(changes: &mut Vec<Change>, what: &str, before: &BTreeSet<Label>, after: &BTreeSet<Label>) {
    changes.extend(after.difference(before).map(|class| Change::new(Direction::Wider, what, None, Some(class.clone()))));
    changes.extend(before.difference(after).map(|class| Change::new(Direction::Narrower, what, Some(class.clone()), None)));
}

fn policy(changes: &mut Vec<Change>, before: &StepReach, after: &StepReach) {
    for grant in &after.grants {
        let Some(old) = before.grants.iter().find(|old| old.operation == grant.operation) else { continue };
        for (agent, word) in &grant.policy {
            // An agent that could not call it at all.
            let was = old.policy.get(agent);
            let Some(direction) = policy_direction(was, word) else { continue };
            let what = format!("step {}, may {}, policy for {agent}", after.step, grant.operation);
            let before = was.map_or_else(|| "not imported".to_owned(), policy_text);
            changes.push(Change::new(direction, what, Some(before), Some(policy_text(word))));
        }
    }
}

/// Which way the policy's word went; `None` where it is the same.
pub fn policy_direction(before: Option<&Prospect>, after: &Prospect) -> Option<Direction> {
    let rank = |word: &Prospect| match word {
        Prospect::Never { .. } => 0,
        Prospect::Depends { .. } => 1,
        Prospect::Always { .. } => 2,
    };
    let old = before.map_or(0, rank);
    match (old.cmp(&rank(after)), before, after) {
        (std::cmp::Ordering::Less, ..) => Some(Direction::Wider),
        (std::cmp::Ordering::Greater, ..) => Some(Direction::Narrower),
        (_, Some(Prospect::Depends { on: a, rules: b }), Prospect::Depends { on: c, rules: d }) if (a, b) != (c, d) => {
            Some(Direction::Changed)
        }
        _ => None,
    }
}

/// Writes the policy's word in short.
pub fn policy_text(word: &Prospect) -> String {
    match word {
        Prospect::Always { .. } => "always".to_owned(),
        Prospect::Depends { on, .. } => format!("depends on {}", on.iter().cloned().collect::<Vec<_>>().join(", ")),
        Prospect::Never { .. } => "never".to_owned(),
    }
}

fn openings(changes: &mut Vec<Change>, before: &Reach, after: &Reach) {
    let all = |reach: &Reach| -> BTreeSet<(String, String)> {
        let rows = reach.answers.iter().flat_map(|answer| {
            let row = move |opening: &super::Opening| {
                (format!("answer of {}, opens", answer.step), format!("{} {} in {}", opening.effect, opening.operation, opening.step))
            };
            answer.opens.iter().map(row)
        });
        rows.collect()
    };
    let (old, new) = (all(before), all(after));
    for (what, effect) in new.difference(&old) {
        changes.push(Change::new(Direction::Wider, what, None, Some(effect.clone())));
    }
    let granted: BTreeSet<String> = after.steps.iter().flat_map(effects).collect();
    for (what, effect) in old.difference(&new) {
        // An effect that is still there no longer turns on the answer: who lies opens less, and a condition is gone.
        let direction = if granted.contains(effect) { Direction::Noted } else { Direction::Narrower };
        changes.push(Change::new(direction, what, Some(effect.clone()), None));
    }
}

fn effects(step: &StepReach) -> impl Iterator<Item = String> {
    step.grants.iter().filter(|grant| grant.is_possible()).map(|grant| format!("{} {} in {}", grant.effect, grant.operation, step.step))
}
