//! How a step ended, told by the events of its run.

use std::collections::BTreeMap;

use bailiwick_core::event::{Cause, Event, Outcome, SkipReason, StandInBy};
use bailiwick_core::ids::{Seq, StepPath};
use bailiwick_core::runner::EndReason;
use bailiwick_orchestrator::Compiled;
use serde_json::Value;

use super::differ::shown;
use super::history::History;
use super::known;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// One word.
    pub status: &'static str,
    /// What happened, in order, each with its record.
    pub because: Vec<(Seq, String)>,
    /// What the step's condition looked at.
    pub values: Vec<(String, String)>,
    /// What would have had to differ.
    pub to_pass: Vec<String>,
}

/// Tells how a step ended. `plan` is given where it is the run's.
pub fn settled(history: &History, step: &str, plan: Option<&Compiled>) -> Settled {
    let mut told = Settled { status: "not-started", because: Vec::new(), values: Vec::new(), to_pass: Vec::new() };
    for (seq, event) in &history.events {
        if event.step().is_some_and(|of| of.as_str() == step) {
            told.take(*seq, event, history, plan);
        }
    }
    if told.because.is_empty()
        && let Some((seq, Event::RunFinished { outcome, .. })) = history.events.last()
    {
        let how = match outcome {
            Outcome::Failed { class, message } => format!("it failed ({class}): {message}"),
            Outcome::Done | Outcome::Partial => "it has a result without the step".to_owned(),
        };
        told.because.push((*seq, format!("the run was over before the step could start: {how}")));
    }
    told
}

impl Settled {
    fn take(&mut self, seq: Seq, event: &Event, history: &History, plan: Option<&Compiled>) {
        let line = match event {
            Event::TaskStarted { attempt, agent, .. } => {
                self.status = "running";
                format!("attempt {attempt} was handed to `{agent}`")
            }
            Event::StepAnswered { attempt, .. } => {
                self.status = "answered";
                format!("attempt {attempt} gave an answer")
            }
            Event::AttemptFailed { attempt, failure, .. } => {
                self.status = "failing";
                self.to_pass.extend(remedy(&failure.cause));
                format!("attempt {attempt} failed ({}): {failure}", failure.class)
            }
            Event::RetryScheduled { .. } => "a further attempt was set for later".to_owned(),
            Event::RetryDue { .. } => return,
            Event::AlternateChosen { agent, .. } => format!("`{agent}` took the step over"),
            Event::Escalated { card, .. } => format!("a person was asked: queue `{}`", card.queue),
            Event::StoodIn { by, .. } => {
                self.status = "stood-in";
                let by = match by {
                    StandInBy::Partial => "partial",
                    StandInBy::Escalate => "escalate",
                };
                format!("its stand-in became its value (`{by}`)")
            }
            Event::StepFailed { .. } => {
                self.status = "failed";
                "no entry of `on-error` applied, so the step failed for good".to_owned()
            }
            Event::StepSkipped { step, reason, .. } => {
                self.status = "skipped";
                self.skipped(step, reason, history, plan)
            }
            Event::RunStarted { .. } | Event::RunFinished { .. } => return,
        };
        self.because.push((seq, line));
    }

    fn skipped(&mut self, step: &StepPath, reason: &SkipReason, history: &History, plan: Option<&Compiled>) -> String {
        match reason {
            SkipReason::When => {
                let Some(when) = plan.and_then(|plan| known::node(plan, step)?.when.as_deref()) else {
                    return "skipped: its `when` was false".to_owned();
                };
                let values = Values::of(history);
                self.values = mentions(when).into_iter().filter_map(|path| Some((path.join("."), values.get(&path)?))).collect();
                self.to_pass.extend(clauses(when, &self.values));
                format!("skipped: its `when` was false: {when}")
            }
            SkipReason::NeedsSkipped { step: other } | SkipReason::NeedsFailed { step: other } => {
                let inner = settled(history, other.as_str(), plan);
                self.values = inner.values;
                self.to_pass.extend(inner.to_pass.into_iter().map(|line| format!("step `{other}`: {line}")));
                let inner = inner.because.last().map(|(_, line)| format!(" ({line})")).unwrap_or_default();
                format!("skipped: it {reason}{inner}")
            }
        }
    }
}

/// Says what would have to differ for an attempt that failed so, where that can be said.
fn remedy(cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::Ended(EndReason::Limit { limit, .. }) => {
            format!("a higher limit `{limit}`: in `limits` of the step, and of the project where that is lower (docs/limits.md)")
        }
        Cause::Ended(EndReason::GrantDenied { operation, .. }) => {
            format!("a policy that permits `{operation}` here; the decision is below")
        }
        Cause::Ended(EndReason::NoAgent(_)) => "an active version of the agent: `bailiwick agents list`".to_owned(),
        Cause::Ended(EndReason::Overloaded(_)) => "fewer tasks at the same time".to_owned(),
        Cause::Expression { place, .. } => format!("an expression in `{place}` that has a value for this run"),
        Cause::Input { agent, .. } => format!("a `with` that fits what `{agent}` takes"),
        Cause::Answer { .. } => "an answer that fits the schema of the plan".to_owned(),
        _ => return None,
    })
}

