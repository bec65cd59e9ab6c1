//! The `sql` connector: an operation is a list of statements in one transaction.

pub(crate) mod config;
mod mapping;
mod plan;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bailiwick_core::capability::{Effect, Operation};
use bailiwick_core::connector::{BoxFuture, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::CallError;
use bailiwick_core::ids::Digest;
use bailiwick_core::{Connector, suggest};

use self::config::SqlFile;
pub(crate) use self::plan::authorize;
use self::plan::{HOST_VALUES, Plan, Source};
use crate::database::{self, Access, Database};
use crate::outcome::{self, Repeatable};
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::{generator, values};

/// Serves operations by declared statements on an SQLite database.
///
/// A `read` runs on a read-only connection. A `write` or `final` stores its key and outcome in the transaction of its
/// effect, so a repeat gives the stored outcome and changes nothing.
#[derive(Debug)]
pub struct SqlConnector {
    name: String,
    digest: Digest,
    source: SourceText,
    plans: BTreeMap<String, Arc<Plan>>,
    database: Database,
}

impl SqlConnector {
    /// Reads a file, makes the database where there is none, and prepares every statement.
    pub(crate) fn load(name: &str, source: SourceText, places: &Places) -> Result<(Self, Option<crate::config::Latency>), Vec<Problem>> {
        let file: SqlFile = source.parse().map_err(|problem| vec![problem])?;
        let path = places.database(file.database.get_ref()).map_err(|error| {
            vec![source.problem_at(&file.database.span(), format!("`{}` cannot be a database: {error}", file.database.get_ref()))]
        })?;
        let schema = read_schema(&file, &source, places).map_err(|problem| vec![problem])?;
        make_tables(&file, schema.as_ref(), &source, &path).map_err(|problem| vec![problem])?;
        let connection = checking_connection(&path)
            .map_err(|error| vec![source.problem_at(&file.database.span(), format!("the database cannot be opened: {error}"))])?;
        let mut plans = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, config) in &file.operations {
            match plan::plan(&source, &connection, name.span(), config) {
                Ok(plan) => drop(plans.insert(name.get_ref().clone(), Arc::new(plan))),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let database =
            Database::start(&path, Access::Write).map_err(|error| vec![source.problem(format!("no thread for the database: {error}"))])?;
        let schema = schema.iter().map(|schema| schema.text.as_bytes());
        let digest = Digest::of_parts(std::iter::once(source.text.as_bytes()).chain(schema));
        Ok((Self { name: name.to_owned(), digest, source, plans, database }, file.latency))
    }

    /// Names of the declared operations with the place of each.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (&str, std::ops::Range<usize>)> {
        self.plans.iter().map(|(name, plan)| (name.as_str(), plan.at.clone()))
    }

    pub(crate) fn source(&self) -> &SourceText {
        &self.source
    }

    /// Says what is wrong with the declaration of an operation, if anything.
    pub(crate) fn problem_with(&self, operation: &Operation) -> Option<Problem> {
        let plan = self.plan(operation)?;
        let (at, message) = Self::check_plan(plan, operation).err()?;
        Some(self.source.problem_at(&at, format!("`{}`: {message}", operation.short)))
    }

    fn plan(&self, operation: &Operation) -> Option<&Arc<Plan>> {
        self.plans.get(&*operation.full).or_else(|| self.plans.get(&*operation.short))
    }

    fn check_plan(plan: &Plan, operation: &Operation) -> Result<(), (std::ops::Range<usize>, String)> {
        for statement in &plan.statements {
            if operation.spec.effect == Effect::Read && !statement.is_read {
                return Err((statement.at.clone(), "the operation is a `read`, and this statement writes".to_owned()));
            }
            for source in &statement.parameters {
                let Source::Arg(path) = source else { continue };
                if operation.signature.argument(path.segments()).is_none() {
                    let known = operation.signature.params.iter().map(|(name, _)| name.as_str()).chain(HOST_VALUES);
                    let help = suggest::help(&path.to_string(), known);
                    return Err((statement.at.clone(), format!("`{path}` is no argument of the operation: {help}")));
                }
            }
        }
        let fields: Vec<_> = plan.fields.keys().collect();
        mapping::check_fields(&fields, operation).map_err(|message| (plan.at.clone(), message))?;
        mapping::compile(plan, operation).map(|_| ()).map_err(|message| (plan.at.clone(), message))
    }
}

/// The file that makes the tables.
struct Schema<'a> {
    name: &'a str,
    at: std::ops::Range<usize>,
    text: String,
}

