//! A ruleset, typed and compiled.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::error::CallError;
use bailiwick_core::suggest;
use bailiwick_expr::{Bounds, Env, Program, Type};
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use serde_saphyr::{Location, Spanned};

use super::config::{FactConfig, FactType, RuleConfig, RulesetFile};
use crate::problem::{Problem, SourceText, unknown_key};

/// Most rules of one ruleset.
const MAX_RULES: usize = 500;

/// Most facts of one ruleset, and most texts of one list among them.
const MAX_FACTS: usize = 64;
const MAX_TEXTS: usize = 1_000;

/// Steps that the condition of one rule may take. 500 rules of so many steps stay below 100 ms.
const MAX_RULE_STEPS: u64 = 20_000;

/// The id under which the default decides.
pub(crate) const DEFAULT_RULE: &str = "default";

/// A ruleset.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    version: String,
    facts: BTreeMap<String, FactConfig>,
    as_of: Option<String>,
    rules: Vec<Rule>,
    default: Outcome,
}

#[derive(Debug)]
struct Rule {
    id: String,
    when: Program,
    outcome: Outcome,
    valid_from: Option<Date>,
    valid_to: Option<Date>,
}

#[derive(Debug)]
struct Outcome {
    outcome: String,
    /// In the JSON form of `list<fact>`.
    values: Value,
}

impl Table {
    /// Reads, types and compiles a ruleset.
    pub(crate) fn load(source: &SourceText) -> Result<Self, Vec<Problem>> {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        let file: RulesetFile =
            serde_saphyr::from_str_with_options(&source.text, options).map_err(|error| vec![yaml_problem(source, &error)])?;
        let mut loader = Loader { source, file: &file, problems: Vec::new() };
        let table = loader.table();
        match (table, loader.problems.is_empty()) {
            (Some(table), true) => Ok(table),
            _ => Err(loader.problems),
        }
    }

    /// Reads the facts that a caller gives: each declared one, of its type, once.
    pub(crate) fn read_facts(&self, facts: &[Value]) -> Result<Map<String, Value>, CallError> {
        let mut given = Map::new();
        for fact in facts {
            let name = fact.get("name").and_then(Value::as_str).unwrap_or_default();
            let at = format!("facts.{name}");
            let Some(config) = self.facts.get(name) else {
                let help = suggest::help(name, self.facts.keys().map(String::as_str));
                return Err(CallError::invalid(&at, format!("the ruleset `{}` knows no fact `{name}`: {help}", self.name)));
            };
            let value = fact.get("value").and_then(|value| plain(value, config.ty)).ok_or_else(|| {
                CallError::invalid(&at, format!("the fact `{name}` of the ruleset `{}` is a {}", self.name, type_name(config.ty)))
            })?;
            if given.insert(variable(name), value).is_some() {
                return Err(CallError::invalid(&at, format!("the fact `{name}` is given twice")));
            }
        }
        for (name, config) in &self.facts {
            if !config.optional && !given.contains_key(&variable(name)) {
                return Err(CallError::invalid(&format!("facts.{name}"), format!("the ruleset `{}` needs the fact `{name}`", self.name)));
            }
            given.entry(variable(name)).or_insert(Value::Null);
        }
        Ok(given)
    }

    /// Decides, in the JSON form of WIT `decision`. A rule that cannot be evaluated leaves no decision at all: the one
    /// that would have come after it may say the opposite.
    pub(crate) fn decide(&self, facts: &Map<String, Value>) -> Result<Value, CallError> {
        let today =
            self.as_of.as_ref().and_then(|name| facts.get(&variable(name))).and_then(Value::as_str).and_then(|t| t.parse::<Date>().ok());
        let mut held: Vec<&Rule> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.is_valid(today)) {
            let holds = rule.when.eval(facts).map_err(|error| {
                CallError::bad_upstream(format!("rule `{}` of the ruleset `{}` cannot be evaluated: {error}", rule.id, self.name))
            })?;
            if holds == Value::Bool(true) {
                held.push(rule);
            }
        }
        let decided = held.first().map_or(&self.default, |rule| &rule.outcome);
        let ids: Vec<&str> = if held.is_empty() { vec![DEFAULT_RULE] } else { held.iter().map(|rule| rule.id.as_str()).collect() };
        Ok(json!({ "outcome": decided.outcome, "rules": ids, "values": decided.values, "ruleset-version": self.version }))
    }
}

