//! Counts what an evaluation costs.

use crate::bounds::Bounds;
use crate::error::EvalFault;

/// Bytes of text that one step searches, compares or copies.
const BYTES_PER_STEP: usize = 64;

/// What is left of each bound.
pub(super) struct Meter<'b> {
    bounds: &'b Bounds,
    steps: u64,
    items: u64,
    bytes: u64,
}

impl<'b> Meter<'b> {
    pub(super) fn new(bounds: &'b Bounds) -> Self {
        let (steps, items, bytes) = (bounds.max_steps, bounds.max_comprehension_items, bounds.max_result_bytes);
        Self { bounds, steps, items, bytes }
    }

    pub(super) fn step(&mut self) -> Result<(), EvalFault> {
        self.steps(1)
    }

    pub(super) fn steps(&mut self, count: usize) -> Result<(), EvalFault> {
        let left = self.steps.checked_sub(as_u64(count));
        self.steps = left.ok_or(EvalFault::TooManySteps { max: self.bounds.max_steps })?;
        Ok(())
    }

    /// Counts text that is looked at.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), EvalFault> {
        self.steps(bytes / BYTES_PER_STEP)
    }

    /// Counts one element visited by a comprehension.
    pub(super) fn item(&mut self) -> Result<(), EvalFault> {
        let left = self.items.checked_sub(1);
        self.items = left.ok_or(EvalFault::TooManyItems { max: self.bounds.max_comprehension_items })?;
        Ok(())
    }

    /// Counts memory before it is taken.
    pub(super) fn make(&mut self, bytes: usize) -> Result<(), EvalFault> {
        let left = self.bytes.checked_sub(as_u64(bytes));
        self.bytes = left.ok_or(EvalFault::TooManyBytes { max: self.bounds.max_result_bytes })?;
        Ok(())
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
