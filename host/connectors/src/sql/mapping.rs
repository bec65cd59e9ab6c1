//! From rows to a WIT value, by field name and guided by the operation's result type.

use bailiwick_core::capability::{FieldPath, Operation};
use bailiwick_core::error::CallError;
use bailiwick_core::signature::WitType;
use rusqlite::types::Value as Cell;
use serde_json::{Map, Value};

use super::config::Rows;
use super::plan::{Origin, Plan, Statement};
use crate::values;

/// Rows that a statement gave.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// How a value is made of cells.
#[derive(Debug, PartialEq)]
pub(crate) enum Node {
    Cell {
        statement: usize,
        column: usize,
        ty: WitType,
    },
    Record(Vec<(String, Node)>),
    /// Null where every cell below is null.
    Optional(Box<Node>),
    /// One item for each row of a statement.
    List {
        statement: usize,
        item: Box<Node>,
    },
}

/// Makes the mapping for an operation's result; `None` where it has none.
///
/// # Errors
/// A text that says what is missing or left over, and what to do.
pub(crate) fn compile(plan: &Plan, operation: &Operation) -> Result<Option<Node>, String> {
    let Some(ty) = operation.signature.ok() else {
        return match plan.result {
            // A last statement that gives rows is no mistake: it may only have had to find one.
            Some(Origin::Column(..)) => Err("the operation gives nothing, so `result` is left over".to_owned()),
            _ => Ok(None),
        };
    };
    let origin = plan.result.as_ref().ok_or("no statement gives the result: name one with `result = \"STATEMENT\"`")?;
    let mut mapper = Mapper { plan, used: Vec::new(), in_list: false };
    let node = match (origin, ty) {
        (Origin::Column(statement, column), ty) => mapper.cell(*statement, *column, ty)?,
        (Origin::Statement(statement), WitType::List(item)) if mapper.is_many(*statement) => mapper.list(*statement, item)?,
        (Origin::Statement(statement), ty) if !mapper.is_many(*statement) => mapper.value(*statement, &[], ty)?,
        (Origin::Statement(_), ty) => return Err(format!("`rows = \"many\"` gives a list, and the result is {ty}")),
    };
    mapper.check_all_used()?;
    Ok(Some(node))
}

struct Mapper<'a> {
    plan: &'a Plan,
    used: Vec<(usize, usize)>,
    /// Within the items of a list, where `fields` does not reach.
    in_list: bool,
}

