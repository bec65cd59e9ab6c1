//! Grants: one step, one operation, conditions on its arguments and on the answer's owner, budgets, an expiry.
//!
//! A [`Grant`] can be made only by [`Grant::issue`], from a permit of the policy, and from then on only be narrowed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Budgets;
use crate::capability::{FieldPath, Operation, OperationId};
use crate::ids::{GrantId, PolicyVersion, TaskId};
use crate::path;
use crate::policy::Permit;
use crate::text;

/// What an argument must satisfy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Anything.
    Any,
    /// Equal to this value.
    Equals(Value),
    /// Equal to one of these values.
    In(Vec<Value>),
    /// A whole number of at most this.
    Max(i64),
    /// A whole number of at least this.
    Min(i64),
    /// A text that starts so.
    Prefix(String),
    /// A text that is this host name, compared without regard to case.
    Host(String),
    /// A path of a web address in normal form that is this one or below it; see [`crate::path`].
    Path(String),
    /// A list of records whose field `name` is one of these; an empty list always is.
    Names(Vec<String>),
}

impl Condition {
    /// Whether a value satisfies the condition. A value of another type never does.
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Equals(expected) => same(expected, value),
            Self::In(expected) => expected.iter().any(|expected| same(expected, value)),
            Self::Max(most) => whole(value).is_some_and(|n| n <= i128::from(*most)),
            Self::Min(least) => whole(value).is_some_and(|n| n >= i128::from(*least)),
            Self::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix.as_str())),
            Self::Host(host) => value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(host)),
            Self::Path(base) => value.as_str().is_some_and(|path| path::is_below(path, base)),
            Self::Names(names) => value.as_array().is_some_and(|items| items.iter().all(|item| is_named(item, names))),
        }
    }

    /// Whether everything that satisfies this condition satisfies `other` too. May say no where the answer is yes.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Any) => true,
            (Self::Equals(value), other) => other.holds(value),
            (Self::In(values), other) => values.iter().all(|value| other.holds(value)),
            (Self::Max(a), Self::Max(b)) => a <= b,
            (Self::Min(a), Self::Min(b)) => a >= b,
            (Self::Prefix(a), Self::Prefix(b)) => a.starts_with(b.as_str()),
            (Self::Host(a), Self::Host(b)) => a.eq_ignore_ascii_case(b),
            (Self::Path(a), Self::Path(b)) => path::is_below(a, b),
            (Self::Names(a), Self::Names(b)) => a.iter().all(|name| b.contains(name)),
            _ => false,
        }
    }
}

fn is_named(item: &Value, names: &[String]) -> bool {
    item.get("name").and_then(Value::as_str).is_some_and(|name| names.iter().any(|known| known == name))
}

/// Equality of arguments: exact, but a whole number is the same whether JSON holds it signed or unsigned. Case and
/// white space count.
fn same(a: &Value, b: &Value) -> bool {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a == b,
        _ => false,
    }
}

fn whole(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// Most bytes that a message quotes of a condition. Its value comes from a run's input, and every denial quotes it.
const CONDITION_BYTES: usize = 200;

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Equals(value) => text::write_cut(f, CONDITION_BYTES, format_args!("{value}")),
            Self::In(values) => text::write_cut(f, CONDITION_BYTES, format_args!("in {}", Listed(values))),
            Self::Max(n) => write!(f, "at most {n}"),
            Self::Min(n) => write!(f, "at least {n}"),
            Self::Prefix(text) => text::write_cut(f, CONDITION_BYTES, format_args!("starts with {text:?}")),
            Self::Host(text) => text::write_cut(f, CONDITION_BYTES, format_args!("host {text}")),
            Self::Path(text) => text::write_cut(f, CONDITION_BYTES, format_args!("{text} or below")),
            Self::Names(names) => text::write_cut(f, CONDITION_BYTES, format_args!("names in {}", Value::from(names.clone()))),
        }
    }
}

/// Writes values as a JSON list without copying them.
struct Listed<'v>(&'v [Value]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, value) in self.0.iter().enumerate() {
            write!(f, "{}{value}", if index > 0 { "," } else { "" })?;
        }
        f.write_str("]")
    }
}

/// What a step asks to be granted, bound from the run's data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantRequest {
    /// The operation.
    pub operation: OperationId,
    /// What each argument must satisfy, by argument path. An argument that no path mentions is refused when it is called.
    pub conditions: BTreeMap<FieldPath, Vec<Condition>>,
    /// Whose data the answer must be, where the operation declares an owner.
    pub owner: Option<String>,
    /// How much.
    pub budgets: Budgets,
    /// Whether it may be passed on to a delegated task.
    pub delegable: bool,
}

/// A capability with its scope, given to one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Grant {
    id: GrantId,
    parent: Option<GrantId>,
    task: TaskId,
    #[serde(flatten)]
    scope: GrantRequest,
    expires_ms: u64,
    /// In a record it is the policy version that permitted.
    #[serde(rename = "policy-version", serialize_with = "version_of")]
    permit: Permit,
}

fn version_of<S: serde::Serializer>(permit: &Permit, serializer: S) -> Result<S::Ok, S::Error> {
    permit.policy_version().serialize(serializer)
}

