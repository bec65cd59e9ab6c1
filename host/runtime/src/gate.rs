//! THE GATE: the one function that every call out of a sandbox passes.
//!
//! Its five acts, in this order: **count** the call against the task's limits and budgets, **check** it against the
//! grants and the policy in force, **record** the intent, **act** through a connector, **bound and record** the outcome.
//! Ambient functions (WASI, the task's own) pass it too: they are counted and bounded by the same meters, served by the
//! host itself and recorded in the task's transcript.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bailiwick_core::budget::{BudgetUse, Reserved};
use bailiwick_core::canonical;
use bailiwick_core::capability::{Dedupe, Effect, Operation};
use bailiwick_core::connector::{Artifact, Connector, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{BudgetKind, CallError, ERROR_BYTES_MOST, GuestError};
use bailiwick_core::grant::Refusal;
use bailiwick_core::ids::{IdempotencyKey, PolicyVersion, Seq};
use bailiwick_core::limits::LimitKind;
use bailiwick_core::policy::{CallFacts, Decision};
use bailiwick_core::record::{CallOutcome, Fields, Part, RecordKind, Verdict};
use bailiwick_core::runner::{CallSummary, EndReason, Source};
use bailiwick_core::signature::{Signature, WitType};
use bailiwick_core::text;
use serde_json::{Map, Value, json};
use wasmtime::StoreContextMut;
use wasmtime::component::Val;

use crate::host::{Ended, HeldGrant, Host, InFlight, micros};
use crate::{ambient, delegate, json};

/// Most bytes of a denied call's arguments that are kept. What a guest is denied must not fill the disk.
const DENIED_ARGS_KEPT: u64 = 4 * 1024;
/// Denials of one task whose arguments are kept; of further ones only the envelope is.
const DENIALS_WITH_ARGS: u32 = 100;

/// What stands behind an imported function.
pub(crate) enum Target {
    /// A capability.
    Capability(Capability),
    /// An ambient function, served by the host.
    Ambient(ambient::Function),
    /// A WASI function that is linked as always denied.
    Stub,
}

/// A capability's operation and the connector that serves it.
pub(crate) struct Capability {
    pub operation: Arc<Operation>,
    /// `None` where the project has no connector for the operation.
    pub connector: Option<Arc<dyn Connector>>,
    /// Index into the task's ordinals.
    pub slot: usize,
}

/// An imported function.
pub(crate) struct Import {
    /// Full name, for records.
    pub name: Arc<str>,
    pub signature: Signature,
    pub target: Target,
}

/// Lets a call pass, or not.
pub(crate) async fn pass(
    mut store: StoreContextMut<'_, Host>,
    import: &Import,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    store.data_mut().count_call()?;
    store.data_mut().take_turns().await;
    store.data_mut().wait_for_ledger().await?;
    match &import.target {
        Target::Ambient(function) => ambient::serve(store, *function, import, params, results),
        Target::Stub => ambient::deny_stub(store, import, params, results),
        Target::Capability(capability) => {
            let reply = call(&mut store, capability, import, params).await?;
            // The clock is looked at when a call returns: a connector that answers too late must not help its guest on.
            let host = store.data_mut();
            if host.time_left().is_zero() && host.scope.is_some() {
                return Err(Ended::limit(LimitKind::Deadline, format!("{} are over", host.limits.deadline)));
            }
            lower(import, reply, results)
        }
    }
}

/// A call on its way through the acts.
struct Passage<'a> {
    capability: &'a Capability,
    args: Arc<Value>,
    args_bytes: u64,
    ordinal: u32,
    /// Index of the grant in force.
    grant: usize,
    /// Set where a repeat of the effect is recognised.
    effect: Option<u32>,
    /// What the call took of its grant's budget, and of those that the grant was made from; taken out when it is given back.
    reserved: Option<Taken>,
    /// What was used under the grant before this call.
    before: Before,
    started: Instant,
}

/// What a policy may ask about the use of a grant.
#[derive(Clone, Copy)]
struct Used {
    calls: u64,
    bytes_out: u64,
}

impl Used {
    fn of(used: &BudgetUse) -> Self {
        Self { calls: used.calls(), bytes_out: used.bytes_out() }
    }
}

