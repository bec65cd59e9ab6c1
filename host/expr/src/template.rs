//! Values of a workflow file: plain values with expressions at their leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::bounds::Bounds;
use crate::error::{At, CompileError, EvalError};
use crate::eval::Variables;
use crate::program::{Mention, Program};
use crate::scan;
use crate::types::{Env, Type};

/// How deep a template may be nested.
const MAX_DEPTH: usize = 64;

/// A value with expressions in it, ready to be filled in. Cloning shares it.
///
/// Text that is `${ … }` as a whole is an expression, and its value has the expression's type; any other text is taken
/// as it is. There is no splicing into text: whether a value is text or a number must not depend on data. `$${`
/// stands for a literal `${`.
#[derive(Debug, Clone)]
pub enum Template {
    /// A value without expressions.
    Literal(Arc<Value>),
    /// An expression.
    Expression(Program),
    /// A list with at least one expression in it.
    List(Arc<[Template]>),
    /// An object with at least one expression in it.
    Object(Arc<[(String, Template)]>),
}

impl Template {
    /// Returns the expression inside the text if the whole text is one, without checking the expression itself, and
    /// the byte where it starts.
    ///
    /// # Errors
    /// The text has `${` in another place, or one that is not closed.
    pub fn expression(text: &str) -> Result<Option<(&str, usize)>, CompileError> {
        let Some(inside) = text.strip_prefix("${") else {
            return match stray_opening(text) {
                None => Ok(None),
                Some(at) => Err(spliced(at..at + OPENING_BYTES)),
            };
        };
        let unterminated = || {
            let error = CompileError::new(0..text.len(), "`${` is never closed with `}`");
            error.help("an expression is the whole value: \"${ … }\"")
        };
        let end = scan::end_of_embedded(inside).map_err(|error| match text.ends_with('}') {
            // A text literal that is left open swallows the rest, the closing brace too: that is the better message.
            true => error.shifted(OPENING_BYTES),
            false => unterminated(),
        })?;
        match end.and_then(|end| inside.split_at_checked(end)) {
            Some((source, "}")) => Ok(Some((source, OPENING_BYTES))),
            Some((source, rest)) if rest.starts_with('}') => Err(spliced(OPENING_BYTES + source.len() + 1..text.len())),
            Some((source, rest)) => {
                let at = OPENING_BYTES + source.len();
                let bracket = rest.get(..1).unwrap_or_default();
                Err(CompileError::new(at..at + 1, format!("`{bracket}` closes nothing")))
            }
            None => Err(unterminated()),
        }
    }

    /// Compiles one text of a workflow file.
    ///
    /// # Errors
    /// The text has `${` in a wrong place, or the expression in it is refused. Ranges count from the start of the
    /// text.
    pub fn parse(text: &str, env: &Env, bounds: &Bounds) -> Result<Self, CompileError> {
        match Self::expression(text)? {
            Some((source, start)) => match Program::compile(source, env, bounds) {
                Ok(program) => Ok(Self::Expression(program)),
                Err(error) => Err(error.shifted(start)),
            },
            None => Ok(Self::Literal(Arc::new(Value::String(text.replace("$${", "${"))))),
        }
    }

    /// Compiles a value of a workflow file; keys are never expressions.
    ///
    /// # Errors
    /// All mistakes, each with its place.
    pub fn compile(value: &Value, env: &Env, bounds: &Bounds) -> Result<Self, Vec<At<CompileError>>> {
        let mut compiler = Compiler { env, bounds, pointer: Vec::new(), errors: Vec::new() };
        let template = compiler.compile(value);
        if compiler.errors.is_empty() { Ok(template) } else { Err(compiler.errors) }
    }

    /// Returns the type of the value.
    pub fn ty(&self) -> Type {
        match self {
            Self::Literal(value) => Type::of(value),
            Self::Expression(program) => program.ty().clone(),
            Self::List(items) => Type::list(items.iter().map(Self::ty).reduce(Type::join).unwrap_or_default()),
            Self::Object(entries) => Type::object(entries.iter().map(|(name, template)| (name.clone(), template.ty()))),
        }
    }

    /// Returns what all expressions read, sorted, each once.
    pub fn mentions(&self) -> Vec<Mention> {
        let mut mentions = BTreeSet::new();
        self.collect_mentions(&mut mentions);
        mentions.into_iter().collect()
    }

