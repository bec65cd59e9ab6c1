//! Programs of the tests' own in place of cargo, rustc and rustup: the only ones on PATH.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::{Output, output_of};

/// Longest wait for a program that is about to be called.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that waits. Those that are called while this is kept go on by themselves once it is released.
pub struct Held {
    pipe: File,
    path: PathBuf,
}

impl Held {
    pub fn release(&mut self) {
        self.pipe.write_all(&b"go\n".repeat(10)).unwrap();
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// A folder of shell scripts. Each writes its name and arguments, and where it was called, to a log.
pub struct Programs {
    dir: tempfile::TempDir,
    /// The folder of the one Cargo package `plain`, which `cargo` pretends to compile.
    workspace: PathBuf,
}

impl Programs {
    /// Puts `cargo` there, and a compiler without libraries for any other target.
    pub fn new(workspace: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let programs = Self { dir, workspace };
        std::fs::create_dir(programs.compiler()).unwrap();
        let (root, compiler) = (programs.workspace.display(), programs.compiler());
        let compiler = compiler.display();
        programs.write("rustc", &format!("{}; echo {compiler}; echo {compiler}/wasm32-wasip2/lib", programs.waits("rustc")));
        let package = format!(
            r#"{{"id":"plain","name":"plain","manifest_path":"{root}/plain/Cargo.toml","targets":[{{"name":"plain","crate_types":["cdylib"]}}]}}"#
        );
        let component = format!("{root}/target/guests/wasm32-wasip2/guest/plain.wasm");
        programs.write(
            "cargo",
            &format!(
                r#"if [ "$1" = metadata ]; then echo '{{"workspace_root":"{root}","packages":[{package}]}}'; exit; fi
                echo "   Compiling left-pad v1.0.0" >&2
                {waits}
                [ -f {component} ] && fresh=true || fresh=false
                /bin/mkdir -p {root}/target/guests/wasm32-wasip2/guest; : > {component}
                echo '{{"reason":"compiler-artifact","package_id":"plain","filenames":["{component}"],"fresh":'$fresh'}}'"#,
                waits = programs.waits("cargo"),
            ),
        );
        programs
    }

    /// A `rustup` that installs.
    pub fn with_rustup(self) -> Self {
        self.write("rustup", &format!("{}; /bin/mkdir -p {}/wasm32-wasip2/lib", self.waits("rustup"), self.compiler().display()));
        self
    }

    /// The libraries of the target are there already.
    pub fn with_target(self) -> Self {
        std::fs::create_dir_all(self.compiler().join("wasm32-wasip2/lib")).unwrap();
        self
    }

    fn compiler(&self) -> PathBuf {
        self.dir.path().join("compiler")
    }

    pub fn write(&self, name: &str, body: &str) {
        let path = self.bin().join(name);
        let log = self.dir.path().join("log");
        std::fs::write(&path, format!("#!/bin/sh\necho \"{name} $* in $PWD\" >> {}\n{body}\n", log.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The part of a script in which it waits if it is held.
    fn waits(&self, name: &str) -> String {
        format!("[ -p {fifo} ] && read -r go < {fifo}", fifo = self.fifo(name).display())
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    fn fifo(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.fifo"))
    }

    /// Has a program wait from now on whenever it is called.
    pub fn hold(&self, name: &str) {
        mkfifoat(CWD, self.fifo(name), Mode::RUSR | Mode::WUSR).unwrap();
    }

    /// Waits until a held program was called.
    pub fn called(&self, name: &str) -> Held {
        let (opened, arrived) = channel();
        let fifo = self.fifo(name);
        // A pipe opens for writing when it is open for reading.
        std::thread::spawn(move || opened.send(File::options().write(true).open(fifo)));
        Held { pipe: arrived.recv_timeout(PATIENCE).unwrap().unwrap(), path: self.fifo(name) }
    }

    /// Takes a program away.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.bin().join(name)).unwrap();
    }

    /// What was called, in order.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The binary, with these programs and no others.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(words).env("PATH", self.bin()).env_remove("COLUMNS").env_remove("BAILIWICK_LOG");
        command
    }

    pub fn bailiwick(&self, words: &[&str]) -> Output {
        output_of(&mut self.command(words))
    }
}
