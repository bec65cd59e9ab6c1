//! From the types of a compiled component to the types that grants and connectors use.

use bailiwick_core::signature::{Signature, WitType};
use wasmtime::component::types::{ComponentFunc, Type};

/// Nesting of types that is followed; deeper ones are refused at install.
const DEPTH_MOST: usize = 32;

/// Gives parameters and result of a function, or why they have no JSON form.
pub(crate) fn signature(function: &ComponentFunc) -> Result<Signature, String> {
    if function.async_() {
        return Err("async functions are not supported".to_owned());
    }
    let params = function.params().map(|(name, ty)| Ok((name.to_owned(), convert(&ty, 0)?))).collect::<Result<Vec<_>, String>>()?;
    let result = function.results().next().map(|ty| convert(&ty, 0)).transpose()?;
    Ok(Signature { params, result })
}

fn convert(ty: &Type, depth: usize) -> Result<WitType, String> {
    if depth > DEPTH_MOST {
        return Err(format!("types are nested deeper than {DEPTH_MOST}"));
    }
    let inner = |ty: &Type| convert(ty, depth + 1);
    let boxed = |ty: &Type| inner(ty).map(Box::new);
    Ok(match ty {
        Type::Bool => WitType::Bool,
        Type::S8 => WitType::Signed { bits: 8 },
        Type::S16 => WitType::Signed { bits: 16 },
        Type::S32 => WitType::Signed { bits: 32 },
        Type::S64 => WitType::Signed { bits: 64 },
        Type::U8 => WitType::Unsigned { bits: 8 },
        Type::U16 => WitType::Unsigned { bits: 16 },
        Type::U32 => WitType::Unsigned { bits: 32 },
        Type::U64 => WitType::Unsigned { bits: 64 },
        Type::Float32 => WitType::Float { bits: 32 },
        Type::Float64 => WitType::Float { bits: 64 },
        Type::Char => WitType::Char,
        Type::String => WitType::Text,
        Type::List(list) => match list.ty() {
            Type::U8 => WitType::Bytes,
            other => WitType::List(boxed(&other)?),
        },
        Type::Record(record) => {
            WitType::Record(record.fields().map(|field| Ok((field.name.to_owned(), inner(&field.ty)?))).collect::<Result<_, String>>()?)
        }
        Type::Tuple(tuple) => WitType::Tuple(tuple.types().map(|ty| inner(&ty)).collect::<Result<_, String>>()?),
        Type::Variant(variant) => WitType::Variant(
            variant
                .cases()
                .map(|case| Ok((case.name.to_owned(), case.ty.as_ref().map(inner).transpose()?)))
                .collect::<Result<_, String>>()?,
        ),
        Type::Enum(cases) => WitType::Enum(cases.names().map(str::to_owned).collect()),
        Type::Flags(flags) => WitType::Flags(flags.names().map(str::to_owned).collect()),
        Type::Option(option) => match inner(&option.ty())? {
            WitType::Option(_) => return Err("an option of an option has no JSON form".to_owned()),
            other => WitType::Option(Box::new(other)),
        },
        Type::Result(result) => {
            WitType::Result { ok: result.ok().as_ref().map(boxed).transpose()?, err: result.err().as_ref().map(boxed).transpose()? }
        }
        Type::Own(_) | Type::Borrow(_) => WitType::Handle,
        Type::Map(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext | Type::FixedLengthList(_) => {
            return Err("maps, futures, streams and error contexts are not supported".to_owned());
        }
    })
}
