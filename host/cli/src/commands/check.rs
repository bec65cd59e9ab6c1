//! `bailiwick check`: everything that can be found without running.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::AgentRunner as _;
use bailiwick_core::ids::AgentName;
use bailiwick_ledger::{OpenProblem, Reader};
use bailiwick_orchestrator::CheckedWorkflow;
use bailiwick_schema::Schema;
use serde_json::{Value, json};

use crate::args::CheckArgs;
use crate::display::{self, Notes};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Result};
use crate::project::{Component, Origin, Project};
use crate::wire::{self, Host, HostParts};
use crate::{build, state, text, workflow};

/// Checks a project and says everything that is wrong with it. Nothing of the project changes: a state folder that is thrown away is used.
pub fn check(args: &CheckArgs) -> Result<Exit> {
    let project = Project::load(&args.project, args.state.as_deref())?;
    let mut found = state_problems(&project.state);
    let scratch = state::scratch()?;
    let summary = match wire::io_runtime()?.block_on(check_parts(&project, scratch.path(), &mut found)) {
        Ok(summary) => summary,
        Err(fault) if fault.exit == Exit::BadInput => {
            found.extend(fault.diagnoses);
            None
        }
        Err(fault) => return Err(fault),
    };
    let errors = found.iter().filter(|diagnosis| !diagnosis.is_warning()).count();
    let exit = if errors == 0 { Exit::Done } else { Exit::BadInput };
    display::diagnoses(&found);
    if args.json {
        let problems: Vec<_> = found.iter().map(Diagnosis::to_json).collect();
        let facts = summary.map(|summary| summary.json);
        display::print_json(&json!({ "exit": exit.name(), "project": project.name, "found": facts, "problems": problems }));
    } else if let (0, Some(summary)) = (errors, summary) {
        display::print(&format!("project {} is good: {}", project.name, summary.text));
    } else {
        display::print(&format!("project {}: {}", project.name, text::number_of(errors, "problem")));
    }
    Ok(exit)
}

/// What can be said about the state folder without taking it.
fn state_problems(state: &Path) -> Vec<Diagnosis> {
    let exposure = state::exposure(state);
    let problem = match Reader::open(state) {
        // The next run brings an older ledger up to date.
        Ok(_) | Err(OpenProblem::Absent { .. } | OpenProblem::Older { .. }) => None,
        Err(problem) => Some(Diagnosis::new(problem.to_string())),
    };
    exposure.into_iter().chain(problem).collect()
}

async fn check_parts(project: &Project, scratch: &Path, found: &mut Vec<Diagnosis>) -> Result<Option<Summary>> {
    let notes = Notes::new(false);
    let host = Host::open(HostParts { project, state: scratch, registry: None, is_rehearsal: true, anchors: Vec::new() }, &notes).await?;
    let built = built(project, found)?;
    let installed = install(&host, project, &built, &notes, found).await;
    let runner = host.runner(project);
    // Without its agents a workflow has no types to be checked against, so every mistake would be told twice.
    let summary = if installed {
        match workflow::load(project, runner.as_ref(), &host.served) {
            Ok((workflow, warnings)) => {
                found.extend(warnings);
                found.extend(input_problem(project, &workflow));
                Some(summary(project, &host, &workflow))
            }
            Err(wrong) => {
                found.extend(wrong);
                None
            }
        }
    } else {
        None
    };
    host.close().await?;
    Ok(summary)
}

/// Finds the components of source agents as they were last built.
fn built(project: &Project, found: &mut Vec<Diagnosis>) -> Result<BTreeMap<AgentName, Component>> {
    let paths = build::find_built(&wire::sources(project))?;
    let mut built = BTreeMap::new();
    for agent in &project.agents {
        let Origin::Source(_) = agent.origin else { continue };
        match paths.get(&agent.name).map(|path| Component::read(path)) {
            Some(Ok(component)) => {
                built.insert(agent.name.clone(), component);
            }
            Some(Err(error)) => found.push(Diagnosis::new(format!("the component of agent `{}` cannot be read: {error}", agent.name))),
            None => {
                let diagnosis = Diagnosis::new(format!("agent `{}` is not built yet", agent.name));
                found.push(diagnosis.with_help(format!(
                    "run `bailiwick build {}`: it runs the agents' build scripts and macros natively",
                    text::path(&project.root)
                )));
            }
        }
    }
    Ok(built)
}

/// Installs every agent that can be, and says of the others why not.
async fn install(
    host: &Host,
    project: &Project,
    built: &BTreeMap<AgentName, Component>,
    notes: &Notes,
    found: &mut Vec<Diagnosis>,
) -> bool {
    let preparing = notes.work("checking agents");
    let mut all = true;
    for agent in &project.agents {
        preparing.set(agent.name.as_str());
        if matches!(agent.origin, Origin::Source(_)) && !built.contains_key(&agent.name) {
            all = false;
        } else if let Err(fault) = host.install_named(project, agent, built, notes).await {
            found.extend(fault.diagnoses);
            all = false;
        }
    }
    preparing.finish(None);
    all
}

/// Checks the project's default input against the workflow's schema.
fn input_problem(project: &Project, workflow: &CheckedWorkflow) -> Option<Diagnosis> {
    let source = match project.read(project.input.as_deref()?) {
        Ok(source) => source,
        Err(diagnosis) => return Some(diagnosis),
    };
    let input = match super::parse_json(&source) {
        Ok(input) => input,
        Err(fault) => return fault.diagnoses.into_iter().next(),
    };
    let message = Schema::of_operator(&workflow.plan().input_schema).and_then(|schema| schema.check(&input)).err()?;
    Some(Diagnosis::new(format!("the input does not fit its schema: {message}")).in_file(&source))
}

/// What a project that can run is made of.
struct Summary {
    text: String,
    json: Value,
}

fn summary(project: &Project, host: &Host, workflow: &CheckedWorkflow) -> Summary {
    let plan = workflow.plan();
    let text = format!(
        "{} (as last built or installed), {}, workflow {} {} with {}, plan {}",
        text::number_of(project.agents.len(), "agent"),
        text::number_of(host.served.connectors.len(), "connector"),
        plan.workflow,
        plan.version,
        text::number_of(workflow.order().len(), "step"),
        workflow.compiled().digest()
    );
    let agents = project.agents.iter().filter_map(|agent| host.sandbox.agent(&agent.name));
    let agents: Vec<_> = agents.map(|info| json!({ "name": info.name, "version": info.version, "component": info.component })).collect();
    let connectors: Vec<_> = host.served.connectors.iter().map(|connector| connector.name()).collect();
    let json = json!({
        "workflow": { "name": plan.workflow, "version": plan.version, "plan": workflow.compiled().digest(), "steps": workflow.order() },
        "agents": agents, "connectors": connectors,
    });
    Summary { text, json }
}
