//! Where a customer receives mail.

use std::time::Instant;

use bailiwick_core::error::CallError;
use lettre::Address;
use lettre::message::Mailbox;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OptionalExtension};

use super::config::LookupConfig;
use crate::database::{self, Access, Database};
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::sql::authorize;

/// The columns that the statement gives.
const COLUMNS: [&str; 3] = ["address", "name", "opted_out"];

/// Longest name that is put into a header, in characters; a longer one is left out.
const MAX_NAME_CHARS: usize = 100;

/// Looks addresses up, on read-only connections.
#[derive(Debug)]
pub(crate) struct Lookup {
    sql: String,
    database: Database,
}

impl Lookup {
    /// Checks the statement against the database.
    pub(crate) fn load(config: &LookupConfig, source: &SourceText, places: &Places) -> Result<Self, Problem> {
        let (name, sql) = (config.database.get_ref(), config.sql.get_ref());
        let at = config.database.span();
        let path = places.database(name).map_err(|error| source.problem_at(&at, format!("`{name}` cannot be a database: {error}")))?;
        let mut connection = database::open(&path, Access::Read).map_err(|error| {
            source
                .problem_at(&at, format!("the database `{name}` cannot be opened: {error}"))
                .with_help("it is the one that an `sql` connector of the project makes".to_owned())
        })?;
        connection.authorizer(Some(authorize)).map_err(|error| source.problem_at(&at, error.to_string()))?;
        check_statement(&connection, sql).map_err(|message| source.problem_at(&config.sql.span(), message))?;
        let database =
            Database::start(&path, Access::Read).map_err(|error| source.problem(format!("no thread for the database: {error}")))?;
        Ok(Self { sql: sql.clone(), database })
    }

    /// Finds where a customer receives mail.
    ///
    /// # Errors
    /// `not-found` for an unknown customer, `invalid("customer")` for one without a usable address or who has opted out.
    pub(crate) async fn find(&self, tenant: &str, customer: &str, deadline: Instant) -> Result<Mailbox, CallError> {
        let (sql, tenant, id) = (self.sql.clone(), tenant.to_owned(), customer.to_owned());
        let row = self.database.read(deadline, move |connection| query(connection, &sql, &tenant, &id)).await?;
        let Some([address, name, opted_out]) = row else {
            return Err(CallError::not_found(format!("there is no customer `{customer}`")));
        };
        let unusable = |why: &str| CallError::invalid("customer", format!("customer `{customer}` {why}; nothing was sent"));
        match (opted_out, address) {
            (Cell::Integer(0), Cell::Text(address)) => {
                let address: Address = address.parse().map_err(|_| unusable("has an address that is none"))?;
                if !address.to_string().is_ascii() {
                    return Err(unusable("has an address that is not ASCII, which few servers take"));
                }
                Ok(Mailbox::new(display_name(name), address))
            }
            (Cell::Integer(0), _) => Err(unusable("has no mail address")),
            (Cell::Integer(1), _) => Err(unusable("has opted out of mail")),
            _ => Err(CallError::bad_upstream("`opted_out` is neither 0 nor 1")),
        }
    }
}

/// A name is a courtesy: one that could disturb a header is left out, the address alone is enough.
fn display_name(name: Cell) -> Option<String> {
    match name {
        Cell::Text(name) if name.chars().count() <= MAX_NAME_CHARS && !name.chars().any(char::is_control) => Some(name),
        _ => None,
    }
}

fn query(connection: &Connection, sql: &str, tenant: &str, customer: &str) -> Result<Option<[Cell; 3]>, CallError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| database::failure(&error))?;
    statement
        .query_row(rusqlite::named_params! { ":tenant": tenant, ":customer": customer }, |row| {
            Ok([row.get("address")?, row.get("name")?, row.get("opted_out")?])
        })
        .optional()
        .map_err(|error| database::failure(&error))
}

fn check_statement(connection: &Connection, sql: &str) -> Result<(), String> {
    let statement = connection.prepare(sql).map_err(|error| format!("the statement is not valid: {error}"))?;
    if !statement.readonly() {
        return Err("the statement writes; looking an address up changes nothing".to_owned());
    }
    let parameters: Vec<&str> = (1..=statement.parameter_count()).filter_map(|index| statement.parameter_name(index)).collect();
    if statement.parameter_count() != 2 || !parameters.contains(&":tenant") || !parameters.contains(&":customer") {
        return Err("the statement needs the parameters `:tenant` and `:customer`, and no others".to_owned());
    }
    let columns: Vec<&str> = statement.column_names().collect();
    match COLUMNS.iter().find(|column| !columns.contains(column)) {
        Some(missing) => Err(format!("the statement gives no column `{missing}`")),
        None if columns.len() > COLUMNS.len() => Err("the statement gives more than `address`, `name` and `opted_out`".to_owned()),
        None => Ok(()),
    }
}
