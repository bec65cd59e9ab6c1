//! The ledger as proof: signatures, keys that change, anchors, witnesses, and what an offline verifier finds.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first thing that is not as expected")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::Recorder;
use bailiwick_core::ids::{Digest, Seq};
use bailiwick_ledger::{
    Anchors, Flaw, Ledger, LedgerOptions, OpenProblem, Reader, RotateProblem, SignProblem, SignatureState, SignedCheckpoint, Signer,
    TileKind, Trust, VerifierKey, VerifyReport, Witness, WitnessAnswer, WitnessProblem, tile_path, verify, verify_against, verify_bundle,
    verify_consistency, verify_inclusion,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use parking_lot::Mutex;

use common::{block_on, context, event, fill, intent, open, open_patient, outcome};

/// A hundred runs of six records: two full tiles and a partial one.
const RECORDS: u64 = 600;

struct Exported {
    folder: tempfile::TempDir,
    key: VerifierKey,
    anchor: SignedCheckpoint,
}

impl Exported {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fill(&state, 100);
        let reader = Reader::open(&state).unwrap();
        let key = reader.signing_keys().unwrap()[0].1.clone();
        reader.export(&folder.path().join("bundle"), true).unwrap();
        // The last anchor is a little older than the ledger.
        let anchor = reader.checkpoint_at(540).unwrap().unwrap();
        Self { folder, key, anchor }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("bundle").join(name)
    }

    fn trust(&self) -> Trust {
        Trust { keys: vec![self.key.clone()], anchors: vec![self.anchor.clone()], witnesses: Vec::new() }
    }

    fn report(&self) -> VerifyReport {
        verify_bundle(&self.folder.path().join("bundle"), &self.trust()).unwrap()
    }

    fn first_bad(&self) -> (u64, Flaw) {
        let bad = self.report().first_bad.unwrap();
        (bad.seq.0, bad.flaw)
    }

    /// Changes the entries of a tile, and has tile and heads follow, as somebody would who knows everything but the key.
    fn change(&self, tile: u64, change: impl Fn(&mut Vec<Vec<u8>>)) {
        let path = self.file(&tile_path(TileKind::Entries, tile, if tile == 2 { 88 } else { 256 }));
        let bytes = std::fs::read(&path).unwrap();
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while let [a, b, more @ ..] = rest {
            let (entry, after) = more.split_at(usize::from(u16::from_be_bytes([*a, *b])));
            entries.push(entry.to_vec());
            rest = after;
        }
        change(&mut entries);
        let pack = |entry: &Vec<u8>| [u16::try_from(entry.len()).unwrap().to_be_bytes().as_slice(), entry].concat();
        std::fs::write(&path, entries.iter().flat_map(pack).collect::<Vec<_>>()).unwrap();
    }

    /// Takes away what only we have: the rest is what a foreign log would have, and the verifier must do with it.
    fn bare(self) -> Self {
        for name in ["heads", "keys", "erased", "witnessed"] {
            std::fs::remove_file(self.file(name)).unwrap();
        }
        for name in ["tile/0", "tile/1"] {
            std::fs::remove_dir_all(self.file(name)).unwrap();
        }
        self
    }
}

#[test]
fn an_untouched_bundle_verifies_with_key_and_anchor_alone() {
    let exported = Exported::new();
    let report = exported.report();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.heads, report.payloads), (RECORDS, 100, 300));
    assert_eq!(report.vouched.as_ref().unwrap().records, RECORDS);
    assert_eq!((report.anchored.as_ref().unwrap().last, report.not_anchored), (Seq(539), 60));
    assert!(report.is_key_given);
    let text = report.to_string();
    assert!(text.contains("signed up to record 599 of 600 (") && text.contains("anchored up to record 539 of 540 ("), "{text}");
    assert!(text.contains("60 records after that are not"), "{text}");
    assert_eq!(report.root, Reader::open(&exported.state()).unwrap().head().unwrap().root);
    // Neither state folder nor its keys are needed.
    std::fs::remove_dir_all(exported.state()).unwrap();
    assert!(exported.report().is_intact());
    let bare = exported.bare();
    let report = bare.report();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.heads), (RECORDS, 1));
}

