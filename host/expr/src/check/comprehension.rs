//! `all`, `exists`, `exists_one`, `filter`, `map` and `has`.

use std::ops::Range;

use super::{Checked, Checker, Facts, Local, Path, Root};
use crate::error::CompileError;
use crate::node::{Comprehension, Node, NodeKind};
use crate::syntax::{Syntax, SyntaxKind};
use crate::types::Type;

impl Checker<'_> {
    /// `has(a.b)`: is the field there and not null? Nothing on the way to it needs a guard.
    pub(super) fn check_has(&mut self, range: &Range<usize>, arguments: &[Syntax]) -> Result<Checked, CompileError> {
        let selection = match arguments {
            [selection] if matches!(selection.kind, SyntaxKind::Select { .. } | SyntaxKind::Index { .. }) => selection,
            _ => {
                let error = CompileError::new(range.clone(), "`has` takes one field");
                return Err(error.help("write `has(object.field)`"));
            }
        };
        let checked = self.infer(selection, true)?;
        self.mention(&checked);
        let mut facts = Facts::default();
        if let Some(path) = &checked.path {
            facts.when_true = path.with_prefixes();
        }
        let NodeKind::Select { operand, field, .. } = checked.node.kind else {
            let error = CompileError::new(selection.range.clone(), "`has` takes a field, not an element of a list");
            return Err(error.help("compare with `size(…)`"));
        };
        Ok(Checked::new(range, NodeKind::Has { operand, field }, Type::Bool).with_facts(facts))
    }

    pub(super) fn check_comprehension(
        &mut self,
        range: &Range<usize>,
        kind: Comprehension,
        target: &Syntax,
        arguments: &[Syntax],
    ) -> Result<Checked, CompileError> {
        let (variable, filter, body) = match arguments {
            [variable, body] => (variable, None, body),
            [variable, filter, body] if kind == Comprehension::Map => (variable, Some(filter), body),
            _ => return Err(self.comprehension_usage(range, kind)),
        };
        let SyntaxKind::Name(name) = &variable.kind else {
            return Err(
                CompileError::new(variable.range.clone(), "the first argument names the element").help("write `list.filter(x, x > 1)`")
            );
        };
        let target = self.check(target)?;
        let element = self.element_type(&target)?;
        if self.locals.len() >= self.bounds.max_comprehension_nesting {
            let most = self.bounds.max_comprehension_nesting;
            let message = format!("comprehensions inside one another more than {most} deep");
            return Err(CompileError::new(range.clone(), message).help("split it over several steps"));
        }
        self.locals_made += 1;
        let number = self.locals_made;
        self.locals.push(Local { name: name.clone(), ty: element.clone(), number });
        let checked = self.check_bodies(kind, filter, body);
        self.locals.pop();
        let (filter, body) = checked?;
        let ty = match kind {
            Comprehension::All | Comprehension::Exists | Comprehension::ExistsOne => Type::Bool,
            Comprehension::Filter => Type::list(filtered(element, &body, number)),
            Comprehension::Map => Type::list(body.ty),
        };
        let (range_node, body) = (Box::new(target.node), Box::new(body.node));
        let node = NodeKind::Comprehension { kind, range: range_node, filter: filter.map(Box::new), body };
        Ok(Checked::new(range, node, ty))
    }

    fn check_bodies(
        &mut self,
        kind: Comprehension,
        filter: Option<&Syntax>,
        body: &Syntax,
    ) -> Result<(Option<Node>, Checked), CompileError> {
        match (kind, filter) {
            (Comprehension::Map, Some(filter)) => {
                let filter = self.check_condition(filter)?;
                let body = self.knowing(&filter.facts.when_true, |checker| checker.check(body))?;
                Ok((Some(filter.node), body))
            }
            (Comprehension::Map, None) => Ok((None, self.check(body)?)),
            _ => Ok((None, self.check_condition(body)?)),
        }
    }

    fn element_type(&self, target: &Checked) -> Result<Type, CompileError> {
        match &target.ty {
            Type::Any => Ok(Type::Any),
            Type::List(element) => Ok(element.as_ref().clone()),
            Type::Map(_) | Type::Object { .. } => Ok(Type::String),
            Type::Nullable(_) => Err(self.maybe_null(target)),
            other => {
                let message = format!("{} has no elements: it is {other}", self.quoted(&target.node.range));
                Err(CompileError::new(target.node.range.clone(), message))
            }
        }
    }

    fn comprehension_usage(&self, range: &Range<usize>, kind: Comprehension) -> CompileError {
        let (name, usage) = match kind {
            Comprehension::All => ("all", "list.all(x, condition)"),
            Comprehension::Exists => ("exists", "list.exists(x, condition)"),
            Comprehension::ExistsOne => ("exists_one", "list.exists_one(x, condition)"),
            Comprehension::Filter => ("filter", "list.filter(x, condition)"),
            Comprehension::Map => ("map", "list.map(x, value)"),
        };
        CompileError::new(range.clone(), format!("wrong number of arguments for `{name}`")).help(format!("write `{usage}`"))
    }
}

/// `list.filter(x, x != null)` has no null left.
fn filtered(element: Type, body: &Checked, number: usize) -> Type {
    let itself = Path::new(Root::Local(number));
    if body.facts.when_true.contains(&itself) { element.without_null() } else { element }
}
