//! The types of values, as far as an expression can know them before it runs.

mod compare;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use compare::Mismatch;
pub use schema::SchemaProblem;
use serde_json::Value;

/// What is known about a value before it exists.
///
/// Values are JSON. `Duration` and `Timestamp` exist only inside an expression; as a result they are text (`"5400s"`,
/// `"2026-11-02T10:00:00Z"`).
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Type {
    /// Nothing is known: every operation compiles and is checked when it runs.
    #[default]
    Any,
    /// Only null.
    Null,
    /// True or false.
    Bool,
    /// A whole number that fits a signed 64-bit integer.
    Int,
    /// A number, with or without a fraction.
    Double,
    /// Text; enumerations of text too.
    String,
    /// A span of time, from `duration("90m")` or the difference of two timestamps.
    Duration,
    /// An instant, from `timestamp("2026-11-02T10:00:00Z")`.
    Timestamp,
    /// A list whose elements have one type.
    List(Box<Type>),
    /// An object whose fields are known.
    Object {
        /// The declared fields.
        fields: BTreeMap<String, Field>,
        /// True where fields that are not declared may exist; they are `Any`.
        open: bool,
    },
    /// An object with arbitrary keys whose values have one type.
    Map(Box<Type>),
    /// A value of the type, or null. Never nested; make it with [`Type::nullable`].
    Nullable(Box<Type>),
}

/// A declared field of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The type of the field where it is present.
    pub ty: Type,
    /// True where the field is always present. Selecting a field that is not gives null when it is absent, so the
    /// selection has the type [`Type::Nullable`].
    pub required: bool,
}

impl Field {
    /// Makes a field that is always present.
    pub fn required(ty: Type) -> Self {
        Self { ty, required: true }
    }

    /// Makes a field that may be absent.
    pub fn optional(ty: Type) -> Self {
        Self { ty, required: false }
    }
}

impl Type {
    /// Makes the type of a list.
    pub fn list(element: Type) -> Self {
        Self::List(Box::new(element))
    }

    /// Makes the type of a map.
    pub fn map(value: Type) -> Self {
        Self::Map(Box::new(value))
    }

    /// Makes a type that also allows null; `Any`, `Null` and nullable types do already.
    pub fn nullable(self) -> Self {
        match self {
            Self::Any | Self::Null | Self::Nullable(_) => self,
            other => Self::Nullable(Box::new(other)),
        }
    }

    /// Makes an object type with exactly the given fields, all of them always present.
    pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Type)>) -> Self {
        let fields = fields.into_iter().map(|(name, ty)| (name.into(), Field::required(ty))).collect();
        Self::Object { fields, open: false }
    }

    /// Returns the type of one value: its objects have exactly the fields they have.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Double,
            Value::Number(_) => Self::Int,
            Value::String(_) => Self::String,
            Value::Array(items) => Self::list(items.iter().map(Self::of).reduce(Self::join).unwrap_or_default()),
            Value::Object(entries) => Self::object(entries.iter().map(|(name, value)| (name.clone(), Self::of(value)))),
        }
    }

    /// Returns the type without null, if there is anything else to it.
    pub(crate) fn without_null(self) -> Self {
        match self {
            Self::Nullable(inner) => *inner,
            other => other,
        }
    }

    /// Closes all objects in the type, so that selecting a field that no schema declares is refused.
    ///
    /// Schemas leave objects open unless they say otherwise, which hides slips of the pen. Close the types of an
    /// [`Env`]; leave types that values are checked against as they are.
    #[must_use]
    pub fn closed(self) -> Self {
        match self {
            Self::List(element) => Self::list(element.closed()),
            Self::Map(value) => Self::map(value.closed()),
            Self::Nullable(inner) => Self::Nullable(Box::new(inner.closed())),
            // An object without any declared field says nothing: closing it would forbid everything.
            Self::Object { fields, open: true } if fields.is_empty() => Self::Object { fields, open: true },
            Self::Object { fields, .. } => {
                let fields = fields.into_iter().map(|(name, field)| (name, Field { ty: field.ty.closed(), ..field }));
                Self::Object { fields: fields.collect(), open: false }
            }
            scalar => scalar,
        }
    }

    /// Returns the smallest type that both belong to, or `Any`.
    ///
    /// Whole and fractional numbers join to numbers. Objects join field by field: a field that only one side declares
    /// becomes one that may be absent.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (Self::Null, other) | (other, Self::Null) => other.nullable(),
            (Self::Nullable(a), Self::Nullable(b)) => a.join(*b).nullable(),
            (Self::Nullable(a), b) | (b, Self::Nullable(a)) => a.join(b).nullable(),
            (Self::Int, Self::Double) | (Self::Double, Self::Int) => Self::Double,
            (Self::List(a), Self::List(b)) => Self::list(a.join(*b)),
            (Self::Map(a), Self::Map(b)) => Self::map(a.join(*b)),
            (Self::Object { fields: a, open: x }, Self::Object { fields: b, open: y }) => {
                Self::Object { fields: join_fields(a, b), open: x || y }
            }
            _ => Self::Any,
        }
    }
}

