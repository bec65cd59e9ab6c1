//! Two JSON schemas: what one accepts and the other does not.
//!
//! A schema is a set of rules that all have to hold. So a rule that is added accepts less, and one that is taken away accepts more, whatever the
//! others are. That two sets of rules with other words accept the same is not looked for: such a difference is `changed`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Change, Direction};

/// Most places of a schema that are compared; what lies beyond is `changed` as a whole.
pub const MAX_PLACES: usize = 20_000;
/// Deepest nesting, references followed.
const MAX_DEPTH: usize = 100;
/// Longest text of a value in a change.
const MAX_TEXT_CHARS: usize = 200;

/// Keywords that describe and decide nothing, and where definitions stand, which count where they are referred to.
const SILENT: &[&str] =
    &["$comment", "$schema", "$defs", "definitions", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"];
/// Keywords whose value is data and no schema.
const DATA: &[&str] = &["const", "enum", "required", "dependentRequired", "type"];
/// Keywords with a schema by name.
const BY_NAME: &[&str] = &["properties", "patternProperties", "dependentSchemas"];
/// Keywords that work together on the fields of an object, and that are compared.
const FIELDS: &[&str] = &["properties", "additionalProperties"];
/// Keywords that change what those of [`FIELDS`] mean.
const ALSO_FIELDS: &[&str] = &["patternProperties", "unevaluatedProperties"];
/// Keywords that change what `items` means.
const ALSO_ITEMS: &[&str] = &["prefixItems", "additionalItems", "unevaluatedItems"];
/// Numbers of which a larger one accepts more.
const UPPER: &[&str] = &["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Numbers of which a smaller one accepts more.
const LOWER: &[&str] = &["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
/// Rules that accept less where they are there, and of which two different ones cannot be compared.
const SINGLE: &[&str] = &["pattern", "format", "multipleOf", "not", "oneOf"];

/// Compares what two schemas accept: wider is what accepts more.
///
/// Descriptions and the like decide nothing and are left out. References within a document are followed; a schema that refers to itself, and one
/// of more than [`MAX_PLACES`] places, is compared as a whole.
pub fn schemas(before: &Value, after: &Value) -> Vec<Change> {
    let (Some(old), Some(new)) = (plain(before), plain(after)) else {
        let is_same = before == after;
        let change = || Change::new(Direction::Changed, "schema", Some(text(before)), Some(text(after)));
        return if is_same { Vec::new() } else { vec![change()] };
    };
    let mut compare = Compare { changes: BTreeSet::new() };
    compare.schema("", &old, &new);
    compare.changes.into_iter().collect()
}

/// Gives a schema with references followed and without what decides nothing. `None` where that has no end or is too large.
fn plain(schema: &Value) -> Option<Value> {
    let mut places = 0;
    Plain { root: schema, places: &mut places }.schema(schema, 0)
}

struct Plain<'s, 'p> {
    root: &'s Value,
    places: &'p mut usize,
}

impl Plain<'_, '_> {
    fn schema(&mut self, schema: &Value, depth: usize) -> Option<Value> {
        *self.places += 1;
        if *self.places > MAX_PLACES || depth > MAX_DEPTH {
            return None;
        }
        let Value::Object(keywords) = schema else { return Some(schema.clone()) };
        let mut kept = Map::new();
        for (keyword, value) in keywords.iter().filter(|(keyword, _)| !SILENT.contains(&keyword.as_str())) {
            let value = match (keyword.as_str(), value) {
                ("$ref", Value::String(pointer)) => {
                    let target = self.root.pointer(pointer.strip_prefix('#')?)?.clone();
                    self.schema(&target, depth + 1)?
                }
                (word, Value::Object(named)) if BY_NAME.contains(&word) => {
                    let named = named.iter().map(|(name, schema)| Some((name.clone(), self.schema(schema, depth + 1)?)));
                    Value::Object(named.collect::<Option<_>>()?)
                }
                (word, value) if DATA.contains(&word) => value.clone(),
                (_, Value::Array(items)) => Value::Array(items.iter().map(|item| self.schema(item, depth + 1)).collect::<Option<_>>()?),
                (_, value) => self.schema(value, depth + 1)?,
            };
            kept.insert(keyword.clone(), value);
        }
        if let (1, Some(target)) = (kept.len(), kept.get("$ref")) {
            return Some(target.clone());
        }
        as_enum(&mut kept);
        Some(Value::Object(kept))
    }
}

/// Writes `const`, and `oneOf` over different constants as generators write it for documented cases, as `enum`.
fn as_enum(keywords: &mut Map<String, Value>) {
    if keywords.contains_key("enum") {
        return;
    }
    if let Some(value) = keywords.remove("const") {
        keywords.insert("enum".to_owned(), Value::Array(vec![value]));
        return;
    }
    let Some(Value::Array(cases)) = keywords.get("oneOf") else { return };
    let mut values: Vec<Value> = Vec::new();
    for case in cases {
        let Some(case) = case.as_object() else { return };
        let Some([value]) = case.get("enum").and_then(Value::as_array).map(Vec::as_slice) else { return };
        let is_typed = case.get("type").is_none_or(|ty| ty == "string" && value.is_string());
        if !is_typed || case.keys().any(|keyword| keyword != "enum" && keyword != "type") || values.contains(value) {
            return;
        }
        values.push(value.clone());
    }
    keywords.remove("oneOf");
    keywords.insert("enum".to_owned(), Value::Array(values));
}

struct Compare {
    changes: BTreeSet<Change>,
}

impl Compare {
    fn add(&mut self, direction: Direction, at: &str, rule: &str, before: Option<&Value>, after: Option<&Value>) {
        let what = match (at, rule) {
            ("", "") => "schema".to_owned(),
            ("", rule) => rule.to_owned(),
            (at, "") => format!("field `{at}`"),
            (at, rule) => format!("field `{at}`, {rule}"),
        };
        self.changes.insert(Change::new(direction, what, before.map(text), after.map(text)));
    }

    fn schema(&mut self, at: &str, before: &Value, after: &Value) {
        let given = |value: &Value| (*value != Value::Bool(false)).then(|| value.clone());
        match (given(before), given(after)) {
            (None, None) => {}
            (None, Some(after)) => self.add(Direction::Wider, at, "", None, Some(&after)),
            (Some(before), None) => self.add(Direction::Narrower, at, "", Some(&before), None),
            (Some(_), Some(_)) => {
                let (no_rules_before, no_rules_after) = (is_anything(before), is_anything(after));
                match (rules(before), rules(after)) {
                    _ if no_rules_before && no_rules_after => {}
                    _ if no_rules_before => self.add(Direction::Narrower, at, "", Some(before), Some(after)),
                    _ if no_rules_after => self.add(Direction::Wider, at, "", Some(before), Some(after)),
                    (Some(old), Some(new)) => self.rules(at, old, new),
                    _ if before == after => {}
                    _ => self.add(Direction::Changed, at, "", Some(before), Some(after)),
                }
            }
        }
    }

    fn rules(&mut self, at: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        let keywords: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let has = |words: &[&str]| words.iter().any(|word| before.contains_key(*word) || after.contains_key(*word));
        let differ = |words: &[&str]| words.iter().any(|word| before.get(*word) != after.get(*word));
        if has(ALSO_FIELDS) && (differ(FIELDS) || differ(ALSO_FIELDS)) {
            self.add(Direction::Changed, at, "fields", None, None);
        } else if !has(ALSO_FIELDS) && has(FIELDS) {
            self.fields(at, before, after);
        }
        for keyword in keywords {
            let (old, new) = (before.get(keyword), after.get(keyword));
            match keyword.as_str() {
                word if FIELDS.contains(&word) || ALSO_FIELDS.contains(&word) => {}
                "required" => self.required(at, old, new),
                "type" => self.sets(at, "type", old.map(types), new.map(types), old, new),
                "enum" => self.sets(at, "enum", old.and_then(members), new.and_then(members), old, new),
                "items" if !has(ALSO_ITEMS) => {
                    let anything = Value::Bool(true);
                    self.schema(&format!("{at}[]"), old.unwrap_or(&anything), new.unwrap_or(&anything));
                }
                "anyOf" | "allOf" => self.several(at, keyword, old, new),
                _ if old == new => {}
                word if UPPER.contains(&word) => self.number(at, word, old, new, false),
                word if LOWER.contains(&word) => self.number(at, word, old, new, true),
                word if SINGLE.contains(&word) => self.single(at, word, old, new),
                "uniqueItems" => self.single(at, "uniqueItems", old.filter(|v| **v == true), new.filter(|v| **v == true)),
                word => self.add(Direction::Changed, at, word, old, new),
            }
        }
    }

    /// What a field has to be is said by its name or else by `additionalProperties`; where neither is there it may be anything.
    fn fields(&mut self, at: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        let anything = Value::Bool(true);
        let others = |rules: &Map<String, Value>| rules.get("additionalProperties").unwrap_or(&anything).clone();
        let (others_before, others_after) = (others(before), others(after));
        let named = |rules: &Map<String, Value>| rules.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let (old, new) = (named(before), named(after));
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            self.schema(&path, old.get(name).unwrap_or(&others_before), new.get(name).unwrap_or(&others_after));
        }
        self.schema(&if at.is_empty() { "*".to_owned() } else { format!("{at}.*") }, &others_before, &others_after);
    }

    fn required(&mut self, at: &str, before: Option<&Value>, after: Option<&Value>) {
        let names = |value: Option<&Value>| -> BTreeSet<String> {
            value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (before, after) = (names(before), names(after));
        let path = |name: &String| if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        for name in after.difference(&before) {
            self.changes.insert(Change::new(
                Direction::Narrower,
                format!("required field `{}`", path(name)),
                None,
                Some("required".to_owned()),
            ));
        }
        for name in before.difference(&after) {
            self.changes.insert(Change::new(
                Direction::Wider,
                format!("required field `{}`", path(name)),
                Some("required".to_owned()),
                None,
            ));
        }
    }

    /// Compares lists of alternatives; `None` is a rule that is not there, or one that is no list.
    fn sets(&mut self, at: &str, rule: &str, before: Option<Set>, after: Option<Set>, old: Option<&Value>, new: Option<&Value>) {
        let direction = match (&before, &after, old, new) {
            (Some(before), Some(after), ..) if before == after => return,
            (Some(before), Some(after), ..) if before.is_subset(after) => Direction::Wider,
            (Some(before), Some(after), ..) if after.is_subset(before) => Direction::Narrower,
            (Some(_), None, _, None) => Direction::Wider,
            (None, Some(_), None, _) => Direction::Narrower,
            _ if old == new => return,
            _ => Direction::Changed,
        };
        self.add(direction, at, rule, old, new);
    }

    /// Compares `anyOf` and `allOf`. With what both have left out, one that is left on each side is compared with the other: a union, and an
    /// intersection, grows with its parts.
    fn several(&mut self, at: &str, rule: &str, old: Option<&Value>, new: Option<&Value>) {
        let (Some(Value::Array(before)), Some(Value::Array(after))) = (old, new) else {
            return if old == new {
            } else {
                self.single(at, rule, old, new)
            };
        };
        let rest = |of: &[Value], other: &[Value]| of.iter().filter(|item| !other.contains(item)).cloned().collect::<Vec<_>>();
        let (gone, come) = (rest(before, after), rest(after, before));
        let more = if rule == "anyOf" { Direction::Wider } else { Direction::Narrower };
        match (gone.as_slice(), come.as_slice()) {
            ([], []) => {}
            ([], [..]) => self.add(more, at, rule, old, new),
            ([..], []) => self.add(more.reversed(), at, rule, old, new),
            ([gone], [come]) => self.schema(at, gone, come),
            _ => self.add(Direction::Changed, at, rule, old, new),
        }
    }

    fn number(&mut self, at: &str, rule: &str, old: Option<&Value>, new: Option<&Value>, is_lower: bool) {
        let (Some(before), Some(after)) = (old, new) else { return self.single(at, rule, old, new) };
        let direction = match order(before, after) {
            Some(std::cmp::Ordering::Equal) => return,
            Some(order) => {
                let grows = (order == std::cmp::Ordering::Less) != is_lower;
                if grows { Direction::Wider } else { Direction::Narrower }
            }
            None => Direction::Changed,
        };
        self.add(direction, at, rule, old, new);
    }

    fn single(&mut self, at: &str, rule: &str, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, None) => {}
            (None, Some(_)) => self.add(Direction::Narrower, at, rule, old, new),
            (Some(_), None) => self.add(Direction::Wider, at, rule, old, new),
            (Some(before), Some(after)) if before == after => {}
            _ => self.add(Direction::Changed, at, rule, old, new),
        }
    }
}

type Set = BTreeSet<String>;

fn rules(schema: &Value) -> Option<&Map<String, Value>> {
    schema.as_object()
}

fn is_anything(schema: &Value) -> bool {
    *schema == Value::Bool(true) || schema.as_object().is_some_and(Map::is_empty)
}

/// Types by name; a number may be an integer.
fn types(value: &Value) -> Set {
    let names: Vec<&str> = match value {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    names.into_iter().flat_map(|name| if name == "number" { vec!["number", "integer"] } else { vec![name] }).map(str::to_owned).collect()
}

fn members(value: &Value) -> Option<Set> {
    Some(value.as_array()?.iter().map(Value::to_string).collect())
}

/// Compares numbers exactly where both are whole.
fn order(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Bool(true) => "anything".to_owned(),
        Value::Object(rules) if rules.is_empty() => "anything".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= MAX_TEXT_CHARS { text } else { text.chars().take(MAX_TEXT_CHARS).chain(['…']).collect() }
}

#[cfg(test)]
mod tests;
