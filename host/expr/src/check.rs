//! Types, names and costs, before anything runs.

mod calls;
mod comprehension;
mod facts;
mod operators;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::bounds::Bounds;
use crate::error::CompileError;
use crate::node::{Absent, Node, NodeKind, NumberKind};
use crate::program::Mention;
use crate::suggest;
use crate::syntax::{Constant, Syntax, SyntaxKind};
use crate::types::{Env, Field, Type};
use facts::{Facts, Path, Root};

/// Checks a syntax tree.
///
/// # Errors
/// The first mistake, in the order in which the source is read.
pub(crate) fn check(source: &str, syntax: &Syntax, env: &Env, bounds: &Bounds) -> Result<(Node, Type, Vec<Mention>), CompileError> {
    let mut checker =
        Checker { source, env, bounds, locals: Vec::new(), locals_made: 0, known: BTreeSet::new(), mentions: BTreeSet::new() };
    let checked = checker.check(syntax)?;
    Ok((checked.node, checked.ty, checker.mentions.into_iter().collect()))
}

struct Checker<'e> {
    source: &'e str,
    env: &'e Env,
    bounds: &'e Bounds,
    locals: Vec<Local>,
    locals_made: usize,
    /// The paths that are not null here.
    known: BTreeSet<Path>,
    mentions: BTreeSet<Mention>,
}

/// A variable bound by a comprehension.
struct Local {
    name: String,
    ty: Type,
    number: usize,
}

/// A checked part of the expression.
struct Checked {
    node: Node,
    ty: Type,
    facts: Facts,
    path: Option<Path>,
}

impl Checked {
    fn new(range: &Range<usize>, kind: NodeKind, ty: Type) -> Self {
        let node = Node { range: range.clone(), kind, number: number_kind(&ty) };
        Self { node, ty, facts: Facts::default(), path: None }
    }

    fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = facts;
        self
    }
}

fn number_kind(ty: &Type) -> NumberKind {
    match ty {
        Type::Int => NumberKind::Int,
        Type::Double => NumberKind::Double,
        Type::Nullable(inner) => number_kind(inner),
        _ => NumberKind::AsIs,
    }
}

