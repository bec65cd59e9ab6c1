//! The answer to `why`, for people and as JSON.

use bailiwick_core::ids::Seq;
use bailiwick_core::record::CallOutcome;
use serde::Serialize;
use serde_json::Value;

use super::differ::Compared;
use super::rules::Rule;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The step.
    pub step: String,
    /// How it ended; `refused` where the run itself was.
    pub status: &'static str,
    /// What happened, in order.
    pub because: Vec<Line>,
    /// What its condition looked at, in the order of the expression.
    pub values: Vec<(String, String)>,
    /// What would have had to differ for the step to end otherwise.
    pub to_pass: Vec<String>,
    /// Decisions that are told in full: what was asked for, or everything that was forbidden.
    pub decisions: Vec<Finding>,
    /// The other decisions: what was permitted.
    pub permitted: Vec<Passed>,
    /// What is not known.
    pub notes: Vec<String>,
}

/// A record in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// The record.
    pub seq: Seq,
    /// What it says.
    pub text: String,
}

/// A decision that is told in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Passed {
    /// The record.
    pub seq: Seq,
    /// `grant` or `call`.
    pub what: &'static str,
    /// The operation, in short form.
    pub operation: String,
    /// The rules of the decision.
    pub rule: String,
    /// What became of a call.
    pub outcome: Option<CallOutcome>,
}

/// A decision that is told in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The record.
    pub seq: Seq,
    /// What was decided about: `opening`, `grant`, `call`, `answer`.
    pub about: &'static str,
    /// Whether it was permitted.
    pub permitted: bool,
    /// The operation, in short form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Who did it: agent and component, attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What became of it, for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
    /// What the operator learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The rules that decided.
    pub rules: Vec<Rule>,
    /// The version of the policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// The call beside its grant.
    pub compared: Vec<Compared>,
    /// What would have had to differ.
    pub to_pass: Vec<String>,
    /// What could be added to the step's `may`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
    /// The facts that policies had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
}
