//! Budgets of a grant: they hold for the step over all its attempts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::capability::Effect;
use crate::error::BudgetKind;
use crate::limits::ByteCount;

/// How much may be done under one grant, over all attempts of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Budgets {
    /// Number of calls. A `write` or `final` that repeats an earlier attempt's call (same operation, same ordinal) is the same effect and counts once.
    pub calls: u64,
    /// Bytes of arguments.
    pub bytes_out: ByteCount,
    /// Bytes of results.
    pub bytes_in: ByteCount,
}

impl Budgets {
    /// Gives the budgets of a grant that names none: one call for a `write` or `final`, 32 for a `read`; 256 KiB of arguments, 4 MiB of results.
    pub fn default_for(effect: Effect) -> Self {
        let calls = match effect {
            Effect::Read => 32,
            Effect::Write | Effect::Final => 1,
        };
        Self { calls, bytes_out: ByteCount::kib(256), bytes_in: ByteCount::mib(4) }
    }

    /// Whether every budget is at most that of `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.calls <= other.calls && self.bytes_out <= other.bytes_out && self.bytes_in <= other.bytes_in
    }
}

/// What was used under one grant so far. Shared by all attempts of a step.
#[derive(Debug, Default)]
pub struct BudgetUse {
    calls: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

impl BudgetUse {
    /// Starts from what earlier attempts used, as read back from the ledger.
    pub fn resumed(calls: u64, bytes_out: u64, bytes_in: u64) -> Self {
        Self { calls: calls.into(), bytes_out: bytes_out.into(), bytes_in: bytes_in.into() }
    }

    /// Reserves one call with `bytes` of arguments. `repeats` tells that the call has the key of one counted before.
    ///
    /// # Errors
    /// The budget that does not suffice; nothing is reserved then.
    pub fn reserve(&self, budgets: &Budgets, bytes: u64, repeats: bool) -> Result<(), BudgetKind> {
        if !repeats && !add_within(&self.calls, 1, budgets.calls) {
            return Err(BudgetKind::Calls);
        }
        if !add_within(&self.bytes_out, bytes, budgets.bytes_out.0) {
            if !repeats {
                self.calls.fetch_sub(1, Ordering::Relaxed);
            }
            return Err(BudgetKind::BytesOut);
        }
        Ok(())
    }

    /// Counts the bytes of a result before the guest sees it.
    ///
    /// # Errors
    /// When the budget does not suffice; the result must not be delivered then.
    pub fn receive(&self, budgets: &Budgets, bytes: u64) -> Result<(), BudgetKind> {
        if add_within(&self.bytes_in, bytes, budgets.bytes_in.0) { Ok(()) } else { Err(BudgetKind::BytesIn) }
    }

    /// Number of calls made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes left for results.
    pub fn bytes_in_left(&self, budgets: &Budgets) -> u64 {
        budgets.bytes_in.0.saturating_sub(self.bytes_in.load(Ordering::Relaxed))
    }
}

/// Adds only if the sum stays within `most`; one atomic step, so that parallel calls cannot overspend.
fn add_within(counter: &AtomicU64, amount: u64, most: u64) -> bool {
    counter.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(amount).filter(|sum| *sum <= most)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_at_and_over() {
        let budgets = Budgets { calls: 2, bytes_out: ByteCount(10), bytes_in: ByteCount(5) };
        let used = BudgetUse::default();
        assert_eq!(used.reserve(&budgets, 4, false), Ok(()));
        assert_eq!(used.reserve(&budgets, 7, false), Err(BudgetKind::BytesOut));
        assert_eq!(used.calls(), 1);
        assert_eq!(used.reserve(&budgets, 6, false), Ok(()));
        assert_eq!(used.reserve(&budgets, 0, false), Err(BudgetKind::Calls));
        assert_eq!(used.reserve(&budgets, 0, true), Ok(()));
        assert_eq!(used.receive(&budgets, 5), Ok(()));
        assert_eq!(used.receive(&budgets, 1), Err(BudgetKind::BytesIn));
    }

    #[test]
    fn parallel_calls_do_not_overspend() {
        let budgets = Budgets { calls: 100, bytes_out: ByteCount(1000), bytes_in: ByteCount(0) };
        let used = BudgetUse::default();
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1000).filter(|_| used.reserve(&budgets, 1, false).is_ok()).count())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
    }
}
