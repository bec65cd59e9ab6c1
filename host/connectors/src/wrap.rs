//! Connectors around connectors: one that waits, one that remembers.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::Connector;
use bailiwick_core::capability::{Effect, Operation};
use bailiwick_core::connector::{BoxFuture, CallOrigin, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::ids::{Digest, IdempotencyKey};
use parking_lot::Mutex;
use serde_json::Value;

/// Most calls that a [`Journal`] keeps; later ones are passed on and not kept.
const MAX_ENTRIES: usize = 10_000;

/// Waits before every call, for demonstrations and for the latency benchmark. The wait counts against the call's deadline.
pub struct Delayed {
    inner: Arc<dyn Connector>,
    latency: Duration,
}

impl Delayed {
    /// Puts a wait of `latency` before every call of `inner`.
    pub fn new(inner: Arc<dyn Connector>, latency: Duration) -> Self {
        Self { inner, latency }
    }
}

impl Connector for Delayed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn config_digest(&self) -> Digest {
        self.inner.config_digest()
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        self.inner.check(operation)
    }

    fn call(&self, mut call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async move {
            let wait = self.latency.min(call.time_left);
            tokio::time::sleep(wait).await;
            call.time_left -= wait;
            if call.time_left.is_zero() {
                let detail = format!("the latency of {:?} used up the time that was left; nothing was done", self.latency);
                return Err(match call.operation.spec.effect {
                    Effect::Read => CallError::new(GuestError::Timeout, detail),
                    Effect::Write | Effect::Final => CallError::unavailable(detail),
                });
            }
            self.inner.call(call).await
        })
    }
}

/// Remembers what reached a connector, so that a test can prove it.
pub struct Journal {
    inner: Arc<dyn Connector>,
    entries: Mutex<Vec<JournalEntry>>,
}

/// A call that reached a connector.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// The operation, in short form.
    pub operation: String,
    /// The arguments.
    pub args: Arc<Value>,
    /// The key, for an effect.
    pub key: Option<IdempotencyKey>,
    /// On whose behalf.
    pub origin: CallOrigin,
    /// What the connector gave back; `None` while it has not, or when nobody waited for it.
    pub result: Option<Result<ConnectorAnswer, CallError>>,
}

impl Journal {
    /// Puts a journal around a connector.
    pub fn around(inner: Arc<dyn Connector>) -> Arc<Self> {
        Arc::new(Self { inner, entries: Mutex::new(Vec::new()) })
    }

    /// Gives the calls so far, in the order in which they arrived; at most 10,000.
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.entries.lock().clone()
    }

    /// Gives the operations of the calls so far, in short form.
    pub fn operations(&self) -> Vec<String> {
        self.entries.lock().iter().map(|entry| entry.operation.clone()).collect()
    }
}

impl Connector for Journal {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn config_digest(&self) -> Digest {
        self.inner.config_digest()
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        self.inner.check(operation)
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async move {
            let entry = JournalEntry {
                operation: call.operation.short.to_string(),
                args: call.args.clone(),
                key: call.key,
                origin: call.origin.clone(),
                result: None,
            };
            let index = {
                let mut entries = self.entries.lock();
                (entries.len() < MAX_ENTRIES).then(|| {
                    entries.push(entry);
                    entries.len() - 1
                })
            };
            let result = self.inner.call(call).await;
            if let Some(index) = index
                && let Some(entry) = self.entries.lock().get_mut(index)
            {
                entry.result = Some(result.clone());
            }
            result
        })
    }
}
