//! Brings a schema whose pattern takes exponential time where patterns backtrack, and answers with the text that shows it.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(
    || {
        let output_schema = r#"{"type": "string", "pattern": "^(a+)+$"}"#.to_owned();
        raw::Description { output_schema, ..raw::description("contract-catastrophic-pattern-schema", &[]) }
    },
    |_| raw::answer(format!("\"{}!\"", "a".repeat(100_000)))
);
