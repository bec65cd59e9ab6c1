//! One task on its own, for `bailiwick try`.

use bailiwick_core::runner::{CallSummary, Confidence, TaskOutcome, TaskReport};

use super::{Table, heading, print, print_value};
use crate::text;

/// Most log lines that are shown.
const LOG_LINES_SHOWN: usize = 200;

/// Prints how a task ended, what it called, and what it used.
pub fn print_task(report: &TaskReport) {
    match &report.outcome {
        TaskOutcome::Answered(answer) => {
            let sure = match answer.confidence {
                Confidence::Certain => "certain".to_owned(),
                Confidence::PerMille(n) => format!("{n} ‰ sure"),
            };
            print(&heading(&format!("answer ({sure})")));
            print_value(&answer.output);
        }
        TaskOutcome::Failed { kind, message } => {
            let kind = serde_json::json!(kind);
            print(&heading(&format!("no answer: {}", kind.as_str().unwrap_or("failed"))));
            print(&text::clean(message));
        }
        TaskOutcome::Ended(reason) => {
            print(&heading("ended by the host"));
            print(&text::clean(&reason.to_string()));
        }
    }
    if !report.calls.is_empty() {
        print(&format!("\n{}", heading("calls")));
        print(&calls(&report.calls));
    }
    if !report.grants.is_empty() {
        print(&format!("\n{}", heading("grants")));
        let mut table = Table::new(&["operation", "calls>", ""]);
        for grant in &report.grants {
            let note = if grant.calls == 0 { "unused" } else { "" };
            table.row([grant.operation.clone(), grant.calls.to_string(), note.to_owned()]);
        }
        print(&table.to_text());
    }
    if !report.log.is_empty() {
        print(&format!("\n{}", heading("log")));
        report.log.iter().take(LOG_LINES_SHOWN).for_each(|line| print(&text::clean(line)));
    }
    let usage = &report.usage;
    print(&format!(
        "\ntime {} (sandbox {}, connectors {}, disk {}), fuel {}, memory {}, host calls {}",
        text::time(usage.time_us),
        text::time(usage.setup_us),
        text::time(usage.connector_us),
        text::time(usage.disk_us),
        text::count(usage.fuel),
        text::bytes(usage.memory_peak),
        usage.host_calls
    ));
}

/// Draws calls in their order, with what the operator learns of those that failed.
fn calls(calls: &[CallSummary]) -> String {
    let mut table = Table::new(&["operation", "result", "time>", "why"]);
    for call in calls {
        let artifacts = call.artifacts.iter().map(|artifact| format!("{}: {}", artifact.kind, text::path(&artifact.path)));
        let why = call.detail.iter().cloned().chain(artifacts).collect::<Vec<_>>().join("; ");
        table.row([call.operation.clone(), call.result.clone(), text::time(call.time_us), why]);
    }
    table.to_text()
}
