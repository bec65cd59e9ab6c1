//! An upstream that answers from memory, keeps what reached it, and recognises repeats by key as a transactional connector does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_core::capability::{Catalog, Effect, Operation};
use bailiwick_core::connector::{BoxFuture, Connector, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::ids::{Digest, TaskId};
use bailiwick_runtime::Routes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// The customer whose data the tests' runs are about.
pub const CUSTOMER: &str = "C-1042";
/// Somebody else.
pub const OTHER_CUSTOMER: &str = "C-2000";
/// An order of [`CUSTOMER`].
pub const ORDER: &str = "O-1";
/// An order of [`OTHER_CUSTOMER`].
pub const OTHER_ORDER: &str = "O-2";

/// A call that reached the upstream.
#[derive(Debug, Clone)]
pub struct UpstreamCall {
    /// Short name of the operation.
    pub operation: String,
    /// Its arguments.
    pub args: Value,
    /// The key, for effects.
    pub key: Option<String>,
    /// The task.
    pub task: TaskId,
    /// Something was changed: it was no read and no repeat.
    pub took_effect: bool,
}

/// What serves every operation.
#[derive(Default)]
pub struct Upstream {
    calls: Mutex<Vec<UpstreamCall>>,
    stored: Mutex<BTreeMap<String, (Digest, Value)>>,
    next: AtomicU64,
    /// Calls of an operation wait here until the test lets them go on.
    gates: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    /// Answers that a test has put in place of the usual ones.
    answers: Mutex<BTreeMap<String, Result<Value, CallError>>>,
}

impl Upstream {
    /// Routes every operation of a catalog here.
    pub fn routes(self: &Arc<Self>, catalog: &Catalog) -> Routes {
        catalog.iter().map(|operation| (operation.id.clone(), Arc::clone(self) as Arc<dyn Connector>)).collect()
    }

    /// Gives the calls that a task made.
    pub fn of_task(&self, task: &TaskId) -> Vec<UpstreamCall> {
        self.calls.lock().iter().filter(|call| call.task == *task).cloned().collect()
    }

    /// Gives how many calls of an operation took effect.
    pub fn effects(&self, operation: &str) -> usize {
        self.calls.lock().iter().filter(|call| call.operation == operation && call.took_effect).count()
    }

    /// Lets calls of an operation wait; each permit added to the semaphore lets one go on.
    pub fn hold(&self, operation: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.gates.lock().insert(operation.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Answers an operation so from now on.
    pub fn answer(&self, operation: &str, answer: Result<Value, CallError>) {
        self.answers.lock().insert(operation.to_owned(), answer);
    }

    fn perform(&self, call: &ConnectorCall) -> Result<ConnectorAnswer, CallError> {
        let operation = call.operation.short.to_string();
        let key = call.key.map(|key| key.to_hex());
        let stored = key.as_ref().and_then(|key| self.stored.lock().get(key).cloned());
        let entry = UpstreamCall {
            operation: operation.clone(),
            args: Value::clone(&call.args),
            key: key.clone(),
            task: call.origin.task.clone(),
            took_effect: call.operation.spec.effect != Effect::Read && stored.is_none(),
        };
        self.calls.lock().push(entry);
        match stored {
            Some((digest, value)) if digest == call.args_digest() => {
                return Ok(ConnectorAnswer { cached: true, ..ConnectorAnswer::of(value) });
            }
            Some(_) => return Err(CallError::new(GuestError::Conflict(String::new()), "the key is known with other arguments")),
            None => {}
        }
        let put = self.answers.lock().get(&operation).cloned();
        let value = put.unwrap_or_else(|| self.usual(&operation, &call.args))?;
        if let Some(key) = key {
            self.stored.lock().insert(key, (call.args_digest(), value.clone()));
        }
        Ok(ConnectorAnswer { as_of: Some("2026-01-01T00:00:00Z".to_owned()), ..ConnectorAnswer::of(value) })
    }

    fn usual(&self, operation: &str, args: &Value) -> Result<Value, CallError> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let id = args.get("id").and_then(Value::as_str).unwrap_or_default();
        match operation {
            "crm/customers.get" => customer(id).ok_or_else(|| CallError::not_found("no such customer")),
            "orders/orders.get" => order(id).ok_or_else(|| CallError::not_found("no such order")),
            "crm/notes.append" | "notify/messages.send" => Ok(json!(format!("N-{number}"))),
            "crm/notes.void" => Ok(Value::Null),
            other => Err(CallError::unavailable(format!("the test's upstream does not serve `{other}`"))),
        }
    }
}

impl Connector for Upstream {
    fn name(&self) -> &str {
        "upstream"
    }

    fn config_digest(&self) -> Digest {
        Digest::of(b"upstream")
    }

    fn check(&self, _: &Operation) -> Result<(), String> {
        Ok(())
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async move {
            let gate = self.gates.lock().get(&*call.operation.short).cloned();
            if let Some(gate) = gate {
                gate.acquire().await.map_err(|_| CallError::unavailable("the test is over"))?.forget();
            }
            self.perform(&call)
        })
    }
}

/// Gives a customer as the upstream has it.
pub fn customer(id: &str) -> Option<Value> {
    let name = match id {
        CUSTOMER => "Anna Berg",
        OTHER_CUSTOMER => "Otto Fremd",
        _ => return None,
    };
    Some(json!({
        "id": id, "name": name, "email": "anna@example.com", "birth-date": "1980-02-29", "language": "de", "opted-out": false, "deceased": false,
        "tier": "gold", "version": "1", "as-of": "2026-01-01T00:00:00Z",
        "address": {"name": name, "street": "Hauptstr. 1", "postal-code": "10115", "city": "Berlin", "country": "DE"},
    }))
}

/// Gives an order as the upstream has it.
pub fn order(id: &str) -> Option<Value> {
    let customer = match id {
        ORDER => CUSTOMER,
        OTHER_ORDER => OTHER_CUSTOMER,
        _ => return None,
    };
    Some(json!({
        "id": id, "customer": customer, "placed-on": "2025-12-01", "delivered-on": "2025-12-05", "status": "delivered", "version": "1",
        "as-of": "2026-01-01T00:00:00Z", "paid": {"minor-units": 12990, "currency": "EUR"},
        "lines": [{"sku": "S-1", "title": "Boots", "category": "shoes", "quantity": 1, "shipped": 1, "price": {"minor-units": 12990, "currency": "EUR"}}],
    }))
}
