//! Says whether an order may be returned, and what would be paid back.
//!
//! The rules are not here: they are the decision table `returns`, which a business team owns. The agent reads the order, puts the facts
//! before the table and reports what the table says. The facts:
//!
//! | fact | kind | value |
//! |---|---|---|
//! | `requested-on` | date | when the customer asked |
//! | `delivered-on` | date | when the order arrived; left out if it has not |
//! | `status` | text | where the order stands, for example `delivered` |
//! | `categories` | texts | categories of everything that was bought, sorted, each once |
//! | `paid-minor-units` | number | what was paid, in the smallest unit of its currency |
#![forbid(unsafe_code)]

mod refund;

use bailiwick_sdk::prelude::*;
use orders::orders::{Order, Status};
use rules::tables::{Decision, Fact, Value};

/// The decision table.
pub const RULESET: &str = "returns";
/// The reason when there is no such order, or it is someone else's: the two must not be told apart.
pub const ORDER_NOT_FOUND: &str = "order-not-found";

/// Which order, and when the return was asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// Number of the order.
    pub order: String,
    /// When the return was asked for, as `YYYY-MM-DD`.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub requested_on: String,
}

/// What the rules say.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// Whether the order may be returned.
    pub eligible: bool,
    /// Code of the reason, for example `within-window`; `order-not-found` if the customer has no such order.
    pub reason: String,
    /// Ids of the rules that matched, the deciding one first.
    pub rules: Vec<String>,
    /// Version of the ruleset that was in force; empty if no rule was asked.
    pub ruleset_version: String,
    /// What would be paid back, if eligible.
    pub refund: Option<Money>,
    /// Version of the order that the decision rests on.
    pub order_version: Option<String>,
}

/// Says whether an order may be returned, and what would be paid back.
#[agent(
    owner = "team-returns@nordwind.example",
    data-level = "internal",
    risk-class = "medium",
    wants = ["orders/orders.get", "rules/tables.evaluate"]
)]
pub fn returns_policy(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    let order = match orders::orders::get(&task.input.order) {
        Ok(order) => order,
        // An order of another customer is denied by its owner, one that does not exist is not found.
        Err(problem) if problem.is_not_found() || problem.is_denied() => return Ok(Answer::certain(not_found())),
        Err(problem) => return Err(problem.into()),
    };
    let decision = rules::tables::evaluate(RULESET, &facts(&order, &task.input.requested_on))?;
    let eligible = is_eligible(&decision)?;
    let reason = reason(&decision)?;
    let refund = if eligible { Some(refund::amount(&order)?) } else { None };
    let source = format!("ruleset `{RULESET}` version {}", decision.ruleset_version);
    let output = Output {
        eligible,
        reason,
        rules: decision.rules,
        ruleset_version: decision.ruleset_version,
        refund,
        order_version: Some(order.version),
    };
    Ok(Answer::certain(output).source(format!("order `{}` as of {}", order.id, order.as_of)).source(source))
}

fn not_found() -> Output {
    Output {
        eligible: false,
        reason: ORDER_NOT_FOUND.to_owned(),
        rules: Vec::new(),
        ruleset_version: String::new(),
        refund: None,
        order_version: None,
    }
}

fn facts(order: &Order, requested_on: &str) -> Vec<Fact> {
    let mut categories: Vec<String> = order.lines.iter().map(|line| line.category.clone()).collect();
    categories.sort_unstable();
    categories.dedup();
    let fact = |name: &str, value| Fact { name: name.to_owned(), value };
    let mut facts = vec![
        fact("requested-on", Value::Date(requested_on.to_owned())),
        fact("status", Value::Text(status_name(order.status).to_owned())),
        fact("categories", Value::Texts(categories)),
        fact("paid-minor-units", Value::Number(order.paid.minor_units)),
    ];
    if let Some(date) = &order.delivered_on {
        facts.push(fact("delivered-on", Value::Date(date.clone())));
    }
    facts
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::PartShipped => "part-shipped",
        Status::Shipped => "shipped",
        Status::Delivered => "delivered",
        Status::ReturnOpen => "return-open",
        Status::Refunded => "refunded",
        Status::Cancelled => "cancelled",
    }
}

fn is_eligible(decision: &Decision) -> Result<bool, Failure> {
    match decision.outcome.as_str() {
        "eligible" => Ok(true),
        "refused" => Ok(false),
        other => Err(Failure::permanent(format!(
            "ruleset `{RULESET}` version {} gave the outcome `{other}`: only `eligible` and `refused` are known here",
            decision.ruleset_version
        ))),
    }
}

fn reason(decision: &Decision) -> Result<String, Failure> {
    let value = decision.values.iter().find(|fact| fact.name == "reason").map(|fact| &fact.value);
    match value {
        Some(Value::Text(reason)) => Ok(reason.clone()),
        _ => Err(Failure::permanent(format!(
            "ruleset `{RULESET}` version {} decided without a text `reason`: add it to the values of the rule `{}`",
            decision.ruleset_version,
            decision.rules.first().map_or("the default", String::as_str)
        ))),
    }
}

#[cfg(test)]
mod tests;
