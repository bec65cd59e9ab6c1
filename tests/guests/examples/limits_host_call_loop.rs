//! Asks for the time over and over, `count` times or without end.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, results};

/// Asks for the time over and over, `count` times or without end.
#[agent(name = "limits-host-call-loop", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let mut left = task.input.count;
    loop {
        std::hint::black_box(task::now());
        left = left.wrapping_sub(1);
        if left == 0 {
            return results(vec!["ok".to_owned()]);
        }
    }
}
