//! The reach of a workflow: what its steps can do, which data can flow where, and what each answer opens. Nothing is run.
//!
//! Everything here is at least what a run can do and may be more: what an expression comes to is not looked at, so a step counts as one that
//! runs, and a value that is mentioned as one that is read.

mod answers;
mod changes;
mod findings;
mod grants;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::AgentRunner;
use bailiwick_core::capability::{Catalog, Label, Operation};
use bailiwick_core::ids::{AgentName, Digest, StepPath};
use bailiwick_core::plan::{OnError, ValueTemplate};
use bailiwick_core::policy::Prospect;
use serde::Serialize;

pub use answers::{AnswerReach, How, Link, Opening};
pub use changes::{changes, policy_direction, policy_text};
pub use findings::Finding;
pub use grants::{GrantReach, Written, given, taken, undo, written};

use crate::compiled::{Compiled, CompiledStep};

/// The class of data that `personal` of a `capability.toml` names.
pub const PERSONAL: &str = "personal";
/// The label of text that anybody may have written.
pub const UNTRUSTED: &str = "untrusted";

/// What the policy is asked about a step's grant.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The step.
    pub step: &'a StepPath,
    /// The agent: that of the step, or an alternate.
    pub agent: &'a AgentName,
    /// The operation.
    pub operation: &'a Operation,
    /// Whether the grant fixes every subject, target, recipient and amount to the run's subject or to values of its input, where that is certain.
    pub bound: Option<bool>,
}

/// What a workflow is looked at with.
#[derive(Clone, Copy)]
pub struct Lens<'a> {
    /// Every operation that the project knows.
    pub catalog: &'a Catalog,
    /// The agents that the workflow was loaded with.
    pub agents: &'a dyn AgentRunner,
    /// What the policy will say.
    pub policy: &'a dyn Fn(&Asked<'_>) -> Prospect,
}

impl std::fmt::Debug for Lens<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lens").field("agents", &self.agents.agents()).finish_non_exhaustive()
    }
}

/// The reach of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reach {
    /// Name of the workflow.
    pub workflow: String,
    /// Its version.
    pub version: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// Whose data a run is about, as it is written.
    pub subject: Option<String>,
    /// The steps, each after those that it waits for.
    pub steps: Vec<StepReach>,
    /// What the answer of each step opens, in the same order.
    pub answers: Vec<AnswerReach>,
    /// What the run gives.
    pub output: OutputReach,
    /// Operations that cannot be undone.
    pub finals: Vec<FinalReach>,
    /// What a reviewer should look at.
    pub findings: Vec<Finding>,
}

/// What a step can do and see.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepReach {
    /// The step.
    pub step: StepPath,
    /// Its agent, and the alternates of `on-error`.
    pub agents: Vec<AgentName>,
    /// Expression that says whether it runs.
    pub when: Option<String>,
    /// What it waits for.
    pub waits_for: Vec<StepPath>,
    /// What it gives.
    pub grants: Vec<GrantReach>,
    /// Classes of data that its own calls can give.
    pub reads: BTreeSet<Label>,
    /// Classes of data that can come from the answers of others, by the step that they come from.
    pub receives: BTreeMap<StepPath, BTreeSet<Label>>,
    /// Both: what its answer may rest on, and what may leave by its calls.
    pub holds: BTreeSet<Label>,
}

/// What a run gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutputReach {
    /// Steps whose answers, or whose ends, it mentions.
    pub from: Vec<StepPath>,
    /// Classes of data that can be in it.
    pub holds: BTreeSet<Label>,
}

/// An operation that cannot be undone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FinalReach {
    /// The step.
    pub step: StepPath,
    /// The operation, in short form.
    pub operation: String,
    /// Conditions on whom and how much, as they are written.
    pub fixed_to: Vec<Written>,
    /// Answers that open it.
    pub opened_by: Vec<StepPath>,
    /// Who has to approve. Nobody, as long as there is no step of that kind.
    pub approved_by: Option<String>,
}

