//! Templates as text of a plan, and back.

use std::sync::Arc;

use bailiwick_core::plan::ValueTemplate;
use bailiwick_expr::{At, CompileError, Env, Program, Template};

use crate::scope;

/// Gives the text of a template. White space around expressions is no part of it.
pub(crate) fn to_text(template: &Template) -> ValueTemplate {
    match template {
        Template::Literal(value) => ValueTemplate::Value(value.as_ref().clone()),
        Template::Expression(program) => ValueTemplate::Expression(program.source().trim().to_owned()),
        Template::List(items) => ValueTemplate::List(items.iter().map(to_text).collect()),
        Template::Object(entries) => ValueTemplate::Object(entries.iter().map(|(name, value)| (name.clone(), to_text(value))).collect()),
    }
}

/// Compiles the text of a template.
///
/// # Errors
/// The first expression that is refused.
pub(crate) fn from_text(text: &ValueTemplate, env: &Env) -> Result<Template, At<CompileError>> {
    let within = |segment: &str, mut error: At<CompileError>| {
        error.pointer = format!("/{segment}{}", error.pointer);
        error
    };
    Ok(match text {
        ValueTemplate::Value(value) => Template::Literal(Arc::new(value.clone())),
        ValueTemplate::Expression(source) => {
            let program = Program::compile(source, env, &scope::bounds());
            Template::Expression(program.map_err(|error| At { pointer: String::new(), error })?)
        }
        ValueTemplate::List(items) => {
            let items = items.iter().enumerate();
            let items = items.map(|(index, item)| from_text(item, env).map_err(|error| within(&index.to_string(), error)));
            Template::List(items.collect::<Result<Vec<_>, _>>()?.into())
        }
        ValueTemplate::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| {
                let value = from_text(value, env).map_err(|error| within(name, error))?;
                Ok((name.clone(), value))
            });
            Template::Object(entries.collect::<Result<Vec<_>, At<CompileError>>>()?.into())
        }
    })
}
