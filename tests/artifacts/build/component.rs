//! Components made of text: a core module becomes a component of a world, a component is taken as it is.
//!
//! A core module may say `;; @agent wants=A,B stubs=C`: the line is replaced by what every agent needs (`cabi_realloc`, the bytes of
//! its description, `describe`, an answer at [`ANSWER`]).

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, WorldId};

/// The world of a plain agent.
pub const AGENT_WORLD: &str = "package test:guest; world guest { include bailiwick:agent/agent@0.1.0; }";
/// Where the prepared answer `{}`, certain, lies in a guest's memory; `run` may return it.
pub const ANSWER: usize = 512;
/// Where the description lies.
const DESCRIPTION: usize = 1024;
/// Where texts begin.
const TEXTS: usize = 2048;
/// Where `cabi_realloc` begins to give out memory.
const FREE: usize = 32 * 1024;

/// Makes the component `name` of a text. `packages` are WIT texts with the paths that messages name; `world` is a WIT text with a world `guest`.
///
/// # Errors
/// When a text is wrong, or module and world do not fit.
pub fn component(name: &str, text: &str, packages: &[(String, String)], world: &str) -> Result<Vec<u8>> {
    let mut wasm = wat::parse_str(expand(text, name)?)?;
    if wasm.get(4..8) == Some(&[0x0d, 0, 1, 0]) {
        return Ok(wasm);
    }
    let (resolve, world) = resolve(packages, world)?;
    embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&wasm)?.validate(true).encode()
}

/// Reads packages and the world `guest` of another text.
///
/// # Errors
/// When a text is wrong.
pub fn resolve(packages: &[(String, String)], world: &str) -> Result<(Resolve, WorldId)> {
    let parse = |path: &str, text: &str| {
        let mut map = SourceMap::new();
        map.push_str(path, text);
        map.parse().map_err(|(map, error)| anyhow!(error.render(&map)))
    };
    let groups = packages.iter().map(|(path, text)| parse(path, text)).collect::<Result<Vec<_>>>()?;
    let mut resolve = Resolve::new();
    let package = resolve.push_groups(parse("guest.wit", world)?, groups).map_err(|error| anyhow!(error.to_string()))?;
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
