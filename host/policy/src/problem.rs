//! What is wrong with a set of policies.

use std::fmt;

use miette::Diagnostic;

/// Where something stands in a file; line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// Byte in the text, from 0.
    pub offset: usize,
    /// Bytes from there that are meant; 0 where only the beginning is known.
    pub length: usize,
}

impl Place {
    /// Finds line and column of bytes of a text. An offset beyond the text or within a character means the next before it.
    pub(crate) fn at(text: &str, offset: usize, length: usize) -> Self {
        let offset = (0..=offset.min(text.len())).rev().find(|offset| text.is_char_boundary(*offset)).unwrap_or(0);
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, offset, length }
    }
}

/// One thing that is wrong with a set of policies. The whole set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyProblem {
    /// The file, as [`crate::PolicySource::name`] has it; empty where no file is meant.
    pub file: String,
    /// Where in the file; `None` where all of it is meant.
    pub place: Option<Place>,
    /// The policy, by its id, where one is meant.
    pub policy: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        if !self.file.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.reason)?;
        match &self.help {
            Some(help) => write!(f, "; help: {help}"),
            None => Ok(()),
        }
    }
}

impl PolicyProblem {
    /// Translates a diagnostic of Cedar about a text.
    pub(crate) fn of(file: &str, text: &str, policy: Option<&str>, diagnostic: &dyn Diagnostic) -> Self {
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        let mut reason = strip_policy(&diagnostic.to_string()).to_owned();
        if let Some(label) = label.as_ref().and_then(|label| label.label()) {
            reason = format!("{reason}: {label}");
        }
        Self {
            file: file.to_owned(),
            place: label.map(|label| Place::at(text, label.offset(), label.len())),
            policy: policy.map(str::to_owned),
            reason,
            help: diagnostic.help().map(|help| strip_policy(&help.to_string()).to_owned()),
        }
    }

    /// Makes a problem about a place in a file.
    pub(crate) fn new(file: &str, place: Option<Place>, policy: Option<&str>, reason: String, help: &str) -> Self {
        Self { file: file.to_owned(), place, policy: policy.map(str::to_owned), reason, help: Some(help.to_owned()) }
    }
}

/// Cedar begins its findings with "for policy `id`, "; the id stands in the problem already.
fn strip_policy(message: &str) -> &str {
    match message.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, rest)) => rest,
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_in_characters_and_never_outside() {
        let text = "eins\nzwei ü drei";
        assert_eq!(Place::at(text, 0, 1), Place { line: 1, column: 1, offset: 0, length: 1 });
        assert_eq!(Place::at(text, 13, 4), Place { line: 2, column: 8, offset: 13, length: 4 });
        assert_eq!(Place::at(text, 11, 0).offset, 10);
        assert_eq!(Place::at(text, 999, 0).line, 2);
    }
}
