//! Mistakes in the files that configure connectors, told for the person who wrote them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bailiwick_core::suggest;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A mistake in a file, with its place and a next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// The file, as it was named to the loader.
    pub file: PathBuf,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong: lower case, no final stop, input in backticks.
    pub message: String,
    /// A next step, where there is one.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, ": {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// A file's name and text: turns positions into lines and columns.
#[derive(Debug, Clone)]
pub(crate) struct SourceText {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

impl SourceText {
    pub(crate) fn new(file: &Path, text: String) -> Self {
        Self { file: file.to_owned(), text }
    }

    /// Makes a problem about the whole file.
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line: None, column: None, message: message.into(), help: None }
    }

    /// Makes a problem about a range of bytes.
    pub(crate) fn problem_at(&self, range: &Range<usize>, message: impl Into<String>) -> Problem {
        let (line, column) = self.position(range.start);
        Problem { line: Some(line), column: Some(column), ..self.problem(message) }
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Reads the text as TOML.
    ///
    /// # Errors
    /// The first mistake. An unknown key is answered with the nearest key there is.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        toml::from_str(&self.text).map_err(|error| {
            let (message, help) = unknown_key(error.message()).unwrap_or_else(|| (error.message().to_owned(), None));
            let range = error.span().unwrap_or(0..0);
            self.problem_at(&range, message).with_help(help)
        })
    }
}

impl Problem {
    pub(crate) fn with_help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// Reads what a library says of an unknown key or case and finds the nearest: the TOML one puts the known names in
/// backticks, the YAML one does not.
pub(crate) fn unknown_key(message: &str) -> Option<(String, Option<String>)> {
    let (what, rest) = match (message.strip_prefix("unknown field "), message.strip_prefix("unknown variant ")) {
        (Some(rest), _) => ("key", rest),
        (_, Some(rest)) => ("value", rest),
        _ => return None,
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let word = names.next()?;
    let mut known: Vec<&str> = names.collect();
    if known.is_empty() {
        let list = rest.rsplit_once("expected one of ").or_else(|| rest.rsplit_once("expected ")).map_or("", |(_, list)| list);
        known = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty()).collect();
    }
    Some((format!("unknown {what} `{word}`"), Some(suggest::help(word, known.iter().copied()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[expect(dead_code, reason = "only its name matters")]
        database: String,
    }

    #[test]
    fn an_unknown_key_names_line_and_nearest_key() {
        let source = SourceText::new(Path::new("shop.toml"), "# a comment\n  databse = \"x\"\n".to_owned());
        let problem = source.parse::<Config>().unwrap_err();
        assert_eq!(problem.to_string(), "shop.toml:2:3: unknown key `databse`: did you mean `database`?");
    }

    #[test]
    fn a_missing_key_is_told_in_the_words_of_the_library() {
        let source = SourceText::new(Path::new("shop.toml"), String::new());
        assert!(source.parse::<Config>().unwrap_err().message.contains("missing field `database`"));
    }
}
