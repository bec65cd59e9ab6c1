//! Building agents: the compiler's target is installed where it is missing, and how far a build has come is told.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::programs::Programs;
use support::{Output, Project};

const INSTALLING: &str = "installing the compiler's target wasm32-wasip2: rustup target add wasm32-wasip2";
const BUILDING: &str = "building agent plain (the first time, dependencies are compiled too: about a minute)";

/// A project with one agent, and nothing on PATH but `programs`.
fn project() -> (Project, Programs) {
    let project = Project::new("[project]\ndevelopment = true\ninput = \"in.json\"\n[agents]\nplain = { source = \"plain\" }\n");
    project.write("workflow.yaml", "workflow: w\n");
    project.write("in.json", "{}");
    project.write("plain/Cargo.toml", "");
    let programs = Programs::new(project.root().to_owned());
    (project, programs)
}

fn names(programs: &Programs) -> Vec<String> {
    programs.log().iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn refused(output: &Output, parts: &[&str]) {
    assert_eq!(output.code, 4, "{output:?}");
    // As the words stand, however the lines are broken.
    let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(said.contains(part), "{part}: {}", output.stderr);
    }
}

#[test]
fn a_missing_target_is_installed_and_that_is_said() {
    let (project, programs) = project();
    let programs = programs.with_rustup();
    let output = programs.bailiwick(&["build", project.path()]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.starts_with(&format!("{INSTALLING}\n")), "{}", output.stderr);
    assert!(output.stdout.contains("plain.wasm"), "{}", output.stdout);
    // In the agents' workspace, whose `rust-toolchain.toml` may name another compiler; and before anything is compiled.
    assert_eq!(programs.log()[2], format!("rustup target add wasm32-wasip2 in {}", project.path()));
    assert_eq!(names(&programs), ["cargo metadata", "rustc --print", "rustup target", "rustc --print", "cargo build"]);
    // The next time it is there, and nothing is said of it.
    let output = programs.bailiwick(&["build", project.path()]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(names(&programs)[5..], ["cargo metadata", "rustc --print", "cargo build"]);
}

#[test]
fn a_quiet_run_says_it_too() {
    let (project, programs) = project();
    let programs = programs.with_rustup();
    let output = programs.bailiwick(&["run", project.path(), "--quiet"]);
    assert!(output.stderr.starts_with(&format!("{INSTALLING}\n")), "{}", output.stderr);
    assert!(!output.stderr.contains("building"), "{}", output.stderr);
}

#[test]
fn where_the_target_cannot_be_installed_it_is_said_what_to_do() {
    let (project, programs) = project();
    let build = ["build", project.path()];
    let help = "run `rustup target add wasm32-wasip2` yourself; without rustup, install it from https://rustup.rs";
    refused(&programs.bailiwick(&build), &["the target wasm32-wasip2 is not installed, and rustup cannot be run", help]);

    programs.write("rustup", "echo 'error: could not download' >&2; exit 1");
    refused(&programs.bailiwick(&build), &["the target wasm32-wasip2 could not be installed", help, "error: could not download"]);

    programs.write("rustup", "exit 0");
    let other = "rustup has installed the target wasm32-wasip2, and `rustc` does not have it";
    refused(&programs.bailiwick(&build), &[other, "put rustup's `rustc` first on PATH"]);
    assert!(!names(&programs).contains(&"cargo build".to_owned()), "{:?}", programs.log());
}

#[test]
fn without_cargo_it_is_said_where_to_get_it() {
    let (project, programs) = project();
    programs.remove("cargo");
    refused(&programs.bailiwick(&["build", project.path()]), &["cargo cannot be run", "install it from https://rustup.rs"]);
}

#[test]
fn two_at_a_time_install_once() {
    let (project, programs) = project();
    let programs = programs.with_rustup();
    programs.hold("rustup");
    let start = || programs.command(&["build", project.path()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = start();
    let mut installing = programs.called("rustup");
    programs.hold("rustc");
    let mut second = start();
    // It has seen that there is no target yet.
    programs.called("rustc").release();
    installing.release();
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(names(&programs).iter().filter(|name| *name == "rustup target").count(), 1, "{:?}", programs.log());
}

#[test]
fn without_a_terminal_a_long_build_is_told_in_plain_lines() {
    let (project, programs) = project();
    let programs = programs.with_target();
    let output = programs.bailiwick(&["build", project.path()]);
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!((output.code, lines.len(), lines[0]), (0, 2, BUILDING), "{output:?}");
    assert!(lines[1].starts_with("built agent plain in ") && lines[1].ends_with('s'), "{output:?}");
    assert!(!output.stderr.contains(['\x1b', '\r']), "{:?}", output.stderr);
    // Where nothing is compiled there is nothing to tell.
    assert_eq!(programs.bailiwick(&["build", project.path()]).stderr, "");
}

#[test]
fn a_build_that_is_asked_to_stop_ends_at_once() {
    for word in ["build", "run"] {
        let (project, programs) = project();
        let programs = programs.with_target();
        programs.hold("cargo");
        let mut child = programs.command(&[word, project.path()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut compiling = programs.called("cargo");
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(6), "{word}");
        assert!(asked.elapsed() < Duration::from_secs(2), "{word}: {:?}", asked.elapsed());
        // The compiler that was left behind.
        compiling.release();
        assert!(!project.file(".bailiwick").exists());
    }
}
