//! What will be decided, as far as that is certain before anything runs.
//!
//! The policies that can concern an agent and an operation are parted by what they read: those that read only what is known are decided with
//! Cedar, as at issue; the others are left open. A forbid that is decided and holds is a never, and so is the want of any permit. An always
//! needs that nothing is left open at all: a policy that is left open may forbid, and a permit may turn out not to be evaluable, which forbids too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::Operation;
use bailiwick_core::grant::GrantRequest;
use bailiwick_core::policy::{Foreseen, PolicyContext, Prospect, Requester};
use cedar_policy::RestrictedExpression;

use crate::decide::{Doer, Refused, weigh};
use crate::facts::{self, Made};
use crate::load::Policies;
use crate::names::uid;
use crate::reads::Reads;
use crate::slice::{ActionRules, Part};

/// What is known of no call before it is made, and of no run before it is opened.
const UNKNOWN: &[&str] = &["run", "attempt", "requester", "args", "lengths", "labels", "calls", "bytes-out"];
/// What is known where the question is about a step.
const OF_A_STEP: &[&str] = &["workflow", "step"];

/// Foresees what policies decide.
pub(crate) fn of(policies: &Policies, known: &Foreseen<'_>, operation: &Operation) -> Prospect {
    let Some(action) = policies.operations.get(&operation.id) else {
        return never(Refused::unfit(format!("the policies in force do not know `{}`", operation.full)));
    };
    let bound = known.bound.or_else(|| operation.spec.bound_arguments().next().is_none().then_some(false));
    let mut decided = Part::default();
    let mut open = Vec::new();
    let mut may_be_permitted = false;
    let mut on = BTreeSet::new();
    for rule in action.rules(policies, known.agent.name.as_str()) {
        let unknown = unknown(&rule.reads, known.place.is_some(), bound.is_some());
        if unknown.is_empty() {
            decided.add(rule);
        } else {
            on.extend(unknown);
            may_be_permitted |= crate::load::is_permit(&rule.policy);
            open.push(rule.text.id.clone());
        }
    }
    let standing = match decide(policies, action, &decided, known, operation, bound) {
        Ok(standing) => standing,
        Err(refused) => return never(refused),
    };
    match (open.is_empty(), standing.is_empty()) {
        (true, false) => Prospect::Always { rules: standing },
        (false, false) => Prospect::Depends { on, rules: open },
        (false, true) if may_be_permitted => Prospect::Depends { on, rules: open },
        (_, true) => never(Refused::by_default()),
    }
}

fn never(refused: Refused) -> Prospect {
    Prospect::Never { rules: refused.rules, reason: refused.reason }
}

/// Names what a policy reads and nobody knows yet.
fn unknown(reads: &Reads, has_place: bool, has_bound: bool) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = reads
        .attributes
        .iter()
        .filter(|name| {
            let name = name.as_str();
            UNKNOWN.contains(&name) || (!has_place && OF_A_STEP.contains(&name)) || (!has_bound && name == "bound")
        })
        .cloned()
        .collect();
    if reads.everything {
        names.insert("context".to_owned());
    }
    // What a call is about is in its arguments, or is the run's subject.
    if reads.resource {
        names.insert("resource".to_owned());
    }
    names
}

/// Decides the policies that read only what is known; gives the permits that hold.
fn decide(
    policies: &Policies,
    action: &ActionRules,
    part: &Part,
    known: &Foreseen<'_>,
    operation: &Operation,
    bound: Option<bool>,
) -> Result<Vec<String>, Refused> {
    if part.is_empty() {
        return Ok(Vec::new());
    }
    let agent: Made<Vec<_>> =
        if part.reads.principal { facts::agent(&policies.types, known.agent).map(|agent| vec![agent]) } else { Ok(vec![]) };
    let entities = agent.and_then(|given| policies.entities(part, given, action)).map_err(Refused::unfit)?;
    let (context, request) = stand_ins(known, operation);
    let mut pairs = facts::issue_context(&policies.types, &part.reads, &context, operation, &request);
    if let Some(pair) = pairs.iter_mut().find(|(name, _)| name == "bound") {
        // INVARIANT: where it is not known, no policy of the part reads it.
        pair.1 = RestrictedExpression::new_bool(bound.unwrap_or(false));
    }
    let principal = uid(&policies.types.agent, known.agent.name.as_str());
    let doer = Doer { principal: &principal, action: &action.uid };
    weigh(policies, part, &doer, facts::stand_in(&policies.types, action.resource), pairs, &entities)
}

/// A context and a request with what is known in them. INVARIANT: no policy that is decided with them reads the rest.
fn stand_ins(known: &Foreseen<'_>, operation: &Operation) -> (PolicyContext, GrantRequest) {
    let (workflow, step) = known.place.map_or_else(|| ("".into(), "".into()), |(workflow, step)| (workflow.clone(), step.clone()));
    let context = PolicyContext {
        requester: Arc::new(Requester { id: String::new(), tenant: known.tenant.clone(), attributes: BTreeMap::new() }),
        workflow,
        run: "".into(),
        step,
        attempt: 1,
        agent: Arc::new(known.agent.clone()),
        subject: None,
        run_input: None,
    };
    let request = GrantRequest {
        operation: operation.id.clone(),
        conditions: BTreeMap::new(),
        owner: None,
        budgets: Budgets::default_for(operation.spec.effect),
        delegable: false,
    };
    (context, request)
}
