//! The sandbox: what runs tasks.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use bailiwick_core::BoxFuture;
use bailiwick_core::capability::Catalog;
use bailiwick_core::connector::CallOrigin;
use bailiwick_core::grant::Grant;
use bailiwick_core::ids::{AgentName, GrantId, RunId, StepPath};
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::{AgentFacts, Decision, PolicyContext, PolicyEngine};
use bailiwick_core::record::{Draft, Fields, LedgerFailure, Part, Payload, RecordContext, RecordKind, Recorder, TaskStart, Verdict};
use bailiwick_core::runner::{AgentInfo, AgentRunner, EndReason, GrantUse, TaskOutcome, TaskReport, TaskSpec, Usage, WantedGrant};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::agent::TaskIn;
use crate::checks::{Checks, OutOfTime};
use crate::compile::CompileCommand;
use crate::delegate::{Above, Line, Member, Roster, Started};
use crate::engine::{self, EngineSettings};
use crate::host::{HeldGrant, Host, TaskScope, micros};
use crate::install::Entry;
use crate::link::Routes;
use crate::registry::{Registry, RegistryProblem};
use crate::task;

/// Tasks that may wait for room; a further one ends at once.
const WAITING_MOST: usize = 10_000;

/// Sees a progress message of a task: its run, its step, and at most 200 bytes without control characters. It is called on the guests' threads as
/// often as the task's limits let the guest call, so it returns at once and keeps no more than it can bound.
pub type Watcher = Arc<dyn Fn(&RunId, &StepPath, &str) + Send + Sync>;

/// What a sandbox is made of.
pub struct SandboxParts {
    /// The registry's folder.
    pub registry: PathBuf,
    /// Every operation that the project knows.
    pub catalog: Arc<Catalog>,
    /// The connector of each operation.
    pub routes: Routes,
    /// Takes records.
    pub recorder: Arc<dyn Recorder>,
    /// Decides.
    pub policy: Arc<dyn PolicyEngine>,
    /// How components are compiled.
    pub compile: CompileCommand,
    /// What the operator chose.
    pub settings: EngineSettings,
    /// The runtime on which guests run; see [`crate::guest_runtime`].
    pub guests: tokio::runtime::Runtime,
}

/// Runs tasks, each in a fresh store of its own.
pub struct Sandbox {
    shared: Arc<Shared>,
    guests: Guests,
}

/// The runtime on which guests run.
struct Guests(Option<tokio::runtime::Runtime>);

impl Drop for Guests {
    fn drop(&mut self) {
        if let Some(guests) = self.0.take() {
            // A runtime must not be dropped where futures run; guests are stopped at their next yield.
            guests.shutdown_background();
        }
    }
}

pub(crate) struct Shared {
    engine: Engine,
    registry: Registry,
    catalog: Arc<Catalog>,
    recorder: Arc<dyn Recorder>,
    policy: Arc<dyn PolicyEngine>,
    room: Semaphore,
    checks: Checks,
    /// How many tasks there is room for.
    places: u32,
    waiting: AtomicUsize,
    watcher: OnceLock<Watcher>,
    roster: ArcSwap<Roster>,
    /// The engine's digest as it stands in every task's first record, made once.
    engine_on_record: Arc<Value>,
    /// The limits of the latest task as they stand in its first record: most tasks of a project have the same.
    latest_limits: ArcSwapOption<(Limits, Arc<Value>)>,
}