impl<'a> Mapper<'a> {
    fn statement(&self, index: usize) -> Option<&'a Statement> {
        self.plan.statements.get(index)
    }

    fn is_many(&self, index: usize) -> bool {
        self.statement(index).is_some_and(|s| s.rows == Rows::Many)
    }

    fn column(&self, statement: usize, name: &str) -> Option<usize> {
        self.statement(statement)?.columns.iter().position(|column| column == name)
    }

    fn cell(&mut self, statement: usize, column: usize, ty: &WitType) -> Result<Node, String> {
        if has_bytes(ty) {
            return Err("bytes cannot come from a column: this connector serves texts, numbers, flags and JSON".to_owned());
        }
        self.used.push((statement, column));
        Ok(Node::Cell { statement, column, ty: ty.clone() })
    }

    fn value(&mut self, statement: usize, path: &[String], ty: &WitType) -> Result<Node, String> {
        let plan = self.plan;
        if let Some((_, origin)) = plan.fields.iter().find(|(field, _)| !self.in_list && field.segments() == path) {
            return self.elsewhere(origin, ty);
        }
        let name = column_name(path);
        if let Some(column) = self.column(statement, &name) {
            return self.cell(statement, column, ty);
        }
        match ty {
            WitType::Record(fields) => {
                let nodes = fields.iter().map(|(field, ty)| {
                    let deeper: Vec<String> = path.iter().chain([field]).cloned().collect();
                    Ok((field.clone(), self.value(statement, &deeper, ty)?))
                });
                Ok(Node::Record(nodes.collect::<Result<_, String>>()?))
            }
            WitType::Option(inner) if matches!(**inner, WitType::Record(_)) => {
                Ok(Node::Optional(Box::new(self.value(statement, path, inner)?)))
            }
            _ if path.is_empty() => match self.statement(statement).map(|s| s.columns.len()) {
                Some(1) => self.cell(statement, 0, ty),
                _ => Err("the result is one value: name its column with `result = \"STATEMENT.COLUMN\"`".to_owned()),
            },
            _ => Err(format!(
                "nothing gives the field `{}` ({ty}): select a column `{name}`, or name another place with `fields.\"{}\" = …`",
                path.join("."),
                path.join(".")
            )),
        }
    }

    fn elsewhere(&mut self, origin: &Origin, ty: &WitType) -> Result<Node, String> {
        match (origin, ty) {
            (Origin::Column(statement, column), ty) => self.cell(*statement, *column, ty),
            (Origin::Statement(statement), WitType::List(item)) if self.is_many(*statement) => self.list(*statement, item),
            (Origin::Statement(statement), WitType::Record(_)) if !self.is_many(*statement) => self.value(*statement, &[], ty),
            (Origin::Statement(_), ty) => Err(format!("the rows of a statement make a list (`rows = \"many\"`) or a record, not {ty}")),
        }
    }

    /// The items of a list are mapped as if each row were a result of its own: `fields` does not reach into them.
    fn list(&mut self, statement: usize, item: &WitType) -> Result<Node, String> {
        let outer = std::mem::replace(&mut self.in_list, true);
        let node = self.value(statement, &[], item);
        self.in_list = outer;
        let node = node?;
        Ok(Node::List { statement, item: Box::new(node) })
    }

    /// A column that fills nothing is a slip: the author thinks that it does.
    fn check_all_used(&self) -> Result<(), String> {
        let plan = self.plan;
        let by_parameters = plan.statements.iter().flat_map(|s| &s.parameters).filter_map(|source| match source {
            super::plan::Source::Column { statement, column } => Some((*statement, *column)),
            _ => None,
        });
        let misses = plan.statements.iter().filter_map(|s| s.empty.as_ref()).chain(plan.on_constraint.values());
        let by_misses = misses.filter_map(|miss| match miss {
            super::plan::Miss::Conflict(place) => *place,
            _ => None,
        });
        let used: Vec<(usize, usize)> =
            self.used.iter().copied().chain(by_parameters).chain(by_misses).chain(plan.version).chain(plan.as_of).collect();
        for (index, statement) in plan.statements.iter().enumerate() {
            if plan.prior == Some(index) {
                continue;
            }
            // A statement that is only there to find or to lock a row may select anything.
            let is_mapped = used.iter().any(|(s, _)| *s == index);
            let left = statement.columns.iter().enumerate().find(|(column, _)| !used.contains(&(index, *column)));
            if let (true, Some((_, name))) = (is_mapped, left) {
                return Err(format!("the column `{name}` fills no field: remove it, or name it as the field it is for"));
            }
        }
        Ok(())
    }
}

/// Whether a type holds bytes, which JSON has no own form for.
fn has_bytes(ty: &WitType) -> bool {
    match ty {
        WitType::Bytes => true,
        WitType::Option(inner) | WitType::List(inner) => has_bytes(inner),
        WitType::Record(fields) => fields.iter().any(|(_, ty)| has_bytes(ty)),
        _ => false,
    }
}

/// Gives the name of the column for a field path.
fn column_name(path: &[String]) -> String {
    path.join("_").replace('-', "_")
}

/// Makes the value.
///
/// # Errors
/// `bad-upstream` when a cell does not belong to its field's type.
pub(crate) fn apply(node: &Node, captured: &[Captured]) -> Result<Value, CallError> {
    at_row(node, captured, None)
}

