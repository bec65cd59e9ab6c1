//! The engine: the set in force and the freezes, swapped as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bailiwick_core::act::{Act, FreezeScope};
use bailiwick_core::capability::Operation;
use bailiwick_core::grant::{Grant, GrantRequest};
use bailiwick_core::ids::PolicyVersion;
use bailiwick_core::policy::{
    ActDecision, CallFacts, Decision, Foreseen, Opening, PolicyContext, PolicyEngine, Proposal, Prospect, Requester,
};
use cedar_policy::Entity;
use parking_lot::Mutex;

use crate::decide::{Doer, Refused, Residue, on_own_stack, weigh};
use crate::facts;
use crate::freeze::{self, Freeze, FreezeProblem, Freezes};
use crate::load::Policies;
use crate::names::{OPEN, uid};
use crate::prospect;
use crate::slice::Part;
use crate::{FREEZE_RULE, UNDO_RULE};

/// Numbers of states. Of the whole process, so that a permit of one engine never looks like one of another.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// What is in force.
struct State {
    generation: u64,
    policies: Arc<Policies>,
    freezes: Arc<Freezes>,
}

/// What the engine leaves in a permit.
struct Note {
    /// The state that decided.
    generation: u64,
    /// What is left for each call; `None` where everything is decided.
    residue: Option<Residue>,
}

/// Decides with Cedar.
///
/// Shared by all tasks. A change ([`CedarEngine::install`], [`CedarEngine::freeze`], [`CedarEngine::lift`]) is in force for every call that begins
/// after it returned, also for calls under grants that were issued before.
pub struct CedarEngine {
    state: ArcSwap<State>,
    /// The generation of `state`, where a call can compare it for next to nothing. It follows `state`: a call between the two counts as
    /// before the change.
    generation: AtomicU64,
    /// Held while changing, so that no change is lost.
    changing: Mutex<()>,
}

impl CedarEngine {
    /// Makes an engine with policies in force, and what was frozen when the host was last seen.
    pub fn new(policies: Arc<Policies>, freezes: Freezes) -> Self {
        let generation = next_generation();
        let state = State { generation, policies, freezes: Arc::new(freezes) };
        Self { state: ArcSwap::from_pointee(state), generation: generation.into(), changing: Mutex::new(()) }
    }

    /// Gives the policies in force.
    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.state.load().policies)
    }

    /// Gives the freezes in force.
    pub fn freezes(&self) -> Arc<Freezes> {
        Arc::clone(&self.state.load().freezes)
    }

    /// Brings other policies into force; gives those that were.
    pub fn install(&self, policies: Arc<Policies>) -> Arc<Policies> {
        let before = self.change(|state| (policies, Arc::clone(&state.freezes)));
        Arc::clone(&before.policies)
    }

    /// Checks that a scope names something that can be frozen.
    ///
    /// # Errors
    /// When the operations of the policies in force have no such capability: a slip would stop nothing.
    pub fn knows(&self, scope: &FreezeScope) -> Result<(), FreezeProblem> {
        let policies = self.policies();
        let operations = policies.operations.values().filter_map(|action| action.operation.as_deref());
        freeze::check(scope, operations, &policies.capabilities)
    }

    /// Stops something at its next call.
    ///
    /// # Errors
    /// As [`CedarEngine::knows`].
    pub fn freeze(&self, freeze: Freeze) -> Result<(), FreezeProblem> {
        self.knows(&freeze.scope)?;
        self.change(|state| {
            let mut freezes = (*state.freezes).clone();
            freezes.add(freeze);
            (Arc::clone(&state.policies), Arc::new(freezes))
        });
        Ok(())
    }

    /// Ends a freeze; gives it, or `None` where there is none of this scope.
    pub fn lift(&self, scope: &FreezeScope) -> Option<Freeze> {
        let mut lifted = None;
        self.change(|state| {
            let mut freezes = (*state.freezes).clone();
            lifted = freezes.lift(scope);
            (Arc::clone(&state.policies), Arc::new(freezes))
        });
        lifted
    }

    /// Says what will be decided of an operation, as far as that is certain from what is known before anything runs.
    ///
    /// [`Prospect::Always`] and [`Prospect::Never`] hold for every grant and every call with these facts, as long as the policies and the
    /// freezes stay what they are; where that cannot be told it is [`Prospect::Depends`], also where it would always be the same.
    pub fn prospect(&self, known: &Foreseen<'_>, operation: &Operation) -> Prospect {
        let state = self.state.load();
        match state.freezes.of_call(known.tenant, &known.agent.name, operation) {
            Some(freeze) => Prospect::Never { rules: vec![FREEZE_RULE.to_owned()], reason: freeze_reason(freeze) },
            None => prospect::of(&state.policies, known, operation),
        }
    }

    fn change(&self, next: impl FnOnce(&State) -> (Arc<Policies>, Arc<Freezes>)) -> Arc<State> {
        let _changing = self.changing.lock();
        let before = self.state.load_full();
        let (policies, freezes) = next(&before);
        let generation = next_generation();
        self.state.store(Arc::new(State { generation, policies, freezes }));
        self.generation.store(generation, Ordering::Release);
        before
    }
}

