//! Answers with lists in lists, as many levels as the input says.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(|| raw::description("contract-deep-json", &[]), |task| {
    let levels: usize = task.input.parse().unwrap_or(0);
    raw::answer(format!("{}{}", "[".repeat(levels), "]".repeat(levels)))
});
