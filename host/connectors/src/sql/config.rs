//! The form of a `kind = "sql"` file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::config::{Generate, Latency};

/// Operations served by statements on an SQLite database in the state folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SqlFile {
    /// Always `sql`.
    #[expect(dead_code, reason = "it selected this type")]
    kind: SqlKind,
    /// Name of the database file, below `data/` in the state folder, for example `shop.sqlite`.
    #[schemars(with = "String")]
    pub(crate) database: Spanned<String>,
    /// Sample data that are written when the database does not exist yet.
    pub(crate) generate: Option<Generate>,
    /// A file of the project with the statements that make the tables when the database does not exist yet.
    #[schemars(with = "Option<String>")]
    pub(crate) schema: Option<Spanned<String>>,
    /// Waits so long before every call: for demonstrations and benchmarks. Default: not at all.
    pub(crate) latency: Option<Latency>,
    /// The operations, by their name: `crm/customers.get`, or in full with namespace and version.
    #[schemars(with = "BTreeMap<String, OperationConfig>")]
    pub(crate) operations: BTreeMap<Spanned<String>, OperationConfig>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum SqlKind {
    Sql,
}

/// How one operation is served: statements in one transaction, and how their rows become the result.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct OperationConfig {
    /// The statements, in order, all in one transaction.
    #[schemars(with = "Vec<StatementConfig>")]
    pub(crate) statements: Vec<Spanned<StatementConfig>>,
    /// What named parameters of the statements stand for: `args.PATH` or `STATEMENT.COLUMN` of an earlier statement. A parameter that is not
    /// mentioned here is `:tenant`, `:now`, `:key`, `:run`, `:task` or `:run_subject`, or else the argument of that name with `-` for `_`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) parameters: BTreeMap<String, Spanned<String>>,
    /// Where the result comes from: `STATEMENT` (its row becomes a record, its rows a list) or `STATEMENT.COLUMN`. Default: the last statement, where
    /// the operation has a result. A field takes the column of its name with `_` for `-`; a nested field the names joined by `_`.
    #[schemars(with = "Option<String>")]
    pub(crate) result: Option<Spanned<String>>,
    /// Fields of the result that come from elsewhere, by path: `lines = "lines"`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) fields: BTreeMap<String, Spanned<String>>,
    /// The statement whose row holds the values before the change, for an undo.
    #[schemars(with = "Option<String>")]
    pub(crate) prior: Option<Spanned<String>>,
    /// `STATEMENT.COLUMN` with the version after the change.
    #[schemars(with = "Option<String>")]
    pub(crate) version: Option<Spanned<String>>,
    /// `STATEMENT.COLUMN` with the time as of which the data are, RFC 3339. Default: now, because the database is the live system.
    #[schemars(with = "Option<String>")]
    pub(crate) as_of: Option<Spanned<String>>,
    /// What a violated constraint means, by its kind: `not-found`, `conflict`, `conflict(STATEMENT.COLUMN)` or `invalid(ARGUMENT)`. Default:
    /// `conflict` for `unique`, `bad-upstream` for the rest.
    #[serde(default)]
    #[schemars(with = "BTreeMap<ConstraintKind, String>")]
    pub(crate) on_constraint: BTreeMap<ConstraintKind, Spanned<String>>,
}

/// One statement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct StatementConfig {
    /// What other places call its rows. Needed only where one does.
    #[schemars(with = "Option<String>")]
    pub(crate) name: Option<Spanned<String>>,
    /// The statement, with named parameters (`:id`).
    #[schemars(with = "String")]
    pub(crate) sql: Spanned<String>,
    /// How many rows it may give. Default `one`.
    #[serde(default)]
    pub(crate) rows: Rows,
    /// What it means when there is no row or, for a statement that gives none, when no row was changed: `not-found`, `conflict`,
    /// `conflict(STATEMENT.COLUMN)`, `invalid(ARGUMENT)`, or `ok`. Default `not-found`, for `rows = "many"` `ok`.
    #[schemars(with = "Option<String>")]
    pub(crate) empty: Option<Spanned<String>>,
    /// `none` where the statement concerns data that belong to no tenant. Otherwise it must use `:tenant`.
    pub(crate) tenant: Option<NoTenant>,
    /// Why it does.
    pub(crate) tenant_reason: Option<String>,
}

/// The word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NoTenant {
    None,
}

/// How many rows a statement may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rows {
    /// Exactly one.
    #[default]
    One,
    /// Any number.
    Many,
}

/// A kind of constraint, as SQLite tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConstraintKind {
    /// `UNIQUE` or `PRIMARY KEY`.
    Unique,
    /// `FOREIGN KEY`.
    ForeignKey,
    /// `CHECK`, or a value of the wrong type in a strict table.
    Check,
    /// `NOT NULL`.
    NotNull,
}
