//! `bailiwick policy`.

use std::sync::Arc;

use bailiwick_policy::{CaseProblem, CaseResult, DEFAULT_POLICY, Expected, Policies, parse_cases, run_cases, schema_text};
use serde_json::json;

use super::administering;
use crate::args::{Place, PolicyArgs, PolicyInstallArgs, PolicyTestArgs};
use crate::control::Order;
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::governance::{self, load_policies, policy_problems, policy_sources};
use crate::project::{Project, read_named};
use crate::text;

fn catalog() -> Result<bailiwick_core::capability::Catalog> {
    bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))
}

/// Checks a project's policies.
pub fn check(args: &PolicyArgs) -> Result<Exit> {
    let project = Project::load(&args.project, None)?;
    let sources = policy_sources(&project)?;
    let policies = load_policies(&project, &catalog()?)?;
    let warnings = policy_problems(&sources, policies.warnings());
    let warnings: Vec<Diagnosis> = warnings.into_iter().map(Diagnosis::into_warning).collect();
    let (count, in_force) = (policies.rules().count(), governance::in_force(&project.state)?.map(|(version, _)| version));
    if args.json {
        let problems: Vec<_> = warnings.iter().map(Diagnosis::to_json).collect();
        let document = json!({
            "exit": Exit::Done.name(), "version": policies.version(), "policies": count, "files": sources.iter().map(|source| &source.name).collect::<Vec<_>>(),
            "in-force": in_force, "problems": problems,
        });
        display::print_json(&document);
        return Ok(Exit::Done);
    }
    display::diagnoses(&warnings);
    let whose =
        if project.policies.is_empty() { "the default policies".to_owned() } else { text::number_of(project.policies.len(), "file") };
    display::print(&format!("{} in {whose}: nothing is wrong with them (version {})", policies_of(count), policies.version()));
    match in_force {
        Some(version) if version != *policies.version() => {
            display::print(&format!("others are in force (version {version}): `bailiwick policy install` changes that"));
        }
        Some(_) => display::print("they are in force"),
        None => display::print("nothing is in force yet: they will be with the first run"),
    }
    Ok(Exit::Done)
}

/// Asks the policies the questions of files of cases.
pub fn test(args: &PolicyTestArgs) -> Result<Exit> {
    let project = Project::load(&args.project, None)?;
    let catalog = catalog()?;
    let policies = Arc::new(load_policies(&project, &catalog)?);
    let files = if args.cases.is_empty() {
        project.policy_cases()?
    } else {
        args.cases.iter().map(|path| read_named(path)).collect::<Result<_>>()?
    };
    if files.is_empty() {
        let diagnosis = Diagnosis::new("there are no cases");
        return Err(Fault::bad_input(
            diagnosis.with_help("write them to `policy/NAME.toml`, or name a file: docs/policy.md says how".to_owned()),
        ));
    }
    let mut results = Vec::new();
    for file in &files {
        results.extend(run_file(file, &policies, &catalog)?.into_iter().map(|result| (file, result)));
    }
    let failed = results.iter().filter(|(_, result)| !result.passed).count();
    let exit = if failed == 0 { Exit::Done } else { Exit::Failed };
    if args.json {
        let cases: Vec<_> = results.iter().map(|(file, result)| json!({ "file": &*file.name, "case": result })).collect();
        display::print_json(&json!({ "exit": exit.name(), "version": policies.version(), "failed": failed, "cases": cases }));
        return Ok(exit);
    }
    for (file, result) in &results {
        print_result(file, result);
    }
    display::print(&format!("{}, {failed} failed", text::number_of(results.len(), "case")));
    Ok(exit)
}

fn run_file(file: &Source, policies: &Arc<Policies>, catalog: &bailiwick_core::capability::Catalog) -> Result<Vec<CaseResult>> {
    let cases = parse_cases(&file.text).and_then(|cases| run_cases(policies, catalog, &cases));
    cases.map_err(|problem| {
        let diagnosis = Diagnosis::new(match &problem {
            CaseProblem::Form(form) => form.trim_end().to_owned(),
            CaseProblem::Operation { .. } => problem.to_string(),
        });
        Fault::bad_input(diagnosis.in_file(file))
    })
}

