//! Projects with one real agent: what wrong workflows and inputs get, and who may use a state folder.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test stops at its first surprise")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bailiwick_ledger::{Ledger, LedgerOptions};
use serde_json::Value;
use support::{Output, Project, bailiwick};

/// A workflow that runs: `STEP` and `MORE` are where mistakes are put.
const GOOD: &str = r#"workflow: one
version: "1.0.0"
input:
  schema:
    type: object
    required: [customer]
    additionalProperties: false
    properties: { customer: { type: string, pattern: "^C-[0-9]+$" }, list: { type: array, maxItems: 1000, items: { type: integer } } }
subject: "${ input.customer }"
steps:
  identity:
    agent: identity-verifier
    with: { customer: "${ subject }", evidence: { name: Marta Lindqvist, postal-code: "20457" } }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
output: { verified: "${ identity.verified }" }
"#;

fn run(project: &Project) -> Output {
    bailiwick(["run", project.path(), "--json"])
}

fn document(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Every message and help of a refused run, in one text, and the place of the first.
fn refused(workflow: &str) -> (String, Option<u64>) {
    let project = Project::with_agent(workflow);
    let output = run(&project);
    assert_eq!(output.code, 4, "{output:?}");
    let document = document(&output);
    assert_eq!(document["exit"], "bad-input");
    let problems = document["problems"].as_array().unwrap();
    let text = problems.iter().map(|problem| format!("{} {}\n", problem["message"], problem["help"])).collect();
    (text, problems[0]["line"].as_u64())
}

#[test]
fn a_small_project_runs_and_its_ledger_verifies() {
    let project = Project::with_agent(GOOD);
    let output = run(&project);
    assert_eq!(output.code, 0, "{output:?}");
    let result = document(&output);
    assert_eq!(result["result"], serde_json::json!({ "verified": true }));
    assert_eq!(result["account"]["steps"][0]["status"], "answered");
    let verified = bailiwick(["ledger", "verify", "--project", project.path(), "--json"]);
    assert_eq!((verified.code, document(&verified)["intact"].as_bool()), (0, Some(true)));
    let shown = bailiwick(["ledger", "show", "--project", project.path(), "--run", result["run"].as_str().unwrap()]);
    assert!(shown.stdout.contains("run: run-finished"), "{}", shown.stdout);
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 100), "{}", shown.stdout);
    let checked = bailiwick(["check", project.path()]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let quiet = bailiwick(["run", project.path(), "--quiet"]);
    assert_eq!(quiet.stdout, "result\nverified  yes\n");
    assert_eq!(quiet.stderr, "");
}

#[test]
fn unquoted_expressions_are_to_be_quoted() {
    let (text, line) = refused(&GOOD.replace("customer: \"${ subject }\", evidence", "customer: ${ subject }, evidence"));
    assert!(text.contains("quote this"), "{text}");
    assert!(line.is_some());
}

#[test]
fn unknown_agents_are_answered_with_the_nearest() {
    let (text, line) = refused(&GOOD.replace("agent: identity-verifier", "agent: identity-verfier"));
    assert!(text.contains("identity-verfier") && text.contains("did you mean `identity-verifier`?"), "{text}");
    assert_eq!(line, Some(12));
}

#[test]
fn expressions_without_an_order_or_a_type_are_refused() {
    let (text, _) = refused(&GOOD.replace("    agent: identity", "    when: \"identity.verified\"\n    agent: identity"));
    assert!(text.contains("step `identity` mentions itself"), "{text}");
    let second = "  again:\n    after: [identity]\n    agent: identity-verifier\n    with: { customer: a, evidence: { name: b, postal-code: c } }\noutput:";
    let (text, _) = refused(&GOOD.replace("output:", second).replace(
        "    agent: identity-verifier\n    with: { customer: \"$",
        "    after: [again]\n    agent: identity-verifier\n    with: { customer: \"$",
    ));
    assert!(text.contains("these steps wait for each other: `again` needs `identity` needs `again`"), "{text}");
    let (text, _) = refused(&GOOD.replace("\"${ identity.verified }\"", "\"${ identity.verified + 1 }\""));
    assert!(text.contains("bool"), "{text}");
}

/// The good workflow with another result, which goes through a list several times over.
fn costly(depth: usize) -> String {
    let sum: Vec<String> = (0..depth).map(|level| format!("x{level}")).collect();
    let inner = format!("{} >= 0", sum.join(" + "));
    let nested = (0..depth).rev().fold(inner, |inner, level| format!("input.list.all(x{level}, {inner})"));
    let whole = format!("\"${{ {nested} }}\"");
    GOOD.replace("\"${ identity.verified }\"", &whole).replace("[customer]", "[customer, list]")
}

