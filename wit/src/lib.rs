//! The contract with guests: the WIT packages, what `capability.toml` says of them, and the catalog made of both.
//!
//! The texts travel inside the binary, so that a new agent can be started offline and outside the repository.

mod types;

use std::collections::BTreeMap;

use bailiwick_core::capability::{CapabilityFile, CapabilityProblem, Catalog, InterfaceId, Operation, OperationId};
use wit_parser::{Resolve, SourceMap};

/// A WIT package with its capability file, as text.
#[derive(Debug, Clone)]
pub struct PackageText {
    /// Name of the folder, for example `crm`.
    pub folder: String,
    /// The WIT text.
    pub wit: String,
    /// The text of `capability.toml`; `None` for packages that hold only types or worlds.
    pub capability: Option<String>,
}

macro_rules! builtin {
    ($($folder:literal $(with $capability:literal)?),* $(,)?) => {
        /// The packages that Bailiwick comes with: folder, WIT text, text of `capability.toml`.
        pub const BUILTIN: &[(&str, &str, Option<&str>)] = &[$((
            $folder,
            include_str!(concat!("../", $folder, "/", $folder, ".wit")),
            builtin!(@capability $folder $($capability)?),
        )),*];
    };
    (@capability $folder:literal) => { None };
    (@capability $folder:literal $capability:literal) => { Some(include_str!(concat!("../", $folder, "/", $capability))) };
}

builtin! {
    "common",
    "task",
    "agent",
    "crm" with "capability.toml",
    "orders" with "capability.toml",
    "rules" with "capability.toml",
    "shipping" with "capability.toml",
    "ticketing" with "capability.toml",
    "billing" with "capability.toml",
    "notify" with "capability.toml",
    "delegate" with "capability.toml",
    "web" with "capability.toml",
}

/// What is wrong with a WIT package or its capability file.
#[derive(Debug, thiserror::Error)]
pub enum WitProblem {
    /// The WIT text is wrong.
    #[error("`{folder}`: {message}")]
    Wit {
        /// Folder of the package.
        folder: String,
        /// The parser's message with line and column.
        message: String,
    },
    /// The capability file is wrong.
    #[error("`{folder}/capability.toml`: {problem}")]
    Capability {
        /// Folder of the package.
        folder: String,
        /// What is wrong.
        problem: CapabilityProblem,
    },
    /// WIT and capability file disagree.
    #[error("`{folder}/capability.toml`: {message}")]
    Mismatch {
        /// Folder of the package.
        folder: String,
        /// What disagrees and what to do.
        message: String,
    },
}

/// Gives the packages that Bailiwick comes with.
pub fn builtin() -> Vec<PackageText> {
    BUILTIN
        .iter()
        .map(|(folder, wit, capability)| PackageText {
            folder: (*folder).to_owned(),
            wit: (*wit).to_owned(),
            capability: capability.map(str::to_owned),
        })
        .collect()
}

/// Gives the catalog of the packages that Bailiwick comes with.
///
/// # Errors
/// Never in a build that passed its tests; the type is that of [`catalog`].
pub fn builtin_catalog() -> Result<Catalog, WitProblem> {
    catalog(&builtin())
}

/// Makes the catalog of all operations of the packages that have a capability file.
///
/// # Errors
/// When a text is wrong, or WIT and capability file disagree: every function needs an entry, every entry a function, every path a field.
pub fn catalog(packages: &[PackageText]) -> Result<Catalog, WitProblem> {
    let resolve = resolve(packages)?;
    let mut catalog = Catalog::default();
    for package in packages {
        let Some(text) = &package.capability else { continue };
        let file = CapabilityFile::parse(text).map_err(|problem| WitProblem::Capability { folder: package.folder.clone(), problem })?;
        for operation in join(&resolve, &file).map_err(|message| WitProblem::Mismatch { folder: package.folder.clone(), message })? {
            catalog.insert(operation);
        }
    }
    Ok(catalog)
}

fn resolve(packages: &[PackageText]) -> Result<Resolve, WitProblem> {
    let mut groups = Vec::new();
    for package in packages {
        let mut source = SourceMap::new();
        source.push_str(&format!("{0}/{0}.wit", package.folder), package.wit.clone());
        let group =
            source.parse().map_err(|(map, error)| WitProblem::Wit { folder: package.folder.clone(), message: error.render(&map) })?;
        groups.push(group);
    }
    let mut resolve = Resolve::new();
    let Some(main) = groups.pop() else { return Ok(resolve) };
    resolve.push_groups(main, groups).map_err(|error| WitProblem::Wit { folder: "wit".to_owned(), message: error.to_string() })?;
    Ok(resolve)
}

/// Joins the functions of a package with their entries.
fn join(resolve: &Resolve, file: &CapabilityFile) -> Result<Vec<Operation>, String> {
    let (_, package) = resolve
        .packages
        .iter()
        .find(|(_, package)| package.name.to_string() == file.package)
        .ok_or_else(|| format!("`package` is `{}`, which no WIT file here declares", file.package))?;
    let mut operations = Vec::new();
    let mut left: BTreeMap<&str, _> = file.operations.iter().map(|(name, spec)| (name.as_str(), spec)).collect();
    for (interface_name, id) in &package.interfaces {
        let Some(interface) = resolve.interfaces.get(*id) else { continue };
        for (function_name, function) in &interface.functions {
            let name = format!("{interface_name}.{function_name}");
            let spec = left
                .remove(name.as_str())
                .ok_or_else(|| format!("operation `{name}` has no entry: add `[{name}]` with at least its `effect`"))?;
            let signature = types::signature(resolve, function);
            types::check_paths(&name, spec, &signature)?;
            let id = OperationId {
                interface: InterfaceId {
                    package: format!("{}:{}", package.name.namespace, package.name.name),
                    interface: interface_name.clone(),
                    version: package.name.version.as_ref().map(ToString::to_string),
                },
                function: function_name.clone(),
            };
            operations.push(Operation::new(id, spec.clone(), signature));
        }
    }
    match left.keys().next() {
        Some(name) => Err(format!("`{name}` has an entry, but the WIT package has no such function")),
        None => Ok(operations),
    }
}

#[cfg(test)]
mod tests;