impl Rule {
    /// Whether the rule is in force on a day, both ends included. Without a day only a rule without ends is.
    fn is_valid(&self, on: Option<Date>) -> bool {
        match on {
            Some(day) => self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day <= to),
            None => self.valid_from.is_none() && self.valid_to.is_none(),
        }
    }
}

struct Loader<'a> {
    source: &'a SourceText,
    file: &'a RulesetFile,
    problems: Vec<Problem>,
}

impl Loader<'_> {
    fn table(&mut self) -> Option<Table> {
        let file = self.file;
        if file.rules.len() > MAX_RULES || file.facts.len() > MAX_FACTS {
            self.problems.push(self.source.problem(format!("a ruleset has at most {MAX_RULES} rules and {MAX_FACTS} facts")));
            return None;
        }
        let env = self.env();
        self.check_rules();
        let rules: Vec<Rule> = file.rules.iter().filter_map(|rule| self.rule(rule, &env)).collect();
        let default = self.outcome(None, &file.default.outcome, &file.default.values)?;
        Some(Table {
            name: file.ruleset.clone(),
            version: file.version.clone(),
            facts: file.facts.clone(),
            as_of: file.as_of.as_ref().map(|name| name.value.clone()),
            rules,
            default,
        })
    }

    fn env(&mut self) -> Env {
        let mut env = Env::new();
        for (name, config) in &self.file.facts {
            let name_is_good = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if !name_is_good {
                self.problems.push(self.source.problem(format!("the fact `{name}` needs a name of lower-case letters, digits and `-`")));
            }
            let ty = match config.ty {
                FactType::Text | FactType::Date => Type::String,
                FactType::Number => Type::Int,
                FactType::Flag => Type::Bool,
                FactType::Texts => Type::list(Type::String),
            };
            env.insert(variable(name), if config.optional { ty.nullable() } else { ty });
        }
        env
    }

    /// Ids are there once, conditions too, and dates have something to be judged by.
    fn check_rules(&mut self) {
        let file = self.file;
        let mut ids = BTreeSet::from([DEFAULT_RULE]);
        for (index, rule) in file.rules.iter().enumerate() {
            if !ids.insert(&rule.id.value) {
                let taken = if rule.id.value == DEFAULT_RULE { " belongs to the default" } else { " is the id of two rules" };
                self.problem(&rule.id, format!("`{}`{taken}", rule.id.value), None);
            }
            let earlier = file.rules.iter().take(index).find(|e| e.when.value.trim() == rule.when.value.trim() && overlap(e, rule));
            if let Some(earlier) = earlier {
                let message = format!(
                    "rule `{}` has the condition of rule `{}`, which comes first, so it never decides",
                    rule.id.value, earlier.id.value
                );
                self.problem(&rule.when, message, Some("remove one, or give them periods that do not overlap".to_owned()));
            }
            if let (Some(from), Some(to)) = (rule.valid_from, rule.valid_to)
                && to < from
            {
                self.problem(&rule.id, format!("rule `{}` ends on {to}, before it begins on {from}", rule.id.value), None);
            }
            if (rule.valid_from.is_some() || rule.valid_to.is_some()) && file.as_of.is_none() {
                let help = "add `as-of: FACT`, so that the same facts always give the same decision".to_owned();
                self.problem(
                    &rule.id,
                    format!("rule `{}` has a period, but the ruleset does not say by which date", rule.id.value),
                    Some(help),
                );
            }
        }
        if let Some(as_of) = &file.as_of
            && !file.facts.get(&as_of.value).is_some_and(|fact| fact.ty == FactType::Date && !fact.optional)
        {
            self.problem(as_of, format!("`as-of` names `{}`, which is no required date fact", as_of.value), None);
        }
    }

    fn rule(&mut self, rule: &RuleConfig, env: &Env) -> Option<Rule> {
        let mut bounds = Bounds::default();
        bounds.max_steps = MAX_RULE_STEPS;
        let when = match Program::compile(&rule.when.value, env, &bounds) {
            Ok(program) if *program.ty() == Type::Bool => program,
            Ok(program) => {
                self.problem(
                    &rule.when,
                    format!("the condition of rule `{}` is a {}, not true or false", rule.id.value, program.ty()),
                    None,
                );
                return None;
            }
            Err(error) => {
                self.problem(&rule.when, format!("the condition of rule `{}` is wrong: {error}", rule.id.value), error.help.clone());
                return None;
            }
        };
        let outcome = self.outcome(Some(&rule.id), &rule.outcome, &rule.values)?;
        Some(Rule { id: rule.id.value.clone(), when, outcome, valid_from: rule.valid_from, valid_to: rule.valid_to })
    }

    fn outcome(&mut self, rule: Option<&Spanned<String>>, outcome: &str, values: &BTreeMap<String, Value>) -> Option<Outcome> {
        let mut list = Vec::with_capacity(values.len());
        for (name, value) in values {
            let Some(value) = tagged(value) else {
                let message =
                    format!("the value `{name}` is neither text, whole number, true or false, list of texts, nor `{{ date: … }}`");
                match rule {
                    Some(rule) => self.problem(rule, message, None),
                    None => self.problems.push(self.source.problem(message)),
                }
                return None;
            };
            list.push(json!({ "name": name, "value": value }));
        }
        Some(Outcome { outcome: outcome.to_owned(), values: Value::Array(list) })
    }

    fn problem(&mut self, at: &Spanned<String>, message: String, help: Option<String>) {
        self.problems.push(located(self.source, &at.defined, message).with_help(help));
    }
}

