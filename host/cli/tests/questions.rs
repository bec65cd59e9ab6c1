//! Questions about history, asked of real runs: who, why, and which grants would have sufficed.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Output, Project, bailiwick, workspace};

const ONE_STEP: &str = r#"
workflow: look
version: "1.0.0"
input: { schema: { type: object, additionalProperties: false, required: [customer], properties: { customer: { type: string } } } }
subject: "${ input.customer }"
steps:
  identity:
    agent: identity-verifier
    with: { customer: WITH, evidence: { name: "Marta Lindqvist", postal-code: "20457", birth-date: "1986-04-17" } }
    may: MAY
  again:
    when: "!identity.verified"
    agent: identity-verifier
    with: { customer: "${ subject }", evidence: { name: "x", postal-code: "y", birth-date: "1986-04-17" } }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
output:
  verified: "${ identity.verified }"
"#;

const OWN: &str = "[{ call: crm/customers.get, where: { id: \"${ subject }\" } }]";

fn one_step(with: &str, may: &str) -> Project {
    Project::with_agent(&ONE_STEP.replace("WITH", with).replace("MAY", may))
}

fn ask(project: &Project, words: &[&str]) -> Output {
    bailiwick(words.iter().copied().chain(["--project", project.path()]))
}

fn json_of(project: &Project, words: &[&str]) -> Value {
    let output = ask(project, &[words, &["--json"]].concat());
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

/// Replaces what differs from run to run: ids, digests, moments.
fn redacted(project: &Project, text: &str) -> String {
    let text = text.replace(project.path(), "[project]");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-:.".contains(*c)).collect();
        if word.is_empty() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        rest = &rest[word.len()..];
        let is_hex = |text: &str, length: usize| text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit());
        let is_time =
            |text: &str| text.len() >= 12 && text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || "-:.TZ".contains(c));
        if word.strip_prefix("run-").is_some_and(|id| is_hex(id, 32)) {
            out.push_str("[run]");
        } else if is_hex(word.trim_start_matches("sha256:"), 12) || is_hex(word.trim_start_matches("sha256:"), 64) {
            out.push_str("[digest]");
        } else if word.strip_prefix("ref-").is_some_and(|id| is_hex(id, 12)) {
            out.push_str("[reference]");
        } else if is_time(&word) {
            out.push_str("[time]");
        } else {
            out.push_str(&word);
        }
    }
    out
}

#[test]
fn who_names_every_call_and_no_value() {
    let project = one_step("\"${ subject }\"", OWN);
    assert_eq!(bailiwick(["run", project.path(), "--as", "local:anna"]).code, 0);
    let output = ask(&project, &["who", "--subject", "C-1042"]);
    assert_eq!(output.code, 0, "{output:?}");
    insta::assert_snapshot!("who", redacted(&project, &output.stdout));
    let document = json_of(&project, &["who", "--subject", "C-1042"]);
    let call = &document["calls"][0];
    assert_eq!(
        (&document["exit"], &call["operation"], &call["outcome"]),
        (&json!("done"), &json!("bailiwick:crm/customers@0.1.0.get"), &json!("ok"))
    );
    assert_eq!(
        (&call["agent"], &call["workflow"], &call["passed"]["names"]),
        (&json!("identity-verifier"), &json!("look"), &json!(["id"]))
    );
    assert!(call["component"].as_str().unwrap().starts_with("sha256:") && call["run"].as_str().unwrap().starts_with("run-"));
    for value in ["Marta", "Lindqvist", "20457", "1986"] {
        assert!(!output.stdout.contains(value) && !document["calls"].to_string().contains(value), "{value}");
    }
    // Another subject, another tenant, another time.
    for words in [&["--subject", "C-7"][..], &["--subject", "C-1042", "--tenant", "other"], &["--subject", "C-1042", "--to", "2020-01-01"]]
    {
        assert_eq!(json_of(&project, &[&["who"], words].concat())["calls"], json!([]), "{words:?}");
    }
    for words in [&["--from", "yesterday"][..], &["--from", "2026-01-02", "--to", "2026-01-02"]] {
        assert_eq!(ask(&project, &[&["who", "--subject", "C-1042"], words].concat()).code, 4, "{words:?}");
    }
}

