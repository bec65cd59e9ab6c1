//! The registry: components by digest, `name@version` to digest, and the one version that new tasks use.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bailiwick_core::capability::Catalog;
use bailiwick_core::ids::{AgentName, Digest, Seq};
use bailiwick_core::record::{Draft, Fields, LedgerFailure, RecordContext, RecordKind, Recorder};
use bailiwick_core::runner::AgentInfo;
use bailiwick_core::suggest;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Cache;
use crate::compile::{self, CompileCommand};
use crate::engine;
use crate::install::{self, Entry, InstallProblem};
use crate::link::Routes;

/// Format of `index.json`; another number is a newer version's.
const INDEX_FORMAT: u32 = 1;

/// Why the registry could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryProblem {
    /// A component was not installed.
    #[error("`{what}` was not installed: {problem}")]
    Install {
        /// Which file or agent.
        what: String,
        /// Why.
        #[source]
        problem: InstallProblem,
    },
    /// `name@version` points to another component already.
    #[error("`{name}@{version}` is {known} already and not {new}: raise the version, or replace it explicitly")]
    VersionTaken {
        /// Name.
        name: AgentName,
        /// Version.
        version: String,
        /// Digest that it points to.
        known: Digest,
        /// Digest that was to be installed.
        new: Digest,
    },
    /// There is no such agent or version.
    #[error("there is no `{what}`: {help}")]
    Unknown {
        /// What was asked for.
        what: String,
        /// What there is.
        help: String,
    },
    /// The version imports more than the active one.
    #[error("`{name}@{version}` asks for more than the active version: {}; accept it explicitly", .wider.join(", "))]
    Wider {
        /// Name.
        name: AgentName,
        /// Version.
        version: String,
        /// Operations that it imports and the active version does not.
        wider: Vec<String>,
    },
    /// The registry's folder could not be read or written.
    #[error("the registry in `{}` could not be used: {source}", .path.display())]
    Storage {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The index is of a newer version.
    #[error("`{}` was written by a newer version of Bailiwick (format {found}, this one knows {INDEX_FORMAT}): use that version", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The ledger cannot be written, so nothing may change.
    #[error(transparent)]
    Ledger(#[from] LedgerFailure),
}

/// How to install.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstallOptions {
    /// Lets `name@version` point to another component than before, as a development build does.
    pub replace: bool,
    /// Makes it the active version at once.
    pub activate: bool,
    /// Accepts that it asks for more than the active version.
    pub accept_wider: bool,
}

