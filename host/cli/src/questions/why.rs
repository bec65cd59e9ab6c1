//! `why`: what decided about a step or a call, by which rule, and what would have had to differ.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::capability::{Effect, Operation, OperationId};
use bailiwick_core::event::Event;
use bailiwick_core::grant::GrantRequest;
use bailiwick_core::ids::Seq;
use bailiwick_core::plan::GrantTemplate;
use bailiwick_core::policy::{AgentFacts, CallFacts, PolicyContext, Requester};
use bailiwick_core::run::RunState;
use bailiwick_core::{canonical, suggest};
use bailiwick_ledger::ReadProblem;
use bailiwick_orchestrator::{Command, Compiled, TaskOrder};
use bailiwick_policy::{call_facts, issue_facts};
use serde_json::Value;

use super::answer::{Answer, Finding, Line, Passed};
use super::differ::{self, Compared, Head};
use super::history::{Call, History, Issue, Task};
use super::known::{self, Known};
use super::rules::Rules;
use super::settled::settled;

/// Most forbidden decisions of a step that are told in full: a guest can be denied as often as it has host calls. Each can be asked for.
const TOLD_IN_FULL: usize = 50;

/// Why something cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum WhyProblem {
    /// The run has no such step, and neither has its plan.
    #[error("the run has no step `{step}`")]
    NoStep {
        /// What was asked for.
        step: String,
        /// What to do.
        help: String,
    },
    /// No call or grant of the step has this record.
    #[error("record {call} is no call and no grant of step `{step}` in this run")]
    NoCall {
        /// What was asked for.
        call: Seq,
        /// The step.
        step: String,
        /// What to do.
        help: String,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadProblem),
}

/// Explains a step of a run, or one of its calls or grants.
///
/// # Errors
/// When there is no such step or record, or the ledger cannot be read.
pub fn explain(history: &History, known: &Known, rules: Rules<'_>, step: &str, call: Option<Seq>) -> Result<Answer, WhyProblem> {
    let plan = known.plan(history.context.plan.as_ref());
    let mut why = Why { history, known, plan, rules, step };
    let answer = match history.opening.as_ref().filter(|opening| !opening.permitted) {
        Some(_) => why.refused()?,
        None => why.answer(call)?,
    };
    Ok(answer)
}

struct Why<'a> {
    history: &'a History,
    known: &'a Known,
    plan: Option<&'a Arc<Compiled>>,
    rules: Rules<'a>,
    step: &'a str,
}

impl<'a> Why<'a> {
    /// The run was not opened, so nothing of it ran.
    fn refused(&mut self) -> Result<Answer, WhyProblem> {
        let mut answer = self.blank("refused");
        let Some(opening) = &self.history.opening else { return Ok(answer) };
        answer.because.push(Line { seq: opening.seq, text: "the run was not opened, so no step of it ran".to_owned() });
        let version = opening.version.as_ref();
        answer.decisions.push(Finding {
            seq: opening.seq,
            about: "opening",
            permitted: false,
            operation: None,
            by: self.history.context.requester.clone(),
            outcome: None,
            detail: opening.reason.clone(),
            rules: self.rules.find(&opening.rule, version)?,
            policy_version: version.map(ToString::to_string),
            compared: Vec::new(),
            to_pass: vec!["policies that let this requester open this run".to_owned()],
            add: None,
            facts: None,
        });
        Ok(answer)
    }

