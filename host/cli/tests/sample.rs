//! The sample: each input gives what its README says, the documents that it says, and a ledger that verifies and notices tampering.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use support::{Output, bailiwick, workspace};

/// Where a run leaves its records and documents, and what it printed.
struct Sample {
    state: tempfile::TempDir,
    document: Value,
    output: Output,
}

impl Sample {
    /// Runs the sample with one of its inputs and a state folder of its own.
    fn run(input: &str) -> Self {
        let state = private_folder();
        let example = workspace().join("examples/returns");
        let file = example.join("inputs").join(format!("{input}.json"));
        let words = [Path::new("run"), &example, Path::new("--json"), Path::new("--input"), &file, Path::new("--state"), state.path()];
        let output = bailiwick(words);
        let document = serde_json::from_str(&output.stdout).unwrap_or_default();
        Self { state, document, output }
    }

    /// Gives the files below a folder of the state folder that have an ending.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.state.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|found| found == ending) {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// A state folder that is there already.
fn private_folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// What a fresh run makes anew each time is replaced by its name; that it is there, and what kind it is of, stays.
fn redacted(result: &Value) -> Value {
    let redact = |(key, value): (&String, &Value)| {
        let made = ["tracking", "label", "ticket", "message"].contains(&key.as_str()) && value.is_string();
        (key.clone(), if made { json!(format!("[{key}]")) } else { value.clone() })
    };
    Value::Object(result.as_object().unwrap().iter().map(redact).collect())
}

/// Gives what is the same in every run of the account: who did what, under which grants, with which result.
fn stable(account: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let pick = |value: &Value, keys: &[&str]| -> Value {
        Value::Object(keys.iter().map(|key| ((*key).to_owned(), value[key].clone())).collect::<Map<_, _>>())
    };
    let step = |step: &Value| {
        let mut kept = pick(step, &["step", "status", "reason", "agent", "agent-version", "confidence"]);
        let tasks: Vec<Value> = list(&step["attempts"])
            .iter()
            .map(|attempt| {
                let task = &attempt["task"];
                let calls: Vec<Value> = list(&task["calls"]).iter().map(|call| pick(call, &["operation", "result"])).collect();
                let grants: Vec<Value> = list(&task["grants"]).iter().map(|grant| pick(grant, &["operation", "calls"])).collect();
                json!({ "attempt": attempt["attempt"], "calls": calls, "grants": grants })
            })
            .collect();
        kept["attempts"] = json!(tasks);
        kept
    };
    let documents: Vec<Value> = list(&account["artifacts"]).iter().map(|artifact| pick(artifact, &["step", "kind"])).collect();
    json!({
        "outcome": account["outcome"],
        "steps": list(&account["steps"]).iter().map(step).collect::<Vec<_>>(),
        "documents": documents,
    })
}

/// Runs an input and compares everything that is the same in every run with the golden file.
fn golden(input: &str) -> Sample {
    let sample = Sample::run(input);
    assert_eq!(sample.output.code, 0, "{:?}", sample.output);
    let (result, account) = (redacted(&sample.document["result"]), stable(&sample.document["account"]));
    insta::assert_json_snapshot!(format!("sample-{input}"), json!({ "result": result, "account": account }));
    let verified = bailiwick([Path::new("ledger"), Path::new("verify"), Path::new("--state"), sample.state.path(), Path::new("--json")]);
    assert_eq!(verified.code, 0, "{verified:?}");
    sample
}

/// A refusal: no label, and a mail that says why.
fn refused(input: &str) {
    let sample = golden(input);
    assert_eq!(sample.files("pdf"), Vec::<PathBuf>::new());
    assert_eq!(sample.files("eml").len(), 1, "the mail says why");
    assert_eq!(sample.document["result"]["decision"], "refused");
}

#[test]
fn accepted() {
    let sample = golden("accepted");
    let labels = sample.files("pdf");
    assert_eq!(labels.len(), 1, "{labels:?}");
    assert!(std::fs::read(&labels[0]).unwrap().starts_with(b"%PDF-"));
    let mails = sample.files("eml");
    assert_eq!(mails.len(), 1, "{mails:?}");
    let tracking = sample.document["result"]["tracking"].as_str().unwrap();
    let mail = std::fs::read_to_string(&mails[0]).unwrap();
    assert!(mail.contains("Subject: ") && mail.contains(tracking), "{mail}");
    notices_tampering(sample.state.path());
}

#[test]
fn day_31() {
    refused("day-31");
}

#[test]
fn excluded_category() {
    refused("excluded-category");
}

#[test]
fn an_order_of_somebody_else_and_one_that_is_not_there_look_the_same() {
    let (foreign, unknown) = (golden("other-customer"), golden("unknown-order"));
    assert_eq!(redacted(&foreign.document["result"]), redacted(&unknown.document["result"]));
    let events = |sample: &Sample| {
        let words =
            [Path::new("ledger"), Path::new("show"), Path::new("--last"), Path::new("--state"), sample.state.path(), Path::new("--json")];
        let shown: Value = serde_json::from_str(&bailiwick(words).stdout).unwrap();
        let is_event = |record: &&Value| record["envelope"]["kind"] == "security-event";
        shown["records"].as_array().unwrap().iter().filter(is_event).map(|record| record["envelope"]["reason"].clone()).collect::<Vec<_>>()
    };
    // The reviewer sees what the customer does not.
    assert_eq!(events(&foreign), [json!("foreign-owner")]);
    assert_eq!(events(&unknown), Vec::<Value>::new());
}

#[test]
fn already_refunded() {
    refused("already-refunded");
}

#[test]
fn an_input_that_is_wrong_runs_nothing() {
    let state = tempfile::tempdir().unwrap();
    let input = state.path().join("input.json");
    std::fs::write(&input, "{ \"customer\": 7 }").unwrap();
    let example = workspace().join("examples/returns");
    let kept = state.path().join("state");
    let output = bailiwick([Path::new("run"), &example, Path::new("--json"), Path::new("--input"), &input, Path::new("--state"), &kept]);
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stdout.contains("customer"), "{output:?}");
}

/// The record that is tampered with: in the middle of the run.
const TAMPERED: i64 = 7;

/// Changes a copy of a ledger and asks `ledger verify` which record is the first bad one.
fn notices_tampering(state: &Path) {
    for (what, sql) in [
        (
            "a byte is flipped",
            "UPDATE records SET envelope = CAST(substr(envelope, 1, 40) || x'58' || substr(envelope, 42) AS BLOB) WHERE seq = 7",
        ),
        ("a record is dropped", "DELETE FROM records WHERE seq = 7"),
        (
            "two records are swapped",
            "UPDATE records SET seq = -1 WHERE seq = 7; UPDATE records SET seq = 7 WHERE seq = 8; UPDATE records SET seq = 8 WHERE seq = -1",
        ),
    ] {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(state).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        Connection::open(copy.path().join("ledger.sqlite")).unwrap().execute_batch(sql).unwrap();
        let output = bailiwick([Path::new("ledger"), Path::new("verify"), Path::new("--state"), copy.path(), Path::new("--json")]);
        assert_eq!(output.code, 3, "{what}: {output:?}");
        let document: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(document["intact"], false, "{what}");
        assert_eq!(document["report"]["first-bad"]["seq"], TAMPERED, "{what}: {document}");
    }
}
