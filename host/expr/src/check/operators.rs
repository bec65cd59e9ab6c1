//! The types of operators.

use std::ops::Range;

use super::{Checked, Checker, Facts};
use crate::error::CompileError;
use crate::node::NodeKind;
use crate::syntax::{Constant, Operator, Syntax, SyntaxKind};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn check_condition(&mut self, syntax: &Syntax) -> Result<Checked, CompileError> {
        let condition = self.check(syntax)?;
        self.expect(&condition, &Type::Bool, "a condition")?;
        Ok(condition)
    }

    pub(super) fn check_logic(&mut self, range: &Range<usize>, left: &Syntax, right: &Syntax, and: bool) -> Result<Checked, CompileError> {
        let left = self.check_condition(left)?;
        let reached = if and { &left.facts.when_true } else { &left.facts.when_false };
        let right = self.knowing(reached, |checker| checker.check_condition(right))?;
        let (left_node, right_node) = (Box::new(left.node), Box::new(right.node));
        let (kind, facts) = match and {
            true => (NodeKind::And(left_node, right_node), left.facts.and(right.facts)),
            false => (NodeKind::Or(left_node, right_node), left.facts.or(right.facts)),
        };
        Ok(Checked::new(range, kind, Type::Bool).with_facts(facts))
    }

    pub(super) fn check_conditional(&mut self, range: &Range<usize>, parts: &[Syntax; 3]) -> Result<Checked, CompileError> {
        let [condition, then, otherwise] = parts;
        let condition = self.check_condition(condition)?;
        let then = self.knowing(&condition.facts.when_true, |checker| checker.check(then))?;
        let otherwise = self.knowing(&condition.facts.when_false, |checker| checker.check(otherwise))?;
        let ty = then.ty.join(otherwise.ty);
        let kind = NodeKind::Conditional(Box::new([condition.node, then.node, otherwise.node]));
        Ok(Checked::new(range, kind, ty))
    }

    pub(super) fn check_negation(&mut self, range: &Range<usize>, operand: &Syntax) -> Result<Checked, CompileError> {
        let operand = self.check(operand)?;
        match &operand.ty {
            Type::Any | Type::Int | Type::Double | Type::Duration => {}
            Type::Nullable(_) => return Err(self.maybe_null(&operand)),
            other => return Err(CompileError::new(range.clone(), format!("`-` needs a number, found {other}"))),
        }
        let ty = operand.ty.clone();
        Ok(Checked::new(range, NodeKind::Negate(Box::new(operand.node)), ty))
    }

    pub(super) fn check_binary(
        &mut self,
        range: &Range<usize>,
        operator: Operator,
        left: &Syntax,
        right: &Syntax,
    ) -> Result<Checked, CompileError> {
        let (left_syntax, right_syntax) = (left, right);
        let (left, right) = (self.check(left)?, self.check(right)?);
        let mut facts = Facts::default();
        let ty = match operator {
            Operator::Equal | Operator::NotEqual => {
                facts = equality_facts(&left, &right);
                if operator == Operator::NotEqual {
                    facts = facts.not();
                }
                comparable(&left.ty, &right.ty).then_some(Type::Bool)
            }
            Operator::In => self.membership(range, &left, &right)?,
            _ => {
                if let Some(null) = [&left, &right].into_iter().find(|side| matches!(side.ty, Type::Nullable(_))) {
                    return Err(self.maybe_null(null));
                }
                match operator {
                    Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                        ordered(&left.ty, &right.ty).then_some(Type::Bool)
                    }
                    _ => arithmetic(operator, &left.ty, &right.ty),
                }
            }
        };
        let Some(ty) = ty else {
            let message = format!("`{}` cannot take {} and {}", operator.sign(), left.ty, right.ty);
            let error = CompileError::new(range.clone(), message);
            return Err(error.maybe_help(operand_help(left_syntax, &left.ty, right_syntax, &right.ty, self)));
        };
        let kind = NodeKind::Binary(operator, Box::new(left.node), Box::new(right.node));
        Ok(Checked::new(range, kind, ty).with_facts(facts))
    }

    fn membership(&self, range: &Range<usize>, item: &Checked, container: &Checked) -> Result<Option<Type>, CompileError> {
        let fits = match &container.ty {
            Type::Any => true,
            Type::List(element) => comparable(&item.ty, element),
            Type::Map(_) | Type::Object { .. } => Type::String.accepts(&item.ty),
            Type::Nullable(_) => return Err(self.maybe_null(container)),
            Type::String => {
                let error = CompileError::new(range.clone(), "`in` looks into lists and objects, not into text");
                let (text, part) = (self.text(&container.node.range), self.text(&item.node.range));
                return Err(error.help(format!("write `{text}.contains({part})`")));
            }
            _ => false,
        };
        Ok(fits.then_some(Type::Bool))
    }
}

