//! Writes `count` log lines and as many progress lines that try to take over the terminal of whoever reads them.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, results};

/// Writes `count` log lines and as many progress lines that try to take over the terminal of whoever reads them.
#[agent(name = "limits-log-flood-with-terminal-escapes", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    for _ in 0..task.input.count {
        task::info("\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}drowssap\r\n");
        task::progress("\u{1b}[1A\u{9b}31mfine");
    }
    results(vec!["ok".to_owned()])
}
