//! Describes itself with megabytes in a field where one of three words is expected.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(
    || raw::Description {
        data_level: "personal".repeat(200_000),
        review_by: "x".repeat(1 << 20),
        ..raw::description("contract-huge-description", &[])
    },
    |_| raw::answer("{}")
);
