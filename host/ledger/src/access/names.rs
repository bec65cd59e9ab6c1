//! Names of fields without their values, read from a payload's bytes.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::FieldNames;

/// Most names that are given of one payload's part.
pub const FIELDS_NAMED: usize = 64;
/// Deepest field that is told from the one that it lies in.
const DEPTH: usize = 8;
/// Name of a value that has no fields.
const VALUE: &str = "(value)";

/// The parts of a call's payload, as names.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Parts {
    #[serde(default)]
    pub args: FieldNames,
    #[serde(default)]
    pub result: FieldNames,
}

/// Reads the names of a payload; unknown ones where it cannot be read so.
pub(super) fn parts_of(body: &[u8]) -> Parts {
    let unknown = || FieldNames { unknown: true, ..FieldNames::default() };
    serde_json::from_slice(body).unwrap_or_else(|_| Parts { args: unknown(), result: unknown() })
}

/// Whether a denied call's arguments are what is kept in place of those that are too large.
pub(super) fn is_stand_in(args: &Value) -> bool {
    let Some(map) = args.as_object() else { return false };
    map.len() == 2
        && map.get("bytes").is_some_and(Value::is_u64)
        && map.get("digest").and_then(Value::as_str).is_some_and(|digest| digest.starts_with("sha256:"))
}

/// Whether a text stands in a value as a whole.
pub(super) fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| has_text(item, text)),
        Value::Object(map) => map.values().any(|item| has_text(item, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl<'de> Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut names = Self::default();
        Walk { names: &mut names, path: &mut String::new(), depth: 0 }.deserialize(deserializer)?;
        Ok(names)
    }
}

impl FieldNames {
    fn add(&mut self, path: &str) {
        let name = if path.is_empty() { VALUE } else { path };
        // The elements of a list have the same fields.
        if self.names.iter().any(|known| known == name) {
            return;
        }
        if self.names.len() < FIELDS_NAMED {
            self.names.push(name.to_owned());
        } else {
            self.more += 1;
        }
    }
}

/// Visits a value and notes the paths of what it holds.
struct Walk<'a> {
    names: &'a mut FieldNames,
    path: &'a mut String,
    depth: usize,
}

impl Walk<'_> {
    fn leaf(self) {
        self.names.add(self.path);
    }

    fn within(&mut self, segment: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(segment);
        before
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth < DEPTH {
            return deserializer.deserialize_any(self);
        }
        IgnoredAny::deserialize(deserializer)?;
        self.leaf();
        Ok(())
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.leaf();
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.leaf();
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.leaf();
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.leaf();
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.leaf();
        Ok(())
    }

    /// Nothing was passed or given there.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let before = self.within("*");
        let mut is_empty = true;
        loop {
            let item = Walk { names: self.names, path: self.path, depth: self.depth + 1 };
            if seq.next_element_seed(item)?.is_none() {
                break;
            }
            is_empty = false;
        }
        self.path.truncate(before);
        if is_empty {
            self.leaf();
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let before = self.within(&key);
            map.next_value_seed(Walk { names: self.names, path: self.path, depth: self.depth + 1 })?;
            self.path.truncate(before);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(value: &Value) -> FieldNames {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn names_are_told_and_values_are_not() {
        let found = names(&json!({
            "id": "C-1", "address": { "city": "Hamburg", "extra": null }, "orders": [{ "id": 1 }, { "id": 2, "note": "x" }], "tags": ["a", "b"], "none": []
        }));
        // A JSON value made by the test has its keys in the order of the text.
        let mut sorted = found.names.clone();
        sorted.sort();
        assert_eq!(sorted, ["address.city", "id", "none", "orders.*.id", "orders.*.note", "tags.*"]);
        assert_eq!((found.more, found.unknown), (0, false));
        assert_eq!(names(&json!("plain")).names, ["(value)"]);
        assert_eq!(names(&json!(null)), FieldNames::default());
        assert!(!format!("{found:?}").contains("Hamburg"));
    }

    #[test]
    fn names_are_bounded() {
        for (count, more) in [(FIELDS_NAMED - 1, 0), (FIELDS_NAMED, 0), (FIELDS_NAMED + 1, 1)] {
            let value = Value::Object((0..count).map(|n| (format!("k{n}"), json!(n))).collect());
            let found = names(&value);
            assert_eq!((found.names.len(), found.more), (count.min(FIELDS_NAMED), more));
        }
        let deep = (0..100).fold(json!(1), |value, _| json!({ "a": value }));
        assert_eq!(names(&deep).names, [["a"; DEPTH].join(".")]);
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        assert!(parts_of(b"{").args.unknown);
        let deep = format!("{{\"args\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(parts_of(deep.as_bytes()).args.names.len(), 1);
    }

    #[test]
    fn a_text_is_found_as_a_whole() {
        let value = json!({ "C-1": ["x", { "id": "C-1" }] });
        assert!(has_text(&value, "C-1"));
        assert!(!has_text(&json!({ "C-1": "C-10" }), "C-1"));
        assert!(is_stand_in(&json!({ "bytes": 5000, "digest": "sha256:00" })));
        assert!(!is_stand_in(&json!({ "bytes": 5000, "digest": "sha256:00", "id": "C-1" })));
    }
}
