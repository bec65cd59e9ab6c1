//! What `bailiwick new agent NAME` writes, and how guests are built. Pure text: whoever calls this writes the files.
//!
//! The new folder holds, relative to itself:
//!
//! | path | from |
//! |---|---|
//! | `Cargo.toml`, `Cargo.lock`, `README.md`, `.gitignore`, `src/lib.rs`, `src/tests.rs` | `files/*.template`, with placeholders filled in |
//! | `sdk/rust/…`, `sdk/macros/…` | the SDK and its macro, as they are, with the WIT packages that they are built from |
//!
//! Placeholders: `{{name}}` is the name of the agent, `{{function}}` the same with underscores for dashes, as Rust names functions and
//! cargo names files. Nothing else is replaced.
//!
//! `Cargo.lock` pins the versions that Bailiwick itself is built with, so a machine that has built Bailiwick builds the agent offline. Its
//! package list is sorted for the placeholder and not for the name; cargo sorts it at the first build, so the first build must not be
//! `--locked`.

mod files;

use files::{SDK, TEMPLATES};

/// The most characters of an agent's name.
pub const MAX_NAME_CHARS: usize = 64;

/// One argument a line. The profile is given whole, so nothing has to stand in the manifest of the guest.
const GUEST_BUILD_ARGS: &str = include_str!("../../rust/build-args.txt");

/// Gives the arguments for cargo that build a guest: `build --target wasm32-wasip2 --profile guest --config …`.
///
/// Every build of a guest uses them, so that the same source is the same component wherever it is built. `-p`, `--manifest-path`,
/// `--target-dir` and the like may be added after them. The component lies in `wasm32-wasip2/guest/` under the target folder, with
/// underscores for the dashes of the package's name.
pub fn guest_build_args() -> impl Iterator<Item = &'static str> {
    GUEST_BUILD_ARGS.lines().filter(|line| !line.is_empty())
}

/// A file of a new agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Path relative to the folder of the agent, with `/` between parts. It never leaves the folder.
    pub path: &'static str,
    /// What the file holds.
    pub text: String,
}

/// Why an agent cannot have a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// It has other characters than an agent's name may have, or is too long.
    #[error(
        "`{0}` cannot be the name of an agent: lower-case letters, digits and single dashes are expected, beginning with a letter, at most {MAX_NAME_CHARS}"
    )]
    Form(String),
    /// Rust or cargo use it for something else.
    #[error("`{name}` cannot be the name of an agent: {reason}: try `{name}-agent`")]
    Taken {
        /// The name.
        name: String,
        /// What it is taken by.
        reason: &'static str,
    },
}

/// Gives the files of a new agent.
///
/// # Errors
/// When an agent cannot have the name: an agent is a package and a function, so words of Rust and names of its dependencies are refused.
pub fn new_agent(name: &str) -> Result<Vec<NewFile>, NameProblem> {
    check_name(name)?;
    let function = name.replace('-', "_");
    let templates =
        TEMPLATES.iter().map(|(path, text)| NewFile { path, text: text.replace("{{name}}", name).replace("{{function}}", &function) });
    let sdk = SDK.iter().map(|(path, text)| NewFile { path, text: (*text).to_owned() });
    Ok(templates.chain(sdk).collect())
}

fn check_name(name: &str) -> Result<(), NameProblem> {
    let part_is_good = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !begins_well || name.len() > MAX_NAME_CHARS || !name.split('-').all(part_is_good) {
        return Err(NameProblem::Form(name.to_owned()));
    }
    let taken = |reason| Err(NameProblem::Taken { name: name.to_owned(), reason });
    if RUST_WORDS.contains(&name) {
        return taken("it is a word of Rust");
    }
    if FUNCTION_NAMES.contains(&name) {
        return taken("the new source uses it for something else");
    }
    if locked_packages().any(|package| package.replace('_', "-") == name) {
        return taken("a package that every agent is built from has it");
    }
    Ok(())
}

/// Names that the new source or a Rust program has already: crates that are always there, modules of the prelude, cargo's own folders.
const FUNCTION_NAMES: [&str; 21] = [
    "agent",
    "alloc",
    "answer",
    "billing",
    "build",
    "core",
    "crm",
    "deps",
    "examples",
    "fake",
    "incremental",
    "main",
    "notify",
    "orders",
    "rules",
    "shipping",
    "std",
    "task",
    "test",
    "ticketing",
    "web",
];

/// Keywords, reserved ones included, and names of primitive types, which cargo refuses for packages or Rust for functions.
const RUST_WORDS: [&str; 62] = [
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "bool",
    "box",
    "break",
    "char",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "f32",
    "f64",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "if",
    "impl",
    "in",
    "isize",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "str",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "while",
];

/// Gives the names of the packages in the lock file of a new agent.
fn locked_packages() -> impl Iterator<Item = &'static str> {
    let lock = TEMPLATES.iter().find(|(path, _)| *path == "Cargo.lock").map_or("", |(_, text)| *text);
    lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_none_is_left() {
        let files = new_agent("tone-finder-2").unwrap();
        let text = |path: &str| &files.iter().find(|file| file.path == path).unwrap().text;
        assert!(text("Cargo.toml").contains("name = \"tone-finder-2\""));
        assert!(text("Cargo.lock").contains("name = \"tone-finder-2\""));
        assert!(text("src/lib.rs").contains("fn tone_finder_2(task: Task<Input>)"));
        assert!(files.iter().filter(|file| !file.path.starts_with("sdk/")).all(|file| !file.text.contains("{{")));
    }

    #[test]
    fn paths_stay_inside_and_are_different() {
        let files = new_agent("a").unwrap();
        let mut paths: Vec<_> = files.iter().map(|file| file.path).collect();
        assert!(
            paths.iter().all(|path| !path.starts_with('/') && path.split('/').all(|part| !part.is_empty() && part != ".." && part != "."))
        );
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), files.len());
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let long = "a".repeat(MAX_NAME_CHARS + 1);
        for name in ["", "A", "a_b", "a--b", "-a", "a-", "1a", "ä", "../x", "a/b", "a\n", long.as_str()] {
            assert_eq!(new_agent(name), Err(NameProblem::Form(name.to_owned())));
        }
        for name in ["match", "serde", "serde-json", "bailiwick-sdk", "test", "task", "proc-macro2", "bool"] {
            assert!(matches!(new_agent(name), Err(NameProblem::Taken { .. })), "{name}");
        }
        assert_eq!(
            new_agent("match").unwrap_err().to_string(),
            "`match` cannot be the name of an agent: it is a word of Rust: try `match-agent`"
        );
        assert!(new_agent(&"a".repeat(MAX_NAME_CHARS)).is_ok());
    }

    #[test]
    fn guests_are_built_with_a_profile_given_whole() {
        let args: Vec<_> = guest_build_args().collect();
        assert_eq!(args[..5], ["build", "--target", "wasm32-wasip2", "--profile", "guest"]);
        assert_eq!(args[5..].iter().filter(|arg| **arg == "--config").count() * 2, args.len() - 5);
        let config = include_str!("../files/Cargo.toml.template");
        for setting in args.iter().filter_map(|arg| arg.strip_prefix("profile.guest.")) {
            let (key, value) = setting.split_once('=').unwrap();
            assert!(config.contains(&format!("\n{key} = {value}\n")), "the manifest of a new agent differs in `{setting}`");
        }
    }
}