/// One installed version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Installed {
    /// Name.
    pub name: AgentName,
    /// Version.
    pub version: String,
    /// Digest of the component.
    pub component: Digest,
    /// Whether new tasks use it.
    pub active: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Index {
    format: u32,
    agents: BTreeMap<AgentName, Versions>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Versions {
    active: Option<String>,
    versions: BTreeMap<String, Digest>,
}

type Active = BTreeMap<AgentName, Arc<Entry>>;

/// The registry of one state folder.
pub struct Registry {
    engine: Engine,
    engine_digest: Digest,
    dir: PathBuf,
    cache: Cache,
    /// Another registry's cache, read where this one has nothing.
    borrowed: OnceLock<Cache>,
    compile: CompileCommand,
    catalog: Arc<Catalog>,
    routes: Arc<Routes>,
    recorder: Arc<dyn Recorder>,
    index: tokio::sync::Mutex<Index>,
    active: ArcSwap<Active>,
}

impl Registry {
    /// Opens the registry in `dir` and makes every active version ready.
    ///
    /// # Errors
    /// When the folder cannot be used, is of a newer version, or an active component does not install any more.
    pub(crate) async fn open(
        engine: Engine,
        dir: &Path,
        compile: CompileCommand,
        catalog: Arc<Catalog>,
        routes: Arc<Routes>,
        recorder: Arc<dyn Recorder>,
    ) -> Result<Self, RegistryProblem> {
        let storage = |source| RegistryProblem::Storage { path: dir.to_owned(), source };
        let cache = Cache::open(&dir.join("cache")).map_err(storage)?;
        let index = read_index(&dir.join("index.json"))?;
        let engine_digest = engine::digest(&engine);
        let registry = Self {
            engine,
            engine_digest,
            dir: dir.to_owned(),
            cache,
            borrowed: OnceLock::new(),
            compile,
            catalog,
            routes,
            recorder,
            index: tokio::sync::Mutex::new(index.clone()),
            active: ArcSwap::default(),
        };
        let mut active = Active::new();
        for (name, versions) in &index.agents {
            let Some(digest) = versions.active.as_ref().and_then(|version| versions.versions.get(version)) else { continue };
            active.insert(name.clone(), registry.load(name.as_str(), *digest).await?);
        }
        registry.active.store(Arc::new(active));
        Ok(registry)
    }

    /// Lets a registry that is thrown away load what the registry in `dir` has compiled. Nothing is written there; a folder without a cache
    /// of this host's changes nothing.
    pub fn borrow_compiled(&self, dir: &Path) {
        if let Some(cache) = Cache::open_to_read(&dir.join("cache")) {
            // Whoever came first is as good.
            let _ = self.borrowed.set(cache);
        }
    }

    fn load_compiled(&self, digest: Digest) -> Option<Component> {
        let caches = std::iter::once(&self.cache).chain(self.borrowed.get());
        caches.into_iter().find_map(|cache| cache.load(&self.engine, digest, self.engine_digest))
    }

    /// Gives the digest of the engine's configuration.
    pub fn engine_digest(&self) -> Digest {
        self.engine_digest
    }

    /// Gives the entry that new tasks of an agent use.
    pub(crate) fn entry(&self, name: &AgentName) -> Option<Arc<Entry>> {
        self.active.load().get(name).map(Arc::clone)
    }

    /// Gives what is known of the active versions.
    pub fn active(&self) -> Vec<Arc<AgentInfo>> {
        self.active.load().values().map(|entry| Arc::clone(&entry.info)).collect()
    }

    /// Gives all installed versions.
    pub async fn list(&self) -> Vec<Installed> {
        let index = self.index.lock().await;
        let rows = index.agents.iter().flat_map(|(name, versions)| {
            versions.versions.iter().map(move |(version, digest)| Installed {
                name: name.clone(),
                version: version.clone(),
                component: *digest,
                active: versions.active.as_ref() == Some(version),
            })
        });
        rows.collect()
    }

    /// Reads what a component says about itself, with all checks of an install, and keeps nothing.
    ///
    /// # Errors
    /// See [`InstallProblem`].
    pub async fn inspect(&self, what: &str, wasm: &[u8]) -> Result<Arc<AgentInfo>, RegistryProblem> {
        let digest = Digest::of(wasm);
        Ok(Arc::clone(&self.ready(what, digest, wasm).await?.info))
    }

    /// Gives what is known of an installed version.
    ///
    /// # Errors
    /// When there is none, or it does not install any more.
    pub async fn info(&self, name: &AgentName, version: Option<&str>) -> Result<Arc<AgentInfo>, RegistryProblem> {
        if let (None, Some(entry)) = (version, self.entry(name)) {
            return Ok(Arc::clone(&entry.info));
        }
        let digest = {
            let index = self.index.lock().await;
            let versions = find(&index, name)?;
            let version = version.or(versions.versions.keys().next_back().map(String::as_str)).unwrap_or_default();
            *find_version(versions, name, version)?
        };
        Ok(Arc::clone(&self.load(name.as_str(), digest).await?.info))
    }

    /// Installs a component; `what` names it in errors.
    ///
    /// # Errors
    /// When it fails a check, or its `name@version` is taken. Nothing has changed then.
    pub async fn install(&self, what: &str, wasm: &[u8], options: InstallOptions) -> Result<Arc<AgentInfo>, RegistryProblem> {
        let digest = Digest::of(wasm);
        let entry = Arc::new(self.ready(what, digest, wasm).await?);
        let info = Arc::clone(&entry.info);
        let mut index = self.index.lock().await;
        let known = index.agents.get(&info.name).and_then(|versions| versions.versions.get(&info.version)).copied();
        if let Some(known) = known.filter(|known| *known != digest && !options.replace) {
            return Err(RegistryProblem::VersionTaken { name: info.name.clone(), version: info.version.clone(), known, new: digest });
        }
        let mut next = index.clone();
        let versions = next.agents.entry(info.name.clone()).or_default();
        versions.versions.insert(info.version.clone(), digest);
        if known != Some(digest) {
            self.keep(digest, wasm)?;
            self.record(RecordKind::ComponentInstalled, &info)?;
        }
        if options.activate {
            self.make_active(&mut next, &entry, options.accept_wider)?;
        }
        self.write_index(&next).await?;
        *index = next;
        if options.activate {
            self.swap(entry);
        }
        Ok(info)
    }

    /// Makes a version the one that new tasks use: one atomic change. Tasks that run finish on what they started with, which
    /// is freed after the last of them.
    ///
    /// # Errors
    /// When there is no such version, it does not install any more, or it asks for more than the active one.
    pub async fn activate(&self, name: &AgentName, version: &str, accept_wider: bool) -> Result<Arc<AgentInfo>, RegistryProblem> {
        let mut index = self.index.lock().await;
        let digest = *find_version(find(&index, name)?, name, version)?;
        let entry = self.load(name.as_str(), digest).await?;
        let mut next = index.clone();
        self.make_active(&mut next, &entry, accept_wider)?;
        self.write_index(&next).await?;
        *index = next;
        let info = Arc::clone(&entry.info);
        self.swap(entry);
        Ok(info)
    }

    fn make_active(&self, next: &mut Index, entry: &Entry, accept_wider: bool) -> Result<(), RegistryProblem> {
        let info = &entry.info;
        if let Some(current) = self.entry(&info.name) {
            let held: BTreeSet<&String> = current.info.imports.iter().collect();
            let wider: Vec<String> = info.imports.iter().filter(|import| !held.contains(import)).cloned().collect();
            if !wider.is_empty() && !accept_wider {
                return Err(RegistryProblem::Wider { name: info.name.clone(), version: info.version.clone(), wider });
            }
        }
        let versions = next.agents.entry(info.name.clone()).or_default();
        let is_same = self.entry(&info.name).is_some_and(|current| current.info.component == info.component);
        versions.active = Some(info.version.clone());
        if !is_same {
            self.record(RecordKind::VersionActivated, info)?;
        }
        Ok(())
    }

    fn swap(&self, entry: Arc<Entry>) {
        self.active.rcu(|active| {
            let mut next = Active::clone(active);
            next.insert(entry.info.name.clone(), Arc::clone(&entry));
            next
        });
    }

    fn record(&self, kind: RecordKind, info: &AgentInfo) -> Result<Seq, LedgerFailure> {
        let context = RecordContext { agent: Some(info.name.clone()), component: Some(info.component), ..RecordContext::default() };
        let fields = Fields {
            reason: Some(info.version.as_str().into()),
            digests: [("engine".to_owned(), self.engine_digest)].into(),
            ..Fields::default()
        };
        self.recorder.append(Draft { kind, context: Arc::new(context), fields, payload: None })
    }

    async fn ready(&self, what: &str, digest: Digest, wasm: &[u8]) -> Result<Entry, RegistryProblem> {
        let failed = |problem| RegistryProblem::Install { what: what.to_owned(), problem };
        let component = match self.load_compiled(digest) {
            Some(component) => component,
            None => self.compiled(digest, wasm).await.map_err(failed)?,
        };
        install::prepare(&self.engine, &component, digest, &self.catalog, &self.routes).await.map_err(failed)
    }

    async fn compiled(&self, digest: Digest, wasm: &[u8]) -> Result<Component, InstallProblem> {
        let artifact = compile::compile(&self.compile, wasm).await?;
        self.cache
            .put(digest, self.engine_digest, &artifact)
            .map_err(|error| InstallProblem::Link(format!("the compiled code could not be kept: {error}")))?;
        self.cache
            .load(&self.engine, digest, self.engine_digest)
            .ok_or_else(|| InstallProblem::Link("the compiled code does not fit this host's engine".to_owned()))
    }

    async fn load(&self, what: &str, digest: Digest) -> Result<Arc<Entry>, RegistryProblem> {
        if let Some(entry) = self.active.load().values().find(|entry| entry.info.component == digest) {
            return Ok(Arc::clone(entry));
        }
        let path = self.component_path(digest);
        let wasm = std::fs::read(&path).map_err(|source| RegistryProblem::Storage { path: path.clone(), source })?;
        if Digest::of(&wasm) != digest {
            let source =
                std::io::Error::new(std::io::ErrorKind::InvalidData, "its content is not what its name says; install the component again");
            return Err(RegistryProblem::Storage { path, source });
        }
        self.ready(what, digest, &wasm).await.map(Arc::new)
    }

    fn component_path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{}.wasm", digest.to_hex()))
    }

    fn keep(&self, digest: Digest, wasm: &[u8]) -> Result<(), RegistryProblem> {
        let path = self.component_path(digest);
        // What is there under this name is read before it is believed, here as anywhere: it is not written twice.
        if std::fs::read(&path).is_ok_and(|kept| kept == wasm) {
            return Ok(());
        }
        write_whole(&self.dir, &path, wasm).map_err(|source| RegistryProblem::Storage { path, source })
    }

    async fn write_index(&self, index: &Index) -> Result<(), RegistryProblem> {
        let path = self.dir.join("index.json");
        let storage = |source| RegistryProblem::Storage { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(&Index { format: INDEX_FORMAT, ..index.clone() }).map_err(|error| storage(error.into()))?;
        write_whole(&self.dir, &path, &text).map_err(storage)
    }
}

fn write_whole(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn read_index(path: &Path) -> Result<Index, RegistryProblem> {
    let storage = |source| RegistryProblem::Storage { path: path.to_owned(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Index::default()),
        Err(error) => return Err(storage(error)),
    };
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| storage(error.into()))?;
    if index.format > INDEX_FORMAT {
        return Err(RegistryProblem::Newer { path: path.to_owned(), found: index.format });
    }
    Ok(index)
}

fn find<'a>(index: &'a Index, name: &AgentName) -> Result<&'a Versions, RegistryProblem> {
    index.agents.get(name).ok_or_else(|| RegistryProblem::Unknown {
        what: name.to_string(),
        help: suggest::help(name.as_str(), index.agents.keys().map(AgentName::as_str).collect::<Vec<_>>()),
    })
}

fn find_version<'a>(versions: &'a Versions, name: &AgentName, version: &str) -> Result<&'a Digest, RegistryProblem> {
    versions.versions.get(version).ok_or_else(|| RegistryProblem::Unknown {
        what: format!("{name}@{version}"),
        help: suggest::help(version, versions.versions.keys().map(String::as_str).collect::<Vec<_>>()),
    })
}
