//! Slices: the policies of a set that can concern one principal and one action, apart by what they read.

mod quick;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bailiwick_core::capability::Operation;
use cedar_policy::{Entity, EntityTypeName, EntityUid, Policy, PolicySet, ResourceConstraint, pst};

use crate::load::{Policies, Rule, is_permit};
use crate::names::ResourceKind;
use crate::reads::Reads;

/// An action, and which policies of the set its scope lets match.
pub(crate) struct ActionRules {
    pub uid: EntityUid,
    /// The action with all its groups.
    pub entity: Entity,
    pub resource: ResourceKind,
    /// Whether what it is done to is known only when it is done.
    pub resource_of_call: bool,
    /// `None` for acts.
    pub operation: Option<Arc<Operation>>,
    /// Policies for any principal, by their place in the set.
    pub any: Vec<usize>,
    /// Policies for one principal, by its id.
    pub by_principal: HashMap<String, Vec<usize>>,
    /// The slice of principals that no policy names.
    anyone: OnceLock<Arc<Slice>>,
    /// The slices of those that are named; there are no more than policies.
    named: parking_lot::RwLock<HashMap<String, Arc<Slice>>>,
}

impl ActionRules {
    pub(crate) fn new(
        uid: EntityUid,
        groups: Vec<EntityUid>,
        resource: ResourceKind,
        resource_of_call: bool,
        operation: Option<Arc<Operation>>,
    ) -> Self {
        let entity = Entity::new_no_attrs(uid.clone(), groups.into_iter().collect());
        let (any, by_principal) = (Vec::new(), HashMap::new());
        let (anyone, named) = (OnceLock::new(), parking_lot::RwLock::default());
        Self { uid, entity, resource, resource_of_call, operation, any, by_principal, anyone, named }
    }

    /// Gives the policies that can concern a principal, in the order of the set.
    pub(crate) fn rules<'p>(&self, policies: &'p Policies, principal: &str) -> impl Iterator<Item = &'p Rule> {
        self.matching(policies, self.by_principal.get(principal).map_or(&[], Vec::as_slice))
    }

    /// Gives the policies for any principal and those of `own` that can match what the action is done to.
    fn matching<'p>(&self, policies: &'p Policies, own: &[usize]) -> impl Iterator<Item = &'p Rule> {
        let mut places: Vec<usize> = self.any.iter().chain(own).copied().collect();
        places.sort_unstable();
        let resource = policies.types.of(self.resource);
        places.into_iter().filter_map(|at| policies.rules.get(at)).filter(move |rule| can_match(&rule.policy, resource))
    }

    /// Gives the slice of a principal; made once.
    pub(crate) fn slice(&self, policies: &Policies, principal: &str) -> Arc<Slice> {
        let Some(own) = self.by_principal.get(principal) else {
            return Arc::clone(self.anyone.get_or_init(|| Arc::new(Slice::cut(policies, self, &[]))));
        };
        if let Some(slice) = self.named.read().get(principal) {
            return Arc::clone(slice);
        }
        let slice = Arc::new(Slice::cut(policies, self, own));
        Arc::clone(self.named.write().entry(principal.to_owned()).or_insert(slice))
    }
}

/// The policies that can concern a principal and an action.
pub(crate) struct Slice {
    /// Those that read nothing of a call.
    pub at_issue: Part,
    /// The others.
    pub at_call: Part,
}

/// Policies that are decided together.
#[derive(Default)]
pub(crate) struct Part {
    pub set: PolicySet,
    pub reads: Reads,
    /// Ids of the permits among them.
    pub permits: Vec<String>,
    /// The same with all forbids in one, where there are several: it says quickly that none of them holds, which is the rule.
    pub quick: Option<PolicySet>,
    /// A policy that belongs here could not be added: nothing can be decided.
    pub is_broken: bool,
}

impl Slice {
    fn cut(policies: &Policies, action: &ActionRules, own: &[usize]) -> Self {
        let mut slice = Self { at_issue: Part::default(), at_call: Part::default() };
        for rule in action.matching(policies, own) {
            let part = if rule.reads.needs_call(action.resource_of_call) { &mut slice.at_call } else { &mut slice.at_issue };
            part.add(rule);
        }
        slice.at_issue.quick = quick::of(&slice.at_issue.set);
        slice.at_call.quick = quick::of(&slice.at_call.set);
        slice
    }
}

impl Part {
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && !self.is_broken
    }

    pub(crate) fn add(&mut self, rule: &Rule) {
        // Ids differ within a set and a policy without scope is one too, so none is refused; if one were, the others must not decide without it.
        self.is_broken |= without_scope(&rule.policy).is_none_or(|policy| self.set.add(policy).is_err());
        self.reads.add(&rule.reads);
        if is_permit(&rule.policy) {
            self.permits.push(rule.text.id.clone());
        }
    }
}

/// Gives a policy without what its scope says of principal, action and type of resource: that it matches is why it is in the slice, and
/// Cedar would build and evaluate it as an expression at each decision.
fn without_scope(policy: &Policy) -> Option<Policy> {
    let mut body = policy.to_pst().ok()?.body().clone();
    body.principal = pst::PrincipalConstraint::Any;
    body.action = pst::ActionConstraint::Any;
    if let pst::ResourceConstraint::Is(_) = body.resource {
        body.resource = pst::ResourceConstraint::Any;
    }
    let body = pst::StaticPolicy::try_from(body).ok()?;
    Policy::from_pst(pst::Policy::Static(body)).ok()
}

/// Whether a policy's scope can match a resource of the type.
fn can_match(policy: &Policy, resource: &EntityTypeName) -> bool {
    match policy.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::Is(ty) => ty == *resource,
        // Nothing is in a group, so `in` can mean only itself.
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => uid.type_name() == resource,
    }
}