#[test]
fn a_changed_byte_is_found_in_every_file() {
    let exported = Exported::new();
    let mut files = Vec::new();
    let mut folders = vec![exported.folder.path().join("bundle")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 12, "{files:?}");
    for path in files {
        let good = std::fs::read(&path).unwrap();
        // Which keys sign is believed from outside; what was cosigned needs the key of a witness.
        if ["keys", "witnessed"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for at in [0, good.len() / 3, good.len() / 2, good.len().saturating_sub(2)] {
            let Some(byte) = good.get(at) else { continue };
            let mut bad = good.clone();
            bad[at] = byte ^ 1;
            std::fs::write(&path, &bad).unwrap();
            let found = verify_bundle(&exported.folder.path().join("bundle"), &exported.trust());
            assert!(found.as_ref().map_or(true, |report| !report.is_intact()), "{} at {at}", path.display());
        }
        std::fs::write(&path, good).unwrap();
    }
    assert!(exported.report().is_intact());
}

#[test]
fn a_changed_record_is_named_by_its_leaf_or_else_by_the_heads_around_it() {
    let acme_to_evil = |entries: &mut Vec<Vec<u8>>| {
        let text = String::from_utf8(entries[50].clone()).unwrap().replace("acme", "evil");
        entries[50] = text.into_bytes();
    };
    let exported = Exported::new();
    exported.change(1, acme_to_evil);
    assert_eq!(exported.first_bad(), (306, Flaw::Leaf));
    assert_eq!(exported.report().records, 306);
    // Without the leaves, the head after it does not fit.
    std::fs::remove_dir_all(exported.file("tile/0")).unwrap();
    assert_eq!(exported.first_bad(), (306, Flaw::Head { first: Seq(306), last: Seq(311) }));
    // Without any head before the anchor, the anchor does not.
    std::fs::remove_file(exported.file("heads")).unwrap();
    std::fs::remove_dir_all(exported.file("tile/1")).unwrap();
    assert_eq!(exported.first_bad(), (0, Flaw::Anchor { first: Seq(0), last: Seq(539) }));
}

#[test]
fn a_dropped_an_inserted_and_a_swapped_record_are_named() {
    for bare in [false, true] {
        let new = || if bare { Exported::new().bare() } else { Exported::new() };
        let dropped = new();
        dropped.change(1, |entries| drop(entries.remove(50)));
        assert_eq!(dropped.first_bad(), (306, Flaw::Place(Seq(307))));
        let inserted = new();
        inserted.change(1, |entries| entries.insert(50, entries[49].clone()));
        assert_eq!(inserted.first_bad(), (306, Flaw::Place(Seq(305))));
        let swapped = new();
        swapped.change(1, |entries| entries.swap(50, 80));
        assert_eq!(swapped.first_bad(), (306, Flaw::Place(Seq(336))));
        let gone = new();
        std::fs::remove_file(gone.file("tile/entries/001")).unwrap();
        assert_eq!(gone.first_bad(), (256, Flaw::Missing));
        let last = new();
        last.change(2, |entries| drop(entries.pop()));
        assert_eq!(last.first_bad(), (599, Flaw::Missing));
        let more = new();
        more.change(2, |entries| entries.push(entries[0].clone()));
        assert_eq!(more.first_bad(), (600, Flaw::Beyond { size: 600 }));
    }
}

/// A bundle as it was when the ledger had `runs` runs: everything in it is genuine and signed.
fn older(runs: usize) -> (Exported, tempfile::TempDir) {
    let newer = Exported::new();
    let state = newer.state();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("state")).unwrap();
    for name in ["ledger.sqlite", "signing.key", "subject.key", "payload.keys"] {
        std::fs::copy(state.join(name), folder.path().join("state").join(name)).unwrap();
    }
    let database = rusqlite::Connection::open(folder.path().join("state/ledger.sqlite")).unwrap();
    let size = runs * 6;
    let cut =
        format!("DELETE FROM records WHERE seq >= {size}; DELETE FROM payloads WHERE seq >= {size}; DELETE FROM heads WHERE size > {size}");
    database.execute_batch(&cut).unwrap();
    (newer, folder)
}

