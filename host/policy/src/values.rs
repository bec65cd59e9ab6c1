//! Arguments as Cedar values, and their lengths.
//!
//! INVARIANT: what is made here has the type that [`crate::schema`] says; `arguments_fit_the_schema` tests it.

use bailiwick_core::signature::WitType;
use cedar_policy::RestrictedExpression;
use serde_json::Value;

use crate::reads::Reads;
use crate::schema::{CASE, can_overflow, cases, has_length, has_value};

/// Most values of one call's arguments that are weighed. A guest chooses how many there are, and each costs the host time at every call.
pub(crate) const VALUES_MOST: usize = 16 * 1024;

/// Why arguments cannot be weighed by a policy; the call is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueProblem {
    #[error("argument `{path}` is {value}: policies compare whole numbers up to {}", i64::MAX)]
    TooLarge { path: String, value: String },
    #[error("argument `{path}` does not have the type {expected}")]
    Misfit { path: String, expected: String },
    #[error("the arguments hold more than {VALUES_MOST} values, too many to be weighed by a policy")]
    TooMany,
    #[error("the arguments have no form in Cedar: {0}")]
    Form(String),
}

type Made<T> = Result<T, ValueProblem>;

/// Makes values; counts them and knows where it is.
pub(crate) struct Maker {
    left: usize,
    path: Vec<String>,
}

impl Maker {
    pub(crate) fn new() -> Self {
        Self { left: VALUES_MOST, path: Vec::new() }
    }

    /// Makes the record of arguments, as far as policies read them. One that may not fit is always made: whether a call is denied for it
    /// must not hang on which argument a policy happens to read.
    pub(crate) fn args(&mut self, reads: &Reads, params: &[(String, WitType)], args: &Value) -> Made<RestrictedExpression> {
        let wanted = params.iter().filter(|(name, ty)| reads.wants_argument(name) || can_overflow(ty));
        self.record(wanted.map(|(name, ty)| (name.as_str(), ty)), args)
    }

