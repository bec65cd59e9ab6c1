//! JSON schemas that are not ours, and values that are not ours checked against them.
//!
//! Checking a value is work that no fuel pays for and no deadline interrupts. So a schema that an agent brings is weighed when it is
//! compiled, with every reference followed; weight times size of a value bounds the work before it is done, and says whether it is little
//! enough to be done where other work waits ([`Schema::is_costly`]).

mod weight;

use bailiwick_core::canonical;
use bailiwick_core::text::is_active;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Most bytes of the text of an agent's schema.
pub const TEXT_BYTES_MOST: usize = 64 * 1024;
/// Most bytes that a regular expression may take compiled.
const PATTERN_BYTES_MOST: usize = 1 << 20;
/// Most units of work of one check: about a second where every estimate is met, which honest schemas stay far below.
const WORK_MOST: u64 = 1 << 30;
/// Units of work from which on a check is costly: about two milliseconds where every estimate is met.
const COSTLY: u64 = 1 << 21;
/// Most mistakes that are told of one value.
const MISTAKES_TOLD: usize = 5;
/// Longest text of one mistake, in bytes: it may quote a value that is not ours.
const MISTAKE_BYTES: usize = 300;

/// A schema that is ready to check values.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// Units of work for each byte of a value; `None` for a schema of the operator, which is not weighed.
    weight: Option<u64>,
}

impl Schema {
    /// Compiles a schema that an agent brings, within bounds. Formats are checked, patterns are linear in time.
    ///
    /// # Errors
    /// What is wrong with it: no schema, too large, too costly, a reference that leaves it or leads back to itself.
    pub fn of_agent(schema: &Value) -> Result<Self, String> {
        // Twice: the size is an estimate, which lies above the text's where a schema is full of small numbers.
        if canonical::size(schema) > 2 * TEXT_BYTES_MOST as u64 {
            return Err(format!("it is too large: {TEXT_BYTES_MOST} bytes are allowed"));
        }
        let weight = weight::weigh(schema)?;
        Ok(Self { validator: validator(schema)?, weight: Some(weight) })
    }

    /// Compiles a schema that an agent brings as text, and gives it as a value too.
    ///
    /// # Errors
    /// As [`Schema::of_agent`]; also when the text is no JSON.
    pub fn read_of_agent(text: &str) -> Result<(Value, Self), String> {
        if text.len() > TEXT_BYTES_MOST {
            return Err(format!("it has {} bytes, {TEXT_BYTES_MOST} are allowed", text.len()));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let schema = Self::of_agent(&value)?;
        Ok((value, schema))
    }

    /// Compiles a schema of the operator, who may write what is costly. Nothing is fetched: a `$ref` that leaves the document is an error.
    ///
    /// # Errors
    /// What is wrong with the schema.
    pub fn of_operator(schema: &Value) -> Result<Self, String> {
        Ok(Self { validator: validator(schema)?, weight: None })
    }

    /// Says whether checking a value may take more than about two milliseconds: then it belongs on a thread that nobody else waits for.
    pub fn is_costly(&self, value: &Value) -> bool {
        self.work(value).is_none_or(|work| work > COSTLY)
    }

    /// Checks a value. Takes at most about a second for a schema of an agent; see [`Schema::is_costly`].
    ///
    /// # Errors
    /// Which fields are wrong and why, at most five of them, or that checking would cost too much.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if self.work(value).is_some_and(|work| work > WORK_MOST) {
            return Err(format!(
                "{} bytes are too many to be checked against a schema of this weight: make its patterns or the value smaller",
                canonical::size(value)
            ));
        }
        let mut errors = self.validator.iter_errors(value);
        let told: Vec<String> = errors.by_ref().take(MISTAKES_TOLD).map(|error| told(&error)).collect();
        match (told.is_empty(), errors.next()) {
            (true, _) => Ok(()),
            (false, None) => Err(told.join("; ")),
            (false, Some(_)) => Err(format!("{}; and more", told.join("; "))),
        }
    }

    /// Units of work of a check; `None` where they are not known.
    fn work(&self, value: &Value) -> Option<u64> {
        Some(self.weight?.saturating_mul(canonical::size(value)))
    }
}

fn validator(schema: &Value) -> Result<Validator, String> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MOST).dfa_size_limit(PATTERN_BYTES_MOST);
    let options = jsonschema::options().should_validate_formats(true).with_pattern_options(patterns);
    options.build(schema).map_err(|error| match error.kind() {
        ValidationErrorKind::Referencing(_) => "a `$ref` leads nowhere in it, or out of it: nothing is fetched".to_owned(),
        _ => short(&error.to_string()),
    })
}

fn told(error: &jsonschema::ValidationError<'_>) -> String {
    let field = error.instance_path().to_string();
    let field = field.trim_start_matches('/').replace('/', ".");
    match field.is_empty() {
        true => short(&error.to_string()),
        false => format!("field `{}`: {}", short(&field), short(&error.to_string())),
    }
}

/// Gives a text for a message: without what a terminal would obey, and not longer than a message should be.
fn short(text: &str) -> String {
    let kept = text.get(..text.floor_char_boundary(MISTAKE_BYTES)).unwrap_or_default();
    let more = if kept.len() < text.len() { "…" } else { "" };
    let clean: String = kept.chars().map(|c| if is_active(c) { '\u{fffd}' } else { c }).collect();
    format!("{clean}{more}")
}

#[cfg(test)]
mod tests;
