//! Grants as they are written in a workflow file.

use bailiwick_core::capability::FieldPath;
use bailiwick_core::grant::Condition;
use bailiwick_core::plan::{ConditionTemplate, ValueTemplate};
use serde_json::Value;

/// A grant to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The operation, in the form of workflow files.
    pub call: String,
    /// Conditions by argument.
    pub conditions: Vec<(FieldPath, Vec<ConditionTemplate>)>,
    /// Whether answers have to be the subject's.
    pub owner: bool,
    /// Calls.
    pub calls: u64,
    /// Further budgets, by key.
    pub budgets: Vec<(&'static str, String)>,
    /// What a reader has to look at.
    pub remarks: Vec<String>,
}

impl Written {
    /// Writes the grant as an entry of `may`, with so many spaces before each line.
    pub fn to_yaml(&self, indent: usize) -> String {
        let space = " ".repeat(indent);
        let mut lines: Vec<String> = self.remarks.iter().map(|remark| format!("{space}# {}", comment(remark))).collect();
        lines.push(format!("{space}- call: {}", self.call));
        if !self.conditions.is_empty() {
            lines.push(format!("{space}  where:"));
            lines.extend(self.conditions.iter().map(|(path, all)| format!("{space}    {}: {}", key(&path.to_string()), conditions(all))));
        }
        if self.owner {
            lines.push(format!("{space}  owner: \"${{ subject }}\""));
        }
        lines.push(format!("{space}  calls: {}", self.calls));
        lines.extend(self.budgets.iter().map(|(name, value)| format!("{space}  {name}: {value}")));
        lines.join("\n")
    }
}

/// A text that stays in its comment.
pub fn comment(text: &str) -> String {
    crate::text::clean(text).into_owned()
}

fn conditions(all: &[ConditionTemplate]) -> String {
    match all {
        [ConditionTemplate::Any] | [] => "any".to_owned(),
        [ConditionTemplate::Equals(value)] => template(value),
        several => {
            let parts: Vec<String> = several.iter().filter_map(|one| Some(format!("{}: {}", word(one)?, template(one.value()?)))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
    }
}

/// The key under which a condition is written among others; a value that has to be equal is a list of one.
fn word(condition: &ConditionTemplate) -> Option<&'static str> {
    Some(match condition {
        ConditionTemplate::Any | ConditionTemplate::Equals(_) => return None,
        ConditionTemplate::In(_) => "in",
        ConditionTemplate::Max(_) => "max",
        ConditionTemplate::Min(_) => "min",
        ConditionTemplate::Prefix(_) => "prefix",
        ConditionTemplate::Host(_) => "host",
        ConditionTemplate::Path(_) => "path",
        ConditionTemplate::Names(_) => "names",
    })
}

/// Turns a bound condition back into one of a workflow file: its value stands there as it is.
pub fn literal(condition: &Condition) -> ConditionTemplate {
    let value = |value: Value| ValueTemplate::Value(value);
    match condition {
        Condition::Any => ConditionTemplate::Any,
        Condition::Equals(expected) => ConditionTemplate::Equals(value(expected.clone())),
        Condition::In(values) => ConditionTemplate::In(value(Value::from(values.clone()))),
        Condition::Max(most) => ConditionTemplate::Max(value((*most).into())),
        Condition::Min(least) => ConditionTemplate::Min(value((*least).into())),
        Condition::Prefix(text) => ConditionTemplate::Prefix(value(text.as_str().into())),
        Condition::Host(text) => ConditionTemplate::Host(value(text.as_str().into())),
        Condition::Path(text) => ConditionTemplate::Path(value(text.as_str().into())),
        Condition::Names(names) => ConditionTemplate::Names(value(Value::from(names.clone()))),
    }
}

/// Writes a value with its expressions, in the flow style of YAML.
pub fn template(value: &ValueTemplate) -> String {
    match value {
        ValueTemplate::Value(value) => plain(value),
        ValueTemplate::Expression(source) => quoted(&format!("${{ {source} }}")),
        ValueTemplate::List(items) => format!("[{}]", items.iter().map(template).collect::<Vec<_>>().join(", ")),
        ValueTemplate::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(name, value)| format!("{}: {}", key(name), template(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        // What looks like an expression is none.
        Value::String(text) => quoted(&text.replace("${", "$${")),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(name, value)| format!("{}: {}", key(name), plain(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn key(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&name);
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// A text in the double quotes of JSON, which are YAML's too. What a terminal would obey is written as its number: the text stays the same.
fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let json = Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if crate::text::clean(c.encode_utf8(&mut [0; 4])) == c.encode_utf8(&mut [0; 4]) as &str {
            out.push(c);
        } else {
            // Writing into a `String` cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> FieldPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_is_written_as_a_workflow_has_it() {
        let value = |value: Value| ValueTemplate::Value(value);
        let written = Written {
            call: "shipping/parcels.create-label".to_owned(),
            conditions: vec![
                (path("order"), vec![ConditionTemplate::Equals(ValueTemplate::Expression("input['the-order']".to_owned()))]),
                (path("sender"), vec![ConditionTemplate::Any]),
                (path("weight-grams"), vec![ConditionTemplate::Min(value(json!(1))), ConditionTemplate::Max(value(json!(31500)))]),
                (path("kind"), vec![ConditionTemplate::In(value(json!(["any", "${ x }"])))]),
                (path("ö"), vec![ConditionTemplate::Equals(value(json!("a\"\u{202e}\u{9b}b")))]),
            ],
            owner: true,
            calls: 2,
            budgets: vec![("bytes-out", "1MiB".to_owned())],
            remarks: vec!["one\nline".to_owned()],
        };
        insta::assert_snapshot!("written", written.to_yaml(2));
    }
}
