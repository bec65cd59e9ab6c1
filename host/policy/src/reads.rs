//! What a policy reads, found in its syntax tree: what is known when a grant is issued, and what only when a call is made.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Policy, ResourceConstraint, Template, Var};

/// Attributes of a context that are known only when a call is made.
const OF_CALL: &[&str] = &["args", "lengths", "labels", "calls", "bytes-out"];

/// What a policy reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    /// Attributes of `context`.
    pub attributes: BTreeSet<String>,
    /// Arguments, by the names of parameters, of which values or lengths are read.
    pub arguments: BTreeSet<String>,
    /// Arguments or lengths as a whole.
    pub all_arguments: bool,
    /// The whole of `context`, or something that this version of the reader does not know.
    pub everything: bool,
    /// `principal`, or an agent by its name.
    pub principal: bool,
    /// `resource`, more than its type; or a subject or target by its name, whose attributes are there only while a call is about it.
    pub resource: bool,
    /// An action other than as the group that `action` is compared with.
    pub actions: bool,
}

impl Reads {
    /// Walks a policy.
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut reads = Self::default();
        let body: &Template = policy.body();
        reads.resource = match &body.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => false,
            ResourceConstraint::Eq(_) | ResourceConstraint::In(_) | ResourceConstraint::IsIn(..) => true,
        };
        for clause in body.clauses() {
            let (Clause::When(expr) | Clause::Unless(expr)) = clause;
            reads.walk(expr);
        }
        reads
    }

    /// Whether anything of a call is read. `resource_of_call`: what the operation is about is known only then.
    pub(crate) fn needs_call(&self, resource_of_call: bool) -> bool {
        self.everything || (self.resource && resource_of_call) || OF_CALL.iter().any(|name| self.attributes.contains(*name))
    }

    /// Whether a context attribute has to be there.
    pub(crate) fn wants(&self, attribute: &str) -> bool {
        self.everything || self.attributes.contains(attribute)
    }

    /// Whether values or lengths of an argument have to be there.
    pub(crate) fn wants_argument(&self, name: &str) -> bool {
        self.everything || self.all_arguments || self.arguments.contains(name)
    }

    /// Adds what another policy reads.
    pub(crate) fn add(&mut self, other: &Self) {
        self.attributes.extend(other.attributes.iter().cloned());
        self.arguments.extend(other.arguments.iter().cloned());
        self.all_arguments |= other.all_arguments;
        self.everything |= other.everything;
        self.principal |= other.principal;
        self.resource |= other.resource;
        self.actions |= other.actions;
    }

    fn walk(&mut self, expr: &Expr) {
        match expr {
            Expr::GetAttr { expr, attr } if of_arguments(expr) => self.argument(expr, attr),
            Expr::HasAttr { expr, attrs } if of_arguments(expr) => self.argument(expr, &attrs.head),
            Expr::GetAttr { expr, attr } if is_context(expr) => {
                self.all_arguments |= is_arguments(attr);
                self.attributes.insert(attr.to_string());
            }
            Expr::HasAttr { expr, attrs } if is_context(expr) => {
                self.attributes.insert(attrs.head.to_string());
                if is_arguments(&attrs.head) {
                    self.arguments.extend(attrs.tail.first().map(ToString::to_string));
                }
            }
            Expr::Var(Var::Context) => self.everything = true,
            // Its type is known when a grant is issued.
            Expr::Is { expr, in_expr: None, .. } if matches!(**expr, Expr::Var(Var::Resource)) => {}
            Expr::Var(Var::Resource) => self.resource = true,
            Expr::Var(Var::Principal) => self.principal = true,
            Expr::Var(Var::Action) => {}
            Expr::Literal(Literal::EntityUID(uid)) => self.literal(uid.ty.0.id.as_str()),
            Expr::Literal(Literal::Bool(_) | Literal::Long(_) | Literal::String(_)) => {}
            Expr::BinaryOp { op: BinaryOp::In | BinaryOp::Eq | BinaryOp::NotEq, left, right } if is_action(left) => self.groups(right),
            Expr::BinaryOp { left, right, .. } => {
                self.walk(left);
                self.walk(right);
            }
            Expr::UnaryOp { expr, .. } | Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } | Expr::Like { expr, .. } => {
                self.walk(expr)
            }
            Expr::Is { expr, in_expr, .. } => {
                self.walk(expr);
                if let Some(within) = in_expr {
                    self.walk(within);
                }
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.walk(cond);
                self.walk(then_expr);
                self.walk(else_expr);
            }
            Expr::Set(items) => items.iter().for_each(|item| self.walk(item)),
            Expr::Record(fields) => fields.values().for_each(|field| self.walk(field)),
            // A form that Cedar gained after this was written: it is decided at each call, with all there is.
            _ => {
                self.everything = true;
                self.principal = true;
                self.resource = true;
                self.actions = true;
            }
        }
    }

    /// Notes an attribute of `context.args` or `context.lengths`.
    fn argument(&mut self, of: &Expr, name: &str) {
        if let Expr::GetAttr { attr, .. } = of {
            self.attributes.insert(attr.to_string());
        }
        self.arguments.insert(name.to_owned());
    }

    /// Walks the right side of `action in …`: groups there need no entities, since an action knows its groups.
    fn groups(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(Literal::EntityUID(_)) => {}
            Expr::Set(items) => items.iter().for_each(|item| self.groups(item)),
            other => self.walk(other),
        }
    }

    fn literal(&mut self, ty: &str) {
        match ty {
            // The entity may be the principal's or the run's requester.
            "Agent" => self.principal = true,
            "Requester" => {
                self.principal = true;
                self.attributes.insert("requester".to_owned());
            }
            "Host" => {}
            "Action" => self.actions = true,
            _ => self.resource = true,
        }
    }
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Context))
}

