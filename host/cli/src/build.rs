//! Compiling agents from their source folders.
//!
//! Compiling runs the author's build scripts and macros natively, with the rights of whoever calls it. So it happens only when it is asked for:
//! by `bailiwick build`, and by `run` in a project that says `development = true`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bailiwick_core::ids::AgentName;
use rustix::fs::FlockOperation;
use serde::Deserialize;

use crate::display::Notes;
use crate::fault::{Diagnosis, Fault, Result};
use crate::project::Component;
use crate::text;

/// The target that agents are compiled for.
pub const TARGET: &str = "wasm32-wasip2";
/// Most bytes of cargo's messages and compilers' errors that are kept for an error.
const OUTPUT_BYTES_MOST: usize = 64 * 1024;
/// Longest line of cargo's output that is read.
const LINE_BYTES_MOST: u64 = 16 * 1024 * 1024;

/// An agent to be compiled.
#[derive(Debug, Clone)]
pub struct SourceAgent {
    /// Its name in the project.
    pub name: AgentName,
    /// Its folder, canonical.
    pub folder: PathBuf,
}

/// Finds what earlier builds left, without compiling anything.
///
/// # Errors
/// When cargo cannot be run or a folder is no Cargo package. An agent that was never built is not in the answer.
pub fn find_built(agents: &[SourceAgent]) -> Result<BTreeMap<AgentName, PathBuf>> {
    let mut found = BTreeMap::new();
    for workspace in group(agents)? {
        for (agent, package) in &workspace.members {
            let path = workspace.target_dir().join(TARGET).join("guest").join(format!("{}.wasm", package.library.replace('-', "_")));
            if path.is_file() {
                found.insert(agent.name.clone(), path);
            }
        }
    }
    Ok(found)
}

/// Compiles agents: one call of cargo for all that share a workspace. Cargo decides what has changed.
///
/// # Errors
/// When the target or cargo is missing, or an agent does not build; the compiler's own message is in the fault then.
pub fn build(agents: &[SourceAgent], notes: &Notes) -> Result<BTreeMap<AgentName, Component>> {
    let mut built = BTreeMap::new();
    for workspace in group(agents)? {
        ensure_target(&workspace.root, notes)?;
        for (name, path) in compile(&workspace, notes)? {
            let component = Component::read(&path)
                .map_err(|error| Fault::internal(format!("`{}`, which cargo built, cannot be read: {error}", text::path(&path))))?;
            built.insert(name, component);
        }
    }
    Ok(built)
}

/// Agents of one Cargo workspace.
struct Workspace {
    root: PathBuf,
    members: Vec<(SourceAgent, Package)>,
}

impl Workspace {
    /// A folder apart, so that compiling agents neither waits for nor disturbs another cargo in the workspace.
    fn target_dir(&self) -> PathBuf {
        self.root.join("target").join("guests")
    }
}

struct Package {
    id: String,
    name: String,
    library: String,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    name: String,
    crate_types: Vec<String>,
}

fn group(agents: &[SourceAgent]) -> Result<Vec<Workspace>> {
    let mut workspaces: Vec<Workspace> = Vec::new();
    let mut left: Vec<&SourceAgent> = agents.iter().collect();
    while let Some(first) = left.first() {
        let metadata = metadata(first)?;
        let mut members = Vec::new();
        let mut others = Vec::new();
        for agent in left {
            match metadata.packages.iter().find(|package| package.manifest_path.parent() == Some(agent.folder.as_path())) {
                Some(package) => members.push((agent.clone(), library(agent, package)?)),
                None => others.push(agent),
            }
        }
        // Cargo names canonical paths as it found them; the folder is canonical, so the first agent is always among its own workspace.
        if members.is_empty() {
            let folder = others.first().map(|agent| text::path(&agent.folder)).unwrap_or_default();
            let diagnosis = Diagnosis::new(format!("`{folder}` is no Cargo package: its `Cargo.toml` names only a workspace"));
            return Err(Fault::bad_input(diagnosis.with_help("name the folder of the agent's package".to_owned())));
        }
        workspaces.push(Workspace { root: metadata.workspace_root, members });
        left = others;
    }
    Ok(workspaces)
}

