//! The facts of a decision: as Cedar's entities and contexts, and as JSON for people.

use bailiwick_core::act::Act;
use bailiwick_core::capability::Operation;
use bailiwick_core::grant::{Condition, GrantRequest};
use bailiwick_core::ids::{SubjectId, TenantId};
use bailiwick_core::policy::{AgentFacts, CallFacts, Opening, PolicyContext, Requester};
use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use serde_json::{Value, json};

use crate::names::{self, ResourceKind, Types, uid};
use crate::reads::Reads;
use crate::values::Maker;

/// Most different subjects or targets that one call may name where a policy looks at them; each is decided on its own.
const RESOURCES_MOST: usize = 64;

/// Why facts have no form in Cedar; the decision is a forbid.
pub(crate) type Made<T> = Result<T, String>;

type Pair = (String, RestrictedExpression);

fn text(name: &str, value: &str) -> Pair {
    (name.to_owned(), RestrictedExpression::new_string(value.to_owned()))
}

fn entity(id: EntityUid, attributes: impl IntoIterator<Item = Pair>, tags: impl IntoIterator<Item = Pair>) -> Made<Entity> {
    Entity::new_with_tags(id, attributes, [], tags).map_err(|error| error.to_string())
}

/// Makes the entity of an agent.
pub(crate) fn agent(types: &Types, agent: &AgentFacts) -> Made<Entity> {
    let attributes = [
        text("name", agent.name.as_str()),
        text("version", &agent.version),
        ("tier".to_owned(), RestrictedExpression::new_long(i64::from(agent.tier))),
        text("data-level", &agent.data_level),
        text("risk-class", &agent.risk_class),
    ];
    entity(uid(&types.agent, agent.name.as_str()), attributes, [])
}

/// Makes the entity of a requester; its attributes are tags.
pub(crate) fn requester(types: &Types, requester: &Requester) -> Made<Entity> {
    let attributes = [text("id", &requester.id), text("tenant", requester.tenant.as_str())];
    entity(uid(&types.requester, &requester.id), attributes, requester.attributes.iter().map(|(name, value)| text(name, value)))
}

/// Makes the entity of a subject; the id is empty for nobody.
pub(crate) fn subject(types: &Types, id: &str, tenant: &TenantId) -> Made<Entity> {
    entity(uid(&types.subject, id), [text("id", id), text("tenant", tenant.as_str())], [])
}

fn target(types: &Types, id: &str, tenant: &TenantId, of: EntityUid) -> Made<Entity> {
    let owner = ("subject".to_owned(), RestrictedExpression::new_entity_uid(of));
    entity(uid(&types.target, id), [text("id", id), text("tenant", tenant.as_str()), owner], [])
}

/// Makes the entity of the host.
pub(crate) fn host(types: &Types) -> Entity {
    Entity::with_uid(uid(&types.host, ""))
}

fn name_of(subject: Option<&SubjectId>) -> &str {
    subject.map_or("", SubjectId::as_str)
}

/// Makes what a call is about, each thing once; the subject of the run where the operation names nothing. A target comes with its subject.
pub(crate) fn resources(
    types: &Types,
    context: &PolicyContext,
    operation: &Operation,
    args: &Value,
) -> Made<Vec<(EntityUid, Vec<Entity>)>> {
    let tenant = &context.requester.tenant;
    let run_subject = name_of(context.subject.as_ref());
    let kind = ResourceKind::of(operation);
    let paths = if operation.spec.subject.is_empty() { &operation.spec.target } else { &operation.spec.subject };
    let mut ids: Vec<String> = Vec::new();
    for value in paths.iter().flat_map(|path| path.select(args)) {
        let id = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > RESOURCES_MOST {
            return Err(format!("the call names more than {RESOURCES_MOST} different things, too many to be weighed by a policy"));
        }
    }
    if ids.is_empty() {
        // An operation that names nobody is about the run's subject; one whose argument was left out is about nobody that is known.
        ids.push(if names::is_resource_of_call(operation) { String::new() } else { run_subject.to_owned() });
    }
    ids.into_iter()
        .map(|id| {
            if kind == ResourceKind::Target {
                let owner = subject(types, run_subject, tenant)?;
                Ok((uid(&types.target, &id), vec![target(types, &id, tenant, owner.uid())?, owner]))
            } else {
                Ok((uid(&types.subject, &id), vec![subject(types, &id, tenant)?]))
            }
        })
        .collect()
}

