//! The types of operations, as far as grants, workflows and connectors need them.
//!
//! Between sandbox, gate and connectors a WIT value is JSON, guided by its [`WitType`]: a record is an object with the
//! WIT field names, a variant case `{"case": payload}` (or `"case"` without payload), an enum case a text, flags a list of texts, an option the value
//! or `null`, a `result` `{"ok": …}` or `{"err": …}`, a tuple a list, `list<u8>` base64 text, a char a text. Floats that are not finite have no JSON form and are refused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Type of a WIT value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WitType {
    /// `bool`.
    Bool,
    /// `s8`, `s16`, `s32` or `s64`.
    Signed {
        /// Width in bits.
        bits: u8,
    },
    /// `u8`, `u16`, `u32` or `u64`.
    Unsigned {
        /// Width in bits.
        bits: u8,
    },
    /// `f32` or `f64`.
    Float {
        /// Width in bits.
        bits: u8,
    },
    /// `char`.
    Char,
    /// `string`.
    Text,
    /// `list<u8>`.
    Bytes,
    /// Any other list.
    List(Box<WitType>),
    /// A record: fields in order.
    Record(Vec<(String, WitType)>),
    /// A variant: cases in order, with their payloads.
    Variant(Vec<(String, Option<WitType>)>),
    /// An enum: cases in order.
    Enum(Vec<String>),
    /// Flags.
    Flags(Vec<String>),
    /// `option<…>`.
    Option(Box<WitType>),
    /// `result<…, …>`.
    Result {
        /// Payload of `ok`.
        ok: Option<Box<WitType>>,
        /// Payload of `err`.
        err: Option<Box<WitType>>,
    },
    /// `tuple<…>`.
    Tuple(Vec<WitType>),
    /// A resource handle; it never leaves the sandbox as JSON.
    Handle,
}

impl WitType {
    /// Follows a field path (records, options of records) to the type of a nested field.
    pub fn field(&self, path: &[String]) -> Option<&WitType> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match self {
            Self::Record(fields) => fields.iter().find(|(name, _)| name == first)?.1.field(rest),
            Self::Option(inner) => inner.field(path),
            Self::List(inner) if first == "*" => inner.field(rest),
            _ => None,
        }
    }
}

impl fmt::Display for WitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Signed { bits } => write!(f, "s{bits}"),
            Self::Unsigned { bits } => write!(f, "u{bits}"),
            Self::Float { bits } => write!(f, "f{bits}"),
            Self::Char => f.write_str("char"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("list<u8>"),
            Self::List(inner) => write!(f, "list<{inner}>"),
            Self::Record(_) => f.write_str("record"),
            Self::Variant(_) => f.write_str("variant"),
            Self::Enum(cases) => write!(f, "one of {}", cases.join(", ")),
            Self::Flags(_) => f.write_str("flags"),
            Self::Option(inner) => write!(f, "option<{inner}>"),
            Self::Result { .. } => f.write_str("result"),
            Self::Tuple(_) => f.write_str("tuple"),
            Self::Handle => f.write_str("resource"),
        }
    }
}

/// Parameters and result of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Parameters in order.
    pub params: Vec<(String, WitType)>,
    /// Result; `None` for a function that gives nothing.
    pub result: Option<WitType>,
}

impl Signature {
    /// Gives the type of the `ok` payload, or of the whole result where it is no `result`.
    pub fn ok(&self) -> Option<&WitType> {
        match &self.result {
            Some(WitType::Result { ok, .. }) => ok.as_deref(),
            other => other.as_ref(),
        }
    }

    /// Follows an argument path: the parameter's name, then field names.
    pub fn argument(&self, path: &[String]) -> Option<&WitType> {
        let (first, rest) = path.split_first()?;
        self.params.iter().find(|(name, _)| name == first)?.1.field(rest)
    }
}
