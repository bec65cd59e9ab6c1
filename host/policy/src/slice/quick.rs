//! All forbids of a set as one.
//!
//! Most of what Cedar's authorizer costs is paid once for each policy, whatever its condition. The forbids `a`, `b` and `c` are therefore asked as the one
//! forbid `a || b || c`: where it is false, each of them was evaluated and is false. Where it is true, or cannot be evaluated, the set itself is
//! asked, so that what is said of the policies is always said by them.

use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicySet, pst};

/// The id of the one forbid; no policy of a file can have it.
const ID: &str = "?";

/// Makes the set; `None` where nothing would be gained.
pub(super) fn of(set: &PolicySet) -> Option<PolicySet> {
    let mut conditions = Vec::new();
    let mut others = Vec::new();
    for policy in set.policies() {
        match condition_of_forbid(policy) {
            Some(condition) => conditions.push(condition),
            None => others.push(policy.clone()),
        }
    }
    if conditions.len() < 2 {
        return None;
    }
    let one = pst::Template::new(
        pst::PolicyID(ID.into()),
        pst::Effect::Forbid,
        pst::PrincipalConstraint::Any,
        pst::ActionConstraint::Any,
        pst::ResourceConstraint::Any,
    );
    let one = one.try_with_clauses([pst::Clause::When(any_of(conditions)?)]).ok()?;
    let one = Policy::from_pst(pst::Policy::Static(pst::StaticPolicy::try_from(one).ok()?)).ok()?;
    PolicySet::from_policies(others.into_iter().chain([one])).ok()
}

/// Gives the condition of a forbid that has nothing but a condition.
fn condition_of_forbid(policy: &Policy) -> Option<Arc<pst::Expr>> {
    if policy.effect() != Effect::Forbid {
        return None;
    }
    let tree = policy.to_pst().ok()?;
    let body = tree.body();
    let is_bare = matches!(
        (&body.principal, &body.action, &body.resource),
        (pst::PrincipalConstraint::Any, pst::ActionConstraint::Any, pst::ResourceConstraint::Any)
    );
    let clauses = body.clauses().iter().map(|clause| match clause {
        pst::Clause::When(expr) => Arc::clone(expr),
        pst::Clause::Unless(expr) => Arc::new(pst::Expr::UnaryOp { op: pst::UnaryOp::Not, expr: Arc::clone(expr) }),
    });
    if is_bare { clauses.reduce(|left, right| both(pst::BinaryOp::And, left, right)) } else { None }
}

/// Joins conditions with `||`, pairwise, so that the tree of a hundred is no deeper than eight.
fn any_of(mut conditions: Vec<Arc<pst::Expr>>) -> Option<Arc<pst::Expr>> {
    while conditions.len() > 1 {
        let mut pairs = Vec::with_capacity(conditions.len().div_ceil(2));
        let mut rest = conditions.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => both(pst::BinaryOp::Or, left, right),
                None => left,
            });
        }
        conditions = pairs;
    }
    conditions.pop()
}

fn both(op: pst::BinaryOp, left: Arc<pst::Expr>, right: Arc<pst::Expr>) -> Arc<pst::Expr> {
    Arc::new(pst::Expr::BinaryOp { op, left, right })
}
