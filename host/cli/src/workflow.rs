//! Loading a project's workflow against its agents and connectors.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use bailiwick_core::AgentRunner;
use bailiwick_core::capability::Catalog;
use bailiwick_core::plan::Node;
use bailiwick_orchestrator::{CheckedWorkflow, Diagnostic, Known, Severity};

use crate::fault::{Diagnosis, Source};
use crate::project::Project;
use crate::wire::Served;

/// Loads and checks a project's workflow. Warnings come with it.
///
/// # Errors
/// Everything that is wrong: the file itself, and operations that it grants and no connector serves.
pub fn load(project: &Project, agents: &dyn AgentRunner, served: &Served) -> Result<(CheckedWorkflow, Vec<Diagnosis>), Vec<Diagnosis>> {
    let source = project.read(&project.workflow).map_err(|diagnosis| vec![diagnosis])?;
    let (workflow, warnings) = load_text(project, &source, agents, &served.catalog)?;
    let unserved = unserved(&workflow, &source, served);
    if unserved.is_empty() { Ok((workflow, warnings)) } else { Err(unserved) }
}

/// Loads and checks a workflow of a project from its text, without a look at connectors. Warnings come with it.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn load_text(
    project: &Project,
    source: &Source,
    agents: &dyn AgentRunner,
    catalog: &Catalog,
) -> Result<(CheckedWorkflow, Vec<Diagnosis>), Vec<Diagnosis>> {
    let read = |path: &str| {
        project.read(Path::new(path)).map(|source| source.text.to_string()).map_err(|diagnosis| io::Error::other(diagnosis.to_string()))
    };
    let known = Known { catalog, agents, read: &read };
    let workflow = bailiwick_orchestrator::load(&source.name, &source.text, &known)
        .map_err(|refused| refused.0.iter().map(|diagnostic| translate(diagnostic, source)).collect::<Vec<_>>())?;
    let warnings = workflow.warnings().iter().map(|diagnostic| translate(diagnostic, source)).collect();
    Ok((workflow, warnings))
}

fn translate(diagnostic: &Diagnostic, source: &Source) -> Diagnosis {
    let diagnosis = Diagnosis::new(diagnostic.message.clone()).with_help(diagnostic.help.clone()).at(source, diagnostic.span.clone());
    match diagnostic.severity {
        Severity::Error => diagnosis,
        Severity::Warning => diagnosis.into_warning(),
    }
}

/// Operations that steps grant and that would be refused at every call.
fn unserved(workflow: &CheckedWorkflow, source: &Source, served: &Served) -> Vec<Diagnosis> {
    let mut granted = BTreeSet::new();
    for Node::Agent(node) in workflow.plan().nodes.values() {
        granted.extend(node.may.iter().map(|grant| &grant.operation));
    }
    let mut wrong = Vec::new();
    for operation in granted.into_iter().filter_map(|id| served.catalog.get(id)) {
        if let Some(diagnosis) = served.why_unserved(operation) {
            // The first place that names it; the file was read, so there is one.
            let at = source.text.find(&*operation.short);
            wrong.push(match at {
                Some(at) => diagnosis.at(source, at..at + operation.short.len()),
                None => diagnosis.in_file(source),
            });
        }
    }
    wrong
}
