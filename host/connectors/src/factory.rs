//! From files to connectors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::Connector;
use bailiwick_core::capability::Catalog;
use schemars::schema_for;
use serde_json::Value;

use crate::config::{Kind, KindOnly, Latency};
use crate::mail::MailConnector;
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::rules::RulesConnector;
use crate::shipping::ShippingConnector;
use crate::sql::SqlConnector;
use crate::web::WebConnector;
use crate::wrap::Delayed;

/// Most connector files of one project.
const MAX_FILES: usize = 100;

/// Loads the connectors of a project.
#[derive(Debug, Clone, Copy)]
pub struct Connectors;

impl Connectors {
    /// Reads connector files and makes what they declare: databases with sample data or tables, prepared statements,
    /// compiled rules. A connector is called as its file, without the ending.
    ///
    /// `files` are paths relative to `project_dir`; nothing outside of it is read, and nothing outside of `state_dir` (made if it is not
    /// there) is written. Blocks while it reads and writes.
    ///
    /// # Errors
    /// Every problem that was found, over all files.
    pub fn load(project_dir: &Path, state_dir: &Path, files: &[PathBuf]) -> Result<Vec<Arc<dyn Connector>>, Vec<Problem>> {
        Self::load_all(project_dir, state_dir, files, None)
    }

    /// Like [`Connectors::load`], and checks every declared operation against the catalog: a name that no operation has, or a declaration that
    /// does not fit its operation, is a problem with its place.
    ///
    /// # Errors
    /// Every problem that was found, over all files.
    pub fn load_checked(
        project_dir: &Path,
        state_dir: &Path,
        files: &[PathBuf],
        catalog: &Catalog,
    ) -> Result<Vec<Arc<dyn Connector>>, Vec<Problem>> {
        Self::load_all(project_dir, state_dir, files, Some(catalog))
    }

    fn load_all(
        project: &Path,
        state: &Path,
        files: &[PathBuf],
        catalog: Option<&Catalog>,
    ) -> Result<Vec<Arc<dyn Connector>>, Vec<Problem>> {
        let about = |path: &Path, message: String| Problem { file: path.to_owned(), line: None, column: None, message, help: None };
        if files.len() > MAX_FILES {
            return Err(vec![about(project, format!("a project has at most {MAX_FILES} connectors"))]);
        }
        let places = Places::open(project, state).map_err(|error| {
            vec![about(project, format!("the project or its state folder `{}` cannot be opened: {error}", state.display()))]
        })?;
        let mut problems = Vec::new();
        let mut sources: Vec<(usize, String, Kind, SourceText)> = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if sources.iter().any(|(_, other, ..)| *other == name) {
                problems.push(about(file, format!("there is another connector called `{name}`")));
                continue;
            }
            match places.read(file).map(|text| SourceText::new(file, text)) {
                Ok(source) => match source.parse::<KindOnly>() {
                    Ok(KindOnly { kind }) => sources.push((index, name, kind, source)),
                    Err(problem) => problems.push(problem),
                },
                Err(error) => problems.push(about(file, format!("the file cannot be read: {error}"))),
            }
        }
        // Databases first: what looks something up in one of them finds it there, in whatever order the files were named.
        sources.sort_by_key(|(index, _, kind, _)| (*kind != Kind::Sql, *index));
        let mut connectors: Vec<(usize, Arc<dyn Connector>)> = Vec::new();
        for (index, name, kind, source) in sources {
            match load_one(&name, kind, source, &places, catalog) {
                Ok(connector) => connectors.push((index, connector)),
                Err(found) => problems.extend(found),
            }
        }
        connectors.sort_by_key(|(index, _)| *index);
        let connectors = connectors.into_iter().map(|(_, connector)| connector).collect();
        if problems.is_empty() { Ok(connectors) } else { Err(problems) }
    }
}

fn load_one(
    name: &str,
    kind: Kind,
    source: SourceText,
    places: &Places,
    catalog: Option<&Catalog>,
) -> Result<Arc<dyn Connector>, Vec<Problem>> {
    let (connector, latency): (Arc<dyn Connector>, Option<Latency>) = match kind {
        Kind::Sql => {
            let (connector, latency) = SqlConnector::load(name, source, places)?;
            if let Some(catalog) = catalog {
                check_declared(&connector, catalog)?;
            }
            (Arc::new(connector), latency)
        }
        Kind::Rules => {
            let (connector, latency) = RulesConnector::load(name, &source, places)?;
            (Arc::new(connector), latency)
        }
        Kind::Shipping => {
            let (connector, latency) = ShippingConnector::load(name, &source, places).map_err(|problem| vec![problem])?;
            (Arc::new(connector), latency)
        }
        Kind::Mail => {
            let (connector, latency) = MailConnector::load(name, &source, places).map_err(|problem| vec![problem])?;
            (Arc::new(connector), latency)
        }
        Kind::Web => {
            let (connector, latency) = WebConnector::load(name, &source, places).map_err(|problem| vec![problem])?;
            (Arc::new(connector), latency)
        }
    };
    Ok(match latency {
        Some(Latency(latency)) if !latency.is_zero() => Arc::new(Delayed::new(connector, latency)),
        _ => connector,
    })
}

