//! Which values and types fit where.

use std::fmt;

use serde_json::Value;

use super::{Field, Type};

/// Where and how one type does not fit another.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// The fields that lead to the difference, outermost first; `[]` stands for the elements of a list.
    pub path: Vec<String>,
    /// What was wanted there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Mismatch {
    fn new(expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self { path: Vec::new(), expected: expected.to_string(), found: found.to_string() }
    }

    fn within(mut self, segment: &str) -> Self {
        self.path.insert(0, segment.to_owned());
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path.join("."))?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl Type {
    /// Returns true where a value of type `found` may stand where this type is wanted.
    ///
    /// See [`Type::mismatch`] for the rules and for the reason of a refusal.
    pub fn accepts(&self, found: &Type) -> bool {
        self.mismatch(found).is_none()
    }

    /// Returns the first place where a value of type `found` does not fit this type.
    ///
    /// Where something is not known (`Any`, undeclared fields of an open object) it is taken to fit: the value itself
    /// is checked when it exists. A declared field that the wanted object does not know is a mismatch unless the
    /// wanted object is open. Durations and timestamps fit text, whole numbers fit numbers.
    pub fn mismatch(&self, found: &Type) -> Option<Mismatch> {
        match (self, found) {
            (Type::Any, _) | (_, Type::Any) => None,
            (Type::Nullable(_), Type::Null) => None,
            (Type::Nullable(wanted), Type::Nullable(inner)) => wanted.mismatch(inner),
            (Type::Nullable(wanted), other) => wanted.mismatch(other),
            (Type::Double, Type::Int) => None,
            (Type::String, Type::Duration | Type::Timestamp) => None,
            (Type::List(wanted), Type::List(inner)) => wanted.mismatch(inner).map(|m| m.within("[]")),
            (Type::Map(wanted), Type::Map(inner)) => wanted.mismatch(inner).map(|m| m.within("[]")),
            (Type::Map(wanted), Type::Object { fields, .. }) => {
                fields.iter().find_map(|(name, field)| wanted.mismatch(&field.ty).map(|m| m.within(name)))
            }
            (Type::Object { fields, .. }, Type::Map(inner)) => fields.iter().find_map(|(name, field)| match field.required {
                true => Some(Mismatch::new(&field.ty, "a field that may be absent").within(name)),
                false => field.ty.mismatch(inner).map(|m| m.within(name)),
            }),
            (Type::Object { .. }, Type::Object { .. }) => object_mismatch(self, found),
            (wanted, other) if wanted == other => None,
            (wanted, other) => Some(Mismatch::new(wanted, other)),
        }
    }

    /// Returns true where the JSON value belongs to this type.
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Type::Any, _) => true,
            (Type::Null, value) => value.is_null(),
            (Type::Nullable(inner), value) => value.is_null() || inner.admits(value),
            (Type::Bool, value) => value.is_boolean(),
            (Type::Int, value) => is_whole(value),
            (Type::Double, value) => value.is_number(),
            (Type::String | Type::Duration | Type::Timestamp, value) => value.is_string(),
            (Type::List(element), Value::Array(items)) => items.iter().all(|item| element.admits(item)),
            (Type::Map(inner), Value::Object(entries)) => entries.values().all(|value| inner.admits(value)),
            (Type::Object { fields, open }, Value::Object(entries)) => {
                let declared = fields.iter().all(|(name, field)| match entries.get(name) {
                    Some(value) => field.ty.admits(value),
                    None => !field.required,
                });
                declared && (*open || entries.keys().all(|name| fields.contains_key(name)))
            }
            (Type::List(_) | Type::Map(_) | Type::Object { .. }, _) => false,
        }
    }
}

fn object_mismatch(wanted: &Type, found: &Type) -> Option<Mismatch> {
    let (Type::Object { fields, open }, Type::Object { fields: given, open: given_open }) = (wanted, found) else {
        return None;
    };
    for (name, field) in fields {
        let problem = match given.get(name) {
            Some(have) => field_mismatch(field, have),
            None if field.required && !given_open => Some(Mismatch::new(&field.ty, "nothing")),
            None => None,
        };
        if let Some(problem) = problem {
            return Some(problem.within(name));
        }
    }
    if *open {
        return None;
    }
    let extra = given.iter().find(|(name, _)| !fields.contains_key(*name));
    extra.map(|(name, field)| Mismatch::new("no such field", &field.ty).within(name))
}

fn field_mismatch(wanted: &Field, found: &Field) -> Option<Mismatch> {
    match wanted.required && !found.required {
        true => Some(Mismatch::new(&wanted.ty, "a field that may be absent")),
        false => wanted.ty.mismatch(&found.ty),
    }
}

/// JSON Schema counts `3.0` as an integer, so an integer may arrive written like that.
fn is_whole(value: &Value) -> bool {
    match value.as_f64() {
        Some(number) => value.as_i64().is_some() || (value.as_u64().is_none() && crate::number::to_int(number).is_some()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn optional(name: &str, ty: Type) -> Type {
        Type::Object { fields: [(name.to_owned(), Field::optional(ty))].into(), open: false }
    }

    #[test]
    fn simple_types_fit_themselves_only() {
        assert!(Type::String.accepts(&Type::String));
        assert!(Type::Double.accepts(&Type::Int));
        assert!(!Type::Int.accepts(&Type::Double));
        assert!(Type::String.accepts(&Type::Timestamp));
        assert!(!Type::Timestamp.accepts(&Type::String));
    }

    #[test]
    fn null_fits_nullable_only() {
        assert!(Type::String.nullable().accepts(&Type::Null));
        assert!(Type::String.nullable().accepts(&Type::String));
        assert!(!Type::String.accepts(&Type::String.nullable()));
    }

    #[test]
    fn a_field_that_may_be_absent_does_not_fit_a_required_one() {
        let wanted = Type::object([("a", Type::String)]);
        let mismatch = wanted.mismatch(&optional("a", Type::String)).unwrap();
        assert_eq!(mismatch.to_string(), "`a`: expected string, found a field that may be absent");
        assert!(optional("a", Type::String).accepts(&wanted));
    }

    #[test]
    fn a_mismatch_names_its_place() {
        let wanted = Type::object([("a", Type::list(Type::object([("b", Type::Int)])))]);
        let found = Type::object([("a", Type::list(Type::object([("b", Type::String)])))]);
        assert_eq!(wanted.mismatch(&found).unwrap().to_string(), "`a.[].b`: expected integer, found string");
    }

    #[test]
    fn an_unknown_field_fits_an_open_object_only() {
        let found = Type::object([("a", Type::String), ("b", Type::Int)]);
        let closed = Type::object([("a", Type::String)]);
        assert_eq!(closed.mismatch(&found).unwrap().to_string(), "`b`: expected no such field, found integer");
        let Type::Object { fields, .. } = closed else { panic!("an object") };
        assert!(Type::Object { fields, open: true }.accepts(&found));
    }

    #[test]
    fn values_belong_to_types() {
        assert!(Type::Int.admits(&json!(3.0)));
        assert!(!Type::Int.admits(&json!(3.5)));
        assert!(!Type::Int.admits(&json!(u64::MAX)));
        assert!(Type::Double.admits(&json!(3)));
        assert!(optional("a", Type::Int).admits(&json!({})));
        assert!(!optional("a", Type::Int).admits(&json!({"b": 1})));
        assert!(!Type::list(Type::Int).admits(&json!([1, "a"])));
    }
}
