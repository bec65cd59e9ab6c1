//! Builds the guests and the product agents for `wasm32-wasip2`, and writes constants and macros made from those that exist.

#[path = "build/cargo.rs"]
mod cargo;
#[path = "build/component.rs"]
mod component;
#[path = "build/text.rs"]
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Suites of guests; every guest belongs to one.
const SUITES: [&str; 8] = ["attacks", "limits", "grants", "contract", "install", "swap", "delegate", "web"];

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    for watched in ["tests/guests", "agents", "sdk/rust", "sdk/macros", "wit"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    for variable in ["CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let built = cargo::build(&workspace, &out)?;
    let texts = text::build(&workspace, &out)?;
    let guests: BTreeMap<String, PathBuf> = built.guests.into_iter().chain(texts).collect();
    std::fs::write(out.join("artifacts.rs"), source(&guests, &built.agents)?)?;
    Ok(())
}

fn source(guests: &BTreeMap<String, PathBuf>, agents: &BTreeMap<String, PathBuf>) -> Result<String> {
    let mut source = String::new();
    for (kind, list) in [("guest", guests), ("agent", agents)] {
        for (name, path) in list {
            let constant = name.replace('-', "_").to_uppercase();
            writeln!(source, "/// The {kind} `{name}`.")?;
            writeln!(source, "pub const {constant}: Artifact = Artifact {{ name: {name:?}, path: {path:?} }};")?;
        }
    }
    writeln!(source, "/// Every product agent.\npub const AGENTS: &[Artifact] = &[")?;
    agents.keys().try_for_each(|name| writeln!(source, "    {},", name.replace('-', "_").to_uppercase()))?;
    writeln!(source, "];")?;
    for suite in SUITES {
        let mut of_suite: Vec<&String> = guests.keys().filter(|name| name.starts_with(&format!("{suite}_"))).collect();
        of_suite.sort();
        anyhow::ensure!(!of_suite.is_empty(), "no guest of the suite `{suite}` was built");
        let named: Vec<String> = of_suite.iter().map(|name| format!("        let _ = {name};\n")).collect();
        writeln!(source, "/// Stops the build where a guest of the suite `{suite}` has no test of its name in the same module.")?;
        writeln!(
            source,
            "#[macro_export]\nmacro_rules! assert_every_{suite} {{\n    () => {{ const _: () = {{\n{}    }}; }};\n}}",
            named.concat()
        )?;
    }
    let strays: Vec<&String> = guests.keys().filter(|name| !SUITES.iter().any(|suite| name.starts_with(&format!("{suite}_")))).collect();
    anyhow::ensure!(strays.is_empty(), "guests that belong to no suite ({}): name each `<suite>_<topic>`", SUITES.join(", "));
    Ok(source)
}
