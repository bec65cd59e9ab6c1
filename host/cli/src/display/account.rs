//! The account of a run: who did what, what it used, where the documents are, where the time went.

use bailiwick_core::event::{BriefingCard, Outcome};
use bailiwick_core::runner::TaskReport;
use bailiwick_orchestrator::{RunReport, StepReport, StepStatus};

use super::result::block;
use super::{Table, heading, print, print_block};
use crate::text::{self, clean};

/// Prints how a run ended and what it gave.
pub fn print_result(report: &RunReport) {
    match &report.outcome {
        Outcome::Done => print(&heading("result")),
        Outcome::Partial => print(&heading("partial result")),
        Outcome::Failed { class, message } => {
            print(&heading(&format!("failed ({class})")));
            print(&clean(message));
            return;
        }
    }
    super::print_value(&report.output);
}

/// Prints the account of a run.
pub fn print_account(report: &RunReport) {
    print(&format!("\n{}", heading(&format!("account of {} {}", report.workflow, report.version))));
    print(&steps(report));
    section("without an answer", &reasons(report));
    section("grants not used", &unused(report));
    section("calls that failed", &failed_calls(report));
    // Lines and no table: a path is to be copied whole.
    let documents =
        report.artifacts.iter().map(|artifact| format!("{} of {}: {}", artifact.kind, artifact.step, text::path(&artifact.path)));
    section("documents", &documents.collect::<Vec<_>>());
    report.cards.iter().for_each(|card| print_card(card.step.as_str(), &card.card));
    print(&format!("\n{}", heading("time")));
    print_block(&time(report));
}

fn section(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        print(&format!("\n{}", heading(title)));
        lines.iter().for_each(|line| print(&clean(line)));
    }
}

fn tasks(step: &StepReport) -> impl Iterator<Item = &TaskReport> {
    step.attempts.iter().filter_map(|attempt| attempt.task.as_ref())
}

/// The word for how a step ended.
fn status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Answered => "done",
        StepStatus::StoodIn => "stand-in",
        StepStatus::Skipped => "skipped",
        StepStatus::Failed => "failed",
        StepStatus::Stopped => "stopped",
        StepStatus::NotStarted => "not started",
    }
}

fn steps(report: &RunReport) -> String {
    let mut table = Table::new(&["step", "agent", "status", "tries>", "time>", "fuel>", "memory>", "calls>", "grants used>"]);
    for step in &report.steps {
        let (mut time, mut fuel, mut memory, mut calls) = (0, 0, 0, 0);
        for task in tasks(step) {
            time += task.usage.time_us;
            fuel += task.usage.fuel;
            memory = memory.max(task.usage.memory_peak);
            calls += task.calls.len();
        }
        let (used, all) = grants(step);
        let version = step.agent_version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let agent = format!("{}{version}", step.agent);
        let status = status(step.status).to_owned();
        let is_run = tasks(step).next().is_some();
        let or_nothing = |text: String| if is_run { text } else { String::new() };
        table.row([
            step.step.to_string(),
            agent,
            status,
            or_nothing(step.attempts.len().to_string()),
            or_nothing(text::time(time)),
            or_nothing(text::count(fuel)),
            or_nothing(text::bytes(memory)),
            or_nothing(calls.to_string()),
            or_nothing(format!("{used} of {all}")),
        ]);
    }
    table.to_text()
}

/// How many of a step's grants were used by any of its attempts, and how many there were.
fn grants(step: &StepReport) -> (usize, usize) {
    let all = grant_uses(step);
    (all.iter().filter(|(_, is_used)| *is_used).count(), all.len())
}

/// The operations that a step was granted, in order, and whether any attempt used each.
fn grant_uses(step: &StepReport) -> Vec<(&str, bool)> {
    let mut all: Vec<(&str, bool)> = Vec::new();
    for task in tasks(step) {
        // Attempts of a step ask for the same grants in the same order.
        for (index, grant) in task.grants.iter().enumerate() {
            match all.get_mut(index) {
                Some((_, is_used)) => *is_used |= grant.calls > 0,
                None => all.push((&grant.operation, grant.calls > 0)),
            }
        }
    }
    all
}

fn reasons(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    for step in report.steps.iter().filter(|step| step.status != StepStatus::Answered) {
        let reason = step.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("{} {}{reason}", step.step, status(step.status)));
    }
    lines
}

fn unused(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &report.steps {
        let unused: Vec<&str> = grant_uses(step).into_iter().filter(|(_, is_used)| !is_used).map(|(operation, _)| operation).collect();
        if !unused.is_empty() {
            lines.push(format!("{}: {}", step.step, unused.join(", ")));
        }
    }
    lines
}

fn failed_calls(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &report.steps {
        for call in tasks(step).flat_map(|task| &task.calls).filter(|call| call.result != "ok") {
            let why = call.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
            lines.push(format!("{}: {} {}{why}", step.step, call.operation, call.result));
        }
    }
    lines
}

fn print_card(step: &str, card: &BriefingCard) {
    print(&format!("\n{}", heading(&format!("for a person: queue {}, step {step}", card.queue))));
    let tried = card.tried.iter().map(|tried| {
        let agent = tried.agent.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        format!("attempt {} ({agent}): {}", tried.attempt, tried.failure)
    });
    print_block(&[("what", card.summary.clone()), ("question", card.question.clone()), ("tried", tried.collect::<Vec<_>>().join("; "))]);
    for fact in &card.facts {
        let as_of = fact.as_of.as_deref().map(|as_of| format!(" (as of {as_of})")).unwrap_or_default();
        print(&format!("known from {}{}", clean(&fact.source), clean(&as_of)));
        for line in block(&fact.value).lines() {
            print(&format!("  {line}"));
        }
    }
}

fn time(report: &RunReport) -> Vec<(&'static str, String)> {
    let path: Vec<String> = report
        .critical_path
        .iter()
        .map(|entry| format!("{} {}", entry.step, text::time(entry.end_us.saturating_sub(entry.start_us))))
        .collect();
    let time = &report.time;
    let mut rows = vec![("total", text::time(time.total_us)), ("agents and connectors", text::time(time.agents_us))];
    rows.push(("host", text::time(time.host_us)));
    rows.push(("waiting for the disk", text::time(time.disk_us)));
    if time.backoff_us > 0 {
        rows.push(("waiting to try again", text::time(time.backoff_us)));
    }
    rows.push(("critical path", path.join(" → ")));
    rows
}