/// Finds the reach of a workflow.
pub fn reach(workflow: &Compiled, lens: &Lens<'_>) -> Reach {
    let plan = workflow.plan();
    let order = in_order(workflow);
    let mut steps: Vec<StepReach> = order.iter().filter_map(|name| Some(step(name, workflow.steps.get(*name)?, lens))).collect();
    flow(&mut steps);
    let answers = answers::of(workflow, &steps);
    let mentioned: BTreeSet<StepPath> =
        workflow.output.mentions().iter().filter_map(|mention| Some(answers::mentioned(workflow, mention)?.0)).collect();
    let holds = steps.iter().filter(|step| mentioned.contains(&step.step)).flat_map(|step| step.holds.iter().cloned()).collect();
    let finals = finals(&steps, &answers);
    let mut reach = Reach {
        workflow: plan.workflow.to_string(),
        version: plan.version.clone(),
        plan: *workflow.digest(),
        subject: plan.subject.as_ref().map(ValueTemplate::to_text),
        steps,
        answers,
        output: OutputReach { from: mentioned.into_iter().collect(), holds },
        finals,
        findings: Vec::new(),
    };
    reach.findings = findings::of(&reach, lens);
    reach
}

/// Gives the steps so that each stands after those that it waits for; those that could start together in order of their names.
fn in_order(workflow: &Compiled) -> Vec<&StepPath> {
    let mut order: Vec<&StepPath> = Vec::new();
    while order.len() < workflow.steps.len() {
        let is_ready = |step: &CompiledStep| step.node.needs.keys().all(|need| order.contains(&need) || !workflow.steps.contains_key(need));
        let ready: Vec<&StepPath> =
            workflow.steps.iter().filter(|(name, step)| !order.contains(name) && is_ready(step)).map(|(name, _)| name).collect();
        if ready.is_empty() {
            // A plan that the loader made has no circle; one that was read back is shown as it is.
            order.extend(workflow.steps.keys().filter(|name| !order.contains(name)).collect::<Vec<_>>());
            break;
        }
        order.extend(ready);
    }
    order
}

fn step(name: &StepPath, step: &CompiledStep, lens: &Lens<'_>) -> StepReach {
    let alternates = step.node.on_error.iter().filter_map(|entry| match entry {
        OnError::Alternate { agent, .. } => Some(agent.clone()),
        OnError::Retry { .. } | OnError::Partial { .. } | OnError::Escalate { .. } => None,
    });
    let agents: Vec<AgentName> = std::iter::once(step.node.agent.clone()).chain(alternates).collect();
    let grants: Vec<GrantReach> = step.may.iter().filter_map(|grant| grants::of(name, &agents, grant, lens)).collect();
    let reads = grants.iter().filter(|grant| grant.is_possible()).flat_map(|grant| grant.gives.iter().cloned()).collect();
    StepReach {
        step: name.clone(),
        agents,
        when: step.node.when.clone(),
        waits_for: step.node.needs.keys().cloned().collect(),
        grants,
        reads,
        receives: step.node.needs.keys().map(|need| (need.clone(), BTreeSet::new())).collect(),
        holds: BTreeSet::new(),
    }
}

/// Lets classes of data flow along the edges until nothing changes: the least that satisfies all edges. Every edge counts, also one that only
/// waits: whether a step ran tells something of what it has read.
fn flow(steps: &mut [StepReach]) {
    let mut holds: BTreeMap<StepPath, BTreeSet<Label>> = steps.iter().map(|step| (step.step.clone(), step.reads.clone())).collect();
    loop {
        let mut grew = false;
        for step in steps.iter_mut() {
            for (need, received) in &mut step.receives {
                received.extend(holds.get(need).into_iter().flatten().cloned());
            }
            let all: BTreeSet<Label> = step.receives.values().flatten().chain(&step.reads).cloned().collect();
            if let Some(held) = holds.get_mut(&step.step).filter(|held| **held != all) {
                *held = all;
                grew = true;
            }
        }
        if !grew {
            break;
        }
    }
    for step in steps {
        step.holds = holds.get(&step.step).cloned().unwrap_or_default();
    }
}

fn finals(steps: &[StepReach], answers: &[AnswerReach]) -> Vec<FinalReach> {
    let all = steps.iter().flat_map(|step| step.grants.iter().map(move |grant| (step, grant)));
    let of_a_final = |(step, grant): (&StepReach, &GrantReach)| FinalReach {
        step: step.step.clone(),
        operation: grant.operation.clone(),
        fixed_to: grant.conditions.iter().filter(|written| written.role.is_some()).cloned().collect(),
        opened_by: answers.iter().filter(|answer| answer.opens(&step.step, &grant.operation)).map(|answer| answer.step.clone()).collect(),
        approved_by: None,
    };
    all.filter(|(_, grant)| grant.effect == bailiwick_core::capability::Effect::Final && grant.is_possible()).map(of_a_final).collect()
}
