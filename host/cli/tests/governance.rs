//! Policies, freezes, requesters and administrative acts, as the people at the command line meet them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

mod support;

use std::process::Command;

use serde_json::Value;
use support::mailing::Mailing;
use support::{Output, Project, bailiwick, output_of};

/// A project whose agent is never built: enough to govern.
fn project(development: bool) -> Project {
    let project = Project::new(&format!(
        "[project]\nname = \"one\"\ntenant = \"nordwind\"\ndevelopment = {development}\n[agents]\na = {{ source = \"a\" }}\n"
    ));
    project.write("workflow.yaml", "workflow: w\n");
    project.write("a/Cargo.toml", "[package]\nname = \"a\"\n");
    project
}

fn place<'a>(project: &'a Project, words: &[&'a str]) -> Vec<&'a str> {
    words.iter().copied().chain(["--project", project.path()]).collect()
}

fn run(project: &Project, words: &[&str]) -> Output {
    bailiwick(place(project, words))
}

fn json(project: &Project, words: &[&str]) -> Value {
    let output = bailiwick(place(project, words).into_iter().chain(["--json"]));
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Gives the same command as somebody who holds a token.
fn with_token(project: &Project, token: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    output_of(command.args(place(project, words)).env("BAILIWICK_TOKEN", token))
}

/// Everything of a kind that the ledger holds.
fn records(project: &Project, kind: &str) -> Vec<Value> {
    let reader = rusqlite::Connection::open(project.file(".bailiwick/ledger.sqlite")).unwrap();
    let mut statement = reader.prepare("SELECT envelope FROM records WHERE kind = ?1 ORDER BY seq").unwrap();
    let rows = statement.query_map([kind], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.map(|row| serde_json::from_slice(&row.unwrap()).unwrap()).collect()
}

fn default_policy() -> String {
    bailiwick(["policy", "default"]).stdout
}

const FOUR_EYES: &str = r#"
@id("officers-install-in-pairs")
@four_eyes("true")
permit (principal is Bailiwick::Requester, action == Bailiwick::Action::"policy.install", resource)
when { principal.hasTag("role") && principal.getTag("role") == "officer" };
"#;

#[test]
fn what_is_wrong_with_policies_is_named_and_those_in_force_stay() {
    let project = project(true);
    project.write("policy/main.cedar", &default_policy());
    let output = bailiwick(["policy", "check", project.path()]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("policies in 1 file: nothing is wrong with them (version "), "{}", output.stdout);
    assert_eq!(json(&project, &["policy", "install"])["changed"], false, "a first start brings them into force");
    let before = json(&project, &["policy", "show"])["version"].clone();
    project.write(
        "policy/main.cedar",
        &(default_policy() + "permit (principal, action == Bailiwick::Action::\"crm/customers.gett@0.1.0\", resource);\n"),
    );
    for words in [&["policy", "check", project.path()][..], &["policy", "install", "--project", project.path()]] {
        let output = bailiwick(words);
        assert_eq!(output.code, 4, "{output:?}");
        assert!(output.stderr.contains("main.cedar:") && output.stderr.contains("customers.gett"), "{}", output.stderr);
    }
    assert_eq!(json(&project, &["policy", "show"])["version"], before);
}

#[test]
fn a_changed_policy_file_of_a_project_that_runs_changes_nothing_by_itself() {
    let project = project(false);
    project.write("policy/main.cedar", &default_policy());
    json(&project, &["policy", "install"]);
    let before = json(&project, &["policy", "show"])["version"].clone();
    project.write(
        "policy/main.cedar",
        &(default_policy()
            + "\n@id(\"nobody\") forbid (principal is Bailiwick::Requester, action == Bailiwick::Action::\"freeze\", resource);\n"),
    );
    let output = run(&project, &["requesters", "add", "channel:web-shop"]);
    assert!(output.code == 0 && output.stderr.contains("are not those in force"), "{output:?}");
    assert_eq!(run(&project, &["freeze", "stop", "host", "--reason", "a test"]).code, 0, "the new rule is not in force");
    let installed = json(&project, &["policy", "install"]);
    assert_eq!((&installed["changed"], &installed["before"]), (&Value::from(true), &before));
    let output = run(&project, &["freeze", "stop", "tenant", "nordwind", "--reason", "a test"]);
    assert!(output.code == 3 && output.stderr.contains("may not do this (`freeze`)"), "{output:?}");
    let refused = records(&project, "administered").pop().unwrap();
    assert_eq!((&refused["event"], &refused["decision"], &refused["rule"]), (&"freeze".into(), &"forbid".into(), &"nobody".into()));
    let shown = run(&project, &["ledger", "show", "--kind", "administered"]);
    assert!(shown.stdout.contains("policy.install") && shown.stdout.contains("nobody"), "{}", shown.stdout);
    let number = refused["seq"].to_string();
    let shown = json(&project, &["ledger", "show", "--record", &number]);
    assert_eq!(shown["record"]["payload"]["act"]["act"]["freeze"]["tenant"], "nordwind", "{shown}");
    assert!(run(&project, &["ledger", "show", "--kind", "administred"]).stderr.contains("did you mean `administered`?"));
    let frozen = json(&project, &["freeze", "list"]);
    assert_eq!(frozen["freezes"].as_array().unwrap().len(), 1, "{frozen}");
}

#[test]
fn policies_that_are_changed_by_hand_are_put_back() {
    let project = project(false);
    json(&project, &["policy", "install"]);
    let good = project.read(".bailiwick/policies.json");
    let evil = good.replace("@id(\\\"step-gives\\\")", "@id(\\\"evil\\\") permit (principal, action, resource); @id(\\\"step-gives\\\")");
    assert_ne!(good, evil);
    for (number, changed) in [Some(evil), None].into_iter().enumerate() {
        match changed {
            Some(text) => project.write(".bailiwick/policies.json", &text),
            None => std::fs::remove_file(project.file(".bailiwick/policies.json")).unwrap(),
        }
        let output = run(&project, &["requesters", "add", "channel:web-shop"]);
        assert!(output.code == 0 && output.stderr.contains("was changed by other means"), "{output:?}");
        assert_eq!(project.read(".bailiwick/policies.json"), good);
        let events = records(&project, "security-event");
        assert_eq!((events.len(), &events[number]["reason"]), (number + 1, &"policies-changed-outside".into()));
    }
}

#[test]
fn cases_are_asked_and_a_wrong_answer_fails_the_command() {
    let project = project(true);
    project.write(
        "policy/cases.toml",
        r#"
[[case]]
name = "a customer opens no run about somebody else"
expect = "forbid"
rules = ["customer-about-himself"]
[case.open]
requester = { id = "customer:7", tenant = "shop", attributes = { kind = "customer", subject = "C-7" } }
subject = "C-1042"

[[case]]
name = "a channel freezes the host"
expect = "permit"
[case.act]
requester = { id = "channel:web-shop", tenant = "shop" }
to = { freeze = "host" }
"#,
    );
    project.write("policy/main.cedar", &default_policy());
    let output = bailiwick(["policy", "test", project.path()]);
    assert_eq!(output.code, 3, "{output:?}");
    let shown = output.stdout.replace(project.path(), "[project]");
    insta::assert_snapshot!("policy_test", shown);
    project.write("policy/cases.toml", "[[case]]\nname = \"x\"\nexpect = \"maybe\"\n");
    let output = bailiwick(["policy", "test", project.path()]);
    assert!(output.code == 4 && output.stderr.contains("cases.toml"), "{output:?}");
    std::fs::remove_file(project.file("policy/cases.toml")).unwrap();
    assert!(bailiwick(["policy", "test", project.path()]).stderr.contains("there are no cases"));
}

#[test]
fn a_second_person_agrees_to_exactly_what_was_proposed() {
    let project = project(false);
    let beginning = default_policy().replace("Bailiwick::Action::\"policy.install\", ", "")
        + FOUR_EYES
        + "permit (principal is Bailiwick::Requester, action == Bailiwick::Action::\"requesters.add\", resource) when { principal.hasTag(\"role\") };";
    project.write("policy/main.cedar", &beginning);
    let officer = |name: &str| {
        let added = json(&project, &["requesters", "add", name, "--attribute", "role=officer"]);
        added["token"].as_str().unwrap().to_owned()
    };
    let (anna, bert) = (officer("person:anna"), officer("person:bert"));
    assert_eq!(run(&project, &["policy", "install"]).code, 0, "these are in force already");
    project.write("policy/main.cedar", &(beginning.clone() + "// changed\n"));
    assert_eq!(run(&project, &["policy", "install"]).code, 3, "whoever sits at the host may not");
    for _ in 0..2 {
        let output = with_token(&project, &anna, &["policy", "install"]);
        assert!(output.code == 2 && output.stderr.contains("only together with a second person"), "{output:?}");
    }
    let waiting = json(&project, &["policy", "waiting"]);
    assert_eq!((waiting["waiting"].as_array().unwrap().len(), &waiting["waiting"][0]["first"]["id"]), (1, &"person:anna".into()));
    // Whom the first one let in is no second person.
    let carl = {
        let output = with_token(&project, &anna, &["requesters", "add", "person:carl", "--attribute", "role=officer"]);
        assert_eq!(output.code, 0, "{output:?}");
        output.stdout.trim().to_owned()
    };
    assert_eq!(with_token(&project, &carl, &["policy", "install"]).code, 2);
    // Other texts are another act.
    project.write("policy/main.cedar", &(beginning.clone() + "// changed again\n"));
    assert_eq!(with_token(&project, &bert, &["policy", "install"]).code, 2);
    project.write("policy/main.cedar", &(beginning + "// changed\n"));
    let output = with_token(&project, &bert, &["policy", "install"]);
    assert!(output.code == 0 && output.stdout.contains("is in force"), "{output:?}");
    let done = records(&project, "administered").into_iter().rfind(|record| record["event"] == "policy.install").unwrap();
    assert_eq!(
        (&done["requester"], &done["reason"], &done["rule"]),
        (&"person:bert".into(), &"second-agreed".into(), &"officers-install-in-pairs".into())
    );
}

#[test]
fn tokens_are_given_out_once_and_kept_nowhere() {
    let project = project(false);
    let output = run(&project, &["requesters", "add", "channel:web-shop", "--attribute", "kind=service-channel", "--days", "30"]);
    assert_eq!(output.code, 0, "{output:?}");
    let token = output.stdout.trim().to_owned();
    assert!(token.starts_with("bailiwick_") && !output.stderr.contains(&token), "{output:?}");
    let listed = run(&project, &["requesters", "list"]);
    assert!(listed.stdout.contains("channel:web-shop") && listed.stdout.contains("kind=service-channel"), "{}", listed.stdout);
    for entry in std::fs::read_dir(project.file(".bailiwick")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
    // A channel does not administer; a token that is none is not tried as an account.
    assert_eq!(with_token(&project, &token, &["freeze", "stop", "host", "--reason", "x"]).code, 3);
    assert_eq!(with_token(&project, "bailiwick_0000", &["freeze", "stop", "host", "--reason", "x"]).code, 4);
    assert_eq!(run(&project, &["requesters", "remove", "channel:web-shop"]).code, 0);
    assert_eq!(with_token(&project, &token, &["freeze", "stop", "host", "--reason", "x"]).code, 4);
    let acts: Vec<Value> = records(&project, "administered").into_iter().map(|record| record["event"].clone()).collect();
    assert_eq!(acts, ["requesters.add", "freeze", "requesters.remove"]);
}

#[test]
fn a_name_that_nothing_shows_is_not_believed() {
    let project = project(false);
    let output = run(&project, &["freeze", "stop", "host", "--reason", "x", "--as", "local:somebody-else"]);
    assert!(output.code == 4 && output.stderr.contains("nothing shows that `local:somebody-else` asks"), "{output:?}");
    project.write("bailiwick.toml", &(project.read("bailiwick.toml") + "[requester]\nid = \"channel:web-shop\"\n"));
    let output = run(&project, &["freeze", "list"]);
    assert!(output.code == 4 && output.stderr.contains("a project cannot name its requester"), "{output:?}");
}

#[test]
fn what_cannot_be_frozen_is_named() {
    let project = project(false);
    for (words, said) in [
        (&["freeze", "stop", "capability", "crm/customer", "--reason", "x"][..], "did you mean"),
        (&["freeze", "stop", "agent", "--reason", "x"], "the name is missing"),
        (&["freeze", "stop", "agent", "aa", "--reason", "x"], "the project knows no agent `aa`"),
        (&["freeze", "stop", "tenant", "nordwnd", "--reason", "x"], "did you mean `nordwind`?"),
        (&["freeze", "lift", "agent", "customer-mail"], "is not frozen"),
    ] {
        let output = run(&project, words);
        assert!(output.code == 4 && output.stderr.contains(said), "{output:?}");
    }
    // What is frozen cannot be read, so it is not known that nothing is.
    run(&project, &["freeze", "stop", "host", "--reason", "x"]);
    project.write(".bailiwick/freezes.json", "[");
    let output = run(&project, &["freeze", "lift", "host"]);
    assert!(output.code == 4 && output.stderr.contains("freezes.json` is damaged"), "{output:?}");
}

const WORKFLOW: &str = r#"workflow: one
version: "1.0.0"
input: { schema: { type: object, required: [customer], additionalProperties: false, properties: { customer: { type: string } } } }
subject: "${ input.customer }"
steps:
  mail:
    agent: customer-mail
    with: { customer: "${ subject }", order: O-20417, decision: accepted, reason: eligible }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
      - call: notify/messages.send
        where: { customer: "${ subject }", channel: email, subject: any, body: any }
output: { message: "${ mail.message }" }
"#;

#[test]
fn a_freeze_reaches_a_run_that_is_going_on_and_the_ones_after_it() {
    let mailing = Mailing::new(WORKFLOW);
    let mut command = mailing.run();
    command.arg("--json");
    let running = mailing.start(command);
    let project = &mailing.project;
    let frozen = json(project, &["freeze", "stop", "agent", "customer-mail", "--reason", "it writes to the wrong people"]);
    assert_eq!(frozen["exit"], "done", "{frozen}");
    // The mail server ends the conversation: what comes back is not delivered any more.
    running.connection.shutdown(std::net::Shutdown::Both).unwrap();
    let (code, document, lines) = running.end();
    assert_eq!((code, &document["exit"]), (3, &Value::from("failed")), "{lines:?}");
    let events = records(project, "security-event");
    assert!(events.iter().any(|event| event["reason"] == "withdrawn-in-flight"), "{events:?}");
    // Over a restart, before any call: no grant is issued.
    let output = bailiwick(["run", project.path(), "--json"]);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(output.code, 3, "{document}");
    let denied = records(project, "grant-denied");
    assert!(!denied.is_empty() && denied.iter().all(|record| record["rule"] == "freeze"), "{denied:?}");
    assert_eq!(run(project, &["freeze", "lift", "agent", "customer-mail"]).code, 0);
    mailing.without_server();
    let output = bailiwick(["run", project.path()]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(json(project, &["ledger", "verify"])["intact"], true);
    assert!(!project.file(".bailiwick/control.sock").exists(), "nobody listens any more");
}

#[test]
fn a_requester_who_may_not_have_a_run_gets_none_and_that_is_on_record() {
    let mailing = Mailing::new(WORKFLOW);
    let project = &mailing.project;
    let output = bailiwick(["run", project.path(), "--as", "customer:7"]);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("`customer:7` may not have this run"), "{output:?}");
    let denied = records(project, "run-denied");
    assert_eq!((denied.len(), &denied[0]["requester"], &denied[0]["decision"]), (1, &"customer:7".into(), &"forbid".into()));
    assert_eq!(records(project, "task-started").len(), 0);
}
