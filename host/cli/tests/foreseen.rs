//! Questions that are answered before anything runs: `agents inspect`, `agents diff`, `reach`, `workflow diff`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test stops at its first surprise")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::Value;
use support::{Output, Project, bailiwick, workspace};

fn sample() -> String {
    workspace().join("examples/returns").to_str().unwrap().to_owned()
}

/// Builds the sample's agents, once for all tests.
fn built() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let output = bailiwick(["build", &sample()]);
        assert_eq!(output.code, 0, "{output:?}");
    });
}

/// The component of one of the sample's agents.
fn component(agent: &str) -> PathBuf {
    built();
    workspace().join(format!("target/guests/wasm32-wasip2/guest/{}.wasm", agent.replace('-', "_")))
}

/// A copy of a component in which texts of the same length take each other's place: what a component says about itself is data in it.
fn patched(project: &Project, agent: &str, from: &str, to: &str) -> String {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(component(agent)).unwrap();
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "`{from}` stands nowhere in the component");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let path = project.file(&format!("{}.wasm", to.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Takes the digests out, which change with every compiler, and the policy's version, which changes with every operation.
fn redacted(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}sha256:…{}", part.trim_start_matches(|c: char| c.is_ascii_hexdigit())))
}

fn document(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn fits(output: &Output) {
    let too_long: Vec<&str> = output.stdout.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

/// What comes after the head, which names files of this machine.
fn body(output: &Output) -> &str {
    output.stdout.split_once("\n\n").unwrap_or_else(|| panic!("{output:?}")).1
}

/// `direction what: before -> after` for each change.
fn changes(document: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let row = |change: &Value| {
        format!("{} {}: {} -> {}", text(&change["direction"]), text(&change["what"]), text(&change["before"]), text(&change["after"]))
    };
    document["changes"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn inspect_is_one_page() {
    built();
    for agent in ["return-label", "returns-policy", "customer-mail"] {
        let output = bailiwick(["agents", "inspect", agent, "--project", &sample()]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(output.stderr, "");
        fits(&output);
        insta::assert_snapshot!(format!("inspect-{agent}"), redacted(&output.stdout));
    }
}

#[test]
fn inspect_names_every_operation_of_the_project_with_the_policys_word() {
    built();
    let output = bailiwick(["agents", "inspect", "returns-policy", "--project", &sample(), "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let document = document(&output);
    assert!(output.stdout.starts_with("{\n  \"exit\": \"done\""), "{}", output.stdout);
    let operations = document["operations"].as_array().unwrap();
    assert_eq!(operations.len(), bailiwick_wit::builtin_catalog().unwrap().iter().count());
    let of = |name: &str| operations.iter().find(|row| row["operation"] == name).unwrap();
    assert_eq!(
        (of("orders/orders.get")["imported"].as_bool(), of("orders/orders.get")["policy"]["word"].as_str()),
        (Some(true), Some("always"))
    );
    // Not imported, and not permitted either: the agent is not meant for personal data.
    assert_eq!(
        (of("crm/customers.get")["imported"].as_bool(), of("crm/customers.get")["policy"]["word"].as_str()),
        (Some(false), Some("never"))
    );
    assert_eq!(document["steps"][0]["step"], "eligibility");
    assert_eq!(document["review"]["overdue"], Value::Null);
}

#[test]
fn a_component_is_inspected_without_a_project_under_the_default_policy() {
    let nowhere = Project::new("");
    std::fs::remove_file(nowhere.file("bailiwick.toml")).unwrap();
    let hostile = patched(&nowhere, "return-label", "Makes the label", "\u{1b}[2J\u{7}\u{202e}e label");
    let output = bailiwick(["agents", "inspect", &hostile, "--project", nowhere.path()]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("default.cedar") && output.stdout.contains("e label"), "{}", output.stdout);
    assert!(!output.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", output.stdout);
    assert!(!output.stdout.contains("what the project's workflow gives it"), "{}", output.stdout);
    assert!(!nowhere.file(".bailiwick").exists());
}

#[test]
fn an_agent_that_is_nowhere_is_named() {
    built();
    let output = bailiwick(["agents", "inspect", "nobody@1.0.0", "--project", &sample(), "--state", "/nonexistent/state"]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("`nobody@1.0.0`"), "{}", output.stderr);
}

#[test]
fn the_same_component_shows_nothing_and_another_data_level_is_judged_under_the_policy() {
    let project = Project::new("[agents]\nx = { source = \"x\" }\n");
    project.write("x/Cargo.toml", "");
    project.write("workflow.yaml", "");
    let before = component("identity-verifier").to_str().unwrap().to_owned();
    let diff = |old: &str, new: &str, json: &[&str]| {
        bailiwick(["agents", "diff", old, new, "--project", project.path()].into_iter().chain(json.iter().copied()))
    };
    let same = diff(&before, &before, &[]);
    assert_eq!((same.code, same.stdout.lines().last()), (0, Some("nothing changed")), "{same:?}");
    let lower = patched(&project, "identity-verifier", "personal", "internal");
    let narrower = diff(&before, &lower, &["--json"]);
    assert_eq!(narrower.code, 0, "{narrower:?}");
    let document = document(&narrower);
    assert_eq!(document["exit"], "done");
    assert_eq!(changes(&document), ["narrower data level: personal -> internal", "narrower policy for crm/customers.get: always -> never"]);
    let wider = diff(&lower, &before, &[]);
    assert_eq!(wider.code, 7, "{wider:?}");
    fits(&wider);
    insta::assert_snapshot!("diff-agents", body(&wider));
}

#[test]
fn another_agent_imports_other_operations() {
    let (old, new) = (component("return-label"), component("customer-mail"));
    let output = bailiwick(["agents", "diff", old.to_str().unwrap(), new.to_str().unwrap(), "--project", &sample(), "--json"]);
    assert_eq!(output.code, 7, "{output:?}");
    let document = document(&output);
    assert_eq!(document["exit"], "widened");
    let rows = changes(&document);
    for row in [
        "wider imports: – -> bailiwick:notify/messages@0.1.0.send",
        "wider policy for notify/messages.send: not imported -> depends on bound, labels",
        "narrower imports: bailiwick:shipping/parcels@0.1.0.create-label -> –",
    ] {
        assert!(rows.iter().any(|found| found == row), "{row}: {rows:#?}");
    }
}

#[test]
fn the_reach_of_the_sample_reads_well() {
    built();
    let output = bailiwick(["reach", &sample()]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    fits(&output);
    insta::assert_snapshot!("reach", redacted(&output.stdout));
    let output = bailiwick(["reach", &sample(), "--json"]);
    let document = document(&output);
    assert!(output.stdout.starts_with("{\n  \"exit\": \"done\""), "{}", output.stdout);
    assert_eq!(document["reach"]["finals"][0]["approved-by"], Value::Null);
    assert_eq!(document["reach"]["finals"][0]["operation"], "notify/messages.send");
    assert_eq!(document["agents"].as_array().unwrap().len(), 5);
}

#[test]
fn reach_asks_the_projects_own_policy() {
    built();
    let project = Project::new(
        &std::fs::read_to_string(Path::new(&sample()).join("bailiwick.toml")).unwrap().replace("../..", workspace().to_str().unwrap()),
    );
    for file in ["workflow.yaml", "schemas/return-request.json", "inputs/accepted.json"] {
        project.write(file, &std::fs::read_to_string(Path::new(&sample()).join(file)).unwrap());
    }
    project.write("connectors/none.toml", "");
    project.write(
        "policy/own.cedar",
        "@id(\"all\") permit (principal is Bailiwick::Agent, action in [Bailiwick::Action::\"read\", Bailiwick::Action::\"write\", Bailiwick::Action::\"final\"], resource);\n\
         @id(\"no-mail\") @reason(\"nobody writes to customers\") forbid (principal, action in Bailiwick::Action::\"notify\", resource) when { context.step == \"mail\" };\n",
    );
    let output = bailiwick(["reach", project.path()]);
    assert_eq!(output.code, 0, "{output:?}");
    // As the words stand, however the lines are broken.
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("never: nobody writes to customers") && said.contains("so no task of it starts"), "{}", output.stdout);
    assert!(!output.stdout.contains("final notify/messages.send"), "{}", output.stdout);
    // The sample has the default policy: with this one less is possible, and the other way round more.
    let narrower = bailiwick(["workflow", "diff", &sample(), project.path(), "--json"]);
    assert_eq!(narrower.code, 0, "{narrower:?}");
    let rows = changes(&document(&narrower));
    assert!(
        rows.iter().any(|row| row == "narrower step mail, may notify/messages.send, policy for customer-mail: depends on labels -> never"),
        "{rows:#?}"
    );
    assert_eq!(bailiwick(["workflow", "diff", project.path(), &sample()]).code, 7);
}

#[test]
fn a_workflow_that_widens_says_where() {
    built();
    let project = Project::new("");
    let old = std::fs::read_to_string(Path::new(&sample()).join("workflow.yaml")).unwrap();
    let diff = |new: &str, more: &[&str]| {
        project.write("files/new.yaml", new);
        let file = project.file("files/new.yaml");
        let sample = sample();
        bailiwick(["workflow", "diff", &sample, file.to_str().unwrap(), "--project", &sample].into_iter().chain(more.iter().copied()))
    };
    let same = diff(&format!("# another comment\n{old}"), &[]);
    assert_eq!((same.code, same.stdout.lines().last()), (0, Some("nothing changed")), "{same:?}");
    let looser = old.replace("weight-grams: { max: 31500 }", "weight-grams: any").replace("    after: [record]\n", "");
    let wider = diff(&looser, &["--json"]);
    assert_eq!(wider.code, 7, "{wider:?}");
    assert_eq!(
        changes(&document(&wider)),
        [
            "wider step mail, waits for record: until it ends, and not if it failed -> –",
            "wider step parcel, may shipping/parcels.create-label, `weight-grams`: max 31500 -> any",
            "noted answer of record, opens: final notify/messages.send in mail -> –",
        ]
    );
    let further = old.replace(
        "    when: \"identity.verified\"\n    after: [record]",
        "    when: \"identity.verified || record.ticket != null\"\n    after: [record]",
    );
    let changed = diff(&further, &[]);
    assert_eq!(changed.code, 7, "an expression is not looked into: {changed:?}");
    let stricter = old.replace("when: \"identity.verified\"\n    after", "when: \"identity.verified && record.ticket != null\"\n    after");
    assert_eq!(diff(&stricter, &[]).code, 0);
    fits(&changed);
    insta::assert_snapshot!("diff-workflows", body(&changed));
}

#[test]
fn what_cannot_be_loaded_is_bad_input() {
    built();
    let project = Project::new("");
    project.write("files/new.yaml", "workflow: x\n");
    let file = project.file("files/new.yaml");
    let output = bailiwick(["workflow", "diff", &sample(), file.to_str().unwrap(), "--project", &sample()]);
    assert_eq!(output.code, 4, "{output:?}");
    for command in [&["reach", "no/such/folder"][..], &["agents", "diff", "a.wasm", "b.wasm"]] {
        assert_eq!(bailiwick(command).code, 4, "{command:?}");
    }
}
