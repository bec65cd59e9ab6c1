//! Brings an output schema that refers to itself and to nothing else.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(
    || {
        let output_schema = r##"{"$ref": "#"}"##.to_owned();
        raw::Description { output_schema, ..raw::description("contract-self-referencing-schema", &[]) }
    },
    |_| raw::answer("{}")
);