    fn collect_mentions(&self, into: &mut BTreeSet<Mention>) {
        match self {
            Self::Literal(_) => {}
            Self::Expression(program) => into.extend(program.mentions().iter().cloned()),
            Self::List(items) => items.iter().for_each(|item| item.collect_mentions(into)),
            Self::Object(entries) => entries.iter().for_each(|(_, value)| value.collect_mentions(into)),
        }
    }

    /// Fills in the value. Every expression has the bounds it was compiled with for itself.
    ///
    /// # Errors
    /// The first expression that has no value, with its place.
    pub fn eval(&self, variables: &dyn Variables) -> Result<Value, At<EvalError>> {
        let within = |segment: &str, mut error: At<EvalError>| {
            error.pointer = format!("/{}{}", escaped(segment), error.pointer);
            error
        };
        match self {
            Self::Literal(value) => Ok(value.as_ref().clone()),
            Self::Expression(program) => program.eval(variables).map_err(|error| At { pointer: String::new(), error }),
            Self::List(items) => {
                let items = items.iter().enumerate();
                let values = items.map(|(i, item)| item.eval(variables).map_err(|e| within(&i.to_string(), e)));
                Ok(Value::Array(values.collect::<Result<_, _>>()?))
            }
            Self::Object(entries) => {
                let values = entries.iter().map(|(name, template)| {
                    let value = template.eval(variables).map_err(|error| within(name, error))?;
                    Ok((name.clone(), value))
                });
                Ok(Value::Object(values.collect::<Result<_, At<EvalError>>>()?))
            }
        }
    }
}

/// The length of `${`.
const OPENING_BYTES: usize = 2;

/// Returns where a `${` stands that is not written `$${`.
fn stray_opening(text: &str) -> Option<usize> {
    let mut openings = text.match_indices("${").map(|(at, _)| at);
    openings.find(|at| !text.get(..*at).unwrap_or_default().ends_with('$'))
}

fn spliced(range: std::ops::Range<usize>) -> CompileError {
    CompileError::new(range, "an expression stands beside other text")
        .help("an expression is the whole value: \"${ … }\"; join text inside it with `+`, or write `$${` for a plain `${`")
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

struct Compiler<'e> {
    env: &'e Env,
    bounds: &'e Bounds,
    pointer: Vec<String>,
    errors: Vec<At<CompileError>>,
}

impl Compiler<'_> {
    /// Goes on after a mistake, so that a file's mistakes come together; the template is then not used.
    fn compile(&mut self, value: &Value) -> Template {
        if self.pointer.len() > MAX_DEPTH {
            self.refuse(CompileError::new(0..0, format!("nested deeper than {MAX_DEPTH} levels")));
            return Template::Literal(Arc::new(Value::Null));
        }
        match value {
            Value::String(text) => match Template::parse(text, self.env, self.bounds) {
                Ok(template) => template,
                Err(error) => {
                    self.refuse(error);
                    Template::Literal(Arc::new(Value::Null))
                }
            },
            Value::Array(items) => {
                let items = items.iter().enumerate();
                let parts: Vec<_> = items.map(|(index, item)| self.within(&index.to_string(), item)).collect();
                match parts.iter().all(|part| matches!(part, Template::Literal(_))) {
                    true => Template::Literal(Arc::new(Value::Array(parts.iter().map(literal).collect()))),
                    false => Template::List(parts.into()),
                }
            }
            Value::Object(entries) => {
                let mut parts = Vec::with_capacity(entries.len());
                for (name, value) in entries {
                    parts.push((name.clone(), self.within(name, value)));
                }
                match parts.iter().all(|(_, part)| matches!(part, Template::Literal(_))) {
                    true => {
                        let entries = parts.iter().map(|(name, part)| (name.clone(), literal(part)));
                        Template::Literal(Arc::new(Value::Object(entries.collect())))
                    }
                    false => Template::Object(parts.into()),
                }
            }
            scalar => Template::Literal(Arc::new(scalar.clone())),
        }
    }

    fn within(&mut self, segment: &str, value: &Value) -> Template {
        self.pointer.push(segment.to_owned());
        if segment.contains("${") {
            self.refuse(CompileError::new(0..0, format!("the key `{segment}` looks like an expression")).help("keys are written out"));
        }
        let template = self.compile(value);
        self.pointer.pop();
        template
    }

    fn refuse(&mut self, error: CompileError) {
        let pointer = self.pointer.iter().map(|segment| format!("/{}", escaped(segment))).collect();
        self.errors.push(At { pointer, error });
    }
}

