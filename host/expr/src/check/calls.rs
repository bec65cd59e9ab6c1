//! The types of functions.

use std::ops::Range;

use regex::RegexBuilder;

use super::{Checked, Checker};
use crate::error::CompileError;
use crate::node::{Comprehension, Function, Node, NodeKind, Pattern};
use crate::suggest;
use crate::syntax::{Constant, Syntax, SyntaxKind};
use crate::time;
use crate::types::Type;

/// Memory that one compiled pattern may take, tried from the least to the most: which of them suffices says how dear a
/// byte of text is to the pattern in the worst case. Classes such as `\w` take most: they know every alphabet.
const PATTERN_BYTES: [usize; 7] = [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20];
/// Groups inside groups of a pattern.
const PATTERN_NESTING: u32 = 32;

impl Checker<'_> {
    pub(super) fn check_call(&mut self, syntax: &Syntax) -> Result<Checked, CompileError> {
        let SyntaxKind::Call { name, name_range, target, arguments } = &syntax.kind else {
            return Err(CompileError::new(syntax.range.clone(), "this is no call"));
        };
        if name == "has" && target.is_none() {
            return self.check_has(&syntax.range, arguments);
        }
        if let (Some(kind), Some(target)) = (Comprehension::named(name), target) {
            return self.check_comprehension(&syntax.range, kind, target, arguments);
        }
        let Some(function) = Function::named(name) else {
            let names = Function::ALL.into_iter().map(Function::name).chain(Comprehension::NAMES).chain(["has"]);
            let error = CompileError::new(name_range.clone(), format!("unknown function `{name}`"));
            let near = suggest::nearest(name, names).map(|near| format!("did you mean `{near}`?"));
            return Err(error.maybe_help(near));
        };
        let (as_method, as_function) = function.styles();
        let given = arguments.len() + usize::from(target.is_some());
        let (least, most) = function.arity();
        let style = if target.is_some() { as_method } else { as_function };
        if !style || given < least || given > most {
            let message = match style {
                true => format!("wrong number of arguments for `{name}`"),
                false => format!("`{name}` is not called like this"),
            };
            let error = CompileError::new(syntax.range.clone(), message);
            return Err(error.help(format!("write `{}`", function.usage())));
        }
        let parts: Vec<&Syntax> = target.iter().map(Box::as_ref).chain(arguments).collect();
        let mut checked = Vec::with_capacity(parts.len());
        for part in &parts {
            let part = self.check(part)?;
            if matches!(part.ty, Type::Nullable(_)) {
                return Err(self.maybe_null(&part));
            }
            checked.push(part);
        }
        self.check_literals(function, &parts)?;
        let ty = self.result_type(function, &checked, &syntax.range)?;
        let nodes: Vec<Node> = checked.into_iter().map(|part| part.node).collect();
        match function {
            Function::Matches => check_pattern(&syntax.range, nodes, &parts),
            function => Ok(Checked::new(&syntax.range, NodeKind::Call(function, nodes), ty)),
        }
    }

    fn result_type(&self, function: Function, arguments: &[Checked], range: &Range<usize>) -> Result<Type, CompileError> {
        let name = function.name();
        let takes = |allowed: fn(&Type) -> bool, what: &str| match arguments
            .iter()
            .find(|argument| argument.ty != Type::Any && !allowed(&argument.ty))
        {
            None => Ok(()),
            Some(wrong) => {
                let message = format!("`{name}` takes {what}, found {}", wrong.ty);
                Err(CompileError::new(wrong.node.range.clone(), message))
            }
        };
        let text = |ty: &Type| matches!(ty, Type::String);
        match function {
            Function::Size => {
                let sized = |ty: &Type| matches!(ty, Type::String | Type::List(_) | Type::Map(_) | Type::Object { .. });
                takes(sized, "text, a list or an object").map(|()| Type::Int)
            }
            Function::Contains | Function::StartsWith | Function::EndsWith | Function::Matches => takes(text, "text").map(|()| Type::Bool),
            Function::LowerAscii | Function::UpperAscii | Function::Trim => takes(text, "text").map(|()| Type::String),
            Function::Join => self.check_join(arguments).map(|()| Type::String),
            Function::Text => {
                let scalar = |ty: &Type| !matches!(ty, Type::Null | Type::List(_) | Type::Map(_) | Type::Object { .. });
                takes(scalar, "a number, a boolean, a time or text").map(|()| Type::String)
            }
            Function::Int => {
                let number = |ty: &Type| matches!(ty, Type::Int | Type::Double | Type::String | Type::Timestamp);
                takes(number, "a number, text or a timestamp").map(|()| Type::Int)
            }
            Function::Double => {
                let number = |ty: &Type| matches!(ty, Type::Int | Type::Double | Type::String);
                takes(number, "a number or text").map(|()| Type::Double)
            }
            Function::Duration => takes(|ty| matches!(ty, Type::String | Type::Duration), "text").map(|()| Type::Duration),
            Function::Timestamp => takes(|ty| matches!(ty, Type::String | Type::Timestamp), "text").map(|()| Type::Timestamp),
            Function::DaysBetween => takes(text, "two dates as text").map(|()| Type::Int),
            Function::Min | Function::Max => {
                let number = |ty: &Type| matches!(ty, Type::Int | Type::Double);
                takes(number, "numbers")?;
                let joined = arguments.iter().map(|argument| argument.ty.clone()).reduce(Type::join);
                joined.ok_or_else(|| CompileError::new(range.clone(), format!("`{name}` takes numbers")))
            }
        }
    }

    fn check_join(&self, arguments: &[Checked]) -> Result<(), CompileError> {
        let wanted = [Type::list(Type::String), Type::String];
        for (argument, wanted) in arguments.iter().zip(&wanted) {
            self.expect(argument, wanted, if *wanted == Type::String { "the separator" } else { "what `join` joins" })?;
        }
        Ok(())
    }

    /// A date or a span that is written out can be checked now.
    fn check_literals(&self, function: Function, parts: &[&Syntax]) -> Result<(), CompileError> {
        for part in parts {
            let SyntaxKind::Constant(Constant::Text(text)) = &part.kind else { continue };
            let problem = match function {
                Function::Duration => time::duration(text).err(),
                Function::Timestamp => time::timestamp(text).err(),
                Function::DaysBetween => time::calendar_date(text).err(),
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(CompileError::new(part.range.clone(), problem.to_string()));
            }
        }
        Ok(())
    }
}

