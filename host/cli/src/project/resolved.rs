//! The project with everything found on disk.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::{AgentName, Digest, TenantId};
use bailiwick_core::limits::Limits;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::parsed::{Connectors, ProjectFile};
use super::validated::{Placed, ValidAgent, ValidOrigin, ValidProject};
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::text;

/// Name of the project file.
pub const PROJECT_FILE: &str = "bailiwick.toml";
/// Most bytes of a project file, a workflow or an input.
pub const TEXT_BYTES_MOST: u64 = 4 * 1024 * 1024;
/// Most bytes of a component file.
const COMPONENT_BYTES_MOST: u64 = 32 * 1024 * 1024;
/// Most connector files of a project.
const CONNECTORS_MOST: usize = 200;
/// Folder of a project's policies.
const POLICY_FOLDER: &str = "policy";
/// Most policy files of a project.
const POLICIES_MOST: usize = 200;

/// Where an agent's component comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A source folder with a `Cargo.toml`; the path is canonical.
    Source(PathBuf),
    /// A component whose digest was found to be the one that the project names.
    Wasm(Component),
}

/// A component's bytes and where they were read.
#[derive(Debug, Clone)]
pub struct Component {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Their digest.
    pub digest: Digest,
}

impl Component {
    /// Reads a component file.
    ///
    /// # Errors
    /// When it cannot be read or is larger than any component may be.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let bytes = read_bounded(std::fs::File::open(path)?, COMPONENT_BYTES_MOST)?;
        Ok(Self { path: path.to_owned(), digest: Digest::of(&bytes), bytes: bytes.into() })
    }
}

/// An agent of a project.
#[derive(Debug, Clone)]
pub struct ProjectAgent {
    /// Name, in the project file and in the component's own description.
    pub name: AgentName,
    /// Where its component comes from.
    pub origin: Origin,
    /// How far the operator trusts it.
    pub tier: u32,
    /// Its limits, each at most the project's.
    pub limits: Limits,
}

/// A project with everything found on disk.
#[derive(Debug)]
pub struct Project {
    /// The folder, canonical.
    pub root: PathBuf,
    /// The folder as a handle that no path leaves.
    dir: Dir,
    /// Name.
    pub name: String,
    /// The tenant on whose data runs act.
    pub tenant: TenantId,
    /// Whether `run` compiles source folders and lets versions be replaced.
    pub development: bool,
    /// The workflow file, relative to the folder.
    pub workflow: PathBuf,
    /// The default input file, relative to the folder.
    pub input: Option<PathBuf>,
    /// Connector files, relative to the folder, in order of their names.
    pub connectors: Vec<PathBuf>,
    /// Files of the project's policies, relative to the folder, in order of their names; none where the default policy is in force.
    pub policies: Vec<PathBuf>,
    /// The agents in order of their names.
    pub agents: Vec<ProjectAgent>,
    /// What one task may use up.
    pub limits: Limits,
    /// The state folder.
    pub state: PathBuf,
    /// Who runs of a development project are started for without `--as`, with attributes.
    pub requester: Option<(String, BTreeMap<String, String>)>,
    /// Digests of the project's own files, by their names.
    pub digests: BTreeMap<String, Digest>,
}

impl Project {
    /// Reads a project: `at` is its folder or its `bailiwick.toml`; `state` replaces the state folder.
    ///
    /// # Errors
    /// Everything that is wrong with the project file, or the first thing that cannot be read.
    pub fn load(at: &Path, state: Option<&Path>) -> Result<Self> {
        let (root, dir) = open_folder(at)?;
        let shown = text::path(&root.join(PROJECT_FILE));
        let bytes = dir.open(PROJECT_FILE).map(cap_std::fs::File::into_std).and_then(|file| read_bounded(file, TEXT_BYTES_MOST));
        let bytes = bytes.map_err(|error| {
            let diagnosis = Diagnosis::new(format!("`{shown}` cannot be read: {error}"));
            Fault::bad_input(diagnosis.with_help("a project is a folder with a `bailiwick.toml`; name the folder".to_owned()))
        })?;
        let source = to_source(&shown, bytes).map_err(Fault::bad_input)?;
        let file = ProjectFile::parse(&source).map_err(Fault::bad_input)?;
        let valid = ValidProject::new(&file, &source).map_err(Fault::bad_project)?;
        Resolve { root, dir, source, wrong: Vec::new() }.resolve(valid, state).map_err(Fault::bad_project)
    }