#[test]
fn a_tail_that_was_cut_below_the_anchor_and_an_older_ledger_in_its_place_are_found() {
    let (newer, folder) = older(80);
    let bundle = folder.path().join("bundle");
    Reader::open(&folder.path().join("state")).unwrap_err();
    // The tree has to be set back, too, so that the file is a whole ledger.
    let database = rusqlite::Connection::open(folder.path().join("state/ledger.sqlite")).unwrap();
    set_tree(&database, 480);
    database.close().unwrap();
    let reader = Reader::open(&folder.path().join("state")).unwrap();
    reader.export(&bundle, false).unwrap();
    // By itself it is a good ledger.
    let trust = Trust { anchors: Vec::new(), ..newer.trust() };
    assert!(verify_bundle(&bundle, &trust).unwrap().is_intact());
    assert!(verify_against(&folder.path().join("state"), &trust).unwrap().is_intact());
    for report in [verify_bundle(&bundle, &newer.trust()).unwrap(), verify_against(&folder.path().join("state"), &newer.trust()).unwrap()] {
        let bad = report.first_bad.clone().unwrap();
        assert_eq!((bad.seq, bad.flaw), (Seq(480), Flaw::Cut { found: 480, anchored: 540 }));
        assert!(report.to_string().contains("records 480 to 539 are missing: 540 were anchored"), "{report}");
        assert_eq!(report.vouched.unwrap().records, 480);
    }
    // What was cut beyond the anchor cannot be told from what never was.
    let (newer, folder) = older(95);
    let database = rusqlite::Connection::open(folder.path().join("state/ledger.sqlite")).unwrap();
    set_tree(&database, 570);
    database.close().unwrap();
    let report = verify_against(&folder.path().join("state"), &newer.trust()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.not_anchored, 30);
}