/// What expressions of a run could see.
struct Values<'a> {
    input: Option<&'a Value>,
    subject: Option<Value>,
    steps: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Values<'a> {
    fn of(history: &'a History) -> Self {
        let mut values = Self { input: None, subject: None, steps: BTreeMap::new() };
        for (_, event) in &history.events {
            match event {
                Event::RunStarted { input, subject, .. } => {
                    values.input = Some(input);
                    values.subject = subject.as_ref().map(|subject| subject.as_str().into());
                }
                Event::StepAnswered { step, answer, .. } => drop(values.steps.insert(step.as_str(), answer.output.as_ref())),
                Event::StoodIn { step, value, .. } | Event::StepSkipped { step, stand_in: Some(value), .. } => {
                    values.steps.insert(step.as_str(), value);
                }
                _ => {}
            }
        }
        values
    }

    fn get(&self, path: &[String]) -> Option<String> {
        let (root, rest) = path.split_first()?;
        let value = match root.as_str() {
            "input" => self.input?,
            "subject" => self.subject.as_ref()?,
            step => self.steps.get(step)?,
        };
        let value = rest.iter().try_fold(value, |value, name| value.as_object().map(|map| map.get(name).unwrap_or(&Value::Null)))?;
        Some(shown(value))
    }
}

/// Finds what an expression selects: chains of names, by dots and by brackets with a text. Good enough to be looked up; what is no such chain is left out.
fn mentions(expression: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        if c == '\'' || c == '"' {
            rest = after_text(rest, c);
        } else if c.is_ascii_alphabetic() || c == '_' {
            let (path, after) = chain(rest);
            rest = after;
            if !path.is_empty() && !found.contains(&path) {
                found.push(path);
            }
        } else {
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    found
}

/// Passes a text literal.
fn after_text(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return text.get(at + 1..).unwrap_or_default(),
            _ => escaped = false,
        }
    }
    ""
}

/// Takes a chain of names from the beginning of a text. A name before a bracket is a function's, and no field.
fn chain(text: &str) -> (Vec<String>, &str) {
    let (name, mut rest) = identifier(text);
    let mut path = vec![name.to_owned()];
    if rest.starts_with('(') {
        return (Vec::new(), rest);
    }
    loop {
        if let Some(after) = rest.strip_prefix('.') {
            let (name, further) = identifier(after);
            if name.is_empty() || further.starts_with('(') {
                return (path, further);
            }
            path.push(name.to_owned());
            rest = further;
        } else if let Some((name, further)) = rest.strip_prefix("['").and_then(|inner| inner.split_once("']")) {
            path.push(name.to_owned());
            rest = further;
        } else {
            return (path, rest);
        }
    }
}

fn identifier(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

/// Says which parts of a plain conjunction were false.
fn clauses(when: &str, values: &[(String, String)]) -> Vec<String> {
    if when.contains("||") || when.contains('?') || when.contains('(') {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for part in when.split("&&").map(str::trim) {
        let (name, wanted) = part.strip_prefix('!').map_or((part, "true"), |name| (name, "false"));
        let path = chain(name).0.join(".");
        // Only what is a name as a whole is true or false by itself.
        let is_whole = chain(name).1.is_empty();
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == path)
            && is_whole
            && (value == "true" || value == "false")
            && value == if wanted == "true" { "false" } else { "true" }
        {
            lines.push(format!("`{path}` would have had to be {wanted}; it was {value}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_expression_looks_at_is_found() {
        let found = |text: &str| mentions(text).into_iter().map(|path| path.join(".")).collect::<Vec<_>>();
        assert_eq!(found("identity.verified && !eligibility.eligible"), ["identity.verified", "eligibility.eligible"]);
        assert_eq!(
            found("input['requested-on'] == 'a.b' && size(x.y) > 1 && z.name.startsWith(\"q\\\"r.s\")"),
            ["input.requested-on", "x.y", "z.name"]
        );
        assert_eq!(found("'open"), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }

    #[test]
    fn the_false_parts_of_a_conjunction_are_named() {
        let values = [("a.b".to_owned(), "true".to_owned()), ("c".to_owned(), "false".to_owned())];
        assert_eq!(clauses("a.b && c", &values), ["`c` would have had to be true; it was false"]);
        assert_eq!(clauses("!a.b && !c", &values), ["`a.b` would have had to be false; it was true"]);
        assert_eq!(clauses("a.b || c", &values), [""; 0]);
        assert_eq!(clauses("c == 1", &values), [""; 0]);
    }
}
