//! Asks for the customer that it is given and for others.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Asks for the customer that it is given and for others.
#[agent(name = "grants-another-customer", owner = "tests", risk-class = "low", wants = ["crm/customers.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let asked = [task.input.id.as_str(), "C-2000", "C-404"];
    results(asked.iter().map(|id| case(&crm::customers::get(id))).collect())
}