    fn blank(&self, status: &'static str) -> Answer {
        Answer {
            step: self.step.to_owned(),
            status,
            because: Vec::new(),
            values: Vec::new(),
            to_pass: Vec::new(),
            decisions: Vec::new(),
            permitted: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn answer(&mut self, call: Option<Seq>) -> Result<Answer, WhyProblem> {
        self.check_step()?;
        let ended = settled(self.history, self.step, self.plan.map(|plan| &**plan));
        let mut answer = self.blank(ended.status);
        answer.because = ended.because.into_iter().map(|(seq, text)| Line { seq, text }).collect();
        answer.values = ended.values;
        answer.to_pass = ended.to_pass;
        let history = self.history;
        let mut untold = Vec::new();
        for task in history.tasks_of(self.step) {
            self.add_task(&mut answer, task, call, &mut untold)?;
        }
        if let Some(first) = untold.first() {
            answer.notes.push(format!(
                "{} further forbidden decisions are not told; ask for each by its record, the first is {first}",
                untold.len()
            ));
        }
        if let Some(call) = call {
            if answer.decisions.is_empty() {
                return Err(self.no_call(call));
            }
            // What was asked about is one record: how the step ended is another question.
            (answer.because, answer.values, answer.to_pass) = (Vec::new(), Vec::new(), Vec::new());
            answer.permitted.clear();
        }
        if self.is_tried() {
            answer.status = "tried";
        } else if self.plan.is_none() {
            answer.notes.push(self.known.why_no_plan());
        }
        if history.gone > 0 {
            answer.notes.push(format!("{} payloads of the run are not there any more: erased, or missing", history.gone));
        }
        Ok(answer)
    }

    /// A tried agent is no run of a workflow: there are tasks, and nothing ever happened to a run.
    fn is_tried(&self) -> bool {
        self.history.opening.is_none() && !self.history.tasks.is_empty()
    }

    fn add_task(&mut self, answer: &mut Answer, task: &'a Task, asked: Option<Seq>, untold: &mut Vec<Seq>) -> Result<(), WhyProblem> {
        for issue in &task.issues {
            let full = asked.map_or(!issue.permitted, |asked| asked == issue.seq);
            if full {
                answer.decisions.push(self.issue(task, issue)?);
            } else if issue.permitted {
                let (operation, rule) = (short(&issue.operation), issue.rule.clone());
                answer.permitted.push(Passed { seq: issue.seq, what: "grant", operation, rule, outcome: None });
            }
        }
        for call in &task.calls {
            let full = asked.map_or(call.forbidden, |asked| call.has(asked));
            if full && answer.decisions.len() >= TOLD_IN_FULL {
                untold.push(call.seq);
            } else if full {
                answer.decisions.push(self.call(task, call)?);
            } else if !call.forbidden {
                let rule = issue_for(task, call).map(|issue| issue.rule.clone()).unwrap_or_default();
                answer.permitted.push(Passed {
                    seq: call.seq,
                    what: "call",
                    operation: short(&call.operation),
                    rule,
                    outcome: call.outcome,
                });
            }
        }
        Ok(())
    }

    fn check_step(&self) -> Result<(), WhyProblem> {
        let mut steps: BTreeSet<&str> = self.history.tasks.iter().map(|task| task.step.as_str()).collect();
        steps.extend(self.history.events.iter().filter_map(|(_, event)| event.step()).map(|step| step.as_str()));
        steps.extend(self.plan.into_iter().flat_map(|plan| plan.plan().nodes.keys()).map(|step| step.as_str()));
        if steps.contains(self.step) {
            return Ok(());
        }
        let help = suggest::help(self.step, steps.iter().copied());
        Err(WhyProblem::NoStep { step: self.step.to_owned(), help })
    }

    fn no_call(&self, call: Seq) -> WhyProblem {
        let calls: Vec<String> = self.history.tasks_of(self.step).flat_map(|task| &task.calls).map(|call| call.seq.to_string()).collect();
        let help = if calls.is_empty() { "the step made no call".to_owned() } else { format!("its calls are {}", calls.join(", ")) };
        WhyProblem::NoCall { call, step: self.step.to_owned(), help }
    }

    fn issue(&mut self, task: &Task, issue: &Issue) -> Result<Finding, WhyProblem> {
        let operation = self.known.operation(&issue.operation).cloned();
        let context = self.context(task);
        let facts = match (&context, &operation, &issue.request) {
            (Some(context), Some(operation), Some(request)) => Some(self.named(task, issue_facts(context, operation, request))),
            _ => None,
        };
        let mut to_pass = Vec::new();
        if !issue.permitted {
            to_pass.push(match issue.rule.as_str() {
                "" => "a policy that permits it for these facts".to_owned(),
                "freeze" => "the freeze lifted".to_owned(),
                rule => other_facts(rule),
            });
        }
        Ok(Finding {
            seq: issue.seq,
            about: "grant",
            permitted: issue.permitted,
            operation: Some(short(&issue.operation)),
            by: Some(by(task)),
            outcome: None,
            detail: issue.reason.clone(),
            rules: self.rules.find(&issue.rule, issue.version.as_ref())?,
            policy_version: issue.version.as_ref().map(ToString::to_string),
            compared: Vec::new(),
            to_pass,
            add: None,
            facts,
        })
    }

    fn call(&mut self, task: &'a Task, call: &'a Call) -> Result<Finding, WhyProblem> {
        let operation = self.known.operation(&call.operation).cloned();
        let issue = issue_for(task, call);
        let request = issue.and_then(|issue| issue.request.as_ref());
        let written = operation.as_deref().and_then(|operation| self.written(task, operation));
        let compared = match (&operation, request, &call.args) {
            (Some(operation), Some(request), Some(args)) => differ::compare(operation, request, written, args),
            _ => Vec::new(),
        };
        // A call that was permitted rests on the permit of its grant.
        let rule = if call.forbidden { call.rule.as_deref().unwrap_or_default() } else { issue.map_or("", |issue| &issue.rule) };
        let version = call.version.as_ref().or_else(|| issue.and_then(|issue| issue.version.as_ref()));
        let of_gate = call.forbidden && bailiwick_policy::GATE_RULES.contains(&rule);
        let rules = self.rules.find(rule, version.filter(|_| !of_gate))?;
        let facts = if of_gate { None } else { self.call_facts(task, call, operation.as_deref(), request) };
        let (to_pass, add) =
            if call.forbidden { self.differs(task, call, rule, operation.as_deref(), request, &compared) } else { Default::default() };
        Ok(Finding {
            seq: call.seq,
            about: if call.forbidden && !call.is_refused() { "answer" } else { "call" },
            permitted: !call.forbidden,
            operation: Some(short(&call.operation)),
            by: Some(by(task)),
            outcome: call.outcome,
            detail: call.detail.clone(),
            rules,
            policy_version: version.filter(|_| !of_gate).map(ToString::to_string),
            compared,
            to_pass,
            add,
            facts,
        })
    }

    fn written(&self, task: &Task, operation: &Operation) -> Option<&'a GrantTemplate> {
        known::template(self.plan?, &task.step, operation)
    }

    /// Says what would have had to differ for a call that was denied, or whose answer was withheld.
    fn differs(
        &self,
        task: &Task,
        call: &Call,
        rule: &str,
        operation: Option<&Operation>,
        request: Option<&GrantRequest>,
        compared: &[Compared],
    ) -> (Vec<String>, Option<String>) {
        match rule {
            "no-grant" => self.missing(task, call, operation),
            "grant-conditions" => {
                let mut lines = differ::to_pass(compared);
                if lines.is_empty() {
                    lines.extend(call.detail.clone());
                }
                (lines, None)
            }
            "budget" => {
                (request.zip(operation).map(|(request, operation)| self.budget(call, operation, request)).unwrap_or_default(), None)
            }
            "owner" => {
                let owner = request.and_then(|request| request.owner.as_deref()).unwrap_or("the grant's owner");
                (vec![format!("an answer that belongs to `{owner}`: the system behind says that it is somebody else's")], None)
            }
            "freeze" => (vec!["the freeze lifted".to_owned()], None),
            "" => (vec!["a policy that permits it for these facts".to_owned()], None),
            rule => (vec![other_facts(rule)], None),
        }
    }

    /// The step does not grant the operation: gives what could be written.
    fn missing(&self, task: &Task, call: &Call, operation: Option<&Operation>) -> (Vec<String>, Option<String>) {
        let Some(operation) = operation else { return (vec!["a grant of an operation that this host does not know".to_owned()], None) };
        let alike = task.calls.iter().filter(|other| other.operation == call.operation);
        let args: Vec<&Value> = alike.filter_map(|other| other.args.as_ref()).collect();
        let written = differ::grant_for(operation, &args, self.head());
        let line = format!(
            "a grant of `{}`, in `may` of step `{}` in {}, if the agent is meant to have it",
            written.call, task.step, self.known.file
        );
        (vec![line], Some(written.to_yaml(0)))
    }

    fn budget(&self, call: &Call, operation: &Operation, request: &GrantRequest) -> Vec<String> {
        let (calls, bytes) = self.used(call.seq, operation);
        let budgets = &request.budgets;
        if calls >= budgets.calls {
            return vec![format!(
                "more than `calls: {}` for `{}`: {calls} were counted before this one, over all attempts of the step",
                budgets.calls, operation.short
            )];
        }
        vec![format!(
            "more than `bytes-out: {}` for `{}`: arguments of {bytes} bytes were counted before this call, whose own are not kept",
            budgets.bytes_out, operation.short
        )]
    }

    /// Calls and bytes of arguments that were counted before a record, over all attempts of the step.
    fn used(&self, before: Seq, operation: &Operation) -> (u64, u64) {
        let full = &*operation.full;
        let (mut calls, mut bytes, mut effects) = (0, 0, BTreeSet::new());
        let once = operation.spec.effect != Effect::Read;
        for call in self.history.tasks_of(self.step).flat_map(|task| &task.calls) {
            if call.seq >= before || call.is_refused() || &*call.operation != full {
                continue;
            }
            bytes += call.args.as_ref().map_or(0, canonical::size);
            calls += u64::from(!once || effects.insert(call.ordinal));
        }
        (calls, bytes)
    }

    fn head(&self) -> Head<'a> {
        match self.history.events.first() {
            Some((_, Event::RunStarted { input, subject, .. })) => Head { subject: subject.as_ref(), input: Some(input) },
            _ => Head::default(),
        }
    }

