//! The ledger: every decision and every call, in one order, on disk before it counts.
//!
//! A [`Ledger`] is held by the one executor of a state folder and records ([`bailiwick_core::Recorder`]); a [`Reader`]
//! reads, also while an executor runs; [`verify`] recomputes everything and names the first bad record; [`verify_bundle`] does so from an
//! exported bundle, the public key and the last anchored checkpoint alone.
//!
//! Envelopes are the leaves of a Merkle tree (RFC 6962, SHA-256), whose head is signed with every commit (C2SP's checkpoints).
//! Payloads lie beside the tree, each under a salted commitment in its envelope, sealed with a key of its data subject and filed under
//! a keyed hash of it. [`Ledger::erase`] destroys that key.
//!
//! In the state folder lie `ledger.sqlite` with its write-ahead log (`-wal`, `-shm`), `signing.key`, `payload.keys`, `subject.key` (the key
//! of that hash), `ledger.checkpoint` (by which a ledger that is gone or set back is missed) and `lock` (held by the executor). A copy
//! needs the log too, unless the executor was closed properly.

mod access;
mod anchor;
mod bundle;
mod check;
mod checkpoint;
mod encode;
mod encoder;
mod error;
mod flat;
mod keys;
mod ledger;
mod note;
mod opened;
mod orders;
mod proof;
mod queue;
mod reader;
mod schema;
mod seal;
mod secrets;
mod signing;
mod state;
mod subjects;
#[cfg(test)]
mod testing;
mod tiles;
mod tree;
mod unseal;
mod vault;
mod verify;
mod writer;

pub use access::{Access, AccessQuery, Accesses, FIELDS_NAMED, FieldNames, RefusedRun, Relation};
pub use anchor::{
    ANCHOR_FILE_BYTES, AnchorState, Anchors, Witness, WitnessAnswer, WitnessProblem, add_checkpoint_request, read_add_checkpoint_answer,
};
pub use bundle::{ExportProblem, ExportReport};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use error::{Holder, OpenProblem, ReadProblem};
pub use ledger::{Ledger, LedgerOptions};
pub use note::{Note, NoteProblem, NoteSignature, SignatureState, VerifierKey};
pub use proof::{verify_consistency, verify_inclusion};
pub use queue::{Clock, FULL_FACTOR, PRESSED_BYTES, PRESSED_RECORDS};
pub use reader::{Filter, Head, PAGE, PayloadState, Reader, Records, RunMark, RunSummary};
pub use signing::{SignProblem, Signer};
pub use subjects::{EraseProblem, Erased, RotateProblem};
pub use tiles::{ENTRY_BYTES, TILE_WIDTH, TileKind, tile_path};
pub use verify::{
    BadRecord, BundleProblem, Flaw, Moment, PAYLOADS_NAMED, Trust, TrustProblem, VerifyReport, verify, verify_against, verify_bundle,
};
