//! `who` for people: who did what and how often, then each call under its run.

use std::collections::BTreeMap;

use bailiwick_core::capability::OperationId;
use bailiwick_core::ids::RunId;
use bailiwick_core::record::CallOutcome;
use bailiwick_ledger::{Access, Accesses, FieldNames, Relation};

use crate::display::{self, Table, heading};
use crate::text;

/// Most calls that are listed one by one; `--json` gives them all.
const CALLS_LISTED: usize = 500;
/// Most names of fields that one line has.
const FIELDS_LISTED: usize = 24;

/// Prints the accesses to a subject.
pub fn print_accesses(subject: &str, tenant: &str, accesses: &Accesses) {
    let calls = &accesses.calls;
    let denied = calls.iter().filter(|call| is_denied(call)).count();
    let cached = calls.iter().filter(|call| call.outcome == Some(CallOutcome::Cached)).count();
    let title = format!("{} about {subject} of tenant {tenant}, {denied} denied, {cached} cached", text::number_of(calls.len(), "call"));
    display::print(&heading(&title));
    if let (Some(first), Some(last)) = (calls.first(), calls.last()) {
        display::print(&format!("from {} to {}, times in UTC", moment(first.time_ms), moment(last.time_ms)));
    }
    if calls.is_empty() {
        display::print("none is on record under this subject in this time");
    } else {
        display::print(&format!("\n{}", by_agent(calls)));
        list(calls);
    }
    refused(accesses);
    if accesses.erasures > 0 {
        let erasures = text::number_of(usize::try_from(accesses.erasures).unwrap_or(usize::MAX), "erasure");
        display::print(&format!("\n{erasures} on record, of whom is not: what was erased is found under no subject any more"));
    }
}

fn is_denied(call: &Access) -> bool {
    call.outcome == Some(CallOutcome::Denied)
}

/// One line for each agent, component and operation.
fn by_agent(calls: &[Access]) -> String {
    let mut groups: BTreeMap<[String; 3], (usize, usize)> = BTreeMap::new();
    for call in calls {
        let group = groups.entry([agent(call), component(call), operation(call)]).or_default();
        group.0 += 1;
        group.1 += usize::from(is_denied(call));
    }
    let mut table = Table::new(&["agent", "component", "operation", "calls>", "denied>"]);
    for ([agent, component, operation], (count, denied)) in groups {
        let denied = if denied == 0 { String::new() } else { denied.to_string() };
        table.row([agent, component, operation, count.to_string(), denied]);
    }
    table.to_text()
}

fn list(calls: &[Access]) {
    let mut runs: Vec<(Option<&RunId>, Vec<&Access>)> = Vec::new();
    for call in calls.iter().take(CALLS_LISTED) {
        let run = call.context.run.as_ref();
        match runs.iter_mut().find(|(known, _)| *known == run) {
            Some((_, calls)) => calls.push(call),
            None => runs.push((run, vec![call])),
        }
    }
    for (run, calls) in &runs {
        let Some(first) = calls.first() else { continue };
        let name = run.map_or("no run", |run| run.as_str());
        display::print(&format!("\n{}", heading(&format!("run {name}"))));
        let word = |word: Option<&str>| text::clean(word.unwrap_or("nobody named")).into_owned();
        let workflow = first.context.workflow.as_ref().map(|workflow| workflow.as_str());
        display::print(&format!(
            "workflow {}, asked for by {}, from {}",
            word(workflow),
            word(first.context.requester.as_deref()),
            moment(first.time_ms)
        ));
        calls.iter().for_each(|call| print_call(call));
    }
    if calls.len() > CALLS_LISTED {
        let more = calls.len() - CALLS_LISTED;
        display::print(&format!(
            "\n{more} further calls are counted above and not listed: `--json` gives them all, `--from` and `--to` fewer"
        ));
    }
}

