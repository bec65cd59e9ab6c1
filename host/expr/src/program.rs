//! Compiled expressions.

use std::sync::Arc;

use serde_json::Value;

use crate::bounds::Bounds;
use crate::error::{CompileError, EvalError};
use crate::eval::{self, Variables};
use crate::node::Node;
use crate::types::{Env, Type};
use crate::{check, syntax};

/// A variable that an expression reads, and the fields it reads of it.
///
/// The path goes as far as it is written out: `steps.NAME.status` is root `steps` and path `["NAME", "status"]`;
/// `orders[0].id` and `orders.map(o, o.id)` are `orders` alone. `has(a.b)` reads `a.b`. Variables bound by a
/// comprehension are no mention.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mention {
    /// The variable.
    pub root: String,
    /// The fields, outermost first.
    pub path: Vec<String>,
}

/// An expression that was checked against the types of its variables and is ready to run.
///
/// Cloning shares it. Running it neither parses nor compiles anything.
#[derive(Debug, Clone)]
pub struct Program(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    source: String,
    node: Node,
    ty: Type,
    mentions: Vec<Mention>,
    bounds: Bounds,
}

impl Program {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// The first mistake, with the bytes it is about and, where there is one, a next step: the source is no
    /// expression, a name is unknown, types do not fit, a value that may be null is used without a guard, or a bound
    /// is exceeded.
    pub fn compile(source: &str, env: &Env, bounds: &Bounds) -> Result<Self, CompileError> {
        let (node, ty, mentions) = on_large_stack(source, || {
            let tree = syntax::parse(source, bounds)?;
            check::check(source, &tree, env, bounds)
        })?;
        let (source, bounds) = (source.to_owned(), bounds.clone());
        Ok(Self(Arc::new(Compiled { source, node, ty, mentions, bounds })))
    }

    /// Returns the type of the result.
    pub fn ty(&self) -> &Type {
        &self.0.ty
    }

    /// Returns what the expression reads, sorted, each once.
    pub fn mentions(&self) -> &[Mention] {
        &self.0.mentions
    }

    /// Returns what the expression reads where it is nothing but that: a variable, or a field of one. Its value is then that value, unchanged but
    /// for a number that its schema makes an integer or a double of.
    pub fn selection(&self) -> Option<&Mention> {
        match self.0.mentions.as_slice() {
            [mention] if self.0.node.is_selection() => Some(mention),
            _ => None,
        }
    }

    /// Returns the expression as it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Evaluates the expression within the bounds it was compiled with.
    ///
    /// The same variables always give the same result: there is no clock, no randomness and no state.
    ///
    /// # Errors
    /// The value does not exist (a division by zero, a missing element, input that does not belong to its declared
    /// type), or a bound is used up. The error has the bytes of the source it is about.
    pub fn eval(&self, variables: &dyn Variables) -> Result<Value, EvalError> {
        eval::eval(&self.0.node, variables, &self.0.bounds)
    }
}

/// The stack that compiling has. The parser takes up to about 130 KiB a level in an unoptimized build (measured with
/// cel 0.15), and nesting is at most 64 levels; untouched pages cost nothing.
const STACK_BYTES: usize = 32 << 20;

/// Runs a compilation on a thread of its own: how deep a source may be must not depend on the stack of whoever calls.
fn on_large_stack<T: Send>(source: &str, compile: impl FnOnce() -> Result<T, CompileError> + Send) -> Result<T, CompileError> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("expr-compile".to_owned()).stack_size(STACK_BYTES);
        match builder.spawn_scoped(scope, compile) {
            // The parser is not ours; should it panic on an odd source, the source is refused.
            Ok(compiling) => {
                compiling.join().unwrap_or_else(|_| Err(CompileError::new(0..source.len(), "the expression cannot be parsed")))
            }
            Err(_) => Err(CompileError::new(0..source.len(), "no thread is left to compile the expression")),
        }
    })
}
