//! Calls operations that it imports and that its step does not give.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case, results};

/// Calls operations that it imports and that its step does not give.
#[agent(name = "grants-ungranted-operation", owner = "tests", risk-class = "low", wants = ["crm/customers.get", "crm/notes.append", "notify/messages.send"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let id = &task.input.id;
    results(vec![
        case(&crm::customers::get(id)),
        case(&crm::notes::append(id, "mine now")),
        case(&notify::messages::send(id, notify::messages::Channel::Email, "hello", "pay here")),
    ])
}
