//! The strict part of YAML that workflow files are written in, as a tree with places.
//!
//! The events of serde-saphyr's parser are composed here, because deserialising would lose what strictness needs: whether a
//! text was quoted, and where each key stands. No anchors, aliases, tags, merge keys, duplicate keys, directives or second document.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::diagnostic::Problems;
use crate::quote;

/// Most bytes of a workflow file.
pub const MAX_FILE_BYTES: usize = 256 * 1024;
/// Most values and keys of a workflow file.
pub const MAX_FILE_VALUES: usize = 20_000;
/// How deep a workflow file may be nested in each of YAML's two notations.
pub const MAX_FILE_NESTING: usize = 32;

/// A value of the file and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The bytes of the file.
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Anything that is neither list nor map.
    Scalar {
        text: String,
        style: Style,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: it may be a number, a boolean or null.
    Plain,
    /// In quotes, or as a block.
    Text,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: Key,
    pub value: Node,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub text: String,
    pub span: Range<usize>,
}

impl Node {
    /// What the node is, for errors.
    pub(crate) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar { text, style } => match Scalar::of(text, *style) {
                Scalar::Null => "nothing",
                Scalar::Bool(_) => "a boolean",
                Scalar::Int(_) | Scalar::Float(_) | Scalar::Odd => "a number",
                Scalar::Text => "text",
            },
        }
    }

    /// Finds a value by a JSON pointer; the nearest one around it where the pointer leads nowhere.
    pub(crate) fn at(&self, pointer: &str) -> &Node {
        let mut node = self;
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let inner = match &node.kind {
                Kind::List(items) => segment.parse().ok().and_then(|index: usize| items.get(index)),
                Kind::Map(entries) => entries.iter().find(|entry| entry.key.text == segment).map(|entry| &entry.value),
                Kind::Scalar { .. } => None,
            };
            match inner {
                Some(inner) => node = inner,
                None => break,
            }
        }
        node
    }

    /// Gives the place of a part of a scalar's text, or of all of it where the text is not written as it is (escapes, several lines).
    pub(crate) fn within(&self, file: &str, range: &Range<usize>) -> Range<usize> {
        let Kind::Scalar { text, .. } = &self.kind else { return self.span.clone() };
        let raw = file.get(self.span.clone()).unwrap_or_default();
        let quotes = usize::from(raw.starts_with(['"', '\'']));
        let written = raw.get(quotes..raw.len().saturating_sub(quotes)).unwrap_or_default();
        match written == text && range.start <= range.end && range.end <= text.len() {
            true => self.span.start + quotes + range.start..self.span.start + quotes + range.end,
            false => self.span.clone(),
        }
    }
}

/// What an unquoted text stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number that readers understand differently: `007`, `0x1F`, `0o7`, `.inf`, or beyond 64 bits.
    Odd,
    Text,
}

impl Scalar {
    /// Reads a scalar by the core schema of YAML 1.2.
    pub(crate) fn of(text: &str, style: Style) -> Self {
        if style == Style::Text {
            return Self::Text;
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_odd_word = matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan");
        if is_odd_word || digits.starts_with("0x") || digits.starts_with("0o") {
            return Self::Odd;
        }
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || digits == "." {
            return Self::Text;
        }
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let leading_zero = digits.len() > 1 && digits.starts_with('0');
            return text.parse().ok().filter(|_| !leading_zero).map_or(Self::Odd, Self::Int);
        }
        let is_float = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
        match text.parse::<f64>() {
            Ok(number) if is_float && number.is_finite() => Self::Float(number),
            Ok(_) if is_float => Self::Odd,
            _ => Self::Text,
        }
    }
}

/// Reads a file. What is wrong goes to `problems`; there is a tree as far as one could be made.
pub(crate) fn read(problems: &mut Problems) -> Option<Node> {
    let text = problems.text();
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_FILE_BYTES} are read", text.len());
        problems.error(&(0..0), message, "split the workflow".to_owned());
        return None;
    }
    let options = serde_saphyr::granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: MAX_FILE_NESTING,
        block_nesting_limit: MAX_FILE_NESTING,
    };
    let parser = Parser::new_from_str_with_options(&text, options);
    let mut composer = Composer { parser, text: &text, problems, values: 0 };
    match composer.document() {
        Ok(node) => node,
        Err(error) => {
            composer.refuse(&error);
            None
        }
    }
}

struct Composer<'t, 'p> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    problems: &'p mut Problems,
    values: usize,
}

