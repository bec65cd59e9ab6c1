//! Brings a small schema whose references double at every level, so that checking one value never ends.

use bailiwick_test_guests::{raw, raw_guest};

/// Doublings: 2 to the power of this many checks of one value.
const LEVELS: usize = 60;

raw_guest!(
    || {
        let mut definitions: Vec<String> = (0..LEVELS)
            .map(|n| format!(r##""d{n}": {{"allOf": [{{"$ref": "#/$defs/d{0}"}}, {{"$ref": "#/$defs/d{0}"}}]}}"##, n + 1))
            .collect();
        definitions.push(format!(r#""d{LEVELS}": {{"type": "object"}}"#));
        let output_schema = format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{}}}}}"##, definitions.join(", "));
        raw::Description { output_schema, ..raw::description("contract-exponential-schema", &[]) }
    },
    |_| raw::answer("{}")
);
