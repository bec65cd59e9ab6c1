//! The signals with which a person or a service manager asks this program to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::display::Notes;
use crate::exit::Exit;
use crate::fault::{Fault, Result};

/// Hears SIGINT, SIGTERM and SIGHUP.
///
/// A signal is left to whoever waits in [`Stop::wait`], once. Any other ends the program at once with [`Exit::Stopped`]: before a task has begun and
/// after the last has ended nothing is lost by that, and who asks twice does not want to wait.
#[derive(Debug)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_awaited: AtomicBool,
    asked: Notify,
}

impl Stop {
    /// Begins to listen, on a thread of its own: the program may be busy in any way when it is asked to stop.
    ///
    /// # Errors
    /// When the system gives no thread or takes no handler.
    pub fn listen(notes: &Notes) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        start(Arc::clone(&shared), notes.clone()).map_err(|error| Fault::internal(format!("signals cannot be heard: {error}")))?;
        Ok(Self(shared))
    }

    /// Waits for a signal. It counts from this call on, not from the first poll, until the future is dropped.
    pub fn wait(&self) -> impl Future<Output = ()> {
        /// Leaves signals to nobody again.
        struct Waiting(Arc<Shared>);
        impl Drop for Waiting {
            fn drop(&mut self) {
                self.0.is_awaited.store(false, Ordering::SeqCst);
            }
        }
        self.0.is_awaited.store(true, Ordering::SeqCst);
        let waiting = Waiting(Arc::clone(&self.0));
        async move { waiting.0.asked.notified().await }
    }
}

fn start(shared: Arc<Shared>, notes: Notes) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let ignored = ignored();
    let mut heard = Vec::new();
    {
        let _inside = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            // Ignored by whoever started us, as `nohup` does: that wish stands.
            if ignored & (1 << (kind.as_raw_value() - 1)) == 0 {
                heard.push(signal(kind)?);
            }
        }
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(hear(heard, &shared, &notes)))?;
    Ok(())
}

async fn hear(mut signals: Vec<Signal>, shared: &Shared, notes: &Notes) {
    loop {
        std::future::poll_fn(|context| {
            let is_any = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if is_any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        if shared.is_awaited.swap(false, Ordering::SeqCst) {
            shared.asked.notify_one();
        } else {
            notes.leave(|| std::process::exit(Exit::Stopped.code().into()));
        }
    }
}

/// Gives the signals that are ignored, the lowest bit for number 1. Where the system does not tell, none is.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