    fn record<'t>(&mut self, fields: impl Iterator<Item = (&'t str, &'t WitType)>, value: &Value) -> Made<RestrictedExpression> {
        let Some(map) = value.as_object() else { return Err(self.misfit("record")) };
        let mut made = Vec::with_capacity(map.len());
        for (name, ty) in fields {
            self.path.push(name.to_owned());
            if let Some(value) = self.value(ty, map.get(name).unwrap_or(&Value::Null))? {
                made.push((name.to_owned(), value));
            }
            self.path.pop();
        }
        form(RestrictedExpression::new_record(made))
    }

    /// Makes a value; `None` where there is none, or its type has no form.
    fn value(&mut self, ty: &WitType, value: &Value) -> Made<Option<RestrictedExpression>> {
        self.left = self.left.checked_sub(1).ok_or(ValueProblem::TooMany)?;
        Ok(Some(match ty {
            WitType::Option(_) if value.is_null() => return Ok(None),
            WitType::Option(inner) => return self.value(inner, value),
            WitType::Bool => RestrictedExpression::new_bool(value.as_bool().ok_or_else(|| self.misfit("bool"))?),
            WitType::Signed { .. } | WitType::Unsigned { .. } => RestrictedExpression::new_long(self.whole(ty, value)?),
            WitType::Char | WitType::Text | WitType::Enum(_) => {
                RestrictedExpression::new_string(value.as_str().ok_or_else(|| self.misfit(ty))?.to_owned())
            }
            WitType::Flags(_) => self.set(&WitType::Text, value)?,
            _ if !has_value(ty) => return Ok(None),
            WitType::List(inner) => self.set(inner, value)?,
            WitType::Record(fields) => self.record(fields.iter().map(|(name, ty)| (name.as_str(), ty)), value)?,
            WitType::Tuple(items) => self.tuple(items, value)?,
            WitType::Variant(_) | WitType::Result { .. } => self.case(ty, value)?,
            WitType::Float { .. } | WitType::Bytes | WitType::Handle => return Ok(None),
        }))
    }

    fn whole(&self, ty: &WitType, value: &Value) -> Made<i64> {
        value.as_i64().ok_or_else(|| {
            if value.is_u64() { ValueProblem::TooLarge { path: self.path.join("."), value: value.to_string() } } else { self.misfit(ty) }
        })
    }

    fn set(&mut self, inner: &WitType, value: &Value) -> Made<RestrictedExpression> {
        let items = value.as_array().ok_or_else(|| self.misfit("list"))?;
        let mut made = Vec::with_capacity(items.len().min(VALUES_MOST));
        for item in items {
            made.extend(self.value(inner, item)?);
        }
        Ok(RestrictedExpression::new_set(made))
    }

    fn tuple(&mut self, items: &[WitType], value: &Value) -> Made<RestrictedExpression> {
        let given = value.as_array().filter(|given| given.len() == items.len()).ok_or_else(|| self.misfit("tuple"))?;
        let mut made = Vec::with_capacity(items.len());
        for (at, (ty, value)) in items.iter().zip(given).enumerate() {
            self.path.push(at.to_string());
            if let Some(value) = self.value(ty, value)? {
                made.push((at.to_string(), value));
            }
            self.path.pop();
        }
        form(RestrictedExpression::new_record(made))
    }

    fn case(&mut self, ty: &WitType, value: &Value) -> Made<RestrictedExpression> {
        let (name, payload) = case_of(value).ok_or_else(|| self.misfit(ty))?;
        let known = cases(ty).unwrap_or_default();
        let (_, payload_type) = known.iter().find(|(known, _)| *known == name).ok_or_else(|| self.misfit(ty))?;
        let mut made = vec![(CASE.to_owned(), RestrictedExpression::new_string(name.to_owned()))];
        if let Some(payload_type) = payload_type
            && name != CASE
        {
            self.path.push(name.to_owned());
            made.extend(self.value(payload_type, payload)?.map(|value| (name.to_owned(), value)));
            self.path.pop();
        }
        form(RestrictedExpression::new_record(made))
    }

    /// Makes the record of lengths, as far as policies read them: characters of texts, bytes of `list<u8>`, elements of other lists.
    pub(crate) fn lengths(&mut self, reads: &Reads, params: &[(String, WitType)], args: &Value) -> Made<RestrictedExpression> {
        let wanted = params.iter().filter(|(name, _)| reads.wants_argument(name));
        let lengths = self.lengths_of(wanted.map(|(name, ty)| (name.as_str(), ty, args.get(name))))?;
        form(RestrictedExpression::new_record(lengths))
    }

    fn lengths_of<'a>(
        &mut self,
        fields: impl Iterator<Item = (&'a str, &'a WitType, Option<&'a Value>)>,
    ) -> Made<Vec<(String, RestrictedExpression)>> {
        let mut made = Vec::new();
        for (name, ty, value) in fields {
            self.path.push(name.to_owned());
            made.extend(self.length(ty, value.unwrap_or(&Value::Null))?.map(|length| (name.to_owned(), length)));
            self.path.pop();
        }
        Ok(made)
    }

    fn length(&mut self, ty: &WitType, value: &Value) -> Made<Option<RestrictedExpression>> {
        self.left = self.left.checked_sub(1).ok_or(ValueProblem::TooMany)?;
        let count = match ty {
            WitType::Option(_) if value.is_null() => return Ok(None),
            WitType::Option(inner) => return self.length(inner, value),
            WitType::Text => value.as_str().ok_or_else(|| self.misfit(ty))?.chars().count(),
            WitType::Bytes => decoded_length(value.as_str().ok_or_else(|| self.misfit(ty))?),
            WitType::List(_) => value.as_array().ok_or_else(|| self.misfit(ty))?.len(),
            // Nothing in it has a length: the schema has no field for it.
            _ if !has_length(ty) => return Ok(None),
            WitType::Record(fields) => {
                let fields = fields.iter().map(|(name, ty)| (name.as_str(), ty, value.get(name)));
                return form(RestrictedExpression::new_record(self.lengths_of(fields)?)).map(Some);
            }
            WitType::Tuple(items) => {
                let names: Vec<String> = (0..items.len()).map(|at| at.to_string()).collect();
                let fields = names.iter().zip(items).enumerate().map(|(at, (name, ty))| (name.as_str(), ty, value.get(at)));
                return form(RestrictedExpression::new_record(self.lengths_of(fields)?)).map(Some);
            }
            WitType::Variant(_) | WitType::Result { .. } => {
                let (name, payload) = case_of(value).ok_or_else(|| self.misfit(ty))?;
                let known = cases(ty).unwrap_or_default();
                let found = known.into_iter().filter(|(known, _)| *known == name);
                let fields = found.filter_map(|(name, ty)| Some((name, ty?, Some(payload))));
                return form(RestrictedExpression::new_record(self.lengths_of(fields)?)).map(Some);
            }
            _ => return Ok(None),
        };
        Ok(Some(RestrictedExpression::new_long(i64::try_from(count).unwrap_or(i64::MAX))))
    }

    fn misfit(&self, expected: impl ToString) -> ValueProblem {
        ValueProblem::Misfit { path: self.path.join("."), expected: expected.to_string() }
    }
}

fn form<E: ToString>(made: Result<RestrictedExpression, E>) -> Made<RestrictedExpression> {
    made.map_err(|error| ValueProblem::Form(error.to_string()))
}

/// Gives case and payload of a variant's JSON: `"case"` or `{"case": payload}`.
fn case_of(value: &Value) -> Option<(&str, &Value)> {
    match value {
        Value::String(name) => Some((name, &Value::Null)),
        Value::Object(map) if map.len() == 1 => map.iter().next().map(|(name, payload)| (name.as_str(), payload)),
        _ => None,
    }
}

/// Bytes that a base64 text stands for.
fn decoded_length(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

#[cfg(test)]
mod tests;
