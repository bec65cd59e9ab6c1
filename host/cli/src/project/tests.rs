//! What a `bailiwick.toml` may say, and what is answered where it is wrong.

use super::parsed::ProjectFile;
use super::validated::{ValidOrigin, ValidProject};
use crate::fault::{Diagnosis, Source};

fn read(text: &str) -> Result<ValidProject, Vec<Diagnosis>> {
    let source = Source::new("bailiwick.toml", text);
    let file = ProjectFile::parse(&source).map_err(|diagnosis| vec![diagnosis])?;
    ValidProject::new(&file, &source)
}

/// The first diagnosis, as people see it.
fn refused(text: &str) -> String {
    read(text).unwrap_err().iter().map(|diagnosis| diagnosis.render(false)).collect()
}

const AGENT: &str = "[agents]\nverifier = { source = \"verifier\" }\n";

#[test]
fn the_smallest_project_is_one_agent() {
    let project = read(AGENT).unwrap();
    assert_eq!(project.agents.len(), 1);
    assert!(matches!(&project.agents[0].origin, ValidOrigin::Source(path) if path.value.as_os_str() == "verifier"));
    assert_eq!(project.tenant.as_str(), "default");
    assert_eq!(project.workflow.value.as_os_str(), "workflow.yaml");
    assert_eq!(project.state.value.as_os_str(), ".bailiwick");
    assert_eq!(project.limits, bailiwick_core::limits::Limits::default());
    assert!(!project.development && project.name.is_none() && project.input.is_none() && project.requester.is_none());
}

#[test]
fn everything_can_be_said() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!(
        "[project]\nname = \"p\"\ntenant = \"t\"\ndevelopment = true\nworkflow = \"w.yaml\"\ninput = \"i.json\"\nconnectors = [\"a.toml\", \"b.toml\"]\n\
         [agents]\na = {{ wasm = \"a.wasm\", digest = \"{digest}\", limits = {{ memory = \"16MiB\" }} }}\n\
         [limits]\nmemory = \"32MiB\"\ndeadline = \"2s\"\n[state]\nfolder = \"var/state\"\n[requester]\nid = \"channel:web\"\nattributes = {{ kind = \"x\" }}\n"
    );
    let project = read(&text).unwrap();
    assert_eq!(project.limits.memory.to_string(), "32MiB");
    assert_eq!(project.agents[0].limits.memory.to_string(), "16MiB");
    assert_eq!(project.agents[0].limits.deadline, project.limits.deadline);
    let (id, attributes) = project.requester.unwrap();
    assert_eq!((id.as_str(), attributes.get("kind").map(String::as_str)), ("channel:web", Some("x")));
}

#[test]
fn mistakes_have_a_place_and_a_next_step() {
    insta::assert_snapshot!("unknown_key", refused(&format!("[project]\ndevelopmnt = true\n{AGENT}")));
    insta::assert_snapshot!("unknown_table", refused(&format!("{AGENT}[limit]\nfuel = 1\n")));
    insta::assert_snapshot!("no_agents", refused("[project]\nname = \"p\"\n"));
    insta::assert_snapshot!("empty_agents", refused("[agents]\n"));
    insta::assert_snapshot!("no_toml", refused("[project\n"));
    insta::assert_snapshot!("wrong_type", refused(&format!("[project]\ndevelopment = \"yes\"\n{AGENT}")));
    insta::assert_snapshot!("no_unit", refused(&format!("{AGENT}[limits]\nmemory = \"lots\"\n")));
    insta::assert_snapshot!("twice", refused("[agents]\na = { source = \"a\" }\na = { source = \"b\" }\n"));
    insta::assert_snapshot!("bad_names", refused("[project]\nname = \"My Project\"\ntenant = \"T\"\n[agents]\nBad = { source = \"a\" }\n"));
    insta::assert_snapshot!("bad_requester", refused(&format!("[project]\ndevelopment = true\n{AGENT}[requester]\nid = \"anna\"\n")));
    insta::assert_snapshot!("requester_of_no_development_project", refused(&format!("{AGENT}[requester]\nid = \"channel:web\"\n")));
}

#[test]
fn an_agent_has_exactly_one_origin() {
    for (table, expected) in [
        ("{}", "says not where it comes from"),
        ("{ wasm = \"a.wasm\" }", "without its digest"),
        ("{ source = \"a\", wasm = \"a.wasm\", digest = \"x\" }", "both a source folder and a component"),
        ("{ source = \"a\", digest = \"x\" }", "a digest and no component"),
        ("{ wasm = \"a.wasm\", digest = \"sha256:12\" }", "is not a digest"),
    ] {
        let text = refused(&format!("[agents]\na = {table}\n"));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn paths_stay_in_the_project() {
    for key in ["workflow", "input", "connectors"] {
        for path in ["../x", "/etc/passwd", "a/../../b", ""] {
            let text = refused(&format!("[project]\n{key} = \"{path}\"\n{AGENT}"));
            assert!(text.contains("leads out of the project folder"), "{text}");
        }
    }
    assert!(refused(&format!("{AGENT}[state]\nfolder = \"../state\"\n")).contains("leads out of the project folder"));
    assert!(refused(&format!("[project]\nconnectors = [\"a.toml\", \"../b.toml\"]\n{AGENT}")).contains("`../b.toml`"));
}

#[test]
fn a_limit_is_never_nothing_never_endless_and_an_agent_only_lowers_it() {
    let with = |limits: &str, own: &str| read(&format!("[agents]\na = {{ source = \"a\", limits = {{ {own} }} }}\n[limits]\n{limits}\n"));
    for good in ["fuel = 1", "memory = \"1GiB\"", "deadline = \"24h\"", "table-elements = 100000"] {
        assert!(with(good, "").is_ok(), "{good}");
    }
    for bad in [
        "fuel = 0",
        "memory = \"0B\"",
        "deadline = \"0s\"",
        "memory = \"1025MiB\"",
        "deadline = \"24h 1ms\"",
        "table-elements = 100001",
        "fuel = 18446744073709551615",
    ] {
        assert!(with(bad, "").is_err(), "{bad}");
    }
    assert!(with("memory = \"32MiB\"", "memory = \"32MiB\"").is_ok());
    assert!(with("memory = \"32MiB\"", "memory = \"33MiB\"").is_err());
    assert!(with("", "fuel = 0").is_err());
}
