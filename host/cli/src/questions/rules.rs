//! The texts of rules, as the ledger kept them when the policies came into force.

use std::collections::HashMap;

use bailiwick_core::ids::{PolicyVersion, Seq};
use bailiwick_core::policy::StepRule;
use bailiwick_core::record::RecordKind;
use bailiwick_ledger::{Filter, ReadProblem, Reader};
use bailiwick_policy::{FREEZE_RULE, PolicySource, RuleText, rule_texts};
use serde::Serialize;
use serde_json::Value;

use super::builtin;

/// A rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rule {
    /// Its id; empty where nothing permitted.
    pub id: String,
    /// What it is: `policy`, `built-in`, `default`, `unknown`.
    pub kind: &'static str,
    /// What it means, or what its author says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The file in which it stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Reads texts of policies from the ledger, each version once.
pub struct Rules<'a> {
    reader: &'a Reader,
    versions: HashMap<PolicyVersion, Vec<RuleText>>,
}

impl<'a> Rules<'a> {
    /// Reads from a ledger.
    pub fn new(reader: &'a Reader) -> Self {
        Self { reader, versions: HashMap::new() }
    }

    /// Finds the rules that a record names. `version` is the policy version that decided; a rule of the host alone has none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn find(&mut self, named: &str, version: Option<&PolicyVersion>) -> Result<Vec<Rule>, ReadProblem> {
        if named.is_empty() {
            let meaning = Some("no policy permits it: what no permit covers is forbidden".to_owned());
            return Ok(vec![Rule { id: String::new(), kind: "default", meaning, file: None, text: None }]);
        }
        let texts = match version {
            Some(version) if version.as_str() != StepRule::VERSION => self.texts(version)?,
            _ => &[],
        };
        // The name of a file can have a comma in it, and with it the id of a policy that has none of its own.
        let whole = texts.iter().any(|text| text.id == named);
        let ids: Vec<&str> = if whole { vec![named] } else { named.split(", ").collect() };
        Ok(ids.into_iter().map(|id| rule(id, texts)).collect())
    }

    fn texts(&mut self, version: &PolicyVersion) -> Result<&[RuleText], ReadProblem> {
        if !self.versions.contains_key(version) {
            let texts = self.read(version)?;
            self.versions.insert(version.clone(), texts);
        }
        Ok(self.versions.get(version).map(Vec::as_slice).unwrap_or_default())
    }

    fn read(&self, version: &PolicyVersion) -> Result<Vec<RuleText>, ReadProblem> {
        for envelope in self.reader.records(Filter::Kind(RecordKind::PolicyInstalled), Seq(0)) {
            let envelope = envelope?;
            if envelope.fields.policy_version.as_ref() != Some(version) {
                continue;
            }
            let payload = self.reader.payload(&envelope)?;
            let policies = payload.as_ref().and_then(|payload| payload.get("start")?.get("policies")?.as_object());
            let Some(policies) = policies else { continue };
            let source = |(name, text): (&String, &Value)| Some(PolicySource { name: name.clone(), text: text.as_str()?.to_owned() });
            return Ok(rule_texts(&policies.iter().filter_map(source).collect::<Vec<_>>()));
        }
        Ok(Vec::new())
    }
}

fn rule(id: &str, texts: &[RuleText]) -> Rule {
    let policy = if id == FREEZE_RULE { None } else { texts.iter().find(|text| text.id == id) };
    match (policy, builtin::meaning(id)) {
        (Some(policy), _) => Rule {
            id: id.to_owned(),
            kind: "policy",
            meaning: policy.reason().map(str::to_owned),
            file: Some(policy.file.clone()),
            text: Some(policy.source.clone()),
        },
        (None, Some(meaning)) => Rule { id: id.to_owned(), kind: "built-in", meaning: Some(meaning.to_owned()), file: None, text: None },
        (None, None) => {
            let meaning = Some("the ledger has no text of this rule".to_owned());
            Rule { id: id.to_owned(), kind: "unknown", meaning, file: None, text: None }
        }
    }
}
