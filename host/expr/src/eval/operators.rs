//! Arithmetic and comparison.

use std::cmp::Ordering;
use std::rc::Rc;

use super::meter::Meter;
use super::value::{MAX_DEPTH, SCALAR_BYTES, Text, Value};
use crate::error::EvalFault;
use crate::number;
use crate::syntax::Operator;

/// Applies an operator to two values.
pub(super) fn apply<'v>(operator: Operator, left: &Value<'v>, right: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    match operator {
        Operator::Equal => Ok(Value::Bool(equal(left, right, meter)?)),
        Operator::NotEqual => Ok(Value::Bool(!equal(left, right, meter)?)),
        Operator::Less => Ok(Value::Bool(order(left, right, meter)?.is_lt())),
        Operator::LessOrEqual => Ok(Value::Bool(order(left, right, meter)?.is_le())),
        Operator::Greater => Ok(Value::Bool(order(left, right, meter)?.is_gt())),
        Operator::GreaterOrEqual => Ok(Value::Bool(order(left, right, meter)?.is_ge())),
        Operator::In => Ok(Value::Bool(contains(right, left, meter)?)),
        Operator::Add => add(left, right, meter),
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => calculate(operator, left, right),
    }
}

/// Changes the sign.
pub(super) fn negate<'v>(value: &Value<'v>) -> Result<Value<'v>, EvalFault> {
    let overflow = EvalFault::Overflow { operation: "-" };
    match value {
        Value::Int(int) => int.checked_neg().map(Value::Int).ok_or(overflow),
        Value::Double(double) => Ok(Value::Double(-double)),
        Value::Duration(span) => span.checked_neg().map(Value::Duration).ok_or(overflow),
        other => Err(other.wrong("number")),
    }
}

fn add<'v>(left: &Value<'v>, right: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            meter.make(a.len().saturating_add(b.len()))?;
            meter.read(a.len().saturating_add(b.len()))?;
            Ok(Value::text([a, b].concat()))
        }
        (Value::Array(_) | Value::List(_), Value::Array(_) | Value::List(_)) => {
            let total = left.list_len().unwrap_or_default().saturating_add(right.list_len().unwrap_or_default());
            meter.make(total.saturating_mul(SCALAR_BYTES))?;
            meter.steps(total)?;
            let mut items = Vec::with_capacity(total);
            for list in [left, right] {
                for index in 0..list.list_len().unwrap_or_default() {
                    items.extend(list.element(index)?);
                }
            }
            Ok(Value::List(Rc::new(items)))
        }
        _ => calculate(Operator::Add, left, right),
    }
}

fn calculate<'v>(operator: Operator, left: &Value<'v>, right: &Value<'v>) -> Result<Value<'v>, EvalFault> {
    use Operator::{Add, Subtract};
    let overflow = EvalFault::Overflow { operation: operator.sign() };
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => integers(operator, *a, *b).map(Value::Int),
        (Value::Double(a), Value::Double(b)) => doubles(operator, *a, *b).map(Value::Double),
        (Value::Timestamp(a), Value::Timestamp(b)) if operator == Subtract => Ok(Value::Duration(a.duration_since(*b))),
        (Value::Timestamp(at), Value::Duration(span)) if operator == Add => {
            at.checked_add(*span).map(Value::Timestamp).map_err(|_| overflow)
        }
        (Value::Duration(span), Value::Timestamp(at)) if operator == Add => {
            at.checked_add(*span).map(Value::Timestamp).map_err(|_| overflow)
        }
        (Value::Timestamp(at), Value::Duration(span)) if operator == Subtract => {
            at.checked_sub(*span).map(Value::Timestamp).map_err(|_| overflow)
        }
        (Value::Duration(a), Value::Duration(b)) if operator == Add => a.checked_add(*b).map(Value::Duration).ok_or(overflow),
        (Value::Duration(a), Value::Duration(b)) if operator == Subtract => a.checked_sub(*b).map(Value::Duration).ok_or(overflow),
        (left, right) => Err(right.wrong(format!("what `{}` takes beside {}", operator.sign(), left.kind()))),
    }
}

