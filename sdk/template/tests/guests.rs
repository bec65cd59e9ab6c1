//! Builds guests for real: a new agent outside of the repository, and the agents of the repository. Slow, so it is one test, and every
//! promise about built components is looked at here.
//!
//! With `UPDATE_SCHEMAS=1` the lock file of new agents is written anew from the workspace's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// The name that the lock file is generated with.
const NAME: &str = "new-agent";
const LOCK_TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/files/Cargo.lock.template");
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What a component built by a stock toolchain imports of WASI to start, print and exit; nothing else may appear.
const WASI_MINIMUM: [&str; 12] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
];

/// The agents of the repository: what each calls, and how large it may be. The verifier carries Unicode's tables.
const AGENTS: [(&str, &[&str], usize); 5] = [
    ("identity-verifier", &["crm/customers.get"], 450_000),
    ("returns-policy", &["orders/orders.get", "rules/tables.evaluate"], 260_000),
    ("return-label", &["crm/customers.get", "shipping/parcels.create-label"], 250_000),
    ("case-recorder", &["billing/accounts.set-return-status", "crm/notes.append", "ticketing/tickets.create"], 260_000),
    ("customer-mail", &["crm/customers.get", "notify/messages.send"], 290_000),
];

#[test]
fn guests_build_and_import_what_they_call_and_nothing_else() -> Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    // Outside of the repository, so that nothing of its workspace, lock file or configuration can help.
    let folder = tempfile::tempdir()?;
    for file in bailiwick_template::new_agent(NAME)? {
        let path = folder.path().join(file.path);
        fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
        fs::write(path, file.text)?;
    }
    check_lock(folder.path())?;

    let manifest = folder.path().join("Cargo.toml");
    cargo(folder.path(), ["test", "--quiet", "--offline"], &manifest, &target)?;
    cargo(folder.path(), bailiwick_template::guest_build_args().chain(["--quiet", "--offline"]), &manifest, &target)?;
    check_component(&component(&target, NAME), &["crm/customers.get"], 250_000)?;

    for (name, operations, max_bytes) in AGENTS {
        let manifest = Path::new(WORKSPACE).join("agents").join(name).join("Cargo.toml");
        cargo(folder.path(), bailiwick_template::guest_build_args().chain(["--quiet"]), &manifest, &target)?;
        check_component(&component(&target, name), operations, max_bytes)?;
    }
    Ok(())
}

/// The lock file must be complete, and name no version that the workspace does not: that is what makes an offline build possible.
fn check_lock(folder: &Path) -> Result<()> {
    let workspace_lock = fs::read_to_string(Path::new(WORKSPACE).join("Cargo.lock"))?;
    let lock_path = folder.join("Cargo.lock");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        // Cargo keeps the versions it finds and drops what is not needed.
        fs::write(&lock_path, &workspace_lock)?;
        run(Command::new(env!("CARGO")).args(["metadata", "--offline", "--format-version", "1"]).current_dir(folder))?;
        let lock = fs::read_to_string(&lock_path)?;
        fs::write(LOCK_TEMPLATE, lock.replace(&format!("name = \"{NAME}\""), "name = \"{{name}}\""))?;
    }
    run(Command::new(env!("CARGO")).args(["metadata", "--offline", "--locked", "--format-version", "1"]).current_dir(folder))
        .context("files/Cargo.lock.template is not complete: run the test with UPDATE_SCHEMAS=1")?;
    let known = locked(&workspace_lock);
    for package in locked(&fs::read_to_string(&lock_path)?) {
        let ours = package.0 == NAME;
        ensure!(ours || known.contains(&package), "the workspace has no {package:?}: run the test with UPDATE_SCHEMAS=1");
    }
    Ok(())
}

/// Gives name and version of every package of a lock file.
fn locked(lock: &str) -> BTreeSet<(String, String)> {
    let value = |line: Option<&str>, key: &str| Some(line?.strip_prefix(key)?.trim_matches('"').to_owned());
    lock.split("[[package]]\n")
        .filter_map(|package| {
            let mut lines = package.lines();
            Some((value(lines.next(), "name = ")?, value(lines.next(), "version = ")?))
        })
        .collect()
}

fn cargo<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>, manifest: &Path, target: &Path) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(args).arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target).current_dir(folder);
    run(&mut command)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn component(target: &Path, name: &str) -> PathBuf {
    target.join("wasm32-wasip2/guest").join(name.replace('-', "_")).with_extension("wasm")
}

fn check_component(path: &Path, operations: &[&str], max_bytes: usize) -> Result<()> {
    let bytes = fs::read(path)?;
    let imports = imports(&bytes)?;
    println!("{} has {} bytes and imports:", path.display(), bytes.len());
    let mut called = BTreeSet::new();
    for (interface, functions) in &imports {
        println!("  {interface}: {}", functions.join(", "));
        let (name, _version) = interface.split_once('@').context("every interface has a version")?;
        if let Some(short) = name.strip_prefix("bailiwick:") {
            called.extend(functions.iter().map(|function| format!("{short}.{function}")));
        } else {
            assert!(WASI_MINIMUM.contains(&name) || name == "wasi:io/streams", "{} imports `{interface}`", path.display());
        }
    }
    let expected: BTreeSet<String> = operations.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(called, expected, "{} imports what it calls", path.display());
    assert!(bytes.len() <= max_bytes, "{} has {} bytes, more than {max_bytes}", path.display(), bytes.len());
    Ok(())
}

/// Gives the imported interfaces of a component with the functions of each.
fn imports(bytes: &[u8]) -> Result<BTreeMap<String, Vec<String>>> {
    let types = Validator::new_with_features(WasmFeatures::default()).validate_all(bytes)?;
    let mut imports = BTreeMap::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import?.name.name;
                    let Some(ComponentEntityType::Instance(id)) = types.as_ref().component_item_for_import(name).map(|item| item.ty) else {
                        bail!("`{name}` is imported and no interface");
                    };
                    let exports = types.as_ref().get(id).context("the type of an import is known")?.exports.iter();
                    let functions = exports.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
                    imports.insert(name.to_owned(), functions.map(|(name, _)| name.clone()).collect());
                }
            }
            _ => {}
        }
    }
    Ok(imports)
}