impl Checker<'_> {
    /// Checks a part whose value is used, and notes what it mentions.
    fn check(&mut self, syntax: &Syntax) -> Result<Checked, CompileError> {
        let checked = self.infer(syntax, false)?;
        self.mention(&checked);
        Ok(checked)
    }

    fn mention(&mut self, checked: &Checked) {
        if let Some(Path { root: Root::Variable(name), fields }) = &checked.path {
            self.mentions.insert(Mention { root: name.clone(), path: fields.clone() });
        }
    }

    /// Checks a part without noting its own path as mentioned: a longer path may go through it. Inside `has`,
    /// `lenient` lets null operands pass.
    fn infer(&mut self, syntax: &Syntax, lenient: bool) -> Result<Checked, CompileError> {
        let range = &syntax.range;
        match &syntax.kind {
            SyntaxKind::Constant(constant) => Ok(check_constant(range, constant)),
            SyntaxKind::Name(name) => self.check_name(range, name),
            SyntaxKind::List(items) => self.check_list(range, items),
            SyntaxKind::Map(entries) => self.check_map(range, entries),
            SyntaxKind::Select { operand, field, field_range } => {
                let operand_checked = self.infer(operand, lenient)?;
                self.select(syntax, operand_checked, field, field_range, lenient)
            }
            SyntaxKind::Index { operand, index } => self.check_index(syntax, operand, index, lenient),
            SyntaxKind::Not(operand) => {
                let operand = self.check_condition(operand)?;
                let facts = operand.facts.not();
                Ok(Checked::new(range, NodeKind::Not(Box::new(operand.node)), Type::Bool).with_facts(facts))
            }
            SyntaxKind::Negate(operand) => self.check_negation(range, operand),
            SyntaxKind::And(left, right) => self.check_logic(range, left, right, true),
            SyntaxKind::Or(left, right) => self.check_logic(range, left, right, false),
            SyntaxKind::Conditional(parts) => self.check_conditional(range, parts),
            SyntaxKind::Binary(operator, left, right) => self.check_binary(range, *operator, left, right),
            SyntaxKind::Call { .. } => self.check_call(syntax),
        }
    }

    fn check_name(&mut self, range: &Range<usize>, name: &str) -> Result<Checked, CompileError> {
        let local = self.locals.iter().enumerate().rfind(|(_, local)| local.name == name);
        let (kind, ty, root) = match local {
            Some((place, local)) => (NodeKind::Local(place), local.ty.clone(), Root::Local(local.number)),
            None => match self.env.get(name) {
                Some(ty) => (NodeKind::Variable(name.to_owned()), ty.clone(), Root::Variable(name.to_owned())),
                None => {
                    let names = self.locals.iter().map(|local| local.name.as_str()).chain(self.env.names());
                    let error = CompileError::new(range.clone(), format!("unknown variable `{name}`"));
                    return Err(error.maybe_help(suggest::help(name, names)));
                }
            },
        };
        Ok(self.narrowed(Checked::new(range, kind, ty), Path::new(root)))
    }

    /// Gives a part its path, and takes null from its type where it is known not to be.
    fn narrowed(&self, mut checked: Checked, path: Path) -> Checked {
        if self.known.contains(&path) {
            checked.ty = checked.ty.without_null();
        }
        checked.path = Some(path);
        checked
    }

    fn select(
        &mut self,
        syntax: &Syntax,
        operand: Checked,
        field: &str,
        field_range: &Range<usize>,
        lenient: bool,
    ) -> Result<Checked, CompileError> {
        let from_null = matches!(operand.ty, Type::Nullable(_) | Type::Null);
        let object = match &operand.ty {
            Type::Nullable(inner) if lenient => inner.as_ref(),
            Type::Null if lenient => &Type::Any,
            Type::Nullable(_) | Type::Null => return Err(self.unguarded(syntax, &operand)),
            other => other,
        };
        let (mut ty, mut absent) = match object {
            Type::Any => (Type::Any, Absent::Fault),
            Type::Map(value) => (value.as_ref().clone(), Absent::Fault),
            Type::Object { fields, open } => match fields.get(field) {
                Some(Field { ty, required: true }) => (ty.clone(), Absent::Fault),
                Some(Field { ty, required: false }) => (ty.clone().nullable(), Absent::Null),
                None if *open => (Type::Any, Absent::Fault),
                None => {
                    let error = CompileError::new(field_range.clone(), format!("unknown field `{field}`"));
                    return Err(error.maybe_help(suggest::help(field, fields.keys().map(String::as_str))));
                }
            },
            other => {
                let message = format!("{} has no field `{field}`: it is {other}", self.quoted(&operand.node.range));
                return Err(CompileError::new(field_range.clone(), message).maybe_help(method_help(field)));
            }
        };
        if lenient {
            absent = Absent::NullThroughout;
            if from_null || matches!(object, Type::Map(_)) {
                ty = ty.nullable();
            }
        }
        let kind = NodeKind::Select { operand: Box::new(operand.node), field: field.to_owned(), absent };
        let checked = Checked::new(&syntax.range, kind, ty);
        Ok(match operand.path {
            Some(path) => self.narrowed(checked, path.field(field)),
            None => checked,
        })
    }

    fn check_index(&mut self, syntax: &Syntax, operand: &Syntax, index: &Syntax, lenient: bool) -> Result<Checked, CompileError> {
        let operand = self.infer(operand, lenient)?;
        // `steps["live-search"]` is `steps.live-search` for a name that is no identifier. Lists keep their own error.
        if let SyntaxKind::Constant(Constant::Text(field)) = &index.kind
            && !matches!(operand.ty, Type::List(_))
        {
            return self.select(syntax, operand, field, &index.range, lenient);
        }
        self.mention(&operand);
        let index = self.check(index)?;
        let (ty, wanted) = match &operand.ty {
            Type::Any => (Type::Any, &Type::Any),
            Type::List(element) => (element.as_ref().clone(), &Type::Int),
            Type::Map(value) => (value.as_ref().clone(), &Type::String),
            Type::Object { .. } => (Type::Any, &Type::String),
            Type::Nullable(_) | Type::Null => return Err(self.unguarded(syntax, &operand)),
            other => {
                let message = format!("{} cannot be indexed: it is {other}", self.quoted(&operand.node.range));
                return Err(CompileError::new(syntax.range.clone(), message));
            }
        };
        self.expect(&index, wanted, "the index")?;
        let kind = NodeKind::Index { operand: Box::new(operand.node), index: Box::new(index.node) };
        Ok(Checked::new(&syntax.range, kind, ty))
    }

    fn check_list(&mut self, range: &Range<usize>, items: &[Syntax]) -> Result<Checked, CompileError> {
        let mut nodes = Vec::with_capacity(items.len());
        let mut element: Option<Type> = None;
        for item in items {
            let item = self.check(item)?;
            element = Some(match element {
                Some(so_far) => so_far.join(item.ty),
                None => item.ty,
            });
            nodes.push(item.node);
        }
        Ok(Checked::new(range, NodeKind::List(nodes), Type::list(element.unwrap_or_default())))
    }

    fn check_map(&mut self, range: &Range<usize>, entries: &[(Syntax, Syntax)]) -> Result<Checked, CompileError> {
        let mut nodes = Vec::with_capacity(entries.len());
        let mut fields = std::collections::BTreeMap::new();
        let mut joined: Option<Type> = None;
        for (key, value) in entries {
            let checked_key = self.check(key)?;
            self.expect(&checked_key, &Type::String, "a key")?;
            let value = self.check(value)?;
            if let SyntaxKind::Constant(Constant::Text(name)) = &key.kind
                && fields.insert(name.clone(), Field::required(value.ty.clone())).is_some()
            {
                return Err(CompileError::new(key.range.clone(), format!("the key `{name}` occurs twice")));
            }
            joined = Some(match joined {
                Some(so_far) => so_far.join(value.ty),
                None => value.ty,
            });
            nodes.push((checked_key.node, value.node));
        }
        // One key that is not written out makes all field names unknown.
        let ty = match fields.len() == entries.len() {
            true => Type::Object { fields, open: false },
            false => Type::map(joined.unwrap_or_default()),
        };
        Ok(Checked::new(range, NodeKind::Map(nodes), ty))
    }

    /// Runs a check where more paths are known not to be null.
    fn knowing<T>(&mut self, more: &BTreeSet<Path>, check: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.known.clone();
        self.known.extend(more.iter().cloned());
        let result = check(self);
        self.known = before;
        result
    }

    /// Refuses a part whose type does not fit; null has its own message.
    fn expect(&self, checked: &Checked, wanted: &Type, what: &str) -> Result<(), CompileError> {
        if wanted.accepts(&checked.ty) && !matches!((wanted, &checked.ty), (Type::String, Type::Duration | Type::Timestamp)) {
            return Ok(());
        }
        if matches!(checked.ty, Type::Nullable(_)) {
            return Err(self.maybe_null(checked));
        }
        let message = format!("{what} must be {wanted}, found {}", checked.ty);
        Err(CompileError::new(checked.node.range.clone(), message))
    }

    fn maybe_null(&self, checked: &Checked) -> CompileError {
        let text = self.quoted(&checked.node.range);
        let error = CompileError::new(checked.node.range.clone(), format!("{text} may be null"));
        let plain = self.text(&checked.node.range);
        error.help(format!("guard it: `{plain} != null ? … : …` or `{plain} != null && …`"))
    }

    fn unguarded(&self, syntax: &Syntax, operand: &Checked) -> CompileError {
        let (object, whole) = (self.text(&operand.node.range), self.text(&syntax.range));
        let may_be = if operand.ty == Type::Null { "is" } else { "may be" };
        let error = CompileError::new(operand.node.range.clone(), format!("`{object}` {may_be} null"));
        error.help(format!("guard it: `{object} != null ? {whole} : …`"))
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.source.get(range.clone()).unwrap_or_default()
    }

    fn quoted(&self, range: &Range<usize>) -> String {
        format!("`{}`", self.text(range))
    }
}

fn check_constant(range: &Range<usize>, constant: &Constant) -> Checked {
    let ty = match constant {
        Constant::Null => Type::Null,
        Constant::Bool(_) => Type::Bool,
        Constant::Int(_) => Type::Int,
        Constant::Double(_) => Type::Double,
        Constant::Text(_) => Type::String,
    };
    Checked::new(range, NodeKind::Constant(constant.clone()), ty)
}

/// People of other languages write `list.length` and `list.size`.
fn method_help(field: &str) -> Option<String> {
    matches!(field, "length" | "size" | "count" | "len").then(|| "its size is `size(…)`".to_owned())
}

#[cfg(test)]
mod tests;