impl CedarEngine {
    /// Decides a call of which something is left to decide, or whose permit is of another state. Apart from
    /// [`PolicyEngine::at_call`], which nearly every call leaves at its first lines and which is to stay small for them.
    #[inline(never)]
    fn decide_call(
        &self,
        context: &PolicyContext,
        operation: &Operation,
        grant: &Grant,
        call: &CallFacts<'_>,
        is_current: bool,
    ) -> Decision {
        let permit = if is_current {
            grant.permit().clone()
        } else {
            // The policy, or a freeze, is another since the grant was issued; or the grant was narrowed from one that concerned another agent.
            match self.state.load().at_issue(context, operation, grant.scope()) {
                Decision::Permit(permit) => permit,
                forbid @ Decision::Forbid { .. } => return forbid,
            }
        };
        let Some(residue) = permit.note::<Note>().and_then(|note| note.residue.as_ref()) else { return Decision::Permit(permit) };
        match residue.decide(context, call) {
            Ok(rules) => Decision::Permit(permit.with_rules(rules)),
            Err(refused) => {
                Decision::Forbid { rules: refused.rules, policy_version: permit.policy_version().clone(), reason: refused.reason }
            }
        }
    }
}

fn freeze_reason(freeze: &Freeze) -> String {
    format!("{} is frozen: {}", freeze.scope, freeze.reason)
}

fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::Relaxed)
}

impl State {
    fn permit(&self, rules: Vec<String>) -> Decision {
        Decision::permit(rules, self.policies.version().clone())
    }

    fn forbid(&self, refused: Refused) -> Decision {
        Decision::Forbid { rules: refused.rules, policy_version: self.policies.version().clone(), reason: refused.reason }
    }

    fn frozen(&self, freeze: &Freeze) -> Decision {
        self.forbid(Refused { rules: vec![FREEZE_RULE.to_owned()], reason: freeze_reason(freeze) })
    }

