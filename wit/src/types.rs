//! From WIT types to the types that grants and connectors use.

use bailiwick_core::capability::{FieldPath, OperationSpec};
use bailiwick_core::signature::{Signature, WitType};
use bailiwick_core::suggest;
use wit_parser::{Function, Resolve, Type, TypeDefKind};

/// Gives parameters and result of a function.
pub(crate) fn signature(resolve: &Resolve, function: &Function) -> Signature {
    Signature {
        params: function.params.iter().map(|param| (param.name.clone(), convert(resolve, &param.ty))).collect(),
        result: function.result.as_ref().map(|ty| convert(resolve, ty)),
    }
}

fn convert(resolve: &Resolve, ty: &Type) -> WitType {
    match ty {
        Type::Bool => WitType::Bool,
        Type::U8 => WitType::Unsigned { bits: 8 },
        Type::U16 => WitType::Unsigned { bits: 16 },
        Type::U32 => WitType::Unsigned { bits: 32 },
        Type::U64 => WitType::Unsigned { bits: 64 },
        Type::S8 => WitType::Signed { bits: 8 },
        Type::S16 => WitType::Signed { bits: 16 },
        Type::S32 => WitType::Signed { bits: 32 },
        Type::S64 => WitType::Signed { bits: 64 },
        Type::F32 => WitType::Float { bits: 32 },
        Type::F64 => WitType::Float { bits: 64 },
        Type::Char => WitType::Char,
        Type::String => WitType::Text,
        Type::ErrorContext => WitType::Handle,
        Type::Id(id) => resolve.types.get(*id).map_or(WitType::Handle, |def| convert_kind(resolve, &def.kind)),
    }
}

fn convert_kind(resolve: &Resolve, kind: &TypeDefKind) -> WitType {
    let boxed = |ty: &Type| Box::new(convert(resolve, ty));
    match kind {
        TypeDefKind::Type(ty) => convert(resolve, ty),
        TypeDefKind::List(Type::U8) => WitType::Bytes,
        TypeDefKind::List(ty) => WitType::List(boxed(ty)),
        TypeDefKind::Record(record) => {
            WitType::Record(record.fields.iter().map(|field| (field.name.clone(), convert(resolve, &field.ty))).collect())
        }
        TypeDefKind::Variant(variant) => WitType::Variant(
            variant.cases.iter().map(|case| (case.name.clone(), case.ty.as_ref().map(|ty| convert(resolve, ty)))).collect(),
        ),
        TypeDefKind::Enum(cases) => WitType::Enum(cases.cases.iter().map(|case| case.name.clone()).collect()),
        TypeDefKind::Flags(flags) => WitType::Flags(flags.flags.iter().map(|flag| flag.name.clone()).collect()),
        TypeDefKind::Option(ty) => WitType::Option(boxed(ty)),
        TypeDefKind::Result(result) => WitType::Result { ok: result.ok.as_ref().map(boxed), err: result.err.as_ref().map(boxed) },
        TypeDefKind::Tuple(tuple) => WitType::Tuple(tuple.types.iter().map(|ty| convert(resolve, ty)).collect()),
        // Resources, futures, streams and what later versions of WIT add have no JSON form.
        _ => WitType::Handle,
    }
}

/// Checks that every path of an entry leads to a field.
pub(crate) fn check_paths(name: &str, spec: &OperationSpec, signature: &Signature) -> Result<(), String> {
    for (role, path) in spec.bound_arguments() {
        if signature.argument(path.segments()).is_none() {
            let help = suggest::help(&path.to_string(), signature.params.iter().map(|(name, _)| name.as_str()));
            return Err(format!("operation `{name}`: `{role}` names `{path}`, which is no argument: {help}"));
        }
    }
    let rooted = spec.owner.iter().chain(spec.labels.keys()).chain(&spec.personal);
    for path in rooted {
        if !is_field(path, signature) {
            return Err(format!("operation `{name}`: `{path}` leads to no field: write `args.NAME` or `result.NAME`"));
        }
    }
    Ok(())
}

fn is_field(path: &FieldPath, signature: &Signature) -> bool {
    match path.segments().split_first() {
        Some((root, rest)) if root == "args" => signature.argument(rest).is_some(),
        Some((root, rest)) if root == "result" => signature.ok().is_some_and(|ok| ok.field(rest).is_some()),
        _ => false,
    }
}
