//! The binary, and projects in folders that are thrown away.
#![expect(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test stops at its first surprise")]

pub mod mailing;
pub mod programs;
pub mod terminal;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a command gave.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary as a script would: no terminal, no colours.
pub fn bailiwick<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I) -> Output {
    output_of(Command::new(env!("CARGO_BIN_EXE_bailiwick")).args(words).env_remove("COLUMNS").env_remove("BAILIWICK_LOG"))
}

/// Runs a command to its end.
pub fn output_of(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A project in a folder that is thrown away.
#[derive(Debug)]
pub struct Project {
    dir: tempfile::TempDir,
    path: String,
}

impl Project {
    pub fn new(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().to_str().unwrap().to_owned();
        let project = Self { dir, path };
        project.write("bailiwick.toml", toml);
        project
    }

    /// A development project with one real agent, the sample's `identity-verifier`, and a connector to the sample's shop.
    pub fn with_agent(workflow: &str) -> Self {
        let agent = workspace().join("agents/identity-verifier");
        let toml = format!(
            "[project]\nname = \"one\"\ntenant = \"nordwind\"\ndevelopment = true\ninput = \"in.json\"\n\
             [agents]\nidentity-verifier = {{ source = \"{}\" }}\n",
            agent.display()
        );
        let project = Self::new(&toml);
        project.write("workflow.yaml", workflow);
        project.write("in.json", "{ \"customer\": \"C-1042\" }");
        let shop = workspace().join("examples/returns/connectors/shop.toml");
        project.write("connectors/shop.toml", &std::fs::read_to_string(shop).unwrap());
        project
    }

    pub fn root(&self) -> &Path {
        Path::new(&self.path)
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }
}