fn join_fields(a: BTreeMap<String, Field>, mut b: BTreeMap<String, Field>) -> BTreeMap<String, Field> {
    let mut joined = BTreeMap::new();
    for (name, left) in a {
        let field = match b.remove(&name) {
            Some(right) => Field { ty: left.ty.join(right.ty), required: left.required && right.required },
            None => Field::optional(left.ty),
        };
        joined.insert(name, field);
    }
    joined.extend(b.into_iter().map(|(name, field)| (name, Field::optional(field.ty))));
    joined
}

/// As many field names as a message shows.
const SHOWN_FIELDS: usize = 8;

impl fmt::Display for Type {
    /// Writes the type for people: "string", "list of integer", "object with `a`, `b`", "string or null".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("boolean"),
            Self::Int => f.write_str("integer"),
            Self::Double => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(element) => write!(f, "list of {element}"),
            Self::Map(value) => write!(f, "map of {value}"),
            Self::Nullable(inner) => write!(f, "{inner} or null"),
            Self::Object { fields, .. } if fields.is_empty() => f.write_str("object"),
            Self::Object { fields, .. } => {
                f.write_str("object with ")?;
                for (i, name) in fields.keys().take(SHOWN_FIELDS).enumerate() {
                    write!(f, "{}`{name}`", if i == 0 { "" } else { ", " })?;
                }
                if fields.len() > SHOWN_FIELDS {
                    f.write_str(", …")?;
                }
                Ok(())
            }
        }
    }
}

/// The variables that an expression may read, and their types.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Env {
    variables: BTreeMap<String, Type>,
}

impl Env {
    /// Makes an environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable, or replaces its type.
    pub fn insert(&mut self, name: impl Into<String>, ty: Type) {
        self.variables.insert(name.into(), ty);
    }

    /// Adds a variable and returns the environment.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, ty: Type) -> Self {
        self.insert(name, ty);
        self
    }

    /// Returns the type of a variable.
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.variables.get(name)
    }

    /// Returns the names of all variables.
    pub fn names(&self) -> BTreeSet<&str> {
        self.variables.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_well() {
        let object = Type::object([("a", Type::String), ("b", Type::Int)]);
        assert_eq!(object.to_string(), "object with `a`, `b`");
        assert_eq!(Type::list(Type::Int).to_string(), "list of integer");
        assert_eq!(Type::String.nullable().to_string(), "string or null");
        assert_eq!(Type::map(Type::Double).to_string(), "map of number");
    }

    #[test]
    fn nullable_does_not_nest() {
        assert_eq!(Type::String.nullable().nullable(), Type::String.nullable());
        assert_eq!(Type::Any.nullable(), Type::Any);
        assert_eq!(Type::Null.nullable(), Type::Null);
    }

    #[test]
    fn a_field_of_one_side_becomes_optional() {
        let a = Type::object([("kind", Type::String), ("x", Type::Int)]);
        let b = Type::object([("kind", Type::String), ("y", Type::Double)]);
        let Type::Object { fields, open } = a.join(b) else { panic!("an object") };
        assert!(!open);
        assert_eq!(fields["kind"], Field::required(Type::String));
        assert_eq!(fields["x"], Field::optional(Type::Int));
        assert_eq!(fields["y"], Field::optional(Type::Double));
    }

    #[test]
    fn numbers_and_null_join() {
        assert_eq!(Type::Int.join(Type::Double), Type::Double);
        assert_eq!(Type::Null.join(Type::String), Type::String.nullable());
        assert_eq!(Type::Int.nullable().join(Type::Double), Type::Double.nullable());
        assert_eq!(Type::Int.join(Type::String), Type::Any);
    }
}