/// What was used before a call: under its grant, and under those that the grant was made from.
struct Before {
    own: Used,
    above: Vec<Used>,
}

impl Before {
    fn of(host: &Host, grant: usize) -> Self {
        let Some(held) = host.grants.get(grant) else { return Self { own: Used { calls: 0, bytes_out: 0 }, above: Vec::new() } };
        Self { own: Used::of(&held.used), above: held.above.iter().map(|above| Used::of(&above.used)).collect() }
    }
}

async fn call(
    store: &mut StoreContextMut<'_, Host>,
    capability: &Capability,
    import: &Import,
    params: &[Val],
) -> wasmtime::Result<Result<Option<Val>, CallError>> {
    let fuel = fuel_used(store);
    let host = store.data_mut();
    let args = match arguments(import, params) {
        Ok(args) => Arc::new(args),
        Err(misfit) => return unreadable(host, capability, &misfit, fuel).map(Err),
    };
    if host.scope.is_none() {
        return Ok(Err(CallError::new(
            GuestError::Denied("describe".to_owned()),
            "no capability answers while a component describes itself",
        )));
    }
    let ordinal = next_ordinal(host, capability.slot);
    let started = Instant::now();
    let mut plan = None;
    let checked = check(host, capability, &args).and_then(|grant| {
        if delegate::is_delegation(&capability.operation) {
            plan = delegate::plan(host, &capability.operation, &args, ordinal).map_err(|mut refused| {
                // It quotes what the guest named.
                text::cut(&mut refused.detail, ERROR_BYTES_MOST);
                Denial {
                    rule: refused.rule.into(),
                    detail: refused.detail,
                    is_security_event: true,
                    grant: Some(grant),
                    policy_version: None,
                }
            })?;
        }
        Ok(grant)
    });
    let mut passage = match checked {
        Ok(grant) => {
            let operation = &capability.operation;
            let once = operation.spec.effect != Effect::Read && operation.spec.dedupe != Some(Dedupe::None);
            let args_bytes = canonical::size(&args);
            let before = Before::of(host, grant);
            Passage { capability, args, args_bytes, ordinal, grant, effect: once.then_some(ordinal), reserved: None, before, started }
        }
        Err(denial) => return deny(host, capability, &args, ordinal, &denial, fuel).map(Err),
    };
    if let Some(error) = reserve(host, &mut passage, fuel)? {
        return Ok(Err(error));
    }
    let intent = record_intent(host, &passage, fuel).await?;
    let answer = if delegate::is_delegation(&capability.operation) {
        delegate::act(store, &capability.operation.id.function, &passage.args, plan).await
    } else {
        act(host, &passage, intent).await
    };
    let host = store.data_mut();
    let reply = conclude(host, &mut passage, intent, answer)?;
    Ok(match reply {
        Ok(admitted) => {
            note(host, &passage, "ok", None, admitted.artifacts);
            Ok(admitted.val)
        }
        Err(error) => {
            note(host, &passage, error.guest.case(), Some(error.detail.clone()), Vec::new());
            Err(error)
        }
    })
}

/// Records a call whose arguments have no JSON form, an infinite number for example: no grant can say anything of them.
fn unreadable(host: &mut Host, capability: &Capability, misfit: &json::Misfit, fuel: u64) -> wasmtime::Result<CallError> {
    let ordinal = next_ordinal(host, capability.slot);
    let fields = Fields {
        operation: Some(Arc::clone(&capability.operation.full)),
        ordinal: Some(ordinal),
        outcome: Some(CallOutcome::Error),
        reason: Some("invalid".into()),
        fuel: Some(fuel),
        ..Fields::default()
    };
    host.record(RecordKind::CallOutcome, fields, None)?;
    Ok(CallError::invalid("arguments", misfit.to_string()))
}

/// Gives the arguments as an object by parameter name.
fn arguments(import: &Import, params: &[Val]) -> Result<Value, json::Misfit> {
    let mut map = Map::new();
    for ((name, ty), val) in import.signature.params.iter().zip(params) {
        map.insert(name.clone(), json::from_val(val, ty)?);
    }
    Ok(Value::Object(map))
}

fn next_ordinal(host: &mut Host, slot: usize) -> u32 {
    let Some(next) = host.ordinals.get_mut(slot) else { return 0 };
    let ordinal = *next;
    // Cannot wrap: the limit on host calls lies far below.
    *next = next.saturating_add(1);
    ordinal
}

