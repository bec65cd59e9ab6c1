//! One invocation of cargo for everything that is Rust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

/// Components by name.
pub(crate) struct Built {
    pub guests: BTreeMap<String, PathBuf>,
    pub agents: BTreeMap<String, PathBuf>,
}

pub(crate) fn build(workspace: &Path, out: &Path) -> Result<Built> {
    ensure_target(workspace)?;
    let target_dir = target_dir(out)?.join("guests");
    let agents = crates(&workspace.join("agents"))?;
    let arguments = std::fs::read_to_string(workspace.join("sdk/rust/build-args.txt")).context("sdk/rust/build-args.txt")?;
    let mut cargo = clean(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())));
    cargo.current_dir(workspace).args(arguments.lines().filter(|line| !line.is_empty()));
    cargo.arg("--target-dir").arg(&target_dir).args(["-p", "bailiwick-test-guests", "--lib", "--examples"]);
    for agent in &agents {
        cargo.args(["-p", agent]);
    }
    let output = cargo.output().context("cargo could not be started")?;
    ensure!(output.status.success(), "the guests do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    let folder = target_dir.join(TARGET).join(PROFILE);
    let examples = names(&workspace.join("tests/guests/examples"), "rs")?;
    let found = |folder: &Path, name: &str| -> Result<(String, PathBuf)> {
        let path = folder.join(format!("{}.wasm", name.replace('-', "_")));
        ensure!(path.exists(), "cargo built no `{}`", path.display());
        Ok((name.to_owned(), path))
    };
    Ok(Built {
        guests: examples.iter().map(|name| found(&folder.join("examples"), name)).collect::<Result<_>>()?,
        agents: agents.iter().map(|name| found(&folder, name)).collect::<Result<_>>()?,
    })
}

/// The target folder of this build: a folder of its own inside it, so that the two cargos do not wait for each other's lock.
fn target_dir(out: &Path) -> Result<&Path> {
    // Cargo tags a target folder that it made itself; in one that was there before, the layout tells: `PROFILE/build/PACKAGE/out`.
    let tagged = out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    tagged.or_else(|| out.ancestors().nth(4)).context("OUT_DIR lies in no target folder")
}

/// Installs the target where it is missing, and says so.
fn ensure_target(workspace: &Path) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut ask = clean(Command::new(rustc));
    let output =
        ask.current_dir(workspace).args(["--print", "target-libdir", "--target", TARGET]).output().context("rustc could not be started")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.exists() {
        return Ok(());
    }
    println!("cargo::warning=the target {TARGET} is missing: installing it with `rustup target add {TARGET}`");
    let status = clean(Command::new("rustup")).current_dir(workspace).args(["target", "add", TARGET]).status();
    ensure!(status.is_ok_and(|status| status.success()), "the target {TARGET} could not be installed: run `rustup target add {TARGET}`");
    Ok(())
}

/// Takes away what the outer cargo sets for this build script: flags, wrappers (clippy's), the job server, the target.
fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = ["CARGO_HOME", "CARGO_BUILD_JOBS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "RUSTUP_"];
        let is_build = ["CARGO", "RUST", "DEP_", "MAKEFLAGS", "MFLAGS", "TARGET", "HOST", "PROFILE", "OPT_LEVEL", "DEBUG", "OUT_DIR"];
        if is_build.iter().any(|prefix| text.starts_with(prefix)) && !kept.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    if let Some(jobs) = std::env::var_os("NUM_JOBS") {
        command.env("CARGO_BUILD_JOBS", jobs);
    }
    command
}

/// Gives the names of the crates in a folder.
fn crates(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.join("Cargo.toml").exists()
            && let Some(name) = path.file_name()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Gives the names, without ending, of the files in a folder that have an ending.
pub(crate) fn names(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending)
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