/// Patterns are compiled here, once, so they must be written out; compiling is what makes their size bounded.
fn check_pattern(range: &Range<usize>, nodes: Vec<Node>, parts: &[&Syntax]) -> Result<Checked, CompileError> {
    let (Some(text), [_, pattern]) = (nodes.into_iter().next(), parts) else {
        return Err(CompileError::new(range.clone(), "`matches` takes text and a pattern"));
    };
    let SyntaxKind::Constant(Constant::Text(source)) = &pattern.kind else {
        let error = CompileError::new(pattern.range.clone(), "the pattern of `matches` must be written out");
        return Err(error.help("write `text.matches(\"pattern\")`"));
    };
    match compile_pattern(source) {
        Ok(pattern) => Ok(Checked::new(range, NodeKind::Matches(Box::new(text), pattern), Type::Bool)),
        Err(regex::Error::CompiledTooBig(_)) => Err(CompileError::new(pattern.range.clone(), "this pattern is too large")
            .help(r"repeat less, since `{1,1000}` copies what it repeats, or name the characters: `\w` knows every alphabet")),
        Err(problem) => {
            let reason = problem.to_string();
            let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(CompileError::new(pattern.range.clone(), format!("this is no pattern: {last}")))
        }
    }
}

fn compile_pattern(source: &str) -> Result<Pattern, regex::Error> {
    let mut refusal = regex::Error::CompiledTooBig(0);
    for bytes in PATTERN_BYTES {
        let mut builder = RegexBuilder::new(source);
        match builder.size_limit(bytes).dfa_size_limit(bytes).nest_limit(PATTERN_NESTING).build() {
            Ok(regex) => return Ok(Pattern { regex, bytes }),
            Err(error @ regex::Error::CompiledTooBig(_)) => refusal = error,
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}
