//! Is more certain than certain: the confidence in per mille is the input.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(|| raw::description("contract-confidence-too-high", &[]), |task| {
    let confidence = raw::Confidence::PerMille(task.input.parse().unwrap_or(u32::MAX));
    Ok(raw::Answer { output: "{}".to_owned(), confidence, sources: Vec::new() })
});
