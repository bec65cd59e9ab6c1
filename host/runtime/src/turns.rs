//! Yielding so that nobody else is disturbed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use parking_lot::Mutex;

/// A future whose yields go to the end of its own thread's queue.
///
/// wasmtime lets a guest yield by waking its task while it is polled. tokio takes that for new work, and wakes a second thread to share it:
/// a lone endless loop then went to and fro between two threads at every yield, and kept two processors busy where it has a right to one.
/// Whatever else ran there (the timers of the I/O runtime) waited for a turn of several milliseconds. A yield by
/// [`tokio::task::yield_now`] lets other work of the thread go first and wakes nobody.
///
/// At each yield the clock is looked at, and after the deadline the inner future is not polled again: a timer alone would be fired by another
/// thread, which may have to wait for the processor that the guest keeps. It does not replace a timer: a future that waits is not polled.
pub(crate) struct InTurns<'f, F> {
    inner: Pin<&'f mut F>,
    bell: Arc<Bell>,
    deadline: Instant,
}

/// The future yielded at its deadline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overdue;

/// What the inner future wakes.
#[derive(Default)]
struct Bell {
    is_polling: AtomicBool,
    rang: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::SeqCst);
        // INVARIANT: no ring is lost. Either this sees that the poll is over and wakes the task, or the poll's end comes later in the one
        // order of all four accesses, and then sees `rang`.
        if !self.is_polling.load(Ordering::SeqCst)
            && let Some(outer) = &*self.outer.lock()
        {
            outer.wake_by_ref();
        }
    }
}

impl<'f, F: Future> InTurns<'f, F> {
    /// Wraps a future.
    pub(crate) fn new(inner: Pin<&'f mut F>, deadline: Instant) -> Self {
        Self { inner, bell: Arc::default(), deadline }
    }
}

impl<F: Future> Future for InTurns<'_, F> {
    type Output = Result<F::Output, Overdue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let bell = Arc::clone(&self.bell);
        {
            let mut outer = bell.outer.lock();
            if !outer.as_ref().is_some_and(|outer| outer.will_wake(cx.waker())) {
                *outer = Some(cx.waker().clone());
            }
        }
        bell.rang.store(false, Ordering::SeqCst);
        bell.is_polling.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&bell));
        let polled = self.inner.as_mut().poll(&mut Context::from_waker(&waker));
        bell.is_polling.store(false, Ordering::SeqCst);
        if polled.is_pending() && bell.rang.load(Ordering::SeqCst) {
            if Instant::now() >= self.deadline {
                return Poll::Ready(Err(Overdue));
            }
            // Its first poll has the task woken after everything else that is ready; the rest of it is never needed.
            let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
        }
        polled.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Yields as wasmtime does.
    async fn yield_loudly() {
        let mut is_over = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut is_over, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn a_lone_task_stays_where_it_is() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let work = async {
            let mut moves = 0;
            let work = async {
                let mut before = std::thread::current().id();
                let until = Instant::now() + Duration::from_millis(50);
                while Instant::now() < until {
                    std::hint::black_box((0..10_000).sum::<u64>());
                    yield_loudly().await;
                    let now = std::thread::current().id();
                    moves += u32::from(now != before);
                    before = now;
                }
            };
            InTurns::new(std::pin::pin!(work), later()).await.unwrap();
            moves
        };
        // Without turns there are thousands; a few come from threads that are just starting.
        let moves = runtime.block_on(async { tokio::spawn(work).await.unwrap() });
        assert!(moves < 20, "{moves} moves");
    }

    #[tokio::test]
    async fn others_have_their_turn() {
        let endless = tokio::spawn(async {
            let work = async {
                loop {
                    yield_loudly().await;
                }
            };
            InTurns::new(std::pin::pin!(work), later()).await
        });
        // One thread: this goes on only where the other lets it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        endless.abort();
        assert!(endless.await.unwrap_err().is_cancelled());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_ring_from_elsewhere_is_never_lost() {
        for _ in 0..2_000 {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let waits = tokio::spawn(async move { InTurns::new(std::pin::pin!(receiver), later()).await });
            std::thread::scope(|scope| {
                scope.spawn(|| sender.send(7).unwrap());
            });
            let came = tokio::time::timeout(Duration::from_secs(10), waits).await;
            assert_eq!(came.unwrap().unwrap(), Ok(Ok(7)));
        }
    }

    #[tokio::test]
    async fn who_yields_after_the_deadline_is_not_polled_again() {
        let mut polls = 0;
        let work = async {
            loop {
                polls += 1;
                yield_loudly().await;
            }
        };
        let ended: Result<(), Overdue> = InTurns::new(std::pin::pin!(work), Instant::now()).await;
        assert_eq!((ended, polls), (Err(Overdue), 1));
    }
}
