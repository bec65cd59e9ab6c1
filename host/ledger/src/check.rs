//! Whether bytes are in canonical form, without building a value: the verifier asks this of every record.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

use bailiwick_core::canonical;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Most levels that a stored JSON text may nest. Far beyond what a guest can make (JSON texts of guests are read with at
/// most 128 levels), and small enough for any thread's stack, so that a file made by an attacker cannot overflow it.
pub(crate) const DEPTH: usize = 256;

/// Checks that bytes are the canonical form of a JSON value, and gives them as text. `scratch` is overwritten.
///
/// # Errors
/// What is not canonical about them.
pub(crate) fn check<'a>(bytes: &'a [u8], scratch: &mut Vec<u8>) -> Result<&'a str, String> {
    scratch.clear();
    // Once for all, and not again for each string.
    let text = std::str::from_utf8(bytes).map_err(|problem| format!("not canonical JSON: {problem}"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    // Depth is bounded by `Node`.
    reader.disable_recursion_limit();
    Node { out: scratch, depth: 0 }.deserialize(&mut reader).map_err(|problem| format!("not canonical JSON: {problem}"))?;
    reader.end().map_err(|problem| format!("not canonical JSON: {problem}"))?;
    if scratch.as_slice() == bytes { Ok(text) } else { Err("not in canonical form".to_owned()) }
}

/// Reads a JSON value from canonical bytes.
///
/// # Errors
/// What is not canonical about them.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_str(check(bytes, &mut Vec::new())?);
    // The check has bounded the depth.
    reader.disable_recursion_limit();
    serde::Deserialize::deserialize(&mut reader).map_err(|problem: serde_json::Error| format!("not JSON: {problem}"))
}

/// Whether a value nests at most so many levels.
pub(crate) fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| nests_within(item, levels - 1)),
        Value::Object(map) => levels > 0 && map.values().all(|item| nests_within(item, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Writes what it visits in canonical form.
struct Node<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Node<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth < DEPTH { Ok(self.depth + 1) } else { Err(E::custom(format!("more than {DEPTH} levels"))) }
    }

    fn number(self, number: &Number) {
        // Writing into a `Vec` cannot fail.
        let _ = write!(self.out, "{number}");
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.number(&Number::from(value));
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.number(&Number::from(value));
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.number(&Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        canonical::append_text_to(value, self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        self.out.push(b'[');
        let first = self.out.len();
        loop {
            // The comma is taken back when no item follows.
            let before = self.out.len();
            if before > first {
                self.out.push(b',');
            }
            if items.next_element_seed(Node { out: self.out, depth })?.is_none() {
                self.out.truncate(before);
                break;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        self.out.push(b'{');
        let mut last: Option<Cow<'de, str>> = None;
        while let Some(key) = entries.next_key_seed(Key)? {
            if let Some(last) = &last {
                if last.as_bytes() >= key.as_bytes() {
                    return Err(A::Error::custom(format!("key `{key}` out of order")));
                }
                self.out.push(b',');
            }
            canonical::append_text_to(&key, self.out);
            self.out.push(b':');
            entries.next_value_seed(Node { out: self.out, depth })?;
            last = Some(key);
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// Reads a key without a copy where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    fn is_canonical(text: &str) -> bool {
        check(text.as_bytes(), &mut Vec::new()).is_ok()
    }

    #[test]
    fn only_the_canonical_form_passes() {
        for good in [r#"{"a":[1,-2,1.5,null,true,"é\n"],"b":{}}"#, "[]", "18446744073709551615", "-0.0", "\"\""] {
            assert!(is_canonical(good), "{good}");
        }
        let bad =
            [" 1", "1 ", "[1, 2]", r#"{"b":1,"a":2}"#, r#"{"a":1,"a":2}"#, "1.50", "1e2", r#""\u0041""#, r#""\/""#, "", "[1", "01", "1 1"];
        for bad in bad {
            assert!(!is_canonical(bad), "{bad}");
        }
        assert!(check(b"\"\xff\"", &mut Vec::new()).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_canonical(&nested(DEPTH - 1)));
        assert!(is_canonical(&nested(DEPTH)));
        assert!(!is_canonical(&nested(DEPTH + 1)));
        assert!(!is_canonical(&"[".repeat(1_000_000)));
        let deepest = read(nested(DEPTH).as_bytes()).unwrap();
        assert!(nests_within(&deepest, DEPTH));
        assert!(!nests_within(&deepest, DEPTH - 1));
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in testing::json()) {
            let bytes = canonical::to_bytes(&value);
            prop_assert!(check(&bytes, &mut Vec::new()).is_ok());
            prop_assert_eq!(canonical::to_bytes(&read(&bytes).unwrap()), bytes);
        }
    }
}