fn set_tree(database: &rusqlite::Connection, size: i64) {
    let mut edge: Vec<(u32, [u8; 32])> = Vec::new();
    for seq in 0..size {
        let mut node: [u8; 32] = database.query_row("SELECT leaf FROM records WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
        let mut level = 0;
        while let Some((_, left)) = edge.pop_if(|(height, _)| *height == level) {
            node = *Digest::of(&[[1].as_slice(), &left, &node].concat()).as_bytes();
            level += 1;
        }
        edge.push((level, node));
    }
    let edge: Vec<u8> = edge.iter().flat_map(|(_, hash)| *hash).collect();
    database.execute("UPDATE tree SET size = ?1, edge = ?2", rusqlite::params![size, edge]).unwrap();
}

#[test]
fn a_ledger_that_was_made_anew_without_the_key_is_found() {
    let exported = Exported::new();
    let forged = tempfile::tempdir().unwrap();
    // Everything anew, under the same name, with a key of the forger's own.
    let options = LedgerOptions { origin: Some(exported.key.name().to_owned()), ..LedgerOptions::default() };
    Ledger::open(forged.path(), options).unwrap().close().unwrap();
    fill(forged.path(), 100);
    let bundle = forged.path().join("bundle");
    Reader::open(forged.path()).unwrap().export(&bundle, true).unwrap();
    // It is a good ledger to whoever believes the key in it.
    assert!(verify_bundle(&bundle, &Trust::default()).unwrap().is_intact());
    assert!(!verify_bundle(&bundle, &Trust::default()).unwrap().is_key_given);
    let trust = Trust { anchors: Vec::new(), ..exported.trust() };
    for report in [verify_bundle(&bundle, &trust).unwrap(), verify_against(forged.path(), &trust).unwrap()] {
        let bad = report.first_bad.unwrap();
        assert_eq!((bad.seq, bad.flaw), (Seq(0), Flaw::Unsigned { first: Seq(0), last: Seq(599) }));
        assert_eq!(report.vouched, None);
    }
    let bad = verify_bundle(&bundle, &exported.trust()).unwrap().first_bad.unwrap();
    assert_eq!(bad.flaw, Flaw::Anchor { first: Seq(0), last: Seq(539) });
    // Another ledger altogether.
    let other = Exported::new();
    let trust = Trust { keys: vec![other.key.clone()], ..exported.trust() };
    assert!(matches!(verify_bundle(&bundle, &trust).unwrap().first_bad.unwrap().flaw, Flaw::Origin { .. }));
}

#[test]
fn a_tree_that_was_recomputed_without_the_key_is_found_in_the_file_too() {
    let exported = Exported::new();
    let database = rusqlite::Connection::open(exported.state().join("ledger.sqlite")).unwrap();
    // One record changed, its leaf, every head after it and the edge recomputed.
    let envelope: Vec<u8> = database.query_row("SELECT envelope FROM records WHERE seq = 301", [], |row| row.get(0)).unwrap();
    let envelope = String::from_utf8(envelope).unwrap().replace("acme", "evil").into_bytes();
    let leaf = *Digest::of(&[[0].as_slice(), &envelope].concat()).as_bytes();
    database.execute("UPDATE records SET envelope = ?1, leaf = ?2 WHERE seq = 301", rusqlite::params![envelope, leaf]).unwrap();
    set_tree(&database, 600);
    for size in (306..=600).step_by(6) {
        let edge: (i64, Vec<u8>) = {
            set_tree(&database, size);
            database.query_row("SELECT size, edge FROM tree", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let mut hashes = edge.1.chunks(32).rev();
        let first = hashes.next().unwrap().to_vec();
        let root = hashes.fold(first, |right, left| Digest::of(&[[1].as_slice(), left, &right].concat()).as_bytes().to_vec());
        database.execute("UPDATE heads SET root = ?2 WHERE size = ?1", rusqlite::params![size, root]).unwrap();
    }
    database.close().unwrap();
    let report = verify(&exported.state()).unwrap();
    let bad = report.first_bad.unwrap();
    assert_eq!((bad.seq, bad.flaw), (Seq(300), Flaw::Signature { size: 306 }));
    assert_eq!(report.vouched.unwrap().records, 300);
}

#[test]
fn keys_are_rotated_and_a_verifier_follows_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let ledger = open_patient(&state);
    let context = context("run-1", "t");
    let keys: Vec<_> = (0..3)
        .map(|_| {
            let last = (0..5).map(|_| ledger.append(event(&context, "x")).unwrap()).last().unwrap();
            block_on(ledger.durable(last)).unwrap();
            let key = ledger.verifier_key();
            let seq = ledger.rotate_key(Some("local:anna")).unwrap();
            assert_eq!(seq, Seq(last.0 + 1));
            key
        })
        .collect();
    let last_key = ledger.verifier_key();
    let last = ledger.append(event(&context, "x")).unwrap();
    block_on(ledger.durable(last)).unwrap();
    ledger.close().unwrap();
    assert_eq!(
        std::fs::read_dir(&state).unwrap().filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("signing")).count(),
        1
    );
    // The next start signs with the last.
    let ledger = open(&state);
    assert_eq!(ledger.verifier_key(), last_key);
    ledger.append(event(&context, "x")).unwrap();
    ledger.close().unwrap();

    let reader = Reader::open(&state).unwrap();
    assert_eq!(reader.signing_keys().unwrap().iter().map(|(first, _)| first.0).collect::<Vec<_>>(), [0, 6, 12, 18]);
    // Each handing over is signed by the key before it.
    for (key, size) in keys.iter().zip([6, 12, 18]) {
        assert_eq!(key.open(reader.checkpoint_at(size).unwrap().unwrap().note()), SignatureState::Good(None));
    }
    let bundle = folder.path().join("bundle");
    reader.export(&bundle, false).unwrap();
    for trusted in keys.iter().chain([&last_key]) {
        let trust = Trust { keys: vec![trusted.clone()], ..Trust::default() };
        for report in [verify_bundle(&bundle, &trust).unwrap(), verify_against(&state, &trust).unwrap()] {
            assert!(report.is_intact(), "{report}");
            assert_eq!(report.vouched.as_ref().unwrap().records, 20);
            assert_eq!(report.signed_by.last(), Some(&last_key.to_string()));
        }
    }
    // A chain without its first link leads nowhere, and a retired key vouches for nothing new.
    std::fs::remove_file(bundle.join("heads")).unwrap();
    let trust = Trust { keys: vec![keys[0].clone()], ..Trust::default() };
    assert!(matches!(verify_bundle(&bundle, &trust).unwrap().first_bad.unwrap().flaw, Flaw::Unsigned { .. }));
}

struct Elsewhere {
    key: SigningKey,
    public: VerifierKey,
    fails: bool,
}

impl Elsewhere {
    fn new(name: &str, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = VerifierKey::from_public(name, &key.verifying_key().to_bytes()).unwrap();
        Self { key, public, fails: false }
    }
}

impl Signer for Elsewhere {
    fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignProblem> {
        if self.fails { Err(SignProblem("the module is locked".to_owned())) } else { Ok(self.key.sign(text).to_bytes()) }
    }
}

#[test]
fn a_signer_elsewhere_signs_and_its_key_is_nowhere_here() {
    let folder = tempfile::tempdir().unwrap();
    let with = |signer: Elsewhere| LedgerOptions { signer: Some(Arc::new(signer)), ..LedgerOptions::default() };
    let ledger = Ledger::open(folder.path(), with(Elsewhere::new("example.com/a", 1))).unwrap();
    let seq = ledger.append(event(&context("r", "t"), "x")).unwrap();
    block_on(ledger.durable(seq)).unwrap();
    assert!(!folder.path().join("signing.key").exists());
    let problem = ledger.rotate_to(Arc::new(Elsewhere::new("example.com/b", 2)), None).unwrap_err();
    assert!(matches!(problem, RotateProblem::Origin { .. }), "{problem}");
    ledger.rotate_to(Arc::new(Elsewhere::new("example.com/a", 2)), None).unwrap();
    ledger.close().unwrap();
    let problem = Ledger::open(folder.path(), with(Elsewhere::new("example.com/a", 1))).unwrap_err();
    assert!(matches!(problem, OpenProblem::Signer { .. }), "{problem}");
    assert!(matches!(Ledger::open(folder.path(), LedgerOptions::default()), Err(OpenProblem::SigningKey { .. })));
    let trust = Trust { keys: vec![Elsewhere::new("example.com/a", 1).public], ..Trust::default() };
    assert!(verify_against(folder.path(), &trust).unwrap().is_intact());
    // One that cannot sign stops the ledger, as a disk that cannot be written.
    let problem = Ledger::open(folder.path(), with(Elsewhere { fails: true, ..Elsewhere::new("example.com/a", 2) })).unwrap_err();
    assert!(problem.to_string().contains("the module is locked"), "{problem}");
    assert!(Ledger::open(folder.path(), with(Elsewhere::new("example.com/a", 2))).is_ok());
}

#[test]
fn stored_leaves_give_proofs_that_verify() {
    let exported = Exported::new();
    let reader = Reader::open(&exported.state()).unwrap();
    let at = |size| reader.checkpoint_at(size).unwrap().unwrap().checkpoint().root;
    for (old, new) in [(6, 600), (300, 540), (540, 600), (600, 600)] {
        let proof = reader.consistency_proof(old, new).unwrap();
        assert!(verify_consistency(old, &at(old), new, &at(new), &proof), "{old} of {new}");
        assert!(!verify_consistency(old, &at(old), new, &at(12), &proof));
    }
    let envelope = reader.envelope(Seq(301)).unwrap().unwrap();
    let bytes = bailiwick_core::canonical::of(&envelope).unwrap();
    let leaf = Digest::of(&[[0].as_slice(), &bytes].concat());
    let proof = reader.inclusion_proof(Seq(301), 540).unwrap();
    assert!(verify_inclusion(&leaf, 301, 540, &at(540), &proof));
    assert!(!verify_inclusion(&leaf, 302, 540, &at(540), &proof));
    assert!(reader.inclusion_proof(Seq(600), 600).is_err());
    assert!(reader.consistency_proof(6, 700).is_err());
}

fn anchored(files: &[&Path]) -> LedgerOptions {
    let files = files.iter().map(|path| (*path).to_owned()).collect();
    LedgerOptions { anchors: Anchors { files, every: Duration::from_secs(3_600), ..Anchors::default() }, ..LedgerOptions::default() }
}

#[test]
fn checkpoints_are_anchored_outside_and_never_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (state, anchor) = (folder.path().join("state"), folder.path().join("anchor"));
    let nowhere = folder.path().join("no/such/folder");
    let refused = Ledger::open(&state, anchored(&[&anchor, &nowhere])).unwrap_err();
    assert!(matches!(&refused, OpenProblem::Anchor { path, .. } if *path == nowhere), "{refused}");
    // A place that is lost while the ledger is open.
    let (other, lost) = (folder.path().join("other"), folder.path().join("other/anchor"));
    std::fs::create_dir(&other).unwrap();
    let ledger = Ledger::open(&state, anchored(&[&anchor, &lost])).unwrap();
    std::fs::remove_dir_all(&other).unwrap();
    let key = ledger.verifier_key();
    for round in 1..=3 {
        let last = ledger.append(event(&context("r", "t"), "x")).unwrap();
        block_on(ledger.durable(last)).unwrap();
        let states = ledger.anchor_now();
        assert_eq!((states[0].size, &states[0].problem), (round, &None));
        // A place that cannot be reached is said, and stops nothing.
        assert_eq!(states[1].size, 0);
        assert!(states[1].problem.is_some());
    }
    ledger.append(event(&context("r", "t"), "x")).unwrap();
    // What is left is anchored at the end, and what was not is said.
    let states = ledger.close_anchored().unwrap();
    assert_eq!((states[0].size, &states[0].problem, states[1].size), (4, &None, 0));
    assert!(states[1].problem.is_some());
    let all = SignedCheckpoint::parse_all(&std::fs::read_to_string(&anchor).unwrap()).unwrap();
    assert_eq!(all.iter().map(|one| one.checkpoint().size).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let trust = Trust { keys: vec![key], anchors: all, witnesses: Vec::new() };
    let report = verify_against(&state, &trust).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.not_anchored, 0);
    // An anchor among the state would go with it.
    let inside = Ledger::open(&state, anchored(&[&state.join("anchor")])).unwrap_err();
    assert!(matches!(inside, OpenProblem::AnchorInside { .. }), "{inside}");
}

