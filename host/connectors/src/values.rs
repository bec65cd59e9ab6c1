//! JSON values against WIT types.

use bailiwick_core::error::CallError;
use bailiwick_core::signature::{Signature, WitType};
use serde_json::Value;

/// Most bytes of one text that a connector takes as an argument. Longer texts are `invalid`.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Deepest nesting of a value. WIT types are finite, so only JSON in columns could go deeper.
const MAX_DEPTH: usize = 32;

/// Says where and why a value does not belong to a type: the path of the place, dotted, and what is wrong there.
pub(crate) type Misfit = (String, String);

/// Checks all arguments of a call: each parameter is there and has its type, nothing else is there, no text has a NUL
/// or more than [`MAX_TEXT_BYTES`].
///
/// The gate has lifted the arguments from the guest by their types; this is the second look of the one who acts.
pub(crate) fn check_args(signature: &Signature, args: &Value) -> Result<(), CallError> {
    let empty = serde_json::Map::new();
    let map = match args {
        Value::Object(map) => map,
        Value::Null => &empty,
        _ => return Err(CallError::invalid("", "the arguments are no object")),
    };
    for name in map.keys() {
        if !signature.params.iter().any(|(param, _)| param == name) {
            return Err(CallError::invalid(name, format!("there is no parameter `{name}`")));
        }
    }
    for (name, ty) in &signature.params {
        let value = map.get(name).unwrap_or(&Value::Null);
        conform(value, ty, name).map_err(|(path, why)| CallError::invalid(&path, format!("argument `{path}`: {why}")))?;
    }
    Ok(())
}

/// Checks that a value belongs to a type.
pub(crate) fn conform(value: &Value, ty: &WitType, at: &str) -> Result<(), Misfit> {
    conform_within(value, ty, at, MAX_DEPTH)
}

fn conform_within(value: &Value, ty: &WitType, at: &str, depth: usize) -> Result<(), Misfit> {
    let Some(depth) = depth.checked_sub(1) else { return Err((at.to_owned(), "it is nested too deeply".to_owned())) };
    let fits = match ty {
        WitType::Bool => value.is_boolean(),
        WitType::Signed { bits } => value.as_i64().is_some_and(|n| fits_signed(n, *bits)),
        WitType::Unsigned { bits } => value.as_u64().is_some_and(|n| fits_unsigned(n, *bits)),
        WitType::Float { .. } => value.is_number(),
        WitType::Char => value.as_str().is_some_and(|text| text.chars().count() == 1),
        WitType::Text | WitType::Bytes => return conform_text(value, at),
        WitType::Enum(cases) => value.as_str().is_some_and(|text| cases.iter().any(|case| case == text)),
        WitType::Option(inner) => return if value.is_null() { Ok(()) } else { conform_within(value, inner, at, depth) },
        WitType::List(inner) => return each(value, at, |item, at| conform_within(item, inner, at, depth)),
        WitType::Flags(names) => {
            return each(value, at, |item, at| match item.as_str().is_some_and(|text| names.iter().any(|name| name == text)) {
                true => Ok(()),
                false => Err((at.to_owned(), format!("{ty} expected"))),
            });
        }
        WitType::Record(fields) => return conform_record(value, fields, at, depth),
        WitType::Variant(cases) => return conform_variant(value, cases, at, depth),
        WitType::Tuple(types) => {
            let items = value.as_array().filter(|items| items.len() == types.len());
            let items = items.ok_or_else(|| (at.to_owned(), format!("a list of {} expected", types.len())))?;
            return items.iter().zip(types).try_for_each(|(item, ty)| conform_within(item, ty, at, depth));
        }
        WitType::Result { .. } | WitType::Handle => false,
    };
    if fits { Ok(()) } else { Err((at.to_owned(), format!("{ty} expected"))) }
}

fn conform_text(value: &Value, at: &str) -> Result<(), Misfit> {
    let text = value.as_str().ok_or_else(|| (at.to_owned(), "text expected".to_owned()))?;
    if text.len() > MAX_TEXT_BYTES {
        return Err((at.to_owned(), format!("the text has {} bytes, at most {MAX_TEXT_BYTES} are taken", text.len())));
    }
    if text.contains('\0') {
        return Err((at.to_owned(), "the text has a NUL character".to_owned()));
    }
    Ok(())
}

