//! Brings many large patterns that run in linear time each, and answers with a long text: the work is the host`s, and no fuel pays for it.

use bailiwick_test_guests::{raw, raw_guest};

/// Patterns in the schema.
const PATTERNS: usize = 40;

raw_guest!(
    || {
        let patterns: Vec<String> = (0..PATTERNS).map(|n| format!(r#"{{"pattern": "(x|y|z{{0,{n}}})*x(x|y){{700}}q"}}"#)).collect();
        let output_schema = format!(r#"{{"type": "string", "allOf": [{}]}}"#, patterns.join(", "));
        raw::Description { output_schema, ..raw::description("contract-costly-pattern-schema", &[]) }
    },
    |_| raw::answer(format!("\"{}\"", "xyyxyxxxyx".repeat(25_000)))
);
