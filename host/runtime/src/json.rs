//! WIT values to JSON and back, guided by their types; see [`bailiwick_core::signature`] for the form.

use bailiwick_core::signature::WitType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use wasmtime::component::Val;

/// Why a value has no form on the other side. The text names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misfit(String);

/// Gives the JSON form of a WIT value of the given type.
pub(crate) fn from_val(val: &Val, ty: &WitType) -> Result<Value, Misfit> {
    Ok(match (val, ty) {
        (Val::Bool(b), _) => json!(b),
        (Val::S8(n), _) => json!(n),
        (Val::S16(n), _) => json!(n),
        (Val::S32(n), _) => json!(n),
        (Val::S64(n), _) => json!(n),
        (Val::U8(n), _) => json!(n),
        (Val::U16(n), _) => json!(n),
        (Val::U32(n), _) => json!(n),
        (Val::U64(n), _) => json!(n),
        (Val::Float32(x), _) => float(f64::from(*x))?,
        (Val::Float64(x), _) => float(*x)?,
        (Val::Char(c), _) => json!(c.to_string()),
        (Val::String(text), _) => Value::String(text.clone()),
        (Val::List(items), WitType::Bytes) => {
            let bytes: Vec<u8> = items.iter().filter_map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None }).collect();
            Value::String(STANDARD.encode(bytes))
        }
        (Val::List(items), WitType::List(inner)) => Value::Array(items.iter().map(|item| from_val(item, inner)).collect::<Result<_, _>>()?),
        (Val::Tuple(items), WitType::Tuple(types)) => {
            Value::Array(items.iter().zip(types).map(|(item, ty)| from_val(item, ty)).collect::<Result<_, _>>()?)
        }
        (Val::Record(fields), WitType::Record(types)) => {
            let mut map = Map::new();
            for ((name, field), (_, ty)) in fields.iter().zip(types) {
                map.insert(name.clone(), from_val(field, ty)?);
            }
            Value::Object(map)
        }
        (Val::Variant(case, None), _) | (Val::Enum(case), _) => json!(case),
        (Val::Variant(case, Some(payload)), WitType::Variant(cases)) => {
            let ty = cases.iter().find(|(name, _)| name == case).and_then(|(_, ty)| ty.as_ref());
            json!({ case.as_str(): from_val(payload, ty.ok_or_else(|| Misfit(format!("there is no case `{case}`")))?)? })
        }
        (Val::Option(None), _) => Value::Null,
        (Val::Option(Some(inner)), WitType::Option(ty)) => from_val(inner, ty)?,
        (Val::Result(Ok(payload)), WitType::Result { ok, .. }) => json!({ "ok": from_payload(payload.as_deref(), ok.as_deref())? }),
        (Val::Result(Err(payload)), WitType::Result { err, .. }) => json!({ "err": from_payload(payload.as_deref(), err.as_deref())? }),
        (Val::Flags(names), _) => json!(names),
        _ => return Err(Misfit("handles, streams and maps do not leave a sandbox".to_owned())),
    })
}

fn from_payload(payload: Option<&Val>, ty: Option<&WitType>) -> Result<Value, Misfit> {
    match (payload, ty) {
        (Some(payload), Some(ty)) => from_val(payload, ty),
        _ => Ok(Value::Null),
    }
}

fn float(x: f64) -> Result<Value, Misfit> {
    serde_json::Number::from_f64(x).map(Value::Number).ok_or_else(|| Misfit(format!("the number {x} has no JSON form")))
}

/// Gives the WIT value of a JSON value.
pub(crate) fn to_val(value: &Value, ty: &WitType) -> Result<Val, Misfit> {
    convert(value, ty, &mut String::new())
}