fn each(value: &Value, at: &str, mut check: impl FnMut(&Value, &str) -> Result<(), Misfit>) -> Result<(), Misfit> {
    let items = value.as_array().ok_or_else(|| (at.to_owned(), "list expected".to_owned()))?;
    items.iter().try_for_each(|item| check(item, at))
}

fn conform_record(value: &Value, fields: &[(String, WitType)], at: &str, depth: usize) -> Result<(), Misfit> {
    let map = value.as_object().ok_or_else(|| (at.to_owned(), "record expected".to_owned()))?;
    if let Some(name) = map.keys().find(|name| !fields.iter().any(|(field, _)| field == *name)) {
        return Err((at.to_owned(), format!("there is no field `{name}`")));
    }
    for (name, ty) in fields {
        conform_within(map.get(name).unwrap_or(&Value::Null), ty, &join(at, name), depth)?;
    }
    Ok(())
}

fn conform_variant(value: &Value, cases: &[(String, Option<WitType>)], at: &str, depth: usize) -> Result<(), Misfit> {
    let unknown = || (at.to_owned(), format!("one of {} expected", cases.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ")));
    let (case, payload) = match value {
        Value::String(case) => (case, None),
        Value::Object(map) if map.len() == 1 => map.iter().next().map(|(case, payload)| (case, Some(payload))).ok_or_else(unknown)?,
        _ => return Err(unknown()),
    };
    match (cases.iter().find(|(name, _)| name == case), payload) {
        (Some((_, None)), None) => Ok(()),
        (Some((_, Some(ty))), Some(payload)) => conform_within(payload, ty, at, depth),
        _ => Err(unknown()),
    }
}

/// Joins a path and a field.
pub(crate) fn join(at: &str, field: &str) -> String {
    if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") }
}

/// Whether a number fits a signed integer of so many bits.
pub(crate) fn fits_signed(n: i64, bits: u8) -> bool {
    bits >= 64 || (-(1_i64 << (bits.saturating_sub(1))) <= n && n < (1_i64 << (bits.saturating_sub(1))))
}

/// Whether a number fits an unsigned integer of so many bits.
pub(crate) fn fits_unsigned(n: u64, bits: u8) -> bool {
    bits >= 64 || n < (1_u64 << bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn widths_are_checked_at_their_edges() {
        for (bits, least, most) in [(8, -128, 127), (16, -32768, 32767), (32, i64::from(i32::MIN), i64::from(i32::MAX))] {
            assert!(fits_signed(least, bits) && fits_signed(most, bits));
            assert!(!fits_signed(least - 1, bits) && !fits_signed(most + 1, bits));
        }
        assert!(fits_signed(i64::MIN, 64) && fits_signed(i64::MAX, 64) && fits_unsigned(u64::MAX, 64));
        assert!(fits_unsigned(255, 8) && !fits_unsigned(256, 8));
    }

    #[test]
    fn texts_are_bounded_and_without_nul() {
        assert!(conform(&json!("x".repeat(MAX_TEXT_BYTES)), &WitType::Text, "a").is_ok());
        assert!(conform(&json!("x".repeat(MAX_TEXT_BYTES + 1)), &WitType::Text, "a").is_err());
        assert!(conform(&json!("a\0b"), &WitType::Text, "a").is_err());
    }

    #[test]
    fn a_misfit_names_its_place() {
        let ty = WitType::Record(vec![("a".into(), WitType::Record(vec![("b".into(), WitType::Bool)]))]);
        assert_eq!(conform(&json!({"a": {"b": 1}}), &ty, "").unwrap_err().0, "a.b");
        assert!(conform(&json!({"a": {"b": true, "c": 1}}), &ty, "").is_err());
        let variant = WitType::Variant(vec![("x".into(), None), ("y".into(), Some(WitType::Bool))]);
        assert!(conform(&json!("x"), &variant, "").is_ok());
        assert!(conform(&json!({"y": true}), &variant, "").is_ok());
        for wrong in [json!("y"), json!({"x": null}), json!({"y": 1}), json!({"x": 1, "y": true}), json!(null)] {
            assert!(conform(&wrong, &variant, "").is_err(), "{wrong}");
        }
    }
}
