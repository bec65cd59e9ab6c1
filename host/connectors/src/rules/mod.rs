//! The `rules` connector: decision tables, read and compiled once.

pub(crate) mod config;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::capability::Operation;
use bailiwick_core::connector::{BoxFuture, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::CallError;
use bailiwick_core::ids::Digest;
use bailiwick_core::{Connector, suggest};
use serde_json::Value;

use self::config::RulesFile;
use self::table::Table;
use crate::config::{Latency, serves};
use crate::outcome::check_size;
use crate::places::{Places, read_bounded};
use crate::problem::{Problem, SourceText};
use crate::values;

/// Most rulesets in one folder.
const MAX_RULESETS: usize = 200;

/// Serves `rules/tables.evaluate` from decision tables.
///
/// Deciding is pure: no clock, no disk, no state. The same facts and ruleset always give the same decision.
#[derive(Debug)]
pub struct RulesConnector {
    name: String,
    digest: Digest,
    tables: BTreeMap<String, Table>,
}

impl RulesConnector {
    /// Reads the file and every ruleset of its folder.
    pub(crate) fn load(name: &str, source: &SourceText, places: &Places) -> Result<(Self, Option<Latency>), Vec<Problem>> {
        let file: RulesFile = source.parse().map_err(|problem| vec![problem])?;
        let sources = read_folder(&file.folder, places)
            .map_err(|error| vec![source.problem(format!("the folder `{}` cannot be read: {error}", file.folder))])?;
        let (mut tables, mut problems) = (BTreeMap::<String, Table>::new(), Vec::new());
        for ruleset in &sources {
            match Table::load(ruleset) {
                Ok(table) if tables.contains_key(&table.name) => {
                    problems.push(ruleset.problem(format!("another file of the folder has the ruleset `{}` too", table.name)));
                }
                Ok(table) => drop(tables.insert(table.name.clone(), table)),
                Err(found) => problems.extend(found),
            }
        }
        if tables.is_empty() && problems.is_empty() {
            problems.push(source.problem(format!("the folder `{}` has no ruleset: a `.yaml` file is expected", file.folder)));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let digest = Digest::of_parts(std::iter::once(source).chain(&sources).map(|s| s.text.as_bytes()));
        Ok((Self { name: name.to_owned(), digest, tables }, file.latency))
    }

    fn evaluate(&self, call: &ConnectorCall) -> Result<ConnectorAnswer, CallError> {
        values::check_args(&call.operation.signature, &call.args)?;
        let ruleset = call.args.get("ruleset").and_then(Value::as_str).unwrap_or_default();
        let table = self.tables.get(ruleset).ok_or_else(|| {
            CallError::not_found(format!(
                "there is no ruleset `{ruleset}`: {}",
                suggest::help(ruleset, self.tables.keys().map(String::as_str))
            ))
        })?;
        let facts = call.args.get("facts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let answer = ConnectorAnswer::of(table.decide(&table.read_facts(facts)?)?);
        check_size(&answer, call.max_result_bytes)?;
        Ok(answer)
    }
}

fn read_folder(folder: &str, places: &Places) -> std::io::Result<Vec<SourceText>> {
    let dir = places.project_folder(folder)?;
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let name = entry?.file_name();
        if Path::new(&name).extension().is_some_and(|extension| extension == "yaml") {
            names.push(name);
        }
        if names.len() > MAX_RULESETS {
            return Err(std::io::Error::other(format!("it has more than {MAX_RULESETS} rulesets")));
        }
    }
    // The order of a folder is not the same everywhere; the digest has to be.
    names.sort();
    let read = |name: &std::ffi::OsString| Ok(SourceText::new(&Path::new(folder).join(name), read_bounded(&dir, Path::new(name))?));
    names.iter().map(read).collect()
}

impl Connector for RulesConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn config_digest(&self) -> Digest {
        self.digest
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        serves("rules", operation, "rules", "tables", &["evaluate"])
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async move {
            self.check(&call.operation).map_err(CallError::unavailable)?;
            // Bounded by rules times steps, and without anything to wait for: done where it is asked.
            self.evaluate(&call)
        })
    }
}

#[cfg(test)]
mod tests;