fn is_arguments(attribute: &str) -> bool {
    attribute == "args" || attribute == "lengths"
}

/// Whether an expression is `context.args` or `context.lengths`.
fn of_arguments(expr: &Expr) -> bool {
    matches!(expr, Expr::GetAttr { expr, attr } if is_context(expr) && is_arguments(attr))
}

fn is_action(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Action))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        let set = cedar_policy::PolicySet::from_str(&text).unwrap_or_else(|error| panic!("{condition}: {error}"));
        Reads::of(&set.policies().next().unwrap().to_pst().unwrap())
    }

    #[test]
    fn what_is_known_at_issue_is_told_from_what_a_call_brings() {
        for (condition, needs_call) in [
            ("true", false),
            ("principal.tier > 1", false),
            ("context.workflow == \"returns\"", false),
            ("context.requester.tenant == context.tenant", false),
            ("context[\"effect\"] == \"read\"", false),
            ("action in [Bailiwick::Action::\"read\"]", false),
            ("resource is Bailiwick::Subject", false),
            ("principal == Bailiwick::Agent::\"x\"", false),
            ("context.args.id == \"C-1\"", true),
            ("context has args", true),
            ("context has args.id", true),
            ("context[\"args\"] has id", true),
            ("context.lengths.text < 10", true),
            ("!context.labels.contains(\"untrusted\")", true),
            ("context.calls < 3", true),
            ("context[\"bytes-out\"] < 3", true),
            ("resource.tenant == \"t\"", true),
            ("resource is Bailiwick::Subject in Bailiwick::Subject::\"x\"", true),
            ("context == {\"a\": 1}", true),
            ("(if principal.tier > 1 then context else context).workflow == \"x\"", true),
            ("{\"c\": context}.c.workflow == \"x\"", true),
            ("[context].contains(context)", true),
            ("Bailiwick::Subject::\"x\".tenant == \"t\"", true),
        ] {
            assert_eq!(reads(condition).needs_call(true), needs_call, "{condition}");
        }
    }

    #[test]
    fn arguments_that_are_read_are_told_from_those_that_are_not() {
        for (condition, wanted) in [
            ("context.args.id == \"C-1\"", vec!["id"]),
            ("context.args has note && context.lengths.text < 5", vec!["note", "text"]),
            ("context has args.note.case", vec!["note"]),
            ("context has args", vec![]),
            ("context.args.a.b.c == context.lengths.d", vec!["a", "d"]),
        ] {
            let reads = reads(condition);
            assert_eq!(reads.arguments.iter().map(String::as_str).collect::<Vec<_>>(), wanted, "{condition}");
            assert!(!reads.wants_argument("other"), "{condition}");
        }
        for condition in ["context.args == {\"id\": 1}", "[context.lengths].isEmpty()", "context == {\"a\": 1}"] {
            assert!(reads(condition).wants_argument("any"), "{condition}");
        }
    }

    #[test]
    fn a_resource_that_is_known_at_issue_needs_no_call() {
        assert!(!reads("resource.tenant == \"t\"").needs_call(false));
        assert!(reads("context.args.x == 1").needs_call(false));
    }

    #[test]
    fn an_action_that_is_no_group_to_compare_with_needs_the_hierarchy() {
        assert!(!reads("action == Bailiwick::Action::\"read\"").actions);
        assert!(reads("Bailiwick::Action::\"read\" in action").actions);
        assert!(reads("Bailiwick::Action::\"a\" in Bailiwick::Action::\"b\"").actions);
    }
}