/// Why a call is outside a grant. For the ledger; the guest sees an opaque reference.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// An argument does not satisfy its condition.
    #[error("argument `{path}` is outside the grant: {condition} is required")]
    Condition {
        /// Which argument.
        path: FieldPath,
        /// What it must satisfy.
        condition: Condition,
        /// The argument says whose data or what thing is meant, so the attempt is a security event.
        names_another: bool,
    },
    /// An argument is not mentioned by the grant.
    #[error("argument `{path}` is not mentioned by the grant: a grant says `any` where anything may be passed")]
    Unmentioned {
        /// Which argument.
        path: String,
    },
    /// The grant has expired.
    #[error("the grant has expired")]
    Expired,
}

impl Grant {
    /// Makes a grant from a permit.
    pub fn issue(permit: &Permit, id: GrantId, task: TaskId, request: GrantRequest, expires_ms: u64) -> Self {
        Self { id, parent: None, task, scope: request, expires_ms, permit: permit.clone() }
    }

    /// Makes a grant for another task out of this one. What is wider than this grant is refused.
    ///
    /// # Errors
    /// The name of what would be wider.
    pub fn narrow(&self, id: GrantId, task: TaskId, request: GrantRequest, expires_ms: u64) -> Result<Self, &'static str> {
        let scope = &self.scope;
        if !scope.delegable {
            return Err("delegation");
        }
        if request.operation != scope.operation {
            return Err("operation");
        }
        if scope.owner.is_some() && request.owner != scope.owner {
            return Err("owner");
        }
        if !request.budgets.is_within(&scope.budgets) {
            return Err("budgets");
        }
        if expires_ms > self.expires_ms {
            return Err("expiry");
        }
        for (path, conditions) in &request.conditions {
            // INVARIANT: each condition of the parent on this path is implied by one of the child's.
            let Some(held) = scope.conditions.get(path) else { return Err("conditions") };
            if !held.iter().all(|held| conditions.iter().any(|asked| asked.is_within(held))) {
                return Err("conditions");
            }
        }
        if scope.conditions.keys().any(|path| !request.conditions.contains_key(path)) {
            // A path that the child leaves out is refused at its calls, unless it lies within a path that the child
            // mentions; to stay simple and closed, the child has to mention every path of its parent.
            return Err("conditions");
        }
        // The policy said nothing of the other task's agent yet: without a note the engine decides at its first call.
        let permit = self.permit.without_note();
        Ok(Self { id, parent: Some(self.id.clone()), task, scope: request, expires_ms, permit })
    }

    /// Puts the grant on a permit of the policy that is in force now. What it gives stays the same.
    pub fn renew(&mut self, permit: Permit) {
        self.permit = permit;
    }

    /// Gives the id.
    pub fn id(&self) -> &GrantId {
        &self.id
    }

    /// Gives the grant that this one was narrowed from.
    pub fn parent(&self) -> Option<&GrantId> {
        self.parent.as_ref()
    }

    /// Gives operation, conditions, owner and budgets.
    pub fn scope(&self) -> &GrantRequest {
        &self.scope
    }

    /// Gives when it ends, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// Gives the policy version that permitted it.
    pub fn policy_version(&self) -> &PolicyVersion {
        self.permit.policy_version()
    }

    /// Gives the permit that it rests on.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Checks arguments against the conditions.
    ///
    /// # Errors
    /// The first argument that is outside.
    pub fn check_arguments(&self, operation: &Operation, args: &Value, now_ms: u64) -> Result<(), Refusal> {
        if now_ms > self.expires_ms {
            return Err(Refusal::Expired);
        }
        for (path, conditions) in &self.scope.conditions {
            let value = path.get(args).unwrap_or(&Value::Null);
            if let Some(condition) = conditions.iter().find(|condition| !condition.holds(value)) {
                let names_another = operation.spec.bound_arguments().any(|(_, bound)| bound == path);
                return Err(Refusal::Condition { path: path.clone(), condition: condition.clone(), names_another });
            }
        }
        for (name, _) in &operation.signature.params {
            self.check_mentioned(name, args.get(name).unwrap_or(&Value::Null))?;
        }
        Ok(())
    }

    /// Every leaf of an argument must lie at or below a path with a condition.
    fn check_mentioned(&self, name: &str, value: &Value) -> Result<(), Refusal> {
        let mut at = vec![name.to_owned()];
        self.walk(&mut at, value)
    }

    fn walk(&self, at: &mut Vec<String>, value: &Value) -> Result<(), Refusal> {
        if self.scope.conditions.keys().any(|path| path.segments() == at.as_slice()) {
            return Ok(());
        }
        let deeper = self.scope.conditions.keys().any(|path| path.segments().starts_with(at));
        match value {
            Value::Object(map) if deeper => {
                for (key, inner) in map {
                    at.push(key.clone());
                    self.walk(at, inner)?;
                    at.pop();
                }
                Ok(())
            }
            _ => Err(Refusal::Unmentioned { path: at.join(".") }),
        }
    }

    /// Whether the owner of an answer is the one that the grant names. Without an owner condition every answer passes.
    pub fn owner_holds(&self, operation: &Operation, result: &Value) -> bool {
        let Some(expected) = &self.scope.owner else { return true };
        let Some(path) = operation.spec.owner.as_ref().and_then(|path| path.within("result")) else { return false };
        path.get(result).and_then(Value::as_str) == Some(expected.as_str())
    }
}

#[cfg(test)]
mod tests;
