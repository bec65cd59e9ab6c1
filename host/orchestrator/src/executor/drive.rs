//! One run: commands become events, tasks and timers; what comes of them becomes events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bailiwick_core::budget::BudgetUse;
use bailiwick_core::event::{Event, FailureClass, Outcome};
use bailiwick_core::ids::{Seq, StepPath, SubjectId, TaskId};
use bailiwick_core::policy::Permit;
use bailiwick_core::record::{Draft, Fields, LedgerFailure, Payload, RecordContext, RecordKind, Verdict};
use bailiwick_core::run::{IllegalEvent, RunState};
use bailiwick_core::runner::{EndReason, TaskOutcome, TaskReport, TaskSpec, Usage, WantedGrant, limits_within};
use serde_json::Value;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::trace::Trace;
use super::{Observer, Orchestrator, RunRequest};
use crate::compiled::CompiledStep;
use crate::failure;
use crate::report::{self, RunReport};
use crate::stepper::{self, Command, TaskOrder};

/// A run while it runs. Dropping it ends its tasks: they live in its set.
pub(crate) struct Drive {
    orchestrator: Orchestrator,
    request: RunRequest,
    run_input: Arc<Value>,
    /// What permitted the run.
    opening: Permit,
    state: RunState,
    context: RecordContext,
    subject: Option<SubjectId>,
    /// What was used under the grants of each step, over its attempts; in the order of the plan.
    used: HashMap<StepPath, Vec<Arc<BudgetUse>>>,
    work: JoinSet<Finished>,
    /// Which step each of the tasks in `work` is for; timers are not among them.
    tasks: HashMap<Id, StepPath>,
    trace: Trace,
    began: Instant,
    observer: Arc<dyn Observer>,
}

/// What comes back from outside.
enum Finished {
    /// `fits` says whether the answer fits what the workflow was checked with.
    Task {
        step: StepPath,
        report: Box<TaskReport>,
        fits: Result<(), String>,
    },
    Timer {
        step: StepPath,
    },
}

/// Why a run cannot go on.
enum Broken {
    Ledger(LedgerFailure),
    Illegal(IllegalEvent),
    Internal(String),
}

impl From<LedgerFailure> for Broken {
    fn from(failure: LedgerFailure) -> Self {
        Self::Ledger(failure)
    }
}

impl Broken {
    fn to_outcome(&self) -> Outcome {
        let (class, message) = match self {
            Self::Ledger(failure) => (FailureClass::Ledger, failure.to_string()),
            Self::Illegal(event) => (FailureClass::Internal, format!("an event cannot have happened: {event}")),
            Self::Internal(message) => (FailureClass::Internal, message.clone()),
        };
        Outcome::Failed { class, message }
    }
}

