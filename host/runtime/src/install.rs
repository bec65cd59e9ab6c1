//! Installing a component: compile, link, let it describe itself, compare what it says with what it imports.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::ids::{AgentName, Digest};
use bailiwick_core::limits::{ByteCount, Limits, Span};
use bailiwick_core::policy::AgentFacts;
use bailiwick_core::runner::AgentInfo;
use bailiwick_core::suggest;
use bailiwick_schema::Schema;
use serde_json::Value;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};
use wasmtime::{Engine, Store};

use crate::agent::{DescriptionOut, HANDLER};
use crate::compile::CompileProblem;
use crate::engine::FUEL_YIELD_INTERVAL;
use crate::host::Host;
use crate::link::{self, Linked, Routes};
use crate::task;

/// Most bytes of a name, version or other word of a description.
const WORD_BYTES_MOST: usize = 200;
/// Most operations, and most stubs, that a description may list.
const LISTED_MOST: usize = 1_000;

/// What a component may use while it describes itself.
fn describe_limits() -> Limits {
    Limits { fuel: 500_000_000, memory: ByteCount::mib(32), deadline: Span::millis(2_000), host_calls: 1_000, ..Limits::default() }
}

/// Why a component was not installed. Nothing of it has run with any capability.
#[derive(Debug, thiserror::Error)]
pub enum InstallProblem {
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileProblem),
    /// It imports something that the project does not know.
    #[error("it imports `{name}`, which the project does not know: {help}")]
    UnknownImport {
        /// The import.
        name: String,
        /// What is known, or why it cannot be.
        help: String,
    },
    /// It imports an operation with another type than the project's WIT has.
    #[error("it imports `{name}` with another type than the project's WIT: build it against the same version of the package")]
    OtherType {
        /// The operation.
        name: String,
    },
    /// The imports could not be linked.
    #[error("its imports could not be linked: {0}")]
    Link(String),
    /// It is no agent.
    #[error("it is no agent: it does not export `{HANDLER}` ({0})")]
    NoAgent(String),
    /// It did not describe itself.
    #[error("it could not describe itself: {0}")]
    Describe(String),
    /// What it says about itself is wrong.
    #[error("its description is wrong: {0}")]
    Description(String),
    /// It imports an operation that its description does not name.
    #[error("it imports `{0}`, which its `wants` do not list: add it there, or do not call it")]
    Unlisted(String),
    /// Its description names an operation that it does not import.
    #[error("its `wants` list `{0}`, which it does not import: remove it, a reviewer takes the list at its word")]
    NotImported(String),
    /// It imports a WASI interface beyond the minimum that it does not declare.
    #[error("it imports `{0}`, which agents are not given: if it never uses it, list it under `stubs`")]
    UndeclaredStub(String),
}

/// A component ready to run.
pub(crate) struct Entry {
    pub info: Arc<AgentInfo>,
    /// What policies may look at of it.
    pub facts: Arc<AgentFacts>,
    pub pre: InstancePre<Host>,
    pub run: ComponentExportIndex,
    pub slots: usize,
    pub input: Arc<Schema>,
    pub output: Arc<Schema>,
}

/// Links a compiled component, lets it describe itself and makes the second check: the description and the imports agree.
pub(crate) async fn prepare(
    engine: &Engine,
    component: &Component,
    digest: Digest,
    catalog: &bailiwick_core::capability::Catalog,
    routes: &Routes,
) -> Result<Entry, InstallProblem> {
    let linked = link::link(engine, component, catalog, routes)?;
    let missing = |what: &str| InstallProblem::NoAgent(format!("`{what}` is missing"));
    let handler = component.get_export_index(None, HANDLER).ok_or_else(|| missing(HANDLER))?;
    let run = component.get_export_index(Some(&handler), "run").ok_or_else(|| missing("run"))?;
    let describe = component.get_export_index(Some(&handler), "describe").ok_or_else(|| missing("describe"))?;
    let description = description(engine, &linked, describe, run).await?;
    agree(&description, &linked)?;
    let (input_schema, input) = schema("input", &description.input_schema)?;
    let (output_schema, output) = schema("output", &description.output_schema)?;
    let slots = linked.operations.len();
    let info = AgentInfo {
        name: AgentName::from(description.name),
        version: description.version,
        component: digest,
        purpose: description.purpose,
        owner: description.owner,
        data_level: description.data_level,
        risk_class: description.risk_class,
        review_by: description.review_by,
        input_schema,
        output_schema,
        imports: linked.operations.iter().map(|operation| operation.full.to_string()).collect(),
        wants: description.wants,
        ambient: linked.ambient,
        stubs: linked.stubs,
    };
    let facts = AgentFacts {
        name: info.name.clone(),
        version: info.version.clone(),
        tier: 0,
        data_level: info.data_level.clone(),
        risk_class: info.risk_class.clone(),
    };
    Ok(Entry { info: Arc::new(info), facts: Arc::new(facts), pre: linked.pre, run, slots, input, output })
}