fn literal(template: &Template) -> Value {
    match template {
        Template::Literal(value) => value.as_ref().clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn env() -> Env {
        Env::new().with("input", Type::object([("order", Type::String), ("amount", Type::Int)]))
    }

    fn refused(text: &str) -> CompileError {
        Template::parse(text, &env(), &Bounds::default()).unwrap_err()
    }

    #[test]
    fn a_whole_text_is_an_expression() {
        let template = Template::parse("${ input.order }", &env(), &Bounds::default()).unwrap();
        assert_eq!(template.ty(), Type::String);
        assert_eq!(Template::expression("${a}").unwrap(), Some(("a", 2)));
        assert_eq!(Template::expression("plain").unwrap(), None);
        assert_eq!(Template::expression("${ {'a': '}'}.a }").unwrap(), Some((" {'a': '}'}.a ", 2)));
    }

    #[test]
    fn splicing_is_refused() {
        for text in ["order ${ input.order }", "${ input.order } is it", "${ input.order } ${ input.order }", " ${a}"] {
            let error = refused(text);
            assert_eq!(error.message, "an expression stands beside other text", "{text}");
            assert!(error.help.unwrap().starts_with("an expression is the whole value"), "{text}");
        }
    }

    #[test]
    fn an_open_end_is_refused() {
        assert_eq!(refused("${ input.order").message, "`${` is never closed with `}`");
        assert_eq!(refused("${").message, "`${` is never closed with `}`");
        assert_eq!(refused("${ 'a }").message, "this text is never closed with `'`");
        assert_eq!(refused("${ a) }").message, "`)` closes nothing");
    }

    #[test]
    fn a_doubled_dollar_is_plain_text() {
        let template = Template::parse("costs $${ x }", &env(), &Bounds::default()).unwrap();
        assert_eq!(template.eval(&std::collections::BTreeMap::new()).unwrap(), json!("costs ${ x }"));
    }

    #[test]
    fn ranges_count_from_the_start_of_the_text() {
        let error = refused("${ input.ordr }");
        assert_eq!(&"${ input.ordr }"[error.range], "ordr");
        assert_eq!(error.help.as_deref(), Some("did you mean `order`?"));
    }

    #[test]
    fn trees_compile_and_fill_in() {
        let value = json!({"id": "${ input.order }", "n": [1, "${ input.amount + 1 }"], "fixed": {"a": [true]}});
        let template = Template::compile(&value, &env(), &Bounds::default()).unwrap();
        let wanted =
            Type::object([("id", Type::String), ("n", Type::list(Type::Int)), ("fixed", Type::object([("a", Type::list(Type::Bool))]))]);
        assert_eq!(template.ty(), wanted);
        let mentions: Vec<_> = template.mentions().into_iter().map(|m| (m.root, m.path.join("."))).collect();
        assert_eq!(mentions, [("input".into(), "amount".into()), ("input".into(), "order".into())]);
        let variables = [("input".to_owned(), json!({"order": "O-1", "amount": 2}))];
        let variables: std::collections::BTreeMap<_, _> = variables.into();
        assert_eq!(template.eval(&variables).unwrap(), json!({"id": "O-1", "n": [1, 3], "fixed": {"a": [true]}}));
    }

    #[test]
    fn all_mistakes_come_together() {
        let value = json!({"a": "${ nope }", "b/c": ["x", "${ input.amount + 'a' }"], "${x}": 1});
        let errors = Template::compile(&value, &env(), &Bounds::default()).unwrap_err();
        let places: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(places, ["/a", "/b~1c/1", "/${x}"], "in the order of the file");
    }

    #[test]
    fn evaluation_names_the_place() {
        let template = Template::compile(&json!({"a": ["${ 1 / (input.amount - 1) }"]}), &env(), &Bounds::default());
        let variables = serde_json::Map::from_iter([("input".to_owned(), json!({"order": "x", "amount": 1}))]);
        let error = template.unwrap().eval(&variables).unwrap_err();
        assert_eq!(error.to_string(), "`/a/0`: division by zero");
    }
}