/// Why composing stops before the end of the file.
enum Stop {
    Scan(ScanError),
    TooMany(Range<usize>),
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl<'t> Composer<'t, '_> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, Stop> {
        let Some(next) = self.parser.next_event() else { return Ok(None) };
        let (event, span) = next?;
        Ok(Some((event, self.range(&span))))
    }

    fn range(&self, span: &Span) -> Range<usize> {
        span.byte_range().map_or(0..0, |range| {
            // Block collections and scalars end at the next token: what is not text of theirs is left out.
            let raw = self.text.get(range.clone()).unwrap_or_default();
            range.start..range.start + raw.trim_end().len()
        })
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    self.problems.error(&span, "a second document begins here", "one file holds one workflow".to_owned());
                    return Ok(root);
                }
                Event::DocumentStart(..) => {}
                event => root = self.node(event, span)?,
            }
        }
        Ok(root)
    }

    /// Composes the node that an event begins. The parser's nesting limits bound the recursion.
    fn node(&mut self, event: Event<'t>, span: Range<usize>) -> Result<Option<Node>, Stop> {
        self.values += 1;
        if self.values > MAX_FILE_VALUES {
            return Err(Stop::TooMany(span));
        }
        self.refuse_extras(&event, &span);
        match event {
            Event::Scalar(text, style, ..) => {
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Text };
                Ok(Some(Node { span, kind: Kind::Scalar { text: text.into_owned(), style } }))
            }
            Event::SequenceStart(..) => self.list(span).map(Some),
            Event::MappingStart(..) => self.map(span).map(Some),
            // An alias was refused; it stands for nothing.
            _ => Ok(Some(Node { span, kind: Kind::Scalar { text: String::new(), style: Style::Plain } })),
        }
    }

    fn refuse_extras(&mut self, event: &Event<'t>, span: &Range<usize>) {
        if event.anchor_id().is_some() {
            let help = "write the value out where it is needed; a text that begins with `&` is quoted".to_owned();
            self.problems.error(span, "anchors (`&`) are not read", help);
        }
        if event.is_alias() || matches!(event, Event::UnresolvedAlias(_)) {
            let help = quote::help_for_line(self.text, span.start)
                .unwrap_or_else(|| "write the value out; a text that begins with `*` is quoted".to_owned());
            self.problems.error(span, "aliases (`*`) are not read", help);
        }
        if let Some(tag) = event.tag() {
            let help = quote::help_for_line(self.text, span.start)
                .unwrap_or_else(|| "leave the tag out; a text that begins with `!` is quoted".to_owned());
            self.problems.error(span, format!("tags (`{}`) are not read", tag.original()), help);
        }
    }

    fn list(&mut self, start: Range<usize>) -> Result<Node, Stop> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node { span: covering(&start, items.last().map(|item: &Node| &item.span), &span), kind: Kind::List(items) });
            }
            items.extend(self.node(event, span)?);
        }
        Ok(Node { span: start, kind: Kind::List(items) })
    }

    fn map(&mut self, start: Range<usize>) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                let last = entries.last().map(|entry| &entry.value.span);
                return Ok(Node { span: covering(&start, last, &span), kind: Kind::Map(entries) });
            }
            let key = self.key(event, span, &mut seen)?;
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, span)?;
            if let (Some(key), Some(value)) = (key, value) {
                entries.push(Entry { key, value });
            }
        }
        Ok(Node { span: start, kind: Kind::Map(entries) })
    }

    fn key(&mut self, event: Event<'t>, span: Range<usize>, seen: &mut BTreeSet<String>) -> Result<Option<Key>, Stop> {
        let Some(node) = self.node(event, span)? else { return Ok(None) };
        let Kind::Scalar { text, .. } = node.kind else {
            let help = quote::help_for_line(self.text, node.span.start);
            self.problems.error(&node.span, "a key is a text", help);
            return Ok(None);
        };
        if text == "<<" {
            self.problems.error(&node.span, "merge keys (`<<`) are not read", "write the keys out".to_owned());
            return Ok(None);
        }
        if !seen.insert(text.clone()) {
            self.problems.error(&node.span, format!("the key `{text}` occurs twice"), "keep one of them".to_owned());
            return Ok(None);
        }
        Ok(Some(Key { text, span: node.span }))
    }

    fn refuse(&mut self, stop: &Stop) {
        match stop {
            Stop::TooMany(span) => {
                let message = format!("the file has more than {MAX_FILE_VALUES} values");
                self.problems.error(span, message, "split the workflow".to_owned());
            }
            Stop::Scan(error) => {
                let at = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
                let help = quote::help_for_line(self.text, at);
                self.problems.error(&(at..at), format!("this is no YAML: {}", error.info()), help);
            }
        }
    }
}

/// The span of a collection: to its closing bracket where it has one, else to the end of its last part.
fn covering(start: &Range<usize>, last: Option<&Range<usize>>, end: &Range<usize>) -> Range<usize> {
    let end = if end.is_empty() { last.map_or(start.end, |last| last.end) } else { end.end };
    start.start..end.max(start.start)
}

#[cfg(test)]
mod tests;
