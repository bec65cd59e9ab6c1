//! What serves a capability. Connectors reach out; the gate is the only one that calls them.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capability::Operation;
use crate::error::CallError;
use crate::ids::{Digest, IdempotencyKey, RunId, StepPath, SubjectId, TaskId, TenantId};

/// A future that can move between threads, boxed so that traits with it have objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// On whose behalf a call is made. Connectors scope by tenant; the rest is for their own journals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOrigin {
    /// The tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// The task.
    pub task: TaskId,
    /// Whose data the run is about.
    pub subject: Option<SubjectId>,
}

/// A call that the gate has counted, checked and recorded.
#[derive(Debug, Clone)]
pub struct ConnectorCall {
    /// The operation.
    pub operation: Arc<Operation>,
    /// Arguments by name, in the JSON form of [`crate::signature`].
    pub args: Arc<Value>,
    /// Set for `write` and `final`. The connector stores it with [`ConnectorCall::args_digest`] and the outcome: the same key with the same
    /// digest gives the stored outcome again, with another digest a `conflict`.
    pub key: Option<IdempotencyKey>,
    /// Time left. The gate drops the future when it is over; a connector that cannot be dropped in the middle of an effect checks it first.
    pub time_left: Duration,
    /// Most bytes that the answer may have, as canonical JSON. A connector stops reading beyond.
    pub max_result_bytes: u64,
    /// On whose behalf.
    pub origin: CallOrigin,
}

impl ConnectorCall {
    /// Computes the digest of the canonical arguments. Not kept in the call: reads, which are the most, need none.
    pub fn args_digest(&self) -> Digest {
        crate::canonical::digest(&self.args)
    }
}

/// What a connector gives back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorAnswer {
    /// The `ok` payload in the JSON form of [`crate::signature`]; null where the operation gives nothing.
    pub value: Value,
    /// The key was known: this is the stored outcome and nothing happened again.
    pub cached: bool,
    /// Prior values that an undo needs, for a `write`.
    pub prior: Option<Value>,
    /// Version of the changed thing after a `write`.
    pub version: Option<String>,
    /// When the data were read or written, RFC 3339, where the system behind says so.
    pub as_of: Option<String>,
    /// Documents that came into being.
    pub artifacts: Vec<Artifact>,
}

impl ConnectorAnswer {
    /// Makes an answer that is only a value.
    pub fn of(value: Value) -> Self {
        Self { value, cached: false, prior: None, version: None, as_of: None, artifacts: Vec::new() }
    }
}

/// A document that a call made, for the account of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is, for example `label` or `mail`.
    pub kind: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What serves one or more operations.
///
/// The future is polled where the guest runs: a connector does blocking or network work on threads of its own and only
/// waits here. It must be safe to drop at every await point.
pub trait Connector: Send + Sync {
    /// Name of the connector in the project file.
    fn name(&self) -> &str;

    /// Digest of everything that configures the connector, for the ledger.
    fn config_digest(&self) -> Digest;

    /// Says whether the connector serves an operation; asked once, when a project is loaded.
    ///
    /// # Errors
    /// When it does not, or its declaration does not fit the operation (effect, parameters, result); the text says what to do.
    fn check(&self, operation: &Operation) -> Result<(), String>;

    /// Performs a call.
    ///
    /// # Errors
    /// The typed reason; see [`CallError`].
    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>>;
}
