//! From the parser's tree to ours.

use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators};

use super::{Constant, Operator, Syntax, SyntaxKind};
use crate::error::CompileError;
use crate::scan::Token;

pub(super) struct Lowering<'s> {
    source: &'s str,
    tokens: &'s [Token],
    positions: &'s SourceInfo,
    depth_left: usize,
}

impl<'s> Lowering<'s> {
    pub(super) fn new(source: &'s str, tokens: &'s [Token], positions: &'s SourceInfo, depth: usize) -> Self {
        Self { source, tokens, positions, depth_left: depth }
    }

    pub(super) fn lower(&mut self, expr: &IdedExpr) -> Result<Syntax, CompileError> {
        let token = self.token(expr.id);
        if self.depth_left == 0 {
            return Err(CompileError::new(token, "the expression is nested too deep"));
        }
        self.depth_left -= 1;
        let syntax = self.lower_kind(expr, token);
        self.depth_left += 1;
        syntax
    }

    fn lower_kind(&mut self, expr: &IdedExpr, token: Range<usize>) -> Result<Syntax, CompileError> {
        match &expr.expr {
            Expr::Literal(value) => {
                let kind = SyntaxKind::Constant(constant(value, &token)?);
                Ok(Syntax { range: token, kind })
            }
            Expr::Ident(name) => Ok(Syntax { range: token, kind: SyntaxKind::Name(name.clone()) }),
            Expr::List(list) => {
                let items = self.lower_all(&list.elements)?;
                Ok(Syntax { range: token.start..self.mate_end(&token), kind: SyntaxKind::List(items) })
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(CompileError::new(token, "messages are not supported"));
                    };
                    entries.push((self.lower(&entry.key)?, self.lower(&entry.value)?));
                }
                Ok(Syntax { range: token.start..self.mate_end(&token), kind: SyntaxKind::Map(entries) })
            }
            Expr::Select(select) => {
                let operand = self.lower(&select.operand)?;
                let field_range = self.after(&token);
                let range = operand.range.start..field_range.end;
                let field = select.field.clone();
                let kind = SyntaxKind::Select { operand: Box::new(operand), field, field_range };
                Ok(Syntax { range, kind })
            }
            Expr::Call(call) => self.lower_call(call, token),
            Expr::Struct(_) => {
                let error = CompileError::new(token, "messages are not supported");
                Err(error.help("write an object: `{\"key\": value}`"))
            }
            Expr::Comprehension(_) | Expr::Unspecified => Err(CompileError::new(token, "this is no expression")),
        }
    }

    fn lower_call(&mut self, call: &CallExpr, token: Range<usize>) -> Result<Syntax, CompileError> {
        if call.target.is_none()
            && let Some(operator) = self.lower_operator(call, &token)?
        {
            return Ok(operator);
        }
        let target = match &call.target {
            Some(target) => Some(Box::new(self.lower(target)?)),
            None => None,
        };
        let arguments = self.lower_all(&call.args)?;
        let name_range = self.before(&token);
        let start = target.as_ref().map_or(name_range.start, |target| target.range.start);
        let range = start..self.mate_end(&token);
        let name = call.func_name.clone();
        Ok(Syntax { range, kind: SyntaxKind::Call { name, name_range, target, arguments } })
    }

    /// Operators arrive as calls of functions whose names nobody can write.
    fn lower_operator(&mut self, call: &CallExpr, token: &Range<usize>) -> Result<Option<Syntax>, CompileError> {
        let name = call.func_name.as_str();
        let syntax = match call.args.as_slice() {
            [operand] if name == operators::LOGICAL_NOT || name == operators::NEGATE => {
                let operand = Box::new(self.lower(operand)?);
                let range = token.start..operand.range.end;
                let not = name == operators::LOGICAL_NOT;
                Syntax { range, kind: if not { SyntaxKind::Not(operand) } else { SyntaxKind::Negate(operand) } }
            }
            [left, right] => {
                let Some(build) = binary(name) else { return Ok(None) };
                let (left, right) = (Box::new(self.lower(left)?), Box::new(self.lower(right)?));
                let end = if name == operators::INDEX { self.mate_end(token) } else { right.range.end };
                Syntax { range: left.range.start..end, kind: build(left, right) }
            }
            [condition, then, otherwise] if name == operators::CONDITIONAL => {
                let parts = [self.lower(condition)?, self.lower(then)?, self.lower(otherwise)?];
                let [first, _, last] = &parts;
                let range = first.range.start..last.range.end;
                Syntax { range, kind: SyntaxKind::Conditional(Box::new(parts)) }
            }
            _ => return Ok(None),
        };
        Ok(Some(syntax))
    }

    fn lower_all(&mut self, expressions: &[IdedExpr]) -> Result<Vec<Syntax>, CompileError> {
        expressions.iter().map(|expression| self.lower(expression)).collect()
    }

    /// The token that the parser remembers for a node.
    fn token(&self, id: u64) -> Range<usize> {
        let Some((start, last)) = self.positions.offset_for(id) else { return 0..self.source.len() };
        let (start, end) = (start as usize, last as usize + 1);
        if start <= end && end <= self.source.len() { start..end } else { 0..self.source.len() }
    }

    fn index_of(&self, token: &Range<usize>) -> Option<usize> {
        self.tokens.binary_search_by_key(&token.start, |candidate| candidate.start).ok()
    }

    fn neighbour(&self, token: &Range<usize>, index: Option<usize>) -> Range<usize> {
        index.and_then(|index| self.tokens.get(index)).map_or_else(|| token.clone(), |t| t.start..t.end)
    }

    fn before(&self, token: &Range<usize>) -> Range<usize> {
        self.neighbour(token, self.index_of(token).and_then(|index| index.checked_sub(1)))
    }

    fn after(&self, token: &Range<usize>) -> Range<usize> {
        self.neighbour(token, self.index_of(token).map(|index| index + 1))
    }

    /// Where the partner of an opening bracket ends.
    fn mate_end(&self, token: &Range<usize>) -> usize {
        let mate = self.index_of(token).and_then(|index| self.tokens.get(index)).map(|open| open.mate);
        self.neighbour(token, mate).end
    }
}

