//! The input's schema.

use bailiwick_expr::Type;
use serde_json::Value;

use super::Known;
use crate::diagnostic::Problems;
use crate::file::SchemaFile;
use crate::reader;
use crate::validate::Schema;

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
    let schema = schema_without_name(schema);
    if let Err(error) = Schema::compile(&schema) {
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

/// Takes off what names the document and changes nothing that it says; `$id` would change where references lead.
fn schema_without_name(mut schema: Value) -> Value {
    if let Some(map) = schema.as_object_mut() {
        for key in ["$comment", "title", "description"] {
            map.remove(key);
        }
    }
    schema
}
