//! Calls itself `count` levels deep.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

/// Calls itself `count` levels deep.
#[agent(name = "limits-deep-recursion", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    fn deeper(left: u64) -> u64 {
        if left == 0 { 0 } else { std::hint::black_box(deeper(std::hint::black_box(left - 1))) + 1 }
    }
    Ok(Answer::certain(Report { count: deeper(task.input.count), ..Report::default() }))
}