/// What stands for the resource where no policy looks at more than its type.
pub(crate) fn stand_in(types: &Types, kind: ResourceKind) -> EntityUid {
    uid(types.of(kind), "")
}

/// Makes what is known of the context when a grant is issued, as far as policies read it.
pub(crate) fn issue_context(
    types: &Types,
    reads: &Reads,
    context: &PolicyContext,
    operation: &Operation,
    request: &GrantRequest,
) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: &dyn Fn() -> RestrictedExpression| {
        if reads.wants(name) {
            pairs.push((name.to_owned(), value()));
        }
    };
    let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
    add("workflow", &|| string(context.workflow.as_str()));
    add("run", &|| string(context.run.as_str()));
    add("step", &|| string(context.step.as_str()));
    add("attempt", &|| RestrictedExpression::new_long(i64::from(context.attempt)));
    add("requester", &|| RestrictedExpression::new_entity_uid(uid(&types.requester, &context.requester.id)));
    add("tenant", &|| string(context.requester.tenant.as_str()));
    add("effect", &|| string(names::effect(operation.spec.effect)));
    add("personal", &|| RestrictedExpression::new_bool(is_personal(operation)));
    add("bound", &|| RestrictedExpression::new_bool(is_bound(context, operation, request)));
    pairs
}

/// Makes what a call adds to the context, as far as policies read it.
pub(crate) fn call_context(reads: &Reads, operation: &Operation, call: &CallFacts<'_>) -> Made<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut maker = Maker::new();
    let params = &operation.signature.params;
    if reads.wants("args") {
        pairs.push(("args".to_owned(), maker.args(reads, params, call.args).map_err(|problem| problem.to_string())?));
    }
    if reads.wants("lengths") {
        pairs.push(("lengths".to_owned(), maker.lengths(reads, params, call.args).map_err(|problem| problem.to_string())?));
    }
    if reads.wants("labels") {
        let labels = call.labels.iter().map(|label| RestrictedExpression::new_string(label.clone()));
        pairs.push(("labels".to_owned(), RestrictedExpression::new_set(labels)));
    }
    for (name, count) in [("calls", call.calls), ("bytes-out", call.bytes_out)] {
        if reads.wants(name) {
            let count =
                i64::try_from(count).map_err(|_| format!("`{name}` is {count}: policies compare whole numbers up to {}", i64::MAX))?;
            pairs.push((name.to_owned(), RestrictedExpression::new_long(count)));
        }
    }
    Ok(pairs)
}

/// Makes the context of an act.
pub(crate) fn act_context(act: &Act) -> Vec<Pair> {
    match act {
        Act::Freeze(scope) | Act::Lift(scope) => vec![text("kind", scope.kind()), text("name", scope.name())],
        Act::Approve(waiting) => vec![
            text("workflow", waiting.workflow.as_str()),
            text("run", waiting.run.as_str()),
            text("step", waiting.step.as_str()),
            text("opened-by", &waiting.opened_by),
        ],
        Act::InstallAgent(_)
        | Act::ActivateAgent(_)
        | Act::AcceptWider(_)
        | Act::InstallPolicy
        | Act::EraseSubject(_)
        | Act::HoldSubject(_)
        | Act::RotateKey => Vec::new(),
        Act::AddRequester(id) | Act::RemoveRequester(id) => vec![text("name", id)],
    }
}

/// Makes what an act is done to.
pub(crate) fn act_resource(types: &Types, act: &Act) -> Made<Entity> {
    match act {
        Act::InstallAgent(facts) | Act::ActivateAgent(facts) | Act::AcceptWider(facts) => agent(types, facts),
        Act::InstallPolicy | Act::Freeze(_) | Act::Lift(_) | Act::RotateKey | Act::AddRequester(_) | Act::RemoveRequester(_) => {
            Ok(host(types))
        }
        Act::Approve(waiting) => subject(types, name_of(waiting.subject.as_ref()), &waiting.tenant),
        Act::EraseSubject(of) | Act::HoldSubject(of) => subject(types, of.id.as_str(), &of.tenant),
    }
}

