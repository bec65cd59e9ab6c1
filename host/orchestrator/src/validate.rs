//! Validation of values against JSON schemas.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Most mistakes that are told of one value.
const MAX_SHOWN: usize = 5;
/// Longest text of one mistake, in characters: it may quote a value that is not ours.
const MAX_SHOWN_CHARS: usize = 300;

/// A schema that is ready to check values.
#[derive(Debug)]
pub(crate) struct Schema(Validator);

impl Schema {
    /// Compiles a schema. Nothing is fetched: a `$ref` that leaves the document is an error. Patterns are linear in time.
    ///
    /// # Errors
    /// What is wrong with the schema.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().should_validate_formats(true).with_pattern_options(PatternOptions::regex());
        options.build(schema).map(Self).map_err(|error| match error.kind() {
            ValidationErrorKind::Referencing(_) => "a `$ref` leads nowhere in it, or out of it: nothing is fetched".to_owned(),
            _ => shown(&error.to_string()),
        })
    }

    /// Checks a value.
    ///
    /// # Errors
    /// Which fields are wrong and why, at most five of them.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let mut errors = self.0.iter_errors(value);
        let told: Vec<String> = errors.by_ref().take(MAX_SHOWN).map(|error| told(&error)).collect();
        match (told.is_empty(), errors.next()) {
            (true, _) => Ok(()),
            (false, None) => Err(told.join("; ")),
            (false, Some(_)) => Err(format!("{}; and more", told.join("; "))),
        }
    }
}

fn told(error: &jsonschema::ValidationError<'_>) -> String {
    let field = error.instance_path().to_string();
    let field = field.trim_start_matches('/').replace('/', ".");
    match field.is_empty() {
        true => shown(&error.to_string()),
        false => format!("field `{field}`: {}", shown(&error.to_string())),
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mistakes_name_their_field() {
        let schema = json!({
            "type": "object", "required": ["order"], "additionalProperties": false,
            "properties": { "order": {"type": "string", "pattern": "^O-[0-9]+$"}, "on": {"type": "string", "format": "date"} },
        });
        let schema = Schema::compile(&schema).unwrap();
        assert_eq!(schema.check(&json!({"order": "O-1", "on": "2026-11-20"})), Ok(()));
        assert_eq!(schema.check(&json!({})).unwrap_err(), "\"order\" is a required property");
        assert!(schema.check(&json!({"order": 5})).unwrap_err().starts_with("field `order`: 5 is not of type"));
        assert!(schema.check(&json!({"order": "O-1", "on": "20.11.2026"})).unwrap_err().starts_with("field `on`: "));
        assert!(schema.check(&json!({"order": "O-1", "x": 1})).unwrap_err().contains("'x' was unexpected"));
    }

    #[test]
    fn nothing_is_fetched() {
        assert!(Schema::compile(&json!({"$ref": "http://127.0.0.1:9/schema.json"})).is_err());
        assert!(Schema::compile(&json!({"$ref": "file:///etc/passwd"})).is_err());
        assert!(Schema::compile(&json!({"type": "nonsense"})).is_err());
    }
}