fn overlap(a: &RuleConfig, b: &RuleConfig) -> bool {
    let starts_before_end = |x: &RuleConfig, y: &RuleConfig| match (x.valid_from, y.valid_to) {
        (Some(from), Some(to)) => from <= to,
        _ => true,
    };
    starts_before_end(a, b) && starts_before_end(b, a)
}

/// Gives the name under which conditions know a fact.
fn variable(fact: &str) -> String {
    fact.replace('-', "_")
}

fn type_name(ty: FactType) -> &'static str {
    match ty {
        FactType::Text => "text",
        FactType::Number => "number",
        FactType::Flag => "flag",
        FactType::Date => "date (`YYYY-MM-DD`)",
        FactType::Texts => "list of texts",
    }
}

/// Takes the plain value out of the WIT variant, if it has the type.
fn plain(value: &Value, ty: FactType) -> Option<Value> {
    let (case, payload) = value.as_object().filter(|map| map.len() == 1)?.iter().next()?;
    let fits = match (case.as_str(), ty) {
        ("text", FactType::Text) => payload.is_string(),
        ("number", FactType::Number) => payload.is_i64(),
        ("flag", FactType::Flag) => payload.is_boolean(),
        ("date", FactType::Date) => payload.as_str().is_some_and(is_date),
        ("texts", FactType::Texts) => {
            payload.as_array().is_some_and(|items| items.len() <= MAX_TEXTS && items.iter().all(Value::is_string))
        }
        _ => false,
    };
    fits.then(|| payload.clone())
}

/// Whether a text is exactly `YYYY-MM-DD` and such a day exists.
fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok_and(|date| date.to_string() == text)
}

/// Gives the WIT variant of a value as it is written in a file.
fn tagged(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(json!({ "text": text })),
        Value::Bool(flag) => Some(json!({ "flag": flag })),
        Value::Number(number) if number.is_i64() => Some(json!({ "number": number })),
        Value::Array(items) if items.iter().all(Value::is_string) => Some(json!({ "texts": items })),
        Value::Object(map) if map.len() == 1 => map.get("date").filter(|d| d.as_str().is_some_and(is_date)).map(|d| json!({ "date": d })),
        _ => None,
    }
}

fn located(source: &SourceText, location: &Location, message: String) -> Problem {
    let place = |n: u64| usize::try_from(n).ok().filter(|n| *n > 0);
    Problem { line: place(location.line()), column: place(location.column()), ..source.problem(message) }
}

fn yaml_problem(source: &SourceText, error: &serde_saphyr::Error) -> Problem {
    let text = error.to_string();
    let (message, help) = unknown_key(&text).unwrap_or_else(|| (text.clone(), None));
    match error.location() {
        Some(location) => located(source, &location, message).with_help(help),
        None => source.problem(message).with_help(help),
    }
}