#[test]
fn a_call_about_somebody_else_is_told_to_both() {
    let project = one_step("\"C-2077\"", OWN);
    assert_eq!(bailiwick(["run", project.path(), "--as", "local:anna"]).code, 3);
    let of = |subject: &str| json_of(&project, &["who", "--subject", subject])["calls"].clone();
    for (subject, relation) in [("C-1042", "about"), ("C-2077", "named-by-other")] {
        let calls = of(subject);
        assert_eq!(calls.as_array().unwrap().len(), 1, "{calls}");
        let call = &calls[0];
        assert_eq!((&call["relation"], &call["outcome"], &call["rule"]), (&json!(relation), &json!("denied"), &json!("grant-conditions")));
    }
    insta::assert_snapshot!("who-named", redacted(&project, &ask(&project, &["who", "--subject", "C-2077"]).stdout));

    let output = ask(&project, &["why", "last", "identity"]);
    assert_eq!(output.code, 0, "{output:?}");
    insta::assert_snapshot!("why-conditions", redacted(&project, &output.stdout));
    let call = &of("C-1042")[0]["seq"];
    let run = of("C-1042")[0]["run"].as_str().unwrap().to_owned();
    let answer = json_of(&project, &["why", &run, "identity", &call.to_string()])["answer"].clone();
    let row = &answer["decisions"][0]["compared"][0];
    assert_eq!(
        row,
        &json!({ "argument": "id", "granted": "\"C-1042\"", "written": "\"${ subject }\"", "called": "\"C-2077\"", "holds": false })
    );
}

#[test]
fn a_missing_grant_is_written_out_and_loads() {
    let project = one_step("\"${ subject }\"", "[]");
    assert_eq!(bailiwick(["run", project.path(), "--as", "local:anna"]).code, 3);
    let output = ask(&project, &["why", "last", "identity"]);
    insta::assert_snapshot!("why-no-grant", redacted(&project, &output.stdout));
    let answer = json_of(&project, &["why", "last", "identity"])["answer"].clone();
    let add = answer["decisions"][0]["add"].as_str().unwrap().to_owned();
    let entry: String = add.lines().map(|line| format!("      {line}\n")).collect();
    let text = ONE_STEP.replace("WITH", "\"${ subject }\"").replace(" MAY", &format!("\n{}", entry.trim_end()));
    project.write("workflow.yaml", &text);
    assert_eq!(bailiwick(["run", project.path(), "--as", "local:anna"]).code, 0, "{text}");
}

#[test]
fn a_step_that_does_not_run_says_what_its_condition_saw() {
    let project = one_step("\"${ subject }\"", OWN);
    assert_eq!(bailiwick(["run", project.path(), "--as", "local:anna"]).code, 0);
    let output = ask(&project, &["why", "last", "again"]);
    assert_eq!(output.code, 0, "{output:?}");
    insta::assert_snapshot!("why-skipped", redacted(&project, &output.stdout));
    // The file is another one now: what it says is not taken for what it said.
    project.write("workflow.yaml", &project.read("workflow.yaml").replace("!identity.verified", "identity.verified == false"));
    let later = ask(&project, &["why", "last", "again"]).stdout;
    let later = later.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!later.contains("== false") && later.contains("has changed since"), "{later}");
    for (words, help) in [
        (&["why", "last", "agian"][..], "did you mean `again`?"),
        (&["why", "run-0", "again"], "there is no run `run-0`"),
        (&["why", "last", "identity", "99999"], "its calls are"),
        (&["why", "last", "again", "1"], "the step made no call"),
    ] {
        let output = ask(&project, words);
        assert!(output.code == 4 && output.stderr.contains(help), "{output:?}");
    }
}

#[test]
fn a_policy_is_quoted_as_it_was_in_force() {
    let project = one_step("\"${ subject }\"", OWN);
    let default = std::fs::read_to_string(workspace().join("host/policy/src/default.cedar")).unwrap();
    let closed = "\n@id(\"closed-file\")\n@reason(\"the file of this customer is closed\u{202e}\")\nforbid (principal, action in Bailiwick::Action::\"crm\", resource == Bailiwick::Subject::\"C-1042\");\n";
    project.write("policy/all.cedar", &(default + closed));
    assert_eq!(bailiwick(["run", project.path(), "--as", "local:anna"]).code, 3);
    // The text comes from the ledger and not from the file.
    std::fs::remove_file(project.file("policy/all.cedar")).unwrap();
    std::fs::remove_dir(project.file("policy")).unwrap();
    let output = ask(&project, &["why", "last", "identity"]);
    insta::assert_snapshot!("why-policy", redacted(&project, &output.stdout));
    assert!(!output.stdout.contains('\u{202e}'));
}

