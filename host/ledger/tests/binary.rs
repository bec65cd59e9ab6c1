//! `bailiwick-verify` as it is called: exit codes and what it says.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

#[expect(dead_code, reason = "shared by several test files, each of which uses some of it")]
mod common;

use std::path::Path;
use std::process::{Command, Output};

use bailiwick_ledger::Reader;

use common::fill;

fn run(args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_bailiwick-verify")).args(args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[test]
fn a_bundle_is_verified_with_key_and_anchor_and_each_end_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fill(Path::new(&path("state")), 50);
    let reader = Reader::open(Path::new(&path("state"))).unwrap();
    let key = reader.signing_keys().unwrap()[0].1.to_string();
    reader.export(Path::new(&path("bundle")), false).unwrap();
    std::fs::write(path("anchor"), format!("{}\n", reader.checkpoint_at(240).unwrap().unwrap())).unwrap();
    std::fs::write(path("key"), format!("{key}\n")).unwrap();
    std::fs::remove_dir_all(path("state")).unwrap();

    for key in [&key, &path("key")] {
        let (code, text) = run(&[&path("bundle"), "--key", key, "--anchor", &path("anchor")]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("anchored up to record 239 of 240") && text.contains("60 records after that are not"), "{text}");
    }
    let (code, text) = run(&[&path("bundle"), "--key", &key, "--json"]);
    assert_eq!(code, 0);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json["intact"].as_bool(), json["report"]["not-anchored"].as_u64()), (Some(true), Some(300)));

    // Bad input, each with what to do about it.
    let other = key.replace("bailiwick/", "bailiwick/x");
    for (args, says) in [
        (vec![path("bundle")], "--key"),
        (vec![path("bundle"), "--key".to_owned(), other], "its id is not that of name and key"),
        (vec![path("nowhere"), "--key".to_owned(), key.clone()], "is not a bundle"),
        (
            vec![path("bundle"), "--key".to_owned(), key.clone(), "--anchor".to_owned(), path("key")],
            "has no checkpoints that could be read",
        ),
        (vec![path("bundle"), "--key".to_owned(), key.clone(), "--anchor".to_owned(), path("no")], "cannot read the anchor file"),
    ] {
        let (code, text) = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, 4, "{text}");
        assert!(text.contains(says), "{text}");
    }
    let (code, text) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(text.contains("Exit codes:") && text.contains("Example:"), "{text}");

    let entries = folder.path().join("bundle/tile/entries/000");
    let mut bytes = std::fs::read(&entries).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&entries, bytes).unwrap();
    let (code, text) = run(&[&path("bundle"), "--key", &key]);
    assert_eq!(code, 3);
    assert!(text.contains("first bad record "), "{text}");
}
