//! Compiling expressions where they stand, with mistakes at their places.

use std::ops::Range;

use bailiwick_expr::{CompileError, Env, Mismatch, Program, Template, Type};

use crate::diagnostic::Problems;
use crate::reader::{self, Spanned};
use crate::scope;
use crate::yaml::Node;

/// Compiles expressions in one environment.
pub(crate) struct Expressions<'p> {
    problems: &'p mut Problems,
    env: &'p Env,
}

impl<'p> Expressions<'p> {
    pub(crate) fn new(problems: &'p mut Problems, env: &'p Env) -> Self {
        Self { problems, env }
    }

    /// Compiles a value with expressions at its leaves.
    pub(crate) fn template(&mut self, node: &Node) -> Option<Template> {
        let value = reader::json(self.problems, node)?;
        match Template::compile(&value, self.env, &scope::bounds()) {
            Ok(template) => Some(template),
            Err(errors) => {
                for error in errors {
                    self.refuse(node.at(&error.pointer), error.error);
                }
                None
            }
        }
    }

    /// Compiles an expression that stands alone. `${ … }` around it is taken off, with a word about it.
    pub(crate) fn program(&mut self, node: &Node, source: &Spanned<String>) -> Option<Program> {
        if let Ok(Some((inner, _))) = Template::expression(&source.value) {
            let help = format!("write {}", crate::quote::quoted(inner.trim()));
            self.problems.error(&source.span, "here the text is the expression: no `${ … }` around it", help);
            return None;
        }
        match Program::compile(&source.value, self.env, &scope::bounds()) {
            Ok(program) => Some(program),
            Err(error) => {
                self.refuse(node, error);
                None
            }
        }
    }

    fn refuse(&mut self, node: &Node, error: CompileError) {
        let span = self.place(node, &error.range);
        self.problems.error(&span, error.message, error.help);
    }

    fn place(&self, node: &Node, range: &Range<usize>) -> Range<usize> {
        node.within(&self.problems.text(), range)
    }
}

/// Refuses a value that does not fit a type, at the field that does not.
pub(crate) fn refuse_mismatch(problems: &mut Problems, node: &Node, what: &str, mismatch: &Mismatch) {
    let pointer: String = mismatch.path.iter().take_while(|segment| *segment != "[]").map(|segment| format!("/{segment}")).collect();
    let place = node.at(&pointer).span.clone();
    problems.error(&place, format!("{what}: {mismatch}"), help_for(mismatch));
}

fn help_for(mismatch: &Mismatch) -> Option<String> {
    let field = mismatch.path.last()?;
    if mismatch.found == "nothing" {
        return Some(format!("add `{field}`"));
    }
    if mismatch.expected == "no such field" {
        return Some(format!("leave `{field}` out"));
    }
    mismatch.found.ends_with("or null").then(|| "say what to give where it is null: `x != null ? x : …`".to_owned())
}

/// The type that a stand-in's value has to have: that of the answer, where every field may be null or absent.
///
/// Null says "there is no such thing", which a stand-in must be able to say; the steps that read the value see that it may be null.
pub(crate) fn stand_in_mismatch(output: &Type, found: &Type) -> Option<Mismatch> {
    let (Type::Object { fields, open }, Type::Object { fields: given, .. }) = (output, found) else {
        return output.clone().nullable().mismatch(found);
    };
    given.iter().find_map(|(name, field)| {
        let wanted = fields.get(name).map(|field| field.ty.clone().nullable());
        match wanted {
            Some(wanted) => wanted.mismatch(&field.ty).map(|mut mismatch| {
                mismatch.path.insert(0, name.clone());
                mismatch
            }),
            None if *open && fields.is_empty() => None,
            None => Some(Mismatch { path: vec![name.clone()], expected: "no such field".to_owned(), found: field.ty.to_string() }),
        }
    })
}
