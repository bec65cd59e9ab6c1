//! `advise grants`: the smallest grants that recorded tasks of an agent would have needed, step by step.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{Dedupe, Effect, FieldPath, Operation};
use bailiwick_core::event::Event;
use bailiwick_core::grant::{Condition, GrantRequest};
use bailiwick_core::ids::{AgentName, Digest, RunId, StepPath, SubjectId, WorkflowName};
use bailiwick_core::plan::{ConditionTemplate, GrantTemplate, ValueTemplate};
use bailiwick_core::record::{Envelope, RecordKind};
use serde::Serialize;
use serde_json::Value;

use super::differ::{self, Head};
use super::history::{Call, History, Task};
use super::known::{self, Known};
use super::paste::{self, Written};
use super::why::short;
use crate::display;
use crate::text;

/// Errors of an effect after which it is certain that nothing happened: the gate gives its call back.
const NOTHING_HAPPENED: [&str; 5] = ["unavailable", "rate-limited", "invalid", "not-found", "needs-approval"];

/// Advice for one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Advice {
    /// The workflow.
    pub workflow: String,
    /// The step.
    pub step: String,
    /// Runs that were looked at.
    pub runs: usize,
    /// Tasks of the agent in them.
    pub tasks: usize,
    /// The block to paste, `may:` first.
    pub may: String,
    /// Grants that no task used.
    pub unused: Vec<Unused>,
    /// Operations that tasks asked for and were not granted.
    pub asked: Vec<Asked>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

/// A grant that no task used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unused {
    /// The operation.
    pub operation: String,
    /// How many tasks held it.
    pub tasks: usize,
}

/// An operation that was asked for in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// The operation.
    pub operation: String,
    /// How many calls were denied.
    pub calls: usize,
    /// By which rules.
    pub rules: Vec<String>,
}

/// Whether a record's payload is needed for advice about an agent.
pub fn wants(envelope: &Envelope, agent: &AgentName) -> bool {
    match envelope.kind {
        RecordKind::RunEvent => envelope.fields.event.as_deref() == Some("run-started"),
        RecordKind::GrantIssued => envelope.context.agent.as_ref() == Some(agent),
        _ => false,
    }
}

/// Advises about an agent's grants from runs, the latest first.
pub fn advise(histories: &[History], agent: &AgentName, known: &Known) -> Vec<Advice> {
    let mut steps: BTreeMap<(WorkflowName, StepPath), Seen<'_>> = BTreeMap::new();
    for history in histories {
        let Some(workflow) = &history.context.workflow else { continue };
        let own: BTreeSet<&StepPath> = history.tasks.iter().filter(|task| task.agent == *agent).map(|task| &task.step).collect();
        for step in own {
            let tasks: Vec<&Task> = history.tasks.iter().filter(|task| task.step == *step && task.agent == *agent).collect();
            steps.entry((workflow.clone(), step.clone())).or_default().take(history, &tasks, known);
        }
    }
    steps.into_iter().map(|((workflow, step), seen)| seen.advice(workflow.as_str(), &step, known)).collect()
}

/// What was seen of a step.
#[derive(Default)]
struct Seen<'a> {
    runs: BTreeSet<RunId>,
    tasks: usize,
    plans: BTreeSet<Digest>,
    gone: usize,
    operations: BTreeMap<String, Use<'a>>,
}

/// What was seen of an operation.
#[derive(Default)]
struct Use<'a> {
    /// Tasks that held a grant of it.
    held: usize,
    /// Tasks that made a call under it.
    used: usize,
    /// Most calls that one run's step counted.
    calls: u64,
    /// Most calls that one run's step was granted.
    granted: u64,
    denied: usize,
    rules: BTreeSet<String>,
    /// What was granted, each with its run's beginning.
    requests: Vec<(&'a GrantRequest, Head<'a>)>,
}