fn integers(operator: Operator, a: i64, b: i64) -> Result<i64, EvalFault> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(EvalFault::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    result.ok_or(EvalFault::Overflow { operation: operator.sign() })
}

fn doubles(operator: Operator, a: f64, b: f64) -> Result<f64, EvalFault> {
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide if b == 0.0 => return Err(EvalFault::DivisionByZero),
        Operator::Divide => a / b,
        // The remainder is for whole numbers alone, as in CEL.
        _ => return Err(Value::Double(b).wrong("integer")),
    };
    if result.is_finite() { Ok(result) } else { Err(EvalFault::NotFinite { operation: operator.sign() }) }
}

/// Compares two values that have an order.
pub(super) fn order(left: &Value<'_>, right: &Value<'_>, meter: &mut Meter<'_>) -> Result<Ordering, EvalFault> {
    let unordered = || right.wrong(format!("what compares with {}", left.kind()));
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => {
            meter.read(a.as_str().len().min(b.as_str().len()))?;
            Ok(a.as_str().cmp(b.as_str()))
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Ok(a.cmp(b)),
        _ => numeric(left, right).ok_or_else(unordered),
    }
}

fn numeric(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => number::compare(*a, *b),
        (Value::Double(a), Value::Int(b)) => number::compare(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// Compares two values of any types; values of different types are unequal, whole and fractional numbers are not.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>, meter: &mut Meter<'_>) -> Result<bool, EvalFault> {
    equal_within(left, right, meter, MAX_DEPTH)
}

fn equal_within(left: &Value<'_>, right: &Value<'_>, meter: &mut Meter<'_>, depth: usize) -> Result<bool, EvalFault> {
    let depth = depth.checked_sub(1).ok_or(EvalFault::TooDeep { max: MAX_DEPTH })?;
    meter.step()?;
    if let (Some(a), Some(b)) = (left.list_len(), right.list_len()) {
        if a != b {
            return Ok(false);
        }
        for index in 0..a {
            let (Some(x), Some(y)) = (left.element(index)?, right.element(index)?) else { return Ok(false) };
            if !equal_within(&x, &y, meter, depth)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if let (Some(a), Some(b)) = (left.map_len(), right.map_len()) {
        if a != b {
            return Ok(false);
        }
        meter.steps(a)?;
        for key in left.keys() {
            meter.read(key.len())?;
            let (Some(x), Some(y)) = (left.entry(key)?, right.entry(key)?) else { return Ok(false) };
            if !equal_within(&x, &y, meter, depth)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => {
            meter.read(a.as_str().len().min(b.as_str().len()))?;
            a.as_str() == b.as_str()
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        _ => numeric(left, right) == Some(Ordering::Equal),
    })
}

fn contains(container: &Value<'_>, item: &Value<'_>, meter: &mut Meter<'_>) -> Result<bool, EvalFault> {
    if container.map_len().is_some() {
        let key = item.as_text()?;
        meter.read(key.len())?;
        return Ok(container.entry(key)?.is_some());
    }
    let Some(len) = container.list_len() else { return Err(container.wrong("list or object")) };
    for index in 0..len {
        if let Some(element) = container.element(index)?
            && equal(&element, item, meter)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Joins texts, counting them before memory is taken.
pub(super) fn join<'v>(list: &Value<'v>, separator: &str, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let Some(len) = list.list_len() else { return Err(list.wrong("list")) };
    let mut joined = String::new();
    for index in 0..len {
        let Some(Value::Text(text)) = list.element(index)? else {
            let wrong = list.element(index)?.unwrap_or(Value::Null);
            return Err(wrong.wrong("string"));
        };
        let separator = if index == 0 { "" } else { separator };
        meter.steps(1)?;
        meter.make(text.as_str().len().saturating_add(separator.len()))?;
        meter.read(text.as_str().len().saturating_add(separator.len()))?;
        joined.push_str(separator);
        joined.push_str(text.as_str());
    }
    Ok(Value::Text(Text::Made(joined.into())))
}
