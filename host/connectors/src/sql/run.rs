//! One call: its statements, one after another, in the transaction that the caller opened.

use bailiwick_core::connector::{ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, ErrorCode, ffi};
use serde_json::Value;

use super::config::{ConstraintKind, Rows};
use super::mapping::{self, Captured};
use super::plan::{Miss, Plan, Source, Statement};
use crate::database;
use crate::outcome::{self, too_large};

/// Most rows that one statement may give.
const MAX_ROWS: usize = 10_000;

/// Runs a reading operation in a transaction of its own, so that its statements see one state.
pub(crate) fn read(connection: &mut Connection, plan: &Plan, call: &ConnectorCall) -> Result<ConnectorAnswer, CallError> {
    connection.execute_batch("BEGIN").map_err(|error| database::failure(&error))?;
    let answer = statements(connection, plan, call, &outcome::now())?;
    outcome::check_size(&answer, call.max_result_bytes)?;
    connection.execute_batch("COMMIT").map_err(|error| database::failure(&error))?;
    Ok(answer)
}

/// Runs the statements and makes the answer. The caller owns the transaction.
pub(crate) fn statements(connection: &Connection, plan: &Plan, call: &ConnectorCall, now: &str) -> Result<ConnectorAnswer, CallError> {
    let mut captured: Vec<Captured> = Vec::with_capacity(plan.statements.len());
    let mut bytes_left = call.max_result_bytes;
    for statement in &plan.statements {
        let rows = one(connection, plan, statement, call, now, &captured, &mut bytes_left)?;
        captured.push(rows);
    }
    let node = mapping::compile(plan, &call.operation).map_err(CallError::bad_upstream)?;
    let value = node.map_or(Ok(Value::Null), |node| mapping::apply(&node, &captured))?;
    let prior = plan.prior.and_then(|index| Some((plan.statements.get(index)?, captured.get(index)?.rows.first()?)));
    Ok(ConnectorAnswer {
        value,
        cached: false,
        prior: prior.map(|(statement, row)| mapping::row_object(statement, row)),
        version: plan.version.and_then(|place| text_at(&captured, place)),
        as_of: plan.as_of.and_then(|place| text_at(&captured, place)).or_else(|| Some(now.to_owned())),
        artifacts: Vec::new(),
    })
}

fn one(
    connection: &Connection,
    plan: &Plan,
    statement: &Statement,
    call: &ConnectorCall,
    now: &str,
    captured: &[Captured],
    bytes_left: &mut u64,
) -> Result<Captured, CallError> {
    let failed = |error: rusqlite::Error| constraint(&error, plan, captured).unwrap_or_else(|| database::failure(&error));
    let mut prepared = connection.prepare_cached(&statement.sql).map_err(failed)?;
    for (index, source) in statement.parameters.iter().enumerate() {
        prepared.raw_bind_parameter(index + 1, value_of(source, call, now, captured)?).map_err(failed)?;
    }
    let mut found = Captured::default();
    let count = if statement.columns.is_empty() {
        prepared.raw_execute().map_err(failed)?
    } else {
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            if found.rows.len() >= MAX_ROWS {
                return Err(CallError::bad_upstream(format!("a statement gave more than {MAX_ROWS} rows")));
            }
            found.rows.push(cells(row, statement.columns.len(), bytes_left, call.max_result_bytes).map_err(|e| e.unwrap_or_else(failed))?);
        }
        found.rows.len()
    };
    match (count, &statement.empty, statement.rows) {
        (0, Some(miss), _) => Err(missed(miss, captured, &format!("statement {} found or changed no row", captured.len() + 1))),
        (0, None, Rows::One) if !statement.columns.is_empty() => {
            // `empty = "ok"` for a single row: its cells are null for whoever asks.
            found.rows.push(vec![Cell::Null; statement.columns.len()]);
            Ok(found)
        }
        (2.., _, Rows::One) if !statement.columns.is_empty() => {
            Err(CallError::bad_upstream(format!("statement {} gave {count} rows, one was expected", captured.len() + 1)))
        }
        _ => Ok(found),
    }
}

/// Either SQLite's reason or one of our own.
enum CellError {
    Sqlite(rusqlite::Error),
    Own(CallError),
}