fn print_result(file: &Source, result: &CaseResult) {
    let word = |expected: Expected| match expected {
        Expected::Permit => "permit",
        Expected::Forbid => "forbid",
        Expected::NeedsSecond => "needs-second",
    };
    let rules = if result.explanation.rules.is_empty() { "no policy".to_owned() } else { result.explanation.rules.join(", ") };
    if result.passed {
        display::print(&format!("ok      {}: {} by {rules}", text::clean(&result.name), word(result.found)));
        return;
    }
    display::print(&format!("FAILED  {}: {} by {rules}", text::clean(&result.name), word(result.found)));
    display::print(&format!(
        "        expected {}; {}; {}",
        word(result.expected),
        text::clean(&result.explanation.reason),
        text::clean(&file.name)
    ));
}

/// Prints the policies in force.
pub fn show(place: &Place) -> Result<Exit> {
    let state = super::state_folder(place)?;
    let Some((version, sources)) = governance::in_force(&state)? else {
        let diagnosis = Diagnosis::new(format!("nothing is in force in `{}` yet", text::path(&state)));
        return Err(Fault::bad_input(diagnosis.with_help("a first run brings the project's policies into force".to_owned())));
    };
    if place.json {
        let files: serde_json::Map<_, _> = sources.iter().map(|source| (source.name.clone(), json!(source.text))).collect();
        display::print_json(&json!({ "exit": Exit::Done.name(), "version": version, "files": files }));
        return Ok(Exit::Done);
    }
    display::print(&format!("// version {version}"));
    for source in &sources {
        display::print(&format!("\n// {}\n{}", text::clean(&source.name), text::clean_lines(source.text.trim_end())));
    }
    Ok(Exit::Done)
}

/// Prints the Cedar schema.
pub fn schema() -> Result<Exit> {
    display::print(schema_text(&catalog()?).trim_end());
    Ok(Exit::Done)
}

/// Prints the policies of a project that has none of its own.
pub fn default() -> Result<Exit> {
    display::print(DEFAULT_POLICY.trim_end());
    Ok(Exit::Done)
}

/// Brings the project's policies into force.
pub fn install(args: &PolicyInstallArgs) -> Result<Exit> {
    let place = &args.place;
    let project = Project::load(&place.project, place.state.as_deref())?;
    let sources = policy_sources(&project)?;
    load_policies(&project, &catalog()?)?;
    let files = sources.into_iter().map(|source| (source.name, source.text)).collect();
    let document = administering(&project, &args.claim, Order::InstallPolicies { files })?;
    if place.json {
        display::print_json(&super::with_exit(document));
        return Ok(Exit::Done);
    }
    let field = |name: &str| document.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    if document.get("changed").and_then(serde_json::Value::as_bool) == Some(true) {
        display::print(&format!(
            "version {} is in force, from the next call of every task on; before it was {}",
            field("version"),
            field("before")
        ));
    } else {
        display::print(&format!("version {} is in force already", field("version")));
    }
    Ok(Exit::Done)
}

/// Lists the administrative acts that wait for a second person.
pub fn waiting(place: &Place) -> Result<Exit> {
    let waiting = governance::waiting(&super::state_folder(place)?)?;
    if place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "waiting": waiting }));
        return Ok(Exit::Done);
    }
    if waiting.is_empty() {
        display::print("no act waits for a second person");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["act", "of", "asked by", "since"]);
    for it in &waiting {
        table.row([it.act.name().to_owned(), text::clean(&it.content).into_owned(), it.first.id.clone(), text::moment(it.since_ms)]);
    }
    display::print(&table.to_text());
    display::print("another person agrees by giving the same command");
    Ok(Exit::Done)
}

fn policies_of(n: usize) -> String {
    if n == 1 { "1 policy".to_owned() } else { format!("{n} policies") }
}
