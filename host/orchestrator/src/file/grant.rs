//! `may`: what a step gives.

use bailiwick_core::capability::FieldPath;
use bailiwick_core::limits::ByteCount;

use crate::diagnostic::Problems;
use crate::reader::{self, MapView, Spanned};
use crate::yaml::{Kind, Node, Style};

/// Most grants of a step.
pub const MAX_GRANTS: usize = 50;
/// Most calls that one grant can allow.
pub const MAX_CALLS: u64 = 1_000_000;

const GRANT_KEYS: &[&str] = &["call", "where", "owner", "calls", "bytes-out", "bytes-in", "delegable"];
const CONDITION_KEYS: &[&str] = &["in", "max", "min", "prefix", "host", "path", "names"];

/// A grant.
#[derive(Debug)]
pub(crate) struct GrantFile<'n> {
    pub call: Spanned<String>,
    pub conditions: Vec<(Spanned<FieldPath>, Vec<Spanned<ConditionFile<'n>>>)>,
    pub owner: Option<&'n Node>,
    pub calls: Option<u64>,
    pub bytes_out: Option<ByteCount>,
    pub bytes_in: Option<ByteCount>,
    pub delegable: bool,
}

/// A condition on an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConditionFile<'n> {
    Any,
    Equals(&'n Node),
    In(&'n Node),
    Max(&'n Node),
    Min(&'n Node),
    Prefix(&'n Node),
    Host(&'n Node),
    Path(&'n Node),
    Names(&'n Node),
}

/// Reads `may`.
pub(crate) fn read_all<'n>(problems: &mut Problems, node: &'n Node) -> Vec<GrantFile<'n>> {
    let items = reader::list(problems, node, "`may`").unwrap_or_default();
    if items.len() > MAX_GRANTS {
        problems.error(&node.span, format!("a step gives at most {MAX_GRANTS} grants, found {}", items.len()), "split the step".to_owned());
    }
    items.iter().take(MAX_GRANTS).filter_map(|item| read(problems, item)).collect()
}

fn read<'n>(problems: &mut Problems, node: &'n Node) -> Option<GrantFile<'n>> {
    let view = MapView::of(problems, node, "a grant", GRANT_KEYS)?;
    let call = view.required(problems, "call", "the grant", "name the operation: `call: crm/customers.get`");
    let call = call.and_then(|node| reader::text(problems, node, "`call`"));
    let conditions = view.get("where").map_or_else(Vec::new, |node| read_where(problems, node));
    let calls = view.get("calls").and_then(|node| reader::whole(problems, node, "`calls`", 1, MAX_CALLS));
    let bytes_out = view.get("bytes-out").and_then(|node| reader::bytes(problems, node));
    let bytes_in = view.get("bytes-in").and_then(|node| reader::bytes(problems, node));
    let delegable = view.get("delegable").and_then(|node| reader::boolean(problems, node, "`delegable`")).unwrap_or(false);
    Some(GrantFile { call: call?, conditions, owner: view.get("owner"), calls, bytes_out, bytes_in, delegable })
}

fn read_where<'n>(problems: &mut Problems, node: &'n Node) -> Vec<(Spanned<FieldPath>, Vec<Spanned<ConditionFile<'n>>>)> {
    let Some(view) = MapView::open(problems, node, "`where`") else { return Vec::new() };
    let mut conditions = Vec::new();
    for entry in view.entries() {
        match entry.key.text.parse::<FieldPath>() {
            Ok(path) => {
                let path = Spanned { value: path, span: entry.key.span.clone() };
                conditions.push((path, read_conditions(problems, &entry.value)));
            }
            Err(_) => problems.error(
                &entry.key.span,
                format!("`{}` is not the path of an argument", entry.key.text),
                "write the argument's name, and field names behind dots".to_owned(),
            ),
        }
    }
    conditions
}

/// A map is conditions by name, all of which must hold; anything else is a value to be equal to.
fn read_conditions<'n>(problems: &mut Problems, node: &'n Node) -> Vec<Spanned<ConditionFile<'n>>> {
    let entries = match &node.kind {
        Kind::Scalar { text, style: Style::Plain } if text == "any" => {
            return vec![Spanned { value: ConditionFile::Any, span: node.span.clone() }];
        }
        Kind::Map(entries) => entries,
        _ => return vec![Spanned { value: ConditionFile::Equals(node), span: node.span.clone() }],
    };
    if entries.is_empty() {
        let help = "say `any` where anything may be passed".to_owned();
        problems.error(&node.span, "there is no condition here", help);
    }
    MapView::of(problems, node, "a condition", CONDITION_KEYS);
    let known = entries.iter().filter_map(|entry| {
        let value = &entry.value;
        let condition = match entry.key.text.as_str() {
            "in" => ConditionFile::In(value),
            "max" => ConditionFile::Max(value),
            "min" => ConditionFile::Min(value),
            "prefix" => ConditionFile::Prefix(value),
            "host" => ConditionFile::Host(value),
            "path" => ConditionFile::Path(value),
            "names" => ConditionFile::Names(value),
            _ => return None,
        };
        Some(Spanned { value: condition, span: value.span.clone() })
    });
    known.collect()
}
