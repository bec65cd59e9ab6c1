//! Functions.

use super::meter::Meter;
use super::operators;
use super::value::{Text, Value};
use crate::error::EvalFault;
use crate::node::Function;
use crate::{number, time};

/// Calls a function; the checker has counted its arguments.
pub(super) fn call<'v>(function: Function, arguments: &[Value<'v>], meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let first = arguments.first().unwrap_or(&Value::Null);
    let second = arguments.get(1).unwrap_or(&Value::Null);
    match function {
        Function::Size => size(first, meter),
        Function::Contains | Function::StartsWith | Function::EndsWith | Function::Matches => {
            let (text, part) = (first.as_text()?, second.as_text()?);
            meter.read(text.len().saturating_add(part.len()))?;
            Ok(Value::Bool(match function {
                Function::StartsWith => text.starts_with(part),
                Function::EndsWith => text.ends_with(part),
                _ => text.contains(part),
            }))
        }
        Function::LowerAscii | Function::UpperAscii => {
            let text = first.as_text()?;
            meter.make(text.len())?;
            meter.read(text.len())?;
            let lower = function == Function::LowerAscii;
            Ok(Value::text(if lower { text.to_ascii_lowercase() } else { text.to_ascii_uppercase() }))
        }
        Function::Trim => {
            let text = first.as_text()?;
            meter.make(text.len())?;
            meter.read(text.len())?;
            Ok(Value::text(text.trim().to_owned()))
        }
        Function::Join => {
            let separator = if arguments.len() > 1 { second.as_text()? } else { "" };
            operators::join(first, separator, meter)
        }
        Function::Text => to_text(first, meter),
        Function::Int => to_int(first, meter),
        Function::Double => to_double(first, meter),
        Function::Duration => match first {
            Value::Duration(_) => Ok(first.clone()),
            other => read_text(other, meter).and_then(time::duration).map(Value::Duration),
        },
        Function::Timestamp => match first {
            Value::Timestamp(_) => Ok(first.clone()),
            other => read_text(other, meter).and_then(time::timestamp).map(Value::Timestamp),
        },
        Function::DaysBetween => {
            let (from, to) = (read_text(first, meter)?, read_text(second, meter)?);
            time::days_between(from, to).map(Value::Int)
        }
        Function::Min | Function::Max => extreme(arguments, function == Function::Min, meter),
    }
}

fn read_text<'a>(value: &'a Value<'_>, meter: &mut Meter<'_>) -> Result<&'a str, EvalFault> {
    let text = value.as_text()?;
    meter.read(text.len())?;
    Ok(text)
}

/// The characters of a text, the elements of a list or the entries of an object.
fn size<'v>(value: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let size = match value {
        Value::Text(text) => {
            meter.read(text.as_str().len())?;
            text.as_str().chars().count()
        }
        other => match other.list_len().or_else(|| other.map_len()) {
            Some(len) => len,
            None => return Err(other.wrong("string, list or object")),
        },
    };
    i64::try_from(size).map(Value::Int).map_err(|_| EvalFault::Overflow { operation: "size" })
}

fn to_text<'v>(value: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let text = match value {
        Value::Text(_) => return Ok(value.clone()),
        Value::Bool(value) => return Ok(Value::Text(Text::Borrowed(if *value { "true" } else { "false" }))),
        Value::Int(int) => int.to_string(),
        Value::Double(double) => double.to_string(),
        Value::Timestamp(instant) => instant.to_string(),
        Value::Duration(span) => time::duration_text(*span),
        other => return Err(other.wrong("scalar")),
    };
    meter.make(text.len())?;
    Ok(Value::text(text))
}

fn to_int<'v>(value: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let int = match value {
        Value::Int(int) => *int,
        Value::Double(double) => number::truncate(*double).ok_or(EvalFault::Overflow { operation: "int" })?,
        Value::Timestamp(instant) => instant.as_second(),
        other => {
            let text = read_text(other, meter)?;
            text.parse().map_err(|_| EvalFault::unreadable(text, "integer such as `42`"))?
        }
    };
    Ok(Value::Int(int))
}

fn to_double<'v>(value: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let double = match value {
        Value::Int(int) => *int as f64,
        Value::Double(double) => *double,
        other => {
            let text = read_text(other, meter)?;
            let refused = || EvalFault::unreadable(text, "number such as `4.2`");
            text.parse().ok().filter(|double: &f64| double.is_finite()).ok_or_else(refused)?
        }
    };
    Ok(Value::Double(double))
}

fn extreme<'v>(arguments: &[Value<'v>], least: bool, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let mut best: Option<&Value<'v>> = None;
    for argument in arguments {
        if !matches!(argument, Value::Int(_) | Value::Double(_)) {
            return Err(argument.wrong("number"));
        }
        best = match best {
            Some(so_far) => {
                let order = operators::order(argument, so_far, meter)?;
                Some(if order.is_lt() == least && order.is_ne() { argument } else { so_far })
            }
            None => Some(argument),
        };
    }
    best.cloned().ok_or(EvalFault::MissingKey { key: String::new() })
}
