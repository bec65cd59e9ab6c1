//! Reading single values of the tree, strictly.

use std::ops::Range;
use std::str::FromStr;

use bailiwick_core::limits::{ByteCount, Span};
use bailiwick_core::suggest;
use serde_json::{Map, Number, Value};

use crate::diagnostic::Problems;
use crate::quote;
use crate::yaml::{Entry, Kind, Node, Scalar, Style};

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A map whose keys are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapView<'n> {
    node: &'n Node,
    entries: &'n [Entry],
}

impl<'n> MapView<'n> {
    /// Looks at a node as a map with some of the keys `allowed`; every other key is an error that names the nearest.
    pub(crate) fn of(problems: &mut Problems, node: &'n Node, what: &str, allowed: &[&str]) -> Option<Self> {
        let view = Self::open(problems, node, what)?;
        for entry in view.entries {
            if !allowed.contains(&entry.key.text.as_str()) {
                let help = suggest::help(&entry.key.text, allowed.iter().copied());
                problems.error(&entry.key.span, format!("{what} has no key `{}`", entry.key.text), help);
            }
        }
        Some(view)
    }

    /// Looks at a node as a map with keys of the author's choice.
    pub(crate) fn open(problems: &mut Problems, node: &'n Node, what: &str) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => Some(Self { node, entries }),
            _ => {
                problems.error(&node.span, format!("{what} is a map of keys and values, found {}", node.what()), quote_if_expression(node));
                None
            }
        }
    }

    pub(crate) fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// Gets a value that has to be there.
    pub(crate) fn required(&self, problems: &mut Problems, key: &str, what: &str, help: &str) -> Option<&'n Node> {
        let value = self.get(key);
        if value.is_none() {
            // A whole map is too much to underline: its first line says where it is.
            let start = self.node.span.start;
            let first = self.entries.first().map_or(start..start, |entry| entry.key.span.clone());
            problems.error(&first, format!("{what} has no `{key}`"), help.to_owned());
        }
        value
    }
}

fn quote_if_expression(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar { text, style: Style::Plain } if text.contains("${") => Some(quote::help(text)),
        _ => None,
    }
}

/// Reads a text. What YAML takes for a number, a boolean or null is none.
pub(crate) fn text(problems: &mut Problems, node: &Node, what: &str) -> Option<Spanned<String>> {
    let Kind::Scalar { text, style } = &node.kind else {
        let help = if matches!(node.kind, Kind::Map(_)) { quote::help_for_line(&problems.text(), node.span.start) } else { None };
        problems.error(&node.span, format!("{what} is text, found {}", node.what()), help);
        return None;
    };
    match Scalar::of(text, *style) {
        Scalar::Text => Some(Spanned { value: text.clone(), span: node.span.clone() }),
        Scalar::Null => {
            problems.error(&node.span, format!("{what} is text, found nothing"), "write a text".to_owned());
            None
        }
        _ => {
            problems.error(&node.span, format!("{what} is text, found {} `{text}`", node.what()), quote::help(text));
            None
        }
    }
}

/// Reads an expression that stands alone, such as `when`: always in quotes.
pub(crate) fn expression(problems: &mut Problems, node: &Node, what: &str) -> Option<Spanned<String>> {
    if let Kind::Scalar { text, style: Style::Plain } = &node.kind
        && !text.is_empty()
    {
        problems.error(&node.span, format!("{what} is an expression, and expressions are quoted"), quote::help(text));
        return None;
    }
    text(problems, node, what)
}

/// Reads a text by its `FromStr`.
pub(crate) fn parsed<T: FromStr>(problems: &mut Problems, node: &Node, what: &str, help: &str) -> Option<Spanned<T>> {
    let text = text(problems, node, what)?;
    match text.value.parse() {
        Ok(value) => Some(Spanned { value, span: text.span }),
        Err(_) => {
            problems.error(&text.span, format!("`{}` is not {what}", text.value), help.to_owned());
            None
        }
    }
}