    /// What policies could look at of a task; `None` for a tried agent and where the run's beginning was erased.
    fn context(&self, task: &Task) -> Option<PolicyContext> {
        let Some((_, Event::RunStarted { run, workflow, input, subject, requester, .. })) = self.history.events.first() else {
            return None;
        };
        let unknown = || AgentFacts {
            name: task.agent.clone(),
            version: String::new(),
            tier: 0,
            data_level: String::new(),
            risk_class: String::new(),
        };
        let agent = task.component.as_ref().and_then(|digest| self.known.agents.get(digest)).cloned().unwrap_or_else(unknown);
        Some(PolicyContext {
            requester: Arc::new(Requester::clone(requester)),
            workflow: workflow.clone(),
            run: run.clone(),
            step: task.step.clone(),
            attempt: task.attempt,
            agent: Arc::new(agent),
            subject: subject.clone(),
            run_input: Some(Arc::new(input.clone())),
        })
    }

    /// Says of the agent's facts that they are not known where its component is not installed any more.
    fn named(&self, task: &Task, mut facts: Value) -> Value {
        let is_known = task.component.as_ref().is_some_and(|digest| self.known.agents.contains_key(digest));
        if !is_known && let Some(principal) = facts.get_mut("principal") {
            *principal = serde_json::json!({ "agent": { "name": task.agent, "not-known": "its component is not installed any more" } });
        }
        facts
    }

