//! What each command does.

mod agents;
mod build;
mod check;
mod compare;
mod inspect;
mod ledger;
mod new;
mod proof;
mod reach;
mod run;
mod try_agent;

use std::path::{Path, PathBuf};

use bailiwick_core::ids::RunId;
use bailiwick_core::policy::Requester;
use serde_json::Value;

use crate::args::{Agents, Command, Key, Ledger, New, Place, Workflow};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::project::{Project, is_requester};
use crate::text;

/// Does what the command line asks for.
///
/// # Errors
/// Why it was not done, with the exit code.
pub fn dispatch(command: Command) -> Result<Exit> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Build(args) => build::build(&args),
        Command::Try(args) => try_agent::try_agent(&args),
        Command::New(New::Agent(args)) => new::agent(&args),
        Command::Agents(Agents::List(place)) => agents::list(&place),
        Command::Agents(Agents::Inspect(args)) => inspect::inspect(&args),
        Command::Agents(Agents::Diff(args)) => compare::agents(&args),
        Command::Reach(args) => reach::reach(&args),
        Command::Workflow(Workflow::Diff(args)) => compare::workflows(&args),
        Command::Agents(Agents::Install(args)) => agents::install(&args),
        Command::Agents(Agents::Activate(args)) => agents::activate(&args),
        Command::Ledger(Ledger::Show(args)) => ledger::show(&args),
        Command::Ledger(Ledger::Verify(args)) => proof::verify(&args),
        Command::Ledger(Ledger::Export(args)) => proof::export(&args),
        Command::Ledger(Ledger::Erase(args)) => proof::erase(&args),
        Command::Ledger(Ledger::Hold(args)) => proof::hold(&args),
        Command::Ledger(Ledger::Key(Key::Show(place))) => proof::show_keys(&place),
        Command::Ledger(Ledger::Key(Key::Rotate(args))) => proof::rotate(&args),
        Command::Ledger(Ledger::Anchor(args)) => proof::anchor(&args),
    }
}

/// Finds the state folder of a command that needs no more of the project than that.
fn state_folder(place: &Place) -> Result<PathBuf> {
    match &place.state {
        Some(state) => Ok(state.clone()),
        None => Project::load(&place.project, None).map(|project| project.state),
    }
}

/// Finds who asks.
fn requester(project: &Project, name: Option<&str>) -> Result<Requester> {
    match name {
        None => Ok(project.requester.clone()),
        Some(name) if name == project.requester.id => Ok(project.requester.clone()),
        // The attributes of the project's requester are facts about that one, so another has none.
        Some(name) if is_requester(name) => {
            Ok(Requester { id: name.to_owned(), tenant: project.tenant.clone(), attributes: Default::default() })
        }
        Some(name) => {
            let diagnosis = Diagnosis::new(format!("`{name}` names no requester"));
            Err(Fault::bad_input(diagnosis.with_help("write a kind and a name, for example `channel:web-shop`".to_owned())))
        }
    }
}

/// Says that a signal stopped a run, and where its records are.
fn stopped(run: &RunId, state: &Path) -> Fault {
    let help = format!("`bailiwick ledger show --run {run} --state {}` shows how far it came", text::path(state));
    Fault { exit: Exit::Stopped, diagnoses: vec![Diagnosis::new(format!("run {run} was stopped")).with_help(help)] }
}

/// Reads a JSON text.
fn parse_json(source: &Source) -> Result<Value> {
    serde_json::from_str(&source.text).map_err(|error| {
        let at = source.offset(error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        Fault::bad_input(Diagnosis::new(format!("the input is no JSON: {message}")).at(source, at..at))
    })
}
