//! The syntax tree that types are checked on: the parser's tree with whole ranges and without its generality.

mod lower;

use std::ops::Range;

use cel::parser::ParseErrors;

use crate::bounds::Bounds;
use crate::error::CompileError;
use crate::scan::{self, Token};

/// A node and the bytes of the source it spans.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syntax {
    pub range: Range<usize>,
    pub kind: SyntaxKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SyntaxKind {
    Constant(Constant),
    Name(String),
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
    Select { operand: Box<Syntax>, field: String, field_range: Range<usize> },
    Index { operand: Box<Syntax>, index: Box<Syntax> },
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    And(Box<Syntax>, Box<Syntax>),
    Or(Box<Syntax>, Box<Syntax>),
    Conditional(Box<[Syntax; 3]>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
    Call { name: String, name_range: Range<usize>, target: Option<Box<Syntax>>, arguments: Vec<Syntax> },
}

/// A scalar written in the source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
}

/// An operator with two operands that are both always evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    /// Returns the operator as it is written.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

/// Parses a source within bounds.
///
/// # Errors
/// The source is too long or too deep, or is no expression.
pub(crate) fn parse(source: &str, bounds: &Bounds) -> Result<Syntax, CompileError> {
    if source.len() > bounds.max_source_bytes {
        let message = format!("{} bytes long, {} are allowed", source.len(), bounds.max_source_bytes);
        return Err(CompileError::new(0..source.len(), message).help("split it over several steps"));
    }
    let tokens = scan::scan(source)?;
    if tokens.is_empty() {
        return Err(CompileError::new(0..source.len(), "the expression is empty"));
    }
    scan::check_depth(&tokens, bounds.nesting(), bounds.tree_depth())?;
    parse_tokens(source, &tokens, bounds)
}

fn parse_tokens(source: &str, tokens: &[Token], bounds: &Bounds) -> Result<Syntax, CompileError> {
    // Without the parser's own macros `has`, `all`, … stay calls: we give them types and bounds ourselves.
    let parser = cel::Env::default().with_optional_support(false).parser();
    let parsed = parser.max_recursion_depth(u16::MAX).parse_with_source_info(source);
    let (tree, positions) = parsed.map_err(|errors| syntax_error(source, tokens, &errors))?;
    lower::Lowering::new(source, tokens, &positions, bounds.tree_depth()).lower(&tree)
}

/// The parser's own messages speak of grammar rules; where they do, we say which token is wrong.
fn syntax_error(source: &str, tokens: &[Token], errors: &ParseErrors) -> CompileError {
    let Some(first) = errors.errors.first() else {
        return CompileError::new(0..source.len(), "the expression cannot be parsed");
    };
    let at = byte_offset(source, first.pos);
    let range = match tokens.iter().find(|token| token.end > at) {
        Some(token) => token.start..token.end,
        None => return CompileError::new(source.len()..source.len(), "the expression ends too early"),
    };
    let text = source.get(range.clone()).unwrap_or_default();
    match first.msg.as_str() {
        message if ["reserved identifier", "invalid", "unsupported"].iter().any(|m| message.starts_with(m)) => {
            let plain = message.split(':').next().unwrap_or(message);
            CompileError::new(range.clone(), format!("{plain}: `{text}`"))
        }
        _ if text == "=" => CompileError::new(range, "unexpected `=`").help("`==` compares"),
        _ => CompileError::new(range, format!("unexpected `{text}`")),
    }
}

/// Turns the parser's line and column, both from one, into a byte offset.
fn byte_offset(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let before: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(before..).unwrap_or_default();
    before + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
}
