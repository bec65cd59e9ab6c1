//! What a step gives, and what the policy leaves of it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{ArgumentRole, Effect, FieldPath, Label, Operation, Undo};
use bailiwick_core::ids::{AgentName, StepPath};
use bailiwick_core::plan::{ConditionTemplate, ValueTemplate};
use bailiwick_core::policy::Prospect;
use bailiwick_expr::{Template, Type};
use serde::Serialize;

use super::{Asked, Lens, PERSONAL};
use crate::compiled::{CompiledCondition, CompiledGrant};

/// A grant of a step, with what the policy will say of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantReach {
    /// The operation, in short form.
    pub operation: String,
    /// What it does outside.
    pub effect: Effect,
    /// What the policy will say, by the agents that import the operation. The others cannot call it.
    pub policy: BTreeMap<AgentName, Prospect>,
    /// Conditions on arguments, as they are written.
    pub conditions: Vec<Written>,
    /// Whose the answer has to be, as it is written.
    pub owner: Option<String>,
    /// How much.
    pub budgets: Budgets,
    /// Classes of data in what it answers.
    pub gives: BTreeSet<Label>,
    /// Classes of data that its arguments are for.
    pub takes: BTreeSet<Label>,
    /// How a write is undone: an operation, or `none`.
    pub undo: Option<String>,
}

impl GrantReach {
    /// Whether some agent of the step may make some call of it.
    pub fn is_possible(&self) -> bool {
        self.policy.values().any(Prospect::is_possible)
    }

    /// Gives the arguments that the agent may choose, in whole or within bounds: what it has read can leave by them.
    pub fn chosen(&self) -> impl Iterator<Item = &FieldPath> {
        self.conditions.iter().filter(|written| written.is_chosen).map(|written| &written.argument)
    }
}

/// A condition as it is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Written {
    /// The argument.
    pub argument: FieldPath,
    /// The part that it plays, where it plays one: `subject`, `target`, `recipient`, `amount`.
    pub role: Option<String>,
    /// The condition.
    pub condition: String,
    /// Whether it leaves a choice to the agent.
    pub is_chosen: bool,
}

/// Classes of data at paths below a root: `result` or `args`.
fn classes(operation: &Operation, root: &str) -> BTreeSet<Label> {
    let labels =
        operation.spec.labels.iter().filter(|(path, _)| path.within(root).is_some()).flat_map(|(_, labels)| labels.iter().cloned());
    let is_personal = operation.spec.personal.iter().any(|path| path.within(root).is_some());
    labels.chain(is_personal.then(|| PERSONAL.to_owned())).collect()
}

/// Gives the classes of data in what an operation answers.
pub fn given(operation: &Operation) -> BTreeSet<Label> {
    classes(operation, "result")
}

/// Gives the classes of data that the arguments of an operation are for.
pub fn taken(operation: &Operation) -> BTreeSet<Label> {
    classes(operation, "args")
}

/// Says how a write is undone; `None` for what needs no undo or has none.
pub fn undo(operation: &Operation) -> Option<String> {
    match operation.spec.undo.as_ref()? {
        Undo::None(_) => Some("none".to_owned()),
        Undo::Call(call) => {
            let package = operation.short.split('/').next().unwrap_or_default();
            Some(format!("{package}/{}", call.operation))
        }
    }
}

/// Writes the conditions of a grant.
pub fn written(operation: &Operation, conditions: &BTreeMap<FieldPath, Vec<ConditionTemplate>>) -> Vec<Written> {
    let written = |(path, conditions): (&FieldPath, &Vec<ConditionTemplate>)| Written {
        argument: path.clone(),
        role: operation.spec.bound_arguments().find(|(_, bound)| *bound == path).map(|(role, _): (ArgumentRole, _)| role.to_string()),
        condition: conditions.iter().map(ConditionTemplate::to_text).collect::<Vec<_>>().join(" and "),
        is_chosen: !conditions.iter().any(|condition| matches!(condition, ConditionTemplate::Equals(_))),
    };
    conditions.iter().map(written).collect()
}

pub(super) fn of(step: &StepPath, agents: &[AgentName], grant: &CompiledGrant, lens: &Lens<'_>) -> Option<GrantReach> {
    let template = &grant.template;
    // The loader has found it; a plan that is read back may name what the project no longer knows, and that cannot be called.
    let operation = lens.catalog.get(&template.operation)?;
    let bound = bound(operation, &grant.conditions);
    let imports =
        |agent: &AgentName| lens.agents.agent(agent).is_some_and(|info| info.imports.iter().any(|import| **import == *operation.full));
    let policy = agents.iter().filter(|agent| imports(agent));
    let policy = policy.map(|agent| (agent.clone(), (lens.policy)(&Asked { step, agent, operation, bound })));
    Some(GrantReach {
        operation: operation.short.to_string(),
        effect: operation.spec.effect,
        policy: policy.collect(),
        conditions: written(operation, &template.conditions),
        owner: template.owner.as_ref().map(ValueTemplate::to_text),
        budgets: template.budgets,
        gives: given(operation),
        takes: taken(operation),
        undo: undo(operation),
    })
}

/// Whether a grant fixes all that says whom and how much to the run's subject or to values of its input, where that is certain.
fn bound(operation: &Operation, conditions: &[(FieldPath, Vec<CompiledCondition>)]) -> Option<bool> {
    let mut all = None;
    for (_, path) in operation.spec.bound_arguments() {
        let of_path = conditions.iter().find(|(other, _)| other == path).map_or(&[][..], |(_, conditions)| conditions.as_slice());
        let words: Vec<Option<bool>> = of_path.iter().map(fixes).collect();
        let word = if words.contains(&Some(true)) {
            Some(true)
        } else if words.iter().all(|word| *word == Some(false)) {
            return Some(false);
        } else {
            None
        };
        all = match (all, word) {
            (None, word) => Some(word),
            (Some(Some(true)), word) => Some(word),
            (Some(held), _) => Some(held),
        };
    }
    all.unwrap_or(Some(false))
}

/// Whether a condition fixes an argument to something that the requester gave.
fn fixes(condition: &CompiledCondition) -> Option<bool> {
    match (&condition.kind, &condition.value) {
        (ConditionTemplate::Equals(_), Some(value)) => is_given(value).then_some(true),
        (ConditionTemplate::In(_), Some(Template::List(items))) => items.iter().all(is_given).then_some(true),
        (ConditionTemplate::In(_), _) => None,
        _ => Some(false),
    }
}

/// Whether a value is certainly the run's subject or a text of its input. Numbers are not: one may be written otherwise than it is read.
fn is_given(value: &Template) -> bool {
    let Template::Expression(program) = value else { return false };
    let is_text = match program.ty() {
        Type::String => true,
        Type::Nullable(inner) => **inner == Type::String,
        _ => false,
    };
    is_text && program.selection().is_some_and(|mention| mention.root == "subject" || mention.root == "input")
}
