//! Steps: their agents, expressions, edges and failure handling.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::capability::{Dedupe, Effect};
use bailiwick_core::ids::{AgentName, StepPath};
use bailiwick_core::plan::{AgentNode, Edge, GrantTemplate, OnError};
use bailiwick_core::runner::AgentInfo;
use bailiwick_core::suggest;
use bailiwick_expr::{Mention, Template, Type};
use bailiwick_schema::Schema;
use serde_json::{Value, json};

use super::Known;
use super::expressions::{self, Expressions};
use super::{grants, schemas};
use crate::convert;
use crate::diagnostic::Problems;
use crate::file::{OnErrorFile, OnErrorKind, StepFile, WorkflowFile};
use crate::reader::Spanned;
use crate::scope::{self, Scope, View};
use crate::yaml::Node;

/// A step whose agent and stand-ins are known.
pub(crate) struct ResolvedStep<'f, 'n> {
    pub file: &'f StepFile<'n>,
    agent: Option<Agent>,
    stand_in: Option<Template>,
    on_error: Vec<OnError>,
    /// Whether everything so far could be read.
    complete: bool,
}

struct Agent {
    info: Arc<AgentInfo>,
    input: Type,
    output: Type,
    /// The schemas as they go into the plan.
    input_schema: Value,
    output_schema: Value,
}

/// Finds the agents and compiles the stand-ins, which together say what the value of each step is.
pub(crate) fn resolve<'f, 'n>(
    problems: &mut Problems,
    workflow: &'f WorkflowFile<'n>,
    known: &Known<'_>,
    scope: &mut Scope,
) -> Vec<ResolvedStep<'f, 'n>> {
    let mut resolved = Vec::with_capacity(workflow.steps.len());
    for file in &workflow.steps {
        let before = problems.errors();
        let agent = find_agent(problems, &file.agent, known);
        let output = agent.as_ref().map_or(Type::Any, |agent| agent.output.clone());
        let mut types = Vec::new();
        let stand_in = file.stand_in.and_then(|node| stand_in(problems, scope, node, &output));
        types.extend(stand_in.as_ref().map(Template::ty));
        let mut on_error = Vec::new();
        for remedy in &file.on_error {
            on_error.extend(resolve_remedy(problems, scope, known, agent.as_ref(), remedy, &mut types));
        }
        scope.set_value(&StepPath::from(file.name.value.as_str()), output, types);
        resolved.push(ResolvedStep { file, agent, stand_in, on_error, complete: problems.errors() == before });
    }
    resolved
}

fn find_agent(problems: &mut Problems, name: &Spanned<String>, known: &Known<'_>) -> Option<Agent> {
    let Some(info) = known.agents.agent(&AgentName::from(name.value.as_str())) else {
        let agents = known.agents.agents();
        let help = suggest::help(&name.value, agents.iter().map(AgentName::as_str));
        problems.error(&name.span, format!("there is no agent `{}`", name.value), help);
        return None;
    };
    let (input_schema, output_schema) =
        (schemas::without_annotations(info.input_schema.clone()), schemas::without_annotations(info.output_schema.clone()));
    let mut read = |schema: &Value, what: &str| {
        let problem = Type::from_schema(schema).map_err(|error| error.to_string());
        let ty = problem.and_then(|ty| Schema::of_agent(schema).map(|_| ty));
        ty.map_err(|error| {
            let message = format!("the {what} schema of agent `{}` {} cannot be used: {error}", name.value, info.version);
            problems.error(&name.span, message, format!("ask its owner: {}", info.owner));
        })
    };
    let (input, output) = (read(&input_schema, "input").ok()?, read(&output_schema, "output").ok()?);
    // A field that no schema declares is a slip of the pen and not a fact.
    Some(Agent { input, output: output.closed(), input_schema, output_schema, info })
}

fn stand_in(problems: &mut Problems, scope: &Scope, node: &Node, output: &Type) -> Option<Template> {
    let env = scope.env(View::Given);
    let template = Expressions::new(problems, &env).template(node)?;
    if let Some(mismatch) = expressions::stand_in_mismatch(output, &template.ty()) {
        expressions::refuse_mismatch(problems, node, "the stand-in does not fit the agent's answer", &mismatch);
        return None;
    }
    Some(template)
}

