//! What went wrong, told for the person who can mend it: message, place in the file, next step, exit code.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bailiwick_core::ids::RunId;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::text::{clean, clean_lines};

/// Columns of everything that is printed.
pub const WIDTH: usize = 100;

/// A text file with the name under which it is shown.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name.
    pub name: Arc<str>,
    /// Text.
    pub text: Arc<str>,
}

impl Source {
    /// Joins name and text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Gives line and column, both from 1, of a byte; the column counts characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Gives the byte at a line and column, both from 1.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let start: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        start + rest.chars().take(column.saturating_sub(1)).take_while(|c| *c != '\n').map(char::len_utf8).sum::<usize>()
    }
}

/// Where in a file.
#[derive(Debug, Clone)]
struct Place {
    source: Source,
    /// `None` for the whole file.
    range: Option<Range<usize>>,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    message: String,
    help: Option<String>,
    place: Option<Box<Place>>,
    /// What another program says about it, shown as it is (without control characters).
    output: Option<String>,
    warning: bool,
}

impl Diagnosis {
    /// Makes one that has no place in a file.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: clean_lines(&message.into()), help: None, place: None, output: None, warning: false }
    }

    /// Says what to do about it.
    pub fn with_help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into().map(|help| clean_lines(&help));
        self
    }

    /// Says where in a file it is.
    pub fn at(mut self, source: &Source, range: Range<usize>) -> Self {
        self.place = Some(Box::new(Place { source: source.clone(), range: Some(range) }));
        self
    }

    /// Says in which file it is.
    pub fn in_file(mut self, source: &Source) -> Self {
        self.place = Some(Box::new(Place { source: source.clone(), range: None }));
        self
    }

    /// Adds what another program says.
    pub fn with_output(mut self, output: &str) -> Self {
        self.output = Some(clean_lines(output));
        self
    }

    /// Makes it a warning, which changes no exit code.
    pub fn into_warning(self) -> Self {
        Self { warning: true, ..self }
    }

    /// Whether it is a warning.
    pub fn is_warning(&self) -> bool {
        self.warning
    }

    /// Gives it as JSON: `message` and, where known, `file`, `line`, `column`, `help`, `output`.
    pub fn to_json(&self) -> Value {
        let mut value = json!({ "severity": if self.warning { "warning" } else { "error" }, "message": self.message });
        let Value::Object(map) = &mut value else { return value };
        if let Some(place) = &self.place {
            map.insert("file".to_owned(), json!(&*place.source.name));
            if let Some(range) = &place.range {
                let (line, column) = place.source.position(range.start);
                map.insert("line".to_owned(), json!(line));
                map.insert("column".to_owned(), json!(column));
            }
        }
        for (key, text) in [("help", &self.help), ("output", &self.output)] {
            if let Some(text) = text {
                map.insert(key.to_owned(), json!(text));
            }
        }
        value
    }

    /// Draws it for people, with the piece of the file that is meant.
    pub fn render(&self, colors: bool) -> String {
        let theme = if colors { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        // Broken at spaces alone, and nowhere where there is none: addresses, paths and commands are copied.
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(WIDTH)
            .with_links(false)
            .with_break_words(false)
            .with_word_separator(textwrap::WordSeparator::AsciiSpace)
            .with_word_splitter(textwrap::WordSplitter::NoHyphenation);
        let mut text = String::new();
        let shown = Shown { diagnosis: self, source: self.place.as_deref().map(Place::to_named) };
        if handler.render_report(&mut text, &shown).is_err() {
            text = self.to_string();
        }
        if let Some(output) = &self.output {
            text.push('\n');
            text.push_str(output.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Place {
    fn to_named(&self) -> NamedSource<String> {
        // Each control character becomes one of the same number of bytes where that is possible, so that spans stay right.
        let text = self.source.text.chars().map(|c| if c.is_ascii_control() && c != '\n' && c != '\t' { ' ' } else { c });
        NamedSource::new(clean(&self.source.name), text.collect())
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_deref() {
            // A file that is meant as a whole has no snippet, so its name stands in the message.
            Some(Place { source, range: None }) => write!(f, "{}: {}", clean(&source.name), self.message),
            _ => f.write_str(&self.message),
        }
    }
}

/// A diagnosis with its source, in the form that miette draws.
#[derive(Debug)]
struct Shown<'a> {
    diagnosis: &'a Diagnosis,
    source: Option<NamedSource<String>>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnosis.fmt(f)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(if self.diagnosis.warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnosis.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.diagnosis.place.as_ref()?.range.as_ref()?;
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.diagnosis.place.as_ref()?;
        let range = place.range.clone()?;
        let end = place.source.text.len();
        let span = range.start.min(end)..range.end.clamp(range.start.min(end), end);
        Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
    }
}

/// Why a command did not do what it was asked: an exit code and everything that is wrong.
#[derive(Debug)]
pub struct Fault {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong; at least one.
    pub diagnoses: Vec<Diagnosis>,
    /// The run that it is about, where one had begun.
    pub run: Option<RunId>,
}

impl Fault {
    /// What is wrong, under an exit code.
    pub fn of(exit: Exit, diagnoses: Vec<Diagnosis>) -> Self {
        Self { exit, diagnoses, run: None }
    }

    /// The project, its input or the command line is wrong.
    pub fn bad_input(diagnosis: Diagnosis) -> Self {
        Self::of(Exit::BadInput, vec![diagnosis])
    }

    /// Several things of a project are wrong.
    pub fn bad_project(diagnoses: Vec<Diagnosis>) -> Self {
        Self::of(Exit::BadInput, diagnoses)
    }

    /// A fault of the host or of the machine.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::of(Exit::Internal, vec![Diagnosis::new(message)])
    }

    /// Gives it as the JSON document of a command that failed.
    pub fn to_json(&self) -> Value {
        let problems: Vec<_> = self.diagnoses.iter().map(Diagnosis::to_json).collect();
        match &self.run {
            Some(run) => json!({ "exit": self.exit.name(), "run": run, "problems": problems }),
            None => json!({ "exit": self.exit.name(), "problems": problems }),
        }
    }
}

/// What commands give back.
pub type Result<T> = std::result::Result<T, Fault>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_offsets_agree() {
        let source = Source::new("x", "ab\nüc d\n");
        for at in [0, 1, 3, 5, 6] {
            let (line, column) = source.position(at);
            assert_eq!(source.offset(line, column), at);
        }
        assert_eq!(source.position(5), (2, 2));
    }

    #[test]
    fn a_diagnosis_shows_the_line_and_the_next_step() {
        let source = Source::new("bailiwick.toml", "[project]\nnam = \"x\"\n");
        let diagnosis = Diagnosis::new("unknown key `nam`").at(&source, 10..13).with_help("did you mean `name`?".to_owned());
        insta::assert_snapshot!("rendered", diagnosis.render(false));
        let expected = json!({
            "severity": "error", "message": "unknown key `nam`", "file": "bailiwick.toml", "line": 2, "column": 1, "help": "did you mean `name`?",
        });
        assert_eq!(diagnosis.to_json(), expected);
    }

    #[test]
    fn what_is_copied_is_not_broken() {
        let (address, path) = ("https://example.com/a-rather-long/address", format!("/{}", "very-long/".repeat(12)));
        let message = format!("{} {address} and at {path}", "word ".repeat(14).trim_end());
        for text in
            [Diagnosis::new(message.clone()), Diagnosis::new("x").with_help(message.clone())].map(|diagnosis| diagnosis.render(false))
        {
            assert!(text.contains(address) && text.contains(&path), "{text}");
        }
    }

    #[test]
    fn a_span_beyond_the_end_still_renders() {
        let source = Source::new("x", "a\x1b");
        let text = Diagnosis::new("cut off\x1b[2J").at(&source, 5..9).with_output("\x1b[31mred").render(false);
        assert!(text.contains("cut off") && !text.contains('\x1b'), "{text}");
    }
}