impl Sandbox {
    /// Makes the engine and opens the registry.
    ///
    /// # Errors
    /// When the registry cannot be opened; see [`RegistryProblem`].
    pub async fn open(parts: SandboxParts) -> Result<Self, RegistryProblem> {
        // First of all: whatever goes wrong from here on, it ends as a runtime has to.
        let guests = Guests(Some(parts.guests));
        let storage = |error: wasmtime::Error| RegistryProblem::Storage {
            path: parts.registry.clone(),
            source: std::io::Error::other(format!("the engine could not be made: {error:#}")),
        };
        let engine = engine::runner(parts.settings).map_err(storage)?;
        let registry = Registry::open(
            engine.clone(),
            &parts.registry,
            parts.compile,
            Arc::clone(&parts.catalog),
            Arc::new(parts.routes),
            Arc::clone(&parts.recorder),
        )
        .await?;
        let engine_on_record = Arc::new(json!(registry.engine_digest()));
        let places = parts.settings.bounded();
        let room = Semaphore::new(usize::try_from(places).unwrap_or(1));
        let shared = Shared {
            engine,
            registry,
            catalog: parts.catalog,
            recorder: parts.recorder,
            policy: parts.policy,
            room,
            checks: Checks::default(),
            places,
            waiting: AtomicUsize::new(0),
            engine_on_record,
            latest_limits: ArcSwapOption::empty(),
            watcher: OnceLock::new(),
            roster: ArcSwap::default(),
        };
        Ok(Self { shared: Arc::new(shared), guests })
    }

    /// Gives the registry.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Has somebody see the progress messages of tasks while they run, for displays. Only the first watcher is taken.
    pub fn watch(&self, watcher: Watcher) {
        // A display is no part of what a task does, so a second one is left out and no error.
        let _ = self.shared.watcher.set(watcher);
    }

    /// Says what the operator thinks of agents: their tiers, and which can be delegated to within which limits. For tasks that start from now on.
    pub fn set_roster(&self, roster: Roster) {
        self.shared.roster.store(Arc::new(roster));
    }

    /// Waits until no task is left: each has ended, and its last record is appended. For a host that stops, since a task that nobody waits for any
    /// more goes on to its next yield.
    pub async fn settled(&self) {
        // A task has its place for as long as it has anything to record.
        let _ = self.shared.room.acquire_many(self.shared.places).await;
    }

    /// Runs a task on the runtime of the caller, for callers that are on the guests' runtime already.
    pub async fn run_here(&self, task: TaskSpec) -> TaskReport {
        Arc::clone(&self.shared).run(task, None).await
    }
}

impl AgentRunner for Sandbox {
    fn agent(&self, name: &AgentName) -> Option<Arc<AgentInfo>> {
        self.shared.registry.entry(name).map(|entry| Arc::clone(&entry.info))
    }

    fn agents(&self) -> Vec<AgentName> {
        self.shared.registry.active().iter().map(|info| info.name.clone()).collect()
    }

    fn run(&self, task: TaskSpec) -> BoxFuture<'_, TaskReport> {
        /// Ends the task when nobody waits for it any more.
        struct Abort(tokio::task::JoinHandle<TaskReport>);
        impl Drop for Abort {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        let Some(guests) = &self.guests.0 else {
            return Box::pin(async { not_run(EndReason::Internal("the host is stopping".to_owned())) });
        };
        let shared = Arc::clone(&self.shared);
        let mut handle = Abort(guests.spawn(async move { shared.run(task, None).await }));
        Box::pin(async move {
            (&mut handle.0).await.unwrap_or_else(|error| not_run(EndReason::Internal(format!("the task's thread failed: {error}"))))
        })
    }
}

fn not_run(reason: EndReason) -> TaskReport {
    TaskReport {
        outcome: TaskOutcome::Ended(reason),
        component: None,
        usage: Usage::default(),
        grants: Vec::new(),
        calls: Vec::new(),
        denied_calls: 0,
        labels: Default::default(),
        log: Vec::new(),
    }
}

impl Shared {
    /// Gives what the operator says of an agent.
    pub(crate) fn member(&self, agent: &AgentName) -> Option<Member> {
        self.roster.load().get(agent).copied()
    }

