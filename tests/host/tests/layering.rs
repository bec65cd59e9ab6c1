//! The map of the code: an arrow that runs the wrong way stops the build.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Which crates of ours a crate of ours may depend on, in its own code and in its build script.
const ARROWS: &[(&str, &[&str])] = &[
    ("bailiwick-core", &[]),
    ("bailiwick-wit", &["bailiwick-core"]),
    ("bailiwick-expr", &["bailiwick-core"]),
    ("bailiwick-schema", &["bailiwick-core"]),
    ("bailiwick-ledger", &["bailiwick-core"]),
    ("bailiwick-policy", &["bailiwick-core"]),
    ("bailiwick-runtime", &["bailiwick-core", "bailiwick-schema", "bailiwick-wit", "bailiwick-policy"]),
    ("bailiwick-connectors", &["bailiwick-core", "bailiwick-expr"]),
    ("bailiwick-orchestrator", &["bailiwick-core", "bailiwick-expr", "bailiwick-schema"]),
    ("bailiwick-sdk", &["bailiwick-sdk-macros"]),
    ("bailiwick-sdk-macros", &[]),
];

/// What only tests of a crate may add.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    ("bailiwick-connectors", &["bailiwick-wit"]),
    ("bailiwick-orchestrator", &["bailiwick-wit"]),
    ("bailiwick-policy", &["bailiwick-wit"]),
];

/// Crates that hold no code which others depend on: tests, benches and the binary see everything.
const TOPS: &[&str] = &["bailiwick-cli", "bailiwick-benches", "bailiwick-test-host", "bailiwick-test-artifacts"];

/// Foreign crates that only these crates of ours may name.
const HELD_BY: &[(&str, &[&str])] = &[
    ("wasmtime", &["bailiwick-runtime", "bailiwick-benches"]),
    ("lettre", &["bailiwick-connectors"]),
    ("cel", &["bailiwick-expr"]),
    ("cedar-policy", &["bailiwick-policy"]),
    ("wit-bindgen", &["bailiwick-sdk"]),
    ("rusqlite", &["bailiwick-connectors", "bailiwick-ledger", "bailiwick-cli"]),
];

fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()?)
}

fn allowed<'a>(arrows: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    arrows.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

#[test]
fn arrows_run_one_way() -> Result<()> {
    let metadata = metadata()?;
    let members: BTreeSet<String> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let is_agent = package.manifest_path.components().any(|part| matches!(part.as_str(), "agents" | "guests" | "guest" | "template"));
        for dependency in package.dependencies.iter().filter(|dependency| members.contains(&dependency.name)) {
            let to = dependency.name.as_str();
            let is_test = dependency.kind == DependencyKind::Development;
            let is_allowed = if TOPS.contains(&name) {
                to != "bailiwick-test-guests"
            } else if is_agent {
                to == "bailiwick-sdk" || is_test && name == "bailiwick-template" && to == "bailiwick-wit"
            } else {
                let held = allowed(ARROWS, name).map(|to| to.to_vec());
                let Some(mut held) = held else {
                    wrong.push(format!("`{name}` has no place on the map: give it one in this test"));
                    break;
                };
                if is_test {
                    held.extend(allowed(TEST_ARROWS, name).unwrap_or_default());
                }
                held.contains(&to)
            };
            if !is_allowed {
                wrong.push(format!("`{name}` -> `{to}`{}", if is_test { " (tests)" } else { "" }));
            }
        }
    }
    ensure!(wrong.is_empty(), "arrows that run the wrong way:\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn heavy_libraries_have_one_home() -> Result<()> {
    let mut wrong = Vec::new();
    for package in metadata()?.workspace_packages() {
        for dependency in &package.dependencies {
            let holders = HELD_BY.iter().find(|(library, _)| *library == dependency.name).map(|(_, holders)| *holders);
            if holders.is_some_and(|holders| !holders.contains(&package.name.as_str())) {
                wrong.push(format!("`{}` names `{}`", package.name, dependency.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_map_names_crates_that_exist() -> Result<()> {
    let metadata = metadata()?;
    let found: BTreeMap<String, ()> = metadata.workspace_packages().iter().map(|package| (package.name.to_string(), ())).collect();
    let missing: Vec<_> = ARROWS.iter().map(|(name, _)| *name).filter(|name| !found.contains_key(*name)).collect();
    ensure!(missing.is_empty(), "{missing:?}");
    Ok(())
}
