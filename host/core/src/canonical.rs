//! Canonical bytes: one value, one byte string.
//!
//! JSON without white space, object keys sorted by their bytes, integers in decimal. The ledger's leaves, commitments, plan
//! hashes and idempotency keys are computed over these bytes, so two hosts that see the same value agree.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::ids::Digest;

/// Gives the canonical bytes of a JSON value.
pub fn to_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out);
    out
}

/// Appends the canonical bytes of a JSON value, for callers that join several into one.
pub fn append_to(value: &Value, out: &mut Vec<u8>) {
    write(value, out);
}

/// Appends the canonical bytes of a text: a JSON string.
pub fn append_text_to(text: &str, out: &mut Vec<u8>) {
    write_text(text, out);
}

/// Gives the canonical bytes of anything that serialises to JSON.
///
/// # Errors
/// When the value has no JSON form: a map with keys that are not text, or a failing `Serialize`.
pub fn of<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    Ok(to_bytes(&serde_json::to_value(value)?))
}

/// Hashes the canonical bytes of a JSON value with SHA-256.
pub fn digest(value: &Value) -> Digest {
    Digest::from_bytes(Sha256::digest(to_bytes(value)).into())
}

/// Gives about the number of bytes of a value's canonical form, without writing it.
pub fn size(value: &Value) -> u64 {
    match value {
        Value::Null => 4,
        Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() as u64 + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<u64>() + 2,
        Value::Object(map) => map.iter().map(|(key, item)| key.len() as u64 + size(item) + 4).sum::<u64>() + 2,
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            // Sorted here and not left to the map: another crate in the build can turn on serde_json's `preserve_order`.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write(item, out);
            }
            out.push(b'}');
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a string into a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_space_is_gone() {
        let value = json!({"b": [1, -2, true, null], "a": {"z": "é\n", "y": 1.5}});
        assert_eq!(String::from_utf8(to_bytes(&value)).unwrap(), r#"{"a":{"y":1.5,"z":"é\n"},"b":[1,-2,true,null]}"#);
    }

    #[test]
    fn reading_back_gives_the_same_bytes() {
        let value = json!({"x": [{"b": 2, "a": 1}], "n": 9_007_199_254_740_993_i64});
        let bytes = to_bytes(&value);
        let again: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(to_bytes(&again), bytes);
    }

    #[test]
    fn floats_read_back_exactly() {
        // Needs serde_json's `float_roundtrip`: without it a float may come back one unit in the last place off, and a
        // commitment to it would not verify.
        for float in [0.1 + 0.2, 1e-7 / 3.0, f64::MAX, 5e-324, 2.225_073_858_507_201e-308, -0.0, 1.448_997_445_238_699] {
            let bytes = to_bytes(&json!(float));
            let again: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(again.as_f64().map(f64::to_bits), Some(float.to_bits()));
        }
    }
}