fn resolve_remedy(
    problems: &mut Problems,
    scope: &Scope,
    known: &Known<'_>,
    agent: Option<&Agent>,
    remedy: &OnErrorFile<'_>,
    types: &mut Vec<Type>,
) -> Option<OnError> {
    let output = agent.map_or(Type::Any, |agent| agent.output.clone());
    let mut with_type = |problems: &mut Problems, node: &Node| {
        let template = stand_in(problems, scope, node, &output)?;
        types.push(template.ty());
        Some(convert::to_text(&template))
    };
    Some(match &remedy.kind {
        OnErrorKind::Retry { on, max, backoff, jitter } => OnError::Retry { on: on.clone(), max: *max, backoff: *backoff, jitter: *jitter },
        OnErrorKind::Alternate { agent: name } => alternate(problems, known, agent, name)?,
        OnErrorKind::Partial { stand_in } => OnError::Partial { stand_in: with_type(problems, stand_in)? },
        OnErrorKind::Escalate { queue, stand_in } => {
            let stand_in = match stand_in {
                Some(node) => Some(with_type(problems, node)?),
                None => None,
            };
            OnError::Escalate { queue: queue.value.clone(), stand_in }
        }
    })
}

/// The other agent has to give what the first one gives; what it takes is compared with `with` later.
fn alternate(problems: &mut Problems, known: &Known<'_>, agent: Option<&Agent>, name: &Spanned<String>) -> Option<OnError> {
    let other = find_agent(problems, name, known)?;
    let agent = agent?;
    if other.info.name == agent.info.name {
        let help = "name another agent; `retry` tries the same one again".to_owned();
        problems.error(&name.span, format!("the alternate of `{}` is `{}` itself", name.value, name.value), help);
        return None;
    }
    if let Some(mismatch) = agent.output.mismatch(&other.output) {
        let message = format!("`{}` does not answer like `{}`: {mismatch}", name.value, agent.info.name);
        problems.error(&name.span, message, "an alternate gives the same fields".to_owned());
        return None;
    }
    Some(OnError::Alternate { agent: other.info.name.clone(), input_schema: other.input_schema })
}

/// Checks a step's expressions against everything that is known now.
pub(crate) fn check(problems: &mut Problems, step: &ResolvedStep<'_, '_>, known: &Known<'_>, scope: &Scope) -> Option<AgentNode> {
    let before = problems.errors();
    let file = step.file;
    let env = scope.env(View::Step);
    let mut needs = BTreeMap::new();
    for after in &file.after {
        check_after(problems, scope, after, &mut needs);
    }
    let when = file.when.as_ref().zip(file.when_node).and_then(|(source, node)| {
        let program = Expressions::new(problems, &env).program(node, source)?;
        if let Some(mismatch) = Type::Bool.mismatch(program.ty()) {
            let help = match program.ty() {
                Type::Nullable(_) => "say what null means, for example with `== true`",
                _ => "compare it with something",
            };
            problems.error(&source.span, format!("`when` is a yes or no: {mismatch}"), help.to_owned());
        }
        add_edges(problems, scope, node, program.mentions(), &mut needs);
        Some(program.source().trim().to_owned())
    });
    let with = check_with(problems, step, scope, &mut needs);
    let info = step.agent.as_ref().map(|agent| agent.info.as_ref());
    let (may, mentions) = grants::check(problems, file, info, known, scope);
    for (node, mentions) in mentions {
        add_edges(problems, scope, node, &mentions, &mut needs);
    }
    warn_of_unrepeatable(problems, step, &may);
    let agent = step.agent.as_ref()?;
    if !step.complete || problems.errors() > before {
        return None;
    }
    Some(AgentNode {
        agent: agent.info.name.clone(),
        input_schema: agent.input_schema.clone(),
        output_schema: agent.output_schema.clone(),
        with: convert::to_text(&with?),
        may,
        when,
        needs,
        timeout: file.timeout,
        limits: file.limits,
        stand_in: step.stand_in.as_ref().map(convert::to_text),
        on_error: step.on_error.clone(),
    })
}

