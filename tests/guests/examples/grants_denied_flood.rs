//! Is denied `count` times and goes on.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

/// Is denied `count` times and goes on.
#[agent(name = "grants-denied-flood", owner = "tests", risk-class = "low", wants = ["crm/customers.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let mut denied = 0;
    for index in 0..task.input.count {
        if crm::customers::get(&format!("C-{index}-{}", task.input.text)).is_err_and(|problem| problem.is_denied()) {
            denied += 1;
        }
    }
    Ok(Answer::certain(Report { count: denied, ..Report::default() }))
}
