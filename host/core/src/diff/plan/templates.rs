//! Values with expressions in them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Change, Direction};
use crate::plan::ValueTemplate;

/// Longest text of a value in a change.
const MAX_TEXT_CHARS: usize = 300;

/// Writes a template as in a workflow file, in one line.
pub(super) fn text(template: &ValueTemplate) -> String {
    let text = template.to_text();
    if text.chars().count() <= MAX_TEXT_CHARS { text } else { text.chars().take(MAX_TEXT_CHARS).chain(['…']).collect() }
}

/// A template in one form: an object or list without expressions is a value, however it was made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given<'t> {
    /// A value that is neither object nor list.
    Value(&'t Value),
    /// An expression.
    Expression(&'t str),
    /// A list.
    List(Vec<Given<'t>>),
    /// An object.
    Object(BTreeMap<&'t str, Given<'t>>),
}

/// Puts a template into one form.
pub(super) fn given(template: &ValueTemplate) -> Given<'_> {
    match template {
        ValueTemplate::Value(value) => of_value(value),
        ValueTemplate::Expression(source) => Given::Expression(source),
        ValueTemplate::List(items) => Given::List(items.iter().map(given).collect()),
        ValueTemplate::Object(entries) => Given::Object(entries.iter().map(|(name, value)| (name.as_str(), given(value))).collect()),
    }
}

fn of_value(value: &Value) -> Given<'_> {
    match value {
        Value::Array(items) => Given::List(items.iter().map(of_value).collect()),
        Value::Object(entries) => Given::Object(entries.iter().map(|(name, value)| (name.as_str(), of_value(value))).collect()),
        other => Given::Value(other),
    }
}

/// Compares what is handed on: a further field is wider, one less narrower, another value changed.
pub(super) fn values(changes: &mut Vec<Change>, what: &str, before: &ValueTemplate, after: &ValueTemplate) {
    walk(changes, what, &given(before), &given(after));
}

fn walk(changes: &mut Vec<Change>, what: &str, before: &Given<'_>, after: &Given<'_>) {
    if before == after {
        return;
    }
    let (Given::Object(old), Given::Object(new)) = (before, after) else {
        changes.push(Change::new(Direction::Changed, what, Some(shown(before)), Some(shown(after))));
        return;
    };
    for (name, value) in new {
        match old.get(name) {
            Some(before) => walk(changes, &format!("{what}.{name}"), before, value),
            None => changes.push(Change::new(Direction::Wider, format!("{what}.{name}"), None, Some(shown(value)))),
        }
    }
    for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        changes.push(Change::new(Direction::Narrower, format!("{what}.{name}"), Some(shown(value)), None));
    }
}

fn shown(value: &Given<'_>) -> String {
    fn template(value: &Given<'_>) -> ValueTemplate {
        match value {
            Given::Value(value) => ValueTemplate::Value((*value).clone()),
            Given::Expression(source) => ValueTemplate::Expression((*source).to_owned()),
            Given::List(items) => ValueTemplate::List(items.iter().map(template).collect()),
            Given::Object(entries) => {
                ValueTemplate::Object(entries.iter().map(|(name, value)| ((*name).to_owned(), template(value))).collect())
            }
        }
    }
    text(&template(value))
}
