//! What is kept twice is the same twice. With `UPDATE_SCHEMAS=1` the copies of the WIT texts are written anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_sdk_has_the_wit_of_the_contract() -> Result<()> {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut expected = BTreeSet::new();
    for package in bailiwick_wit::builtin() {
        let relative = format!("{0}/{0}.wit", package.folder);
        let path = sdk().join("rust/wit").join(&relative);
        if update {
            fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
            fs::write(&path, &package.wit)?;
        }
        let copy = fs::read_to_string(&path).with_context(|| format!("`{relative}`: run the test with UPDATE_SCHEMAS=1"))?;
        assert_eq!(copy, package.wit, "sdk/rust/wit/{relative} differs from wit/{relative}: run the test with UPDATE_SCHEMAS=1");
        expected.insert(relative);
    }
    let found: BTreeSet<String> = walk(&sdk().join("rust/wit"))?.into_iter().collect();
    assert_eq!(found, expected, "every copy belongs to a package of the contract");
    Ok(())
}

#[test]
fn the_sdk_has_a_function_for_every_operation() -> Result<()> {
    let catalog = bailiwick_wit::builtin_catalog()?;
    let of_contract: BTreeSet<&str> = catalog.iter().map(|operation| &*operation.short).collect();
    let of_sdk: BTreeSet<&str> = bailiwick_sdk::OPERATIONS.iter().copied().collect();
    assert_eq!(of_sdk, of_contract, "sdk/rust/src/capabilities.rs has a line for every operation");
    let text = fs::read_to_string(sdk().join("macros/src/operations.txt"))?;
    assert_eq!(text.lines().collect::<BTreeSet<_>>(), of_contract, "sdk/macros/src/operations.txt names every operation");
    Ok(())
}

#[test]
fn a_new_agent_gets_every_file_of_the_sdk() -> Result<()> {
    let files = bailiwick_template::new_agent("probe")?;
    let given: BTreeSet<String> = files.iter().filter_map(|file| file.path.strip_prefix("sdk/")).map(str::to_owned).collect();
    let mut there = BTreeSet::new();
    for folder in ["rust", "macros"] {
        let paths = walk(&sdk().join(folder))?.into_iter().filter(|path| !path.starts_with("tests/"));
        there.extend(paths.map(|path| format!("{folder}/{path}")));
    }
    assert_eq!(given, there, "sdk/template/src/files.rs lists the files of sdk/rust and sdk/macros");
    Ok(())
}

/// Gives the paths of all files under a folder, relative to it.
fn walk(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("our file names are UTF-8")?;
        if entry.file_type()?.is_dir() {
            found.extend(walk(&entry.path())?.into_iter().map(|path| format!("{name}/{path}")));
        } else {
            found.push(name);
        }
    }
    Ok(found)
}
