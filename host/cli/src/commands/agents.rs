//! `bailiwick agents`.

use std::path::Path;
use std::sync::Arc;

use bailiwick_core::act::Act;
use bailiwick_core::policy::Requester;
use bailiwick_core::runner::{AgentInfo, AgentRunner as _};
use bailiwick_runtime::InstallOptions;
use serde_json::json;

use crate::args::{ActivateArgs, ClaimArgs, InspectArgs, InstallArgs, Place};
use crate::display::{self, Notes, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::project::{Component, Project};
use crate::wire::{self, Host, HostParts};
use crate::{state, text};

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

/// Says what an agent is for and what it can reach.
pub fn inspect(args: &InspectArgs) -> Result<Exit> {
    let path = Path::new(&args.agent);
    let info = if is_file(path) { inspect_file(path) } else { inspect_installed(args) }?;
    if args.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "agent": info }));
    } else {
        print_info(&info);
    }
    Ok(Exit::Done)
}

/// Whether an argument means a component file and not a name.
pub fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm") || path.is_file()
}

/// Reads a component file that the command line names.
pub fn read_component(path: &Path) -> Result<Component> {
    Component::read(path).map_err(|error| {
        let diagnosis = Diagnosis::new(format!("component `{}` cannot be read: {error}", text::path(path)));
        Fault::bad_input(diagnosis.with_help("`bailiwick build PROJECT` prints where components are".to_owned()))
    })
}

fn inspect_file(path: &Path) -> Result<Arc<AgentInfo>> {
    let component = read_component(path)?;
    let scratch = state::scratch()?;
    wire::io_runtime()?.block_on(async {
        let sandbox = wire::open_scratch_registry(scratch.path()).await?;
        sandbox.registry().inspect(&text::path(path), &component.bytes).await.map_err(wire::registry_fault)
    })
}

fn inspect_installed(args: &InspectArgs) -> Result<Arc<AgentInfo>> {
    let state = super::state_folder(&args.place)?;
    let (name, version) = args.agent.split_once('@').map_or((args.agent.as_str(), None), |(name, version)| (name, Some(version)));
    wire::io_runtime()?.block_on(async {
        let Some(sandbox) = wire::open_registry_to_read(&state).await? else {
            let diagnosis = Diagnosis::new(format!("there is no agent `{name}`: none is installed in `{}`", text::path(&state)));
            return Err(Fault::bad_input(diagnosis.with_help("run the project once, or name a component file".to_owned())));
        };
        sandbox.registry().info(&name.into(), version).await.map_err(wire::registry_fault)
    })
}

fn print_info(info: &AgentInfo) {
    let list = |items: &[String]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    let review = if info.review_by.is_empty() { "–" } else { &info.review_by };
    display::print(&display::heading(&format!("{}@{}", info.name, info.version)));
    display::print_block(&[
        ("purpose", info.purpose.clone()),
        ("owner", info.owner.clone()),
        ("data level", info.data_level.clone()),
        ("risk class", info.risk_class.clone()),
        ("review by", review.to_owned()),
        ("component", info.component.to_string()),
        ("can reach", list(&info.wants)),
        ("imports", list(&info.imports)),
        ("ambient", list(&info.ambient)),
        ("stubs", list(&info.stubs)),
    ]);
    display::print(&display::heading("takes"));
    display::print(&fields(&info.input_schema));
    display::print(&display::heading("gives"));
    display::print(&fields(&info.output_schema));
}

/// The fields of a schema's object with their types; `--json` gives the whole schema.
fn fields(schema: &serde_json::Value) -> String {
    let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) else {
        return "anything (see `--json`)".to_owned();
    };
    let required: Vec<&str> =
        schema.get("required").and_then(|r| r.as_array()).into_iter().flatten().filter_map(|name| name.as_str()).collect();
    let mut table = Table::new(&["field", "type", "", "meaning"]);
    for (name, property) in properties {
        let ty = match property.get("type") {
            Some(serde_json::Value::String(ty)) => ty.clone(),
            Some(serde_json::Value::Array(types)) => types.iter().filter_map(|ty| ty.as_str()).collect::<Vec<_>>().join(" or "),
            _ => "see --json".to_owned(),
        };
        let needed = if required.contains(&name.as_str()) { "" } else { "optional" };
        let meaning = property.get("description").and_then(|text| text.as_str()).unwrap_or_default();
        table.row([name.clone(), ty, needed.to_owned(), meaning.to_owned()]);
    }
    table.to_text()
}

/// Installs a component file.
pub fn install(args: &InstallArgs) -> Result<Exit> {
    let component = read_component(&args.file)?;
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
