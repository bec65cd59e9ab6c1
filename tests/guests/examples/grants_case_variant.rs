//! Asks for a customer whose id looks like the one that it was granted.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Asks for a customer whose id looks like the one that it was granted.
#[agent(name = "grants-case-variant", owner = "tests", risk-class = "low", wants = ["crm/customers.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let id = &task.input.id;
    let asked = [id.to_lowercase(), format!(" {id}"), format!("{id}\u{0}"), format!("{id}\u{200b}"), id.replace('C', "\u{421}")];
    results(asked.iter().map(|id| case(&crm::customers::get(id))).collect())
}
