//! Tests of policies: what is asked, and what the policies are expected to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_core::act::Act;
use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{Catalog, FieldPath, Operation};
use bailiwick_core::grant::{Condition, Grant, GrantRequest};
use bailiwick_core::ids::{AgentName, RunId, StepPath, SubjectId, TenantId, WorkflowName};
use bailiwick_core::policy::{ActDecision, AgentFacts, CallFacts, Decision, Opening, PolicyContext, PolicyEngine as _, Requester};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::CedarEngine;
use crate::explain::Explanation;
use crate::facts;
use crate::freeze::Freezes;
use crate::load::Policies;

/// What is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// A yes.
    Permit,
    /// A no.
    Forbid,
    /// A yes, if a second person agrees.
    NeedsSecond,
}

/// A question and its expected answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What the policies are expected to say.
    pub expect: Expected,
    /// The rules that are expected to decide, in any order; not looked at where it is missing.
    #[serde(default)]
    pub rules: Option<BTreeSet<String>>,
    #[serde(flatten)]
    question: Question,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Question {
    Call(Box<CallCase>),
    Open(OpenCase),
    Act(ActCase),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CallCase {
    operation: String,
    agent: AgentCase,
    requester: Requester,
    #[serde(default = "any_workflow")]
    workflow: WorkflowName,
    #[serde(default = "any_step")]
    step: StepPath,
    #[serde(default = "first")]
    attempt: u32,
    #[serde(default)]
    subject: Option<SubjectId>,
    /// The run's input.
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    args: BTreeMap<String, Value>,
    #[serde(default)]
    labels: BTreeSet<String>,
    #[serde(default)]
    calls: u64,
    #[serde(default)]
    bytes_out: u64,
    /// Conditions of the grant; where it is missing, the grant fixes every argument that has to be bound to what is passed.
    #[serde(default)]
    conditions: Option<BTreeMap<FieldPath, Vec<Condition>>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AgentCase {
    name: AgentName,
    #[serde(default = "any_version")]
    version: String,
    #[serde(default)]
    tier: u32,
    #[serde(default = "lowest_level")]
    data_level: String,
    #[serde(default = "highest_risk")]
    risk_class: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct OpenCase {
    requester: Requester,
    #[serde(default = "any_workflow")]
    workflow: WorkflowName,
    /// The tenant whose data the run would touch; the requester's where it is missing.
    #[serde(default)]
    tenant: Option<TenantId>,
    #[serde(default)]
    subject: Option<SubjectId>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ActCase {
    requester: Requester,
    /// What is done, as it stands in a record: `install-policy`, or `{ freeze = { agent = "x" } }`.
    to: Act,
}

fn any_workflow() -> WorkflowName {
    "workflow".into()
}

fn any_step() -> StepPath {
    "step".into()
}

fn first() -> u32 {
    1
}

fn any_version() -> String {
    "0.0.0".to_owned()
}

// What an agent does not say of itself counts as the agent manual says: lowest data, highest risk.
fn lowest_level() -> String {
    "public".to_owned()
}

fn highest_risk() -> String {
    "high".to_owned()
}

/// What is wrong with a file of cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseProblem {
    /// It is no TOML, or has a wrong or unknown key.
    #[error("{0}")]
    Form(String),
    /// A case names an operation that the project does not have.
    #[error("case `{case}`: {problem}")]
    Operation {
        /// The case.
        case: String,
        /// What is wrong, with the nearest name.
        problem: String,
    },
}

/// How a case came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CaseResult {
    /// The case.
    pub name: String,
    /// What was expected.
    pub expected: Expected,
    /// What the policies say.
    pub found: Expected,
    /// Whether decision and, where named, rules are as expected.
    pub passed: bool,
    /// Why it was decided so.
    pub explanation: Explanation,
}

/// Reads a file of cases: a TOML text with a list `case`.
///
/// # Errors
/// When it is no TOML, a key is wrong, or a case asks nothing or more than one question.
pub fn parse_cases(text: &str) -> Result<Vec<Case>, CaseProblem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        case: Vec<Case>,
    }
    toml::from_str::<File>(text).map(|file| file.case).map_err(|error| CaseProblem::Form(error.to_string()))
}