/// Reads the schema file, also where the database exists: what it says belongs to the configuration that is on record.
fn read_schema<'a>(file: &'a SqlFile, source: &SourceText, places: &Places) -> Result<Option<Schema<'a>>, Problem> {
    let Some(schema) = &file.schema else { return Ok(None) };
    let (name, at) = (schema.get_ref().as_str(), schema.span());
    if file.generate.is_some() {
        return Err(source.problem_at(&at, "`generate` and `schema` exclude each other"));
    }
    match places.read(std::path::Path::new(name)) {
        Ok(text) => Ok(Some(Schema { name, at, text })),
        Err(error) => Err(source.problem_at(&at, format!("`{name}` cannot be read: {error}"))),
    }
}

/// Makes the database from sample data or from the schema file, if it is not there.
fn make_tables(file: &SqlFile, schema: Option<&Schema<'_>>, source: &SourceText, path: &std::path::Path) -> Result<(), Problem> {
    let at = file.database.span();
    match (&file.generate, schema) {
        (Some(generate), _) => generator::ensure(path, generate.seed)
            .map_err(|error| source.problem_at(&at, format!("the sample data cannot be written: {error}"))),
        (None, Some(schema)) if !path.exists() => {
            let statements = format!("BEGIN IMMEDIATE;\n{}\n;COMMIT", schema.text);
            database::create(path).and_then(|connection| connection.execute_batch(&statements)).map_err(|error| {
                // A database without its tables would be taken for a finished one the next time.
                let _ = std::fs::remove_file(path);
                source.problem_at(&schema.at, format!("`{}` cannot be applied: {error}", schema.name))
            })
        }
        (None, None) if !path.exists() => Err(source
            .problem_at(&at, format!("there is no database `{}`", path.display()))
            .with_help("put it there, or say how it is made with `schema = \"FILE.sql\"`".to_owned())),
        _ => Ok(()),
    }?;
    let prepared = database::open(path, Access::Write).and_then(|connection| outcome::prepare(&connection));
    prepared.map_err(|error| source.problem_at(&at, format!("the database cannot be prepared: {error}")))
}

fn checking_connection(path: &std::path::Path) -> rusqlite::Result<rusqlite::Connection> {
    let mut connection = database::open(path, Access::Write)?;
    connection.authorizer(Some(authorize))?;
    Ok(connection)
}

impl Connector for SqlConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn config_digest(&self) -> Digest {
        self.digest
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        if self.plan(operation).is_none() {
            let help = suggest::help(&operation.short, self.plans.keys().map(String::as_str));
            return Err(format!("`{}` does not declare `{}`: {help}", self.source.file.display(), operation.short));
        }
        self.problem_with(operation).map_or(Ok(()), |problem| Err(problem.to_string()))
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async move {
            let deadline = Instant::now() + call.time_left;
            let Some(plan) = self.plan(&call.operation).cloned() else {
                return Err(CallError::unavailable(format!("`{}` does not serve `{}`", self.name, call.operation.short)));
            };
            values::check_args(&call.operation.signature, &call.args)?;
            if call.operation.spec.effect == Effect::Read {
                return self.database.read(deadline, move |connection| run::read(connection, &plan, &call)).await;
            }
            let repeatable = Repeatable::of(&call)?;
            let write = move |connection: &mut rusqlite::Connection| {
                let now = outcome::now();
                repeatable.once(connection, &now, |connection| run::statements(connection, &plan, &call, &now))
            };
            self.database.write(deadline, write).await
        })
    }
}

#[cfg(test)]
mod tests;
