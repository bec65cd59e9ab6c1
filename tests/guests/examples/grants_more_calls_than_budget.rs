//! Calls a read and a write `count` times each, more often than the step gives.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Calls a read and a write `count` times each, more often than the step gives.
#[agent(name = "grants-more-calls-than-budget", owner = "tests", risk-class = "low", wants = ["crm/customers.get", "crm/notes.append"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let mut seen = Vec::new();
    for _ in 0..task.input.count {
        seen.push(case(&crm::customers::get(&task.input.id)));
    }
    for index in 0..task.input.count {
        seen.push(case(&crm::notes::append(&task.input.id, &format!("note {index}"))));
    }
    results(seen)
}
