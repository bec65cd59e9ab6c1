//! Asks for a customer without an id.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Asks for a customer without an id.
#[agent(name = "grants-empty-id", owner = "tests", risk-class = "low", wants = ["crm/customers.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let asked = ["", " ", "\u{0}"];
    let results_of = asked.iter().map(|id| case(&crm::customers::get(id))).collect();
    drop(task);
    results(results_of)
}
