//! What checking a value against a schema may cost, found from the schema alone.

use std::collections::HashMap;

use regex::RegexBuilder;
use serde_json::Value;

use crate::{PATTERN_BYTES_MOST, short};

/// Most places of a schema, each counted as often as references lead to it.
const PLACES_MOST: u64 = 20_000;
/// Deepest nesting, references followed. Compiling and checking recurse as deep.
const DEPTH_MOST: usize = 100;
/// Most bytes that all regular expressions of a schema may take compiled. Each is compiled several times while it is weighed and kept
/// afterwards, so thousands of the largest would take minutes and gigabytes.
const PATTERNS_BYTES_MOST: u64 = 8 << 20;
/// Bytes of compiled pattern that are one unit of work for each byte of text: about one state of its automaton.
const PATTERN_BYTES_PER_UNIT: u64 = 16;
/// Units of work of one place for each byte of a value.
const PLACE_UNITS: u64 = 4;

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

/// Weighs a schema: gives the units of work that checking takes for each byte of a value.
///
/// # Errors
/// What makes it too large or too costly, or a reference that leaves it or leads back to itself.
pub(crate) fn weigh(schema: &Value) -> Result<u64, String> {
    let weight = Scales { root: schema, weighed: HashMap::new(), pattern_bytes: 0 }.weigh(schema, 0)?;
    Ok(weight.places.saturating_mul(PLACE_UNITS).saturating_add(weight.patterns))
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
                        // Whether a text is a regular expression is found by compiling it, which no weight here bounds.
                        ("format", Value::String(format)) if format == "regex" => {
                            return Err("`format: regex` is not supported: leave it out".to_owned());
                        }
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
