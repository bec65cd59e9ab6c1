//! JSON values as a block that people read.

use serde_json::Value;

use super::print;
use crate::fault::WIDTH;
use crate::text::clean;

/// Deepest nesting that is drawn; what lies deeper is shown as JSON in one line.
const DEPTH: usize = 4;

/// Prints a value as a block of keys and values.
pub fn print_value(value: &Value) {
    print(&block(value));
}

/// Prints names and texts in two columns.
pub fn print_block(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, text) in rows {
        for line in wrapped(&format!("{key:<width$}  "), &clean(text)) {
            print(&line);
        }
    }
}

/// Draws a value as a block of keys and values.
pub fn block(value: &Value) -> String {
    let mut lines = Vec::new();
    draw(value, 0, &mut lines);
    lines.join("\n")
}

fn draw(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if depth < DEPTH && !map.is_empty() => {
            let is_flat = |value: &Value| scalar(value).is_some();
            let width = map.iter().filter(|(_, value)| is_flat(value)).map(|(key, _)| console::measure_text_width(key)).max().unwrap_or(0);
            for (key, value) in map {
                draw_entry(&indent, &clean(key), width, value, depth, lines);
            }
        }
        Value::Array(items) if depth < DEPTH && !items.is_empty() => {
            for item in items {
                match scalar(item) {
                    Some(text) => lines.extend(wrapped(&format!("{indent}- "), &text)),
                    None => {
                        lines.push(format!("{indent}-"));
                        draw(item, depth + 1, lines);
                    }
                }
            }
        }
        other => lines.extend(wrapped(&indent, &scalar(other).unwrap_or_else(|| clean(&other.to_string()).into_owned()))),
    }
}

fn draw_entry(indent: &str, key: &str, width: usize, value: &Value, depth: usize, lines: &mut Vec<String>) {
    match scalar(value) {
        Some(text) => lines.extend(wrapped(&format!("{indent}{}  ", console::pad_str(key, width, console::Alignment::Left, None)), &text)),
        None => {
            lines.push(format!("{indent}{key}"));
            draw(value, depth + 1, lines);
        }
    }
}

/// Gives the text of a value that fits a line; `–` stands for nothing.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("–".to_owned()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(clean(text).into_owned()),
        Value::Array(items) if items.is_empty() => Some("none".to_owned()),
        Value::Object(map) if map.is_empty() => Some("none".to_owned()),
        // A short list of words reads better in one line.
        Value::Array(items) => {
            let words: Option<Vec<String>> =
                items.iter().map(|item| (!item.is_array() && !item.is_object()).then(|| scalar(item)).flatten()).collect();
            words.map(|words| words.join(", ")).filter(|line| line.len() <= WIDTH / 2)
        }
        Value::Object(_) => None,
    }
}

/// Breaks a text into lines of at most [`WIDTH`] columns, later lines below the first.
fn wrapped(prefix: &str, text: &str) -> Vec<String> {
    let width = console::measure_text_width(prefix);
    let room = WIDTH.saturating_sub(width).max(20);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let needed = console::measure_text_width(&line) + 1 + console::measure_text_width(word);
        if !line.is_empty() && needed > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let rest = " ".repeat(width);
    lines
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{}{line}", if index == 0 { prefix } else { &rest }).trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_reads_as_a_block() {
        let value = json!({
            "decision": "accepted", "ticket": null, "ok": true,
            "refund": {"minor-units": 12990, "currency": "EUR"},
            "rules": ["within-window", "x\x1b[2J"],
            "long": "word ".repeat(30).trim(),
            "none": [],
        });
        insta::assert_snapshot!("block", block(&value));
    }
}
