//! A plan with its expressions and schemas compiled: what the stepper reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_core::capability::FieldPath;
use bailiwick_core::ids::{Digest, StepPath};
use bailiwick_core::plan::{AgentNode, ConditionTemplate, GrantTemplate, Node, OnError, PLAN_FORMAT, Plan, ValueTemplate};
use bailiwick_expr::{Env, Program, Template, Type};
use bailiwick_schema::Schema;

use crate::convert;
use crate::scope::{self, LackInfo, Scope, View};

/// A plan that is ready to run. Made from the plan alone, so a run that is read back needs no workflow file and no agents to be understood.
#[derive(Debug)]
pub struct Compiled {
    plan: Arc<Plan>,
    digest: Digest,
    pub(crate) input: Arc<Schema>,
    pub(crate) subject: Option<Template>,
    pub(crate) steps: BTreeMap<StepPath, CompiledStep>,
    pub(crate) output: Template,
}

/// A step.
#[derive(Debug)]
pub(crate) struct CompiledStep {
    pub node: Arc<AgentNode>,
    pub when: Option<Program>,
    pub with: Template,
    pub output: Arc<Schema>,
    pub may: Vec<CompiledGrant>,
    pub stand_in: Option<Template>,
    pub remedies: Vec<Remedy>,
    /// Steps whose state its stand-ins read. They make no edge: a stand-in does not wait.
    pub stand_in_reads: BTreeSet<StepPath>,
}

/// An entry of `on-error`, with its stand-in.
#[derive(Debug)]
pub(crate) struct Remedy {
    pub rule: OnError,
    pub stand_in: Option<Template>,
}

#[derive(Debug)]
pub(crate) struct CompiledGrant {
    pub template: GrantTemplate,
    pub conditions: Vec<(FieldPath, Vec<CompiledCondition>)>,
    pub owner: Option<Template>,
}

#[derive(Debug)]
pub(crate) struct CompiledCondition {
    pub kind: ConditionTemplate,
    pub value: Option<Template>,
}

/// Why a plan cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanProblem {
    /// It was written by another version.
    #[error("the plan has format {found}, and this host reads {PLAN_FORMAT}: run it with the version that made it")]
    Format {
        /// Format of the plan.
        found: u32,
    },
    /// Something in it is wrong.
    #[error("the plan cannot run: {place}: {message}")]
    Content {
        /// Where.
        place: String,
        /// What.
        message: String,
    },
}

impl PlanProblem {
    fn at(place: impl Into<String>) -> impl FnOnce(String) -> Self {
        let place = place.into();
        move |message| Self::Content { place, message }
    }
}

