//! A scripted runner and a recorder that keeps what it takes.

pub mod returns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_core::capability::Catalog;
use bailiwick_core::event::Event;
use bailiwick_core::ids::{AgentName, Digest, GrantId, Seq};
use bailiwick_core::record::{Draft, LedgerFailure, RecordKind};
use bailiwick_core::runner::{
    AgentInfo, Answer, CallSummary, Confidence, EndReason, FailureKind, GrantUse, Source, TaskOutcome, TaskReport, TaskSpec, Usage,
};
use bailiwick_core::{AgentRunner, BoxFuture, Recorder};
use bailiwick_orchestrator::{CheckedWorkflow, Known, Refused, load};
use bailiwick_schema::Schema;
use serde_json::{Value, json};

/// What an agent does in one attempt.
#[derive(Clone)]
pub enum Act {
    /// Answers after some time.
    Answer(Duration, Value),
    /// Answers with a confidence.
    Unsure(Value, u16),
    /// Fails.
    Fail(FailureKind, &'static str),
    /// Fails after calls with these results.
    FailAfter(FailureKind, &'static [(&'static str, &'static str)]),
    /// Reads data with these labels, and does something else then.
    Read(&'static [&'static str], Box<Act>),
    /// Is ended.
    End(EndReason),
    /// Never ends.
    Hang,
    /// Breaks the runner.
    Panic,
}

/// Answers at once.
pub fn answer(value: Value) -> Act {
    Act::Answer(Duration::ZERO, value)
}

pub struct Agent {
    info: Arc<AgentInfo>,
    acts: Mutex<VecDeque<Act>>,
}

/// Runs no code: does what it was told, in order; the last act goes on for ever.
#[derive(Default)]
pub struct FakeRunner {
    agents: BTreeMap<AgentName, Agent>,
    pub started: Mutex<Vec<TaskSpec>>,
    pub running: Arc<AtomicUsize>,
    pub most_running: AtomicUsize,
}

/// Counts a task while it lives.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FakeRunner {
    pub fn with(mut self, name: &str, input: Value, output: Value, imports: &[&str], acts: impl IntoIterator<Item = Act>) -> Self {
        let catalog = catalog();
        let full = imports.iter().map(|short| catalog.resolve(short).unwrap().full.to_string());
        let info = AgentInfo {
            name: name.into(),
            version: "1.2.3".to_owned(),
            component: Digest::of(name.as_bytes()),
            purpose: "x".to_owned(),
            owner: "team@example.org".to_owned(),
            data_level: "public".to_owned(),
            risk_class: "low".to_owned(),
            review_by: String::new(),
            input_schema: input,
            output_schema: output,
            imports: full.collect(),
            wants: imports.iter().map(|short| (*short).to_owned()).collect(),
            ambient: Vec::new(),
            stubs: Vec::new(),
        };
        self.agents.insert(name.into(), Agent { info: Arc::new(info), acts: Mutex::new(acts.into_iter().collect()) });
        self
    }

    /// An agent that takes anything and gives `{ ok: boolean, n?: integer }`.
    pub fn simple(self, name: &str, acts: impl IntoIterator<Item = Act>) -> Self {
        self.with(name, json!({"type": "object"}), simple_output(), &[], acts)
    }

    /// Agents of the started tasks, in order.
    pub fn steps_started(&self) -> Vec<String> {
        self.started.lock().unwrap().iter().map(|task| format!("{}#{}@{}", task.step, task.attempt, task.agent)).collect()
    }
}

pub fn simple_output() -> Value {
    json!({
        "type": "object", "required": ["ok"], "additionalProperties": false,
        "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer"}},
    })
}

impl AgentRunner for FakeRunner {
    fn agent(&self, name: &AgentName) -> Option<Arc<AgentInfo>> {
        self.agents.get(name).map(|agent| Arc::clone(&agent.info))
    }

    fn agents(&self) -> Vec<AgentName> {
        self.agents.keys().cloned().collect()
    }

    fn run(&self, task: TaskSpec) -> BoxFuture<'_, TaskReport> {
        Box::pin(async move {
            let alive = Alive(Arc::clone(&self.running));
            let running = alive.0.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            let agent = &self.agents[&task.agent];
            if let Err(message) = Schema::of_agent(&agent.info.input_schema).unwrap().check(&task.input) {
                self.started.lock().unwrap().push(task.clone());
                return report(&task, agent, TaskOutcome::Ended(EndReason::InvalidInput(message)), Duration::ZERO, &[]);
            }
            let act = {
                let mut acts = agent.acts.lock().unwrap();
                if acts.len() > 1 { acts.pop_front().unwrap() } else { acts.front().cloned().unwrap() }
            };
            self.started.lock().unwrap().push(task.clone());
            let (read, act) = match act {
                Act::Read(read, act) => (read, *act),
                act => (&[][..], act),
            };
            let labels: BTreeSet<String> = task.labels.iter().cloned().chain(read.iter().map(|label| (*label).to_owned())).collect();
            let answered = |value, confidence| TaskOutcome::Answered(Answer { labels: labels.clone(), ..answered(value, confidence) });
            let (time, outcome, calls) = match act {
                Act::Answer(time, value) => (time, answered(value, Confidence::Certain), Vec::new()),
                Act::Unsure(value, n) => (Duration::ZERO, answered(value, Confidence::PerMille(n)), Vec::new()),
                Act::Read(..) => panic!("a reading within a reading"),
                Act::Fail(kind, message) => (Duration::ZERO, TaskOutcome::Failed { kind, message: message.to_owned() }, Vec::new()),
                Act::FailAfter(kind, calls) => (Duration::ZERO, TaskOutcome::Failed { kind, message: "x".to_owned() }, calls.to_vec()),
                Act::End(reason) => (Duration::ZERO, TaskOutcome::Ended(reason), Vec::new()),
                Act::Hang => pending().await,
                Act::Panic => panic!("the runner breaks"),
            };
            tokio::time::sleep(time).await;
            TaskReport { labels, ..report(&task, agent, outcome, time, &calls) }
        })
    }
}

