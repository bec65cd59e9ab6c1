//! `bailiwick freeze`.

use bailiwick_core::act::FreezeScope;
use serde_json::json;

use super::administering;
use crate::args::{FreezeArgs, FreezeKind, LiftArgs, Place};
use crate::control::Order;
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::governance;
use crate::project::Project;
use crate::requesters::Requesters;
use crate::text;

/// Stops something at its next call.
pub fn freeze(args: &FreezeArgs) -> Result<Exit> {
    let scope = scope(args.kind, args.name.as_deref())?;
    let project = Project::load(&args.place.project, args.place.state.as_deref())?;
    if !args.unknown {
        known(&project, &scope)?;
    }
    let document = administering(&project, &args.claim, Order::Freeze { scope: scope.clone(), reason: args.reason.clone() })?;
    if args.place.json {
        display::print_json(&super::with_exit(document));
    } else {
        display::print(&format!("{scope} is frozen from the next call on, undoing included, until it is lifted"));
    }
    Ok(Exit::Done)
}

/// Refuses a name that is probably a slip: nothing would be stopped. Capabilities are looked at by the host.
fn known(project: &Project, scope: &FreezeScope) -> Result<()> {
    let (what, names) = match scope {
        FreezeScope::Host | FreezeScope::Capability(_) => return Ok(()),
        FreezeScope::Agent(_) => ("agent", project.agents.iter().map(|agent| agent.name.to_string()).collect::<Vec<_>>()),
        FreezeScope::Tenant(_) => {
            let requesters = Requesters::load(&project.state)?;
            let others = requesters.iter().map(|known| known.tenant.to_string());
            ("tenant", std::iter::once(project.tenant.to_string()).chain(others).collect())
        }
    };
    if names.iter().any(|name| name == scope.name()) {
        return Ok(());
    }
    let near = bailiwick_core::suggest::help(scope.name(), names.iter().map(String::as_str).collect::<Vec<_>>());
    let diagnosis = Diagnosis::new(format!("the project knows no {what} `{}`, so nothing would be stopped", text::clean(scope.name())));
    Err(Fault::bad_input(diagnosis.with_help(format!("{near}; `--unknown` freezes it all the same"))))
}

/// Ends a freeze.
pub fn lift(args: &LiftArgs) -> Result<Exit> {
    let scope = scope(args.kind, args.name.as_deref())?;
    let project = Project::load(&args.place.project, args.place.state.as_deref())?;
    let document = administering(&project, &args.claim, Order::Lift { scope: scope.clone() })?;
    if args.place.json {
        display::print_json(&super::with_exit(document));
    } else {
        display::print(&format!("{scope} is not frozen any more; what another freeze stops stays stopped"));
    }
    Ok(Exit::Done)
}

/// Lists the freezes in force.
pub fn list(place: &Place) -> Result<Exit> {
    let freezes = governance::frozen(&super::state_folder(place)?)?;
    if place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "freezes": freezes }));
        return Ok(Exit::Done);
    }
    if freezes.is_empty() {
        display::print("nothing is frozen");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["frozen", "by", "since", "reason"]);
    for freeze in freezes.iter() {
        table.row([freeze.scope.to_string(), freeze.by.clone(), text::moment(freeze.since_ms), text::clean(&freeze.reason).into_owned()]);
    }
    display::print(&table.to_text());
    Ok(Exit::Done)
}

fn scope(kind: FreezeKind, name: Option<&str>) -> Result<FreezeScope> {
    match (kind, name) {
        (FreezeKind::Host, None) => Ok(FreezeScope::Host),
        (FreezeKind::Host, Some(_)) => Err(Fault::bad_input(Diagnosis::new("the host has no name: write `host` alone"))),
        (_, None) => Err(Fault::bad_input(
            Diagnosis::new("the name is missing").with_help("for example `bailiwick freeze stop agent customer-mail`".to_owned()),
        )),
        (FreezeKind::Tenant, Some(name)) => Ok(FreezeScope::Tenant(name.into())),
        (FreezeKind::Agent, Some(name)) => Ok(FreezeScope::Agent(name.into())),
        (FreezeKind::Capability, Some(name)) => Ok(FreezeScope::Capability(name.to_owned())),
    }
}