    fn call_facts(&self, task: &Task, call: &Call, operation: Option<&Operation>, request: Option<&GrantRequest>) -> Option<Value> {
        let (operation, request, args) = (operation?, request?, call.args.as_ref()?);
        let context = self.context(task)?;
        let start = self.order(task).map(|order| order.labels);
        let read = task.calls.iter().filter(|other| other.outcome_seq.is_some_and(|outcome| outcome < call.seq));
        let labels: BTreeSet<String> =
            start.clone().unwrap_or_default().into_iter().chain(read.flat_map(|other| other.labels.clone())).collect();
        let (calls, bytes_out) = self.used(call.seq, operation);
        let mut facts = self.named(task, call_facts(&context, operation, request, &CallFacts { args, labels: &labels, calls, bytes_out }));
        if start.is_none()
            && let Some(context) = facts.get_mut("context").and_then(Value::as_object_mut)
        {
            context.insert("labels-not-known".to_owned(), "those of the task's input: the plan is not known".into());
        }
        Some(facts)
    }

    /// Works out again what a task was started with, from the plan and the events before it.
    fn order(&self, task: &Task) -> Option<Box<TaskOrder>> {
        let plan = self.plan?;
        let mut state = RunState::new(plan.plan()).ok()?;
        for (_, event) in &self.history.events {
            if matches!(event, Event::TaskStarted { task: id, .. } if *id == task.id) {
                let commands = bailiwick_orchestrator::step(plan, &state, usize::MAX);
                return commands.into_iter().find_map(|command| match command {
                    Command::RunTask(order) if order.step == task.step => Some(order),
                    _ => None,
                });
            }
            state.apply(event).ok()?;
        }
        None
    }
}

/// What is said of policies: which fact it was is for the reader of rule and facts, who has both before him.
fn other_facts(rule: &str) -> String {
    format!("facts to which `{rule}` does not apply (its text and the facts that it had stand here), or another text of it")
}

/// The decision about the grant that a call was weighed by; where none fitted, about the first of its operation.
fn issue_for<'t>(task: &'t Task, call: &Call) -> Option<&'t Issue> {
    let by_id = call.grant.as_ref().and_then(|grant| task.issues.iter().find(|issue| issue.grant.as_ref() == Some(grant)));
    by_id.or_else(|| task.issues.iter().find(|issue| issue.operation == call.operation))
}

fn by(task: &Task) -> String {
    let component = task.component.as_ref().map(|digest| format!(" (sha256:{})", digest.to_short())).unwrap_or_default();
    format!("{}{component}, attempt {}", task.agent, task.attempt)
}

/// The form of workflow files.
pub fn short(full: &str) -> String {
    full.parse::<OperationId>().map_or_else(|_| full.to_owned(), |id| id.to_short())
}
