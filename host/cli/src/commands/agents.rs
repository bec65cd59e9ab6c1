//! `bailiwick agents`.

use bailiwick_core::act::Act;
use bailiwick_core::policy::Requester;
use bailiwick_core::runner::AgentRunner as _;
use bailiwick_runtime::InstallOptions;
use serde_json::json;

use crate::args::{ActivateArgs, ClaimArgs, InstallArgs, Place};
use crate::display::{self, Notes, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::project::Project;
use crate::wire::{self, Host, HostParts};
use crate::{foresee, text};

/// Lists the installed versions.
pub fn list(place: &Place) -> Result<Exit> {
    let state = super::state_folder(place)?;
    let installed = wire::io_runtime()?.block_on(async {
        match wire::open_registry_to_read(&state).await? {
            Some(sandbox) => Ok(sandbox.registry().list().await),
            None => Ok(Vec::new()),
        }
    })?;
    if place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "agents": installed }));
        return Ok(Exit::Done);
    }
    if installed.is_empty() {
        display::print(
            "no agent is installed yet: `bailiwick run` installs a project's agents, `bailiwick agents install FILE` one of them",
        );
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["agent", "version", "active", "component"]);
    for version in installed {
        let active = if version.active { "active" } else { "" };
        table.row([version.name.to_string(), version.version, active.to_owned(), format!("sha256:{}", version.component.to_short())]);
    }
    display::print(&table.to_text());
    Ok(Exit::Done)
}

/// Installs a component file.
pub fn install(args: &InstallArgs) -> Result<Exit> {
    let component = foresee::read(&args.file)?;
    let (info, is_active) = with_host(&args.place, &args.claim, async |host, who| {
        let registry = host.sandbox.registry();
        let what = text::path(&args.file);
        let info = registry.inspect(&what, &component.bytes).await.map_err(wire::registry_fault)?;
        // The first version of an agent replaces nothing, so nobody's authority is passed over.
        let activate = host.sandbox.agent(&info.name).is_none();
        host.administer(who, Act::InstallAgent(wire::facts_of(&info)), &info).await?;
        if activate {
            host.administer(who, Act::ActivateAgent(wire::facts_of(&info)), &info).await?;
        }
        let options = InstallOptions { replace: false, activate, accept_wider: false };
        let info = registry.install(&what, &component.bytes, options).await.map_err(wire::registry_fault)?;
        let is_active = host.sandbox.agent(&info.name).is_some_and(|active| active.component == info.component);
        Ok((info, is_active))
    })?;
    if args.place.json {
        display::print_json(
            &json!({ "exit": Exit::Done.name(), "name": info.name, "version": info.version, "component": info.component, "active": is_active }),
        );
        return Ok(Exit::Done);
    }
    display::print(&format!("installed {}@{} ({})", info.name, info.version, info.component));
    if is_active {
        display::print("it is active: new tasks use it");
    } else {
        display::print(&format!("another version is active: `bailiwick agents activate {}@{}` changes that", info.name, info.version));
    }
    Ok(Exit::Done)
}

/// Makes an installed version the active one.
pub fn activate(args: &ActivateArgs) -> Result<Exit> {
    let Some((name, version)) = args.version.split_once('@') else {
        let diagnosis = Diagnosis::new(format!("`{}` names no version", args.version));
        return Err(Fault::bad_input(diagnosis.with_help("write `NAME@VERSION`; `bailiwick agents list` lists them".to_owned())));
    };
    let info = with_host(&args.place, &args.claim, async |host, who| {
        let registry = host.sandbox.registry();
        let info = registry.info(&name.into(), Some(version)).await.map_err(wire::registry_fault)?;
        if args.accept_wider {
            host.administer(who, Act::AcceptWider(wire::facts_of(&info)), &info).await?;
        }
        host.administer(who, Act::ActivateAgent(wire::facts_of(&info)), &info).await?;
        registry.activate(&name.into(), version, args.accept_wider).await.map_err(wire::registry_fault)
    })?;
    if args.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "name": info.name, "version": info.version, "component": info.component }));
    } else {
        display::print(&format!("new tasks of {} use version {} ({})", info.name, info.version, info.component));
    }
    Ok(Exit::Done)
}

/// Opens the project's host, does something, and sees to it that its records are on disk.
fn with_host<T>(place: &Place, claim: &ClaimArgs, work: impl AsyncFnOnce(&Host, &Requester) -> Result<T>) -> Result<T> {
    let project = Project::load(&place.project, place.state.as_deref())?;
    let who = super::operator(&project, &project.state, claim)?;
    wire::io_runtime()?.block_on(async {
        let parts = HostParts { project: &project, state: &project.state, registry: None, is_rehearsal: false, anchors: Vec::new() };
        let host = Host::open(parts, &Notes::new(false)).await?;
        let done = work(&host, &who).await;
        host.close().await?;
        done
    })
}