#[test]
fn several_anchors_narrow_down_where_a_ledger_was_changed() {
    let exported = Exported::new();
    let reader = Reader::open(&exported.state()).unwrap();
    let anchors = [60, 300, 420, 540].map(|size| reader.checkpoint_at(size).unwrap().unwrap()).to_vec();
    let trust = Trust { anchors, ..exported.trust() };
    let bare = exported.bare();
    bare.change(1, |entries| entries[80] = String::from_utf8(entries[80].clone()).unwrap().replace("acme", "evil").into_bytes());
    let bad = verify_bundle(&bare.folder.path().join("bundle"), &trust).unwrap().first_bad.unwrap();
    assert_eq!((bad.seq, bad.flaw), (Seq(300), Flaw::Anchor { first: Seq(300), last: Seq(419) }));
}

#[test]
fn a_ledger_that_is_gone_or_was_set_back_is_missed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (state, anchor) = (folder.path().join("state"), folder.path().join("anchor"));
    let run = |options: LedgerOptions| {
        let ledger = Ledger::open(&state, options).unwrap();
        ledger.append(event(&context("r", "t"), "x")).unwrap();
        ledger.close().unwrap();
    };
    let backup = folder.path().join("backup");
    run(anchored(&[&anchor]));
    std::fs::copy(state.join("ledger.sqlite"), &backup).unwrap();
    run(anchored(&[&anchor]));
    let newest = std::fs::read(state.join("ledger.sqlite")).unwrap();

    // Set back: by the file in the state folder, and by the anchor alone.
    std::fs::copy(&backup, state.join("ledger.sqlite")).unwrap();
    let problem = Ledger::open(&state, LedgerOptions::default()).unwrap_err();
    assert!(matches!(problem, OpenProblem::SetBack { found: 1, anchored: 2, .. }), "{problem}");
    std::fs::rename(state.join("ledger.checkpoint"), folder.path().join("aside")).unwrap();
    let problem = Ledger::open(&state, anchored(&[&anchor])).unwrap_err();
    assert!(matches!(&problem, OpenProblem::SetBack { shown_by, .. } if *shown_by == anchor), "{problem}");

    // Gone: by the file, by the anchor, by the key; and whichever it is, nothing is begun.
    std::fs::remove_file(state.join("ledger.sqlite")).unwrap();
    let problem = Ledger::open(&state, anchored(&[&anchor])).unwrap_err();
    assert!(matches!(&problem, OpenProblem::Gone { records: Some(2), .. }), "{problem}");
    assert!(problem.to_string().contains("put the ledger back from a backup"), "{problem}");
    let problem = Ledger::open(&state, LedgerOptions::default()).unwrap_err();
    assert!(matches!(&problem, OpenProblem::Gone { records: None, .. }), "{problem}");
    std::fs::rename(folder.path().join("aside"), state.join("ledger.checkpoint")).unwrap();
    assert!(matches!(Ledger::open(&state, LedgerOptions::default()), Err(OpenProblem::Gone { .. })));
    assert!(!state.join("ledger.sqlite").exists());

    // With the newest copy it goes on.
    std::fs::write(state.join("ledger.sqlite"), newest).unwrap();
    run(anchored(&[&anchor]));
    assert_eq!(verify(&state).unwrap().records, 3);
    // An anchor of another ledger is not taken for one of this.
    let other = folder.path().join("other");
    Ledger::open(&other, anchored(&[&folder.path().join("anchor-2")])).unwrap().close().unwrap();
    fill(&other, 1);
    let problem = Ledger::open(&other, anchored(&[&anchor])).unwrap_err();
    assert!(matches!(problem, OpenProblem::SetBack { .. }), "{problem}");
}

