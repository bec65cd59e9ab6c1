//! Brings a schema that refers to a place outside, which a host that follows it would ask.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(
    || {
        let output_schema = r#"{"$ref": "http://127.0.0.1:9/schema.json"}"#.to_owned();
        raw::Description { output_schema, ..raw::description("contract-remote-ref-schema", &[]) }
    },
    |_| raw::answer("{}")
);
