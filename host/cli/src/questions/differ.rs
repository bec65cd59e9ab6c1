//! What a call had and what its grant says; what would have had to differ.

use bailiwick_core::capability::{ArgumentRole, FieldPath, Operation};
use bailiwick_core::grant::GrantRequest;
use bailiwick_core::ids::SubjectId;
use bailiwick_core::plan::{ConditionTemplate, GrantTemplate, ValueTemplate};
use serde::Serialize;
use serde_json::Value;

use super::paste::{self, Written};

/// Longest value that is quoted, in characters.
const VALUE_SHOWN: usize = 120;
/// Most values that are quoted of one argument.
const VALUES_SHOWN: usize = 3;

/// An argument beside the condition on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Compared {
    /// The argument.
    pub argument: String,
    /// What the grant says of it.
    pub granted: String,
    /// How the workflow file says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// What the call had.
    pub called: String,
    /// Whether that satisfies the condition.
    pub holds: bool,
}

/// What a run gives expressions to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// Whose data it is about.
    pub subject: Option<&'a SubjectId>,
    /// Its input.
    pub input: Option<&'a Value>,
}

/// Compares a call with a grant, argument by argument.
pub fn compare(operation: &Operation, request: &GrantRequest, written: Option<&GrantTemplate>, args: &Value) -> Vec<Compared> {
    let mut rows = Vec::new();
    for (path, conditions) in &request.conditions {
        let value = path.get(args).unwrap_or(&Value::Null);
        let templates = written.and_then(|written| written.conditions.get(path));
        for (at, condition) in conditions.iter().enumerate() {
            let template = templates.and_then(|templates| templates.get(at)).and_then(ConditionTemplate::value);
            rows.push(Compared {
                argument: path.to_string(),
                granted: condition.to_string(),
                written: template.filter(|template| !matches!(template, ValueTemplate::Value(_))).map(paste::template),
                called: shown(value),
                holds: condition.holds(value),
            });
        }
    }
    for (name, _) in &operation.signature.params {
        let is_mentioned = request.conditions.keys().any(|path| path.segments().first() == Some(name));
        if !is_mentioned {
            let called = shown(args.get(name).unwrap_or(&Value::Null));
            let granted = "not mentioned, so refused".to_owned();
            rows.push(Compared { argument: name.clone(), granted, written: None, called, holds: false });
        }
    }
    rows
}

/// A value for people, not too long.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_SHOWN { text } else { format!("{}…", text.chars().take(VALUE_SHOWN).collect::<String>()) }
}

/// Says what would have to be equal, for each argument that is outside.
pub fn to_pass(compared: &[Compared]) -> Vec<String> {
    let outside = compared.iter().filter(|row| !row.holds);
    let line = |row: &Compared| {
        let written = row.written.as_ref().map(|written| format!(", which the workflow binds to {written}")).unwrap_or_default();
        format!("argument `{}` would have had to be {}{written}; the call had {}", row.argument, row.granted, row.called)
    };
    outside.map(line).collect()
}

/// Writes the grant that a call would have needed, with what is not the loader's to take.
pub fn grant_for(operation: &Operation, calls: &[&Value], head: Head<'_>) -> Written {
    let mut remarks = Vec::new();
    let mut conditions = Vec::new();
    let mut binds_subject = false;
    for (name, _) in &operation.signature.params {
        let bound: Vec<_> = operation
            .spec
            .bound_arguments()
            .filter(|(_, path)| path.segments().first() == Some(name))
            .map(|(role, path)| (role, path.clone()))
            .collect();
        let Ok(whole) = name.parse::<FieldPath>() else { continue };
        if bound.is_empty() {
            conditions.push((whole, vec![ConditionTemplate::Any]));
            continue;
        }
        for (role, path) in bound {
            let values: Vec<&Value> = calls.iter().map(|args| path.get(args).unwrap_or(&Value::Null)).collect();
            match source_of(&values, head) {
                Some(source) => {
                    binds_subject |= source == "subject";
                    conditions.push((path, vec![ConditionTemplate::Equals(ValueTemplate::Expression(source))]));
                }
                // Nothing else is taken for a subject, whatever the call had.
                None if role == ArgumentRole::Subject && head.subject.is_some() => {
                    remarks.push(format!("calls that name another {path} than the run's subject stay denied: {}", listed(&values)));
                    binds_subject = true;
                    conditions.push((path, vec![ConditionTemplate::Equals(ValueTemplate::Expression("subject".to_owned()))]));
                }
                None => {
                    remarks.push(format!("`{path}` is a {role} and was {}, which is not in the run's input: bind it", listed(&values)));
                    conditions.push((path, vec![ConditionTemplate::Any]));
                }
            }
        }
    }
    Written {
        call: operation.id.to_short(),
        conditions,
        owner: operation.spec.owner.is_some() && !binds_subject,
        calls: (calls.len() as u64).max(1),
        budgets: Vec::new(),
        remarks,
    }
}

