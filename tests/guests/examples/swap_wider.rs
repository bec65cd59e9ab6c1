//! Version 3.0.0 of an agent whose versions are swapped while tasks run.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case};

/// Says which version it is.
#[agent(name = "swap", version = "3.0.0", owner = "tests", risk-class = "low", wants = ["crm/customers.get", "crm/notes.append"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let called = case(&crm::customers::get(&task.input.id));
    let written = case(&crm::notes::append(&task.input.id, &task.input.text));
    Ok(Answer::certain(Report { results: vec![called, written], text: "wider".to_owned(), ..Report::default() }))
}
