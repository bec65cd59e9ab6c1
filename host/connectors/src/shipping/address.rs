//! Addresses: what a carrier takes, and in which letters it is printed.

use std::collections::BTreeMap;

use bailiwick_core::error::CallError;
use serde_json::Value;
use skrifa::{FontRef, MetadataProvider};

/// Most characters of the fields of an address. Longer ones are `invalid`: nothing is cut off silently.
const MAX_NAME_CHARS: usize = 100;
const MAX_STREET_CHARS: usize = 320;
const MAX_CITY_CHARS: usize = 100;
const MAX_POSTAL_CODE_CHARS: usize = 16;

/// Most characters of a printed field, after other scripts were written in Latin letters, which takes more of them.
const MAX_PRINTED_CHARS: usize = 400;

/// An address that a label can be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) street: String,
    pub(crate) postal_code: String,
    pub(crate) city: String,
    pub(crate) country: String,
}

impl Address {
    /// Reads the argument `sender`.
    ///
    /// # Errors
    /// `invalid` with the field: empty, too long, a control character, a country that the carrier does not serve, a postal code of another form.
    pub(crate) fn read(sender: &Value, countries: &BTreeMap<String, String>) -> Result<Self, CallError> {
        let address = Self {
            name: field(sender, "name", MAX_NAME_CHARS)?,
            street: field(sender, "street", MAX_STREET_CHARS)?,
            postal_code: field(sender, "postal-code", MAX_POSTAL_CODE_CHARS)?,
            city: field(sender, "city", MAX_CITY_CHARS)?,
            country: field(sender, "country", 2)?,
        };
        for (name, text) in [("name", &address.name), ("street", &address.street), ("city", &address.city)] {
            if text.is_empty() {
                return Err(invalid(name, "it is empty"));
            }
        }
        let Some(pattern) = countries.get(&address.country) else {
            return Err(invalid("country", &format!("parcels are not collected in `{}`", address.country)));
        };
        if !matches_pattern(&address.postal_code, pattern) {
            return Err(invalid("postal-code", &format!("it does not have the form `{pattern}` of {}", address.country)));
        }
        Ok(address)
    }

    /// Gives the lines of the address, each readable, and whether letters of another script had to be rewritten.
    ///
    /// # Errors
    /// `invalid` with the field when nothing readable is left of it, or too much for a label.
    pub(crate) fn to_lines(&self) -> Result<(Vec<String>, bool), CallError> {
        let place = format!("{} {}", self.postal_code, self.city);
        let mut lines = Vec::with_capacity(4);
        let mut any_rewritten = false;
        for (name, text) in [("name", self.name.as_str()), ("street", &self.street), ("city", place.trim()), ("country", &self.country)] {
            let (line, rewritten) = readable(text);
            if line.trim().is_empty() || line.chars().count() > MAX_PRINTED_CHARS {
                return Err(invalid(name, "it cannot be printed in letters that the carrier reads"));
            }
            any_rewritten |= rewritten;
            lines.push(line);
        }
        Ok((lines, any_rewritten))
    }
}

fn field(sender: &Value, name: &str, most: usize) -> Result<String, CallError> {
    let text = sender.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    if text.chars().count() > most {
        return Err(invalid(name, &format!("it has more than {most} characters")));
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(invalid(name, "it has a control character"));
    }
    Ok(text.to_owned())
}

/// Marks that change how a line reads without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

fn invalid(name: &str, why: &str) -> CallError {
    CallError::invalid(&format!("sender.{name}"), format!("the sender's {name}: {why}"))
}

/// Whether a pattern has nothing but digits (`#`), letters (`@`), spaces and hyphens.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    pattern.len() <= MAX_POSTAL_CODE_CHARS && pattern.chars().all(|c| matches!(c, '#' | '@' | ' ' | '-'))
}

fn matches_pattern(text: &str, pattern: &str) -> bool {
    text.chars().count() == pattern.chars().count()
        && text.chars().zip(pattern.chars()).all(|(c, p)| match p {
            '#' => c.is_ascii_digit(),
            '@' => c.is_ascii_uppercase(),
            p => c == p,
        })
}

/// Writes what the font does not have in Latin letters, and says whether it had to. The font has Latin, Greek and Cyrillic.
pub(crate) fn readable(text: &str) -> (String, bool) {
    let Ok(font) = FontRef::new(epaint_default_fonts::HACK_REGULAR) else {
        return (any_ascii::any_ascii(text), true);
    };
    let characters = font.charmap();
    let mut rewritten = false;
    let line = text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if characters.map(c).is_some() {
            line.push(c);
        } else {
            rewritten = true;
            line.push_str(any_ascii::any_ascii_char(c));
        }
        line
    });
    (line, rewritten)
}
