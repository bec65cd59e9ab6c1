//! Budgets of a grant: they hold for the step over all its attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// One call that [`BudgetUse::reserve`] let through; [`BudgetUse::release`] takes it back.
#[derive(Debug)]
#[must_use = "a reservation says that the call may be made"]
pub struct Reserved {
    effect: Option<u32>,
}

/// What was used under one grant so far. Shared by all attempts of a step.
#[derive(Debug, Default)]
pub struct BudgetUse {
    calls: AtomicU64,
    /// Ordinals of the effects among `calls`, each with the calls that may have made it: a later attempt that repeats one of them asks for the same
    /// effect. Never more ordinals than the budget of calls.
    effects: Mutex<BTreeMap<u32, u32>>,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

impl BudgetUse {
    /// Starts from what earlier attempts used, as read back from the ledger; `effects` are the ordinals of repeatable effects among `calls`.
    pub fn resumed(calls: u64, effects: BTreeSet<u32>, bytes_out: u64, bytes_in: u64) -> Self {
        let effects = effects.into_iter().map(|ordinal| (ordinal, 1)).collect();
        Self { calls: calls.into(), effects: Mutex::new(effects), bytes_out: bytes_out.into(), bytes_in: bytes_in.into() }
    }

    /// Reserves one call with `bytes` of arguments. `effect` is the ordinal of a `write` or `final` whose repeats the
    /// connector recognises; one that was counted before is not counted again.
    ///
    /// # Errors
    /// The budget that does not suffice; nothing is reserved then.
    pub fn reserve(&self, budgets: &Budgets, bytes: u64, effect: Option<u32>) -> Result<Reserved, BudgetKind> {
        if !add_within(&self.bytes_out, bytes, budgets.bytes_out.0) {
            return Err(BudgetKind::BytesOut);
        }
        // The lock is held while counting, so that two calls with the same ordinal cannot both count or both be free.
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        let repeats = effect.is_some_and(|ordinal| effects.contains_key(&ordinal));
        if !repeats && !add_within(&self.calls, 1, budgets.calls) {
            self.bytes_out.fetch_sub(bytes, Ordering::Relaxed);
            return Err(BudgetKind::Calls);
        }
        if let Some(ordinal) = effect {
            let made_by = effects.entry(ordinal).or_default();
            *made_by = made_by.saturating_add(1);
        }
        Ok(Reserved { effect })
    }

    /// Gives back the call of an effect of which it is certain that nothing happened, so that a later attempt may try
    /// again. Never call it for a `read`: what was asked is out.
    ///
    /// It is given back when none of the calls that asked for the effect may have made it: that nothing happened now does not undo what another
    /// attempt did, earlier or at the same time.
    pub fn release(&self, reserved: Reserved) {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ordinal) = reserved.effect {
            let Some(made_by) = effects.get_mut(&ordinal) else { return };
            *made_by = made_by.saturating_sub(1);
            if *made_by > 0 {
                return;
            }
            effects.remove(&ordinal);
        }
        let _ = self.calls.try_update(Ordering::Relaxed, Ordering::Relaxed, |calls| calls.checked_sub(1));
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

    /// Bytes of arguments counted.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
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

    const BUDGETS: Budgets = Budgets { calls: 2, bytes_out: ByteCount(10), bytes_in: ByteCount(5) };

    /// What is left when a reservation that is kept is not looked at.
    fn kept(reserved: Result<Reserved, BudgetKind>) -> Result<(), BudgetKind> {
        reserved.map(drop)
    }

    #[test]
    fn under_at_and_over() {
        let used = BudgetUse::default();
        assert_eq!(kept(used.reserve(&BUDGETS, 4, None)), Ok(()));
        assert_eq!(kept(used.reserve(&BUDGETS, 7, None)), Err(BudgetKind::BytesOut));
        assert_eq!((used.calls(), used.bytes_out()), (1, 4));
        assert_eq!(kept(used.reserve(&BUDGETS, 6, None)), Ok(()));
        assert_eq!(kept(used.reserve(&BUDGETS, 0, None)), Err(BudgetKind::Calls));
        assert_eq!(used.receive(&BUDGETS, 5), Ok(()));
        assert_eq!(used.receive(&BUDGETS, 1), Err(BudgetKind::BytesIn));
    }

    #[test]
    fn a_repeated_effect_counts_once_and_a_released_one_not_at_all() {
        let used = BudgetUse::default();
        let first = used.reserve(&BUDGETS, 0, Some(0)).unwrap();
        let again = used.reserve(&BUDGETS, 0, Some(0)).unwrap();
        assert_eq!(kept(used.reserve(&BUDGETS, 0, Some(1))), Ok(()));
        assert_eq!(kept(used.reserve(&BUDGETS, 0, Some(2))), Err(BudgetKind::Calls));
        used.release(first);
        used.release(again);
        assert_eq!(kept(used.reserve(&BUDGETS, 0, Some(2))), Ok(()));
        assert_eq!(kept(used.reserve(&BUDGETS, 0, Some(0))), Err(BudgetKind::Calls));
        assert_eq!(used.calls(), 2);
    }

    #[test]
    fn a_repeat_that_does_nothing_does_not_give_back_what_happened_before() {
        let budgets = Budgets { calls: 1, ..BUDGETS };
        let used = BudgetUse::default();
        // The effect happened in a first attempt; a second one repeats it with arguments that are refused.
        drop(used.reserve(&budgets, 0, Some(0)).unwrap());
        used.release(used.reserve(&budgets, 0, Some(0)).unwrap());
        assert_eq!(used.calls(), 1);
        assert_eq!(kept(used.reserve(&budgets, 0, Some(1))), Err(BudgetKind::Calls));
    }

    /// A call is slow, its repeat is quick and makes the effect, and then the slow one finds its system unavailable.
    #[test]
    fn a_call_that_does_nothing_does_not_give_back_what_its_repeat_does_meanwhile() {
        let budgets = Budgets { calls: 1, ..BUDGETS };
        let used = BudgetUse::default();
        let slow = used.reserve(&budgets, 0, Some(0)).unwrap();
        drop(used.reserve(&budgets, 0, Some(0)).unwrap());
        used.release(slow);
        assert_eq!(used.calls(), 1);
        assert_eq!(kept(used.reserve(&budgets, 0, Some(1))), Err(BudgetKind::Calls));
    }

    #[test]
    fn parallel_calls_do_not_overspend() {
        let budgets = Budgets { calls: 100, bytes_out: ByteCount(1000), bytes_in: ByteCount(0) };
        let used = BudgetUse::default();
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1000).filter(|_| used.reserve(&budgets, 1, None).is_ok()).count())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
    }
}