type Build = fn(Box<Syntax>, Box<Syntax>) -> SyntaxKind;

fn binary(name: &str) -> Option<Build> {
    macro_rules! operator {
        ($operator:ident) => {
            |left, right| SyntaxKind::Binary(Operator::$operator, left, right)
        };
    }
    Some(match name {
        operators::INDEX => |operand, index| SyntaxKind::Index { operand, index },
        operators::LOGICAL_AND => SyntaxKind::And,
        operators::LOGICAL_OR => SyntaxKind::Or,
        operators::ADD => operator!(Add),
        operators::SUBSTRACT => operator!(Subtract),
        operators::MULTIPLY => operator!(Multiply),
        operators::DIVIDE => operator!(Divide),
        operators::MODULO => operator!(Remainder),
        operators::EQUALS => operator!(Equal),
        operators::NOT_EQUALS => operator!(NotEqual),
        operators::LESS => operator!(Less),
        operators::LESS_EQUALS => operator!(LessOrEqual),
        operators::GREATER => operator!(Greater),
        operators::GREATER_EQUALS => operator!(GreaterOrEqual),
        operators::IN => operator!(In),
        _ => return None,
    })
}

fn constant(value: &LiteralValue, range: &Range<usize>) -> Result<Constant, CompileError> {
    Ok(match value {
        LiteralValue::Null => Constant::Null,
        LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
        LiteralValue::Int(value) => Constant::Int(*value.inner()),
        LiteralValue::Double(value) => Constant::Double(*value.inner()),
        LiteralValue::String(value) => Constant::Text(value.inner().to_owned()),
        LiteralValue::UInt(value) => {
            let error = CompileError::new(range.clone(), "unsigned integers are not supported");
            return Err(error.help(format!("write `{}`", value.inner())));
        }
        LiteralValue::Bytes(_) => return Err(CompileError::new(range.clone(), "bytes are not supported")),
    })
}