fn check_after(problems: &mut Problems, scope: &Scope, after: &Spanned<String>, needs: &mut BTreeMap<StepPath, Edge>) {
    if scope.is_step(&after.value) {
        scope::add_edge(needs, StepPath::from(after.value.as_str()), Edge::After);
        return;
    }
    let help = suggest::help(&after.value, scope.step_names());
    problems.error(&after.span, format!("there is no step `{}`", after.value), help);
}

fn add_edges(problems: &mut Problems, scope: &Scope, node: &Node, mentions: &[Mention], needs: &mut BTreeMap<StepPath, Edge>) {
    for mention in mentions {
        match scope.edge(mention) {
            Some((step, edge)) => scope::add_edge(needs, step, edge),
            None if mention.root == "steps" => {
                problems.error(&node.span, "`steps` without a name would wait for every step", "name one: `steps.NAME.status`".to_owned());
            }
            None => {}
        }
    }
}

fn check_with(
    problems: &mut Problems,
    step: &ResolvedStep<'_, '_>,
    scope: &Scope,
    needs: &mut BTreeMap<StepPath, Edge>,
) -> Option<Template> {
    let env = scope.env(View::Step);
    let template = match step.file.with {
        Some(node) => {
            let template = Expressions::new(problems, &env).template(node)?;
            add_edges(problems, scope, node, &template.mentions(), needs);
            template
        }
        None => Template::Literal(Arc::new(json!({}))),
    };
    let agent = step.agent.as_ref()?;
    let mut fits = |ty: &Type, name: &AgentName| {
        let Some(mismatch) = ty.mismatch(&template.ty()) else { return };
        let what = format!("`with` does not fit what agent `{name}` takes");
        match step.file.with {
            Some(node) => expressions::refuse_mismatch(problems, node, &what, &mismatch),
            None => {
                let help = "add `with:` with the agent's input".to_owned();
                problems.error(&step.file.name.span, format!("{what}: {mismatch}"), help);
            }
        }
    };
    fits(&agent.input, &agent.info.name);
    for rule in &step.on_error {
        if let OnError::Alternate { agent, input_schema } = rule
            && let Ok(ty) = Type::from_schema(input_schema)
        {
            fits(&ty, agent);
        }
    }
    check_literal(problems, step, &template, agent);
    Some(template)
}

/// What is written out can be checked against the whole schema, patterns and ranges too.
fn check_literal(problems: &mut Problems, step: &ResolvedStep<'_, '_>, template: &Template, agent: &Agent) {
    if let (Template::Literal(value), Some(node)) = (template, step.file.with)
        && agent.input.admits(value)
        && let Ok(schema) = Schema::of_agent(&agent.input_schema)
        && let Err(error) = schema.check(value)
    {
        problems.error(&node.span, format!("`with` does not fit what agent `{}` takes: {error}", agent.info.name), None);
    }
}

/// After an effect whose repeat nobody recognises nothing is tried again; somebody should hear of it then.
fn warn_of_unrepeatable(problems: &mut Problems, step: &ResolvedStep<'_, '_>, may: &[GrantTemplate]) {
    let retry = step.file.on_error.iter().find(|remedy| matches!(remedy.kind, OnErrorKind::Retry { .. } | OnErrorKind::Alternate { .. }));
    let escalates = step.file.on_error.iter().any(|remedy| matches!(remedy.kind, OnErrorKind::Escalate { .. }));
    let unrepeatable = may.iter().find(|grant| grant.effect != Effect::Read && matches!(grant.dedupe, None | Some(Dedupe::None)));
    if let (Some(retry), Some(grant), false) = (retry, unrepeatable, escalates) {
        let message =
            format!("nothing is tried again once `{}` may have happened: a repeat would not be recognised", grant.operation.to_short());
        problems.warning(
            &retry.span,
            message,
            "add `- escalate: { queue: … }` as the last entry, so that a person decides then".to_owned(),
        );
    }
}