fn metadata(agent: &SourceAgent) -> Result<Metadata> {
    let mut command = cargo(&agent.folder);
    command.args(["metadata", "--no-deps", "--format-version", "1"]).stdin(Stdio::null());
    let output = command.output().map_err(|error| missing_cargo(&error))?;
    if !output.status.success() {
        let diagnosis = Diagnosis::new(format!("agent `{}` does not build: cargo cannot read `{}`", agent.name, text::path(&agent.folder)));
        return Err(Fault::bad_input(diagnosis.with_output(&String::from_utf8_lossy(&output.stderr))));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Fault::internal(format!("cargo's metadata cannot be read: {error}")))
}

fn library(agent: &SourceAgent, package: &MetadataPackage) -> Result<Package> {
    let library = package.targets.iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
    let Some(library) = library else {
        let message = format!("agent `{}`: package `{}` gives no component", agent.name, package.name);
        let help = "add `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]` to its `Cargo.toml`";
        return Err(Fault::bad_input(Diagnosis::new(message).with_help(help.to_owned())));
    };
    Ok(Package { id: package.id.clone(), name: package.name.clone(), library: library.name.clone() })
}

/// Cargo, in a folder, with an environment that does not depend on whether another cargo started us.
fn cargo(folder: &Path) -> Command {
    clean_command("cargo", folder)
}

fn clean_command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (key, _) in std::env::vars_os() {
        if is_foreign(&key) {
            command.env_remove(key);
        }
    }
    command
}

/// Whether a variable was meant for another compilation: what `cargo run` and `cargo test` set for their children, and flags for the host's own
/// target, which would break or needlessly repeat the build of guests.
fn is_foreign(key: &OsString) -> bool {
    let key = key.to_string_lossy();
    const KEPT: [&str; 9] = [
        "CARGO_HOME",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
        "CARGO_BUILD_JOBS",
        "CARGO_INCREMENTAL",
    ];
    let is_cargo = key == "CARGO" || key.starts_with("CARGO_");
    let is_flag = ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC", "RUSTC_LINKER", "MAKEFLAGS", "MFLAGS", "OUT_DIR", "TARGET", "HOST", "PROFILE"]
        .contains(&&*key);
    is_flag || is_cargo && !KEPT.iter().any(|kept| key.starts_with(kept))
}

fn missing_cargo(error: &std::io::Error) -> Fault {
    let diagnosis = Diagnosis::new(format!("cargo cannot be run: {error}"));
    Fault::bad_input(diagnosis.with_help("agents are compiled with Rust: install it from https://rustup.rs".to_owned()))
}

/// The compiler of a folder: its own folder, and the one of the target's libraries, whether it is there or not.
struct Compiler {
    folder: PathBuf,
    libraries: PathBuf,
}

impl Compiler {
    /// Asks the compiler; `None` when it cannot be run or does not know the target.
    fn of(folder: &Path) -> Option<Self> {
        let asked =
            clean_command("rustc", folder).args(["--print", "sysroot", "--print", "target-libdir", "--target", TARGET]).output().ok()?;
        let text = asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).into_owned())?;
        let mut lines = text.lines().map(|line| PathBuf::from(line.trim()));
        Some(Self { folder: lines.next()?, libraries: lines.next()? })
    }

    fn has_target(&self) -> bool {
        self.libraries.is_dir()
    }

    /// Keeps other programs of this kind from installing into the compiler at the same time: two rustups spoil each other's work, and what one
    /// has half installed looks whole to another. `None` where the system has no such lock.
    fn lock(&self, notes: &Notes) -> Option<File> {
        let folder = File::open(&self.folder).ok()?;
        if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
            let _waiting = notes.work("waiting for another program that looks at the compiler's targets");
            rustix::fs::flock(&folder, FlockOperation::LockExclusive).ok()?;
        }
        Some(folder)
    }
}

