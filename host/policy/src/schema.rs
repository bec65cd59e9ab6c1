//! The schema of policies, made from the operations that a project knows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::signature::WitType;

use crate::names::{self, ACTS, ActionNames, NAMESPACE, OPEN, ResourceKind};

const ENTITIES: &str = r#"  // Who asks, or administers. Attributes of a requester are tags: `principal.hasTag("kind") && principal.getTag("kind") == "customer"`.
  entity Requester { "id": String, "tenant": String } tags String;
  // Who calls operations.
  entity Agent { "name": String, "version": String, "tier": Long, "data-level": String, "risk-class": String };
  // Whose data something is about. The id is empty where it is about nobody.
  entity Subject { "id": String, "tenant": String };
  // A thing of somebody, an order for example; `subject` is the run's.
  entity Target { "id": String, "tenant": String, "subject": Subject };
  // The host itself, for acts that concern all of it.
  entity Host;
"#;

/// What every operation's context has besides arguments and lengths.
const CALL_CONTEXT: &str = r#""workflow": String, "run": String, "step": String, "attempt": Long, "requester": Requester, "tenant": String, "effect": String, "personal": Bool, "bound": Bool, "labels": Set<String>, "calls": Long, "bytes-out": Long"#;

/// Gives the schema in Cedar's own syntax, for authors and their editors.
///
/// Floats, lists of bytes, lists whose elements may be missing, and handles have no type in Cedar: such arguments are left out of
/// `context.args`; texts, bytes and lists have their length under the same path in `context.lengths`.
pub fn schema_text(catalog: &Catalog) -> String {
    let mut text =
        format!("// Made from the project's operations. Policies are checked against it.\nnamespace {NAMESPACE} {{\n{ENTITIES}\n");
    let mut groups: BTreeSet<(String, Option<String>)> = names::effects().iter().map(|name| ((*name).to_owned(), None)).collect();
    let mut operations = String::new();
    for operation in catalog.iter() {
        let actions = ActionNames::of(operation);
        // The last group is the effect; the others are each within the next.
        if let Some((_, within)) = actions.groups.split_last() {
            groups.extend(within.iter().enumerate().map(|(at, group)| (group.clone(), within.get(at + 1).cloned())));
        }
        write_operation(&mut operations, operation, &actions);
    }
    for (group, parent) in &groups {
        let within = parent.as_ref().map_or_else(String::new, |parent| format!(" in [{}]", quoted(parent)));
        let _ = writeln!(text, "  action {}{within};", quoted(group));
    }
    text.push('\n');
    text.push_str(&operations);
    write_acts(&mut text);
    text.push_str("}\n");
    text
}

fn write_operation(out: &mut String, operation: &Operation, actions: &ActionNames) {
    let params = &operation.signature.params;
    let args = record(params.iter().filter_map(|(name, ty)| field(name, ty, value_type)));
    let lengths = record(params.iter().filter_map(|(name, ty)| field(name, ty, length_type)));
    let parents: Vec<String> = [actions.groups.first(), actions.groups.last()].into_iter().flatten().map(|group| quoted(group)).collect();
    let resource = ResourceKind::of(operation).name();
    let _ = writeln!(
        out,
        "  action {} in [{}] appliesTo {{\n    principal: [Agent], resource: [{resource}],\n    context: {{ {CALL_CONTEXT},\n      \"args\": {args},\n      \"lengths\": {lengths} }}\n  }};",
        quoted(&actions.own),
        parents.join(", "),
    );
}

fn write_acts(out: &mut String) {
    let _ = writeln!(
        out,
        "  action {} appliesTo {{ principal: [Requester], resource: [Subject], context: {{ \"workflow\": String, \"tenant\": String }} }};",
        quoted(OPEN)
    );
    for (act, resource) in ACTS {
        let context = match *act {
            "freeze" | "lift" => r#"{ "kind": String, "name": String }"#,
            "requesters.add" | "requesters.remove" => r#"{ "name": String }"#,
            "approve" => r#"{ "workflow": String, "run": String, "step": String, "opened-by": String }"#,
            _ => "{}",
        };
        let _ = writeln!(
            out,
            "  action {} appliesTo {{ principal: [Requester], resource: [{}], context: {context} }};",
            quoted(act),
            resource.name()
        );
    }
}

/// Gives a field where its type has a form in Cedar.
fn field(name: &str, ty: &WitType, form: fn(&WitType) -> Option<String>) -> Option<String> {
    let optional = if matches!(ty, WitType::Option(_)) { "?" } else { "" };
    Some(format!("{}{optional}: {}", quoted(name), form(ty)?))
}

fn record(fields: impl Iterator<Item = String>) -> String {
    let fields: Vec<String> = fields.collect();
    if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
}