#[test]
fn expressions_that_cost_too_much_are_refused_or_stopped() {
    let (text, line) = refused(&costly(4));
    assert!(text.contains("more than 3 deep"), "{text}");
    assert_eq!(line, Some(17));
    let project = Project::with_agent(&costly(3));
    let list: Vec<u32> = (0..1_000).collect();
    project.write("in.json", &serde_json::json!({ "customer": "C-1042", "list": list }).to_string());
    let output = run(&project);
    assert_eq!(output.code, 3, "{output:?}");
    let document = document(&output);
    assert_eq!(document["account"]["outcome"]["class"], "expression");
    assert_eq!(document["result"], Value::Null);
}

#[test]
fn operations_that_nobody_serves_are_found_before_anything_runs() {
    let project = Project::with_agent(GOOD);
    std::fs::remove_file(project.file("connectors/shop.toml")).unwrap();
    let output = bailiwick(["check", project.path()]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("operation `crm/customers.get` is granted, and no connector serves it"), "{}", output.stderr);
}

#[test]
fn wrong_connector_files_have_a_place() {
    let project = Project::with_agent(GOOD);
    let shop = project.read("connectors/shop.toml").replace("database = ", "databse = ");
    project.write("connectors/shop.toml", &shop);
    let output = run(&project);
    assert_eq!(output.code, 4);
    let problem = &document(&output)["problems"][0];
    assert!(problem["help"].as_str().unwrap().contains("`database`"), "{problem}");
    assert!(problem["line"].as_u64().is_some() && problem["file"].as_str().unwrap().ends_with("connectors/shop.toml"), "{problem}");
}

#[test]
fn an_input_that_breaks_its_schema_names_the_field() {
    let project = Project::with_agent(GOOD);
    for (input, field) in
        [("{ \"customer\": \"1042\" }", "field `customer`"), ("{}", "customer"), ("{ \"customer\": \"C-1\", \"x\": 1 }", "'x'")]
    {
        project.write("in.json", input);
        for command in ["run", "check"] {
            let output = bailiwick([command, project.path()]);
            assert_eq!(output.code, 4, "{output:?}");
            assert!(output.stderr.contains(field) && output.stderr.contains("in.json"), "{}", output.stderr);
        }
    }
}

