//! Counts how often it was called in a static, and leaves a mark in memory that a later task could find.

use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Bytes that are marked and searched: more than the pool keeps resident.
const SEARCHED: usize = 8 << 20;

/// Counts how often it was called in a static, and leaves a mark in memory that a later task could find.
#[agent(name = "contract-state-from-earlier-task", owner = "tests", risk-class = "low", wants = [])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let earlier = CALLS.fetch_add(1, Ordering::Relaxed);
    // Fresh memory of a component is zero; anything else was left there by somebody.
    let mut memory = vec![0_u8; SEARCHED];
    let found = std::hint::black_box(&memory).iter().filter(|byte| **byte != 0).count();
    memory.fill(0xa5);
    std::hint::black_box(&memory);
    drop(task);
    Ok(Answer::certain(Report { count: earlier, text: format!("{found} bytes"), ..Report::default() }))
}
