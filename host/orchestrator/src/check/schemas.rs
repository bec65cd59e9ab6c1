//! Schemas: the input's, and what of any schema belongs into a plan.

use bailiwick_expr::Type;
use bailiwick_schema::Schema;
use serde_json::Value;

use super::Known;
use crate::diagnostic::Problems;
use crate::file::SchemaFile;
use crate::reader;

/// Longest path of a schema file, in bytes.
const MAX_PATH_BYTES: usize = 256;

/// Reads the schema of the run's input, and its type.
pub(crate) fn input(problems: &mut Problems, file: &SchemaFile<'_>, known: &Known<'_>) -> Option<(Value, Type)> {
    let (schema, span, what) = match file {
        SchemaFile::Inline(node) => (reader::json(problems, node)?, &node.span, "the schema".to_owned()),
        SchemaFile::Path(path) => {
            let what = format!("`{}`", path.value);
            if path.value.len() > MAX_PATH_BYTES {
                problems.error(&path.span, format!("the path has more than {MAX_PATH_BYTES} bytes"), None);
                return None;
            }
            let text = (known.read)(&path.value).map_err(|error| {
                let help = "the path is relative to the project folder".to_owned();
                problems.error(&path.span, format!("{what} cannot be read: {error}"), help);
            });
            let value = serde_json::from_str(&text.ok()?).map_err(|error| {
                problems.error(&path.span, format!("{what} is no JSON: {error}"), None);
            });
            (value.ok()?, &path.span, what)
        }
    };
    let schema = without_annotations(schema);
    if let Err(error) = Schema::of_operator(&schema) {
        problems.error(span, format!("{what} is no JSON schema: {error}"), None);
        return None;
    }
    match Type::from_schema(&schema) {
        Ok(ty @ (Type::Object { .. } | Type::Map(_))) => Some((schema, ty)),
        Ok(other) => {
            let help = "write `\"type\": \"object\"` and its `properties`".to_owned();
            problems.error(span, format!("the input of a workflow is an object, and {what} describes {other}"), help);
            None
        }
        Err(error) => {
            problems.error(span, format!("{what} cannot be used: {error}"), None);
            None
        }
    }
}

/// Keywords that describe and decide nothing.
const ANNOTATIONS: &[&str] = &["$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"];
/// Keywords with a schema by name.
const BY_NAME: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose value is data and no schema.
const DATA: &[&str] = &["const", "enum", "required", "dependentRequired", "type"];

/// Takes off what a schema says to people alone: a plan, and with it what a reviewer has signed off, must not change when a sentence does.
pub(crate) fn without_annotations(schema: Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let kept = keywords.into_iter().filter(|(keyword, _)| !ANNOTATIONS.contains(&keyword.as_str()));
            let stripped = kept.map(|(keyword, value)| match value {
                // Here keys are names of fields, and a field may well be called `title`.
                Value::Object(named) if BY_NAME.contains(&keyword.as_str()) => {
                    let named = named.into_iter().map(|(name, schema)| (name, without_annotations(schema)));
                    (keyword, Value::Object(named.collect()))
                }
                value if DATA.contains(&keyword.as_str()) => (keyword, value),
                value => (keyword, without_annotations(value)),
            });
            Value::Object(stripped.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_annotations).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sentences_go_and_rules_stay() {
        let schema = json!({
            "title": "T", "description": "D", "type": "object", "required": ["title"],
            "properties": {
                "title": {"type": "string", "description": "a field of this name", "default": ""},
                "kind": {"oneOf": [{"const": {"description": "data"}, "description": "x"}, {"enum": ["title"]}]},
                "list": {"type": "array", "items": {"$comment": "y", "minimum": 1}},
            },
        });
        let expected = json!({
            "type": "object", "required": ["title"],
            "properties": {
                "title": {"type": "string"},
                "kind": {"oneOf": [{"const": {"description": "data"}}, {"enum": ["title"]}]},
                "list": {"type": "array", "items": {"minimum": 1}},
            },
        });
        assert_eq!(without_annotations(schema), expected);
    }
}