    /// Runs a task: a step's, or one with a line of tasks above it.
    pub(crate) async fn run(self: Arc<Self>, spec: TaskSpec, line: Option<Line>) -> TaskReport {
        let Some(entry) = self.registry.entry(&spec.agent) else {
            return not_run(EndReason::NoAgent(format!("no version of agent `{}` is active: install one", spec.agent)));
        };
        let deadline = Instant::now() + spec.limits.deadline.0;
        match self.checks.check(&entry.input, &spec.input, deadline).await {
            Ok(Ok(())) => {}
            Ok(Err(message)) => return not_run(EndReason::InvalidInput(message)),
            Err(OutOfTime) => return not_run(task::deadline_over(&spec.limits)),
        }
        // Whoever waits for a delegated task has a place already: were both to wait, all places could be taken by those who wait.
        let room = if line.is_some() { self.room.try_acquire().ok() } else { self.wait_for_room().await };
        let Some(_room) = room else {
            return not_run(EndReason::Overloaded(format!("{WAITING_MOST} tasks wait already")));
        };
        let started = Instant::now();
        let mut ending = self.begin(&spec, &entry, started);
        let (host, input) = match self.issue(&spec, line, &entry, &ending, started) {
            Ok(host) => host,
            Err(reason) => return ending.end(not_run(reason)),
        };
        let (mut host, outcome) = task::execute(&self.engine, &self.checks, &entry, host, input, started).await;
        let transcript = host.record_transcript();
        let mut report = report(&entry, host, outcome, started);
        if let Err(failure) = transcript {
            report.outcome = TaskOutcome::Ended(EndReason::Ledger(failure));
        }
        ending.end(report)
    }

    /// Keeps the number of live sandboxes below the pool's, and the number of waiting tasks finite.
    async fn wait_for_room(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        /// Leaves the queue, also when the caller stops waiting.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if let Ok(room) = self.room.try_acquire() {
            return Some(room);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING_MOST {
            return None;
        }
        self.room.acquire().await.ok()
    }

    /// Gives limits as they stand in a task's first record.
    fn limits_on_record(&self, limits: Limits) -> Arc<Value> {
        if let Some(latest) = &*self.latest_limits.load()
            && latest.0 == limits
        {
            return Arc::clone(&latest.1);
        }
        let value = Arc::new(json!(limits));
        self.latest_limits.store(Some(Arc::new((limits, Arc::clone(&value)))));
        value
    }

    /// Makes what all records of the task have in common.
    fn begin(&self, spec: &TaskSpec, entry: &Entry, started: Instant) -> Ending {
        let context = RecordContext {
            tenant: Some(spec.requester.tenant.clone()),
            requester: Some(spec.requester.id.clone()),
            workflow: Some(spec.workflow.clone()),
            plan: Some(spec.plan),
            run: Some(spec.run.clone()),
            step: Some(spec.step.clone()),
            attempt: Some(spec.attempt),
            task: Some(spec.id.clone()),
            parent_task: spec.parent.clone(),
            agent: Some(spec.agent.clone()),
            component: Some(entry.info.component),
        };
        Ending { recorder: Arc::clone(&self.recorder), context: Arc::new(context), subject: spec.subject.clone(), started, is_over: false }
    }

