//! Loops for ever without calling anything.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

/// Loops for ever without calling anything.
#[agent(name = "limits-endless-loop", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(_: Task<Order>) -> Result<Answer<Report>, Failure> {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}
