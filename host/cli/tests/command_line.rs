//! The command line from outside: help, exit codes, and what bad input gets.

mod support;

use support::{Project, bailiwick, workspace};

#[test]
fn help_is_what_it_was() {
    let commands: [&[&str]; 37] = [
        &[],
        &["run"],
        &["check"],
        &["build"],
        &["try"],
        &["new", "agent"],
        &["agents", "list"],
        &["agents", "inspect"],
        &["agents", "diff"],
        &["reach"],
        &["workflow", "diff"],
        &["agents", "install"],
        &["agents", "activate"],
        &["ledger", "show"],
        &["ledger", "verify"],
        &["ledger", "export"],
        &["ledger", "erase"],
        &["ledger", "hold"],
        &["ledger", "key", "show"],
        &["ledger", "key", "rotate"],
        &["ledger", "anchor"],
        &["policy", "check"],
        &["policy", "test"],
        &["policy", "install"],
        &["policy", "show"],
        &["policy", "waiting"],
        &["policy", "schema"],
        &["policy", "default"],
        &["freeze", "stop"],
        &["freeze", "lift"],
        &["freeze", "list"],
        &["requesters", "add"],
        &["requesters", "remove"],
        &["requesters", "list"],
        &["who"],
        &["why"],
        &["advise", "grants"],
    ];
    for command in commands {
        let output = bailiwick(command.iter().copied().chain(["--help"]));
        assert_eq!(output.code, 0);
        let name = if command.is_empty() { "bailiwick".to_owned() } else { command.join("_") };
        insta::assert_snapshot!(format!("help_{name}"), output.stdout);
    }
}

#[test]
fn a_wrong_command_line_is_bad_input_and_not_a_partial_result() {
    for words in
        [&["frobnicate"][..], &["run"], &["run", "x", "--nope"], &["ledger", "show"], &["ledger", "show", "--last", "--run", "x"], &[]]
    {
        assert_eq!(bailiwick(words).code, 4, "{words:?}");
    }
}

#[test]
fn a_missing_project_is_named() {
    let output = bailiwick(["run", "no/such/folder"]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("`no/such/folder`"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[test]
fn with_json_a_fault_is_one_document() {
    let project = Project::new("[project]\nnmae = \"x\"\n[agents]\na = { source = \"a\" }\n");
    let output = bailiwick(["run", project.path(), "--json"]);
    assert_eq!(output.code, 4);
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["exit"], "bad-input");
    let problem = &document["problems"][0];
    assert_eq!((problem["message"].as_str(), problem["help"].as_str()), (Some("unknown key `nmae`"), Some("did you mean `name`?")));
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(2), Some(1)));
}

#[test]
fn missing_files_of_a_project_are_all_named_at_once() {
    let project = Project::new("[project]\nworkflow = \"flow.yaml\"\ninput = \"in.json\"\n[agents]\na = { source = \"a\" }\n");
    let output = bailiwick(["check", project.path()]);
    assert_eq!(output.code, 4);
    for missing in ["flow.yaml", "in.json", "source folder `a`"] {
        assert!(output.stderr.contains(missing), "{}", output.stderr);
    }
    assert!(!project.file(".bailiwick").exists());
}

#[test]
fn a_component_with_another_digest_is_refused() {
    let project = Project::new(&format!("[agents]\na = {{ wasm = \"a.wasm\", digest = \"sha256:{}\" }}\n", "0".repeat(64)));
    project.write("workflow.yaml", "workflow: w\n");
    project.write("a.wasm", "something else");
    let output = bailiwick(["check", project.path()]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("component `a.wasm` of agent `a` is"), "{}", output.stderr);
}

#[test]
fn a_state_folder_that_is_a_link_is_refused() {
    let project = Project::new("[agents]\na = { source = \"a\" }\n");
    let elsewhere = Project::new("");
    std::os::unix::fs::symlink(elsewhere.root(), project.file(".bailiwick")).unwrap();
    let output = bailiwick(["check", project.path()]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("`.bailiwick` is no folder"), "{}", output.stderr);
}

#[test]
fn an_agent_that_does_not_build_shows_the_compilers_message() {
    let project = Project::new("[project]\ndevelopment = true\ninput = \"in.json\"\n[agents]\nbroken = { source = \"broken\" }\n");
    project.write("workflow.yaml", "workflow: w\n");
    project.write("in.json", "{}");
    project.write("broken/Cargo.toml", "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n");
    project.write("broken/src/lib.rs", "pub fn run() -> u32 { \"no number\" }\n");
    for command in ["build", "run"] {
        let output = bailiwick([command, project.path()]);
        assert_eq!(output.code, 4);
        assert!(output.stderr.contains("agent `broken` does not build"), "{}", output.stderr);
        assert!(output.stderr.contains("error[E0308]: mismatched types"), "{}", output.stderr);
        assert!(output.stderr.contains("src/lib.rs:1:23"), "{}", output.stderr);
    }
    assert!(!project.file(".bailiwick").exists());
}

#[test]
fn check_builds_nothing() {
    let project = Project::new("[agents]\nplain = { source = \"plain\" }\n");
    project.write("workflow.yaml", "workflow: w\n");
    project.write("plain/Cargo.toml", "[package]\nname = \"plain\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n");
    project.write("plain/src/lib.rs", "");
    project.write("plain/build.rs", "fn main() { std::fs::write(\"ran\", \"\").unwrap(); }\n");
    let output = bailiwick(["check", project.path()]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("agent `plain` is not built yet"), "{}", output.stderr);
    assert!(!project.file("plain/ran").exists());
    assert!(!project.file(".bailiwick").exists());
}

#[test]
fn without_an_input_a_run_says_how_to_give_one() {
    let project = Project::with_agent("workflow: w\n");
    std::fs::remove_file(project.file("in.json")).unwrap();
    project.write("bailiwick.toml", &project.read("bailiwick.toml").replace("input = \"in.json\"\n", ""));
    let output = bailiwick(["run", project.path()]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("pass `--input FILE`"), "{}", output.stderr);
}

#[test]
fn an_input_that_is_no_json_is_shown() {
    let project = Project::with_agent("workflow: w\n");
    project.write("in.json", "{\n  \"customer\": C-1\n}");
    let output = bailiwick(["run", project.path()]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("the input is no JSON") && output.stderr.contains("in.json:2:"), "{}", output.stderr);
}

#[test]
fn a_ledger_that_is_not_there_is_said_to_be_absent() {
    let project = Project::new("");
    for command in [["ledger", "verify"], ["ledger", "show"]] {
        let last = (command[1] == "show").then_some("--last");
        let output = bailiwick(command.into_iter().chain(["--state", project.path()]).chain(last));
        assert_eq!(output.code, 4);
        assert!(output.stderr.contains("there is no ledger"), "{}", output.stderr);
    }
}

#[test]
fn the_sample_names_its_agents_by_folders_that_exist() {
    let sample = workspace().join("examples/returns");
    let text = std::fs::read_to_string(sample.join("bailiwick.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    for (name, agent) in table["agents"].as_table().unwrap() {
        let source = agent["source"].as_str().unwrap();
        assert!(sample.join(source).join("Cargo.toml").is_file(), "{name}");
    }
    assert!(text.starts_with("#:schema ../../schemas/project.schema.json\n"));
}