/// What `==` says: a path equal to something that is never null is not null, one unequal to null is not either.
fn equality_facts(left: &Checked, right: &Checked) -> Facts {
    let mut facts = Facts::default();
    for (side, other) in [(left, &right.ty), (right, &left.ty)] {
        let Some(path) = &side.path else { continue };
        match other {
            Type::Null => facts.when_false.insert(path.clone()),
            Type::Any | Type::Nullable(_) => continue,
            _ => facts.when_true.insert(path.clone()),
        };
    }
    facts
}

/// Returns true where two values can be asked for equality with any hope of an answer.
fn comparable(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) => true,
        (Type::Nullable(a), b) | (b, Type::Nullable(a)) => comparable(a, b),
        (Type::Int | Type::Double, Type::Int | Type::Double) => true,
        (Type::List(a), Type::List(b)) => comparable(a, b),
        (Type::Object { .. } | Type::Map(_), Type::Object { .. } | Type::Map(_)) => true,
        (a, b) => a == b,
    }
}

fn ordered(a: &Type, b: &Type) -> bool {
    let has_order = |ty: &Type| matches!(ty, Type::Any | Type::Int | Type::Double | Type::String | Type::Timestamp | Type::Duration);
    has_order(a) && has_order(b) && comparable(a, b)
}

/// Returns the type of the result, or `None` where the operator does not take these operands.
fn arithmetic(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    use Operator::{Add, Remainder, Subtract};
    Some(match (operator, left, right) {
        (_, Type::Any, Type::Any) => Type::Any,
        // Only time mixes types, so one known number, text or list says what the other must be.
        (Add, Type::Any, Type::List(_)) | (Add, Type::List(_), Type::Any) => Type::list(Type::Any),
        (Add, Type::Any, Type::String) | (Add, Type::String, Type::Any) => Type::String,
        (_, Type::Any, Type::Int) | (_, Type::Int, Type::Any) => Type::Int,
        (Remainder, _, _) => match (left, right) {
            (Type::Int, Type::Int) => Type::Int,
            _ => return None,
        },
        (_, Type::Any, Type::Double) | (_, Type::Double, Type::Any) => Type::Double,
        (Add | Subtract, Type::Any, Type::Timestamp | Type::Duration) => Type::Any,
        (Add | Subtract, Type::Timestamp | Type::Duration, Type::Any) => Type::Any,
        (_, Type::Int, Type::Int) => Type::Int,
        (_, Type::Double, Type::Double) => Type::Double,
        (Add, Type::String, Type::String) => Type::String,
        (Add, Type::List(a), Type::List(b)) => Type::list(a.as_ref().clone().join(b.as_ref().clone())),
        (Add | Subtract, Type::Duration, Type::Duration) => Type::Duration,
        (Add | Subtract, Type::Timestamp, Type::Duration) | (Add, Type::Duration, Type::Timestamp) => Type::Timestamp,
        (Subtract, Type::Timestamp, Type::Timestamp) => Type::Duration,
        _ => return None,
    })
}

fn operand_help(left: &Syntax, a: &Type, right: &Syntax, b: &Type, checker: &Checker<'_>) -> Option<String> {
    match (a, b) {
        (Type::Int, Type::Double) => Some(to_double(left, checker)),
        (Type::Double, Type::Int) => Some(to_double(right, checker)),
        (Type::String, Type::Int | Type::Double | Type::Bool) => Some(format!("write `string({})`", checker.text(&right.range))),
        (Type::Int | Type::Double | Type::Bool, Type::String) => Some(format!("write `string({})`", checker.text(&left.range))),
        (Type::Timestamp, Type::String) => Some(format!("write `timestamp({})`", checker.text(&right.range))),
        (Type::String, Type::Timestamp) => Some(format!("write `timestamp({})`", checker.text(&left.range))),
        _ => None,
    }
}

fn to_double(syntax: &Syntax, checker: &Checker<'_>) -> String {
    match &syntax.kind {
        SyntaxKind::Constant(Constant::Int(number)) => format!("write `{number}.0`"),
        _ => format!("write `double({})`", checker.text(&syntax.range)),
    }
}