/// Lets the component describe itself in a sandbox where every capability answers `denied`.
async fn description(
    engine: &Engine,
    linked: &Linked,
    describe: ComponentExportIndex,
    run: ComponentExportIndex,
) -> Result<DescriptionOut, InstallProblem> {
    let limits = describe_limits();
    let mut store = Store::new(engine, Host::new(None, limits, Vec::new(), linked.operations.len()));
    task::arm(&mut store, &limits).map_err(|error| InstallProblem::Describe(error.to_string()))?;
    store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL)).map_err(|error| InstallProblem::Describe(error.to_string()))?;
    let work = async {
        let instance = linked.pre.instantiate_async(&mut store).await?;
        // Both types are checked here, so that a task cannot meet another one.
        instance.get_typed_func::<(crate::agent::TaskIn,), crate::agent::RunResult>(&mut store, run)?;
        let function = instance.get_typed_func::<(), (DescriptionOut,)>(&mut store, describe)?;
        wasmtime::Result::Ok(function.call_async(&mut store, ()).await?.0)
    };
    let done = tokio::time::timeout(limits.deadline.0, work).await;
    match done {
        Ok(Ok(description)) => Ok(description),
        Ok(Err(error)) => Err(InstallProblem::Describe(task::reason(&error, &limits).to_string())),
        Err(_) => Err(InstallProblem::Describe(format!("it took more than {}", limits.deadline))),
    }
}

/// The second check: what the description lists is what the component imports.
fn agree(description: &DescriptionOut, linked: &Linked) -> Result<(), InstallProblem> {
    check_words(description)?;
    let wants: BTreeSet<&str> = description.wants.iter().map(String::as_str).collect();
    for operation in &linked.operations {
        if !wants.contains(&*operation.short) && !wants.contains(&*operation.full) {
            return Err(InstallProblem::Unlisted(operation.short.to_string()));
        }
    }
    let is_imported = |want: &str| linked.operations.iter().any(|operation| &*operation.short == want || &*operation.full == want);
    if let Some(want) = description.wants.iter().find(|want| !is_imported(want)) {
        return Err(InstallProblem::NotImported(want.clone()));
    }
    let declared = |interface: &str| {
        let unversioned = interface.split('@').next().unwrap_or(interface);
        description.stubs.iter().any(|stub| stub == unversioned || stub == interface)
    };
    match linked.stubs.iter().find(|interface| !declared(interface)) {
        Some(interface) => Err(InstallProblem::UndeclaredStub(interface.clone())),
        None => Ok(()),
    }
}

/// Everything of a description that is kept, compared or shown is short: megabytes in it would be the host's to carry.
fn check_sizes(description: &DescriptionOut) -> Result<(), String> {
    let words = [
        ("name", &description.name),
        ("version", &description.version),
        ("data-level", &description.data_level),
        ("risk-class", &description.risk_class),
        ("review-by", &description.review_by),
    ];
    if let Some((field, value)) = words.into_iter().find(|(_, value)| value.len() > WORD_BYTES_MOST) {
        return Err(format!("`{field}` has {} bytes, {WORD_BYTES_MOST} are allowed", value.len()));
    }
    for (field, list) in [("wants", &description.wants), ("stubs", &description.stubs)] {
        if list.len() > LISTED_MOST {
            return Err(format!("`{field}` lists {} names, {LISTED_MOST} are allowed", list.len()));
        }
        if list.iter().any(|name| name.len() > WORD_BYTES_MOST) {
            return Err(format!("`{field}` lists a name of more than {WORD_BYTES_MOST} bytes"));
        }
    }
    Ok(())
}

fn check_words(description: &DescriptionOut) -> Result<(), InstallProblem> {
    let wrong = |message: String| Err(InstallProblem::Description(message));
    check_sizes(description).or_else(wrong)?;
    let name = &description.name;
    let is_name = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && name.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_name {
        return wrong(format!("`{}` is no name: lower case letters, digits and dashes are expected", crate::host::clean(name)));
    }
    let version = &description.version;
    if version.is_empty() || version.len() > 64 || !version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c)) {
        return wrong(format!("`{}` is no version", crate::host::clean(version)));
    }
    for (field, value) in [("owner", &description.owner), ("purpose", &description.purpose)] {
        if value.trim().is_empty() || value.len() > 1_000 {
            return wrong(format!("`{field}` is missing or longer than 1,000 bytes"));
        }
    }
    let one_of = |field: &str, value: &str, known: &[&'static str]| {
        if known.contains(&value) {
            return Ok(());
        }
        wrong(format!("`{field}` is `{}`: {}", crate::host::clean(value), suggest::help(value, known.iter().copied())))
    };
    one_of("data-level", &description.data_level, &["public", "internal", "personal", "secret"])?;
    one_of("risk-class", &description.risk_class, &["low", "medium", "high"])
}

fn schema(which: &str, text: &str) -> Result<(Value, Arc<Schema>), InstallProblem> {
    let read = Schema::read_of_agent(text).map(|(value, schema)| (value, Arc::new(schema)));
    read.map_err(|message| InstallProblem::Description(format!("{which} schema: {message}")))
}
