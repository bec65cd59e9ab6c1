//! A thread for what reaches out: where guests run and call, there is no network.

use std::future::Future;
use std::io;

/// Lookups of names that are made at one time; the system's cannot be stopped once they have begun.
const LOOKUPS: usize = 16;

/// A runtime of its own.
#[derive(Debug)]
pub(crate) struct Thread {
    /// `None` while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

/// A piece of work on the thread, which ends when nobody waits for it any more.
pub(crate) struct Work<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Thread {
    /// Starts it.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).max_blocking_threads(LOOKUPS).thread_name(name).enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Does work there and waits for it here. Says why it did not come to its end.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
        let runtime = self.runtime.as_ref().ok_or_else(|| "the host is stopping".to_owned())?;
        let mut work = Work(runtime.spawn(work));
        (&mut work.0).await.map_err(|error| format!("the work broke off: {error}"))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped where futures run, and there nothing may be waited for.
            runtime.shutdown_background();
        }
    }
}
