//! Schemas that an agent brings: compiled within bounds, and never the host's undoing.
//!
//! Checking a value is work that no fuel pays for and no deadline interrupts. So a schema is weighed when it is installed, with every
//! reference followed, and weight times size of a value is bounded before the value is checked.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use regex::RegexBuilder;
use serde_json::Value;

use crate::host::clean;

/// Most bytes of a schema's text.
const TEXT_BYTES_MOST: usize = 64 * 1024;
/// Most places of a schema, each counted as often as references lead to it.
const PLACES_MOST: u64 = 20_000;
/// Deepest nesting, references followed. Compiling and checking recurse as deep.
const DEPTH_MOST: usize = 100;
/// Most bytes that a regular expression may take compiled.
const PATTERN_BYTES_MOST: usize = 1 << 20;
/// Most bytes that all regular expressions of a schema may take compiled. Each is compiled several times while it is weighed and kept
/// afterwards, so thousands of the largest would take minutes and gigabytes.
const PATTERNS_BYTES_MOST: u64 = 8 << 20;
/// Bytes of compiled pattern that are one unit of work for each byte of text: about one state of its automaton.
const PATTERN_BYTES_PER_UNIT: u64 = 16;
/// Units of work of one place for each byte of a value.
const PLACE_UNITS: u64 = 4;
/// Most units of work of one check: about a second where every estimate is met, which honest schemas stay far below.
const WORK_MOST: u64 = 1 << 30;

/// A schema of an agent, ready to check values.
pub(crate) struct Schema {
    validator: Validator,
    /// Units of work for each byte of a value.
    weight: u64,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it: no JSON, no schema, too large, too costly, a reference that leaves it or leads back to itself.
    pub(crate) fn compile(text: &str) -> Result<(Value, Self), String> {
        if text.len() > TEXT_BYTES_MOST {
            return Err(format!("it has {} bytes, {TEXT_BYTES_MOST} are allowed", text.len()));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let weight = Scales { root: &value, weighed: HashMap::new(), pattern_bytes: 0 }.weigh(&value, 0)?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MOST).dfa_size_limit(PATTERN_BYTES_MOST))
            .build(&value)
            .map_err(|error| short(&error.to_string()))?;
        Ok((value, Self { validator, weight: weight.places.saturating_mul(PLACE_UNITS).saturating_add(weight.patterns) }))
    }

    /// Checks a value, naming the first place that is wrong.
    ///
    /// # Errors
    /// The place and what is wrong there, or that checking would cost too much.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let bytes = crate::json::size(value);
        if self.weight.saturating_mul(bytes) > WORK_MOST {
            return Err(format!(
                "{bytes} bytes are too many to be checked against a schema of this weight: make its patterns or the value smaller"
            ));
        }
        self.validator.validate(value).map_err(|error| {
            let place = error.instance_path().to_string();
            let text = short(&error.to_string());
            if place.is_empty() { text } else { format!("at `{}`: {text}", short(&place)) }
        })
    }
}

/// Gives a text for a message: clean, and not longer than a message should be.
fn short(text: &str) -> String {
    let kept = text.get(..text.floor_char_boundary(300)).unwrap_or_default();
    let more = if kept.len() < text.len() { "…" } else { "" };
    format!("{}{more}", clean(kept))
}

/// What a part of a schema costs, with every reference in it followed.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    places: u64,
    patterns: u64,
    depth: usize,
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.places = self.places.saturating_add(other.places);
        self.patterns = self.patterns.saturating_add(other.patterns);
        self.depth = self.depth.max(other.depth + 1);
    }
}

/// Weighs a schema. Every object is taken for a schema and every key for a keyword, so what only looks like one (a property of
/// that name, an example) is weighed too: the weight is never too small.
struct Scales<'a> {
    root: &'a Value,
    /// Targets of references by pointer; `None` while one is being weighed.
    weighed: HashMap<&'a str, Option<Weight>>,
    /// Bytes of all patterns that were compiled so far.
    pattern_bytes: u64,
}