fn fuel_used(store: &StoreContextMut<'_, Host>) -> u64 {
    store.data().limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0))
}

/// Why a call is denied.
struct Denial {
    rule: Arc<str>,
    detail: String,
    is_security_event: bool,
    grant: Option<usize>,
    /// The version of the policy that forbids, where a policy does.
    policy_version: Option<PolicyVersion>,
}

/// Finds the grant under which the call is permitted.
fn check(host: &mut Host, capability: &Capability, args: &Value) -> Result<usize, Denial> {
    let operation = &capability.operation;
    let Some(scope) = &host.scope else {
        return Err(Denial { rule: "no-task".into(), detail: String::new(), is_security_event: false, grant: None, policy_version: None });
    };
    let now_ms = scope.started_ms + u64::try_from(scope.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut refused: Option<(usize, Refusal)> = None;
    let mut found = None;
    for (index, held) in host.grants.iter().enumerate().filter(|(_, held)| held.operation.id == operation.id) {
        match held.grant.check_arguments(operation, args, now_ms) {
            Ok(()) => {
                found = Some(index);
                break;
            }
            Err(refusal) => refused = refused.or(Some((index, refusal))),
        }
    }
    if let Some(index) = found {
        return check_policy(host, operation, index, args, &Before::of(host, index)).map(|()| index);
    }
    Err(match refused {
        None => Denial {
            rule: "no-grant".into(),
            detail: format!("the step does not grant `{}`", operation.short),
            is_security_event: true,
            grant: None,
            policy_version: None,
        },
        Some((index, refusal)) => Denial {
            rule: "grant-conditions".into(),
            is_security_event: matches!(refusal, Refusal::Condition { names_another: true, .. }),
            detail: refusal.to_string(),
            grant: Some(index),
            policy_version: None,
        },
    })
}

/// Asks the policy where it, or a freeze, changed since the grant was issued, or where a rule reads something of the call. A call of a delegated task is
/// asked for each task above it too, as if that one made it: what it may not do itself, it cannot have done. `used` is what was used under each grant
/// before this call, the own one first.
fn check_policy(host: &mut Host, operation: &Operation, index: usize, args: &Value, used: &Before) -> Result<(), Denial> {
    let (Some(scope), Some(held)) = (&host.scope, host.grants.get_mut(index)) else { return Ok(()) };
    let own = (&mut held.grant, &scope.policy_context, &used.own);
    let above = held.above.iter_mut().zip(&used.above).map(|(above, used)| (&mut above.grant, &above.context, used));
    for (grant, context, used) in std::iter::once(own).chain(above) {
        let facts = CallFacts { args, labels: &scope.labels, calls: used.calls, bytes_out: used.bytes_out };
        match scope.policy.at_call(context, operation, grant, &facts) {
            None => {}
            Some(Decision::Permit(permit)) => Arc::make_mut(grant).renew(permit),
            Some(Decision::Forbid { rules, reason: mut detail, policy_version }) => {
                text::cut(&mut detail, ERROR_BYTES_MOST);
                let policy_version = Some(policy_version);
                let rule = rules.join(", ").into();
                return Err(Denial { rule, detail, is_security_event: true, grant: Some(index), policy_version });
            }
        }
    }
    Ok(())
}

/// Records a denial; the guest learns only a reference.
fn deny(
    host: &mut Host,
    capability: &Capability,
    args: &Arc<Value>,
    ordinal: u32,
    denial: &Denial,
    fuel: u64,
) -> wasmtime::Result<CallError> {
    let reference = host.reference("denied");
    let held = denial.grant.and_then(|index| host.grants.get(index));
    let fields = Fields {
        operation: Some(Arc::clone(&capability.operation.full)),
        ordinal: Some(ordinal),
        outcome: Some(CallOutcome::Denied),
        decision: Some(Verdict::Forbid),
        rule: Some(Arc::clone(&denial.rule)),
        // The grant may rest on an older one than the version that forbids now.
        policy_version: denial.policy_version.clone().or_else(|| held.map(|held| held.grant.policy_version().clone())),
        grant: held.map(|held| held.grant.id().clone()),
        reference: Some(Arc::clone(&reference)),
        fuel: Some(fuel),
        ..Fields::default()
    };
    host.denials = host.denials.saturating_add(1);
    host.denied_calls = host.denied_calls.saturating_add(1);
    let kept = if host.denials > DENIALS_WITH_ARGS {
        None
    } else if canonical::size(args) > DENIED_ARGS_KEPT {
        Some(Arc::new(json!({ "bytes": canonical::size(args), "digest": canonical::digest(args) })))
    } else {
        Some(Arc::clone(args))
    };
    let payload = kept.map(|args| vec![("args", args.into()), ("detail", json!(denial.detail).into())]);
    host.record(RecordKind::CallOutcome, fields.clone(), payload)?;
    if denial.is_security_event {
        host.record(RecordKind::SecurityEvent, Fields { reason: Some("call-outside-grant".into()), ..fields }, None)?;
    }
    let error = CallError::new(GuestError::Denied(reference.to_string()), denial.detail.clone());
    host.summarise(CallSummary {
        operation: capability.operation.short.to_string(),
        result: "denied".to_owned(),
        detail: Some(denial.detail.clone()),
        time_us: 0,
        artifacts: Vec::new(),
    });
    Ok(error)
}

/// What a call took of the budgets of its grant, and of those that the grant was made from.
struct Taken {
    own: Reserved,
    above: Vec<Reserved>,
}

impl Taken {
    /// Gives it back.
    fn release(self, held: &HeldGrant) {
        held.used.release(self.own);
        held.above.iter().zip(self.above).for_each(|(above, reserved)| above.used.release(reserved));
    }
}

/// Takes a call out of the budgets of a grant and of those that it was made from: all of them, or none.
fn take(held: &HeldGrant, bytes: u64, effect: Option<u32>) -> Result<Taken, BudgetKind> {
    let own = held.used.reserve(&held.grant.scope().budgets, bytes, effect)?;
    let mut taken = Taken { own, above: Vec::new() };
    for above in &held.above {
        match above.used.reserve(&above.grant.scope().budgets, bytes, effect.map(|ordinal| above.effect(ordinal))) {
            Ok(reserved) => taken.above.push(reserved),
            Err(kind) => {
                taken.release(held);
                return Err(kind);
            }
        }
    }
    Ok(taken)
}

/// Counts the call against the budgets of its grant.
fn reserve(host: &mut Host, passage: &mut Passage<'_>, fuel: u64) -> wasmtime::Result<Option<CallError>> {
    let Some(held) = host.grants.get(passage.grant) else { return Ok(None) };
    let kind = match take(held, passage.args_bytes, passage.effect) {
        Ok(reserved) => {
            for calls in std::iter::once(&held.calls).chain(held.above.iter().map(|above| &above.calls)) {
                calls.fetch_add(1, Ordering::Relaxed);
            }
            passage.reserved = Some(reserved);
            return Ok(None);
        }
        Err(kind) => kind,
    };
    let fields = Fields {
        operation: Some(Arc::clone(&passage.capability.operation.full)),
        ordinal: Some(passage.ordinal),
        outcome: Some(CallOutcome::Denied),
        decision: Some(Verdict::Forbid),
        rule: Some("budget".into()),
        grant: Some(held.grant.id().clone()),
        fuel: Some(fuel),
        ..Fields::default()
    };
    let error =
        CallError::new(GuestError::Budget(kind), format!("the step's budget for `{}` is used up", passage.capability.operation.short));
    host.denials = host.denials.saturating_add(1);
    host.record(RecordKind::CallOutcome, fields, None)?;
    note(host, passage, "budget", Some(error.detail.clone()), Vec::new());
    Ok(Some(error))
}

async fn record_intent(host: &mut Host, passage: &Passage<'_>, fuel: u64) -> wasmtime::Result<Seq> {
    let operation = &passage.capability.operation;
    let held = host.grants.get(passage.grant);
    let fields = Fields {
        operation: Some(Arc::clone(&operation.full)),
        ordinal: Some(passage.ordinal),
        decision: Some(Verdict::Permit),
        policy_version: held.map(|held| held.grant.policy_version().clone()),
        grant: held.map(|held| held.grant.id().clone()),
        fuel: Some(fuel),
        ..Fields::default()
    };
    let seq = host.record(RecordKind::CallIntent, fields, Some(vec![("args", Arc::clone(&passage.args).into())]))?.unwrap_or(Seq(0));
    host.in_flight = Some(InFlight { intent: seq, operation: Arc::clone(operation), ordinal: passage.ordinal });
    // INVARIANT: nothing that is not a read leaves the host before its intent is on disk.
    if operation.spec.effect != Effect::Read
        && let Err(error) = host.wait_for_disk(seq).await
    {
        // Nothing left: there is nothing whose outcome would be unknown.
        host.in_flight = None;
        return Err(error);
    }
    Ok(seq)
}

async fn act(host: &mut Host, passage: &Passage<'_>, intent: Seq) -> Result<ConnectorAnswer, CallError> {
    let operation = &passage.capability.operation;
    let Some(connector) = &passage.capability.connector else {
        return Err(CallError::unavailable(format!("no connector of the project serves `{}`", operation.short)));
    };
    let (Some(scope), Some(held)) = (&host.scope, host.grants.get(passage.grant)) else {
        return Err(CallError::unavailable("no task"));
    };
    // A tenth is kept back, so that the agent can still answer when a system behind does not.
    let time_left = host.time_left().mul_f32(0.9);
    let key = (operation.spec.effect != Effect::Read)
        .then(|| IdempotencyKey::new(&scope.origin.tenant, &scope.origin.run, &scope.origin.step, &operation.full, passage.ordinal));
    // Where an owner is checked, what is left of the budget counts after that: a foreign answer that is too large for it would
    // else tell that it exists.
    let most = host.limits.host_buffer.0;
    let max_result_bytes = match held.grant.scope().owner {
        Some(_) => most,
        None => {
            let own = held.used.bytes_in_left(&held.grant.scope().budgets);
            held.above.iter().fold(own, |left, above| left.min(above.used.bytes_in_left(&above.grant.scope().budgets))).min(most)
        }
    };
    let call = ConnectorCall {
        operation: Arc::clone(operation),
        args: Arc::clone(&passage.args),
        key,
        time_left,
        max_result_bytes,
        origin: scope.origin.clone(),
    };
    let waiting = Instant::now();
    let answer = within(connector.call(call), time_left).await;
    host.usage.connector_us += micros(waiting.elapsed());
    // What a system behind says of a failure is kept and shown, so it is bounded.
    answer.map(|answer| answer.map_err(CallError::bounded)).unwrap_or_else(|| {
        let detail = format!("no answer within {}ms", time_left.as_millis());
        Err(match operation.spec.effect {
            Effect::Read => CallError::new(GuestError::Timeout, detail),
            Effect::Write | Effect::Final => CallError::new(GuestError::Indeterminate(format!("intent-{intent}")), detail),
        })
    })
}

/// Waits for a future, but not longer. An answer that is there at once costs no timer.
async fn within<T>(mut future: bailiwick_core::BoxFuture<'_, T>, time: Duration) -> Option<T> {
    if let std::task::Poll::Ready(value) = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await {
        return Some(value);
    }
    tokio::time::timeout(time, future).await.ok()
}

/// An answer that may go on to the guest.
struct Admitted {
    value: Arc<Value>,
    val: Option<Val>,
    artifacts: Vec<Artifact>,
}

/// Bounds the answer, checks its owner and records the outcome.
fn conclude(
    host: &mut Host,
    passage: &mut Passage<'_>,
    intent: Seq,
    answer: Result<ConnectorAnswer, CallError>,
) -> wasmtime::Result<Result<Admitted, CallError>> {
    host.in_flight = None;
    let operation = &passage.capability.operation;
    let mut fields = Fields {
        operation: Some(Arc::clone(&operation.full)),
        ordinal: Some(passage.ordinal),
        intent: Some(intent),
        duration_us: Some(micros(passage.started.elapsed())),
        ..Fields::default()
    };
    let mut payload: Vec<(&'static str, Part)> = Vec::new();
    let mut as_of = None;
    let mut is_foreign = false;
    // The policy may be another since the call left; see below.
    let withdrawn = recheck(host, operation, passage);
    let admitted = answer.and_then(|mut answer| {
        fields.outcome = Some(if answer.cached { CallOutcome::Cached } else { CallOutcome::Ok });
        payload.extend(answer.prior.take().map(|prior| ("prior", prior.into())));
        payload.extend(answer.version.take().map(|version| ("version", json!(version).into())));
        payload.extend(answer.as_of.as_ref().map(|as_of| ("as-of", json!(as_of).into())));
        payload.extend(operation.spec.undo.as_ref().map(|undo| ("undo", json!(undo).into())));
        as_of = answer.as_of.take();
        // Before its bytes count: what is left of a budget would tell that something of somebody else exists.
        if !host.grants.get(passage.grant).is_some_and(|held| held.grant.owner_holds(operation, &answer.value)) {
            is_foreign = true;
            return Err(CallError::not_found("the answer belongs to someone else than the grant's owner"));
        }
        admit(host, passage, answer)
    });
    let reply = match admitted {
        Err(error) if is_foreign => {
            // Not-found and not yours must look the same to the guest: what exists elsewhere is nobody's business here.
            fields.outcome = Some(CallOutcome::Denied);
            fields.decision = Some(Verdict::Forbid);
            fields.rule = Some("owner".into());
            host.record(RecordKind::SecurityEvent, Fields { reason: Some("foreign-owner".into()), ..fields.clone() }, None)?;
            Err(error)
        }
        Ok(admitted) => {
            payload.push(("result", Arc::clone(&admitted.value).into()));
            Ok(admitted)
        }
        Err(mut error) => {
            refused(&mut fields, operation.spec.effect, &error.guest);
            if let GuestError::Denied(given) = &mut error.guest {
                // A connector refuses what only it can see, where a name leads for example. To the guest it is a denial like any other.
                let reference = host.reference("denied");
                *given = reference.to_string();
                fields.outcome = Some(CallOutcome::Denied);
                fields.decision = Some(Verdict::Forbid);
                fields.rule = Some("connector".into());
                fields.reference = Some(reference);
                host.denied_calls = host.denied_calls.saturating_add(1);
                host.record(RecordKind::SecurityEvent, Fields { reason: Some("denied-by-connector".into()), ..fields.clone() }, None)?;
            }
            payload.push(("error", json!(error).into()));
            give_back(host, passage, &error.guest);
            Err(error)
        }
    };
    if let Err(denial) = withdrawn {
        return withdraw(host, operation.spec.effect, fields, payload, reply.is_ok(), denial).map(Err);
    }
    if let Ok(admitted) = &reply {
        fields.labels = host.read_labels(operation, &admitted.value);
        if operation.spec.effect == Effect::Read && host.sources.len() < crate::host::CALLS_SHOWN {
            host.sources.push(Source { operation: operation.short.to_string(), as_of });
        }
    }
    host.record(RecordKind::CallOutcome, fields, (!payload.is_empty()).then_some(payload))?;
    Ok(reply)
}

/// Says on record why a call gave its caller nothing.
fn refused(fields: &mut Fields, effect: Effect, error: &GuestError) {
    if effect != Effect::Read && fields.outcome.is_some() {
        // The connector has acted, and only its answer is refused: an effect that has happened is no error.
        fields.reason = Some("not-delivered".into());
        return;
    }
    let unknown = matches!(error, GuestError::Indeterminate(_));
    fields.outcome = Some(if unknown { CallOutcome::Indeterminate } else { CallOutcome::Error });
    fields.reason = Some(error.case().into());
}

/// Keeps back what came of a call that is forbidden meanwhile: what has happened has happened and is on record as such, and the guest learns
/// nothing of it. That there is no such thing, or why it failed, would be something.
fn withdraw(
    host: &mut Host,
    effect: Effect,
    mut fields: Fields,
    payload: Vec<(&'static str, Part)>,
    was_given: bool,
    denial: Denial,
) -> wasmtime::Result<CallError> {
    fields.decision = Some(Verdict::Forbid);
    fields.rule = Some(denial.rule);
    fields.policy_version = denial.policy_version;
    if effect == Effect::Read {
        fields.outcome = Some(CallOutcome::Denied);
    }
    if was_given || effect == Effect::Read {
        fields.reason = Some("not-delivered".into());
    }
    host.denied_calls = host.denied_calls.saturating_add(1);
    host.record(RecordKind::SecurityEvent, Fields { reason: Some("withdrawn-in-flight".into()), ..fields.clone() }, None)?;
    host.record(RecordKind::CallOutcome, fields, (!payload.is_empty()).then_some(payload))?;
    Ok(CallError::new(GuestError::Revoked, denial.detail))
}

/// Asks the policy again where it, or a freeze, changed while the call was out.
fn recheck(host: &mut Host, operation: &Operation, passage: &Passage<'_>) -> Result<(), Denial> {
    match (&host.scope, host.grants.get(passage.grant)) {
        (Some(scope), Some(held))
            if !scope.policy.stands(&held.grant) || held.above.iter().any(|above| !scope.policy.stands(&above.grant)) => {}
        _ => return Ok(()),
    }
    check_policy(host, operation, passage.grant, &passage.args, &passage.before)
}

/// Checks size, budget and type of an answer before anything else looks at it.
fn admit(host: &Host, passage: &Passage<'_>, answer: ConnectorAnswer) -> Result<Admitted, CallError> {
    let bytes = canonical::size(&answer.value);
    if bytes > host.limits.host_buffer.0 {
        return Err(CallError::bad_upstream(format!("the answer has {bytes} bytes, {} are allowed", host.limits.host_buffer)));
    }
    if let Some(held) = host.grants.get(passage.grant) {
        let own = (&held.used, &held.grant);
        for (used, grant) in std::iter::once(own).chain(held.above.iter().map(|above| (&above.used, &above.grant))) {
            used.receive(&grant.scope().budgets, bytes).map_err(|kind| {
                CallError::new(GuestError::Budget(kind), format!("the answer has {bytes} bytes, more than the step's budget leaves"))
            })?;
        }
    }
    let val = match passage.capability.operation.signature.ok() {
        Some(ty) => Some(
            json::to_val(&answer.value, ty)
                .map_err(|misfit| CallError::bad_upstream(format!("the connector's answer does not fit: {misfit}")))?,
        ),
        None => None,
    };
    Ok(Admitted { value: Arc::new(answer.value), val, artifacts: answer.artifacts })
}

/// Gives an effect's call back to its budget where it is certain that nothing happened.
fn give_back(host: &Host, passage: &mut Passage<'_>, error: &GuestError) {
    if passage.capability.operation.spec.effect == Effect::Read {
        return;
    }
    let nothing_happened = matches!(
        error,
        GuestError::Unavailable | GuestError::RateLimited(_) | GuestError::Invalid(_) | GuestError::NotFound | GuestError::NeedsApproval(_)
    );
    if nothing_happened
        && let Some(held) = host.grants.get(passage.grant)
        && let Some(taken) = passage.reserved.take()
    {
        taken.release(held);
    }
}

fn note(host: &mut Host, passage: &Passage<'_>, result: &str, detail: Option<String>, artifacts: Vec<Artifact>) {
    host.summarise(CallSummary {
        operation: passage.capability.operation.short.to_string(),
        result: result.to_owned(),
        detail,
        time_us: micros(passage.started.elapsed()),
        artifacts,
    });
}

/// Gives the guest its result, or its error where the type has a place for it.
fn lower(import: &Import, reply: Result<Option<Val>, CallError>, results: &mut [Val]) -> wasmtime::Result<()> {
    let no_place = || Ended::because(EndReason::DeniedWithoutError(import.name.to_string()));
    let Some(slot) = results.first_mut() else {
        return reply.map(|_| ()).map_err(|_| no_place());
    };
    *slot = match (&import.signature.result, reply) {
        (Some(WitType::Result { .. }), Ok(val)) => Val::Result(Ok(val.map(Box::new))),
        (Some(WitType::Result { err: Some(err), .. }), Err(error)) => {
            // An interface of another namespace may lack a case of ours: then it is `denied`, or there is no place.
            let val = json::to_val(&error.guest.to_json(), err)
                .or_else(|_| json::to_val(&json!({ "denied": "" }), err))
                .map_err(|_| no_place())?;
            Val::Result(Err(Some(Box::new(val))))
        }
        (_, Ok(Some(val))) => val,
        (_, Ok(None)) => return Err(Ended::because(EndReason::Internal(format!("`{}` gave no value", import.name)))),
        (_, Err(_)) => return Err(no_place()),
    };
    Ok(())
}