/// Sees to it that the compiler can make components; says so aloud when something is installed.
fn ensure_target(folder: &Path, notes: &Notes) -> Result<()> {
    let compiler = Compiler::of(folder);
    let _lock = compiler.as_ref().and_then(|compiler| compiler.lock(notes));
    if compiler.is_some_and(|compiler| compiler.has_target()) {
        return Ok(());
    }
    notes.say(&format!("installing the compiler's target {TARGET}: rustup target add {TARGET}"));
    let help = format!("run `rustup target add {TARGET}` yourself; without rustup, install it from https://rustup.rs");
    let failed = |message: String, output: &str| Err(Fault::bad_input(Diagnosis::new(message).with_help(help.clone()).with_output(output)));
    match clean_command("rustup", folder).args(["target", "add", TARGET]).stdin(Stdio::null()).output() {
        Ok(output) if !output.status.success() => {
            failed(format!("the target {TARGET} could not be installed"), &String::from_utf8_lossy(&output.stderr))
        }
        Ok(_) if Compiler::of(folder).is_some_and(|compiler| compiler.has_target()) => Ok(()),
        Ok(_) => {
            let message = format!("rustup has installed the target {TARGET}, and `rustc` does not have it");
            let help = "put rustup's `rustc` first on PATH: another compiler is found there".to_owned();
            Err(Fault::bad_input(Diagnosis::new(message).with_help(help)))
        }
        Err(error) => failed(format!("the target {TARGET} is not installed, and rustup cannot be run: {error}"), ""),
    }
}

/// A message of cargo.
#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-message")]
    Complaint { package_id: String, message: Complaint },
    #[serde(rename = "compiler-artifact")]
    Artifact { package_id: String, filenames: Vec<PathBuf>, fresh: bool },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Complaint {
    level: String,
    rendered: Option<String>,
}

/// What is kept of a build.
#[derive(Default)]
struct Log {
    /// Rendered errors by package.
    errors: BTreeMap<String, String>,
    /// Components by package.
    components: BTreeMap<String, PathBuf>,
    /// Whether anything was compiled.
    compiled: bool,
}

fn compile(workspace: &Workspace, notes: &Notes) -> Result<BTreeMap<AgentName, PathBuf>> {
    let names: Vec<&str> = workspace.members.iter().map(|(agent, _)| agent.name.as_str()).collect();
    let mut command = cargo(&workspace.root);
    command.args(bailiwick_template::guest_build_args());
    command.arg("--target-dir").arg(workspace.target_dir()).args(["--message-format", "json"]);
    for (_, package) in &workspace.members {
        command.args(["--package", &package.id]);
    }
    let started = std::time::Instant::now();
    let what = format!("building {}", list(&names));
    let is_first = !workspace.target_dir().join(TARGET).is_dir();
    let progress = match is_first {
        true => notes.long_work(&what, "the first time, dependencies are compiled too: about a minute"),
        false => notes.work(&what),
    };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| missing_cargo(&error))?;
    let stderr = child.stderr.take();
    let said = std::thread::scope(|scope| {
        let listener = scope.spawn(|| stderr.map(|pipe| listen(pipe, |line| progress.set(line))).unwrap_or_default());
        let log = child.stdout.take().map(read_messages).unwrap_or_default();
        (log, listener.join().unwrap_or_default())
    });
    let (log, said) = said;
    let status = child.wait().map_err(|error| Fault::internal(format!("cargo cannot be waited for: {error}")))?;
    let time = text::duration(started.elapsed());
    progress.finish(log.compiled.then(|| format!("built {} in {time}", list(&names))));
    if !status.success() {
        return Err(failure(workspace, &log, &said));
    }
    workspace.members.iter().map(|(agent, package)| found(agent, package, &log)).collect()
}

fn found(agent: &SourceAgent, package: &Package, log: &Log) -> Result<(AgentName, PathBuf)> {
    let path = log.components.get(&package.id).cloned();
    path.map(|path| (agent.name.clone(), path))
        .ok_or_else(|| Fault::internal(format!("cargo built `{}` and named no component", package.name)))
}

fn list(names: &[&str]) -> String {
    match names {
        [one] => format!("agent {one}"),
        names => format!("{} agents: {}", names.len(), names.join(", ")),
    }
}

