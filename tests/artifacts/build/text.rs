//! Guests that are text: core modules become components of a world, components are taken as they are.
//!
//! A core module may say `;; @agent wants=A,B stubs=C`: the line is replaced by what every agent needs (`cabi_realloc`, the bytes of
//! its description, `describe`, an answer at [`ANSWER`]). The world is `NAME.wit` beside it, or the plain agent world.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use crate::cargo::names;

/// Where the prepared answer `{}`, certain, lies in a guest's memory; `run` may return it.
const ANSWER: usize = 512;
/// Where the description lies.
const DESCRIPTION: usize = 1024;
/// Where texts begin.
const TEXTS: usize = 2048;
/// Where `cabi_realloc` begins to give out memory.
const FREE: usize = 32 * 1024;

pub(crate) fn build(workspace: &Path, out: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let folder = workspace.join("tests/guests/wat");
    let mut built = BTreeMap::new();
    for name in names(&folder, "wat")? {
        let component = component(workspace, &folder, &name).with_context(|| format!("tests/guests/wat/{name}.wat"))?;
        let path = out.join(format!("{name}.wasm"));
        std::fs::write(&path, component)?;
        built.insert(name, path);
    }
    Ok(built)
}

fn component(workspace: &Path, folder: &Path, name: &str) -> Result<Vec<u8>> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.wat")))?;
    let text = expand(&text, name)?;
    let mut wasm = wat::parse_str(&text)?;
    if wasm.get(4..8) == Some(&[0x0d, 0, 1, 0]) {
        return Ok(wasm);
    }
    let (resolve, world) = world(workspace, &folder.join(format!("{name}.wit")))?;
    embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&wasm)?.validate(true).encode()
}

fn world(workspace: &Path, path: &Path) -> Result<(Resolve, wit_parser::WorldId)> {
    let mut groups = Vec::new();
    for package in ["common", "task", "agent", "crm", "orders", "rules", "shipping", "ticketing", "billing", "notify", "web"] {
        let mut map = SourceMap::new();
        map.push_file(&workspace.join(format!("wit/{package}/{package}.wit")))?;
        groups.push(map.parse().map_err(|(map, error)| anyhow::anyhow!(error.render(&map)))?);
    }
    let own = if path.exists() {
        std::fs::read_to_string(path)?
    } else {
        "package test:guest; world guest { include bailiwick:agent/agent@0.1.0; }".to_owned()
    };
    let mut map = SourceMap::new();
    map.push_str("guest.wit", own);
    let main = map.parse().map_err(|(map, error)| anyhow::anyhow!(error.render(&map)))?;
    let mut resolve = Resolve::new();
    let package = resolve.push_groups(main, groups).map_err(|error| anyhow::anyhow!(error.to_string()))?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    Ok((resolve, world))
}

/// Replaces the line `;; @agent …`.
fn expand(text: &str, name: &str) -> Result<String> {
    let mut expanded = String::new();
    for line in text.lines() {
        match line.trim().strip_prefix(";; @agent") {
            Some(arguments) => expanded.push_str(&agent(name, arguments)?),
            None => expanded.push_str(line),
        }
        expanded.push('\n');
    }
    Ok(expanded)
}

/// Bytes at places of a memory.
#[derive(Default)]
struct Memory {
    segments: String,
    end: usize,
}

impl Memory {
    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        let escaped: String = bytes.iter().fold(String::new(), |text, byte| text + &format!("\\{byte:02x}"));
        writeln!(self.segments, "  (data (i32.const {at}) \"{escaped}\")")?;
        Ok(())
    }

    /// Puts a text at the end and gives pointer and length.
    fn text(&mut self, text: &str) -> Result<[u8; 8]> {
        let at = self.end;
        self.put(at, text.as_bytes())?;
        self.end = (at + text.len()).next_multiple_of(8);
        pair(at, text.len())
    }

    fn list(&mut self, texts: &[&str]) -> Result<[u8; 8]> {
        let mut items = Vec::new();
        for text in texts {
            items.extend(self.text(text)?);
        }
        let at = self.end;
        self.put(at, &items)?;
        self.end = at + items.len().next_multiple_of(8);
        pair(at, texts.len())
    }
}

fn pair(at: usize, length: usize) -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&u32::try_from(at)?.to_le_bytes());
    bytes[4..].copy_from_slice(&u32::try_from(length)?.to_le_bytes());
    Ok(bytes)
}

fn agent(name: &str, arguments: &str) -> Result<String> {
    let list = |key: &str| -> Vec<&str> {
        let found = arguments.split_whitespace().find_map(|argument| argument.strip_prefix(&format!("{key}=")));
        found.map_or_else(Vec::new, |found| found.split(',').collect())
    };
    let mut memory = Memory { segments: String::new(), end: TEXTS };
    let dashed = name.replace('_', "-");
    let mut description = Vec::new();
    for text in [dashed.as_str(), "0.1.0", "breaks one promise", "tests", "public", "low", "", "true", "true"] {
        description.extend(memory.text(text)?);
    }
    description.extend(memory.list(&list("wants"))?);
    description.extend(memory.list(&list("stubs"))?);
    memory.put(DESCRIPTION, &description)?;
    // `ok`, the text `{}`, `certain`, no sources.
    let output = memory.text("{}")?;
    memory.put(ANSWER + 4, &output)?;
    let segments = memory.segments;
    Ok(format!(
        r#"{segments}
  (global $free (mut i32) (i32.const {FREE}))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "bailiwick:agent/handler@0.1.0#describe") (result i32) (i32.const {DESCRIPTION}))"#
    ))
}
