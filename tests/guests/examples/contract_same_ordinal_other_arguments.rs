//! Writes another note at each attempt, where the same effect is expected.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Writes another note at each attempt, where the same effect is expected.
#[agent(name = "contract-same-ordinal-other-arguments", owner = "tests", risk-class = "low", wants = ["crm/notes.append"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let text = format!("attempt {}", task.attempt);
    let written = case(&crm::notes::append(&task.input.id, &text));
    if task.attempt == 1 {
        return Err(Failure::retryable(written));
    }
    results(vec![written])
}
