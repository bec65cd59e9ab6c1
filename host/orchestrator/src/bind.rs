//! Binding what a step gives: expressions become values.

use std::sync::Arc;

use bailiwick_core::event::Cause;
use bailiwick_core::grant::{Condition, GrantRequest};
use bailiwick_core::plan::ConditionTemplate;
use bailiwick_expr::{Template, Variables};
use serde_json::Value;

use crate::compiled::{CompiledCondition, CompiledGrant, CompiledStep};

/// Most values of one `in` or `names`.
pub const MAX_IN_VALUES: usize = 1_000;

/// Fills in the step's input. Whether it fits what the agent takes is checked where agents run.
pub(crate) fn input(step: &CompiledStep, variables: &dyn Variables) -> Result<Arc<Value>, Cause> {
    evaluate(&step.with, variables, "with").map(Arc::new)
}

/// Fills in the step's grants, in the order of the plan.
pub(crate) fn grants(step: &CompiledStep, variables: &dyn Variables) -> Result<Vec<GrantRequest>, Cause> {
    step.may.iter().enumerate().map(|(index, grant)| bind(grant, index, variables)).collect()
}

/// Fills in a template.
pub(crate) fn evaluate(template: &Template, variables: &dyn Variables, place: &str) -> Result<Value, Cause> {
    template.eval(variables).map_err(|error| Cause::Expression { place: place.to_owned(), message: error.to_string() })
}

fn bind(grant: &CompiledGrant, index: usize, variables: &dyn Variables) -> Result<GrantRequest, Cause> {
    let mut conditions = std::collections::BTreeMap::new();
    for (path, compiled) in &grant.conditions {
        let place = format!("may[{index}].where.{path}");
        let bound = compiled.iter().map(|condition| bind_condition(condition, variables, &place));
        conditions.insert(path.clone(), bound.collect::<Result<Vec<_>, _>>()?);
    }
    let owner = match &grant.owner {
        None => None,
        Some(template) => {
            let place = format!("may[{index}].owner");
            Some(text(evaluate(template, variables, &place)?, &place)?)
        }
    };
    let template = &grant.template;
    Ok(GrantRequest { operation: template.operation.clone(), conditions, owner, budgets: template.budgets, delegable: template.delegable })
}

fn bind_condition(condition: &CompiledCondition, variables: &dyn Variables, place: &str) -> Result<Condition, Cause> {
    let Some(template) = &condition.value else { return Ok(Condition::Any) };
    let value = evaluate(template, variables, place)?;
    Ok(match &condition.kind {
        ConditionTemplate::Any => Condition::Any,
        ConditionTemplate::Equals(_) => Condition::Equals(value),
        ConditionTemplate::In(_) => Condition::In(values(value, place)?),
        ConditionTemplate::Max(_) => Condition::Max(whole(&value, place)?),
        ConditionTemplate::Min(_) => Condition::Min(whole(&value, place)?),
        ConditionTemplate::Prefix(_) => Condition::Prefix(text(value, place)?),
        ConditionTemplate::Host(_) => Condition::Host(text(value, place)?),
        ConditionTemplate::Path(_) => Condition::Path(web_path(value, place)?),
        ConditionTemplate::Names(_) => Condition::Names(names(value, place)?),
    })
}

fn refused(place: &str, message: String) -> Cause {
    Cause::Expression { place: place.to_owned(), message }
}

fn values(value: Value, place: &str) -> Result<Vec<Value>, Cause> {
    match value {
        Value::Array(values) if values.len() <= MAX_IN_VALUES => Ok(values),
        Value::Array(values) => Err(refused(place, format!("the list has {} values, at most {MAX_IN_VALUES} are compared", values.len()))),
        _ => Err(refused(place, "a list is needed".to_owned())),
    }
}

fn names(value: Value, place: &str) -> Result<Vec<String>, Cause> {
    let name = |value: Value| match value {
        Value::String(name) => Ok(name),
        other => Err(refused(place, format!("`names` needs a list of texts, found {other}"))),
    };
    values(value, place)?.into_iter().map(name).collect()
}

/// A base that is not in normal form would hold nothing, which nobody means.
fn web_path(value: Value, place: &str) -> Result<String, Cause> {
    let path = text(value, place)?;
    match bailiwick_core::path::is_normal(&path) {
        true => Ok(path),
        false => Err(refused(place, format!("`{path}` is no path of a web address in its simplest form, such as `/v1/orders`"))),
    }
}

fn whole(value: &Value, place: &str) -> Result<i64, Cause> {
    value.as_i64().ok_or_else(|| refused(place, format!("a whole number is needed, found {value}")))
}

/// An empty text would be the start of everything and nobody's name.
fn text(value: Value, place: &str) -> Result<String, Cause> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(refused(place, "a text that is not empty is needed".to_owned())),
    }
}