/// Reads cargo's JSON messages to their end.
fn read_messages(pipe: impl std::io::Read) -> Log {
    let mut log = Log::default();
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES_MOST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return log,
            // What is no message of cargo is the output of some build script.
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(message) => log.note(message),
                Err(_) => continue,
            },
        }
    }
}

impl Log {
    fn note(&mut self, message: Message) {
        match message {
            Message::Complaint { package_id, message } if message.level.starts_with("error") => {
                let kept = self.errors.entry(package_id).or_default();
                if let Some(rendered) = message.rendered.filter(|rendered| kept.len() + rendered.len() <= OUTPUT_BYTES_MOST) {
                    kept.push_str(&rendered);
                }
            }
            Message::Artifact { package_id, filenames, fresh } => {
                self.compiled |= !fresh;
                if let Some(path) = filenames.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "wasm")) {
                    self.components.insert(package_id, path);
                }
            }
            Message::Complaint { .. } | Message::Other => {}
        }
    }
}

/// Reads what cargo says for people, hands on each line, and keeps the end of it.
fn listen(pipe: impl std::io::Read, mut on_line: impl FnMut(&str)) -> String {
    let mut kept = String::new();
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES_MOST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return kept,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                on_line(line.trim());
                kept.push_str(&line);
                if kept.len() > OUTPUT_BYTES_MOST {
                    let from = kept.ceil_char_boundary(kept.len() - OUTPUT_BYTES_MOST / 2);
                    kept.drain(..from);
                }
            }
        }
    }
}

/// Names each agent that does not build, with the compiler's message; where cargo failed before any compiler, with cargo's.
fn failure(workspace: &Workspace, log: &Log, said: &str) -> Fault {
    let mut diagnoses = Vec::new();
    for (agent, package) in &workspace.members {
        if let Some(errors) = log.errors.get(&package.id) {
            let diagnosis = Diagnosis::new(format!("agent `{}` does not build (`{}`)", agent.name, text::path(&agent.folder)));
            diagnoses.push(diagnosis.with_output(errors));
        }
    }
    if diagnoses.is_empty() {
        let names: Vec<&str> = workspace.members.iter().map(|(agent, _)| agent.name.as_str()).collect();
        let others: String = log.errors.values().map(String::as_str).collect();
        let output = format!("{others}{said}");
        diagnoses.push(Diagnosis::new(format!("{} cannot be built", list(&names))).with_output(&output));
    }
    Fault::bad_project(diagnoses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_cargo_set_does_not_reach_the_build() {
        for foreign in
            ["CARGO", "CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_BUILD_TARGET", "MAKEFLAGS"]
        {
            assert!(is_foreign(&foreign.into()), "{foreign}");
        }
        for kept in
            ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_BUILD_JOBS", "RUSTC_WRAPPER"]
        {
            assert!(!is_foreign(&kept.into()), "{kept}");
        }
    }

    #[test]
    fn messages_of_cargo_are_told_from_noise() {
        let text = concat!(
            "hello from a build script\n",
            r#"{"reason":"compiler-artifact","package_id":"a","filenames":["/t/a.d","/t/a.wasm"],"fresh":false}"#,
            "\n",
            r#"{"reason":"compiler-message","package_id":"b","message":{"level":"error","rendered":"error: no\n"}}"#,
            "\n",
            r#"{"reason":"compiler-message","package_id":"b","message":{"level":"warning","rendered":"warning: well\n"}}"#,
            "\n",
            r#"{"reason":"build-finished","success":false}"#,
            "\n"
        );
        let log = read_messages(text.as_bytes());
        assert_eq!(log.components.get("a").unwrap(), Path::new("/t/a.wasm"));
        assert_eq!(log.errors.get("b").unwrap(), "error: no\n");
        assert!(log.compiled);
    }

    #[test]
    fn the_end_of_long_output_is_kept() {
        let long = "x".repeat(99) + "\n";
        let kept = listen((long.repeat(2_000) + "the end\n").as_bytes(), |_| {});
        assert!(kept.len() <= OUTPUT_BYTES_MOST && kept.ends_with("the end\n"));
    }
}