fn check_declared(connector: &SqlConnector, catalog: &Catalog) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    for (name, at) in connector.declared() {
        let source = connector.source();
        match catalog.resolve(name) {
            Err(unknown) => {
                let message = format!("there is no operation `{}`", unknown.name);
                problems.push(source.problem_at(&at, message).with_help(unknown.help));
            }
            Ok(operation) => problems.extend(connector.problem_with(operation)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Gives the JSON schemas of all files that this crate reads, by the name that each is stored under: for editors.
pub fn schemas() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("connector-sql.json", schema_for!(crate::sql::config::SqlFile).to_value()),
        ("connector-mail.json", schema_for!(crate::mail::config::MailFile).to_value()),
        ("connector-shipping.json", schema_for!(crate::shipping::config::ShippingFile).to_value()),
        ("connector-rules.json", schema_for!(crate::rules::config::RulesFile).to_value()),
        ("connector-web.json", schema_for!(crate::web::config::WebFile).to_value()),
        ("ruleset.json", schema_for!(crate::rules::config::RulesetFile).to_value()),
    ])
}

#[cfg(test)]
mod tests {
    use bailiwick_core::ids::Digest;

    use crate::support::*;

    /// Files of a project, by name.
    type Files = Vec<(&'static str, String)>;

    /// A connector of each kind, and the files of the project that it names.
    fn kinds() -> Vec<(&'static str, String, Files)> {
        let file = |name: &str| std::fs::read_to_string(sample().join(name)).unwrap();
        let shop = file("connectors/shop.toml");
        let tables = "CREATE TABLE notes (tenant TEXT, id TEXT, text TEXT) STRICT;";
        let statement = "statements = [{ sql = \"DELETE FROM notes WHERE tenant = :tenant AND id = :note RETURNING id\" }]";
        let own =
            format!("kind = \"sql\"\ndatabase = \"own.sqlite\"\nschema = \"own.sql\"\n[operations.\"crm/notes.void\"]\n{statement}\n");
        let ruleset = |name: &str| format!("ruleset: {name}\nversion: \"1\"\nfacts: {{}}\nrules: []\ndefault: {{ outcome: no }}\n");
        let rules = vec![("rules/a.yaml", ruleset("a")), ("rules/b.yaml", ruleset("b"))];
        let mail = format!("{}\n[smtp]\nhost = \"smtp.example\"\nca = \"ca.pem\"\n", file("connectors/mail.toml"));
        let ca = crate::mail::tests::server::Authority::new().pem;
        vec![
            ("sql with sample data", shop, Vec::new()),
            ("sql with a schema", own, vec![("own.sql", tables.to_owned())]),
            ("rules", file("connectors/rules.toml"), rules),
            ("shipping", file("connectors/shipping.toml"), Vec::new()),
            ("mail", mail, vec![("ca.pem", ca.clone())]),
            ("web", "kind = \"web\"\nca = \"ca.pem\"\n".to_owned(), vec![("ca.pem", ca)]),
        ]
    }

    fn digest(state: &tempfile::TempDir, text: &str, files: &[(&'static str, String)]) -> Digest {
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        load_text(text, state.path(), &files).unwrap().config_digest()
    }

    #[test]
    fn the_digest_on_record_covers_every_file_that_configures_a_connector() {
        for (kind, text, files) in kinds() {
            let state = state();
            let before = digest(&state, &text, &files);
            assert_eq!(digest(&state, &text, &files), before, "{kind}: nothing has changed");
            assert_ne!(digest(&state, &format!("{text}\n# other\n"), &files), before, "{kind}: its own file");
            for index in 0..files.len() {
                let mut others = files.clone();
                // Of no meaning to SQL, YAML or PEM, and another file all the same. The database exists by now.
                others[index].1.push('\n');
                assert_ne!(digest(&state, &text, &others), before, "{kind}: {}", files[index].0);
            }
        }
    }
}