impl<'a> Seen<'a> {
    fn take(&mut self, history: &'a History, tasks: &[&'a Task], known: &Known) {
        self.runs.insert(history.run.clone());
        self.tasks += tasks.len();
        self.gone += history.gone;
        let head = head(history);
        let mut operations: BTreeSet<&str> = BTreeSet::new();
        for task in tasks {
            self.plans.extend(task.plan);
            for issue in task.issues.iter().filter(|issue| issue.permitted) {
                operations.insert(&issue.operation);
                let seen = self.operations.entry(issue.operation.to_string()).or_default();
                seen.held += 1;
                seen.granted = seen.granted.max(issue.request.as_ref().map_or(0, |request| request.budgets.calls));
                seen.requests.extend(issue.request.as_ref().map(|request| (request, head)));
            }
            for call in &task.calls {
                operations.insert(&call.operation);
                if call.is_refused() {
                    let seen = self.operations.entry(call.operation.to_string()).or_default();
                    seen.denied += 1;
                    seen.rules.extend(call.rule.as_deref().map(str::to_owned));
                }
            }
        }
        for operation in operations {
            let calls = |task: &&&Task| task.calls.iter().any(|call| &*call.operation == operation && !call.is_refused());
            let used = tasks.iter().filter(calls).count();
            let counted = counted(tasks, operation, known.operation(operation).map(|operation| &**operation));
            let seen = self.operations.entry(operation.to_owned()).or_default();
            seen.used += used;
            seen.calls = seen.calls.max(counted);
        }
    }

    fn advice(self, workflow: &str, step: &StepPath, known: &Known) -> Advice {
        let plan = known.workflow.as_ref().map(|workflow| workflow.compiled()).filter(|plan| plan.plan().workflow.as_str() == workflow);
        let (mut grants, mut unused, mut asked, mut notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let is_same = plan.is_some_and(|plan| self.plans.iter().all(|digest| digest == plan.digest()));
        for (full, seen) in &self.operations {
            if seen.denied > 0 {
                asked.push(Asked { operation: short(full), calls: seen.denied, rules: seen.rules.iter().cloned().collect() });
            }
            if seen.held > 0 && seen.used == 0 {
                unused.push(Unused { operation: short(full), tasks: seen.held });
            }
            if seen.used == 0 {
                continue;
            }
            let Some(operation) = known.operation(full) else {
                notes.push(format!("`{full}` was used, and this host does not know it: write its grant by hand"));
                continue;
            };
            let template = plan.and_then(|plan| known::template(plan, step, operation)).filter(|template| seen.fits(template));
            grants.push(seen.grant(operation, template).to_yaml(2));
        }
        if !is_same {
            notes.push(format!("conditions are as in the workflow file of today where they fit what was granted; {}", known.why_no_plan()));
        }
        if self.gone > 0 {
            notes.push(format!("{} payloads are not there any more: what was granted there is not known", self.gone));
        }
        let may = if grants.is_empty() { "may: []".to_owned() } else { format!("may:\n{}", grants.join("\n")) };
        Advice {
            workflow: workflow.to_owned(),
            step: step.to_string(),
            runs: self.runs.len(),
            tasks: self.tasks,
            may,
            unused,
            asked,
            notes,
        }
    }
}

impl Use<'_> {
    /// Whether a grant of today's file says of the same arguments the same kinds of things as every grant that was issued.
    fn fits(&self, template: &GrantTemplate) -> bool {
        self.requests.iter().all(|(request, _)| {
            request.conditions.len() == template.conditions.len()
                && request.conditions.iter().zip(&template.conditions).all(|((path, bound), (other, written))| {
                    path == other
                        && bound.len() == written.len()
                        && bound.iter().zip(written).all(|(bound, written)| is_alike(bound, written))
                })
        })
    }

    fn grant(&self, operation: &Operation, template: Option<&GrantTemplate>) -> Written {
        let mut remarks = Vec::new();
        let conditions: Vec<(FieldPath, Vec<ConditionTemplate>)> = match template {
            Some(template) => template.conditions.iter().map(|(path, all)| (path.clone(), all.clone())).collect(),
            None => self.paths(operation).into_iter().map(|path| (path.clone(), self.condition(operation, &path, &mut remarks))).collect(),
        };
        let owner =
            template.map_or_else(|| self.requests.iter().any(|(request, _)| request.owner.is_some()), |template| template.owner.is_some());
        if self.granted > self.calls {
            remarks.push(format!("at most {} of {} calls were used in a run", self.calls, self.granted));
        }
        if self.requests.iter().any(|(request, _)| request.delegable) {
            remarks.push("it was `delegable`, and no task passes grants on yet".to_owned());
        }
        if self.used < self.held {
            remarks.push(format!("used by {} of {} tasks that held it", self.used, self.held));
        }
        Written { call: operation.id.to_short(), conditions, owner, calls: self.calls.max(1), budgets: self.budgets(operation), remarks }
    }

    fn paths(&self, operation: &Operation) -> BTreeSet<FieldPath> {
        let granted: BTreeSet<FieldPath> = self.requests.iter().flat_map(|(request, _)| request.conditions.keys().cloned()).collect();
        let names = operation.signature.params.iter().filter_map(|(name, _)| name.parse::<FieldPath>().ok());
        if granted.is_empty() { names.collect() } else { granted }
    }

    /// Finds what says the same for an argument as every grant that was issued; `any` where nothing does, and then a remark.
    fn condition(&self, operation: &Operation, path: &FieldPath, remarks: &mut Vec<String>) -> Vec<ConditionTemplate> {
        let all: Vec<(Option<&Vec<Condition>>, Head<'_>)> =
            self.requests.iter().map(|(request, head)| (request.conditions.get(path), *head)).collect();
        if let Some(expression) = common_source(&all) {
            return vec![ConditionTemplate::Equals(ValueTemplate::Expression(expression))];
        }
        let first = all.first().and_then(|(conditions, _)| *conditions);
        if let Some(first) = first.filter(|first| all.iter().all(|(conditions, _)| *conditions == Some(*first))) {
            return first.iter().map(paste::literal).collect();
        }
        let must = operation.spec.bound_arguments().find(|(_, bound)| *bound == path);
        let must = must.map(|(role, _)| format!(", and as a {role} it has to be bound before this loads")).unwrap_or_default();
        remarks.push(format!("`{path}` was bound to different values, and by which expression is not known: `any` is wider{must}"));
        vec![ConditionTemplate::Any]
    }

    /// Budgets of bytes where they were other than those that a grant has by itself.
    fn budgets(&self, operation: &Operation) -> Vec<(&'static str, String)> {
        let usual = Budgets::default_for(operation.spec.effect);
        let most_out = self.requests.iter().map(|(request, _)| request.budgets.bytes_out).max();
        let most_in = self.requests.iter().map(|(request, _)| request.budgets.bytes_in).max();
        let unusual =
            |name, most: Option<bailiwick_core::limits::ByteCount>, usual| Some((name, most.filter(|most| *most != usual)?.to_string()));
        [unusual("bytes-out", most_out, usual.bytes_out), unusual("bytes-in", most_in, usual.bytes_in)].into_iter().flatten().collect()
    }
}

