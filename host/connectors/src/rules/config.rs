//! The form of a `kind = "rules"` file and of a ruleset.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::config::Latency;

/// Decision tables from files of the project.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct RulesFile {
    /// Always `rules`.
    #[expect(dead_code, reason = "it selected this type")]
    kind: RulesKind,
    /// Folder of the project whose `.yaml` files are the rulesets. Default `rules`.
    #[serde(default = "default_folder")]
    pub(crate) folder: String,
    /// Waits so long before every call: for demonstrations and benchmarks. Default: not at all.
    pub(crate) latency: Option<Latency>,
}

fn default_folder() -> String {
    "rules".to_owned()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RulesKind {
    Rules,
}

/// A decision table. The first rule that holds decides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct RulesetFile {
    /// Name, as callers ask for it.
    pub(crate) ruleset: String,
    /// Version, given back with every decision. Change it with every change of the file.
    pub(crate) version: String,
    /// What the table decides, for people.
    #[expect(dead_code, reason = "it is for the reader of the file")]
    #[serde(default)]
    summary: String,
    /// The date fact by which `valid-from` and `valid-to` are judged. Needed as soon as a rule has one of them.
    #[schemars(with = "Option<String>")]
    pub(crate) as_of: Option<Spanned<String>>,
    /// What callers tell. Conditions know a fact by its name with `_` for `-`.
    pub(crate) facts: BTreeMap<String, FactConfig>,
    /// The rules in order.
    pub(crate) rules: Vec<RuleConfig>,
    /// What holds where no rule does. It decides under the id `default`.
    pub(crate) default: OutcomeConfig,
}

/// What a fact is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FactConfig {
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) ty: FactType,
    /// Whether it may be left out; conditions then see null. Default: no.
    #[serde(default)]
    pub(crate) optional: bool,
}

/// The types of facts and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FactType {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// A date, `YYYY-MM-DD`.
    Date,
    /// A list of texts.
    Texts,
}

/// One rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct RuleConfig {
    /// Name within the ruleset, given back with a decision.
    #[schemars(with = "String")]
    pub(crate) id: Spanned<String>,
    /// The condition: a CEL expression that gives true or false.
    #[schemars(with = "String")]
    pub(crate) when: Spanned<String>,
    /// What follows.
    pub(crate) outcome: String,
    /// Further values: texts, whole numbers, true or false, lists of texts, or `{ date: "YYYY-MM-DD" }`.
    #[serde(default)]
    pub(crate) values: BTreeMap<String, serde_json::Value>,
    /// First day on which the rule holds. Default: it always did.
    #[schemars(with = "Option<String>")]
    pub(crate) valid_from: Option<Date>,
    /// Last day on which the rule holds. Default: without end.
    #[schemars(with = "Option<String>")]
    pub(crate) valid_to: Option<Date>,
}

/// An outcome with its values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct OutcomeConfig {
    /// What follows.
    pub(crate) outcome: String,
    /// Further values.
    #[serde(default)]
    pub(crate) values: BTreeMap<String, serde_json::Value>,
}
