//! `bailiwick who`, `why` and `advise grants`: questions about history.

use std::path::PathBuf;

use bailiwick_core::ids::{AgentName, RunId, Seq, TenantId};
use bailiwick_core::suggest;
use bailiwick_ledger::{AccessQuery, Accesses, PAGE, Reader};
use serde_json::json;

use super::ledger::read_fault;
use crate::args::{AdviseGrantsArgs, Place, WhoArgs, WhyArgs};
use crate::display;
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::project::Project;
use crate::questions::{self, History, Known, Rules, WhyProblem};
use crate::wire;

/// Most runs that are looked through for those of an agent.
const RUNS_LOOKED_THROUGH: usize = 1_000_000;

/// Says who touched a data subject.
pub fn who(args: &WhoArgs) -> Result<Exit> {
    let from_ms = args.from.as_deref().map(|text| moment("--from", text)).transpose()?;
    let to_ms = args.to.as_deref().map(|text| moment("--to", text)).transpose()?;
    if let (Some(from), Some(to)) = (from_ms, to_ms)
        && from >= to
    {
        let diagnosis = Diagnosis::new("`--from` is not before `--to`".to_owned());
        return Err(Fault::bad_input(diagnosis.with_help("`--to` is the first moment that is not asked for".to_owned())));
    }
    let (state, tenant) = state_and_tenant(&args.place, args.tenant.as_deref())?;
    let reader = Reader::open(&state).map_err(wire::open_fault)?;
    let subject = args.subject.as_str().into();
    let query = AccessQuery { tenant: Some(&tenant), subject: &subject, from_ms, to_ms };
    let accesses = reader.accesses(&query).map_err(read_fault)?;
    if args.place.json {
        let Accesses { calls, refused_runs, erasures } = &accesses;
        display::print_json(&json!({
            "exit": Exit::Done.name(), "subject": args.subject, "tenant": tenant, "from-ms": from_ms, "to-ms": to_ms,
            "calls": calls, "refused-runs": refused_runs, "erasures": erasures,
        }));
    } else {
        questions::print_accesses(&args.subject, tenant.as_str(), &accesses);
    }
    Ok(Exit::Done)
}

/// Says why a step or a call went as it did.
pub fn why(args: &WhyArgs) -> Result<Exit> {
    let state = super::state_folder(&args.place)?;
    let reader = Reader::open(&state).map_err(wire::open_fault)?;
    let run = which_run(&reader, &args.run)?;
    let history = History::read(&reader, &run, |_| true).map_err(read_fault)?;
    let known = Known::load(&args.place, &state)?;
    let answer = questions::explain(&history, &known, Rules::new(&reader), &args.step, args.call.map(Seq)).map_err(why_fault)?;
    if args.place.json {
        display::print_json(&json!({
            "exit": Exit::Done.name(), "run": run, "workflow": history.context.workflow, "requester": history.context.requester, "answer": answer,
        }));
    } else {
        questions::print_answer(&history, &answer);
    }
    Ok(Exit::Done)
}

/// Advises about the grants of an agent.
pub fn advise_grants(args: &AdviseGrantsArgs) -> Result<Exit> {
    let state = super::state_folder(&args.place)?;
    let reader = Reader::open(&state).map_err(wire::open_fault)?;
    let agent = AgentName::from(args.agent.as_str());
    let histories = histories_of(&reader, &agent, args.runs as usize)?;
    let known = Known::load(&args.place, &state)?;
    if histories.is_empty() {
        let names: Vec<&str> = known.agents.values().map(|facts| facts.name.as_str()).collect();
        let diagnosis = Diagnosis::new(format!("no run on record has a task of agent `{}`", args.agent));
        return Err(Fault::bad_input(diagnosis.with_help(suggest::help(&args.agent, names))));
    }
    let advice = questions::advise(&histories, &agent, &known);
    let is_unused = advice.iter().any(|advice| !advice.unused.is_empty());
    let exit = if args.check && is_unused { Exit::Failed } else { Exit::Done };
    if args.place.json {
        display::print_json(&json!({ "exit": exit.name(), "agent": agent, "runs": histories.len(), "steps": advice }));
    } else {
        questions::print_advice(&agent, histories.len(), &advice);
    }
    Ok(exit)
}

