//! Deciding with Cedar, and what it means: forbid wins, an error forbids, and so does silence.

use std::sync::Arc;

use bailiwick_core::policy::{CallFacts, PolicyContext};
use cedar_policy::{AuthorizationError, Authorizer, Context, Entities, Entity, EntityUid, Request, Response, RestrictedExpression};

use crate::explain::listed;
use crate::facts::{self, Made};
use crate::load::Policies;
use crate::slice::{ActionRules, Part, Slice};

/// A no: the rules that forbade or could not be decided, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub rules: Vec<String>,
    pub reason: String,
}

impl Refused {
    /// A no because the facts have no form in Cedar.
    pub(crate) fn unfit(reason: String) -> Self {
        Self { rules: Vec::new(), reason }
    }

    /// A no because nothing says yes.
    pub(crate) fn by_default() -> Self {
        Self::unfit("no policy permits it".to_owned())
    }
}

/// Who does what.
pub(crate) struct Doer<'a> {
    pub principal: &'a EntityUid,
    pub action: &'a EntityUid,
}

/// Gives the permits of a part that hold; an empty list where none does.
pub(crate) fn weigh(
    policies: &Policies,
    part: &Part,
    doer: &Doer<'_>,
    resource: EntityUid,
    context: Vec<(String, RestrictedExpression)>,
    entities: &Entities,
) -> Result<Vec<String>, Refused> {
    if part.is_broken {
        return Err(Refused::unfit("the policies could not be put together".to_owned()));
    }
    let context = Context::from_pairs(context).map_err(|error| Refused::unfit(error.to_string()))?;
    let request = Request::new(doer.principal.clone(), doer.action.clone(), resource, context, None)
        .map_err(|error| Refused::unfit(error.to_string()))?;
    let authorizer = Authorizer::new();
    if let Some(quick) = &part.quick {
        let response = authorizer.is_authorized(&request, quick, entities);
        let is_forbidden = response.decision() == cedar_policy::Decision::Deny && response.diagnostics().reason().next().is_some();
        if !is_forbidden && response.diagnostics().errors().next().is_none() {
            return Ok(determining(&response));
        }
    }
    let response = authorizer.is_authorized(&request, &part.set, entities);
    let mut undecided: Vec<(String, String)> = response
        .diagnostics()
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| (error.policy_id().to_string(), error.inner().to_string()))
        .collect();
    if !undecided.is_empty() {
        // Cedar goes on without a policy that it cannot evaluate, also without a forbid.
        undecided.sort();
        let reasons: Vec<String> = undecided.iter().map(|(id, why)| format!("`{id}` could not be decided: {why}")).collect();
        return Err(Refused { rules: undecided.into_iter().map(|(id, _)| id).collect(), reason: reasons.join("; ") });
    }
    let determining = determining(&response);
    match response.decision() {
        cedar_policy::Decision::Allow => Ok(determining),
        cedar_policy::Decision::Deny if determining.is_empty() => Ok(determining),
        cedar_policy::Decision::Deny => Err(Refused { reason: policies.reason_of(&determining), rules: determining }),
    }
}

/// Gives the ids of the policies that decided, in order.
fn determining(response: &Response) -> Vec<String> {
    let mut ids: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    ids.sort();
    ids
}

impl Policies {
    /// Says why rules forbid: what their authors say, else their names.
    fn reason_of(&self, rules: &[String]) -> String {
        let said: Vec<&str> = rules.iter().filter_map(|id| self.rule(id)?.reason()).collect();
        if said.is_empty() { format!("forbidden by {}", listed(rules)) } else { said.join("; ") }
    }

    /// Puts together the entities of a question.
    pub(crate) fn entities(&self, part: &Part, given: impl IntoIterator<Item = Entity>, action: &ActionRules) -> Made<Entities> {
        let actions = if part.reads.actions { self.all_actions.clone() } else { vec![action.entity.clone()] };
        Entities::from_entities(given.into_iter().chain(actions), None).map_err(|error| error.to_string())
    }