fn listed(values: &[&Value]) -> String {
    let mut different: Vec<String> = values.iter().map(|value| shown(value)).collect();
    different.dedup();
    let more = different.len().saturating_sub(VALUES_SHOWN);
    different.truncate(VALUES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", different.join(", "))
}

/// Finds the expression that gives a value in a run: the subject, or a field of the input.
pub fn source_of(values: &[&Value], head: Head<'_>) -> Option<String> {
    let (first, rest) = values.split_first()?;
    if first.is_null() || rest.iter().any(|value| value != first) {
        return None;
    }
    if head.subject.is_some_and(|subject| first.as_str() == Some(subject.as_str())) {
        return Some("subject".to_owned());
    }
    field_of(head.input?, first, "input")
}

/// Finds a field that has a value, through objects alone.
fn field_of(within: &Value, value: &Value, at: &str) -> Option<String> {
    match within {
        Value::Object(map) => map.iter().find_map(|(name, inner)| field_of(inner, value, &select(at, name)?)),
        Value::String(_) | Value::Number(_) => (within == value).then(|| at.to_owned()),
        _ => None,
    }
}

/// Selects a field in an expression; `None` for a name that no text literal holds plainly.
fn select(at: &str, name: &str) -> Option<String> {
    let is_identifier =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_identifier {
        return Some(format!("{at}.{name}"));
    }
    name.chars().all(|c| c.is_ascii_graphic() && c != '\'' && c != '\\').then(|| format!("{at}['{name}']"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_source_of_a_value_is_found() {
        let input = json!({ "customer": "C-1", "order": "O-1", "evidence": { "birth-date": "x", "n": 7, "it's": "odd" }, "list": ["L"] });
        let subject = SubjectId::from("C-1");
        let head = Head { subject: Some(&subject), input: Some(&input) };
        for (values, source) in [
            (vec![json!("C-1")], Some("subject")),
            (vec![json!("O-1"), json!("O-1")], Some("input.order")),
            (vec![json!("x")], Some("input.evidence['birth-date']")),
            (vec![json!(7)], Some("input.evidence.n")),
            (vec![json!("O-1"), json!("O-2")], None),
            (vec![json!("odd")], None),
            (vec![json!("L")], None),
            (vec![json!(null)], None),
            (vec![], None),
        ] {
            let values: Vec<&Value> = values.iter().collect();
            assert_eq!(source_of(&values, head).as_deref(), source, "{values:?}");
        }
    }

    #[test]
    fn a_call_is_compared_argument_by_argument() {
        let catalog = bailiwick_wit::builtin_catalog().unwrap();
        let operation = catalog.resolve("crm/customers.get").unwrap();
        let request: GrantRequest = serde_json::from_value(json!({
            "operation": operation.id, "conditions": { "id": [{ "equals": "C-1042" }] }, "owner": null,
            "budgets": { "calls": 1, "bytes-out": "1KiB", "bytes-in": "1KiB" }, "delegable": false,
        }))
        .unwrap();
        let compared = compare(operation, &request, None, &json!({ "id": "C-7" }));
        assert_eq!(to_pass(&compared), ["argument `id` would have had to be \"C-1042\"; the call had \"C-7\""]);
        assert_eq!(to_pass(&compare(operation, &request, None, &json!({ "id": "C-1042" }))), [""; 0]);
        let none = GrantRequest { conditions: Default::default(), ..request };
        assert!(to_pass(&compare(operation, &none, None, &json!({ "id": "C-1042" })))[0].contains("not mentioned"));
    }

    #[test]
    fn the_grant_that_was_missing_is_written() {
        let catalog = bailiwick_wit::builtin_catalog().unwrap();
        let operation = catalog.resolve("crm/customers.get").unwrap();
        let subject = SubjectId::from("C-1");
        let head = Head { subject: Some(&subject), input: None };
        let (own, other) = (json!({ "id": "C-1" }), json!({ "id": "C-7\n" }));
        assert_eq!(
            grant_for(operation, &[&own], head).to_yaml(0),
            "- call: crm/customers.get\n  where:\n    id: \"${ subject }\"\n  calls: 1"
        );
        let foreign = grant_for(operation, &[&other], head).to_yaml(0);
        assert!(foreign.starts_with("# calls that name another id than the run's subject stay denied: \"C-7\\n\"\n"), "{foreign}");
    }
}