fn at_row(node: &Node, captured: &[Captured], current: Option<(usize, usize)>) -> Result<Value, CallError> {
    match node {
        Node::Cell { statement, column, ty } => {
            let row = current.filter(|(s, _)| s == statement).map_or(0, |(_, row)| row);
            let cell = captured.get(*statement).and_then(|c| c.rows.get(row)).and_then(|r| r.get(*column));
            let cell = cell.ok_or_else(|| CallError::bad_upstream("a row that the result needs is missing"))?;
            to_value(cell, ty).map_err(|why| CallError::bad_upstream(format!("column {column} of statement {statement}: {why}")))
        }
        Node::Record(fields) => {
            let fields = fields.iter().map(|(name, node)| Ok((name.clone(), at_row(node, captured, current)?)));
            Ok(Value::Object(fields.collect::<Result<Map<_, _>, CallError>>()?))
        }
        Node::Optional(inner) if all_null(inner, captured, current) => Ok(Value::Null),
        Node::Optional(inner) => at_row(inner, captured, current),
        Node::List { statement, item } => {
            let rows = captured.get(*statement).map_or(0, |c| c.rows.len());
            let items = (0..rows).map(|row| at_row(item, captured, Some((*statement, row))));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
    }
}

fn all_null(node: &Node, captured: &[Captured], current: Option<(usize, usize)>) -> bool {
    match node {
        Node::Cell { statement, column, .. } => {
            let row = current.filter(|(s, _)| s == statement).map_or(0, |(_, row)| row);
            matches!(captured.get(*statement).and_then(|c| c.rows.get(row)).and_then(|r| r.get(*column)), Some(Cell::Null) | None)
        }
        Node::Record(fields) => fields.iter().all(|(_, node)| all_null(node, captured, current)),
        Node::Optional(inner) => all_null(inner, captured, current),
        Node::List { .. } => false,
    }
}

fn to_value(cell: &Cell, ty: &WitType) -> Result<Value, String> {
    let value = match (cell, ty) {
        (Cell::Null, WitType::Option(_)) => return Ok(Value::Null),
        (cell, WitType::Option(inner)) => return to_value(cell, inner),
        (Cell::Integer(0), WitType::Bool) => Value::Bool(false),
        (Cell::Integer(1), WitType::Bool) => Value::Bool(true),
        (Cell::Integer(n), WitType::Signed { .. }) => Value::from(*n),
        (Cell::Integer(n), WitType::Unsigned { .. }) => Value::from(u64::try_from(*n).map_err(|_| format!("{n} is negative"))?),
        (Cell::Integer(n), WitType::Float { .. }) => Value::from(*n),
        (Cell::Real(n), WitType::Float { .. }) => {
            serde_json::Number::from_f64(*n).map(Value::Number).ok_or_else(|| format!("{n} has no JSON form"))?
        }
        (Cell::Text(text), WitType::Text | WitType::Char | WitType::Enum(_)) => Value::String(text.clone()),
        (Cell::Text(text), WitType::Record(_) | WitType::List(_) | WitType::Variant(_) | WitType::Flags(_) | WitType::Tuple(_)) => {
            serde_json::from_str(text).map_err(|error| format!("the text is no JSON: {error}"))?
        }
        (Cell::Null, ty) => return Err(format!("it is null, {ty} expected")),
        (_, ty) => return Err(format!("{ty} expected")),
    };
    match values::conform(&value, ty, "") {
        Ok(()) => Ok(value),
        Err((at, why)) if at.is_empty() => Err(why),
        Err((at, why)) => Err(format!("`{at}`: {why}")),
    }
}

/// Makes an object of a row: column names with `-` for `_`.
pub(crate) fn row_object(statement: &Statement, row: &[Cell]) -> Value {
    let entries = statement.columns.iter().zip(row).map(|(name, cell)| {
        let value = match cell {
            Cell::Null | Cell::Blob(_) => Value::Null,
            Cell::Integer(n) => Value::from(*n),
            Cell::Real(n) => Value::from(*n),
            Cell::Text(text) => Value::String(text.clone()),
        };
        (name.replace('_', "-"), value)
    });
    Value::Object(entries.collect())
}

/// Checks that every path of `fields` is a field of the result.
pub(crate) fn check_fields(paths: &[&FieldPath], operation: &Operation) -> Result<(), String> {
    for path in paths {
        if operation.signature.ok().and_then(|ok| ok.field(path.segments())).is_none() {
            return Err(format!("`fields` names `{path}`, which is no field of the result"));
        }
    }
    Ok(())
}