/// A copy of the sample, whose agents are where they are.
fn sample() -> Project {
    let example = workspace().join("examples/returns");
    let toml = std::fs::read_to_string(example.join("bailiwick.toml")).unwrap();
    let project = Project::new(&toml.replace("../../agents", workspace().join("agents").to_str().unwrap()));
    project.write("workflow.yaml", &std::fs::read_to_string(example.join("workflow.yaml")).unwrap());
    for folder in ["connectors", "inputs", "rules", "schemas"] {
        for entry in std::fs::read_dir(example.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            project.write(&format!("{folder}/{name}"), &std::fs::read_to_string(&path).unwrap());
        }
    }
    project
}

fn run(project: &Project, input: &str) {
    let file = project.file(&format!("inputs/{input}.json"));
    let output = bailiwick([Path::new("run"), project.root(), Path::new("--input"), &file]);
    assert_eq!(output.code, 0, "{output:?}");
}

/// Puts a block in place of the `may` of a step.
fn with_may(workflow: &str, step: &str, may: &str) -> String {
    let (head, rest) = workflow.split_once(&format!("\n  {step}:")).unwrap();
    let (before, after) = rest.split_once("\n    may:").unwrap();
    let is_within = |line: &&str| line.starts_with("     ") || line.is_empty();
    let kept: Vec<&str> = after.lines().skip(1).skip_while(is_within).collect();
    let may: Vec<String> = may.lines().map(|line| format!("    {line}")).collect();
    format!("{head}\n  {step}:{before}\n{}\n{}\n", may.join("\n"), kept.join("\n"))
}

#[test]
fn advised_grants_load_and_suffice() {
    let project = sample();
    run(&project, "accepted");
    run(&project, "other-customer");
    let mut workflow = project.read("workflow.yaml");
    for (agent, step) in [
        ("identity-verifier", "identity"),
        ("returns-policy", "eligibility"),
        ("return-label", "parcel"),
        ("case-recorder", "record"),
        ("customer-mail", "mail"),
    ] {
        let advice = json_of(&project, &["advise", "grants", agent]);
        assert_eq!(advice["steps"].as_array().unwrap().len(), 1, "{advice}");
        assert_eq!(
            (&advice["steps"][0]["step"], &advice["steps"][0]["unused"], &advice["steps"][0]["notes"]),
            (&json!(step), &json!([]), &json!([]))
        );
        workflow = with_may(&workflow, step, advice["steps"][0]["may"].as_str().unwrap());
    }
    assert!(!workflow.contains("O-20417") && !workflow.contains("C-1042"), "conditions are expressions: {workflow}");
    insta::assert_snapshot!("advised", workflow.split_once("steps:").unwrap().1);
    project.write("workflow.yaml", &workflow);
    let checked = bailiwick(["check", project.path()]);
    assert_eq!(checked.code, 0, "{checked:?}\n{workflow}");
    run(&project, "accepted");
}

#[test]
fn what_nobody_used_is_named_and_can_fail_a_build() {
    let project = sample();
    run(&project, "other-customer");
    let output = ask(&project, &["advise", "grants", "returns-policy", "--check"]);
    assert_eq!(output.code, 3, "{output:?}");
    insta::assert_snapshot!("advise-unused", output.stdout);
    assert_eq!(ask(&project, &["advise", "grants", "returns-policy"]).code, 0);
    assert_eq!(ask(&project, &["advise", "grants", "identity-verifier", "--check"]).code, 0);
    let output = ask(&project, &["advise", "grants", "identity-verifer"]);
    assert!(output.code == 4 && output.stderr.contains("did you mean `identity-verifier`?"), "{output:?}");
    // Without the project the run's own data say how its conditions were bound.
    let state = project.file(".bailiwick");
    let words = ["advise", "grants", "returns-policy", "--json", "--project", "no/such", "--state", state.to_str().unwrap()];
    let alone: Value = serde_json::from_str(&bailiwick(words).stdout).unwrap();
    let may = alone["steps"][0]["may"].as_str().unwrap();
    assert!(may.contains("id: \"${ input.order }\"") && may.contains("owner: \"${ subject }\""), "{may}");
}
