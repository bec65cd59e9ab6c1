//! A run as the ledger has it: its events, its tasks, and what was decided for each.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_core::event::Event;
use bailiwick_core::grant::GrantRequest;
use bailiwick_core::ids::{AgentName, Digest, GrantId, PolicyVersion, RunId, Seq, StepPath, TaskId};
use bailiwick_core::record::{CallOutcome, Envelope, RecordContext, RecordKind, Verdict};
use bailiwick_ledger::{Filter, PayloadState, ReadProblem, Reader};
use serde_json::Value;

/// Most records of a run that are read.
const RECORDS_READ: usize = 1_000_000;

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The run.
    pub run: RunId,
    /// What its first record says of it.
    pub context: RecordContext,
    /// Its events, in order.
    pub events: Vec<(Seq, Event)>,
    /// The rules that permitted or refused it, and the policy version.
    pub opening: Option<Opening>,
    /// Its tasks, in the order in which they started.
    pub tasks: Vec<Task>,
    /// Payloads that are not there, because they were erased or are missing.
    pub gone: usize,
}

/// The decision about opening a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The record.
    pub seq: Seq,
    /// Whether it was permitted.
    pub permitted: bool,
    /// The rules.
    pub rule: String,
    /// The version that decided.
    pub version: Option<PolicyVersion>,
    /// Why not.
    pub reason: Option<String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The step.
    pub step: StepPath,
    /// Which try, from 1.
    pub attempt: u32,
    /// The agent.
    pub agent: AgentName,
    /// Its component.
    pub component: Option<Digest>,
    /// The digest of the plan.
    pub plan: Option<Digest>,
    /// Decisions about its grants, in order.
    pub issues: Vec<Issue>,
    /// Its calls, in order.
    pub calls: Vec<Call>,
    /// The word for how it ended.
    pub end: Option<Arc<str>>,
}

/// A decision about a grant.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// The record.
    pub seq: Seq,
    /// The operation in full.
    pub operation: Arc<str>,
    /// Whether it was issued.
    pub permitted: bool,
    /// The rules.
    pub rule: String,
    /// The version that decided.
    pub version: Option<PolicyVersion>,
    /// The grant.
    pub grant: Option<GrantId>,
    /// What was asked for; `None` where the payload is not there.
    pub request: Option<GrantRequest>,
    /// Why it was not issued.
    pub reason: Option<String>,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The record of its intent, or of its denial.
    pub seq: Seq,
    /// The record of its outcome.
    pub outcome_seq: Option<Seq>,
    /// When it began.
    pub time_ms: u64,
    /// The operation in full.
    pub operation: Arc<str>,
    /// Its number within its operation and task.
    pub ordinal: u32,
    /// Its arguments, where they were kept.
    pub args: Option<Value>,
    /// What became of it.
    pub outcome: Option<CallOutcome>,
    /// Whether it, or the delivery of its answer, was forbidden.
    pub forbidden: bool,
    /// The rules that forbade it.
    pub rule: Option<Arc<str>>,
    /// Case of its error.
    pub reason: Option<Arc<str>>,
    /// What the operator learns of a denial or an error.
    pub detail: Option<String>,
    /// The policy version of its decision.
    pub version: Option<PolicyVersion>,
    /// The grant that it was weighed by.
    pub grant: Option<GrantId>,
    /// Labels of its answer.
    pub labels: Vec<String>,
    /// Further records about it: security events.
    pub events: Vec<Seq>,
}

impl Call {
    /// Whether the call never left the host.
    pub fn is_refused(&self) -> bool {
        self.outcome_seq == Some(self.seq)
    }

    /// Whether a record is about this call.
    pub fn has(&self, seq: Seq) -> bool {
        self.seq == seq || self.outcome_seq == Some(seq) || self.events.contains(&seq)
    }
}

impl History {
    /// Reads a run. Payloads are opened where `wants` says so.
    ///
    /// # Errors
    /// When a record or a wanted payload cannot be read.
    pub fn read(reader: &Reader, run: &RunId, wants: impl Fn(&Envelope) -> bool) -> Result<Self, ReadProblem> {
        let mut history =
            Self { run: run.clone(), context: RecordContext::default(), events: Vec::new(), opening: None, tasks: Vec::new(), gone: 0 };
        let mut index = HashMap::new();
        for (at, envelope) in reader.records(Filter::Run(run), Seq(0)).take(RECORDS_READ).enumerate() {
            let envelope = envelope?;
            if at == 0 {
                history.context = envelope.context.clone();
            }
            let payload = if wants(&envelope) { history.payload(reader, &envelope)? } else { None };
            history.take(envelope, payload, &mut index);
        }
        Ok(history)
    }

    fn payload(&mut self, reader: &Reader, envelope: &Envelope) -> Result<Option<Value>, ReadProblem> {
        let payload = reader.payload(envelope)?;
        if payload.is_none() && !matches!(reader.payload_state(envelope)?, PayloadState::None) {
            self.gone += 1;
        }
        Ok(payload)
    }

