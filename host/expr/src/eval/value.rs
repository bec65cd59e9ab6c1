//! Values while an expression runs: borrowed from the input where possible, shared where made.

use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::meter::Meter;
use crate::error::EvalFault;
use crate::node::NumberKind;
use crate::{number, time};

/// How deep values may be nested. Input is read from JSON text, whose reader stops at 128 levels; an expression adds
/// few. Deeper input made in memory is refused, because comparing and copying recurse.
pub(super) const MAX_DEPTH: usize = 256;

/// A value. Cloning is cheap: it never copies text, a list or a map.
#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text<'v>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    /// A list of the input, not looked at yet.
    Array(&'v [Json]),
    /// An object of the input, not looked at yet.
    Object(&'v serde_json::Map<String, Json>),
    List(Rc<Vec<Value<'v>>>),
    Map(Rc<BTreeMap<String, Value<'v>>>),
}

/// Text of the input or of the program, or text made here.
#[derive(Debug, Clone)]
pub(super) enum Text<'v> {
    Borrowed(&'v str),
    Made(Rc<str>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'v> Value<'v> {
    pub(super) fn text(text: String) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    /// Takes over a JSON value; only its outermost level is looked at.
    pub(super) fn from_json(json: &'v Json) -> Result<Self, EvalFault> {
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(int), _, _) => Self::Int(int),
                (None, None, Some(double)) => Self::Double(double),
                _ => return Err(EvalFault::IntegerTooLarge { value: number.to_string() }),
            },
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(items) => Self::Array(items),
            Json::Object(entries) => Self::Object(entries),
        })
    }

    /// Takes a number for what its type says it is.
    pub(super) fn with_number(self, kind: NumberKind) -> Result<Self, EvalFault> {
        match (kind, self) {
            (NumberKind::Double, Self::Int(int)) => Ok(Self::Double(int as f64)),
            (NumberKind::Int, Self::Double(double)) => match number::to_int(double) {
                Some(int) => Ok(Self::Int(int)),
                None if double.fract() == 0.0 => Err(EvalFault::IntegerTooLarge { value: double.to_string() }),
                None => Err(Self::Double(double).wrong("integer")),
            },
            (_, value) => Ok(value),
        }
    }

    /// The type for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Double(_) => "number",
            Self::Text(_) => "string",
            Self::Timestamp(_) => "timestamp",
            Self::Duration(_) => "duration",
            Self::Array(_) | Self::List(_) => "list",
            Self::Object(_) | Self::Map(_) => "object",
        }
    }

    /// Makes the fault of a value of the wrong type.
    pub(super) fn wrong(&self, expected: impl Into<String>) -> EvalFault {
        EvalFault::WrongType { expected: expected.into(), found: self.kind() }
    }

    pub(super) fn as_text(&self) -> Result<&str, EvalFault> {
        match self {
            Self::Text(text) => Ok(text.as_str()),
            other => Err(other.wrong("string")),
        }
    }

    pub(super) fn as_bool(&self) -> Result<bool, EvalFault> {
        match self {
            Self::Bool(value) => Ok(*value),
            other => Err(other.wrong("boolean")),
        }
    }

    /// The number of elements of a list.
    pub(super) fn list_len(&self) -> Option<usize> {
        match self {
            Self::Array(items) => Some(items.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// An element of a list.
    pub(super) fn element(&self, index: usize) -> Result<Option<Self>, EvalFault> {
        match self {
            Self::Array(items) => items.get(index).map(Self::from_json).transpose(),
            Self::List(items) => Ok(items.get(index).cloned()),
            _ => Ok(None),
        }
    }

    /// The number of entries of an object.
    pub(super) fn map_len(&self) -> Option<usize> {
        match self {
            Self::Object(entries) => Some(entries.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// An entry of an object.
    pub(super) fn entry(&self, key: &str) -> Result<Option<Self>, EvalFault> {
        match self {
            Self::Object(entries) => entries.get(key).map(Self::from_json).transpose(),
            Self::Map(entries) => Ok(entries.get(key).cloned()),
            other => Err(other.wrong("object")),
        }
    }

    /// The keys of an object.
    pub(super) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Object(entries) => entries.keys().map(String::as_str).collect(),
            Self::Map(entries) => entries.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Writes the value as JSON, counting every byte before it is taken: values are shared inside, JSON is not, so a
    /// small value can unfold into a large one.
    pub(super) fn into_json(self, meter: &mut Meter<'_>) -> Result<Json, EvalFault> {
        self.to_json(meter, MAX_DEPTH)
    }

    fn to_json(&self, meter: &mut Meter<'_>, depth: usize) -> Result<Json, EvalFault> {
        let depth = depth.checked_sub(1).ok_or(EvalFault::TooDeep { max: MAX_DEPTH })?;
        meter.make(SCALAR_BYTES)?;
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Double(value) => {
                let number = serde_json::Number::from_f64(*value);
                Json::Number(number.ok_or(EvalFault::NotFinite { operation: "result" })?)
            }
            Self::Text(text) => {
                meter.make(text.as_str().len())?;
                Json::String(text.as_str().to_owned())
            }
            Self::Timestamp(instant) => Json::String(instant.to_string()),
            Self::Duration(span) => Json::String(time::duration_text(*span)),
            Self::Array(items) => {
                items.iter().try_for_each(|item| count_json(item, meter, depth))?;
                Json::Array(items.to_vec())
            }
            Self::Object(entries) => {
                entries.iter().try_for_each(|(key, value)| {
                    meter.make(key.len())?;
                    count_json(value, meter, depth)
                })?;
                Json::Object((*entries).clone())
            }
            Self::List(items) => {
                let items = items.iter().map(|item| item.to_json(meter, depth));
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    meter.make(key.len())?;
                    Ok((key.clone(), value.to_json(meter, depth)?))
                });
                Json::Object(entries.collect::<Result<_, EvalFault>>()?)
            }
        })
    }
}

/// What one value takes, its content apart.
pub(super) const SCALAR_BYTES: usize = 32;

/// Counts a piece of input before it is copied into the result.
fn count_json(json: &Json, meter: &mut Meter<'_>, depth: usize) -> Result<(), EvalFault> {
    let depth = depth.checked_sub(1).ok_or(EvalFault::TooDeep { max: MAX_DEPTH })?;
    meter.make(SCALAR_BYTES)?;
    match json {
        Json::String(text) => meter.make(text.len()),
        Json::Array(items) => items.iter().try_for_each(|item| count_json(item, meter, depth)),
        Json::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            meter.make(key.len())?;
            count_json(value, meter, depth)
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}
