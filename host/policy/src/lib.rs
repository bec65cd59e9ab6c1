//! Decides what agents and people may do: Cedar policies, checked against the operations that a project knows.
//!
//! [`Policies::load`] reads a project's policies and refuses the whole set when anything is wrong with it. [`CedarEngine`] holds the
//! set in force and the freezes, and is the [`PolicyEngine`](bailiwick_core::policy::PolicyEngine) of a host.
//!
//! Default forbid, forbid wins, an error forbids: Cedar leaves a policy out that cannot be evaluated, so any error among its
//! diagnostics is a denial here.
//!
//! **Two speeds, one meaning.** When a grant is issued, the policies whose scope can match its agent and operation are taken out of the set
//! once (a *slice*). Those that read nothing of a call are decided there and then. Where others are left, they are decided at each call with its
//! arguments; where none are, a call costs the compare of two numbers. The property test `fast_and_plain_agree` compares this with plain
//! Cedar over the whole set.

mod cases;
mod decide;
mod engine;
mod explain;
mod facts;
mod freeze;
mod load;
mod names;
mod problem;
mod prospect;
mod reads;
mod schema;
mod slice;
#[cfg(test)]
mod testing;
mod values;

pub use cases::{Case, CaseProblem, CaseResult, Expected, parse_cases, run_cases};
pub use engine::CedarEngine;
pub use explain::{Explanation, RuleText, rule_texts};
pub use facts::{act_facts, call_facts, issue_facts, open_facts};
pub use freeze::{Freeze, FreezeProblem, Freezes};
pub use load::{Policies, PolicySource};
pub use problem::{Place, PolicyProblem};
pub use schema::schema_text;

/// Policies for a project that has none of its own, with comments: they permit what steps give and forbid what should never be.
pub const DEFAULT_POLICY: &str = include_str!("default.cedar");

/// The rule under which a freeze denies. No policy can have this id.
pub const FREEZE_RULE: &str = "freeze";

/// The rule under which an undo of the host is permitted. No policy can have this id.
pub const UNDO_RULE: &str = "undo";

/// Rules of the gate under which calls are denied without a policy. No policy can have one of these ids: records would not tell which it was.
pub const GATE_RULES: [&str; 11] = [
    "no-task",
    "no-grant",
    "grant-conditions",
    "budget",
    "owner",
    "delegation-agent",
    "delegation-circle",
    "delegation-tier",
    "delegation-depth",
    "delegation-count",
    "delegation-parts",
];
