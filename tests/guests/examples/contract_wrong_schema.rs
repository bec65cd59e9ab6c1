//! Answers with JSON that does not satisfy its own output schema.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(
    || {
        let output_schema = r#"{"type": "object", "properties": {"amount": {"type": "integer", "maximum": 100}}, "required": ["amount"], "additionalProperties": false}"#.to_owned();
        raw::Description { output_schema, ..raw::description("contract-wrong-schema", &[]) }
    },
    |task| raw::answer(task.input)
);
