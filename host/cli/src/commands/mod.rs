//! What each command does.

mod agents;
mod build;
mod check;
mod compare;
mod freeze;
mod inspect;
mod ledger;
mod new;
mod policy;
mod proof;
mod questions;
mod reach;
mod requesters;
mod run;
mod try_agent;

use std::path::{Path, PathBuf};

use bailiwick_core::ids::RunId;
use bailiwick_core::policy::Requester;
use serde_json::Value;

use crate::args::{Advise, Agents, ClaimArgs, Command, Freeze, Key, Ledger, New, Place, Policy, RequestersCommand, Workflow};
use crate::control::{self, Order};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::governance::{Governance, now_ms};
use crate::project::Project;
use crate::requesters::{Claim, Requesters, local_name, shown_token};
use crate::{text, wire};

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
        Command::Policy(Policy::Check(args)) => policy::check(&args),
        Command::Policy(Policy::Test(args)) => policy::test(&args),
        Command::Policy(Policy::Install(args)) => policy::install(&args),
        Command::Policy(Policy::Show(place)) => policy::show(&place),
        Command::Policy(Policy::Waiting(place)) => policy::waiting(&place),
        Command::Policy(Policy::Schema) => policy::schema(),
        Command::Policy(Policy::Default) => policy::default(),
        Command::Freeze(Freeze::Stop(args)) => freeze::freeze(&args),
        Command::Freeze(Freeze::Lift(args)) => freeze::lift(&args),
        Command::Freeze(Freeze::List(place)) => freeze::list(&place),
        Command::Requesters(RequestersCommand::Add(args)) => requesters::add(&args),
        Command::Requesters(RequestersCommand::Remove(args)) => requesters::remove(&args),
        Command::Requesters(RequestersCommand::List(place)) => requesters::list(&place),
        Command::Who(args) => questions::who(&args),
        Command::Why(args) => questions::why(&args),
        Command::Advise(Advise::Grants(args)) => questions::advise_grants(&args),
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
fn requester(project: &Project, state: &Path, claim: &ClaimArgs) -> Result<Requester> {
    Requesters::load(state)?.authenticate(project, claim.claim(), now_ms())
}

/// Finds who administers: as [`requester`], but the requester of a development project is one of runs and not at the keyboard.
fn operator(project: &Project, state: &Path, claim: &ClaimArgs) -> Result<Requester> {
    let local = local_name();
    let name = claim.requester.as_deref().or(Some(local.as_str()));
    let claim = match shown_token(claim.token.as_deref())? {
        Some(_) => claim.claim(),
        None => Claim { name, token: None },
    };
    Requesters::load(state)?.authenticate(project, claim, now_ms())
}

/// Takes a project's state folder, finds who asks, does something, and sees to it that its records are on disk.
fn with_governance<T>(
    place: &Place,
    claim: &ClaimArgs,
    work: impl AsyncFnOnce(&Project, &Governance, &Requester) -> Result<T>,
) -> Result<T> {
    let project = Project::load(&place.project, place.state.as_deref())?;
    let who = operator(&project, &project.state, claim)?;
    wire::io_runtime()?.block_on(async {
        let governance = Governance::open(&project, &project.state, Vec::new()).await?;
        let done = work(&project, &governance, &who).await;
        governance.close().await?;
        done
    })
}

/// Gives an order to the host that runs on a project's state folder, or carries it out here where none does.
fn administering(project: &Project, claim: &ClaimArgs, order: Order) -> Result<Value> {
    let state = &project.state;
    let token = shown_token(claim.token.as_deref())?;
    wire::io_runtime()?.block_on(async {
        // The host knows by itself who asks, so a name has to be the true one.
        let is_plain = token.is_some() || claim.requester.as_deref().is_none_or(|name| name == local_name());
        if is_plain && let Some(done) = control::ask(state, token, order.clone()).await? {
            return Ok(done);
        }
        let who = operator(project, state, claim)?;
        let governance = Governance::open(project, state, Vec::new()).await?;
        let done = order.carry_out(&governance, &who).await;
        governance.close().await?;
        done
    })
}

/// Adds to a document how the command ended.
fn with_exit(document: Value) -> Value {
    let mut all = serde_json::Map::from_iter([("exit".to_owned(), Value::from(Exit::Done.name()))]);
    if let Value::Object(fields) = document {
        all.extend(fields);
    }
    Value::Object(all)
}

/// Says that a signal stopped a run, and where its records are.
fn stopped(run: &RunId, state: &Path) -> Fault {
    let help = format!("`bailiwick ledger show --run {run} --state {}` shows how far it came", text::path(state));
    let fault = Fault::of(Exit::Stopped, vec![Diagnosis::new(format!("run {run} was stopped")).with_help(help)]);
    Fault { run: Some(run.clone()), ..fault }
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
