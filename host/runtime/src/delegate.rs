//! Delegation: a task that starts further tasks within what it holds itself.
//!
//! The operations pass the gate like every other; this module is what acts behind it. A delegated task is a task like any other, in a store of its own,
//! with its own records; beyond that it has a line of tasks above it: each call under a passed-on grant is decided and counted for every task of
//! that line, and the end of one ends those below it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_core::budget::BudgetUse;
use bailiwick_core::capability::{FieldPath, Operation};
use bailiwick_core::connector::ConnectorAnswer;
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::grant::{Condition, Grant, GrantRequest};
use bailiwick_core::ids::{AgentName, Digest, StepPath, TaskId};
use bailiwick_core::limits::{Limits, Span};
use bailiwick_core::policy::PolicyContext;
use bailiwick_core::runner::{Answer, FailureKind, TaskOutcome, TaskReport, TaskSpec, WantedGrant};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wasmtime::StoreContextMut;

use crate::host::Host;
use crate::sandbox::word;

/// The package whose operations the host itself serves.
pub const DELEGATE_PACKAGE: &str = "bailiwick:delegate";

/// Most tasks in a line, the first included.
const LINE_MOST: usize = 4;
/// Most tasks that one task starts, and that it has going at a time.
const STARTED_MOST: usize = 64;
const GOING_MOST: usize = 8;
/// Most tasks below a step's own, all together.
const TREE_MOST: u32 = 256;
/// Most parts of one start.
const PARTS_MOST: usize = 50;
/// Most arguments that one part fixes.
const FIXED_MOST: usize = 50;
/// The part of its fuel that a task passes on when it does not say how much.
const FUEL_SHARE: u64 = 4;

/// What the operator says of an agent. Only agents of which something is said can be delegated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// How far it is trusted, from 0 (not at all) upwards. A task is passed on from one tier to the one below.
    pub tier: u32,
    /// Its limits.
    pub limits: Limits,
}

/// The agents of a project, as its operator sees them.
pub type Roster = BTreeMap<AgentName, Member>;

/// A grant of a task further up from which one of this task was made.
#[derive(Debug)]
pub(crate) struct Above {
    pub grant: Arc<Grant>,
    pub used: Arc<BudgetUse>,
    /// Calls that reached the connector, for the account of that task.
    pub calls: Arc<AtomicU64>,
    pub context: Arc<PolicyContext>,
    /// Recognises an effect of this task among those of that one.
    step: Arc<StepPath>,
}

impl Above {
    /// A number for an effect of a task below, among the ordinals of this one: the same in every attempt, and none that a call of its own has.
    pub(crate) fn effect(&self, ordinal: u32) -> u32 {
        let digest = Digest::of_parts([self.step.as_str().as_bytes(), &ordinal.to_be_bytes()]);
        digest.as_bytes().iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte)) | 0x8000_0000
    }
}

/// What a delegated task has above it.
pub(crate) struct Line {
    /// The agents, the first one first.
    agents: Vec<AgentName>,
    /// Tasks below the step's own.
    tree: Arc<AtomicU32>,
    /// For each wanted grant those that it was made from, the nearest first.
    pub above: Vec<Vec<Above>>,
}

/// A task that was started and is not over, or not asked about yet.
pub(crate) struct Going {
    task: Abort,
    fuel: u64,
}