#[test]
fn a_second_executor_is_turned_away() {
    let project = Project::with_agent(GOOD);
    let ledger = Ledger::open(&project.file(".bailiwick"), LedgerOptions::default()).unwrap();
    let output = run(&project);
    assert_eq!(output.code, 4);
    let message = document(&output)["problems"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is in use by process") && message.contains("--state"), "{message}");
    drop(ledger);
    assert_eq!(run(&project).code, 0);
}

#[test]
fn a_state_folder_that_others_may_write_in_is_not_used_and_one_that_anybody_may_read_is_warned_of() {
    let project = Project::with_agent(GOOD);
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(project.root(), 0o755);
    let state = project.file("state");
    std::fs::create_dir(&state).unwrap();
    let of = |command| bailiwick([command, project.path(), "--json", "--state", state.to_str().unwrap()]);
    set(&state, 0o775);
    for command in ["check", "run"] {
        let output = of(command);
        assert_eq!(output.code, 4, "{output:?}");
        let message = document(&output)["problems"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("others may write in state folder") && message.contains("(mode 0775)"), "{message}");
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
    }
    for (mode, is_warned) in [(0o755, true), (0o750, false)] {
        set(&state, mode);
        let output = of("run");
        assert_eq!((output.code, output.stderr.contains("anybody on this machine may look")), (0, is_warned), "{output:?}");
        assert_eq!(document(&output)["result"]["verified"], true);
    }
    // One that is made is its owner's.
    let made = project.file("made");
    assert_eq!(bailiwick(["run", project.path(), "--json", "--state", made.to_str().unwrap()]).code, 0);
    assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_state_folder_of_a_newer_version_is_left_alone() {
    let project = Project::with_agent(GOOD);
    assert_eq!(run(&project).code, 0);
    let path = project.file(".bailiwick/ledger.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    database.execute_batch(&format!("PRAGMA user_version = {}", version + 1)).unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    for command in ["run", "check"] {
        let output = bailiwick([command, project.path()]);
        assert_eq!(output.code, 4, "{output:?}");
        assert!(output.stderr.contains("use the newer program"), "{}", output.stderr);
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn an_agent_is_tried_with_the_grants_of_the_command_line() {
    let project = Project::with_agent(GOOD);
    project
        .write("claim.json", "{ \"customer\": \"C-1042\", \"evidence\": { \"name\": \"Marta Lindqvist\", \"postal-code\": \"20457\" } }");
    let claim = project.file("claim.json");
    let try_with = |may: &str| {
        bailiwick(["try", "identity-verifier", "--project", project.path(), "--json", "--input", claim.to_str().unwrap(), "--may", may])
    };
    let answered = try_with("crm/customers.get where id=C-1042");
    assert_eq!(answered.code, 0, "{answered:?}");
    assert_eq!(document(&answered)["report"]["outcome"]["answered"]["output"]["verified"], true);
    let denied = try_with("crm/customers.get where id=C-2001");
    assert_eq!(denied.code, 3, "{denied:?}");
    assert_eq!(document(&denied)["report"]["calls"][0]["result"], "denied");
    let wrong = try_with("crm/customer.get where id=C-1042");
    assert_eq!(wrong.code, 4);
}

#[test]
fn agents_are_listed_inspected_and_installed() {
    let project = Project::with_agent(GOOD);
    let built = document(&bailiwick(["build", project.path(), "--json"]));
    let component = built["agents"][0]["path"].as_str().unwrap();
    let place = ["--project", project.path(), "--json"];
    let words = |words: &[&str]| bailiwick(words.iter().copied().chain(place));
    assert_eq!(document(&words(&["agents", "list"]))["agents"], serde_json::json!([]));
    assert!(!project.file(".bailiwick").exists());
    let inspected = document(&words(&["agents", "inspect", component]));
    assert_eq!(inspected["agent"]["wants"], serde_json::json!(["crm/customers.get"]));
    assert!(!project.file(".bailiwick").exists());
    let installed = words(&["agents", "install", component]);
    assert_eq!((installed.code, document(&installed)["active"].as_bool()), (0, Some(true)), "{installed:?}");
    assert_eq!(document(&words(&["agents", "list"]))["agents"][0]["active"], true);
    assert_eq!(document(&words(&["agents", "inspect", "identity-verifier"]))["agent"]["name"], "identity-verifier");
    let version = document(&installed)["version"].as_str().unwrap().to_owned();
    assert_eq!(words(&["agents", "activate", &format!("identity-verifier@{version}")]).code, 0);
    let unknown = words(&["agents", "activate", "identity-verifier@99"]);
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert_eq!(words(&["agents", "activate", "identity-verifier"]).code, 4);
}

#[test]
fn a_ledger_is_anchored_exported_verified_offline_and_its_data_erased_or_held() {
    let project = Project::with_agent(GOOD);
    let outside = tempfile::tempdir().unwrap();
    let path = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    let ledger = |words: &[&str]| bailiwick(["ledger"].iter().chain(words).chain(&["--project", project.path(), "--json"]).copied());
    let (anchor, bundle) = (path("anchor"), path("bundle"));
    assert_eq!(bailiwick(["run", project.path(), "--json", "--anchor", &anchor]).code, 0);
    let keys = document(&ledger(&["key", "show"]));
    let key = keys["keys"][0]["key"].as_str().unwrap().to_owned();

    let anchored = ledger(&["anchor", "--to", &anchor]);
    assert_eq!(anchored.code, 0, "{anchored:?}");
    // What takes no checkpoints is refused before anything runs.
    let nowhere = path("not/there/anchor");
    for (place, why) in [(nowhere.as_str(), "its folder"), ("/dev/full", "it is no regular file")] {
        let refused = bailiwick(["run", project.path(), "--json", "--anchor", place]);
        assert!(refused.code == 4 && refused.stderr.contains(why), "{refused:?}");
    }
    let inside = project.file(".bailiwick/anchor");
    let refused = ledger(&["anchor", "--to", inside.to_str().unwrap()]);
    assert_eq!(refused.code, 4);
    assert!(refused.stdout.contains("lies in the state folder"), "{refused:?}");

    let rotated = document(&ledger(&["key", "rotate", "--as", "local:anna"]));
    assert_ne!(rotated["key"].as_str(), Some(key.as_str()));
    let held = ledger(&["hold", "--subject", "C-1042", "--reason", "case 4711"]);
    assert_eq!(held.code, 0, "{held:?}");
    let refused = ledger(&["erase", "--subject", "C-1042"]);
    assert_eq!(refused.code, 4);
    assert!(refused.stdout.contains("release it first"), "{refused:?}");
    assert_eq!(ledger(&["hold", "--release", "--subject", "C-1042", "--reason", "closed"]).code, 0);
    let erased = document(&ledger(&["erase", "--subject", "C-1042", "--as", "local:anna"]));
    assert!(erased["payloads"].as_u64().unwrap() > 2, "{erased}");

    assert_eq!(ledger(&["export", &bundle]).code, 0);
    let verify = |more: &[&str]| bailiwick(["ledger", "verify", "--json"].iter().chain(more).copied());
    let verified = verify(&["--bundle", &bundle, "--key", &key, "--anchor", &anchor]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let report = &document(&verified)["report"];
    assert!(report["anchored"]["records"].as_u64().unwrap() > 5 && report["not-anchored"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["payloads-erased"], erased["payloads"]);
    let state = project.file(".bailiwick");
    assert_eq!(verify(&["--state", state.to_str().unwrap(), "--key", &key, "--anchor", &anchor]).code, 0);
    assert_eq!(verify(&["--bundle", &bundle, "--key", "nonsense"]).code, 4);

    // An older ledger in its place is found by the anchor, and the next start refuses it.
    std::fs::remove_file(project.file(".bailiwick/ledger.sqlite")).unwrap();
    let gone = bailiwick(["run", project.path(), "--json"]);
    assert_eq!(gone.code, 4);
    assert!(gone.stdout.contains("put the ledger back from a backup"), "{gone:?}");
}
