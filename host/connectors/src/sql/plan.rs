//! Declared operations, checked against the database: everything that can be known before a call.

use std::collections::BTreeMap;
use std::ops::Range;

use bailiwick_core::capability::FieldPath;
use bailiwick_core::suggest;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use toml::Spanned;

use super::config::{ConstraintKind, NoTenant, OperationConfig, Rows, StatementConfig};
use crate::outcome::OWN_PREFIX;
use crate::problem::{Problem, SourceText};

/// Most statements of one operation.
const MAX_STATEMENTS: usize = 16;

/// Host values that a statement may use as parameters.
pub(super) const HOST_VALUES: [&str; 6] = ["tenant", "now", "key", "run", "task", "run_subject"];

/// An operation with everything resolved.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where it is declared.
    pub(crate) at: Range<usize>,
    pub(crate) statements: Vec<Statement>,
    pub(crate) result: Option<Origin>,
    pub(crate) fields: BTreeMap<FieldPath, Origin>,
    pub(crate) prior: Option<usize>,
    pub(crate) version: Option<(usize, usize)>,
    pub(crate) as_of: Option<(usize, usize)>,
    pub(crate) on_constraint: BTreeMap<ConstraintKind, Miss>,
}

/// A statement with its parameters and columns.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) at: Range<usize>,
    pub(crate) name: Option<String>,
    pub(crate) sql: String,
    pub(crate) rows: Rows,
    pub(crate) empty: Option<Miss>,
    pub(crate) is_read: bool,
    pub(crate) columns: Vec<String>,
    /// By the index that SQLite gave them, from 1.
    pub(crate) parameters: Vec<Source>,
}

/// What a parameter stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Arg(FieldPath),
    Column {
        statement: usize,
        column: usize,
    },
    Tenant,
    Now,
    Key,
    Run,
    Task,
    /// Whose data the run is about: not said by the agent, so a statement can be held to it.
    RunSubject,
}

/// Where a part of the result comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Statement(usize),
    Column(usize, usize),
}

/// What it means that something is not there or not possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Miss {
    NotFound,
    Conflict(Option<(usize, usize)>),
    Invalid(String),
}

/// Refuses everything but reading and changing rows of the connector's own tables. SQLite asks it while it prepares a
/// statement, so it sees through views, triggers and nested queries.
pub(crate) fn authorize(context: AuthContext<'_>) -> Authorization {
    let own = |table: &str| table.to_ascii_lowercase().starts_with(OWN_PREFIX);
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => Authorization::Deny,
        AuthAction::Function { .. } => Authorization::Allow,
        AuthAction::Read { table_name, .. } | AuthAction::Update { table_name, .. } if !own(table_name) => Authorization::Allow,
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name }
            if !own(table_name) && !table_name.to_ascii_lowercase().starts_with("sqlite_") =>
        {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// Checks a declared operation. `connection` has [`authorize`] set.
pub(crate) fn plan(source: &SourceText, connection: &Connection, at: Range<usize>, config: &OperationConfig) -> Result<Plan, Problem> {
    if config.statements.is_empty() || config.statements.len() > MAX_STATEMENTS {
        return Err(source.problem_at(&at, format!("an operation has between 1 and {MAX_STATEMENTS} statements")));
    }
    let mut planner = Planner { source, config, statements: Vec::new(), used: Vec::new() };
    for statement in &config.statements {
        planner.statement(connection, statement)?;
    }
    planner.finish(at)
}

struct Planner<'a> {
    source: &'a SourceText,
    config: &'a OperationConfig,
    statements: Vec<Statement>,
    /// Names of declared parameters that a statement used.
    used: Vec<String>,
}

