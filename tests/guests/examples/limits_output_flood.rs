//! Answers with a text of `count` bytes.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

/// Answers with a text of `count` bytes.
#[agent(name = "limits-output-flood", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let length = usize::try_from(task.input.count).unwrap_or(usize::MAX);
    Ok(Answer::certain(Report { text: "x".repeat(length), ..Report::default() }))
}