/// Cases of a variant or result with their payloads: each is an optional field beside `case`.
pub(crate) fn cases(ty: &WitType) -> Option<Vec<(&str, Option<&WitType>)>> {
    match ty {
        WitType::Variant(cases) => Some(cases.iter().map(|(name, payload)| (name.as_str(), payload.as_ref())).collect()),
        WitType::Result { ok, err } => Some(vec![("ok", ok.as_deref()), ("err", err.as_deref())]),
        _ => None,
    }
}

/// The name of the field that says which case it is. A case of that name has no field for its payload.
pub(crate) const CASE: &str = "case";

/// Gives the Cedar type of a WIT type; an option has that of what it holds. `None` where Cedar has none.
pub(crate) fn value_type(ty: &WitType) -> Option<String> {
    Some(match ty {
        WitType::Bool => "Bool".to_owned(),
        WitType::Signed { .. } | WitType::Unsigned { .. } => "Long".to_owned(),
        WitType::Char | WitType::Text | WitType::Enum(_) => "String".to_owned(),
        WitType::Flags(_) => "Set<String>".to_owned(),
        _ if !has_value(ty) => return None,
        WitType::List(inner) => format!("Set<{}>", value_type(inner)?),
        WitType::Option(inner) => value_type(inner)?,
        WitType::Record(fields) => record(fields.iter().filter_map(|(name, ty)| field(name, ty, value_type))),
        WitType::Tuple(items) => record(items.iter().enumerate().filter_map(|(at, ty)| field(&at.to_string(), ty, value_type))),
        WitType::Variant(_) | WitType::Result { .. } => {
            let payloads = cases(ty)?.into_iter().filter(|(name, _)| *name != CASE);
            let payloads = payloads.filter_map(|(name, payload)| Some(format!("{}?: {}", quoted(name), value_type(payload?)?)));
            record(std::iter::once(format!("{}: String", quoted(CASE))).chain(payloads))
        }
        WitType::Float { .. } | WitType::Bytes | WitType::Handle => return None,
    })
}

/// Whether values of a type have a form in Cedar.
pub(crate) fn has_value(ty: &WitType) -> bool {
    match ty {
        // An element that may be missing has no place in a set: left out, it could not be told from one that is not there.
        WitType::List(inner) => !matches!(**inner, WitType::Option(_)) && has_value(inner),
        WitType::Option(inner) => has_value(inner),
        WitType::Float { .. } | WitType::Bytes | WitType::Handle => false,
        _ => true,
    }
}

/// Whether a value of a type can be too large for Cedar's numbers.
pub(crate) fn can_overflow(ty: &WitType) -> bool {
    match ty {
        WitType::Unsigned { bits } => *bits >= 64,
        WitType::List(inner) => has_value(ty) && can_overflow(inner),
        WitType::Option(inner) => can_overflow(inner),
        WitType::Record(fields) => fields.iter().any(|(_, ty)| can_overflow(ty)),
        WitType::Tuple(items) => items.iter().any(can_overflow),
        WitType::Variant(cases) => cases.iter().any(|(_, payload)| payload.as_ref().is_some_and(can_overflow)),
        WitType::Result { ok, err } => [ok, err].into_iter().flatten().any(|payload| can_overflow(payload)),
        _ => false,
    }
}

/// Whether anything in values of a type has a length.
pub(crate) fn has_length(ty: &WitType) -> bool {
    match ty {
        WitType::Text | WitType::Bytes | WitType::List(_) => true,
        WitType::Option(inner) => has_length(inner),
        WitType::Record(fields) => fields.iter().any(|(_, ty)| has_length(ty)),
        WitType::Tuple(items) => items.iter().any(has_length),
        WitType::Variant(cases) => cases.iter().any(|(_, payload)| payload.as_ref().is_some_and(has_length)),
        WitType::Result { ok, err } => [ok, err].into_iter().flatten().any(|payload| has_length(payload)),
        _ => false,
    }
}

/// Gives the type of the lengths within a WIT type; `None` where nothing in it has one.
pub(crate) fn length_type(ty: &WitType) -> Option<String> {
    if !has_length(ty) {
        return None;
    }
    Some(match ty {
        WitType::Option(inner) => length_type(inner)?,
        WitType::Record(fields) => record(fields.iter().filter_map(|(name, ty)| field(name, ty, length_type))),
        WitType::Tuple(items) => record(items.iter().enumerate().filter_map(|(at, ty)| field(&at.to_string(), ty, length_type))),
        WitType::Variant(_) | WitType::Result { .. } => {
            let payloads = cases(ty)?.into_iter();
            record(payloads.filter_map(|(name, payload)| Some(format!("{}?: {}", quoted(name), length_type(payload?)?))))
        }
        _ => "Long".to_owned(),
    })
}

/// Gives a text as a literal of Cedar.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
