//! Version 2.0.0 of an agent whose versions are swapped while tasks run.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

/// Says which version it is.
#[agent(name = "swap", version = "2.0.0", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    drop(task);
    Ok(Answer::certain(Report { text: "two".to_owned(), ..Report::default() }))
}
