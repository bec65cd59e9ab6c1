//! `bailiwick.toml` as it is valid: names are names, paths stay in the project, every agent has one origin. Nothing was looked up on disk.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use bailiwick_core::ids::{AgentName, Digest, TenantId};
use bailiwick_core::limits::Limits;
use toml::Spanned;

use super::parsed::{AgentTable, Connectors, ProjectFile, RequesterTable};
use crate::fault::{Diagnosis, Source};
use crate::requesters::local_name;

/// A value and where it stands; no place for a default.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    pub value: T,
    pub span: Option<Range<usize>>,
}

/// Where a component comes from, as written.
#[derive(Debug, Clone)]
pub enum ValidOrigin {
    Source(Placed<PathBuf>),
    Wasm { path: Placed<PathBuf>, digest: Digest },
}

#[derive(Debug)]
pub struct ValidAgent {
    pub name: AgentName,
    pub origin: ValidOrigin,
    pub tier: u32,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct ValidProject {
    pub name: Option<String>,
    pub tenant: TenantId,
    pub development: bool,
    pub workflow: Placed<PathBuf>,
    pub input: Option<Placed<PathBuf>>,
    pub connectors: Option<Placed<Connectors>>,
    pub agents: Vec<ValidAgent>,
    pub limits: Limits,
    pub state: Placed<PathBuf>,
    /// Name and attributes.
    pub requester: Option<(String, BTreeMap<String, String>)>,
}

/// Most agents of a project.
const AGENTS_MOST: usize = 1_000;
/// Longest name.
const NAME_BYTES_MOST: usize = 64;

impl ValidProject {
    /// Checks what can be checked without looking at the disk.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn new(file: &ProjectFile, source: &Source) -> Result<Self, Vec<Diagnosis>> {
        let mut check = Check { source, wrong: Vec::new() };
        let limits = check.take(file.limits.for_project(source)).unwrap_or_default();
        let table = &file.project;
        let name = table.name.as_ref().and_then(|name| check.name("a project", name));
        let tenant = table.tenant.as_ref().and_then(|name| check.name("a tenant", name)).unwrap_or_else(|| "default".to_owned());
        let workflow = check.inside("workflow", table.workflow.as_ref());
        let input = check.inside("input", table.input.as_ref());
        let connectors = check.connectors(table.connectors.as_ref());
        let state = check.inside("folder", file.state.folder.as_ref());
        let requester = file.requester.as_ref().and_then(|table| check.stand_in(table, file.project.development));
        let agents = check.agents(&file.agents, limits);
        if !check.wrong.is_empty() {
            return Err(check.wrong);
        }
        Ok(Self {
            name,
            tenant: tenant.into(),
            development: table.development,
            workflow: workflow.unwrap_or_else(|| Placed { value: "workflow.yaml".into(), span: None }),
            input,
            connectors,
            agents,
            limits,
            state: state.unwrap_or_else(|| Placed { value: ".bailiwick".into(), span: None }),
            requester,
        })
    }
}

/// Whether a text is a name: lower case letters, digits and dashes, a letter first.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MOST
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Whether a text names a requester: a kind, a colon, and a name without spaces.
pub fn is_requester(text: &str) -> bool {
    text.len() <= 200
        && text.split_once(':').is_some_and(|(kind, name)| is_name(kind) && !name.is_empty())
        && text.chars().all(|c| c.is_ascii_graphic())
}

struct Check<'a> {
    source: &'a Source,
    wrong: Vec<Diagnosis>,
}

