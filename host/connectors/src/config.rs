//! What the files of all kinds of connectors share.

use std::time::Duration;

use bailiwick_core::capability::{DEFAULT_NAMESPACE, Operation};
use bailiwick_core::limits::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// Longest `latency` that a file may ask for.
pub(crate) const MAX_LATENCY: Duration = Duration::from_secs(60);

/// A wait before every call, written as in `200ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency(pub(crate) Duration);

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Span(span) = Span::deserialize(deserializer)?;
        if span > MAX_LATENCY {
            return Err(serde::de::Error::custom(format!("a latency of at most {} is possible", Span(MAX_LATENCY))));
        }
        Ok(Self(span))
    }
}

impl JsonSchema for Latency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Latency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A span of time with its unit, for example `200ms`.", "examples": ["200ms"] })
    }
}

/// Which sample data a database is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Generate {
    /// The same seed gives the same data.
    pub(crate) seed: u64,
}

/// The first look at a file: which kind it is.
#[derive(Debug, Deserialize)]
pub(crate) struct KindOnly {
    pub(crate) kind: Kind,
}

/// What serves the operations of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Sql,
    Rules,
    Shipping,
    Mail,
    Web,
}

/// Says whether a connector of fixed operations serves this one: `functions` of one of Bailiwick's own interfaces.
pub(crate) fn serves(kind: &str, operation: &Operation, package: &str, interface: &str, functions: &[&str]) -> Result<(), String> {
    let id = &operation.id.interface;
    let is_ours = id.package.strip_prefix(DEFAULT_NAMESPACE).and_then(|rest| rest.strip_prefix(':')) == Some(package);
    match is_ours && id.interface == interface && functions.contains(&operation.id.function.as_str()) {
        true => Ok(()),
        false => {
            let known: Vec<String> = functions.iter().map(|function| format!("`{package}/{interface}.{function}`")).collect();
            Err(format!("a `{kind}` connector does not serve `{}`, only {}", operation.short, known.join(" and ")))
        }
    }
}
