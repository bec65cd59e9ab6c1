//! Names and annotations of policies.

use std::collections::{BTreeMap, HashMap};

use bailiwick_core::suggest;
use cedar_policy::{ActionConstraint, Policy, PolicyId};

use super::{PolicySource, Rule, internal, is_permit};
use crate::explain::RuleText;
use crate::names::{ACTS, NAMESPACE};
use crate::problem::{Place, PolicyProblem};
use crate::reads::Reads;
use crate::{FREEZE_RULE, GATE_RULES, UNDO_RULE};

/// The annotations that mean something here. Cedar takes any, so a slip in `@four_eyes` would quietly do without the second person.
const ANNOTATIONS: &[&str] = &["id", "reason", "four_eyes"];
/// Longest id, in bytes.
const ID_MOST: usize = 128;

/// Gives a policy its id and looks at its annotations.
pub(super) fn named(file: &PolicySource, place: Place, policy: &Policy, source: String) -> Result<Rule, Vec<PolicyProblem>> {
    let annotations: BTreeMap<String, String> = policy.annotations().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let id = annotations.get("id").cloned().unwrap_or_else(|| format!("{}:{}:{}", file.name, place.line, place.column));
    let problem = |reason: String, help: &str| PolicyProblem::new(&file.name, Some(place), Some(&id), reason, help);
    let mut wrong = Vec::new();
    for unknown in annotations.keys().filter(|key| !ANNOTATIONS.contains(&key.as_str())) {
        let help = suggest::help(unknown, ANNOTATIONS.iter().copied());
        wrong.push(problem(format!("there is no annotation `@{unknown}`"), &help));
    }
    if annotations.contains_key("id") && !is_id(&id) {
        let help = "take letters, digits, `-`, `_`, `.`, `:` and `/`, at most 128; records list ids with commas between them";
        wrong.push(problem(format!("`{}` is no id", id.escape_debug()), help));
    }
    if id == FREEZE_RULE || id == UNDO_RULE || GATE_RULES.contains(&id.as_str()) {
        wrong.push(problem(format!("`{id}` is a rule of the host itself"), "take another id"));
    }
    let is_four_eyes = match annotations.get("four_eyes").map(String::as_str) {
        None => false,
        Some("true") if is_permit(policy) && is_administrative(policy) => true,
        Some("true") => {
            let help = "name the acts in the scope of a permit, for example `action == Bailiwick::Action::\"policy.install\"`";
            wrong.push(problem("only a permit of administrative acts can demand a second person".to_owned(), help));
            true
        }
        Some(other) => {
            wrong.push(problem(
                format!("`@four_eyes` cannot be `{}`", other.escape_debug()),
                "write `@four_eyes(\"true\")`, or leave it out",
            ));
            true
        }
    };
    let reads = policy.to_pst().map(|tree| Reads::of(&tree)).map_err(|error| vec![internal(error.to_string())]);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let policy = policy.new_id(PolicyId::new(&id));
    let text = RuleText { id, is_permit: is_permit(&policy), annotations, file: file.name.clone(), place, source };
    Ok(Rule { policy, reads: reads?, text, is_four_eyes })
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_MOST && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c))
}

fn is_administrative(policy: &Policy) -> bool {
    let is_act = |action: &cedar_policy::EntityUid| ACTS.iter().any(|(act, _)| *act == action.id().unescaped());
    match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::In(actions) => !actions.is_empty() && actions.iter().all(is_act),
        ActionConstraint::Eq(action) => is_act(&action) && action.type_name().namespace() == NAMESPACE,
    }
}

/// Finds ids that two policies have.
pub(super) fn check(rules: &[Rule]) -> Vec<PolicyProblem> {
    let mut seen: HashMap<&str, &RuleText> = HashMap::new();
    let mut wrong = Vec::new();
    for rule in rules.iter().map(|rule| &rule.text) {
        if let Some(first) = seen.insert(&rule.id, rule) {
            let reason = format!("`{}` is the id of another policy too, at {}:{}", rule.id, first.file, first.place.line);
            wrong.push(PolicyProblem::new(
                &rule.file,
                Some(rule.place),
                Some(&rule.id),
                reason,
                "ids say which policy decided: take another",
            ));
        }
    }
    wrong
}
