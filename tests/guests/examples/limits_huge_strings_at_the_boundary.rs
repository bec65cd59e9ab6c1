//! Passes a text of `count` bytes to a capability.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Passes a text of `count` bytes to a capability.
#[agent(name = "limits-huge-strings-at-the-boundary", owner = "tests", risk-class = "low", wants = ["crm/notes.append"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let text = "x".repeat(usize::try_from(task.input.count).unwrap_or(usize::MAX));
    results(vec![case(&crm::notes::append(&task.input.id, &text))])
}
