//! Guests that are text: `NAME.wat`, in the world of `NAME.wit` beside it or the plain agent world; see [`crate::component`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cargo::names;
use crate::component::{AGENT_WORLD, component};

/// Folders of `wit/` that a world may name.
const PACKAGES: [&str; 10] = ["common", "task", "agent", "crm", "orders", "rules", "shipping", "ticketing", "billing", "notify"];

pub(crate) fn build(workspace: &Path, out: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let folder = workspace.join("tests/guests/wat");
    let packages = PACKAGES.map(|package| {
        let path = workspace.join(format!("wit/{package}/{package}.wit"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok((path.display().to_string(), text))
    });
    let packages = packages.into_iter().collect::<Result<Vec<_>>>()?;
    let mut built = BTreeMap::new();
    for name in names(&folder, "wat")? {
        let made = made(&folder, &name, &packages).with_context(|| format!("tests/guests/wat/{name}.wat"))?;
        let path = out.join(format!("{name}.wasm"));
        std::fs::write(&path, made)?;
        built.insert(name, path);
    }
    Ok(built)
}

fn made(folder: &Path, name: &str, packages: &[(String, String)]) -> Result<Vec<u8>> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.wat")))?;
    let world = folder.join(format!("{name}.wit"));
    let world = if world.exists() { std::fs::read_to_string(world)? } else { AGENT_WORLD.to_owned() };
    component(name, &text, packages, &world)
}