impl<'a> Scales<'a> {
    fn weigh(&mut self, value: &'a Value, depth: usize) -> Result<Weight, String> {
        let mut weight = Weight { places: 1, patterns: 0, depth: 0 };
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add(&mut weight, item, depth)?;
                }
            }
            Value::Object(map) => {
                for (key, item) in map {
                    match (key.as_str(), item) {
                        ("$ref", Value::String(target)) => weight.add(self.follow(target, depth)?),
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => return Err(format!("`{key}` is not supported: use `$ref`")),
                        // A part with an id of its own would change where the references in it lead.
                        ("$id", Value::String(_)) if depth > 0 => return Err("`$id` is allowed at the top only".to_owned()),
                        ("pattern", Value::String(pattern)) => weight.patterns = weight.patterns.saturating_add(self.pattern(pattern)?),
                        ("patternProperties", Value::Object(patterns)) => {
                            for pattern in patterns.keys() {
                                weight.patterns = weight.patterns.saturating_add(self.pattern(pattern)?);
                            }
                            self.add(&mut weight, item, depth)?;
                        }
                        _ => self.add(&mut weight, item, depth)?,
                    }
                }
            }
            _ => {}
        }
        if weight.places > PLACES_MOST {
            return Err(format!("with its references followed it has more than {PLACES_MOST} places"));
        }
        Ok(weight)
    }

    /// Weighs a pattern, as long as all of them together stay within bounds.
    fn pattern(&mut self, pattern: &str) -> Result<u64, String> {
        let bytes = pattern_bytes(pattern);
        self.pattern_bytes = self.pattern_bytes.saturating_add(bytes);
        if self.pattern_bytes > PATTERNS_BYTES_MOST {
            return Err(format!("its patterns take more than {} MiB together when compiled", PATTERNS_BYTES_MOST >> 20));
        }
        Ok(bytes / PATTERN_BYTES_PER_UNIT)
    }

    fn add(&mut self, weight: &mut Weight, item: &'a Value, depth: usize) -> Result<(), String> {
        let inner = self.weigh(item, depth + 1)?;
        weight.add(inner);
        if depth + weight.depth > DEPTH_MOST {
            return Err(format!("with its references followed it is nested deeper than {DEPTH_MOST}"));
        }
        Ok(())
    }

    fn follow(&mut self, target: &'a str, depth: usize) -> Result<Weight, String> {
        let named = short(target);
        match self.weighed.get(target) {
            Some(Some(weight)) => {
                return if depth + weight.depth > DEPTH_MOST {
                    Err(format!("`{named}` leads deeper than {DEPTH_MOST}"))
                } else {
                    Ok(*weight)
                };
            }
            Some(None) => return Err(format!("`{named}` leads back to itself: schemas of agents are finite")),
            None => {}
        }
        if depth > DEPTH_MOST {
            return Err(format!("`{named}` leads deeper than {DEPTH_MOST}"));
        }
        if !target.starts_with("#/") {
            return Err(format!("`$ref` to `{named}` leads elsewhere: write it as `#/$defs/NAME`"));
        }
        let found = self.root.pointer(target.trim_start_matches('#')).ok_or_else(|| format!("`$ref` to `{named}` leads to nothing"))?;
        self.weighed.insert(target, None);
        let weight = self.weigh(found, depth + 1)?;
        self.weighed.insert(target, Some(weight));
        Ok(weight)
    }
}

/// Estimates the size of a compiled pattern: the least power of two of bytes that it fits into. The work for each byte of text grows with it.
fn pattern_bytes(pattern: &str) -> u64 {
    let fits = |bytes: &usize| RegexBuilder::new(pattern).size_limit(*bytes).build().is_ok();
    // A pattern of another dialect counts as the largest; the validator decides whether it compiles at all.
    let bytes = std::iter::successors(Some(1024_usize), |bytes| Some(bytes * 2)).take_while(|bytes| *bytes < PATTERN_BYTES_MOST).find(fits);
    bytes.unwrap_or(PATTERN_BYTES_MOST) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(schema: &Value) -> String {
        Schema::compile(&schema.to_string()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn an_ordinary_schema_checks_ordinary_values() {
        let schema = json!({
            "type": "object", "required": ["id"], "additionalProperties": false,
            "properties": {"id": {"type": "string", "pattern": "^[A-Z]-\\d+$"}, "at": {"$ref": "#/$defs/place"}, "also": {"$ref": "#/$defs/place"}},
            "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string", "pattern": "^\\w[\\w -]*$"}}}},
        });
        let (_, schema) = Schema::compile(&schema.to_string()).unwrap();
        schema.check(&json!({"id": "C-1042", "at": {"city": "Bad Ems"}})).unwrap();
        assert!(schema.check(&json!({"id": "C-1042", "at": {"city": "!"}})).unwrap_err().starts_with("at `/at/city`"));
        assert!(schema.check(&json!({})).is_err());
    }

    #[test]
    fn references_stay_inside_and_end() {
        for (schema, expected) in [
            (json!({"$ref": "#"}), "leads elsewhere"),
            (json!({"$ref": "http://localhost/x"}), "leads elsewhere"),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/a"}}}}}), "back to itself"),
            (json!({"$ref": "#/$defs/a"}), "leads to nothing"),
            (json!({"$dynamicRef": "#a"}), "`$dynamicRef`"),
            (json!({"properties": {"a": {"$id": "http://localhost/x"}}}), "`$id`"),
        ] {
            let message = refusal(&schema);
            assert!(message.contains(expected), "{schema}: {message}");
        }
    }

    #[test]
    fn doubling_and_chains_are_weighed() {
        let level = |to: usize, times: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{to}")}); times]});
        let chain = |levels: usize, times: usize| {
            let mut definitions: serde_json::Map<String, Value> = (0..levels).map(|n| (format!("d{n}"), level(n + 1, times))).collect();
            definitions.insert(format!("d{levels}"), json!({"type": "object"}));
            json!({"$ref": "#/$defs/d0", "$defs": definitions})
        };
        assert!(refusal(&chain(30, 2)).contains("places"));
        assert!(refusal(&chain(80, 1)).contains("deeper"));
        Schema::compile(&chain(6, 2).to_string()).unwrap();
    }

    #[test]
    fn a_costly_pattern_is_for_short_values() {
        let (_, schema) = Schema::compile(&json!({"type": "string", "pattern": "(x|y)*x(x|y){2000}q"}).to_string()).unwrap();
        assert!(schema.check(&json!("x")).unwrap_err().contains("does not match"));
        assert!(schema.check(&json!("x".repeat(2_000_000))).unwrap_err().contains("too many to be checked"));
    }

    #[test]
    fn many_costly_patterns_are_refused_before_all_are_compiled() {
        let of = |count: usize| -> Value {
            let properties = (0..count).map(|n| (format!("p{n}"), json!({"type": "string", "pattern": format!("(x|y){{2000}}{n}")})));
            json!({"properties": properties.collect::<serde_json::Map<_, _>>()})
        };
        Schema::compile(&of(4).to_string()).unwrap();
        assert!(refusal(&of(1_000)).contains("patterns take more than"));
        let keys: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("(x|y){{2000}}{n}"), json!({}))).collect();
        assert!(refusal(&json!({"patternProperties": keys})).contains("patterns take more than"));
    }
}
