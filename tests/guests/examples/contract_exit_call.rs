//! Calls `exit` instead of answering.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

/// Calls `exit` instead of answering.
#[agent(name = "contract-exit-call", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    std::process::exit(i32::try_from(task.input.count).unwrap_or(1))
}
