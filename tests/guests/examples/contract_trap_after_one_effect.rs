//! Writes a note and traps: at its first attempt only, where `count` is 1.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Writes a note and traps: at its first attempt only, where `count` is 1.
#[expect(clippy::panic, reason = "it is what this guest is for")]
#[agent(name = "contract-trap-after-one-effect", owner = "tests", risk-class = "low", wants = ["crm/notes.append"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let written = case(&crm::notes::append(&task.input.id, &task.input.text));
    if task.attempt == 1 || task.input.count == 0 {
        panic!("after {written}");
    }
    results(vec![written])
}