#[test]
fn a_start_that_stopped_half_way_is_taken_up_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (state, fresh) = (folder.path().join("state"), folder.path().join("fresh"));
    fill(&state, 1);
    let key = Reader::open(&state).unwrap().signing_keys().unwrap()[0].1.clone();
    // Stopped before its first commit: keys that nothing names are made anew.
    std::fs::create_dir(&fresh).unwrap();
    for (from, to) in [("signing.key", "signing.key.next"), ("subject.key", "subject.key"), ("payload.keys", "payload.keys")] {
        std::fs::copy(state.join(from), fresh.join(to)).unwrap();
    }
    let ledger = open(&fresh);
    assert_ne!(ledger.verifier_key(), key);
    ledger.close().unwrap();
    // Stopped after it: the key that the ledger names is put into its place.
    std::fs::rename(state.join("signing.key"), state.join("signing.key.next")).unwrap();
    let ledger = open(&state);
    assert_eq!(ledger.verifier_key(), key);
    assert!(state.join("signing.key").exists() && !state.join("signing.key.next").exists());
}

/// A witness as the specification has it, within the process.
struct Cosigner {
    key: SigningKey,
    public: VerifierKey,
    log: VerifierKey,
    seen: Mutex<(u64, Digest)>,
    requests: Mutex<Vec<u64>>,
}

