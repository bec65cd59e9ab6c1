//! Answers with what is no JSON.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(|| raw::description("contract-invalid-json", &[]), |_| raw::answer("{\"results\": ["));