    /// Makes a project of nothing, for a component that is tried where there is no project: no agents, no connectors.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn none(folder: &Path) -> std::io::Result<Self> {
        let tenant = TenantId::from("default");
        Ok(Self {
            root: folder.to_owned(),
            dir: Dir::open_ambient_dir(folder, ambient_authority())?,
            name: "none".to_owned(),
            development: false,
            workflow: PathBuf::new(),
            input: None,
            connectors: Vec::new(),
            policies: Vec::new(),
            agents: Vec::new(),
            limits: Limits::default(),
            state: folder.join("state"),
            requester: None,
            tenant,
            digests: BTreeMap::new(),
        })
    }

    /// Reads a text file of the project.
    ///
    /// # Errors
    /// When it cannot be read, is too large or is no UTF-8; the diagnosis names the file.
    pub fn read(&self, path: &Path) -> std::result::Result<Source, Diagnosis> {
        read_text(&self.dir, &self.root, path)
    }

    /// Reads the files of cases beside the policies, in order of their names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn policy_cases(&self) -> Result<Vec<Source>> {
        if !self.dir.is_dir(POLICY_FOLDER) {
            return Ok(Vec::new());
        }
        let entries =
            self.dir.read_dir(POLICY_FOLDER).and_then(|entries| entries.take(2 * POLICIES_MOST).collect::<std::io::Result<Vec<_>>>());
        let entries =
            entries.map_err(|error| Fault::bad_input(Diagnosis::new(format!("the folder `{POLICY_FOLDER}` cannot be read: {error}"))))?;
        let mut files: Vec<PathBuf> = entries.iter().map(|entry| Path::new(POLICY_FOLDER).join(entry.file_name())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        files.iter().map(|file| self.read(file).map_err(Fault::bad_input)).collect()
    }

    /// Finds an agent by its name.
    pub fn agent(&self, name: &str) -> Option<&ProjectAgent> {
        self.agents.iter().find(|agent| agent.name.as_str() == name)
    }
}

/// Opens a project folder, named itself or by its file.
fn open_folder(at: &Path) -> Result<(PathBuf, Dir)> {
    let folder =
        if at.file_name().is_some_and(|name| name == PROJECT_FILE) && at.is_file() { at.parent().unwrap_or(Path::new(".")) } else { at };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let opened = folder.canonicalize().and_then(|root| Ok((Dir::open_ambient_dir(&root, ambient_authority())?, root)));
    opened.map(|(dir, root)| (root, dir)).map_err(|error| {
        let diagnosis = Diagnosis::new(format!("project folder `{}` cannot be opened: {error}", folder.display()));
        Fault::bad_input(diagnosis.with_help("name a folder with a `bailiwick.toml`".to_owned()))
    })
}

/// Reads a file up to a bound.
pub fn read_bounded(file: impl std::io::Read, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("it has more than {}", text::bytes(most))));
    }
    Ok(bytes)
}

