//! What each answer opens: the effects that happen, or happen otherwise, by what an agent says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bailiwick_core::capability::{Effect, Label};
use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Edge;
use bailiwick_expr::Mention;
use serde::Serialize;

use super::StepReach;
use crate::compiled::{Compiled, CompiledStep};

/// What the answer of a step opens.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnswerReach {
    /// The step.
    pub step: StepPath,
    /// Classes of data that the answer may rest on.
    pub rests_on: BTreeSet<Label>,
    /// Writes and finals of other steps that turn on it.
    pub opens: Vec<Opening>,
}

impl AnswerReach {
    /// Whether it opens an operation of a step.
    pub fn opens(&self, step: &StepPath, operation: &str) -> bool {
        self.opens.iter().any(|opening| opening.step == *step && opening.operation == operation)
    }
}

/// A write or final that turns on an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Opening {
    /// The step whose task makes the call.
    pub step: StepPath,
    /// The operation, in short form.
    pub operation: String,
    /// What it does outside.
    pub effect: Effect,
    /// How: each mention of the answer in that step; where there is none, the way through other answers.
    pub by: Vec<Link>,
}

/// One step says something of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Link {
    /// Whose answer, or end.
    pub from: StepPath,
    /// Where it is mentioned.
    pub how: How,
    /// What is mentioned: `identity.verified`, `steps.identity.status`.
    pub what: String,
    /// The step that mentions it.
    pub to: StepPath,
}

/// Where a step mentions another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// In `when`: it says whether the step runs.
    When,
    /// In a condition of a grant.
    May,
    /// In the agent's input.
    With,
    /// In `after`: if it failed, the step does not run.
    After,
    /// In a stand-in: it says what the step's value is where its agent has none.
    StandIn,
}

/// Gives the step that a mention means, and what of it.
pub(super) fn mentioned(workflow: &Compiled, mention: &Mention) -> Option<(StepPath, String)> {
    let what = std::iter::once(mention.root.as_str()).chain(mention.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
    let name = if mention.root == "steps" { mention.path.first()?.as_str() } else { mention.root.as_str() };
    let name = StepPath::from(name);
    workflow.steps.contains_key(&name).then_some((name, what))
}

/// Gives every mention of one step by another.
fn links(workflow: &Compiled) -> BTreeSet<Link> {
    let mut links = BTreeSet::new();
    for (to, step) in &workflow.steps {
        let mut add = |how: How, mentions: &[Mention]| {
            let found = mentions.iter().filter_map(|mention| mentioned(workflow, mention));
            links.extend(found.map(|(from, what)| Link { from, how, what, to: to.clone() }));
        };
        add(How::When, step.when.as_ref().map_or(&[], |when| when.mentions()));
        add(How::With, &step.with.mentions());
        for condition in step.may.iter().flat_map(|grant| &grant.conditions).flat_map(|(_, conditions)| conditions) {
            add(How::May, &condition.value.as_ref().map(bailiwick_expr::Template::mentions).unwrap_or_default());
        }
        for template in stand_ins(step) {
            add(How::StandIn, &template.mentions());
        }
        for (from, _) in step.node.needs.iter().filter(|(_, edge)| **edge == Edge::After) {
            links.insert(Link { from: from.clone(), how: How::After, what: from.to_string(), to: to.clone() });
        }
    }
    links
}

fn stand_ins(step: &CompiledStep) -> impl Iterator<Item = &bailiwick_expr::Template> {
    step.stand_in.iter().chain(step.remedies.iter().filter_map(|remedy| remedy.stand_in.as_ref()))
}

/// A place that an answer can get to: what a step does, or what it says. What it does, it says; a stand-in is said and not done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Does(StepPath),
    Says(StepPath),
}

pub(super) fn of(workflow: &Compiled, steps: &[StepReach]) -> Vec<AnswerReach> {
    let links = links(workflow);
    steps.iter().map(|step| answer(step, steps, &links)).collect()
}

fn answer(of: &StepReach, steps: &[StepReach], links: &BTreeSet<Link>) -> AnswerReach {
    let ways = ways(&of.step, links);
    let mut opens = Vec::new();
    for step in steps.iter().filter(|step| step.step != of.step) {
        let Some(way) = ways.get(&Place::Does(step.step.clone())) else { continue };
        let direct: Vec<Link> =
            links.iter().filter(|link| link.from == of.step && link.to == step.step && link.how != How::StandIn).cloned().collect();
        let by = if direct.is_empty() { way.clone() } else { direct };
        let effects = step.grants.iter().filter(|grant| grant.effect != Effect::Read && grant.is_possible());
        opens.extend(effects.map(|grant| Opening {
            step: step.step.clone(),
            operation: grant.operation.clone(),
            effect: grant.effect,
            by: by.clone(),
        }));
    }
    AnswerReach { step: of.step.clone(), rests_on: of.holds.clone(), opens }
}

/// Gives the shortest way from an answer to everything that it gets to.
fn ways(from: &StepPath, links: &BTreeSet<Link>) -> BTreeMap<Place, Vec<Link>> {
    let mut ways: BTreeMap<Place, Vec<Link>> = BTreeMap::new();
    let mut open = VecDeque::from([(Place::Says(from.clone()), Vec::new())]);
    while let Some((place, way)) = open.pop_front() {
        if ways.contains_key(&place) {
            continue;
        }
        match &place {
            Place::Does(step) => open.push_front((Place::Says(step.clone()), way.clone())),
            Place::Says(step) => {
                for link in links.iter().filter(|link| link.from == *step) {
                    let further = way.iter().cloned().chain([link.clone()]).collect();
                    let to = if link.how == How::StandIn { Place::Says(link.to.clone()) } else { Place::Does(link.to.clone()) };
                    open.push_back((to, further));
                }
            }
        }
        ways.insert(place, way);
    }
    ways
}