impl CellError {
    fn unwrap_or_else(self, failed: impl FnOnce(rusqlite::Error) -> CallError) -> CallError {
        match self {
            Self::Sqlite(error) => failed(error),
            Self::Own(error) => error,
        }
    }
}

/// Copies a row. Texts are counted before they are copied, so an answer that is too large is never held in memory.
fn cells(row: &rusqlite::Row<'_>, count: usize, bytes_left: &mut u64, most: u64) -> Result<Vec<Cell>, CellError> {
    let mut cells = Vec::with_capacity(count);
    for index in 0..count {
        let cell = row.get_ref(index).map_err(CellError::Sqlite)?;
        let bytes = match cell {
            rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => bytes.len() as u64,
            _ => 1,
        };
        *bytes_left = bytes_left.checked_sub(bytes).ok_or_else(|| CellError::Own(too_large(most)))?;
        cells.push(Cell::try_from(cell).map_err(|error| CellError::Own(CallError::bad_upstream(format!("a text is no UTF-8: {error}"))))?);
    }
    Ok(cells)
}

fn value_of(source: &Source, call: &ConnectorCall, now: &str, captured: &[Captured]) -> Result<Cell, CallError> {
    Ok(match source {
        Source::Tenant => Cell::Text(call.origin.tenant.as_str().to_owned()),
        Source::Now => Cell::Text(now.to_owned()),
        Source::Run => Cell::Text(call.origin.run.as_str().to_owned()),
        Source::Task => Cell::Text(call.origin.task.as_str().to_owned()),
        Source::RunSubject => call.origin.subject.as_ref().map_or(Cell::Null, |subject| Cell::Text(subject.as_str().to_owned())),
        Source::Key => call.key.map_or(Cell::Null, |key| Cell::Text(key.to_hex())),
        Source::Column { statement, column } => cell_at(captured, (*statement, *column)).cloned().unwrap_or(Cell::Null),
        Source::Arg(path) => match path.get(&call.args).unwrap_or(&Value::Null) {
            Value::Null => Cell::Null,
            Value::Bool(flag) => Cell::Integer(i64::from(*flag)),
            Value::String(text) => Cell::Text(text.clone()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(n), _) => Cell::Integer(n),
                (None, Some(n)) if !number.is_u64() => Cell::Real(n),
                _ => return Err(CallError::invalid(&path.to_string(), format!("{number} is larger than the database can hold"))),
            },
            other => Cell::Text(other.to_string()),
        },
    })
}

fn cell_at(captured: &[Captured], (statement, column): (usize, usize)) -> Option<&Cell> {
    captured.get(statement)?.rows.first()?.get(column)
}

fn text_at(captured: &[Captured], place: (usize, usize)) -> Option<String> {
    match cell_at(captured, place)? {
        Cell::Text(text) => Some(text.clone()),
        Cell::Integer(n) => Some(n.to_string()),
        _ => None,
    }
}

fn missed(miss: &Miss, captured: &[Captured], detail: &str) -> CallError {
    match miss {
        Miss::NotFound => CallError::not_found(detail),
        Miss::Conflict(place) => {
            let version = place.and_then(|place| text_at(captured, place)).unwrap_or_default();
            CallError::new(GuestError::Conflict(version), detail)
        }
        Miss::Invalid(argument) => CallError::invalid(argument, detail),
    }
}

/// What a violated constraint was declared to mean.
fn constraint(error: &rusqlite::Error, plan: &Plan, captured: &[Captured]) -> Option<CallError> {
    let inner = error.sqlite_error().filter(|inner| inner.code == ErrorCode::ConstraintViolation)?;
    let kind = match inner.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => ConstraintKind::Unique,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_DATATYPE => ConstraintKind::Check,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        _ => return None,
    };
    let detail = format!("a constraint of the database is violated: {error}");
    match (plan.on_constraint.get(&kind), kind) {
        (Some(miss), _) => Some(missed(miss, captured, &detail)),
        (None, ConstraintKind::Unique) => Some(missed(&Miss::Conflict(None), captured, &detail)),
        (None, _) => None,
    }
}