impl Planner<'_> {
    fn statement(&mut self, connection: &Connection, config: &Spanned<StatementConfig>) -> Result<(), Problem> {
        let (source, statement) = (self.source, config.get_ref());
        let at = statement.sql.span();
        let sql = statement.sql.get_ref();
        let prepared = connection.prepare(sql).map_err(|error| sql_problem(source, &at, sql, &error))?;
        if prepared.is_explain() != 0 {
            return Err(source.problem_at(&at, "`EXPLAIN` is no statement that serves an operation"));
        }
        let is_read = prepared.readonly();
        let parameters = (1..=prepared.parameter_count())
            .map(|index| self.parameter(&at, prepared.parameter_name(index)))
            .collect::<Result<Vec<_>, _>>()?;
        self.check_tenant(statement, &at, &parameters)?;
        let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
        if let Some(twice) = columns.iter().enumerate().find(|(i, c)| columns.iter().take(*i).any(|d| d == *c)).map(|(_, c)| c) {
            return Err(source.problem_at(&at, format!("the column `{twice}` occurs twice")).with_help("name it with `AS`".to_owned()));
        }
        if is_read && columns.is_empty() {
            return Err(source.problem_at(&at, "the statement neither reads nor changes anything"));
        }
        let empty = match (&statement.empty, statement.rows) {
            (None, Rows::One) => Some(Miss::NotFound),
            (None, Rows::Many) => None,
            (Some(text), _) if text.get_ref() == "ok" => None,
            (Some(text), _) => Some(self.miss(text)?),
        };
        let name = statement.name.as_ref().map(|name| name.get_ref().clone());
        if let Some(name) = &statement.name
            && self.statements.iter().any(|s| s.name.as_deref() == Some(name.get_ref()))
        {
            return Err(source.problem_at(&name.span(), format!("two statements are called `{}`", name.get_ref())));
        }
        self.statements.push(Statement { at, name, sql: sql.clone(), rows: statement.rows, empty, is_read, columns, parameters });
        Ok(())
    }

    fn check_tenant(&self, statement: &StatementConfig, at: &Range<usize>, parameters: &[Source]) -> Result<(), Problem> {
        let uses = parameters.contains(&Source::Tenant);
        match (statement.tenant, &statement.tenant_reason) {
            (None, None) if uses => Ok(()),
            (None, None) => Err(self
                .source
                .problem_at(at, "the statement does not use `:tenant`, so one tenant could reach the data of another")
                .with_help("add it to the condition, or say `tenant = \"none\"` and why in `tenant-reason`".to_owned())),
            (Some(NoTenant::None), Some(reason)) if !uses && !reason.trim().is_empty() => Ok(()),
            (Some(NoTenant::None), _) if uses => {
                Err(self.source.problem_at(at, "the statement uses `:tenant` and says `tenant = \"none\"`"))
            }
            _ => Err(self.source.problem_at(at, "`tenant = \"none\"` and `tenant-reason` belong together")),
        }
    }

    fn parameter(&mut self, at: &Range<usize>, name: Option<&str>) -> Result<Source, Problem> {
        let Some(name) = name.and_then(|name| name.strip_prefix(':')) else {
            return Err(self.source.problem_at(at, "a parameter without a name").with_help("write `:name`".to_owned()));
        };
        match (self.config.parameters.get(name), name) {
            (Some(declared), _) => {
                self.used.push(name.to_owned());
                match declared.get_ref().strip_prefix("args.") {
                    Some(path) => self.path(&declared.span(), path).map(Source::Arg),
                    None => self.column(declared).map(|(statement, column)| Source::Column { statement, column }),
                }
            }
            (None, "tenant") => Ok(Source::Tenant),
            (None, "now") => Ok(Source::Now),
            (None, "key") => Ok(Source::Key),
            (None, "run") => Ok(Source::Run),
            (None, "task") => Ok(Source::Task),
            (None, "run_subject") => Ok(Source::RunSubject),
            (None, name) => self.path(at, &name.replace('_', "-")).map(Source::Arg),
        }
    }

    fn path(&self, at: &Range<usize>, text: &str) -> Result<FieldPath, Problem> {
        text.parse().map_err(|_| self.source.problem_at(at, format!("`{text}` is no path of an argument")))
    }

    fn miss(&self, text: &Spanned<String>) -> Result<Miss, Problem> {
        let (word, inner) = match text.get_ref().split_once('(') {
            Some((word, inner)) => (word, inner.strip_suffix(')')),
            None => (text.get_ref().as_str(), None),
        };
        match (word, inner) {
            ("not-found", None) => Ok(Miss::NotFound),
            ("conflict", None) if !text.get_ref().contains('(') => Ok(Miss::Conflict(None)),
            ("conflict", Some(column)) => Ok(Miss::Conflict(Some(self.column(&Spanned::new(text.span(), column.to_owned()))?))),
            ("invalid", Some(argument)) if !argument.is_empty() => Ok(Miss::Invalid(argument.to_owned())),
            _ => Err(self
                .source
                .problem_at(&text.span(), format!("`{}` is no error that a statement can mean", text.get_ref()))
                .with_help("known: `not-found`, `conflict`, `conflict(STATEMENT.COLUMN)`, `invalid(ARGUMENT)`".to_owned())),
        }
    }

    fn statement_index(&self, at: &Range<usize>, name: &str) -> Result<usize, Problem> {
        self.statements.iter().position(|s| s.name.as_deref() == Some(name)).ok_or_else(|| {
            let known: Vec<&str> = self.statements.iter().filter_map(|s| s.name.as_deref()).collect();
            self.source
                .problem_at(at, format!("there is no statement `{name}` before this place"))
                .with_help(suggest::help(name, known.iter().copied()))
        })
    }

    /// Resolves `STATEMENT.COLUMN` of a statement with exactly one row.
    fn column(&self, text: &Spanned<String>) -> Result<(usize, usize), Problem> {
        let at = text.span();
        let Some((name, column)) = text.get_ref().split_once('.') else {
            return Err(self.source.problem_at(&at, format!("`{}` is neither `args.PATH` nor `STATEMENT.COLUMN`", text.get_ref())));
        };
        let index = self.statement_index(&at, name)?;
        let columns = self.statements.get(index).map(|s| s.columns.as_slice()).unwrap_or_default();
        let found = columns.iter().position(|c| c == column).ok_or_else(|| {
            self.source
                .problem_at(&at, format!("the statement `{name}` has no column `{column}`"))
                .with_help(suggest::help(column, columns.iter().map(String::as_str)))
        })?;
        if self.statements.get(index).is_some_and(|s| s.rows == Rows::Many) {
            return Err(self.source.problem_at(&at, format!("`{name}` gives many rows, so `{}` is not one value", text.get_ref())));
        }
        Ok((index, found))
    }

    fn origin(&self, text: &Spanned<String>) -> Result<Origin, Problem> {
        match text.get_ref().contains('.') {
            true => self.column(text).map(|(statement, column)| Origin::Column(statement, column)),
            false => self.statement_index(&text.span(), text.get_ref()).map(Origin::Statement),
        }
    }

    fn finish(self, at: Range<usize>) -> Result<Plan, Problem> {
        let config = self.config;
        if let Some((name, text)) = config.parameters.iter().find(|(name, _)| !self.used.contains(name)) {
            let taken = if HOST_VALUES.contains(&name.as_str()) { " (the host gives this one)" } else { "" };
            return Err(self.source.problem_at(&text.span(), format!("no statement uses the parameter `:{name}`{taken}")));
        }
        let result = match &config.result {
            Some(text) => Some(self.origin(text)?),
            None => self.statements.last().filter(|s| !s.columns.is_empty()).map(|_| Origin::Statement(self.statements.len() - 1)),
        };
        let mut fields = BTreeMap::new();
        for (path, text) in &config.fields {
            fields.insert(self.path(&text.span(), path)?, self.origin(text)?);
        }
        let prior = config.prior.as_ref().map(|text| self.statement_index(&text.span(), text.get_ref())).transpose()?;
        let version = config.version.as_ref().map(|text| self.column(text)).transpose()?;
        let as_of = config.as_of.as_ref().map(|text| self.column(text)).transpose()?;
        let on_constraint =
            config.on_constraint.iter().map(|(kind, text)| Ok((*kind, self.miss(text)?))).collect::<Result<_, Problem>>()?;
        Ok(Plan { at, statements: self.statements, result, fields, prior, version, as_of, on_constraint })
    }
}

fn sql_problem(source: &SourceText, at: &Range<usize>, sql: &str, error: &rusqlite::Error) -> Problem {
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            // The value starts after its quotes; the line within a long statement is what helps most.
            let written = source.text.get(at.clone()).unwrap_or_default();
            let start = written.find(sql).unwrap_or(0) + at.start;
            let within = usize::try_from(*offset).unwrap_or(0).min(sql.len());
            source.problem_at(&(start + within..start + within), format!("the statement is not valid: {msg}"))
        }
        rusqlite::Error::MultipleStatement => source
            .problem_at(at, "more than one statement in one text")
            .with_help("give each its own entry in `statements`; they run in one transaction".to_owned()),
        rusqlite::Error::SqliteFailure(failure, _) if failure.code == rusqlite::ErrorCode::AuthorizationForStatementDenied => source
            .problem_at(at, "the statement does more than reading and changing rows of the connector's tables")
            .with_help("tables are made by the `schema` file; `PRAGMA`, `ATTACH` and transactions belong to the host".to_owned()),
        other => source.problem_at(at, format!("the statement cannot be prepared: {other}")),
    }
}