/// Ends a task when nobody waits for it any more.
struct Abort(JoinHandle<TaskReport>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The tasks that one task has started.
#[derive(Default)]
pub(crate) struct Started {
    count: usize,
    going: BTreeMap<String, Going>,
    line: Option<(Vec<AgentName>, Arc<AtomicU32>)>,
}

impl Started {
    /// Begins with what the task itself has above it.
    pub(crate) fn of(line: Option<&Line>) -> Self {
        Self { line: line.map(|line| (line.agents.clone(), Arc::clone(&line.tree))), ..Self::default() }
    }
}

/// Why a task is not started.
pub(crate) struct Refused {
    pub rule: &'static str,
    pub detail: String,
}

/// A task that may be started.
pub(crate) struct Plan {
    spec: TaskSpec,
    line: Line,
    fuel: Option<u64>,
}

/// Whether the host itself serves an operation.
pub fn is_delegation(operation: &Operation) -> bool {
    operation.id.interface.package == DELEGATE_PACKAGE
}

/// Checks a start before anything is counted: `Ok(Err(…))` is an argument that cannot be read, `Err` one that asks for more than there is.
pub(crate) fn plan(host: &Host, operation: &Operation, args: &Value, ordinal: u32) -> Result<Option<Result<Plan, CallError>>, Refused> {
    if operation.id.function != "start" {
        return Ok(None);
    }
    let Some(scope) = &host.scope else { return Ok(None) };
    let refused = |rule, detail: String| Err(Refused { rule, detail });
    let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    let agent = AgentName::from(text("agent"));
    let own = &scope.policy_context.agent;
    let (mut agents, tree) = host.started.line.clone().unwrap_or_default();
    agents.push(own.name.clone());
    if agents.contains(&agent) {
        return refused("delegation-circle", format!("`{agent}` is the agent of this task or of one above it"));
    }
    let Some(member) = scope.shared.member(&agent) else {
        return refused("delegation-agent", format!("the project has no agent `{agent}`"));
    };
    if own.tier.checked_sub(1) != Some(member.tier) {
        return refused(
            "delegation-tier",
            format!("`{agent}` is of tier {}, and tier {} passes work on to the one below", member.tier, own.tier),
        );
    }
    if agents.len() >= LINE_MOST {
        return refused("delegation-depth", format!("a line of tasks has at most {LINE_MOST}"));
    }
    if host.started.count >= STARTED_MOST || host.started.going.len() >= GOING_MOST || tree.load(Ordering::Relaxed) >= TREE_MOST {
        let detail =
            format!("a task starts at most {STARTED_MOST} and has at most {GOING_MOST} going; a step has at most {TREE_MOST} below it");
        return refused("delegation-count", detail);
    }
    let (mut wants, mut above) = (Vec::new(), Vec::new());
    let parts = args.get("parts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if parts.len() > PARTS_MOST {
        return refused("delegation-parts", format!("a task is given at most {PARTS_MOST} parts"));
    }
    for part in parts {
        let (request, line) = narrowed(host, part).map_err(|detail| Refused { rule: "delegation-parts", detail })?;
        wants.push(WantedGrant { request, used: Arc::default() });
        above.push(line);
    }
    let input: Value = match serde_json::from_str(text("input")) {
        Ok(input) => input,
        Err(error) => return Ok(Some(Err(CallError::invalid("input", format!("it is no JSON: {error}"))))),
    };
    let left = host.time_left().mul_f32(0.9);
    let asked = args.get("deadline-ms").and_then(Value::as_u64).map(Duration::from_millis);
    let limits = Limits {
        deadline: Span(asked.map_or(left, |asked| asked.min(left))),
        host_calls: host.limits.host_calls.saturating_sub(host.usage.host_calls),
        ..host.limits
    };
    let spec = TaskSpec {
        id: TaskId::fresh(),
        parent: Some(scope.origin.task.clone()),
        requester: Arc::clone(&scope.policy_context.requester),
        workflow: scope.policy_context.workflow.clone(),
        plan: scope.records.plan.unwrap_or_else(|| Digest::of(b"")),
        run: scope.origin.run.clone(),
        step: step_of(&scope.origin.step, &agent, ordinal),
        attempt: scope.policy_context.attempt,
        agent,
        input: Arc::new(input),
        subject: scope.origin.subject.clone(),
        run_input: scope.policy_context.run_input.clone().unwrap_or_default(),
        labels: scope.labels.clone(),
        wants,
        limits: limits.within(member.limits),
    };
    let fuel = args.get("fuel").and_then(Value::as_u64);
    Ok(Some(Ok(Plan { spec, line: Line { agents, tree, above }, fuel })))
}

/// Where a delegated task's records stand, the same in every attempt.
fn step_of(step: &StepPath, agent: &AgentName, ordinal: u32) -> StepPath {
    format!("{step}/{agent}.{ordinal}").into()
}

/// Makes what another task may hold out of the first grant of this one that covers it.
fn narrowed(host: &Host, part: &Value) -> Result<(GrantRequest, Vec<Above>), String> {
    let name = part.get("operation").and_then(Value::as_str).unwrap_or_default();
    let mut why = format!("this task holds no grant for `{name}`");
    for held in host.grants.iter().filter(|held| *held.operation.short == *name || *held.operation.full == *name) {
        match narrow_one(held.grant.scope(), held.used.calls(), part) {
            Ok(request) => return Ok((request, line_of(host, held))),
            Err(detail) => why = detail,
        }
    }
    Err(why)
}

fn narrow_one(held: &GrantRequest, used: u64, part: &Value) -> Result<GrantRequest, String> {
    if !held.delegable {
        return Err("the grant is not marked as delegable".to_owned());
    }
    let mut request = held.clone();
    // A task further down needs to be marked by nobody else.
    let all = part.get("fixed").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if all.len() > FIXED_MOST {
        return Err(format!("a part fixes at most {FIXED_MOST} arguments"));
    }
    for fixed in all {
        let path = fixed.get("path").and_then(Value::as_str).unwrap_or_default();
        let value = fixed.get("value").and_then(Value::as_object).and_then(|cases| cases.values().next()).cloned().unwrap_or_default();
        let conditions = path.parse::<FieldPath>().ok().and_then(|path| request.conditions.get_mut(&path));
        let conditions = conditions.ok_or_else(|| format!("the grant has no condition on `{path}`"))?;
        let asked = Condition::Equals(value);
        if let Some(held) = conditions.iter().find(|held| !asked.is_within(held)) {
            return Err(format!("argument `{path}`: {asked} is more than {held}"));
        }
        *conditions = vec![asked];
    }
    let calls = part.get("calls").and_then(Value::as_u64).unwrap_or(0);
    let left = held.budgets.calls.saturating_sub(used);
    if calls > left {
        return Err(format!("{calls} calls are more than the {left} that are left"));
    }
    request.budgets.calls = calls;
    Ok(request)
}

/// Everything above a grant that is made of this one, this one first.
fn line_of(host: &Host, held: &crate::host::HeldGrant) -> Vec<Above> {
    let Some(scope) = &host.scope else { return Vec::new() };
    let own = Above {
        grant: Arc::clone(&held.grant),
        used: Arc::clone(&held.used),
        calls: Arc::clone(&held.calls),
        context: Arc::clone(&scope.policy_context),
        step: Arc::new(scope.origin.step.clone()),
    };
    let further = held.above.iter().map(|above| Above {
        grant: Arc::clone(&above.grant),
        used: Arc::clone(&above.used),
        calls: Arc::clone(&above.calls),
        context: Arc::clone(&above.context),
        step: Arc::clone(&above.step),
    });
    std::iter::once(own).chain(further).collect()
}

/// Acts, when the gate has let the call pass.
pub(crate) async fn act(
    store: &mut StoreContextMut<'_, Host>,
    function: &str,
    args: &Value,
    plan: Option<Result<Plan, CallError>>,
) -> Result<ConnectorAnswer, CallError> {
    match (function, plan) {
        ("start", Some(plan)) => start(store, plan?),
        ("await", _) => wait(store, task_of(args)).await,
        ("cancel", _) => match store.data_mut().started.going.remove(task_of(args)) {
            Some(_) => Ok(ConnectorAnswer::of(Value::Null)),
            None => Err(unknown()),
        },
        _ => Err(CallError::unavailable("the host does not serve this operation")),
    }
}

fn task_of(args: &Value) -> &str {
    args.get("task").and_then(Value::as_str).unwrap_or_default()
}

fn unknown() -> CallError {
    CallError::not_found("this task has no such task going")
}

fn start(store: &mut StoreContextMut<'_, Host>, plan: Plan) -> Result<ConnectorAnswer, CallError> {
    let Plan { mut spec, line, fuel } = plan;
    let left = store.get_fuel().unwrap_or(0);
    let fuel = fuel.unwrap_or(left / FUEL_SHARE).min(spec.limits.fuel);
    // All of it would end this task at its next instruction.
    if fuel == 0 || fuel >= left {
        return Err(CallError::invalid("fuel", format!("{fuel} units of the {left} that are left")));
    }
    store.set_fuel(left - fuel).map_err(|error| CallError::unavailable(error.to_string()))?;
    spec.limits.fuel = fuel;
    line.tree.fetch_add(1, Ordering::Relaxed);
    let host = store.data_mut();
    let Some(scope) = &host.scope else { return Err(CallError::unavailable("no task")) };
    let id = spec.id.to_string();
    let shared = Arc::clone(&scope.shared);
    host.started.line.get_or_insert_with(|| (Vec::new(), Arc::clone(&line.tree)));
    let task = Abort(tokio::spawn(async move { shared.run(spec, Some(line)).await }));
    host.started.count += 1;
    host.started.going.insert(id.clone(), Going { task, fuel });
    Ok(ConnectorAnswer::of(json!(id)))
}

async fn wait(store: &mut StoreContextMut<'_, Host>, id: &str) -> Result<ConnectorAnswer, CallError> {
    let host = store.data_mut();
    let time = host.time_left().mul_f32(0.9);
    let going = host.started.going.get_mut(id).ok_or_else(unknown)?;
    let Ok(ended) = tokio::time::timeout(time, &mut going.task.0).await else {
        return Err(CallError::new(GuestError::Timeout, format!("the task is not over within {}ms", time.as_millis())));
    };
    let fuel = going.fuel;
    host.started.going.remove(id);
    let report = ended.map_err(|error| CallError::bad_upstream(format!("the task's thread failed: {error}")))?;
    // What it did is told as this task's own, so that nobody takes it for nothing.
    for call in report.calls {
        host.summarise(call);
    }
    host.denied_calls = host.denied_calls.saturating_add(report.denied_calls);
    if let Some(scope) = &mut host.scope {
        // However it ended: that it failed can tell what it has read.
        let read = match &report.outcome {
            TaskOutcome::Answered(answer) => &answer.labels,
            TaskOutcome::Failed { .. } | TaskOutcome::Ended(_) => &report.labels,
        };
        scope.labels.extend(read.iter().cloned());
    }
    let value = match &report.outcome {
        TaskOutcome::Answered(answer) => answered(answer),
        TaskOutcome::Failed { kind, .. } => json!(case_of(*kind)),
        TaskOutcome::Ended(_) => json!({ "ended": word(&report.outcome) }),
    };
    let unused = fuel.saturating_sub(report.usage.fuel);
    let left = store.get_fuel().unwrap_or(0);
    store.set_fuel(left.saturating_add(unused)).map_err(|error| CallError::unavailable(error.to_string()))?;
    Ok(ConnectorAnswer::of(value))
}

fn answered(answer: &Answer) -> Value {
    json!({ "answered": { "output": answer.output.to_string(), "confidence": answer.confidence.to_per_mille() } })
}

fn case_of(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::InvalidInput => "invalid-input",
        FailureKind::NotMine => "not-mine",
        FailureKind::Retryable => "retryable",
        FailureKind::Permanent => "permanent",
        FailureKind::NeedsHuman => "needs-human",
    }
}
