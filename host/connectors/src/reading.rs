//! Statements by which a connector of another kind reads something in the database of an `sql` connector.

use std::time::Instant;

use bailiwick_core::error::CallError;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OptionalExtension};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::database::{self, Access, Database};
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::sql::authorize;

/// What a statement has to be about: its second parameter beside `:tenant`, and the columns that it gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) parameter: &'static str,
    pub(crate) columns: &'static [&'static str],
}

/// A statement that was checked, on a read-only connection.
#[derive(Debug)]
pub(crate) struct Reading {
    sql: String,
    shape: Shape,
    database: Database,
}

/// The statement that says whose a thing is. It is the host that asks: an agent never says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct OwnerConfig {
    /// Name of the database file, below `data/` in the state folder.
    #[schemars(with = "String")]
    pub(crate) database: Spanned<String>,
    /// A statement with `:tenant` and `:order` that gives the column `owner`.
    #[schemars(with = "String")]
    pub(crate) sql: Spanned<String>,
}

impl Reading {
    /// Checks the statement against the database.
    pub(crate) fn load(
        database: &Spanned<String>,
        sql: &Spanned<String>,
        shape: Shape,
        source: &SourceText,
        places: &Places,
    ) -> Result<Self, Problem> {
        let (name, at) = (database.get_ref(), database.span());
        let path = places.database(name).map_err(|error| source.problem_at(&at, format!("`{name}` cannot be a database: {error}")))?;
        let mut connection = database::open(&path, Access::Read).map_err(|error| {
            source
                .problem_at(&at, format!("the database `{name}` cannot be opened: {error}"))
                .with_help("it is the one that an `sql` connector of the project makes".to_owned())
        })?;
        connection.authorizer(Some(authorize)).map_err(|error| source.problem_at(&at, error.to_string()))?;
        check(&connection, sql.get_ref(), shape).map_err(|message| source.problem_at(&sql.span(), message))?;
        let database =
            Database::start(&path, Access::Read).map_err(|error| source.problem(format!("no thread for the database: {error}")))?;
        Ok(Self { sql: sql.get_ref().clone(), shape, database })
    }

    /// Reads the row of one thing of a tenant: its columns in the order of the shape.
    pub(crate) async fn row(&self, tenant: &str, thing: &str, deadline: Instant) -> Result<Option<Vec<Cell>>, CallError> {
        let (sql, shape, tenant, thing) = (self.sql.clone(), self.shape, tenant.to_owned(), thing.to_owned());
        self.database.read(deadline, move |connection| query(connection, &sql, shape, &tenant, &thing)).await
    }
}

fn query(connection: &Connection, sql: &str, shape: Shape, tenant: &str, thing: &str) -> Result<Option<Vec<Cell>>, CallError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| database::failure(&error))?;
    statement
        .query_row([(":tenant", tenant), (shape.parameter, thing)].as_slice(), |row| {
            shape.columns.iter().map(|column| row.get(*column)).collect()
        })
        .optional()
        .map_err(|error| database::failure(&error))
}

fn check(connection: &Connection, sql: &str, shape: Shape) -> Result<(), String> {
    let statement = connection.prepare(sql).map_err(|error| format!("the statement is not valid: {error}"))?;
    if !statement.readonly() {
        return Err("the statement writes; looking something up changes nothing".to_owned());
    }
    let parameters: Vec<&str> = (1..=statement.parameter_count()).filter_map(|index| statement.parameter_name(index)).collect();
    if statement.parameter_count() != 2 || !parameters.contains(&":tenant") || !parameters.contains(&shape.parameter) {
        return Err(format!("the statement needs the parameters `:tenant` and `{}`, and no others", shape.parameter));
    }
    let columns: Vec<&str> = statement.column_names().collect();
    match shape.columns.iter().find(|column| !columns.contains(column)) {
        Some(missing) => Err(format!("the statement gives no column `{missing}`")),
        None if columns.len() > shape.columns.len() => Err(format!("the statement gives more than `{}`", shape.columns.join("`, `"))),
        None => Ok(()),
    }
}
