//! What is wrong with a workflow file: where, what, and what to do.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{LabeledSpan, NamedSource, SourceSpan};
use serde::Serialize;

/// Most diagnostics that are collected for one file; what comes after them is not reported.
pub const MAX_DIAGNOSTICS: usize = 100;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The workflow runs, but probably not as it is meant.
    Warning,
    /// The workflow is refused.
    Error,
}

/// One mistake in a workflow file.
///
/// It is a [`miette::Diagnostic`] that carries its source, and serialises without it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnostic {
    /// The file, as it was named to the loader.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong: lower case, no final stop, user input in backticks.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    #[serde(skip)]
    source: Arc<NamedSource<String>>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(self.source.as_ref())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = SourceSpan::from(self.span.clone());
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

/// The mistakes of one file, as they are found.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    text: Arc<str>,
    source: Arc<NamedSource<String>>,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl Problems {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let source = Arc::new(NamedSource::new(file, text.to_owned()).with_language("yaml"));
        Self { file: file.to_owned(), text: text.into(), source, found: Vec::new(), errors: 0 }
    }

    /// Text of the file.
    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    pub(crate) fn error(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.push(Severity::Error, span, message.into(), help.into());
    }

    pub(crate) fn warning(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.push(Severity::Warning, span, message.into(), help.into());
    }

    fn push(&mut self, severity: Severity, span: &Range<usize>, message: String, help: Option<String>) {
        self.errors += usize::from(severity == Severity::Error);
        if self.found.len() >= MAX_DIAGNOSTICS {
            return;
        }
        let (line, column) = position(&self.text, span.start);
        let (file, source) = (self.file.clone(), Arc::clone(&self.source));
        let span = span.start.min(self.text.len())..span.end.min(self.text.len());
        self.found.push(Diagnostic { file, line, column, span, message, help, severity, source });
    }

    /// Whether the workflow is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Gives all in the order of the file.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| diagnostic.span.start);
        self.found
    }
}

/// Line and column, both from 1, of a byte.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        assert_eq!(position("ab\nçd", 0), (1, 1));
        assert_eq!(position("ab\nçd", 5), (2, 2));
        assert_eq!(position("ab", 99), (1, 3));
    }

    #[test]
    fn no_more_than_the_bound_are_kept_but_all_count() {
        let mut problems = Problems::new("w.yaml", "x");
        for _ in 0..MAX_DIAGNOSTICS + 5 {
            problems.error(&(0..1), "bad", None);
        }
        assert_eq!(problems.errors(), MAX_DIAGNOSTICS + 5);
        assert_eq!(problems.into_list().len(), MAX_DIAGNOSTICS);
    }
}
