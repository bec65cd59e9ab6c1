//! Takes memory, `count` bytes or without end.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, results};

/// How much it takes at once.
const BITE: usize = 1 << 20;

/// Takes memory, `count` bytes or without end.
#[agent(name = "limits-memory-bomb", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let most = if task.input.count == 0 { u64::MAX } else { task.input.count };
    let mut taken = Vec::new();
    let mut bytes = 0_u64;
    while bytes < most {
        taken.push(std::hint::black_box(vec![1_u8; BITE]));
        bytes += BITE as u64;
    }
    results(vec![taken.len().to_string()])
}