    /// Issues the grants and makes the host's side of the store.
    fn issue(
        self: &Arc<Self>,
        spec: &TaskSpec,
        line: Option<Line>,
        entry: &Entry,
        ending: &Ending,
        started: Instant,
    ) -> Result<(Host, TaskIn), EndReason> {
        let started_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let deadline_ms = started_ms.saturating_add(u64::try_from(spec.limits.deadline.0.as_millis()).unwrap_or(u64::MAX));
        let seed: [u8; 32] = rand::random();
        let policy_context = Arc::new(PolicyContext {
            requester: Arc::clone(&spec.requester),
            workflow: spec.workflow.clone(),
            run: spec.run.clone(),
            step: spec.step.clone(),
            attempt: spec.attempt,
            agent: self.facts(entry),
            subject: spec.subject.clone(),
            run_input: Some(Arc::clone(&spec.run_input)),
        });
        let input = Arc::clone(&spec.input);
        let start = TaskStart { seed, clock_ms: started_ms, agent_version: entry.info.version.clone() };
        ending.record(
            RecordKind::TaskStarted,
            Fields::default(),
            vec![
                ("input", input.into()),
                ("start", Part::Start(Box::new(start))),
                ("limits", self.limits_on_record(spec.limits).into()),
                ("engine", Arc::clone(&self.engine_on_record).into()),
            ],
        )?;
        let begun = Started::of(line.as_ref());
        let mut above = line.map(|line| line.above).unwrap_or_default().into_iter();
        let grants = spec
            .wants
            .iter()
            .enumerate()
            .map(|(index, wanted)| {
                let above = above.next().unwrap_or_default();
                self.issue_one(spec, ending, &policy_context, index, (wanted, above), deadline_ms)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let scope = TaskScope {
            watcher: self.watcher.get().cloned(),
            origin: CallOrigin {
                tenant: spec.requester.tenant.clone(),
                run: spec.run.clone(),
                step: spec.step.clone(),
                task: spec.id.clone(),
                subject: spec.subject.clone(),
            },
            records: Arc::clone(&ending.context),
            recorder: Arc::clone(&self.recorder),
            policy: Arc::clone(&self.policy),
            policy_context,
            shared: Arc::clone(self),
            labels: spec.labels.clone(),
            seed,
            started_ms,
            started,
        };
        let task = TaskIn {
            id: spec.id.to_string(),
            run: spec.run.to_string(),
            step: spec.step.to_string(),
            attempt: spec.attempt,
            input: spec.input.to_string(),
            deadline: deadline_ms,
        };
        let mut host = Host::new(Some(scope), spec.limits, grants, entry.slots);
        host.started = begun;
        Ok((host, task))
    }

    fn issue_one(
        &self,
        spec: &TaskSpec,
        ending: &Ending,
        context: &PolicyContext,
        index: usize,
        (wanted, above): (&WantedGrant, Vec<Above>),
        expires_ms: u64,
    ) -> Result<HeldGrant, EndReason> {
        let request = wanted.request.clone();
        let operation = self.catalog.get(&request.operation).ok_or_else(|| EndReason::GrantDenied {
            operation: request.operation.to_short(),
            reason: "the project does not know the operation".to_owned(),
        })?;
        let id = GrantId::from(format!("{}/g{index}", spec.id));
        let fields = |verdict, rules: &[String], version| Fields {
            operation: Some(Arc::clone(&operation.full)),
            decision: Some(verdict),
            rule: Some(rules.join(", ").into()),
            policy_version: Some(version),
            grant: Some(id.clone()),
            ..Fields::default()
        };
        match self.policy.at_issue(context, operation, &request) {
            Decision::Permit(permit) => {
                let grant = match above.first() {
                    None => Grant::issue(&permit, id.clone(), spec.id.clone(), request, expires_ms),
                    Some(from) => {
                        // INVARIANT: whatever was planned, a grant of a delegated task is part of the one that it was made from.
                        let narrowed = from.grant.narrow(id.clone(), spec.id.clone(), request, expires_ms.min(from.grant.expires_ms()));
                        let mut grant = narrowed.map_err(|wider| EndReason::GrantDenied {
                            operation: operation.short.to_string(),
                            reason: format!("it is wider than the grant that it was made from: {wider}"),
                        })?;
                        grant.renew(permit.clone());
                        grant
                    }
                };
                let grant = Arc::new(grant);
                ending.record(
                    RecordKind::GrantIssued,
                    fields(Verdict::Permit, permit.rules(), permit.policy_version().clone()),
                    vec![("grant", Part::Grant(Arc::clone(&grant)))],
                )?;
                Ok(HeldGrant { grant, operation: Arc::clone(operation), used: Arc::clone(&wanted.used), calls: Arc::default(), above })
            }
            Decision::Forbid { rules, policy_version, reason } => {
                let request = serde_json::to_value(&request).unwrap_or(Value::Null);
                let parts = vec![("request", request.into()), ("reason", json!(reason).into())];
                ending.record(RecordKind::GrantDenied, fields(Verdict::Forbid, &rules, policy_version), parts)?;
                Err(EndReason::GrantDenied { operation: operation.short.to_string(), reason })
            }
        }
    }

    /// Gives what policies may look at of an agent, with the operator's word on it.
    fn facts(&self, entry: &Entry) -> Arc<AgentFacts> {
        match self.member(&entry.info.name) {
            Some(member) if member.tier != entry.facts.tier => {
                Arc::new(AgentFacts { tier: member.tier, ..AgentFacts::clone(&entry.facts) })
            }
            _ => Arc::clone(&entry.facts),
        }
    }
}

fn report(entry: &Entry, mut host: Host, outcome: TaskOutcome, started: Instant) -> TaskReport {
    host.usage.time_us = micros(started.elapsed());
    let labels = match &outcome {
        TaskOutcome::Answered(_) => Default::default(),
        TaskOutcome::Failed { .. } | TaskOutcome::Ended(_) => host.labels(),
    };
    let grants = host.grants.iter().map(|held| GrantUse {
        id: held.grant.id().clone(),
        operation: held.operation.short.to_string(),
        calls: held.calls.load(Ordering::Relaxed),
    });
    TaskReport {
        outcome,
        component: Some((entry.info.component, entry.info.version.clone())),
        usage: host.usage,
        grants: grants.collect(),
        calls: std::mem::take(&mut host.calls),
        denied_calls: host.denied_calls,
        labels,
        log: std::mem::take(&mut host.log),
    }
}

/// Sees to it that every task that started has its end on record, also when nobody waits for it any more.
struct Ending {
    recorder: Arc<dyn Recorder>,
    context: Arc<RecordContext>,
    subject: Option<bailiwick_core::ids::SubjectId>,
    started: Instant,
    is_over: bool,
}

impl Ending {
    fn append(&self, kind: RecordKind, fields: Fields, parts: Vec<(&'static str, Part)>) -> Result<(), LedgerFailure> {
        let payload = Some(Payload { subject: self.subject.clone(), parts });
        self.recorder.append(Draft { kind, context: Arc::clone(&self.context), fields, payload }).map(|_| ())
    }

    fn record(&self, kind: RecordKind, fields: Fields, parts: Vec<(&'static str, Part)>) -> Result<(), EndReason> {
        self.append(kind, fields, parts).map_err(EndReason::Ledger)
    }

    fn end(&mut self, mut report: TaskReport) -> TaskReport {
        self.is_over = true;
        let fields = Fields {
            reason: Some(word(&report.outcome).into()),
            labels: match &report.outcome {
                TaskOutcome::Answered(answer) => answer.labels.iter().cloned().collect(),
                TaskOutcome::Failed { .. } | TaskOutcome::Ended(_) => report.labels.iter().cloned().collect(),
            },
            fuel: Some(report.usage.fuel),
            duration_us: Some(report.usage.time_us),
            ..Fields::default()
        };
        let parts = vec![("outcome", Part::Outcome(Box::new(report.outcome.clone()))), ("usage", Part::Usage(Box::new(report.usage)))];
        if let Err(failure) = self.append(RecordKind::TaskEnded, fields, parts) {
            report.outcome = TaskOutcome::Ended(EndReason::Ledger(failure));
        }
        report
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let fields = Fields { reason: Some("cancelled".into()), duration_us: Some(micros(self.started.elapsed())), ..Fields::default() };
        if let Err(error) = self.append(RecordKind::TaskEnded, fields, Vec::new()) {
            tracing::error!(%error, "the end of a task could not be recorded");
        }
    }
}

/// One word for how a task ended, for the envelope.
pub(crate) fn word(outcome: &TaskOutcome) -> String {
    match outcome {
        TaskOutcome::Answered(_) => "answered".to_owned(),
        TaskOutcome::Failed { kind, .. } => json!(kind).as_str().unwrap_or("failed").to_owned(),
        TaskOutcome::Ended(EndReason::Limit { limit, .. }) => format!("limit-{limit}"),
        TaskOutcome::Ended(EndReason::Trap(_)) => "trap".to_owned(),
        TaskOutcome::Ended(EndReason::InvalidInput(_)) => "invalid-input".to_owned(),
        TaskOutcome::Ended(EndReason::InvalidAnswer(_)) => "invalid-answer".to_owned(),
        TaskOutcome::Ended(EndReason::DeniedWithoutError(_)) => "denied-without-error".to_owned(),
        TaskOutcome::Ended(EndReason::GrantDenied { .. }) => "grant-denied".to_owned(),
        TaskOutcome::Ended(EndReason::NoAgent(_)) => "no-agent".to_owned(),
        TaskOutcome::Ended(EndReason::Overloaded(_)) => "overloaded".to_owned(),
        TaskOutcome::Ended(EndReason::Ledger(_)) => "ledger".to_owned(),
        TaskOutcome::Ended(EndReason::Internal(_)) => "internal".to_owned(),
    }
}