fn to_source(shown: &str, bytes: Vec<u8>) -> std::result::Result<Source, Diagnosis> {
    let text = String::from_utf8(bytes).map_err(|error| {
        Diagnosis::new(format!("`{shown}` is no UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
            .with_help("save it as UTF-8".to_owned())
    })?;
    Ok(Source::new(shown, text))
}

fn read_text(dir: &Dir, root: &Path, path: &Path) -> std::result::Result<Source, Diagnosis> {
    let shown = text::path(&root.join(path));
    let bytes = dir.open(path).map(cap_std::fs::File::into_std).and_then(|file| read_bounded(file, TEXT_BYTES_MOST));
    to_source(&shown, bytes.map_err(|error| Diagnosis::new(format!("`{shown}` cannot be read: {error}")))?)
}

/// Reads a text file that the command line names.
///
/// # Errors
/// When it cannot be read, is too large or is no UTF-8.
pub fn read_named(path: &Path) -> Result<Source> {
    let shown = text::path(path);
    let bytes = std::fs::File::open(path).and_then(|file| read_bounded(file, TEXT_BYTES_MOST));
    let bytes = bytes.map_err(|error| Fault::bad_input(Diagnosis::new(format!("`{shown}` cannot be read: {error}"))))?;
    to_source(&shown, bytes).map_err(Fault::bad_input)
}

struct Resolve {
    root: PathBuf,
    dir: Dir,
    source: Source,
    wrong: Vec<Diagnosis>,
}

impl Resolve {
    fn resolve(mut self, valid: ValidProject, state: Option<&Path>) -> std::result::Result<Project, Vec<Diagnosis>> {
        let mut digests = BTreeMap::from([(PROJECT_FILE.to_owned(), Digest::of(self.source.text.as_bytes()))]);
        self.digest("workflow", &valid.workflow, &mut digests);
        if let Some(input) = &valid.input {
            // Looked for now, so that a wrong default is found by `check`; read when a run needs it.
            self.digest("input", input, &mut BTreeMap::new());
        }
        let connectors = self.connectors(valid.connectors.as_ref());
        for file in &connectors {
            self.digest("connector", &Placed { value: file.clone(), span: None }, &mut digests);
        }
        let policies = self.policies();
        for file in &policies {
            self.digest("policy", &Placed { value: file.clone(), span: None }, &mut digests);
        }
        let agents: Vec<ProjectAgent> = valid.agents.into_iter().filter_map(|agent| self.agent(agent)).collect();
        let state = match state {
            Some(state) => std::path::absolute(state).unwrap_or_else(|_| state.to_owned()),
            None => self.state(&valid.state),
        };
        let name = valid
            .name
            .unwrap_or_else(|| self.root.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned()));
        if !self.wrong.is_empty() {
            return Err(self.wrong);
        }
        Ok(Project {
            root: self.root,
            dir: self.dir,
            name,
            tenant: valid.tenant,
            development: valid.development,
            workflow: valid.workflow.value,
            input: valid.input.map(|input| input.value),
            connectors,
            policies,
            agents,
            limits: valid.limits,
            state,
            requester: valid.requester,
            digests,
        })
    }

    fn refuse(&mut self, span: Option<Range<usize>>, message: String, help: &str) {
        let diagnosis = Diagnosis::new(message).with_help(help.to_owned());
        self.wrong.push(match span {
            Some(span) => diagnosis.at(&self.source, span),
            None => diagnosis.in_file(&self.source),
        });
    }

    fn digest(&mut self, what: &str, path: &Placed<PathBuf>, digests: &mut BTreeMap<String, Digest>) {
        match read_text(&self.dir, &self.root, &path.value) {
            Ok(text) => {
                digests.insert(path.value.to_string_lossy().into_owned(), Digest::of(text.text.as_bytes()));
            }
            Err(diagnosis) => {
                self.refuse(path.span.clone(), format!("{what}: {diagnosis}"), "paths are relative to the folder of `bailiwick.toml`")
            }
        }
    }

    fn connectors(&mut self, connectors: Option<&Placed<Connectors>>) -> Vec<PathBuf> {
        let (folder, span) = match connectors {
            Some(Placed { value: Connectors::Files(files), .. }) => return files.iter().map(PathBuf::from).collect(),
            Some(Placed { value: Connectors::Folder(folder), span }) => (folder.as_str(), span.clone()),
            None if !self.dir.is_dir("connectors") => return Vec::new(),
            None => ("connectors", None),
        };
        match self.list(folder, "toml", CONNECTORS_MOST) {
            Ok(files) if files.len() > CONNECTORS_MOST => {
                self.refuse(span, format!("`{folder}` has {} connector files", files.len()), "a project has at most 200");
                Vec::new()
            }
            Ok(files) => files,
            Err(error) => {
                self.refuse(
                    span,
                    format!("connector folder `{folder}` cannot be read: {error}"),
                    "name a folder of the project, or a list of files",
                );
                Vec::new()
            }
        }
    }

    /// Lists the files of a folder with an ending, in order of their names.
    fn list(&self, folder: &str, ending: &str, most: usize) -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in self.dir.read_dir(folder)?.take(most * 10) {
            let name = PathBuf::from(entry?.file_name());
            if name.extension().is_some_and(|extension| extension == ending) {
                files.push(Path::new(folder).join(name));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Finds the project's policies. Without a folder the default policy is in force; an empty one is a mistake: nothing would be permitted.
    fn policies(&mut self) -> Vec<PathBuf> {
        if !self.dir.is_dir(POLICY_FOLDER) {
            return Vec::new();
        }
        let message = match self.list(POLICY_FOLDER, "cedar", POLICIES_MOST) {
            Ok(files) if files.is_empty() => format!("the folder `{POLICY_FOLDER}` has no `.cedar` file, so nothing would be permitted"),
            Ok(files) if files.len() > POLICIES_MOST => format!("`{POLICY_FOLDER}` has more than {POLICIES_MOST} policy files"),
            Ok(files) => return files,
            Err(error) => format!("the folder `{POLICY_FOLDER}` cannot be read: {error}"),
        };
        self.refuse(None, message, "remove the folder, and the default policy is in force; or begin with `bailiwick policy default`");
        Vec::new()
    }

    fn agent(&mut self, agent: ValidAgent) -> Option<ProjectAgent> {
        let name = &agent.name;
        let origin = match agent.origin {
            ValidOrigin::Source(folder) => {
                let path = self.root.join(&folder.value);
                match path.canonicalize() {
                    Ok(path) if path.join("Cargo.toml").is_file() => Origin::Source(path),
                    Ok(_) => {
                        let message = format!("source folder `{}` of agent `{name}` has no `Cargo.toml`", folder.value.display());
                        self.refuse(folder.span, message, "name the folder of the agent's Cargo package");
                        return None;
                    }
                    Err(error) => {
                        let message = format!("source folder `{}` of agent `{name}` cannot be found: {error}", folder.value.display());
                        self.refuse(folder.span, message, "`bailiwick new agent NAME` makes one");
                        return None;
                    }
                }
            }
            ValidOrigin::Wasm { path, digest } => Origin::Wasm(self.component(name, &path, digest)?),
        };
        Some(ProjectAgent { name: agent.name, origin, tier: agent.tier, limits: agent.limits })
    }

    fn component(&mut self, name: &AgentName, path: &Placed<PathBuf>, digest: Digest) -> Option<Component> {
        match Component::read(&self.root.join(&path.value)) {
            Ok(component) if component.digest == digest => Some(component),
            Ok(component) => {
                let message = format!("component `{}` of agent `{name}` is {} and not {digest}", path.value.display(), component.digest);
                self.refuse(path.span.clone(), message, "if the change is meant, inspect the component and write down its new digest");
                None
            }
            Err(error) => {
                let message = format!("component `{}` of agent `{name}` cannot be read: {error}", path.value.display());
                self.refuse(path.span.clone(), message, "paths are relative to the folder of `bailiwick.toml`");
                None
            }
        }
    }

    /// A link in place of the state folder, or on the way to it, could have us write anywhere.
    fn state(&mut self, state: &Placed<PathBuf>) -> PathBuf {
        let mut walked = PathBuf::new();
        for part in state.value.components() {
            walked.push(part);
            match self.dir.symlink_metadata(&walked) {
                Ok(metadata) if metadata.is_dir() => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Ok(_) => {
                    let message = format!("state folder `{}`: `{}` is no folder", state.value.display(), walked.display());
                    self.refuse(state.span.clone(), message, "a link is not followed here; pass `--state DIR` to use another folder");
                    break;
                }
                Err(error) => {
                    let message = format!("state folder `{}` cannot be looked at: {error}", state.value.display());
                    self.refuse(state.span.clone(), message, "pass `--state DIR` to use another folder");
                    break;
                }
            }
        }
        self.root.join(&state.value)
    }
}
