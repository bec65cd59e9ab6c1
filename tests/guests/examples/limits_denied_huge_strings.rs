//! Passes a text of three megabytes to a capability that it was not granted, `count` times: the host copies, the guest hardly works.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Passes a text of three megabytes to a capability that it was not granted, `count` times: the host copies, the guest hardly works.
#[agent(name = "limits-denied-huge-strings", owner = "tests", risk-class = "low", wants = ["crm/notes.append"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let text = "x".repeat(3 << 20);
    let mut last = String::new();
    for _ in 0..task.input.count {
        last = case(&crm::notes::append("C-9999", &text));
    }
    results(vec![last])
}