    /// Decides with every fact at hand; gives the permits that hold, at least one.
    pub(crate) fn decide(
        &self,
        action: &ActionRules,
        principal: &Entity,
        resource: &Entity,
        context: &[(String, RestrictedExpression)],
    ) -> Result<Vec<String>, Refused> {
        let principal_id = principal.uid();
        let slice = action.slice(self, principal_id.id().unescaped());
        let doer = Doer { principal: &principal_id, action: &action.uid };
        let mut permits = Vec::new();
        for part in [&slice.at_issue, &slice.at_call] {
            if part.is_empty() {
                continue;
            }
            // Who installs an agent is not the agent; but a person erasing the data of a subject may share its name: ids have types.
            let entities = self.entities(part, [principal.clone(), resource.clone()], action).map_err(Refused::unfit)?;
            permits.extend(weigh(self, part, &doer, resource.uid(), context.to_vec(), &entities)?);
        }
        if permits.is_empty() { Err(Refused::by_default()) } else { Ok(permits) }
    }
}

/// Stack below which a decision gets one of its own. Cedar asks for about 100 KiB.
const STACK_LEAST: usize = 256 * 1024;
/// Bytes of that stack.
const STACK_BYTES: usize = 1024 * 1024;

/// Decides on a stack whose bounds Cedar knows.
///
/// Where guests call, the stack is the guest's own, of which Cedar's guard against deep recursion knows nothing: it would take it for
/// used up and refuse to evaluate, and everything would be forbidden.
pub(crate) fn on_own_stack<T>(decide: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_LEAST, STACK_BYTES, decide)
}

/// What is left to decide at each call under a grant.
pub(crate) struct Residue {
    policies: Arc<Policies>,
    action: Arc<ActionRules>,
    slice: Arc<Slice>,
    principal: EntityUid,
    /// Everything but what the call is about.
    entities: Entities,
    context: Vec<(String, RestrictedExpression)>,
    /// Permits that hold whatever the call is.
    standing: Vec<String>,
}

impl Residue {
    pub(crate) fn new(
        policies: &Arc<Policies>,
        action: &Arc<ActionRules>,
        slice: Arc<Slice>,
        principal: EntityUid,
        entities: Entities,
        context: Vec<(String, RestrictedExpression)>,
        standing: Vec<String>,
    ) -> Self {
        Self { policies: Arc::clone(policies), action: Arc::clone(action), slice, principal, entities, context, standing }
    }

    /// Decides a call; gives the permits that hold, at least one. Where guests call, it has to be within [`on_own_stack`].
    pub(crate) fn decide(&self, context: &PolicyContext, call: &CallFacts<'_>) -> Result<Vec<String>, Refused> {
        let part = &self.slice.at_call;
        let Some(operation) = &self.action.operation else { return Err(Refused::by_default()) };
        let mut pairs = self.context.clone();
        pairs.extend(facts::call_context(&part.reads, operation, call).map_err(Refused::unfit)?);
        if !part.reads.resource {
            let stand_in = facts::stand_in(&self.policies.types, self.action.resource);
            return self.decide_one(stand_in, pairs, &self.entities);
        }
        let mut permits = Vec::new();
        // Each thing that the call names has to be permitted.
        for (resource, with) in facts::resources(&self.policies.types, context, operation, call.args).map_err(Refused::unfit)? {
            let entities = self.entities.clone().add_entities(with, None).map_err(|error| Refused::unfit(error.to_string()))?;
            permits = self.decide_one(resource, pairs.clone(), &entities)?;
        }
        Ok(permits)
    }

    fn decide_one(
        &self,
        resource: EntityUid,
        context: Vec<(String, RestrictedExpression)>,
        entities: &Entities,
    ) -> Result<Vec<String>, Refused> {
        let doer = Doer { principal: &self.principal, action: &self.action.uid };
        let found = weigh(&self.policies, &self.slice.at_call, &doer, resource, context, entities)?;
        let permits: Vec<String> = self.standing.iter().cloned().chain(found).collect();
        if permits.is_empty() { Err(Refused::by_default()) } else { Ok(permits) }
    }
}
