//! The ledger: every decision and every call, in one order, on disk before it counts.
//!
//! A [`Ledger`] is held by the one executor of a state folder and records ([`bailiwick_core::Recorder`]); a [`Reader`]
//! reads, also while an executor runs; [`verify`] recomputes everything and names the first bad record.
//!
//! Envelopes are the leaves of a Merkle tree (RFC 6962, SHA-256). Payloads lie beside the tree, each under a salted
//! commitment in its envelope and filed under a keyed hash of its data subject.
//!
//! In the state folder lie `ledger.sqlite` with its write-ahead log (`-wal`, `-shm`), `subject.key` (the key of that hash) and
//! `lock` (held by the executor). A copy needs the log too, unless the executor was closed properly.

mod check;
mod encode;
mod error;
mod ledger;
mod queue;
mod reader;
mod schema;
mod secrets;
mod state;
#[cfg(test)]
mod testing;
mod tree;
mod verify;
mod writer;

pub use error::{Holder, OpenProblem, ReadProblem};
pub use ledger::{Ledger, LedgerOptions};
pub use queue::{Clock, FULL_FACTOR, PRESSED_BYTES, PRESSED_RECORDS};
pub use reader::{Filter, Head, PAGE, Reader, Records, RunMark, RunSummary};
pub use verify::{BadRecord, Flaw, PAYLOADS_NAMED, VerifyReport, verify};