impl Cosigner {
    fn new(log: VerifierKey) -> Self {
        let key = SigningKey::from_bytes(&[9; 32]);
        let name = "witness.example.com/w1";
        let typed = [&[0x04], key.verifying_key().as_bytes().as_slice()].concat();
        let id = Digest::of(&[name.as_bytes(), b"\n", &typed].concat());
        let public = format!("{name}+{}+{}", hex::encode(&id.as_bytes()[..4]), BASE64.encode(typed)).parse().unwrap();
        Self { key, public, log, seen: Mutex::new((0, Digest::of(b""))), requests: Mutex::new(Vec::new()) }
    }
}

impl Witness for Cosigner {
    fn key(&self) -> &VerifierKey {
        &self.public
    }

    fn add_checkpoint(&self, body: &str) -> Result<WitnessAnswer, WitnessProblem> {
        let (head, note) = body.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let proof: Vec<_> = lines.map(|line| Digest::from_bytes(BASE64.decode(line).unwrap().try_into().unwrap())).collect();
        let signed: SignedCheckpoint = note.parse().unwrap();
        let answer = |status, body: String| Ok(WitnessAnswer { status, body });
        self.requests.lock().push(old);
        if self.log.open(signed.note()) != SignatureState::Good(None) {
            return answer(403, String::new());
        }
        let mut seen = self.seen.lock();
        if old != seen.0 {
            return answer(409, format!("{}\n", seen.0));
        }
        let new = signed.checkpoint();
        if !verify_consistency(old, &seen.1, new.size, &new.root, &proof) {
            return answer(422, String::new());
        }
        *seen = (new.size, new.root);
        let time = 1_700_000_000_u64;
        let signature = self.key.sign(format!("cosignature/v1\ntime {time}\n{}", new.to_text()).as_bytes());
        let id = hex::decode(self.public.to_string().split('+').nth(1).unwrap()).unwrap();
        let line = [id.as_slice(), &time.to_be_bytes(), &signature.to_bytes()].concat();
        answer(200, format!("— {} {}\n", self.public.name(), BASE64.encode(line)))
    }
}

