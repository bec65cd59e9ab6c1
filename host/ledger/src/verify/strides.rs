//! Work in strides on several threads, its results taken in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

/// Most threads. More do not help: the tree itself is built by one.
const THREADS: usize = 8;

/// Does `count` strides on as many threads as there are processors and takes their results in order, until `take` has enough. Each thread
/// makes what it needs for itself; a panic of one ends all.
pub(super) fn in_order<W, T: Send>(
    count: u64,
    make: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, u64) -> T + Sync,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    // Bounded, so that a slow taker does not pile up results.
    let (sender, receiver) = mpsc::sync_channel(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, is_over, make, work) = (sender.clone(), &next, &is_over, &make, &work);
            scope.spawn(move || {
                let mut own = make();
                loop {
                    let stride = next.fetch_add(1, Ordering::Relaxed);
                    if stride >= count || is_over.load(Ordering::Relaxed) || sender.send((stride, work(&mut own, stride))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut wanted) = (BTreeMap::new(), 0);
        for (stride, result) in receiver {
            early.insert(stride, result);
            while let Some(result) = early.remove(&wanted) {
                wanted += 1;
                if take(result).is_break() {
                    // Dropping the receiver ends those who wait to send.
                    is_over.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_stop_when_enough() {
        let mut taken = Vec::new();
        in_order(
            100,
            || 0,
            |_, stride| stride,
            |stride| {
                taken.push(stride);
                ControlFlow::Continue(())
            },
        );
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
        taken.clear();
        in_order(
            u64::MAX,
            || 0,
            |_, stride| stride,
            |stride| {
                taken.push(stride);
                if stride == 40 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert_eq!(taken.len(), 41);
    }
}