impl Drive {
    pub(crate) fn new(
        orchestrator: &Orchestrator,
        request: &RunRequest,
        subject: Option<SubjectId>,
        opening: Permit,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, String> {
        let compiled = request.workflow.compiled();
        let context = RecordContext {
            tenant: Some(request.requester.tenant.clone()),
            requester: Some(request.requester.id.clone()),
            workflow: Some(compiled.plan().workflow.clone()),
            plan: Some(*compiled.digest()),
            run: Some(request.run_id.clone()),
            ..RecordContext::default()
        };
        Ok(Self {
            orchestrator: orchestrator.clone(),
            request: request.clone(),
            run_input: Arc::new(request.input.clone()),
            opening,
            state: RunState::new(compiled.plan()).map_err(|error| error.to_string())?,
            context,
            subject,
            used: HashMap::new(),
            work: JoinSet::new(),
            tasks: HashMap::new(),
            trace: Trace::default(),
            began: Instant::now(),
            observer,
        })
    }

    pub(crate) async fn run(mut self) -> RunReport {
        let broken = self.drive().await.err();
        // Where the run cannot go on, nothing of it may go on either.
        self.work.shutdown().await;
        let total = self.began.elapsed();
        report::of_run(&self.request, &self.state, self.trace, total, broken.map(|broken| broken.to_outcome()))
    }

    async fn drive(&mut self) -> Result<(), Broken> {
        let plan = self.request.workflow.plan();
        let started = Event::RunStarted {
            run: self.request.run_id.clone(),
            workflow: plan.workflow.clone(),
            version: plan.version.clone(),
            plan: *self.request.workflow.compiled().digest(),
            input: self.request.input.clone(),
            subject: self.subject.clone(),
            requester: self.request.requester.as_ref().clone(),
        };
        self.happen(started, None).await?;
        while self.state.end().is_none() {
            let room = self.orchestrator.options.max_parallel_tasks.max(1).saturating_sub(self.tasks.len());
            let commands = stepper::step(self.request.workflow.compiled(), &self.state, room);
            if commands.is_empty() {
                self.wait().await?;
            }
            for command in commands {
                self.obey(command).await?;
            }
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), Broken> {
        match command {
            Command::Record(event) => self.happen(*event, None).await,
            Command::RunTask(order) => self.start(*order).await,
            Command::SetTimer { step, delay } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let at_ms = u64::try_from((now + delay).as_millis()).unwrap_or(u64::MAX);
                self.happen(Event::RetryScheduled { step: step.clone(), at_ms }, None).await?;
                self.work.spawn(async move {
                    tokio::time::sleep(delay).await;
                    Finished::Timer { step }
                });
                Ok(())
            }
        }
    }

    async fn start(&mut self, order: TaskOrder) -> Result<(), Broken> {
        let task = TaskId::fresh();
        let event = Event::TaskStarted { step: order.step.clone(), attempt: order.attempt, task: task.clone(), agent: order.agent.clone() };
        // The task exists in the ledger before it exists.
        self.happen(event, None).await?;
        let output = Arc::clone(&self.compiled(&order.step)?.output);
        let spec = self.spec(order, task);
        let step = spec.step.clone();
        let runner = Arc::clone(&self.orchestrator.runner);
        let handle = self.work.spawn({
            let step = step.clone();
            async move {
                let report = Box::new(runner.run(spec).await);
                let fits = failure::fits(&output, &report).await;
                Finished::Task { step, report, fits }
            }
        });
        self.tasks.insert(handle.id(), step);
        Ok(())
    }

    fn spec(&mut self, order: TaskOrder, id: TaskId) -> TaskSpec {
        let used = self.used.entry(order.step.clone()).or_insert_with(|| order.wants.iter().map(|_| Arc::default()).collect());
        let wants = order.wants.into_iter().zip(used.iter()).map(|(request, used)| WantedGrant { request, used: Arc::clone(used) });
        TaskSpec {
            id,
            parent: None,
            requester: Arc::clone(&self.request.requester),
            workflow: self.request.workflow.plan().workflow.clone(),
            plan: *self.request.workflow.compiled().digest(),
            run: self.request.run_id.clone(),
            step: order.step,
            attempt: order.attempt,
            agent: order.agent,
            input: order.input,
            run_input: Arc::clone(&self.run_input),
            labels: order.labels,
            subject: self.subject.clone(),
            wants: wants.collect(),
            limits: limits_within(order.limits.within(self.request.limits), order.timeout.map(|timeout| timeout.0)),
        }
    }

    fn compiled(&self, step: &StepPath) -> Result<&CompiledStep, Broken> {
        let found = self.request.workflow.compiled().steps.get(step);
        found.ok_or_else(|| Broken::Internal(format!("the plan has no step `{step}`")))
    }

    /// Waits for a task or a timer.
    async fn wait(&mut self) -> Result<(), Broken> {
        let finished = match self.work.join_next_with_id().await {
            None => return Err(Broken::Internal("nothing runs and nothing can be started".to_owned())),
            Some(Ok((id, finished))) => {
                self.tasks.remove(&id);
                finished
            }
            Some(Err(error)) => match self.tasks.remove(&error.id()) {
                None => return Err(Broken::Internal(format!("a timer ended: {error}"))),
                Some(step) => Finished::Task { step, report: Box::new(crashed(&error)), fits: Ok(()) },
            },
        };
        match finished {
            Finished::Timer { step } => self.happen(Event::RetryDue { step }, None).await,
            Finished::Task { step, report, fits } => self.ended(step, *report, fits).await,
        }
    }

    async fn ended(&mut self, step: StepPath, report: TaskReport, fits: Result<(), String>) -> Result<(), Broken> {
        if let TaskOutcome::Ended(EndReason::Ledger(failure)) = &report.outcome {
            let failure = failure.clone();
            self.trace.keep(self.began.elapsed(), &step, report);
            return Err(Broken::Ledger(failure));
        }
        let compiled = self.compiled(&step)?;
        let state = self.state.step(&step);
        let attempt = state.map_or(0, |state| state.attempts);
        let agent = state.and_then(|state| state.agent.as_ref()).unwrap_or(&compiled.node.agent);
        let event = match failure::judge(compiled, agent, &report, fits) {
            Ok(answer) => Event::StepAnswered { step: step.clone(), attempt, answer },
            Err(failure) => Event::AttemptFailed { step: step.clone(), attempt, failure },
        };
        let component = report.component.as_ref().map(|(digest, _)| *digest);
        self.trace.keep(self.began.elapsed(), &step, report);
        self.happen(event, component).await
    }

    /// Writes an event, then applies it. The last one is on disk before anybody hears of it.
    async fn happen(&mut self, event: Event, component: Option<bailiwick_core::ids::Digest>) -> Result<(), Broken> {
        let mut context = self.context.clone();
        if let Some(step) = event.step() {
            context.step = Some(step.clone());
            context.component = component;
            self.name_task(&event, &mut context);
        }
        // Checked before it is written: the ledger never holds an event that cannot be read back.
        self.state.check(&event).map_err(Broken::Illegal)?;
        let value = serde_json::to_value(&event).map_err(|error| Broken::Internal(error.to_string()))?;
        let mut fields = Fields { event: Some(event.name().into()), ..Fields::default() };
        if matches!(event, Event::RunStarted { .. }) {
            fields.decision = Some(Verdict::Permit);
            fields.rule = Some(self.opening.rules().join(", ").into());
            fields.policy_version = Some(self.opening.policy_version().clone());
        }
        let mut last = self.append(RecordKind::RunEvent, context.clone(), fields, "event", value)?;
        if let Event::Escalated { card, .. } = &event {
            let fields = Fields { reason: Some(card.queue.as_str().into()), ..Fields::default() };
            let value = serde_json::to_value(card).map_err(|error| Broken::Internal(error.to_string()))?;
            last = self.append(RecordKind::Escalated, context, fields, "card", value)?;
        }
        let is_last = matches!(event, Event::RunFinished { .. });
        if is_last || self.orchestrator.recorder.is_pressed() {
            let began = Instant::now();
            self.orchestrator.recorder.durable(last).await?;
            self.trace.disk += began.elapsed();
        }
        let at = self.began.elapsed();
        self.state.apply(&event).map_err(Broken::Illegal)?;
        self.trace.note(at, &event);
        self.observer.happened(at, &event);
        Ok(())
    }

    fn name_task(&self, event: &Event, context: &mut RecordContext) {
        match event {
            Event::TaskStarted { attempt, task, agent, .. } => {
                context.attempt = Some(*attempt);
                context.task = Some(task.clone());
                context.agent = Some(agent.clone());
            }
            Event::StepAnswered { step, attempt, .. } | Event::AttemptFailed { step, attempt, .. } => {
                context.attempt = Some(*attempt);
                if let Some(state) = self.state.step(step)
                    && let bailiwick_core::run::Phase::Running { task } = &state.phase
                {
                    context.task = Some(task.clone());
                    context.agent.clone_from(&state.agent);
                }
            }
            _ => {}
        }
    }

    fn append(
        &self,
        kind: RecordKind,
        context: RecordContext,
        fields: Fields,
        part: &'static str,
        value: Value,
    ) -> Result<Seq, LedgerFailure> {
        let payload = Payload { subject: self.subject.clone(), parts: vec![(part, value.into())] };
        self.orchestrator.recorder.append(Draft { kind, context: Arc::new(context), fields, payload: Some(payload) })
    }
}

/// The report of a task whose runner itself broke.
fn crashed(error: &tokio::task::JoinError) -> TaskReport {
    TaskReport {
        outcome: TaskOutcome::Ended(EndReason::Internal(format!("the task's runner broke: {error}"))),
        component: None,
        usage: Usage::default(),
        grants: Vec::new(),
        calls: Vec::new(),
        denied_calls: 0,
        labels: Default::default(),
        log: Vec::new(),
    }
}
