//! `bailiwick.toml` as it is written: keys and their types, nothing else.

use std::collections::BTreeMap;
use std::fmt;

use bailiwick_core::suggest;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use super::limits::LimitsFile;
use crate::fault::{Diagnosis, Source};

/// A project: its agents, connectors, workflow and limits. The smallest has one agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectFile {
    /// The project itself.
    #[serde(default)]
    pub project: ProjectTable,
    /// The agents by name.
    #[schemars(with = "BTreeMap<String, AgentTable>")]
    pub agents: Spanned<BTreeMap<Spanned<String>, AgentTable>>,
    /// What one task may use up; an agent or a step can only lower it.
    #[serde(default)]
    pub limits: LimitsFile,
    /// Where the ledger, the registry and the connectors' data lie.
    #[serde(default)]
    pub state: StateTable,
    /// Who runs are started for, unless `--as` says otherwise.
    pub requester: Option<RequesterTable>,
}

/// The project itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectTable {
    /// Name: lower case letters, digits and dashes. Default: the folder's name.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The tenant on whose data runs act. Default: `default`.
    #[schemars(with = "Option<String>")]
    pub tenant: Option<Spanned<String>>,
    /// Whether `run` compiles agents from their source folders, which runs their authors' build scripts and macros natively, and lets a
    /// version be replaced. Default: `false`.
    #[serde(default)]
    pub development: bool,
    /// The workflow file. Default: `workflow.yaml`.
    #[schemars(with = "Option<String>")]
    pub workflow: Option<Spanned<String>>,
    /// The input file that `run` takes without `--input`. Default: none, so that `--input` is needed.
    #[schemars(with = "Option<String>")]
    pub input: Option<Spanned<String>>,
    /// A folder whose `.toml` files configure connectors, or a list of such files. Default: `connectors`, where that folder exists.
    #[schemars(with = "Option<Connectors>")]
    pub connectors: Option<Spanned<Connectors>>,
}

/// Where an agent comes from: a source folder, or a component by digest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AgentTable {
    /// A folder with a `Cargo.toml`, compiled by `build`, and by `run` in a development project.
    #[schemars(with = "Option<String>")]
    pub source: Option<Spanned<String>>,
    /// A component file; needs `digest`.
    #[schemars(with = "Option<String>")]
    pub wasm: Option<Spanned<String>>,
    /// Digest of the component file: `sha256:` and 64 hexadecimal digits.
    #[schemars(with = "Option<String>")]
    pub digest: Option<Spanned<String>>,
    /// How far the agent is trusted: policies may look at it, and work is delegated from one tier to the one below. Default: 0, not at all.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub tier: u8,
    /// Limits of this agent, each at most the project's.
    #[serde(default)]
    pub limits: LimitsFile,
}

/// Where the ledger, the registry and the connectors' data lie.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StateTable {
    /// A folder in the project; it is made on first use. Default: `.bailiwick`.
    #[schemars(with = "Option<String>")]
    pub folder: Option<Spanned<String>>,
}

/// Who runs of a development project are started for, on this file's word alone. Elsewhere whoever asks shows who he is, by his account or a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequesterTable {
    /// Name with its kind, for example `channel:web-shop`. Default: `local:` and the user's name.
    #[schemars(with = "Option<String>")]
    pub id: Option<Spanned<String>>,
    /// Further facts that a policy may look at.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// A folder or a list of files.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Connectors {
    /// A folder.
    Folder(String),
    /// Files.
    Files(Vec<String>),
}

impl<'de> Deserialize<'de> for Connectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FolderOrFiles;
        impl<'de> Visitor<'de> for FolderOrFiles {
            type Value = Connectors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a folder, or a list of files")
            }

            fn visit_str<E: serde::de::Error>(self, folder: &str) -> Result<Connectors, E> {
                Ok(Connectors::Folder(folder.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Connectors, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = items.next_element()? {
                    files.push(file);
                }
                Ok(Connectors::Files(files))
            }
        }
        deserializer.deserialize_any(FolderOrFiles)
    }
}

impl ProjectFile {
    /// Reads the text of a `bailiwick.toml`.
    ///
    /// # Errors
    /// The first mistake, with its place; an unknown key is answered with the nearest one.
    pub fn parse(source: &Source) -> Result<Self, Diagnosis> {
        toml::from_str(&source.text).map_err(|error| {
            let (message, help) = explain(error.message());
            let diagnosis = Diagnosis::new(message).with_help(help);
            match error.span() {
                Some(span) => diagnosis.at(source, span),
                None => diagnosis.in_file(source),
            }
        })
    }
}

/// Words an error of the TOML library for the author of the file.
fn explain(message: &str) -> (String, Option<String>) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut names = rest.split('`').skip(1).step_by(2);
        let key = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        return (format!("unknown key `{key}`"), Some(suggest::help(key, known.iter().copied())));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        let help = (key == "`agents`").then(|| "name at least one: `[agents]` and `my-agent = { source = \"my-agent\" }`".to_owned());
        return (format!("key {key} is missing"), help);
    }
    (message.to_owned(), None)
}