    fn at_issue(&self, context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Decision {
        if let Some(freeze) = self.freezes.of_call(&context.requester.tenant, &context.agent.name, operation) {
            return self.frozen(freeze);
        }
        match self.issue(context, operation, request) {
            Ok((rules, residue)) => match self.permit(rules) {
                Decision::Permit(permit) => Decision::Permit(permit.with_note(Arc::new(Note { generation: self.generation, residue }))),
                forbid => forbid,
            },
            Err(refused) => self.forbid(refused),
        }
    }

    /// Decides what can be decided now. Gives the permits that hold, else those that may hold for some call; and what is left.
    fn issue(
        &self,
        context: &PolicyContext,
        operation: &Operation,
        request: &GrantRequest,
    ) -> Result<(Vec<String>, Option<Residue>), Refused> {
        let policies = &self.policies;
        let action = policies.operations.get(&operation.id).ok_or_else(|| {
            Refused::unfit(format!("the policies in force do not know `{}`: load them with the project's operations", operation.full))
        })?;
        let slice = action.slice(policies, context.agent.name.as_str());
        let principal = uid(&policies.types.agent, context.agent.name.as_str());
        let stand_in = facts::stand_in(&policies.types, action.resource);
        // What no argument names is the run's subject, known now.
        let subject = (!action.resource_of_call).then(|| context.subject.as_ref().map_or("", |subject| subject.as_str()));
        let given = |part: &Part| -> facts::Made<Vec<Entity>> {
            let mut given = Vec::new();
            if part.reads.principal || part.reads.everything {
                given.push(facts::agent(&policies.types, &context.agent)?);
            }
            if part.reads.wants("requester") {
                given.push(facts::requester(&policies.types, &context.requester)?);
            }
            if let Some(subject) = subject.filter(|_| part.reads.resource) {
                given.push(facts::subject(&policies.types, subject, &context.requester.tenant)?);
            }
            Ok(given)
        };
        let mut standing = Vec::new();
        let part = &slice.at_issue;
        if !part.is_empty() {
            let entities = given(part).and_then(|given| policies.entities(part, given, action)).map_err(Refused::unfit)?;
            let resource = subject.map_or(stand_in, |subject| uid(&policies.types.subject, subject));
            let pairs = facts::issue_context(&policies.types, &part.reads, context, operation, request);
            let doer = Doer { principal: &principal, action: &action.uid };
            standing = weigh(policies, part, &doer, resource, pairs, &entities)?;
        }
        let part = &slice.at_call;
        if standing.is_empty() && part.permits.is_empty() {
            return Err(Refused::by_default());
        }
        if part.is_empty() {
            return Ok((standing, None));
        }
        let rules = if standing.is_empty() { part.permits.clone() } else { standing.clone() };
        let entities = given(part).and_then(|given| policies.entities(part, given, action)).map_err(Refused::unfit)?;
        let pairs = facts::issue_context(&policies.types, &part.reads, context, operation, request);
        Ok((rules, Some(Residue::new(policies, action, Arc::clone(&slice), principal, entities, pairs, standing))))
    }

    fn at_open(&self, requester: &Requester, opening: &Opening<'_>) -> Decision {
        if let Some(freeze) = self.freezes.of_tenant(&requester.tenant).or_else(|| self.freezes.of_tenant(opening.tenant)) {
            return self.frozen(freeze);
        }
        let policies = &self.policies;
        let decided = facts::requester(&policies.types, requester)
            .and_then(|requester| Ok((requester, facts::opening(&policies.types, opening)?)))
            .map_err(Refused::unfit)
            .and_then(|(requester, (context, subject))| {
                let action = policies.others.get(OPEN).ok_or_else(Refused::by_default)?;
                policies.decide(action, &requester, &subject, &context)
            });
        decided.map_or_else(|refused| self.forbid(refused), |rules| self.permit(rules))
    }

    fn administer(&self, requester: &Requester, act: &Act) -> ActDecision {
        let policies = &self.policies;
        let decided = facts::requester(&policies.types, requester)
            .and_then(|requester| Ok((requester, facts::act_resource(&policies.types, act)?)))
            .map_err(Refused::unfit)
            .and_then(|(requester, resource)| {
                let action = policies.act(act).ok_or_else(Refused::by_default)?;
                policies.decide(action, &requester, &resource, &facts::act_context(act))
            });
        let rules = match decided {
            Ok(rules) => rules,
            Err(refused) => return ActDecision::Decided(self.forbid(refused)),
        };
        // The stricter of two permits that hold counts.
        let needs_second = rules.iter().any(|id| policies.is_four_eyes(id));
        match self.permit(rules) {
            Decision::Permit(permit) if needs_second => ActDecision::NeedsSecond(Proposal::new(requester, act.clone(), permit)),
            decision => ActDecision::Decided(decision),
        }
    }
}

impl PolicyEngine for CedarEngine {
    fn version(&self) -> PolicyVersion {
        self.state.load().policies.version().clone()
    }

    fn at_open(&self, requester: &Requester, opening: &Opening<'_>) -> Decision {
        self.state.load().at_open(requester, opening)
    }

    fn at_issue(&self, context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Decision {
        self.state.load().at_issue(context, operation, request)
    }

    fn at_call(&self, context: &PolicyContext, operation: &Operation, grant: &Grant, call: &CallFacts<'_>) -> Option<Decision> {
        let note = grant.permit().note::<Note>().filter(|note| note.generation == self.generation.load(Ordering::Acquire));
        match note {
            Some(Note { residue: None, .. }) => None,
            _ => Some(on_own_stack(|| self.decide_call(context, operation, grant, call, note.is_some()))),
        }
    }

    fn stands(&self, grant: &Grant) -> bool {
        let now = self.generation.load(Ordering::Acquire);
        grant.permit().note::<Note>().is_some_and(|note| note.generation == now)
    }

    fn at_undo(&self, context: &PolicyContext, operation: &Operation) -> Decision {
        let state = self.state.load();
        match state.freezes.of_call(&context.requester.tenant, &context.agent.name, operation) {
            Some(freeze) => state.frozen(freeze),
            None => state.permit(vec![UNDO_RULE.to_owned()]),
        }
    }

    fn administer(&self, requester: &Requester, act: &Act) -> ActDecision {
        self.state.load().administer(requester, act)
    }
}

#[cfg(test)]
mod tests;