fn convert(value: &Value, ty: &WitType, at: &mut String) -> Result<Val, Misfit> {
    let misfit = |at: &str| Misfit(format!("`{}` is no {ty}", if at.is_empty() { "the value" } else { at }));
    let whole = || value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)).ok_or_else(|| misfit(at));
    Ok(match ty {
        WitType::Bool => Val::Bool(value.as_bool().ok_or_else(|| misfit(at))?),
        WitType::Signed { bits: 8 } => Val::S8(fit(whole()?, || misfit(at))?),
        WitType::Signed { bits: 16 } => Val::S16(fit(whole()?, || misfit(at))?),
        WitType::Signed { bits: 32 } => Val::S32(fit(whole()?, || misfit(at))?),
        WitType::Signed { .. } => Val::S64(fit(whole()?, || misfit(at))?),
        WitType::Unsigned { bits: 8 } => Val::U8(fit(whole()?, || misfit(at))?),
        WitType::Unsigned { bits: 16 } => Val::U16(fit(whole()?, || misfit(at))?),
        WitType::Unsigned { bits: 32 } => Val::U32(fit(whole()?, || misfit(at))?),
        WitType::Unsigned { .. } => Val::U64(fit(whole()?, || misfit(at))?),
        WitType::Float { bits: 32 } =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "the type is a 32-bit float: its precision is what the guest asked for")]
            Val::Float32(value.as_f64().ok_or_else(|| misfit(at))? as f32)
        }
        WitType::Float { .. } => Val::Float64(value.as_f64().ok_or_else(|| misfit(at))?),
        WitType::Char => {
            let mut chars = value.as_str().unwrap_or_default().chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Val::Char(c),
                _ => return Err(misfit(at)),
            }
        }
        WitType::Text => Val::String(value.as_str().ok_or_else(|| misfit(at))?.to_owned()),
        WitType::Bytes => {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(|| misfit(at))?;
            Val::List(bytes.into_iter().map(Val::U8).collect())
        }
        WitType::List(inner) => {
            let items = value.as_array().ok_or_else(|| misfit(at))?;
            Val::List(items.iter().map(|item| convert_in(item, inner, at, "*")).collect::<Result<_, _>>()?)
        }
        WitType::Tuple(types) => {
            let items = value.as_array().filter(|items| items.len() == types.len()).ok_or_else(|| misfit(at))?;
            Val::Tuple(items.iter().zip(types).map(|(item, ty)| convert_in(item, ty, at, "*")).collect::<Result<_, _>>()?)
        }
        WitType::Record(fields) => record(value, fields, at).ok_or_else(|| misfit(at))??,
        WitType::Variant(cases) => variant(value, cases, at).ok_or_else(|| misfit(at))??,
        WitType::Enum(cases) => {
            Val::Enum(value.as_str().filter(|name| cases.iter().any(|c| c == name)).ok_or_else(|| misfit(at))?.to_owned())
        }
        WitType::Flags(names) => {
            let chosen = value.as_array().ok_or_else(|| misfit(at))?;
            let known = |item: &Value| item.as_str().filter(|name| names.iter().any(|n| n == name)).map(str::to_owned);
            Val::Flags(chosen.iter().map(known).collect::<Option<_>>().ok_or_else(|| misfit(at))?)
        }
        WitType::Option(_) if value.is_null() => Val::Option(None),
        WitType::Option(inner) => Val::Option(Some(Box::new(convert(value, inner, at)?))),
        WitType::Result { ok, err } => {
            let (arm, payload) =
                value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next()).ok_or_else(|| misfit(at))?;
            match arm.as_str() {
                "ok" => Val::Result(Ok(payload_of(payload, ok.as_deref(), at)?)),
                "err" => Val::Result(Err(payload_of(payload, err.as_deref(), at)?)),
                _ => return Err(misfit(at)),
            }
        }
        WitType::Handle => return Err(misfit(at)),
    })
}

fn convert_in(value: &Value, ty: &WitType, at: &mut String, name: &str) -> Result<Val, Misfit> {
    let length = at.len();
    if length > 0 {
        at.push('.');
    }
    at.push_str(name);
    let val = convert(value, ty, at)?;
    at.truncate(length);
    Ok(val)
}

