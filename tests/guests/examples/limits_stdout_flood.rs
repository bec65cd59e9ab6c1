//! Prints `count` lines to standard output and to standard error.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, results};

/// Prints `count` lines to standard output and to standard error.
#[agent(name = "limits-stdout-flood", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    for _ in 0..task.input.count {
        println!("\u{1b}[31mout {}", task.input.text);
        eprintln!("\u{1b}[32merr {}", task.input.text);
    }
    results(vec!["ok".to_owned()])
}
