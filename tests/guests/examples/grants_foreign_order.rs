//! Asks for an order of someone else, for one that does not exist, and for the one that it is given.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case};

/// Asks for an order of someone else, for one that does not exist, and for the one that it is given.
#[agent(name = "grants-foreign-order", owner = "tests", risk-class = "low", wants = ["orders/orders.get"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let asked = ["O-2", "O-404", task.input.id.as_str()];
    let mut seen = Vec::new();
    let mut text = String::new();
    for id in asked {
        let answer = orders::orders::get(id);
        seen.push(case(&answer));
        match answer {
            Ok(order) => text.push_str(&order.customer),
            // All that a guest can see of an error, so that the test can compare.
            Err(problem) => text.push_str(&format!("{:?};", problem.cause)),
        }
    }
    Ok(Answer::certain(Report { results: seen, text, ..Report::default() }))
}
