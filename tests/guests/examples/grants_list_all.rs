//! Asks for every customer at once, in the ways that a store behind might understand.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Asks for every customer at once, in the ways that a store behind might understand.
#[agent(name = "grants-list-all", owner = "tests", risk-class = "low", wants = ["crm/customers.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    drop(task);
    let asked = ["*", "%", "C-%", "C-1042,C-2000", "C-1042' OR '1'='1", "../C-2000", "_", "null"];
    results(asked.iter().map(|id| case(&crm::customers::get(id))).collect())
}
