//! Every YAML and TOML block of the documentation is loaded by the loader that it belongs to; a block that does not say which fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_connectors::Connectors;
use bailiwick_core::AgentRunner;
use bailiwick_core::capability::CapabilityFile;
use bailiwick_orchestrator::{Known, load};
use bailiwick_test_artifacts::AGENTS;
use bailiwick_test_host::{Bench, Settings};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use serde_json::Value;

/// A block of code and where it stands.
struct Block {
    file: PathBuf,
    line: usize,
    info: String,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Gives the documents: README, everything under `docs`, the README of each example.
fn documents() -> Result<Vec<PathBuf>> {
    let root = repository();
    let mut found = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs"), root.join("examples")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            // What a run leaves behind is no documentation.
            let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !is_hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn blocks(file: &Path) -> Result<Vec<Block>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (event, range) in Parser::new(&text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let line = text.get(..range.start).unwrap_or_default().lines().count() + 1;
                open = Some(Block { file: file.to_owned(), line, info: info.into_string(), text: String::new() });
            }
            Event::Text(piece) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&piece);
                }
            }
            Event::End(TagEnd::CodeBlock) => found.extend(open.take()),
            _ => {}
        }
    }
    Ok(found)
}

struct Loaders {
    bench: Bench,
    catalog: bailiwick_core::capability::Catalog,
}

impl Loaders {
    fn load(&self, block: &Block) -> Result<()> {
        match block.info.as_str() {
            "yaml workflow" => {
                let example = repository().join("examples/returns");
                let read = |path: &str| std::fs::read_to_string(example.join(path));
                let agents: &dyn AgentRunner = &*self.bench.sandbox;
                load("block", &block.text, &Known { catalog: &self.catalog, agents, read: &read })?;
                Ok(())
            }
            "yaml rules" => {
                let name = block.text.lines().find_map(|line| line.strip_prefix("ruleset: ")).context("a ruleset says its name")?;
                let (project, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
                std::fs::create_dir_all(project.path().join("rules"))?;
                std::fs::write(project.path().join(format!("rules/{}.yaml", name.trim())), &block.text)?;
                std::fs::write(project.path().join("rules.toml"), "kind = \"rules\"\n")?;
                let loaded = Connectors::load(project.path(), state.path(), &["rules.toml".into()]);
                loaded.map(|_| ()).map_err(|problems| anyhow::anyhow!("{problems:?}"))
            }
            "cedar" | "toml policy-cases" => {
                // They are loaded by a test of `bailiwick-policy`, which reads this one document.
                ensure!(block.file.ends_with("docs/policy.md"), "policies belong in docs/policy.md, where a test loads them");
                Ok(())
            }
            "toml capability" => CapabilityFile::parse(&block.text).map(|_| ()).map_err(Into::into),
            "toml project" => {
                let path = repository().join("schemas/project.schema.json");
                let schema: Value = serde_json::from_slice(&std::fs::read(&path).with_context(|| path.display().to_string())?)?;
                satisfies(&schema, &block.text)
            }
            "toml connector" => {
                let value: Value = toml::from_str(&block.text)?;
                let kind = value.get("kind").and_then(Value::as_str).context("a connector file says its `kind`")?;
                let schemas = bailiwick_connectors::schemas();
                let name = format!("connector-{kind}.json");
                satisfies(schemas.get(name.as_str()).with_context(|| format!("there is no connector of kind `{kind}`"))?, &block.text)
            }
            info if ["yaml", "yml", "toml"].iter().any(|language| info.split([' ', ',']).next() == Some(language)) => {
                bail!(
                    "`{info}` says nothing of a loader: `yaml workflow`, `yaml rules`, `toml project`, `toml capability`, `toml connector` or `toml policy-cases`"
                )
            }
            _ => Ok(()),
        }
    }
}

/// Checks a TOML text against the schema that is made from the types of its loader.
fn satisfies(schema: &Value, text: &str) -> Result<()> {
    let value: Value = toml::from_str(text)?;
    let validator = jsonschema::validator_for(schema)?;
    validator.validate(&value).map_err(|error| anyhow::anyhow!("at `{}`: {error}", error.instance_path()))
}

async fn loaders() -> Result<Loaders> {
    let bench = Bench::open(Settings::new(env!("CARGO_BIN_EXE_compile_child"), concat!(env!("CARGO_TARGET_TMPDIR"), "/code"))).await?;
    for agent in AGENTS {
        bench.install(agent).await?;
    }
    Ok(Loaders { bench, catalog: bailiwick_wit::builtin_catalog()? })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_block_loads() -> Result<()> {
    let loaders = loaders().await?;
    let mut wrong = Vec::new();
    let mut loaded = 0;
    for file in documents()? {
        for block in blocks(&file)? {
            match loaders.load(&block) {
                Ok(()) => loaded += 1,
                Err(problem) => wrong.push(format!("{}:{}: {problem:#}", block.file.display(), block.line)),
            }
        }
    }
    ensure!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    ensure!(loaded > 0, "there is no block");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_block_is_found() -> Result<()> {
    let loaders = Arc::new(loaders().await?);
    let block = |info: &str, text: &str| Block { file: PathBuf::new(), line: 1, info: info.to_owned(), text: text.to_owned() };
    for (info, text) in [
        ("yaml", "a: 1"),
        ("toml", "a = 1"),
        ("yaml workflow", "workflow: x"),
        ("yaml rules", "ruleset: x\nnothing: 1"),
        ("toml capability", "package = 1"),
        ("toml connector", "kind = \"nothing\""),
        ("toml project", "[nothing]"),
        ("cedar", "permit"),
        ("toml policy-cases", "[[case]]"),
    ] {
        ensure!(loaders.load(&block(info, text)).is_err(), "`{info}` with `{text}` was loaded");
    }
    Ok(())
}
