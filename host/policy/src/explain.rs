//! Why it was decided so: data for `why`.

use std::collections::BTreeMap;

use bailiwick_core::ids::PolicyVersion;
use bailiwick_core::policy::Decision;
use serde::Serialize;
use serde_json::Value;

use crate::load::{self, Policies, PolicySource};
use crate::problem::Place;

/// A policy as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RuleText {
    /// Its `@id`, or file and line.
    pub id: String,
    /// Whether it permits; else it forbids.
    pub is_permit: bool,
    /// Its annotations by name; `id` and `reason` among them.
    pub annotations: BTreeMap<String, String>,
    /// The file.
    pub file: String,
    /// Where it begins.
    #[serde(skip)]
    pub place: Place,
    /// The text, annotations included.
    pub source: String,
}

impl RuleText {
    /// Gives what its author says of it (`@reason`).
    pub fn reason(&self) -> Option<&str> {
        self.annotations.get("reason").map(String::as_str)
    }
}

/// Why something was decided so.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Whether it was permitted.
    pub permitted: bool,
    /// The version that decided.
    pub policy_version: PolicyVersion,
    /// One sentence; for a forbid by default that no policy permits it.
    pub reason: String,
    /// Ids of the policies that decided, in the order of the decision.
    pub rules: Vec<String>,
    /// Their texts; those that these policies do not have are left out, the rule `freeze` for one.
    pub texts: Vec<RuleText>,
    /// The facts that were looked at.
    pub facts: Value,
}

impl Policies {
    /// Explains a decision that these policies made; facts as [`crate::issue_facts`], [`crate::call_facts`] and their like give them.
    ///
    /// For a decision of another version the ids are given and no texts: what they said then is not known here.
    pub fn explain(&self, decision: &Decision, facts: Value) -> Explanation {
        let (permitted, rules, version, reason) = match decision {
            Decision::Permit(permit) => (true, permit.rules(), permit.policy_version(), format!("permitted by {}", listed(permit.rules()))),
            Decision::Forbid { rules, policy_version, reason } => (false, rules.as_slice(), policy_version, reason.clone()),
        };
        let texts = if version == self.version() { rules.iter().filter_map(|id| self.rule(id)).cloned().collect() } else { Vec::new() };
        Explanation { permitted, policy_version: version.clone(), reason, rules: rules.to_vec(), texts, facts }
    }
}

/// Gives the policies of texts that were in force once, by file and in order. They are parsed and not checked: what operations and policies the host
/// knows today does not matter. A file that cannot be read any more gives none.
pub fn rule_texts(files: &[PolicySource]) -> Vec<RuleText> {
    files.iter().flat_map(|file| load::read(file).unwrap_or_default()).map(|rule| rule.text).collect()
}

/// Lists ids for people.
pub(crate) fn listed(ids: &[String]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_other_times_are_found_by_id() {
        let file = |name: &str, text: &str| PolicySource { name: name.to_owned(), text: text.to_owned() };
        let files = [
            file(
                "a.cedar",
                "@id(\"no-such-operation\")\n@reason(\"why\")\nforbid (principal, action == Bailiwick::Action::\"gone/away.now\", resource);",
            ),
            file("broken.cedar", "permit (principal"),
            file("b.cedar", "\npermit (principal, action, resource);"),
        ];
        let texts = rule_texts(&files);
        let found: Vec<_> = texts.iter().map(|rule| (rule.id.as_str(), rule.is_permit, rule.reason())).collect();
        assert_eq!(found, [("no-such-operation", false, Some("why")), ("b.cedar:2:1", true, None)]);
        assert!(texts[0].source.starts_with("@id(\"no-such-operation\")"), "{}", texts[0].source);
    }
}
