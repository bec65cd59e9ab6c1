//! The page of threats: every test that it names is there, and every claim names one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Gives the names of all functions that a test attribute stands before.
fn tests() -> Result<BTreeSet<String>> {
    let root = repository();
    let mut folders: Vec<PathBuf> = ["host", "tests", "wit", "sdk", "agents", "benches"].map(|folder| root.join(folder)).into();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let is_ours = path.file_name().is_some_and(|name| name != "target" && !name.to_string_lossy().starts_with('.'));
            if path.is_dir() && is_ours {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.extend(tests_of(&std::fs::read_to_string(&path)?));
            }
        }
    }
    Ok(found)
}

fn tests_of(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") || line.starts_with("//") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            continue;
        }
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        if let Some(name) = function.filter(|_| is_test).and_then(|rest| rest.split(['(', '<']).next()) {
            found.push(name.to_owned());
        }
        is_test = false;
    }
    found
}

/// A row of a table: its text, and the names in it.
#[derive(Default)]
struct Row {
    text: String,
    names: Vec<String>,
}

/// Whether a piece of code is the name of a test: words joined by underscores.
fn is_name(code: &str) -> bool {
    code.contains('_') && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Gives all names, and the rows of tables that have a column `shown by`.
fn read(page: &str) -> (Vec<String>, Vec<Row>) {
    let (mut names, mut rows) = (Vec::new(), Vec::new());
    let (mut row, mut head, mut claims) = (Row::default(), String::new(), false);
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::TableHead) => head.clear(),
            Event::End(TagEnd::TableHead) => claims = head.contains("shown by"),
            Event::Start(Tag::TableRow) => row = Row::default(),
            Event::End(TagEnd::TableRow) if claims => rows.push(std::mem::take(&mut row)),
            Event::Text(text) => {
                head.push_str(&text);
                row.text.push_str(&text);
            }
            Event::Code(code) if is_name(&code) => {
                row.names.push(code.to_string());
                names.push(code.into_string());
            }
            _ => {}
        }
    }
    (names, rows)
}

#[test]
fn every_test_that_threats_names_exists() -> Result<()> {
    let page = std::fs::read_to_string(repository().join("host/THREATS.md"))?;
    let (names, rows) = read(&page);
    let tests = tests()?;
    let missing: Vec<_> = names.iter().filter(|name| !tests.contains(*name)).collect();
    ensure!(missing.is_empty(), "host/THREATS.md names tests that are not there: {missing:?}");
    let bare: Vec<_> = rows.iter().filter(|row| row.names.is_empty()).map(|row| &row.text).collect();
    ensure!(bare.is_empty(), "claims without a test: {bare:?}");
    for risk in 1..=10 {
        let risk = format!("ASI{risk:02} ");
        ensure!(rows.iter().any(|row| row.text.starts_with(&risk)), "{risk}has no row");
    }
    ensure!(rows.len() > 30, "only {} rows were found", rows.len());
    Ok(())
}

#[test]
fn a_name_without_a_test_is_found() {
    let source =
        "#[test]\nfn a_b() {}\nfn helper_of() {}\n    #[tokio::test(flavor = \"x\")]\n    /// Doc.\n    async fn c_d() -> Result<()> {\n";
    assert_eq!(tests_of(source), ["a_b", "c_d"]);
    let (names, rows) = read(
        "Text `a_b`.\n\n| claim | shown by |\n|---|---|\n| x | `c_d`, `cargo run` |\n| y | `Plain` |\n\n| other | column |\n|---|---|\n| z | z |\n",
    );
    assert_eq!(names, ["a_b", "c_d"]);
    assert_eq!(rows.iter().map(|row| row.names.len()).collect::<Vec<_>>(), [1, 0]);
}