impl Compiled {
    /// Compiles a plan.
    ///
    /// # Errors
    /// When it has another format, or an expression or schema in it is refused.
    pub fn new(plan: Plan) -> Result<Self, PlanProblem> {
        if plan.plan_format != PLAN_FORMAT {
            return Err(PlanProblem::Format { found: plan.plan_format });
        }
        let digest = plan.digest().map_err(|error| PlanProblem::at("plan")(error.to_string()))?;
        let scope = scope_of(&plan)?;
        let mut steps = BTreeMap::new();
        for (name, node) in &plan.nodes {
            let Node::Agent(node) = node;
            let compiled =
                compile_step(&scope, node).map_err(|(place, message)| PlanProblem::at(format!("step `{name}`, {place}"))(message))?;
            steps.insert(name.clone(), compiled);
        }
        let input = Schema::of_operator(&plan.input_schema).map_err(PlanProblem::at("input schema"))?;
        let subject = plan.subject.as_ref().map(|text| template(text, &scope.env(View::Input))).transpose();
        let output = template(&plan.output, &scope.env(View::Output)).map_err(PlanProblem::at("output"))?;
        Ok(Self {
            digest,
            input: Arc::new(input),
            subject: subject.map_err(PlanProblem::at("subject"))?,
            steps,
            output,
            plan: Arc::new(plan),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The plan's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

fn template(text: &ValueTemplate, env: &Env) -> Result<Template, String> {
    convert::from_text(text, env).map_err(|error| error.to_string())
}

fn scope_of(plan: &Plan) -> Result<Scope, PlanProblem> {
    let input = Type::from_schema(&plan.input_schema).map_err(|error| PlanProblem::at("input schema")(error.to_string()))?;
    let mut scope = Scope::new(input, plan.subject.is_some(), plan.nodes.keys().cloned());
    let given = scope.env(View::Given);
    for (name, node) in &plan.nodes {
        let Node::Agent(node) = node;
        let problem = |message| PlanProblem::at(format!("step `{name}`"))(message);
        let output = Type::from_schema(&node.output_schema).map_err(|error| problem(error.to_string()))?;
        let stand_ins = node.stand_in.iter().chain(node.on_error.iter().filter_map(stand_in));
        let types = stand_ins.map(|text| template(text, &given).map(|template| template.ty())).collect::<Result<Vec<_>, _>>();
        scope.set_value(name, output, types.map_err(problem)?);
    }
    let infos = plan.nodes.iter().map(|(name, node)| {
        let Node::Agent(node) = node;
        (name, LackInfo { has_when: node.when.is_some(), has_stand_in: node.stand_in.is_some(), needs: &node.needs })
    });
    let lacking = scope::lacking(infos);
    scope.set_lacking(&lacking);
    Ok(scope)
}

fn stand_in(rule: &OnError) -> Option<&ValueTemplate> {
    match rule {
        OnError::Partial { stand_in } => Some(stand_in),
        OnError::Escalate { stand_in, .. } => stand_in.as_ref(),
        OnError::Retry { .. } | OnError::Alternate { .. } => None,
    }
}

fn compile_step(scope: &Scope, node: &AgentNode) -> Result<CompiledStep, (String, String)> {
    let place = |place: &str| {
        let place = place.to_owned();
        move |message: String| (place, message)
    };
    let (own, given) = (scope.env(View::Step), scope.env(View::Given));
    let when = node.when.as_ref().map(|source| Program::compile(source, &own, &scope::bounds()));
    let mut remedies = Vec::new();
    for rule in &node.on_error {
        let stand_in = stand_in(rule).map(|text| template(text, &given)).transpose().map_err(place("on-error"))?;
        remedies.push(Remedy { rule: rule.clone(), stand_in });
    }
    let may = node.may.iter().map(|grant| compile_grant(grant, &own, &given)).collect::<Result<_, _>>().map_err(place("may"))?;
    let stand_in = node.stand_in.as_ref().map(|text| template(text, &given)).transpose().map_err(place("stand-in"))?;
    let stand_ins = stand_in.iter().chain(remedies.iter().filter_map(|remedy| remedy.stand_in.as_ref()));
    let stand_in_reads = stand_ins.flat_map(|template| scope.states_read(template)).collect();
    Ok(CompiledStep {
        when: when.transpose().map_err(|error| place("when")(error.to_string()))?,
        with: template(&node.with, &own).map_err(place("with"))?,
        output: Arc::new(Schema::of_agent(&node.output_schema).map_err(place("output schema"))?),
        may,
        stand_in,
        remedies,
        stand_in_reads,
        node: Arc::new(node.clone()),
    })
}

fn compile_grant(grant: &GrantTemplate, own: &Env, given: &Env) -> Result<CompiledGrant, String> {
    let mut conditions = Vec::with_capacity(grant.conditions.len());
    for (path, kinds) in &grant.conditions {
        let compiled = kinds.iter().map(|kind| {
            let value = kind.value().map(|text| template(text, own)).transpose()?;
            Ok(CompiledCondition { kind: kind.clone(), value })
        });
        conditions.push((path.clone(), compiled.collect::<Result<Vec<_>, String>>()?));
    }
    let owner = grant.owner.as_ref().map(|text| template(text, given)).transpose()?;
    Ok(CompiledGrant { template: grant.clone(), conditions, owner })
}