fn is_alike(bound: &Condition, written: &ConditionTemplate) -> bool {
    match (bound, written) {
        (Condition::Any, ConditionTemplate::Any) => true,
        (Condition::Any, _) => false,
        // A value that is written out has to be that one.
        (bound, written) => match written.value() {
            Some(ValueTemplate::Value(_)) => paste::literal(bound) == *written,
            _ => std::mem::discriminant(&paste::literal(bound)) == std::mem::discriminant(written),
        },
    }
}

/// Finds the one expression that gives, in every run, the value that the argument was bound to.
fn common_source(all: &[(Option<&Vec<Condition>>, Head<'_>)]) -> Option<String> {
    let mut common: Option<String> = None;
    for (conditions, head) in all {
        let [Condition::Equals(value)] = conditions.as_ref()?.as_slice() else { return None };
        let source = differ::source_of(&[value], *head)?;
        match &common {
            Some(known) if *known != source => return None,
            _ => common = Some(source),
        }
    }
    common
}

/// Counts as the gate does: what one run's step counted at most at one time under a grant, over all attempts.
fn counted(tasks: &[&Task], operation: &str, spec: Option<&Operation>) -> u64 {
    let effect = spec.map_or(Effect::Read, |operation| operation.spec.effect);
    let once = effect != Effect::Read && spec.and_then(|operation| operation.spec.dedupe) != Some(Dedupe::None);
    let (mut now, mut most, mut effects) = (0_u64, 0, BTreeSet::new());
    for call in tasks.iter().flat_map(|task| &task.calls).filter(|call| &*call.operation == operation && !call.is_refused()) {
        if once && !effects.insert(call.ordinal) {
            continue;
        }
        now += 1;
        most = most.max(now);
        if effect != Effect::Read && is_given_back(call) {
            now -= 1;
            effects.remove(&call.ordinal);
        }
    }
    most
}

fn is_given_back(call: &Call) -> bool {
    call.reason.as_deref().is_some_and(|reason| NOTHING_HAPPENED.contains(&reason))
}

fn head(history: &History) -> Head<'_> {
    match history.events.first() {
        Some((_, Event::RunStarted { input, subject, .. })) => {
            Head { subject: subject.as_ref() as Option<&SubjectId>, input: Some(input as &Value) }
        }
        _ => Head::default(),
    }
}

/// Prints advice: what is printed is YAML, and what is said about it stands in comments.
pub fn print_advice(agent: &AgentName, runs: usize, advice: &[Advice]) {
    let say = |line: &str| display::print(&format!("# {}", text::clean(line)));
    say(&format!("grants that tasks of {agent} would have needed, from {}", text::number_of(runs, "run")));
    if runs < 10 {
        say("few runs: what they did not need may be needed by others");
    }
    for one in advice {
        display::print("");
        say(&format!(
            "workflow {}, step {}: {} in {}",
            one.workflow,
            one.step,
            text::number_of(one.tasks, "task"),
            text::number_of(one.runs, "run")
        ));
        one.notes.iter().for_each(|note| say(note));
        display::print(&text::clean_lines(&one.may));
        for unused in &one.unused {
            say(&format!("never used: {}, held by {}", unused.operation, text::number_of(unused.tasks, "task")));
        }
        for asked in &one.asked {
            say(&format!("denied: {}, {}, by {}", asked.operation, text::number_of(asked.calls, "call"), asked.rules.join("; ")));
        }
    }
}