#[test]
fn a_witness_cosigns_and_its_cosignature_anchors_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let (state, anchor) = (folder.path().join("state"), folder.path().join("anchor"));
    fill(&state, 10);
    let log = Reader::open(&state).unwrap().signing_keys().unwrap()[0].1.clone();
    let witness = Arc::new(Cosigner::new(log.clone()));
    let options = || {
        let mut options = anchored(&[&anchor]);
        options.anchors.witness = Some(Arc::clone(&witness) as Arc<dyn Witness>);
        options
    };
    for round in 1..=2 {
        // Each start has forgotten what the witness has seen, and learns it.
        let ledger = Ledger::open(&state, options()).unwrap();
        let context = context("r", "t");
        let seq = ledger.append(intent(&context, "C-1")).unwrap();
        ledger.append(outcome(&context, Some(seq), bailiwick_core::record::CallOutcome::Ok)).unwrap();
        block_on(ledger.durable(Seq(seq.0 + 1))).unwrap();
        let states = ledger.anchor_now();
        assert_eq!((states[0].size, states[0].problem.as_deref()), (60 + round * 2, None), "{states:?}");
        ledger.close().unwrap();
    }
    assert!(witness.requests.lock().contains(&62));
    let all = SignedCheckpoint::parse_all(&std::fs::read_to_string(&anchor).unwrap()).unwrap();
    assert!(matches!(witness.public.open(all.last().unwrap().note()), SignatureState::Good(Some(1_700_000_000))));

    let bundle = folder.path().join("bundle");
    Reader::open(&state).unwrap().export(&bundle, false).unwrap();
    // No anchor from outside is needed: the cosignature cannot be made by the host.
    let trust = Trust { keys: vec![log], anchors: Vec::new(), witnesses: vec![witness.public.clone()] };
    for report in [verify_bundle(&bundle, &trust).unwrap(), verify_against(&state, &trust).unwrap()] {
        assert!(report.is_intact(), "{report}");
        assert_eq!((report.anchored.unwrap().records, report.not_anchored), (64, 0));
    }
    let unknown = Trust { witnesses: Vec::new(), ..trust };
    assert_eq!(verify_bundle(&bundle, &unknown).unwrap().anchored, None);
}

#[test]
fn the_exported_tiles_are_those_of_the_specification() {
    let exported = Exported::new();
    for path in ["checkpoint", "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/88"]
    {
        assert!(exported.file(path).is_file(), "{path}");
    }
    assert_eq!(std::fs::read(exported.file("tile/0/000")).unwrap().len(), 8_192);
    // Read by another implementation, the checkpoint is signed by the key.
    let note = signed_note::Note::from_bytes(&std::fs::read(exported.file("checkpoint")).unwrap()).unwrap();
    let theirs = signed_note::StandardVerifier::new(&exported.key.to_string()).unwrap();
    assert!(note.verify(&signed_note::VerifierList::new(vec![Box::new(theirs)])).is_ok());
    let again = Reader::open(&exported.state()).unwrap().export(&exported.folder.path().join("bundle"), true);
    assert!(again.unwrap_err().to_string().contains("is not empty"));
}