/// Reads a span of time.
pub(crate) fn duration(problems: &mut Problems, node: &Node) -> Option<Span> {
    if let Kind::Scalar { text, style } = &node.kind
        && matches!(Scalar::of(text, *style), Scalar::Int(_) | Scalar::Float(_))
    {
        problems.error(
            &node.span,
            format!("a span of time has a unit, found `{text}`"),
            format!("write for example `{text}ms` or `{text}s`"),
        );
        return None;
    }
    let span: Spanned<Span> = parsed(problems, node, "a span of time", "write for example `800ms` or `30s`")?;
    if span.value.0.is_zero() {
        problems.error(&span.span, "a span of time of zero lets nothing happen", "write for example `800ms`".to_owned());
        return None;
    }
    Some(span.value)
}

/// Reads a number of bytes.
pub(crate) fn bytes(problems: &mut Problems, node: &Node) -> Option<ByteCount> {
    let found = text(problems, node, "a size")?;
    // `ByteCount` reads itself through serde; there is one way to write a size in the whole project.
    match serde_json::from_value(Value::String(found.value)) {
        Ok(size) => Some(size),
        Err(error) => {
            problems.error(&found.span, error.to_string(), None);
            None
        }
    }
}

/// Reads a whole number from `least` to `most`.
pub(crate) fn whole(problems: &mut Problems, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
    let number = match &node.kind {
        Kind::Scalar { text, style } => match Scalar::of(text, *style) {
            Scalar::Int(number) => u64::try_from(number).ok(),
            _ => None,
        },
        _ => None,
    };
    if number.is_none_or(|number| number < least || number > most) {
        problems.error(&node.span, format!("{what} is a whole number from {least} to {most}"), None);
        return None;
    }
    number
}

/// Reads a boolean.
pub(crate) fn boolean(problems: &mut Problems, node: &Node, what: &str) -> Option<bool> {
    if let Kind::Scalar { text, style } = &node.kind
        && let Scalar::Bool(value) = Scalar::of(text, *style)
    {
        return Some(value);
    }
    problems.error(&node.span, format!("{what} is `true` or `false`, found {}", node.what()), None);
    None
}

/// Reads a list.
pub(crate) fn list<'n>(problems: &mut Problems, node: &'n Node, what: &str) -> Option<&'n [Node]> {
    match &node.kind {
        Kind::List(items) => Some(items),
        _ => {
            problems.error(&node.span, format!("{what} is a list, found {}", node.what()), "write each entry behind `- `".to_owned());
            None
        }
    }
}

/// Reads any value as JSON, for a template: expressions in it are still text, and have to be quoted.
pub(crate) fn json(problems: &mut Problems, node: &Node) -> Option<Value> {
    match &node.kind {
        Kind::Scalar { text, style } => scalar(problems, node, text, *style),
        Kind::List(items) => {
            let values: Vec<_> = items.iter().map(|item| json(problems, item)).collect();
            values.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Kind::Map(entries) => {
            let mut map = Map::new();
            let mut complete = true;
            for entry in entries {
                match json(problems, &entry.value) {
                    Some(value) => {
                        map.insert(entry.key.text.clone(), value);
                    }
                    None => complete = false,
                }
            }
            complete.then_some(Value::Object(map))
        }
    }
}

fn scalar(problems: &mut Problems, node: &Node, text: &str, style: Style) -> Option<Value> {
    match Scalar::of(text, style) {
        // `a:` with nothing behind it is more often forgotten than meant.
        Scalar::Null if node.span.is_empty() => {
            problems.error(&node.span, "there is no value here", "write `null` where nothing is meant".to_owned());
            None
        }
        Scalar::Null => Some(Value::Null),
        Scalar::Bool(value) => Some(Value::Bool(value)),
        Scalar::Int(number) => Some(Value::Number(number.into())),
        Scalar::Float(number) => Number::from_f64(number).map(Value::Number),
        Scalar::Odd => {
            let message = format!("`{text}` is a number that readers understand differently");
            let help = format!("write it in decimal, or as text: \"{text}\"");
            problems.error(&node.span, message, help);
            None
        }
        Scalar::Text if style == Style::Plain && text.contains("${") => {
            problems.error(&node.span, "an expression is always quoted", quote::help(text));
            None
        }
        Scalar::Text => Some(Value::String(text.to_owned())),
    }
}