impl Check<'_> {
    fn take<T>(&mut self, result: Result<T, Vec<Diagnosis>>) -> Option<T> {
        result.map_err(|wrong| self.wrong.extend(wrong)).ok()
    }

    fn refuse<T>(&mut self, span: Range<usize>, message: String, help: &str) -> Option<T> {
        self.wrong.push(Diagnosis::new(message).at(self.source, span).with_help(help.to_owned()));
        None
    }

    fn name(&mut self, what: &str, name: &Spanned<String>) -> Option<String> {
        if is_name(name.get_ref()) {
            return Some(name.get_ref().clone());
        }
        self.refuse(
            name.span(),
            format!("`{}` cannot be the name of {what}", name.get_ref()),
            "use lower case letters, digits and dashes, a letter first",
        )
    }

    fn stand_in(&mut self, table: &RequesterTable, development: bool) -> Option<(String, BTreeMap<String, String>)> {
        if !development {
            let diagnosis = Diagnosis::new("a project cannot name its requester: whoever asks shows who he is");
            let help =
                "say `development = true` in `[project]`, or leave `[requester]` out and give out a token: `bailiwick requesters add NAME`";
            let diagnosis = diagnosis.with_help(help.to_owned());
            self.wrong.push(match &table.id {
                Some(id) => diagnosis.at(self.source, id.span()),
                None => diagnosis.in_file(self.source),
            });
            return None;
        }
        let id = match &table.id {
            None => local_name(),
            Some(id) if is_requester(id.get_ref()) => id.get_ref().clone(),
            Some(id) => {
                let message = format!("`{}` names no requester", id.get_ref());
                return self.refuse(id.span(), message, "write a kind and a name, for example `channel:web-shop`");
            }
        };
        Some((id, table.attributes.clone()))
    }

    /// A path that must stay in the project.
    fn inside(&mut self, key: &str, path: Option<&Spanned<String>>) -> Option<Placed<PathBuf>> {
        let path = path?;
        if stays_inside(path.get_ref()) {
            return Some(Placed { value: path.get_ref().into(), span: Some(path.span()) });
        }
        let message = format!("`{key}` is `{}`, which leads out of the project folder", path.get_ref());
        self.refuse(path.span(), message, "give a path below the folder of `bailiwick.toml`")
    }

    fn connectors(&mut self, connectors: Option<&Spanned<Connectors>>) -> Option<Placed<Connectors>> {
        let connectors = connectors?;
        let paths = match connectors.get_ref() {
            Connectors::Folder(folder) => std::slice::from_ref(folder),
            Connectors::Files(files) => files.as_slice(),
        };
        if let Some(bad) = paths.iter().find(|path| !stays_inside(path)) {
            let message = format!("`connectors` names `{bad}`, which leads out of the project folder");
            return self.refuse(connectors.span(), message, "give paths below the folder of `bailiwick.toml`");
        }
        Some(Placed { value: connectors.get_ref().clone(), span: Some(connectors.span()) })
    }

    fn agents(&mut self, agents: &Spanned<BTreeMap<Spanned<String>, AgentTable>>, limits: Limits) -> Vec<ValidAgent> {
        let count = agents.get_ref().len();
        if count == 0 || count > AGENTS_MOST {
            let help = "name at least one: `my-agent = { source = \"my-agent\" }`";
            let _: Option<()> = self.refuse(agents.span(), format!("{count} agents are named, 1 to {AGENTS_MOST} are possible"), help);
            return Vec::new();
        }
        agents.get_ref().iter().filter_map(|(name, table)| self.agent(name, table, limits)).collect()
    }

    fn agent(&mut self, name: &Spanned<String>, table: &AgentTable, limits: Limits) -> Option<ValidAgent> {
        let limits = self.take(table.limits.for_agent(limits, self.source));
        let agent = self.name("an agent", name);
        let origin = self.origin(name, table);
        Some(ValidAgent { name: agent?.into(), origin: origin?, tier: table.tier.into(), limits: limits? })
    }

    fn origin(&mut self, name: &Spanned<String>, table: &AgentTable) -> Option<ValidOrigin> {
        let agent = name.get_ref();
        match (&table.source, &table.wasm, &table.digest) {
            (Some(source), None, None) => Some(ValidOrigin::Source(placed_path(source))),
            (None, Some(wasm), Some(digest)) => match digest.get_ref().parse() {
                Ok(parsed) => Some(ValidOrigin::Wasm { path: placed_path(wasm), digest: parsed }),
                Err(problem) => self.refuse(digest.span(), problem.to_string(), "`bailiwick agents inspect FILE` prints it"),
            },
            (None, Some(wasm), None) => {
                let message = format!("agent `{agent}` names a component without its digest");
                self.refuse(wasm.span(), message, "add `digest = \"sha256:…\"`; `bailiwick agents inspect FILE` prints it")
            }
            (Some(source), Some(_), _) => {
                let message = format!("agent `{agent}` has both a source folder and a component");
                self.refuse(source.span(), message, "keep one of `source` and `wasm`")
            }
            (Some(_), None, Some(digest)) => {
                let message = format!("agent `{agent}` has a digest and no component");
                self.refuse(digest.span(), message, "a digest belongs to `wasm`; a source folder has none")
            }
            (None, None, _) => {
                let message = format!("agent `{agent}` says not where it comes from");
                self.refuse(name.span(), message, "add `source = \"FOLDER\"`, or `wasm = \"FILE\"` with its `digest`")
            }
        }
    }
}

fn placed_path(path: &Spanned<String>) -> Placed<PathBuf> {
    Placed { value: path.get_ref().into(), span: Some(path.span()) }
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