    fn take(&mut self, envelope: Envelope, payload: Option<Value>, index: &mut HashMap<TaskId, usize>) {
        let mut payload = payload;
        match envelope.kind {
            RecordKind::RunEvent => self.take_event(envelope, payload),
            RecordKind::RunDenied => self.opening = Some(opening(&envelope, false, text_of(payload.as_ref(), "reason"))),
            RecordKind::TaskStarted => {
                let Some(task) = task_of(&envelope) else { return };
                index.insert(task.id.clone(), self.tasks.len());
                self.tasks.push(task);
            }
            kind => {
                let task = envelope.context.task.as_ref().and_then(|id| index.get(id)).and_then(|at| self.tasks.get_mut(*at));
                let Some(task) = task else { return };
                match kind {
                    RecordKind::GrantIssued => task.issues.push(issue_of(&envelope, true, payload.as_mut())),
                    RecordKind::GrantDenied => task.issues.push(issue_of(&envelope, false, payload.as_mut())),
                    RecordKind::CallIntent | RecordKind::CallOutcome | RecordKind::SecurityEvent => task.take_call(&envelope, payload),
                    RecordKind::TaskEnded => task.end = envelope.fields.reason,
                    _ => {}
                }
            }
        }
    }

    fn take_event(&mut self, envelope: Envelope, payload: Option<Value>) {
        if envelope.fields.event.as_deref() == Some("run-started") {
            self.opening = Some(opening(&envelope, true, None));
        }
        let event = payload.and_then(|mut payload| serde_json::from_value(payload.get_mut("event")?.take()).ok());
        self.events.extend(event.map(|event| (envelope.seq, event)));
    }

    /// Gives the tasks of a step, in order.
    pub fn tasks_of<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Task> + 'a {
        self.tasks.iter().filter(move |task| task.step.as_str() == step)
    }
}

impl Task {
    fn take_call(&mut self, envelope: &Envelope, payload: Option<Value>) {
        let fields = &envelope.fields;
        match (envelope.kind, fields.intent) {
            (RecordKind::CallIntent, _) => self.calls.push(call_of(envelope, payload)),
            (RecordKind::CallOutcome, None) => {
                let mut call = call_of(envelope, payload);
                call.outcome_seq = Some(envelope.seq);
                self.calls.push(call);
            }
            (RecordKind::CallOutcome, Some(intent)) => {
                let Some(call) = self.calls.iter_mut().rev().find(|call| call.seq == intent) else { return };
                call.outcome_seq = Some(envelope.seq);
                call.outcome = fields.outcome;
                call.forbidden = fields.decision == Some(Verdict::Forbid);
                call.rule.clone_from(&fields.rule);
                call.reason.clone_from(&fields.reason);
                call.labels.clone_from(&fields.labels);
                let error = payload.as_ref().and_then(|payload| payload.get("error"));
                call.detail = error.and_then(|error| text_of(Some(error), "detail"));
            }
            // A security event follows the denial that it is about, or stands before the outcome of an answer that was withheld.
            _ => {
                if let Some(call) = self.calls.last_mut() {
                    call.events.push(envelope.seq);
                }
            }
        }
    }
}

fn opening(envelope: &Envelope, permitted: bool, reason: Option<String>) -> Opening {
    let rule = envelope.fields.rule.as_deref().unwrap_or_default().to_owned();
    Opening { seq: envelope.seq, permitted, rule, version: envelope.fields.policy_version.clone(), reason }
}

fn text_of(payload: Option<&Value>, part: &str) -> Option<String> {
    payload?.get(part)?.as_str().map(str::to_owned)
}

fn task_of(envelope: &Envelope) -> Option<Task> {
    let context = &envelope.context;
    Some(Task {
        id: context.task.clone()?,
        step: context.step.clone()?,
        attempt: context.attempt.unwrap_or(1),
        agent: context.agent.clone()?,
        component: context.component,
        plan: context.plan,
        issues: Vec::new(),
        calls: Vec::new(),
        end: None,
    })
}

fn issue_of(envelope: &Envelope, permitted: bool, payload: Option<&mut Value>) -> Issue {
    let fields = &envelope.fields;
    let reason = text_of(payload.as_deref(), "reason");
    let part = if permitted { "grant" } else { "request" };
    let request = payload.and_then(|payload| serde_json::from_value(payload.get_mut(part)?.take()).ok());
    Issue {
        seq: envelope.seq,
        operation: fields.operation.clone().unwrap_or_else(|| Arc::from("")),
        permitted,
        rule: fields.rule.as_deref().unwrap_or_default().to_owned(),
        version: fields.policy_version.clone(),
        grant: fields.grant.clone(),
        request,
        reason,
    }
}

fn call_of(envelope: &Envelope, payload: Option<Value>) -> Call {
    let fields = &envelope.fields;
    let detail = text_of(payload.as_ref(), "detail");
    let args = payload.and_then(|mut payload| Some(payload.get_mut("args")?.take()));
    // What stands in place of arguments that were too large to be kept.
    let is_kept = |args: &Value| {
        !(fields.intent.is_none()
            && fields.outcome == Some(CallOutcome::Denied)
            && args.as_object().is_some_and(|map| map.len() == 2 && map.contains_key("bytes") && map.contains_key("digest")))
    };
    Call {
        seq: envelope.seq,
        outcome_seq: None,
        time_ms: envelope.time_ms,
        operation: fields.operation.clone().unwrap_or_else(|| Arc::from("")),
        ordinal: fields.ordinal.unwrap_or(0),
        args: args.filter(is_kept),
        outcome: fields.outcome,
        forbidden: fields.decision == Some(Verdict::Forbid),
        rule: fields.rule.clone(),
        reason: fields.reason.clone(),
        detail,
        version: fields.policy_version.clone(),
        grant: fields.grant.clone(),
        labels: fields.labels.clone(),
        events: Vec::new(),
    }
}
