//! `bailiwick ledger show`.

use std::collections::VecDeque;
use std::path::Path;

use bailiwick_core::capability::OperationId;
use bailiwick_core::ids::{RunId, Seq};
use bailiwick_core::record::{Envelope, RecordKind};
use bailiwick_core::suggest;
use bailiwick_ledger::{Filter, ReadProblem, Reader};
use serde_json::{Value, json};

use crate::args::ShowArgs;
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::{text, wire};

/// Most records of a run that are shown; a run that made more is read from the ledger by other means.
const RECORDS_SHOWN: usize = 100_000;

/// Shows the records of a run.
pub fn show(args: &ShowArgs) -> Result<Exit> {
    let state = super::state_folder(&args.place)?;
    let reader = Reader::open(&state).map_err(wire::open_fault)?;
    if let Some(number) = args.which.record {
        return one(&reader, number, args.place.json);
    }
    if let Some(kind) = &args.which.kind {
        return of_kind(&reader, kind, args.place.json);
    }
    let run = which_run(&reader, args.which.run.as_deref(), &state)?;
    let records = reader.records(Filter::Run(&run), Seq(0)).take(RECORDS_SHOWN).collect::<std::result::Result<Vec<_>, _>>();
    let records = records.map_err(read_fault)?;
    if args.place.json {
        let with_payload =
            |envelope: &Envelope| Ok(json!({ "envelope": envelope, "payload": reader.payload(envelope).map_err(read_fault)? }));
        let records = records.iter().map(with_payload).collect::<Result<Vec<Value>>>()?;
        display::print_json(&json!({ "exit": Exit::Done.name(), "run": run, "records": records }));
        return Ok(Exit::Done);
    }
    display::print(&display::heading(&format!("run {run}")));
    if let Some(first) = records.first() {
        display::print(&format!("from {}, times in seconds from there", day_and_time(first.time_ms)));
    }
    let start_ms = records.first().map_or(0, |first| first.time_ms);
    let mut table = Table::new(&["seq>", "time>", "kind", "step", "agent or operation!", "decision", "outcome", "reason"]);
    for envelope in &records {
        table.row(row(envelope, start_ms));
    }
    display::print(&table.to_text());
    Ok(Exit::Done)
}

/// Most records of a kind that are shown: the newest.
const OF_KIND_SHOWN: usize = 50;

/// Shows one record in full.
fn one(reader: &Reader, number: u64, as_json: bool) -> Result<Exit> {
    let Some(envelope) = reader.envelope(Seq(number)).map_err(read_fault)? else {
        return Err(Fault::bad_input(Diagnosis::new(format!("the ledger has no record {number}"))));
    };
    let payload = reader.payload(&envelope).map_err(read_fault)?;
    if as_json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "record": { "envelope": envelope, "payload": payload } }));
        return Ok(Exit::Done);
    }
    display::print(&display::heading(&format!("record {number}, {}", day_and_time(envelope.time_ms))));
    display::print_value(&json!(envelope));
    display::print(&display::heading("payload"));
    match payload {
        Some(payload) => display::print_value(&payload),
        None => display::print("none, or it was erased"),
    }
    Ok(Exit::Done)
}

/// Shows the newest records of a kind.
fn of_kind(reader: &Reader, name: &str, as_json: bool) -> Result<Exit> {
    let Ok(kind) = serde_json::from_value::<RecordKind>(json!(name)) else {
        let known = [
            "administered",
            "policy-installed",
            "run-denied",
            "security-event",
            "host-started",
            "component-installed",
            "version-activated",
            "subject-erased",
            "subject-held",
            "subject-released",
            "key-rotated",
            "grant-denied",
            "escalated",
            "task-ended",
            "call-outcome",
        ];
        let diagnosis = Diagnosis::new(format!("there is no kind of record `{}`", text::clean(name)));
        return Err(Fault::bad_input(diagnosis.with_help(suggest::help(name, known))));
    };
    let mut newest: VecDeque<Envelope> = VecDeque::new();
    for envelope in reader.records(Filter::Kind(kind), Seq(0)) {
        newest.push_back(envelope.map_err(read_fault)?);
        if newest.len() > OF_KIND_SHOWN {
            newest.pop_front();
        }
    }
    if as_json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "records": newest }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["seq>", "time", "who", "what!", "decision", "reason or rule"]);
    for envelope in &newest {
        let (fields, context) = (&envelope.fields, &envelope.context);
        let what = fields.event.as_deref().or(fields.operation.as_deref()).map(str::to_owned);
        let what = what.or_else(|| fields.policy_version.as_ref().map(|version| version.to_string().chars().take(19).collect()));
        table.row([
            envelope.seq.to_string(),
            text::moment(envelope.time_ms),
            context.requester.clone().or_else(|| context.agent.as_ref().map(ToString::to_string)).unwrap_or_default(),
            what.unwrap_or_default(),
            json!(fields.decision).as_str().unwrap_or_default().to_owned(),
            fields.reason.as_deref().or(fields.rule.as_deref()).unwrap_or_default().to_owned(),
        ]);
    }
    display::print(&table.to_text());
    display::print("`bailiwick ledger show --record N` shows one in full");
    Ok(Exit::Done)
}

fn which_run(reader: &Reader, wanted: Option<&str>, state: &Path) -> Result<RunId> {
    let runs = reader.runs(None, bailiwick_ledger::PAGE).map_err(read_fault)?;
    let Some(wanted) = wanted else {
        let none = || Fault::bad_input(Diagnosis::new(format!("the ledger in `{}` has no run yet", text::path(state))));
        return runs.first().map(|run| run.run.clone()).ok_or_else(none);
    };
    let run = RunId::from(wanted);
    // A tried agent has records and no events, so it is not among the runs.
    if reader.page(Filter::Run(&run), Seq(0), 1).map_err(read_fault)?.is_empty() {
        let names: Vec<&str> = runs.iter().map(|run| run.run.as_str()).take(10).collect();
        let help = if names.is_empty() { "there are none yet".to_owned() } else { suggest::help(wanted, names.iter().copied()) };
        return Err(Fault::bad_input(Diagnosis::new(format!("there is no run `{wanted}` in the ledger")).with_help(help)));
    }
    Ok(run)
}

/// A record in one line. A call has an operation and belongs to its step's agent, so both share a column.
fn row(envelope: &Envelope, start_ms: u64) -> [String; 8] {
    let (context, fields) = (&envelope.context, &envelope.fields);
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let operation = fields.operation.as_deref().map(|full| full.parse::<OperationId>().map_or(full.to_owned(), |id| id.to_short()));
    let after_ms = envelope.time_ms.saturating_sub(start_ms);
    [
        envelope.seq.to_string(),
        format!("{}.{:03}", after_ms / 1_000, after_ms % 1_000),
        fields.event.as_deref().map_or_else(|| word(json!(envelope.kind)), |event| format!("run: {event}")),
        context.step.as_ref().map(ToString::to_string).unwrap_or_default(),
        operation.or_else(|| context.agent.as_ref().map(ToString::to_string)).unwrap_or_default(),
        fields.decision.map(|decision| word(json!(decision))).unwrap_or_default(),
        fields.outcome.map(|outcome| word(json!(outcome))).unwrap_or_default(),
        fields.reason.as_deref().or(fields.rule.as_deref()).unwrap_or_default().to_owned(),
    ]
}

/// A moment in UTC.
fn day_and_time(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

pub(super) fn read_fault(problem: ReadProblem) -> Fault {
    Fault::internal(problem.to_string())
}
