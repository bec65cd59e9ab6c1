//! `bailiwick try`: one agent in the real sandbox.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bailiwick_core::BoxFuture;
use bailiwick_core::budget::BudgetUse;
use bailiwick_core::grant::GrantRequest;
use bailiwick_core::ids::{AgentName, Digest, RunId, TaskId};
use bailiwick_core::limits::Limits;
use bailiwick_core::runner::{AgentRunner as _, TaskOutcome, TaskReport, TaskSpec, WantedGrant};
use bailiwick_runtime::InstallOptions;
use serde_json::json;

use crate::args::TryArgs;
use crate::display::{self, Notes};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::project::{Origin, PROJECT_FILE, Project, ProjectAgent, read_named};
use crate::stop::Stop;
use crate::wire::{self, Host, HostParts};
use crate::{build, may, state, text};

use crate::foresee::{is_file, read};

/// The workflow and step under which a tried agent stands in the ledger.
const WORKFLOW: &str = "try";

/// Runs one agent with the grants of the command line.
pub fn try_agent(args: &TryArgs) -> Result<Exit> {
    let scratch = state::scratch()?;
    let is_project = args.place.project.join(PROJECT_FILE).exists() || args.place.project.is_file();
    // The author of an agent has a component and no project yet: it is tried without connectors, and nothing is kept.
    let has_project = is_project || !is_file(Path::new(&args.agent));
    let project = if has_project {
        Project::load(&args.place.project, args.place.state.as_deref())?
    } else {
        Project::none(scratch.path()).map_err(|error| Fault::internal(format!("no folder for a while can be used: {error}")))?
    };
    let input = Arc::new(super::parse_json(&read_named(&args.input)?)?);
    let requester = super::requester(&project, &project.state, &args.claim)?;
    let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
    let grants = read_grants(&args.may, &catalog)?;
    let subject = args.subject.as_deref().map(Into::into);
    let run = RunId::fresh();
    let wants = grants.into_iter().map(|request| WantedGrant { request, used: Arc::new(BudgetUse::default()) }).collect();
    let task = |agent: AgentName, limits: Limits| TaskSpec {
        id: TaskId::fresh(),
        parent: None,
        requester: Arc::new(requester),
        workflow: WORKFLOW.into(),
        plan: Digest::of(WORKFLOW.as_bytes()),
        run: run.clone(),
        step: WORKFLOW.into(),
        attempt: 1,
        agent,
        run_input: Arc::clone(&input),
        labels: Default::default(),
        input,
        subject,
        wants,
        limits,
    };
    let report = wire::io_runtime()?.block_on(execute(args, &project, &scratch, &run, task))?;
    let exit = if matches!(report.outcome, TaskOutcome::Answered(_)) { Exit::Done } else { Exit::Failed };
    if args.place.json {
        display::print_json(&json!({ "exit": exit.name(), "run": run, "report": report }));
    } else {
        display::print_task(&report);
        if has_project {
            display::print(&format!("its records: bailiwick ledger show --run {run} --project {}", text::path(&args.place.project)));
        } else {
            display::print("there is no project here, so no connector answered and no record was kept; name one with `--project`");
        }
    }
    Ok(exit)
}

fn read_grants(texts: &[String], catalog: &bailiwick_core::capability::Catalog) -> Result<Vec<GrantRequest>> {
    let (good, wrong): (Vec<_>, Vec<_>) = texts.iter().map(|text| may::parse(text, catalog)).partition(std::result::Result::is_ok);
    if wrong.is_empty() {
        Ok(good.into_iter().flatten().collect())
    } else {
        Err(Fault::bad_project(wrong.into_iter().filter_map(std::result::Result::err).collect()))
    }
}

async fn execute(
    args: &TryArgs,
    project: &Project,
    scratch: &tempfile::TempDir,
    run: &RunId,
    task: impl FnOnce(AgentName, Limits) -> TaskSpec,
) -> Result<TaskReport> {
    let notes = Notes::new(args.place.json);
    let stop = Stop::listen(&notes)?;
    let until_stopped = async |work: BoxFuture<'_, TaskReport>| {
        let asked = stop.wait();
        tokio::select! {
            report = work => Ok(report),
            () = asked => Err(super::stopped(run, &project.state)),
        }
    };
    let path = Path::new(&args.agent);
    if let Some(agent) = project.agent(&args.agent) {
        let built = build_one(project, agent, &notes)?;
        let host =
            Host::open(HostParts { project, state: &project.state, registry: None, is_rehearsal: false, anchors: Vec::new() }, &notes)
                .await?;
        host.install_named(project, agent, &built, &notes).await?;
        let report = until_stopped(host.runner(project).run(task(agent.name.clone(), agent.limits))).await;
        host.close().await?;
        return report;
    }
    if !is_file(path) {
        let names = project.agents.iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>();
        let diagnosis = Diagnosis::new(format!("the project has no agent `{}`", args.agent));
        return Err(Fault::bad_input(diagnosis.with_help(bailiwick_core::suggest::help(&args.agent, names))));
    }
    let component = read(path)?;
    // A file is tried and not installed: it gets a registry that is thrown away.
    let registry = Some(scratch.path().join("registry"));
    let host = Host::open(HostParts { project, state: &project.state, registry, is_rehearsal: false, anchors: Vec::new() }, &notes).await?;
    let options = InstallOptions { activate: true, ..InstallOptions::default() };
    let info = host.sandbox.registry().install(&text::path(path), &component.bytes, options).await.map_err(wire::registry_fault)?;
    let report = until_stopped(host.sandbox.run(task(info.name.clone(), project.limits))).await;
    host.close().await?;
    report
}

fn build_one(project: &Project, agent: &ProjectAgent, notes: &Notes) -> Result<BTreeMap<AgentName, crate::project::Component>> {
    match &agent.origin {
        Origin::Source(folder) if project.development => {
            build::build(&[build::SourceAgent { name: agent.name.clone(), folder: folder.clone() }], notes)
        }
        _ => Ok(BTreeMap::new()),
    }
}
