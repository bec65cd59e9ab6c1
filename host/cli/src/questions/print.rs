//! The answer to `why`, for people.

use serde_json::{Value, json};

use super::answer::{Answer, Finding};
use super::history::History;
use super::rules::Rule;
use crate::display::{self, Table, heading};
use crate::text;

/// Most permitted decisions that are listed.
const PERMITTED_LISTED: usize = 200;

/// Prints an answer.
pub fn print_answer(history: &History, answer: &Answer) {
    let context = &history.context;
    display::print(&heading(&format!("step {} of run {}", answer.step, history.run)));
    let word = |word: Option<String>| word.unwrap_or_else(|| "–".to_owned());
    display::print_block(&[
        ("workflow", word(context.workflow.as_ref().map(ToString::to_string))),
        ("asked for by", word(context.requester.clone())),
        ("the step", answer.status.to_owned()),
    ]);
    section("what happened", answer.because.iter().map(|line| (line.seq.to_string(), line.text.clone())));
    section("what `when` looked at", answer.values.iter().cloned());
    lines("what would have had to differ", &answer.to_pass);
    answer.decisions.iter().for_each(print_finding);
    if !answer.permitted.is_empty() {
        display::print(&format!("\n{}", heading("permitted")));
        let mut table = Table::new(&["seq>", "what", "operation", "rule", "result"]);
        for passed in answer.permitted.iter().take(PERMITTED_LISTED) {
            let outcome = passed.outcome.map(|outcome| json!(outcome)).and_then(|outcome| outcome.as_str().map(str::to_owned));
            let outcome = outcome.unwrap_or_else(|| if passed.what == "call" { "unknown".to_owned() } else { String::new() });
            table.row([passed.seq.to_string(), passed.what.to_owned(), passed.operation.clone(), passed.rule.clone(), outcome]);
        }
        display::print(&table.to_text());
        if answer.permitted.len() > PERMITTED_LISTED {
            display::print(&format!("{} further ones are not listed: `--json` gives them all", answer.permitted.len() - PERMITTED_LISTED));
        }
    }
    if !answer.notes.is_empty() {
        display::print("");
        answer.notes.iter().for_each(|note| display::print_block(&[("note", note.clone())]));
    }
}

fn section(title: &str, rows: impl Iterator<Item = (String, String)>) {
    let rows: Vec<(String, String)> = rows.collect();
    if rows.is_empty() {
        return;
    }
    display::print(&format!("\n{}", heading(title)));
    let cleaned: Vec<(String, String)> = rows.into_iter().map(|(key, text)| (text::clean(&key).into_owned(), text)).collect();
    display::print_block(&cleaned.iter().map(|(key, text)| (key.as_str(), text.clone())).collect::<Vec<_>>());
}

fn lines(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        display::print(&format!("\n{}", heading(title)));
        lines.iter().for_each(|line| display::print_block(&[("-", line.clone())]));
    }
}

fn print_finding(finding: &Finding) {
    let verdict = match (finding.permitted, finding.about) {
        (true, _) => "permitted",
        (false, "answer") => "withheld",
        (false, "call") => "denied",
        (false, _) => "refused",
    };
    let operation = finding.operation.as_deref().unwrap_or("opening of the run");
    display::print(&format!("\n{}", heading(&format!("{verdict}: {} {operation}, record {}", about(finding), finding.seq))));
    let mut rows = Vec::new();
    rows.extend(finding.by.clone().map(|by| ("by", by)));
    rows.extend(finding.detail.clone().map(|detail| ("why", detail)));
    if let Some(outcome) = finding.outcome {
        rows.push(("outcome", json!(outcome).as_str().unwrap_or_default().to_owned()));
    }
    for rule in &finding.rules {
        rows.push(("rule", rule_line(rule)));
    }
    rows.extend(finding.policy_version.clone().map(|version| ("policies", version)));
    display::print_block(&rows);
    finding.rules.iter().filter_map(|rule| rule.text.as_ref()).for_each(|source| {
        display::print("");
        text::clean_lines(source).lines().for_each(|line| display::print(&format!("    {line}")));
    });
    if !finding.compared.is_empty() {
        display::print("");
        compared(finding);
    }
    if !finding.permitted {
        lines("what would have had to differ", &finding.to_pass);
    }
    if let Some(add) = &finding.add {
        display::print("");
        text::clean_lines(add).lines().for_each(|line| display::print(&format!("    {line}")));
    }
    if let Some(facts) = &finding.facts {
        display::print(&format!("\n{}", heading("the facts that policies had")));
        display::print_value(&without_request(facts));
    }
}

fn about(finding: &Finding) -> &'static str {
    match finding.about {
        "opening" => "",
        "grant" => "the grant of",
        "answer" => "the answer of",
        _ => "the call of",
    }
}

fn rule_line(rule: &Rule) -> String {
    let meaning = rule.meaning.as_deref().map(|meaning| format!(": {meaning}")).unwrap_or_default();
    match (rule.kind, &rule.file) {
        ("default", _) => rule.meaning.clone().unwrap_or_default(),
        ("policy", Some(file)) => format!("{} ({file}){meaning}", rule.id),
        ("built-in", _) => format!("{} (built in){meaning}", rule.id),
        _ => format!("{}{meaning}", rule.id),
    }
}

fn compared(finding: &Finding) {
    let mut table = Table::new(&["argument", "the grant says", "written as", "the call had", "holds"]);
    for row in &finding.compared {
        let holds = if row.holds { "yes" } else { "NO" };
        let written = row.written.clone().unwrap_or_default();
        table.row([row.argument.clone(), row.granted.clone(), written, row.called.clone(), holds.to_owned()]);
    }
    display::print(&table.to_text());
}

/// The grant stands beside the call already.
fn without_request(facts: &Value) -> Value {
    let mut facts = facts.clone();
    if let Some(map) = facts.as_object_mut() {
        map.remove("request");
    }
    facts
}
