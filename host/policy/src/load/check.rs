//! Checking the types of policies, and that each can apply.

use std::collections::{BTreeSet, HashMap, HashSet};

use bailiwick_core::suggest;
use cedar_policy::{
    ActionConstraint, EntityUid, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;

use super::{PolicySource, Rule, internal};
use crate::names::NAMESPACE;
use crate::problem::PolicyProblem;

/// Checks the types of all policies together; gives what is no error.
pub(super) fn validate(files: &[PolicySource], rules: &[Rule], schema: Schema) -> Result<Vec<PolicyProblem>, Vec<PolicyProblem>> {
    let set = PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone())).map_err(|error| vec![internal(error.to_string())])?;
    let by_id: HashMap<&str, &Rule> = rules.iter().map(|rule| (rule.text.id.as_str(), rule)).collect();
    let problem = |id: &str, finding: &dyn Diagnostic| {
        let rule = by_id.get(id);
        let file = rule.map_or("", |rule| rule.text.file.as_str());
        let text = files.iter().find(|source| source.name == file).map_or("", |source| source.text.as_str());
        let mut problem = PolicyProblem::of(file, text, Some(id), finding);
        // Where Cedar points nowhere, the policy is meant.
        problem.place = problem.place.or_else(|| rule.map(|rule| rule.text.place));
        problem
    };
    let groups: HashSet<EntityUid> = schema.action_groups().cloned().collect();
    let mut wrong: Vec<PolicyProblem> = rules.iter().filter_map(|rule| equals_group(rule, &groups)).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // In order, so that of two names as near the same is always named.
    let actions: BTreeSet<String> = schema.actions().map(|action| action.id().unescaped().to_owned()).collect();
    let entity_types: BTreeSet<String> = schema.entity_types().map(ToString::to_string).collect();
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    for error in result.validation_errors() {
        let found = problem(error.policy_id().as_ref(), error);
        // Cedar's own help takes one of several near names by chance.
        let help = match error {
            ValidationError::UnrecognizedActionId(_) => found.reason.split('"').nth(1).map(|name| nearest(name, &actions)),
            ValidationError::UnrecognizedEntityType(_) => found.reason.split('`').nth(1).map(|name| nearest(name, &entity_types)),
            _ => found.help.clone(),
        };
        wrong.push(PolicyProblem { help, ..found });
    }
    let out_of_scope: HashSet<&PolicyId> =
        result.validation_warnings().filter(|w| is_out_of_scope(w)).map(ValidationWarning::policy_id).collect();
    let mut warnings = Vec::new();
    for warning in result.validation_warnings() {
        let found = problem(warning.policy_id().as_ref(), warning);
        // The same again, in other words.
        if matches!(warning, ValidationWarning::ImpossiblePolicy(_)) && out_of_scope.contains(warning.policy_id()) {
            continue;
        }
        let forbids = found.policy.as_deref().and_then(|id| by_id.get(id)).is_some_and(|rule| !rule.text.is_permit);
        match warning {
            // A text that shows otherwise than it reads deceives whoever reviews it.
            ValidationWarning::BidiCharsInString(_) | ValidationWarning::BidiCharsInIdentifier(_) => wrong.push(found),
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) if forbids => {
                let help = "a forbid that can never apply protects nothing: correct its scope or condition, or take it out".to_owned();
                wrong.push(PolicyProblem { help: Some(help), ..found });
            }
            _ => warnings.push(found),
        }
    }
    sort(&mut wrong);
    sort(&mut warnings);
    if wrong.is_empty() { Ok(warnings) } else { Err(wrong) }
}

/// Whether no action has a principal and a resource as the policy's scope wants them.
fn is_out_of_scope(warning: &ValidationWarning) -> bool {
    matches!(warning, ValidationWarning::InvalidActionApplication(_))
}

fn nearest(name: &str, known: &BTreeSet<String>) -> String {
    suggest::help(name, known.iter().map(String::as_str))
}

/// Finds a policy for exactly a group: no call is one, so it would never apply, and a forbid would protect nothing.
fn equals_group(rule: &Rule, groups: &HashSet<EntityUid>) -> Option<PolicyProblem> {
    let ActionConstraint::Eq(action) = rule.policy.action_constraint() else { return None };
    groups.contains(&action).then(|| {
        let name = action.id().unescaped();
        let reason = format!("`{name}` is a group of actions, and none of them is equal to it");
        let help = format!("write `action in {NAMESPACE}::Action::\"{name}\"`, or name the operation with its version");
        PolicyProblem::new(&rule.text.file, Some(rule.text.place), Some(&rule.text.id), reason, &help)
    })
}

/// Sorts by place and leaves out repeats: an unconstrained policy is checked once for each operation.
fn sort(problems: &mut Vec<PolicyProblem>) {
    problems.sort_by(|a, b| {
        let key = |problem: &PolicyProblem| problem.place.map_or(0, |place| place.offset);
        a.file.cmp(&b.file).then(key(a).cmp(&key(b))).then(a.reason.cmp(&b.reason))
    });
    problems.dedup();
}