fn payload_of(value: &Value, ty: Option<&WitType>, at: &mut String) -> Result<Option<Box<Val>>, Misfit> {
    ty.map(|ty| convert(value, ty, at).map(Box::new)).transpose()
}

/// `None` when the value is no object or has a field too many.
fn record(value: &Value, fields: &[(String, WitType)], at: &mut String) -> Option<Result<Val, Misfit>> {
    let map = value.as_object()?;
    if map.keys().any(|key| !fields.iter().any(|(name, _)| name == key)) {
        return None;
    }
    let convert_field = |(name, ty): &(String, WitType)| {
        let field = map.get(name).unwrap_or(&Value::Null);
        Ok((name.clone(), convert_in(field, ty, at, name)?))
    };
    Some(fields.iter().map(convert_field).collect::<Result<_, _>>().map(Val::Record))
}

/// `None` when the value names no case, or has a payload where the case has none, or the other way round.
fn variant(value: &Value, cases: &[(String, Option<WitType>)], at: &mut String) -> Option<Result<Val, Misfit>> {
    if let Some(name) = value.as_str() {
        let (case, ty) = cases.iter().find(|(case, _)| case == name)?;
        return ty.is_none().then(|| Ok(Val::Variant(case.clone(), None)));
    }
    let (name, payload) = value.as_object().filter(|map| map.len() == 1)?.iter().next()?;
    let (case, ty) = cases.iter().find(|(case, _)| case == name)?;
    let ty = ty.as_ref()?;
    Some(convert_in(payload, ty, at, name).map(|val| Val::Variant(case.clone(), Some(Box::new(val)))))
}

fn fit<T: TryFrom<i128>>(n: i128, misfit: impl FnOnce() -> Misfit) -> Result<T, Misfit> {
    T::try_from(n).map_err(|_| misfit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (WitType, Value) {
        let ty = WitType::Record(vec![
            ("name".into(), WitType::Text),
            ("email".into(), WitType::Option(Box::new(WitType::Text))),
            ("lines".into(), WitType::List(Box::new(WitType::Record(vec![("n".into(), WitType::Unsigned { bits: 32 })])))),
            ("status".into(), WitType::Enum(vec!["open".into(), "done".into()])),
            ("value".into(), WitType::Variant(vec![("text".into(), Some(WitType::Text)), ("none".into(), None)])),
            ("data".into(), WitType::Bytes),
        ]);
        let value = json!({
            "name": "é", "email": null, "lines": [{"n": 1}, {"n": 4_294_967_295_u32}],
            "status": "done", "value": {"text": "x"}, "data": "AQID"
        });
        (ty, value)
    }

    #[test]
    fn there_and_back() {
        let (ty, value) = sample();
        assert_eq!(from_val(&to_val(&value, &ty).unwrap(), &ty).unwrap(), value);
    }

    #[test]
    fn a_misfit_names_the_place() {
        let (ty, value) = sample();
        for (pointer, wrong, expected) in [
            ("/lines/1/n", json!(-1), "`lines.*.n` is no u32"),
            ("/status", json!("gone"), "`status` is no one of open, done"),
            ("/value", json!({"none": 1}), "`value` is no variant"),
            ("/name", Value::Null, "`name` is no string"),
            ("/data", json!("!"), "`data` is no list<u8>"),
        ] {
            let mut value = value.clone();
            *value.pointer_mut(pointer).unwrap() = wrong;
            assert_eq!(to_val(&value, &ty).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_field_too_many_and_an_infinite_number_are_refused() {
        let (ty, mut value) = sample();
        value["extra"] = json!(1);
        assert!(to_val(&value, &ty).is_err());
        assert!(from_val(&Val::Float64(f64::NAN), &WitType::Float { bits: 64 }).is_err());
    }
}
