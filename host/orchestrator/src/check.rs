//! The loader: from the text of a workflow file to a workflow that is checked, or to all that is wrong with it.

mod expressions;
mod grants;
mod graph;
mod schemas;
mod steps;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use bailiwick_core::AgentRunner;
use bailiwick_core::capability::Catalog;
use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::{Node, PLAN_FORMAT, Plan, ValueTemplate};
use bailiwick_expr::Type;

use crate::compiled::Compiled;
use crate::convert;
use crate::diagnostic::{Diagnostic, Problems, Severity};
use crate::file::{self, WorkflowFile};
use crate::scope::{self, LackInfo, Scope, View};
use crate::yaml;
use expressions::Expressions;

/// What a workflow is checked against.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Every operation that the project knows.
    pub catalog: &'a Catalog,
    /// The agents with an active version.
    pub agents: &'a dyn AgentRunner,
    /// Reads a text file of the project by its path relative to the project folder. It has to bound what it reads and to stay within the folder.
    pub read: &'a dyn Fn(&str) -> io::Result<String>,
}

impl fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("agents", &self.agents.agents()).finish_non_exhaustive()
    }
}

/// A workflow that can run.
#[derive(Debug)]
pub struct CheckedWorkflow {
    compiled: Arc<Compiled>,
    order: Vec<StepPath>,
    warnings: Vec<Diagnostic>,
}

impl CheckedWorkflow {
    /// The plan with everything compiled.
    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        self.compiled.plan()
    }

    /// The steps in the order of the file, for displays.
    pub fn order(&self) -> &[StepPath] {
        &self.order
    }

    /// What is probably not meant as it is written.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// A workflow file that is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct Refused(
    /// All that was found, in the order of the file: at least one error, and warnings.
    pub Vec<Diagnostic>,
);

fn summary(diagnostics: &[Diagnostic]) -> String {
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    match errors.next() {
        None => "the workflow is refused".to_owned(),
        Some(first) => {
            let place = format!("{}:{}:{}: {}", first.file, first.line, first.column, first.message);
            match errors.count() {
                0 => place,
                more => format!("{place} (and {more} more)"),
            }
        }
    }
}

/// Loads a workflow: reads, resolves and checks it, and compiles its plan. Pure but for [`Known::read`].
///
/// `file` is the name under which diagnostics mention the text.
///
/// # Errors
/// Everything that is wrong with it, up to [`MAX_DIAGNOSTICS`](crate::MAX_DIAGNOSTICS).
pub fn load(file: &str, text: &str, known: &Known<'_>) -> Result<CheckedWorkflow, Refused> {
    let mut problems = Problems::new(file, text);
    let checked = check(&mut problems, known);
    let plan = match checked {
        Some(checked) if !problems.has_errors() => checked,
        _ => {
            if !problems.has_errors() {
                problems.error(&(0..0), "the file holds no workflow", "begin with `workflow: NAME`".to_owned());
            }
            return Err(Refused(problems.into_list()));
        }
    };
    let (plan, order) = plan;
    match Compiled::new(plan) {
        Ok(compiled) => Ok(CheckedWorkflow { compiled: Arc::new(compiled), order, warnings: problems.into_list() }),
        Err(problem) => {
            problems.error(&(0..0), problem.to_string(), None);
            Err(Refused(problems.into_list()))
        }
    }
}

fn check(problems: &mut Problems, known: &Known<'_>) -> Option<(Plan, Vec<StepPath>)> {
    let root = yaml::read(problems)?;
    if problems.has_errors() {
        // What was refused is not in the tree, and would be missed.
        return None;
    }
    let workflow = file::read(problems, &root)?;
    let schema = schemas::input(problems, &workflow.schema, known);
    let input = schema.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
    // Names of steps that could not be read are known too, so that mentioning them is no second mistake.
    let names: Vec<StepPath> = workflow.names.iter().map(|name| StepPath::from(name.value.as_str())).collect();
    let mut scope = Scope::new(input, workflow.subject.is_some(), names.iter().cloned());
    let subject = check_subject(problems, &scope, &workflow);
    let resolved = steps::resolve(problems, &workflow, known, &mut scope);
    let mut nodes = BTreeMap::new();
    let mut complete = true;
    for step in &resolved {
        match steps::check(problems, step, known, &scope) {
            Some(node) => {
                nodes.insert(StepPath::from(step.file.name.value.as_str()), Node::Agent(Box::new(node)));
            }
            None => complete = false,
        }
    }
    graph::check(problems, &workflow, &nodes);
    let output = check_output(problems, &mut scope, &workflow, &nodes)?;
    let (schema, _) = schema?;
    let plan = Plan {
        plan_format: PLAN_FORMAT,
        workflow: workflow.name.value.as_str().into(),
        version: workflow.version.value.clone(),
        input_schema: schema,
        subject: subject?,
        nodes,
        output,
    };
    complete.then_some((plan, names))
}

/// The outer option is whether it could be read, the inner whether there is one.
#[expect(clippy::option_option, reason = "a subject that is wrong is not one that is absent")]
fn check_subject(problems: &mut Problems, scope: &Scope, workflow: &WorkflowFile<'_>) -> Option<Option<ValueTemplate>> {
    let Some(node) = workflow.subject else { return Some(None) };
    let env = scope.env(View::Input);
    let template = Expressions::new(problems, &env).template(node)?;
    if let Some(mismatch) = Type::String.mismatch(&template.ty()) {
        let help = "say whose data the run is about, for example `subject: \"${ input.customer }\"`".to_owned();
        problems.error(&node.span, format!("`subject` is text: {mismatch}"), help);
        return None;
    }
    Some(Some(convert::to_text(&template)))
}

fn check_output(
    problems: &mut Problems,
    scope: &mut Scope,
    workflow: &WorkflowFile<'_>,
    nodes: &BTreeMap<StepPath, Node>,
) -> Option<ValueTemplate> {
    let infos = nodes.iter().map(|(name, node)| {
        let Node::Agent(node) = node;
        (name, LackInfo { has_when: node.when.is_some(), has_stand_in: node.stand_in.is_some(), needs: &node.needs })
    });
    let lacking = scope::lacking(infos);
    scope.set_lacking(&lacking);
    let env = scope.env(View::Output);
    let template = Expressions::new(problems, &env).template(workflow.output)?;
    Some(convert::to_text(&template))
}