/// Reads the latest runs that have a task of an agent, with what advice needs of them.
fn histories_of(reader: &Reader, agent: &AgentName, most: usize) -> Result<Vec<History>> {
    let mut found = Vec::new();
    let mut before: Option<RunId> = None;
    let mut looked_through = 0;
    loop {
        let runs = reader.runs(before.as_ref(), PAGE).map_err(read_fault)?;
        before = runs.last().map(|run| run.run.clone());
        for run in &runs {
            if found.len() == most || looked_through == RUNS_LOOKED_THROUGH {
                return Ok(found);
            }
            looked_through += 1;
            let history = History::read(reader, &run.run, |envelope| questions::wants(envelope, agent)).map_err(read_fault)?;
            if history.tasks.iter().any(|task| task.agent == *agent) {
                found.push(history);
            }
        }
        if before.is_none() {
            return Ok(found);
        }
    }
}

fn which_run(reader: &Reader, wanted: &str) -> Result<RunId> {
    let runs = reader.runs(None, PAGE).map_err(read_fault)?;
    if wanted == "last" {
        let none = || Fault::bad_input(Diagnosis::new("the ledger has no run yet".to_owned()));
        return runs.first().map(|run| run.run.clone()).ok_or_else(none);
    }
    let run = RunId::from(wanted);
    // A tried agent and a refused run have records and no events, so they are not among the runs.
    if reader.page(bailiwick_ledger::Filter::Run(&run), Seq(0), 1).map_err(read_fault)?.is_empty() {
        let names: Vec<&str> = runs.iter().map(|run| run.run.as_str()).take(10).collect();
        let diagnosis = Diagnosis::new(format!("there is no run `{wanted}` in the ledger"));
        return Err(Fault::bad_input(diagnosis.with_help(suggest::help(wanted, names.iter().copied()))));
    }
    Ok(run)
}

fn why_fault(problem: WhyProblem) -> Fault {
    let diagnosis = Diagnosis::new(problem.to_string());
    match problem {
        WhyProblem::NoStep { help, .. } | WhyProblem::NoCall { help, .. } => Fault::bad_input(diagnosis.with_help(help)),
        WhyProblem::Read(problem) => read_fault(problem),
    }
}

/// Finds state folder and tenant; the project is needed for what is not given.
fn state_and_tenant(place: &Place, tenant: Option<&str>) -> Result<(PathBuf, TenantId)> {
    if let (Some(state), Some(tenant)) = (&place.state, tenant) {
        return Ok((state.clone(), tenant.into()));
    }
    let project = Project::load(&place.project, place.state.as_deref())?;
    Ok((project.state, tenant.map_or(project.tenant, Into::into)))
}

/// Reads a moment: RFC 3339, or a date for its first moment in UTC.
fn moment(option: &str, text: &str) -> Result<u64> {
    let date = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    // A date is no timestamp, and a timestamp no date: what has an offset is meant as it is.
    let found = text.parse::<jiff::Timestamp>().ok().or_else(|| if text.len() == "2026-11-02".len() { date() } else { None });
    found.and_then(|time| u64::try_from(time.as_millisecond()).ok()).ok_or_else(|| {
        let diagnosis = Diagnosis::new(format!("`{option} {text}` is no moment"));
        Fault::bad_input(diagnosis.with_help("write `2026-11-02` or `2026-11-02T10:00:00Z`".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let read = |text: &str| moment("--from", text).ok();
        assert_eq!(read("1970-01-02"), Some(86_400_000));
        assert_eq!(read("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(read("1970-01-01T02:00:00+02:00"), Some(0));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-02T10:00:00", "1969-12-31", "12"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