/// Asks the policies every question, as an engine with nothing frozen would be asked. Changes nothing and reads no clock.
///
/// # Errors
/// The first case that names an operation which the catalog does not have.
pub fn run_cases(policies: &Arc<Policies>, catalog: &Catalog, cases: &[Case]) -> Result<Vec<CaseResult>, CaseProblem> {
    let engine = CedarEngine::new(Arc::clone(policies), Freezes::default());
    cases.iter().map(|case| run(policies, &engine, catalog, case)).collect()
}

fn run(policies: &Policies, engine: &CedarEngine, catalog: &Catalog, case: &Case) -> Result<CaseResult, CaseProblem> {
    let (decision, needs_second, facts) = match &case.question {
        Question::Call(call) => {
            let operation = catalog
                .resolve(&call.operation)
                .map_err(|unknown| CaseProblem::Operation { case: case.name.clone(), problem: unknown.to_string() })?;
            let (decision, facts) = call.ask(engine, operation);
            (decision, false, facts)
        }
        Question::Open(open) => {
            let tenant = open.tenant.as_ref().unwrap_or(&open.requester.tenant);
            let opening = Opening { workflow: &open.workflow, tenant, subject: open.subject.as_ref() };
            (engine.at_open(&open.requester, &opening), false, facts::open_facts(&open.requester, &opening))
        }
        Question::Act(act) => {
            let facts = facts::act_facts(&act.requester, &act.to);
            match engine.administer(&act.requester, &act.to) {
                ActDecision::Decided(decision) => (decision, false, facts),
                ActDecision::NeedsSecond(proposal) => {
                    (Decision::permit(proposal.rules().to_vec(), proposal.policy_version().clone()), true, facts)
                }
            }
        }
    };
    let explanation = policies.explain(&decision, facts);
    let found = match (explanation.permitted, needs_second) {
        (false, _) => Expected::Forbid,
        (true, false) => Expected::Permit,
        (true, true) => Expected::NeedsSecond,
    };
    let same_rules = case.rules.as_ref().is_none_or(|rules| *rules == explanation.rules.iter().cloned().collect());
    Ok(CaseResult { name: case.name.clone(), expected: case.expect, found, passed: found == case.expect && same_rules, explanation })
}

impl CallCase {
    /// Issues a grant and makes a call under it.
    fn ask(&self, engine: &CedarEngine, operation: &Operation) -> (Decision, Value) {
        let context = PolicyContext {
            requester: Arc::new(self.requester.clone()),
            workflow: self.workflow.clone(),
            run: RunId::from("run"),
            step: self.step.clone(),
            attempt: self.attempt,
            agent: Arc::new(AgentFacts {
                name: self.agent.name.clone(),
                version: self.agent.version.clone(),
                tier: self.agent.tier,
                data_level: self.agent.data_level.clone(),
                risk_class: self.agent.risk_class.clone(),
            }),
            subject: self.subject.clone(),
            run_input: self.input.clone().map(Arc::new),
        };
        let args = json!(self.args);
        let bound = || operation.spec.bound_arguments().map(|(_, path)| (path.clone(), fixed(path, &args))).collect();
        let request = GrantRequest {
            operation: operation.id.clone(),
            conditions: self.conditions.clone().unwrap_or_else(bound),
            owner: None,
            budgets: Budgets::default_for(operation.spec.effect),
            delegable: false,
        };
        let call = CallFacts { args: &args, labels: &self.labels, calls: self.calls, bytes_out: self.bytes_out };
        let facts = facts::call_facts(&context, operation, &request, &call);
        let issued = engine.at_issue(&context, operation, &request);
        let Decision::Permit(permit) = &issued else { return (issued, facts) };
        let grant = Grant::issue(permit, "grant".into(), "task".into(), request, u64::MAX);
        let decision = engine.at_call(&context, operation, &grant, &call).unwrap_or(issued);
        (decision, facts)
    }
}

/// The condition that fixes an argument to what is passed.
fn fixed(path: &FieldPath, args: &Value) -> Vec<Condition> {
    let values: Vec<Value> = path.select(args).into_iter().cloned().collect();
    match <[Value; 1]>::try_from(values) {
        Ok([value]) => vec![Condition::Equals(value)],
        Err(values) => vec![Condition::In(values)],
    }
}

#[cfg(test)]
mod tests;
