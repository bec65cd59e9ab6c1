//! Texts from outside: what they may do to whoever sees them, and how long they are.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether a character does something to a terminal, ends a line, changes the order in which a line is read, or is not seen at all: what an agent
/// writes must neither look like something that the host wrote nor hide something from whoever reads it.
///
/// Joiners stay, since scripts and signs are written with them.
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Marks, overrides and isolates of direction ("Trojan Source"); separators of lines and paragraphs.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Without width: text that people do not see and models do.
            | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Gives a JSON text in which active characters stand as escapes. It is the same value; serializers escape only what comes before the space.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_active(c) && c != '\n';
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a `String` cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Cuts a text at a number of bytes; an ellipsis says so.
pub fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
}

/// Writes something, but not more than a number of bytes of it; it is not formatted any further then.
pub(crate) fn write_cut(f: &mut fmt::Formatter<'_>, bytes: usize, what: fmt::Arguments<'_>) -> fmt::Result {
    struct Cut<'c, 'f> {
        to: &'c mut fmt::Formatter<'f>,
        left: usize,
        is_over: bool,
    }
    impl fmt::Write for Cut<'_, '_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if text.len() <= self.left {
                self.left -= text.len();
                return self.to.write_str(text);
            }
            self.is_over = true;
            self.to.write_str(text.get(..text.floor_char_boundary(self.left)).unwrap_or_default())?;
            self.to.write_char('…')?;
            // Stops whoever formats.
            Err(fmt::Error)
        }
    }
    let mut cut = Cut { to: f, left: bytes, is_over: false };
    match cut.write_fmt(what) {
        Err(_) if cut.is_over => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_active_is_told_from_what_is_written() {
        for c in "\u{1b}\u{7f}\u{9b}\n\u{61c}\u{200b}\u{200f}\u{2028}\u{202e}\u{2066}\u{feff}\u{e0041}".chars() {
            assert!(is_active(c), "{c:?}");
        }
        for c in "aé漢 \u{200d}\u{200c}👍-…".chars() {
            assert!(!is_active(c), "{c:?}");
        }
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = json!({"a\u{9b}": "x\u{202e}y\u{7f}\u{e0041}\u{1b}[2J\n", "b": ["é", 1]});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap_or_default()] {
            let escaped = escape_json(&text);
            assert!(!escaped.contains(|c| is_active(c) && c != '\n'), "{escaped}");
            assert_eq!(serde_json::from_str::<Value>(&escaped).ok(), Some(value.clone()));
        }
        assert!(matches!(escape_json("{\n  \"a\": \"é\"\n}"), Cow::Borrowed(_)));
    }
}