fn answered(output: Value, confidence: Confidence) -> Answer {
    let source = Source { operation: "crm/customers.get".to_owned(), as_of: Some("2026-11-20T10:00:00Z".to_owned()) };
    Answer { output: Arc::new(output), confidence, claimed_sources: Vec::new(), sources: vec![source], labels: Default::default() }
}

fn report(task: &TaskSpec, agent: &Agent, outcome: TaskOutcome, time: Duration, calls: &[(&str, &str)]) -> TaskReport {
    let called = |operation: &str| calls.iter().filter(|(name, _)| *name == operation).count() as u64;
    let grants = task.wants.iter().enumerate().map(|(index, want)| {
        let operation = want.request.operation.to_short();
        GrantUse { id: GrantId::from(format!("g{index}")), calls: called(&operation), operation }
    });
    let call = |(operation, result): &(&str, &str)| CallSummary {
        operation: (*operation).to_owned(),
        result: (*result).to_owned(),
        detail: None,
        time_us: 1,
        artifacts: Vec::new(),
    };
    TaskReport {
        outcome,
        component: Some((agent.info.component, agent.info.version.clone())),
        usage: Usage { time_us: time.as_micros() as u64, ..Usage::default() },
        grants: grants.collect(),
        calls: calls.iter().map(call).collect(),
        labels: BTreeSet::new(),
        denied_calls: calls.iter().filter(|(_, result)| *result == "denied").count() as u64,
        log: Vec::new(),
    }
}

/// Keeps records in order, and fails from one of them on.
#[derive(Default)]
pub struct Kept {
    pub drafts: Mutex<Vec<Draft>>,
    pub durable: Mutex<Vec<u64>>,
    pub fail_at: Option<usize>,
    pub fail_durable: AtomicBool,
    pub pressed: AtomicBool,
}

impl Kept {
    /// Events as they would be read back.
    pub fn events(&self) -> Vec<Event> {
        let drafts = self.drafts.lock().unwrap();
        let events = drafts.iter().filter(|draft| draft.kind == RecordKind::RunEvent);
        events
            .map(|draft| serde_json::from_value(draft.payload.as_ref().unwrap().parts[0].1.to_value().unwrap().into_owned()).unwrap())
            .collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.events().iter().map(|event| event.step().map_or(event.name().to_owned(), |step| format!("{} {step}", event.name()))).collect()
    }
}

impl Recorder for Kept {
    fn append(&self, draft: Draft) -> Result<Seq, LedgerFailure> {
        let mut drafts = self.drafts.lock().unwrap();
        if self.fail_at.is_some_and(|at| drafts.len() >= at) {
            return Err(LedgerFailure("no space left on device".to_owned()));
        }
        drafts.push(draft);
        Ok(Seq(drafts.len() as u64 - 1))
    }

    fn durable(&self, seq: Seq) -> BoxFuture<'_, Result<(), LedgerFailure>> {
        Box::pin(async move {
            if self.fail_durable.load(Ordering::SeqCst) {
                return Err(LedgerFailure("input/output error".to_owned()));
            }
            self.durable.lock().unwrap().push(seq.0);
            Ok(())
        })
    }

    fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::SeqCst)
    }
}

pub fn catalog() -> Catalog {
    bailiwick_wit::builtin_catalog().unwrap()
}

/// Folder of the returns sample.
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/returns")
}

/// Loads a workflow whose files lie in the returns sample.
pub fn try_load(text: &str, runner: &FakeRunner) -> Result<CheckedWorkflow, Refused> {
    let catalog = catalog();
    let read = |path: &str| std::fs::read_to_string(sample().join(path));
    load("workflow.yaml", text, &Known { catalog: &catalog, agents: runner, read: &read })
}

pub fn loaded(text: &str, runner: &FakeRunner) -> Arc<CheckedWorkflow> {
    match try_load(text, runner) {
        Ok(workflow) => Arc::new(workflow),
        Err(refused) => panic!("{:#?}", refused.0.iter().map(|d| (d.line, d.column, &d.message, &d.help)).collect::<Vec<_>>()),
    }
}