/// Lines and no table: the names of fields take what width there is.
fn print_call(call: &Access) {
    let time = moment(call.time_ms).get(11..23).unwrap_or_default().to_owned();
    let word = |word: Option<String>| word.unwrap_or_else(|| "–".to_owned());
    let step = word(call.context.step.as_ref().map(ToString::to_string));
    let agent = word(call.context.agent.as_ref().map(ToString::to_string));
    let line = format!("{:>6}  {time}  {:<7}  {} by {agent} in step {step}", call.seq.0, result(call), operation(call));
    display::print(&text::clean(&line));
    detail(call).into_iter().for_each(|(key, line)| display::print_block(&[(key, line)]));
}

const PASSED: &str = "          passed";
const GIVEN: &str = "          given ";
const NOTE: &str = "          –     ";

fn detail(call: &Access) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match call.relation {
        Relation::About => {}
        Relation::NamedByOther => lines.push((NOTE, "in a task about somebody else, with the subject's id among the arguments".to_owned())),
        Relation::NamedByNobody => lines.push((NOTE, "in a task about nobody, with the subject's id among the arguments".to_owned())),
    }
    if let Some(rule) = &call.rule {
        let left = call.outcome_seq != Some(call.seq);
        let what = if left { "the answer was withheld by rule" } else { "nothing left the host; denied by rule" };
        let rule = if rule.is_empty() { "default: no policy permits it" } else { rule };
        lines.push((NOTE, format!("{what} {rule}")));
    } else if let Some(reason) = &call.reason {
        lines.push((NOTE, format!("it gave `{reason}`")));
    }
    if call.outcome.is_none() {
        lines.push((NOTE, "no outcome is on record: it may have happened".to_owned()));
    }
    lines.extend(fields(&call.passed).map(|fields| (PASSED, fields)));
    lines.extend(fields(&call.given).map(|fields| (GIVEN, fields)));
    lines
}

fn fields(fields: &FieldNames) -> Option<String> {
    if fields.unknown {
        return Some("not known: the payload is not there".to_owned());
    }
    if fields.names.is_empty() {
        return None;
    }
    let shown: Vec<&str> = fields.names.iter().take(FIELDS_LISTED).map(String::as_str).collect();
    let more = fields.names.len() - shown.len() + fields.more;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{}{more}", shown.join(", ")))
}

/// One word for what became of a call.
fn result(call: &Access) -> String {
    match call.outcome {
        Some(CallOutcome::Ok) => "ok",
        Some(CallOutcome::Error) => "error",
        Some(CallOutcome::Denied) => "DENIED",
        Some(CallOutcome::Cached) => "cached",
        Some(CallOutcome::Indeterminate) | None => "unknown",
    }
    .to_owned()
}

fn agent(call: &Access) -> String {
    let name = call.context.agent.as_ref().map(ToString::to_string).unwrap_or_default();
    call.agent_version.as_ref().map_or(name.clone(), |version| format!("{name} {version}"))
}

fn component(call: &Access) -> String {
    call.context.component.as_ref().map(bailiwick_core::ids::Digest::to_short).unwrap_or_default()
}

fn operation(call: &Access) -> String {
    call.operation.parse::<OperationId>().map_or_else(|_| call.operation.to_string(), |id| id.to_short())
}

fn refused(accesses: &Accesses) {
    if accesses.refused_runs.is_empty() {
        return;
    }
    display::print(&format!("\n{}", heading("runs about the subject that were refused")));
    let mut table = Table::new(&["seq>", "time", "requester", "workflow", "rule"]);
    for run in &accesses.refused_runs {
        let rule = run.rule.as_deref().filter(|rule| !rule.is_empty()).unwrap_or("no policy permits it");
        let requester = run.requester.clone().unwrap_or_default();
        let workflow = run.workflow.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([run.seq.to_string(), to_second(run.time_ms), requester, workflow, rule.to_owned()]);
    }
    display::print(&table.to_text());
}

/// A moment in UTC, with milliseconds.
pub fn moment(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map(|time| format!("{time:.3}")).unwrap_or_default()
}

fn to_second(time_ms: u64) -> String {
    moment(time_ms).get(..19).unwrap_or_default().replace('T', " ")
}