/// Makes the context and the resource of opening a run.
pub(crate) fn opening(types: &Types, opening: &Opening<'_>) -> Made<(Vec<Pair>, Entity)> {
    let pairs = vec![text("workflow", opening.workflow.as_str()), text("tenant", opening.tenant.as_str())];
    Ok((pairs, subject(types, name_of(opening.subject), opening.tenant)?))
}

/// Whether an operation takes or gives personal data.
fn is_personal(operation: &Operation) -> bool {
    !operation.spec.personal.is_empty() || operation.spec.labels.values().flatten().any(|label| label == "pii")
}

/// Whether everything that says whom or how much a call concerns is fixed by the grant, to values that come from the run's subject or
/// its requester's input. False for an operation that names nothing of the kind.
pub(crate) fn is_bound(context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> bool {
    let is_given = |value: &Value| {
        value.is_null()
            || (context.subject.is_some() && value.as_str() == context.subject.as_ref().map(SubjectId::as_str))
            || context.run_input.as_ref().is_some_and(|input| contains(input, value))
    };
    // All conditions of a path hold, so one that fixes it is enough.
    let fixes = |condition: &Condition| match condition {
        Condition::Equals(value) => is_given(value),
        Condition::In(values) => values.iter().all(is_given),
        Condition::Any
        | Condition::Max(_)
        | Condition::Min(_)
        | Condition::Prefix(_)
        | Condition::Host(_)
        | Condition::Path(_)
        | Condition::Names(_) => false,
    };
    let mut paths = operation.spec.bound_arguments().peekable();
    paths.peek().is_some() && paths.all(|(_, path)| request.conditions.get(path).is_some_and(|conditions| conditions.iter().any(fixes)))
}

/// Whether a text or number stands anywhere in a value.
fn contains(within: &Value, value: &Value) -> bool {
    match within {
        Value::Array(items) => items.iter().any(|item| contains(item, value)),
        Value::Object(map) => map.values().any(|item| contains(item, value)),
        Value::String(_) | Value::Number(_) => within == value,
        Value::Null | Value::Bool(_) => false,
    }
}

/// Gives the facts of an issue as JSON, for people.
pub fn issue_facts(context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Value {
    json!({
        "principal": { "agent": *context.agent },
        "action": names::ActionNames::of(operation).own,
        "context": {
            "workflow": context.workflow,
            "run": context.run,
            "step": context.step,
            "attempt": context.attempt,
            "requester": *context.requester,
            "tenant": context.requester.tenant,
            "effect": names::effect(operation.spec.effect),
            "personal": is_personal(operation),
            "bound": is_bound(context, operation, request),
        },
        "subject": context.subject,
        "request": request,
    })
}

/// Gives the facts of a call as JSON, for people. The arguments are in it as they are: personal data among them.
pub fn call_facts(context: &PolicyContext, operation: &Operation, request: &GrantRequest, call: &CallFacts<'_>) -> Value {
    let mut facts = issue_facts(context, operation, request);
    if let Some(context) = facts.get_mut("context").and_then(Value::as_object_mut) {
        context.insert("args".to_owned(), call.args.clone());
        context.insert("labels".to_owned(), json!(call.labels));
        context.insert("calls".to_owned(), json!(call.calls));
        context.insert("bytes-out".to_owned(), json!(call.bytes_out));
    }
    facts
}

/// Gives the facts of opening a run as JSON, for people.
pub fn open_facts(requester: &Requester, opening: &Opening<'_>) -> Value {
    json!({
        "principal": { "requester": requester },
        "action": names::OPEN,
        "context": { "workflow": opening.workflow, "tenant": opening.tenant },
        "subject": opening.subject,
    })
}

/// Gives the facts of an act as JSON, for people.
pub fn act_facts(requester: &Requester, act: &Act) -> Value {
    json!({ "principal": { "requester": requester }, "action": act.name(), "act": act })
}

#[cfg(test)]
mod tests;
