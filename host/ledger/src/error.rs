//! Why a ledger cannot be opened or read.

use std::io;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::Seq;

use crate::note::NoteProblem;
use crate::signing::SignProblem;

/// Who holds the executor role of a state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its epoch.
    pub epoch: u64,
}

/// Why a ledger could not be opened. Nothing was changed in the state folder.
#[derive(Debug, thiserror::Error)]
pub enum OpenProblem {
    /// The state folder, or a file in it, cannot be made, read or written.
    #[error("cannot {act} `{}`: {source}", .path.display())]
    File {
        /// What was tried, for example `create`.
        act: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process is the executor of this state folder.
    #[error(
        "state folder `{}` is in use by {}: one executor per state folder; stop it, or pass another `--state`",
        .state.display(), .holder.map_or_else(|| "another process".to_owned(), |holder| format!("process {} (epoch {})", holder.pid, holder.epoch))
    )]
    Held {
        /// The state folder.
        state: PathBuf,
        /// Who, unless it has only just started.
        holder: Option<Holder>,
    },
    /// There is no ledger to read.
    #[error("there is no ledger in `{}`: nothing has run with this state folder yet", .state.display())]
    Absent {
        /// The state folder.
        state: PathBuf,
    },
    /// The file is no SQLite database.
    #[error("`{}` is not a database: something else was put in its place; restore it from a backup, or pass another `--state`", .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database, and no ledger.
    #[error("`{}` is a database, but not a ledger ({reason}): restore the ledger from a backup, or pass another `--state`", .path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// By what it was told.
        reason: String,
    },
    /// The ledger was written by a newer version.
    #[error("`{}` has storage version {found}, this program knows versions up to {known}: use the newer program", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The ledger has an older storage version, which only an executor brings up to date.
    #[error("`{}` has storage version {found}, this program reads version {known}: start an executor once to bring it up to date", .path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version read here.
        known: i64,
    },
    /// The database is damaged, or its last records, head and tree contradict each other.
    #[error("the ledger `{}` is damaged ({reason}): `bailiwick ledger verify` names the first bad record; restore it from a backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was seen.
        reason: String,
    },
    /// The key for data subjects is not the one that the ledger was written with.
    #[error("the subject key `{}` {reason}: without it records cannot be found by subject; restore it from a backup", .path.display())]
    SubjectKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key that signs the ledger cannot be used.
    #[error("the signing key `{}` cannot be used: {reason}; restore it from a backup, or pass another `--state`", .path.display())]
    SigningKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The signer given is not the one that the ledger is signed with.
    #[error("the ledger `{}` is signed with `{expected}`, the signer given is `{given}`: give the right one, or rotate from it", .path.display())]
    Signer {
        /// The ledger.
        path: PathBuf,
        /// The key that the ledger names.
        expected: String,
        /// The key given.
        given: String,
    },
    /// The signer cannot sign.
    #[error("the ledger cannot be opened: {source}")]
    Sign {
        /// Why.
        source: SignProblem,
    },
    /// The keys of the payloads are not those that the ledger was written with.
    #[error("the payload keys `{}` {reason}: without them no payload can be read; restore them from a backup", .path.display())]
    PayloadKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There was a ledger here, and it is gone.
    #[error(
        "the ledger `{}` is gone: `{}` shows that there was one{}; put the ledger back from a backup, or, to begin a new one, pass \
         another `--state` and another anchor file", .path.display(), .shown_by.display(), of_size(.records)
    )]
    Gone {
        /// Where the ledger was.
        path: PathBuf,
        /// The file that shows it.
        shown_by: PathBuf,
        /// How many records it had at least, where that is known.
        records: Option<u64>,
    },
    /// The ledger is not the one, or not as long as the one, that a checkpoint was made of.
    #[error(
        "the ledger `{}` has {found} records and is not the one that `{}` is a checkpoint of ({anchored} records): it was set back or \
         replaced; restore the newest copy, and keep that file as evidence", .path.display(), .shown_by.display()
    )]
    SetBack {
        /// The ledger.
        path: PathBuf,
        /// The file with the checkpoint.
        shown_by: PathBuf,
        /// Records that the ledger has.
        found: u64,
        /// Records that the checkpoint counts.
        anchored: u64,
    },
    /// A file with checkpoints cannot be read.
    #[error("`{}` has no checkpoints that could be read ({source}): restore it, or name another file", .path.display())]
    Checkpoints {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: NoteProblem,
    },
    /// An anchor file would lie in the state folder.
    #[error("the anchor file `{}` lies in the state folder, where whoever changes the ledger changes it too: name one outside", .path.display())]
    AnchorInside {
        /// The file.
        path: PathBuf,
    },
    /// Checkpoints cannot be appended to an anchor file.
    #[error("the anchor file `{}` cannot be used: {reason}", .path.display())]
    Anchor {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// SQLite failed.
    #[error("cannot open the ledger `{}`: {source}", .path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The operating system gives no thread or no randomness.
    #[error("cannot start the ledger: {source}")]
    System {
        /// Why.
        source: io::Error,
    },
}

fn of_size(records: &Option<u64>) -> String {
    records.map_or_else(String::new, |records| format!(", of {records} records"))
}

impl OpenProblem {
    pub(crate) fn file(act: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::File { act, path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    /// Sorts a failure of SQLite by what it says about the file.
    pub(crate) fn storage(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::{Error, ErrorCode};
        if let Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::FromSqlConversionFailure(..)
        | Error::Utf8Error(..) = source
        {
            return Self::damaged(path, source.to_string());
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path: path.to_owned() },
            Some(ErrorCode::DatabaseCorrupt) => Self::damaged(path, source.to_string()),
            _ => Self::Storage { path: path.to_owned(), source },
        }
    }
}

/// Why something could not be read from the ledger.
#[derive(Debug, thiserror::Error)]
pub enum ReadProblem {
    /// SQLite failed.
    #[error("the ledger cannot be read: {0}")]
    Storage(#[from] rusqlite::Error),
    /// A record is not what was written.
    #[error("record {seq} of the ledger is damaged: {reason}; `bailiwick ledger verify` checks all records")]
    Record {
        /// Which one.
        seq: Seq,
        /// What is wrong.
        reason: String,
    },
    /// The stored tree head is not what was written.
    #[error("the ledger's stored head is damaged: {0}; `bailiwick ledger verify` checks all records")]
    Head(String),
    /// The keys of the payloads are needed and not there.
    #[error("the payload keys `{}` are missing or cannot be read: without them no payload can be read; restore them from a backup", .path.display())]
    PayloadKeys {
        /// The file.
        path: PathBuf,
    },
    /// A search by subject needs the subject key.
    #[error(transparent)]
    SubjectKey(Box<OpenProblem>),
}

impl From<OpenProblem> for ReadProblem {
    fn from(problem: OpenProblem) -> Self {
        Self::SubjectKey(Box::new(problem))
    }
}
