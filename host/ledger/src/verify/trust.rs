//! What a verification believes beforehand, as people give it.

use std::path::{Path, PathBuf};

use crate::checkpoint::SignedCheckpoint;
use crate::note::{NoteProblem, SignatureState, VerifierKey};

/// What a verification believes beforehand. Everything else it recomputes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Public keys of the ledger: the first one, from which rotations lead to the others, or any later one. With none, the key that the
    /// ledger itself names is taken, which shows damage but not that somebody has made all of it anew.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints that were kept elsewhere, in any order. What they count must be there; what lies beyond them is reported as not anchored.
    pub anchors: Vec<SignedCheckpoint>,
    /// Public keys of witnesses: a checkpoint within a bundle or a state folder that one of them has cosigned is as good as one that was
    /// kept elsewhere.
    pub witnesses: Vec<VerifierKey>,
}

/// Why a key or an anchor could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TrustProblem {
    /// What was given is neither a key nor a file of keys.
    #[error("`{given}` is neither a verifier key (`<name>+<id>+<base64>`) nor a file with one: {source}")]
    Key {
        /// What was given.
        given: String,
        /// Why it is no key.
        source: NoteProblem,
    },
    /// An anchor file cannot be read.
    #[error("cannot read the anchor file `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An anchor file has something else in it.
    #[error("`{}` has no checkpoints that could be read: {source}", .path.display())]
    Anchor {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: NoteProblem,
    },
    /// An anchor file has nothing in it: it would be taken for an anchor and be none.
    #[error("`{}` has no checkpoint in it: name the file that the host has anchored to, or leave it out", .0.display())]
    NoAnchor(PathBuf),
}

impl Trust {
    /// Takes a checkpoint that lies with the records as one that was kept elsewhere, if a trusted witness has cosigned it.
    pub(super) fn take_cosigned(&mut self, kept: Option<SignedCheckpoint>) {
        let is_cosigned =
            |kept: &SignedCheckpoint| self.witnesses.iter().any(|key| matches!(key.open(kept.note()), SignatureState::Good(Some(_))));
        let cosigned = kept.filter(is_cosigned);
        self.anchors.extend(cosigned);
    }

    /// Reads keys (each a verifier key, or a file with one a line) and anchor files.
    ///
    /// # Errors
    /// When one of them cannot be read, or an anchor file is empty.
    pub fn read(keys: &[String], anchors: &[PathBuf], witnesses: &[String]) -> Result<Self, TrustProblem> {
        let all = |given: &[String]| given.iter().map(|given| read_keys(given)).collect::<Result<Vec<_>, _>>().map(|keys| keys.concat());
        let anchors = anchors.iter().map(|path| read_anchors(path)).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Self { keys: all(keys)?, anchors, witnesses: all(witnesses)? })
    }
}

fn read_keys(given: &str) -> Result<Vec<VerifierKey>, TrustProblem> {
    let problem = |source| TrustProblem::Key { given: given.to_owned(), source };
    let not_a_key = match given.parse() {
        Ok(key) => return Ok(vec![key]),
        Err(problem) => problem,
    };
    match std::fs::read_to_string(given) {
        Ok(text) if !text.trim().is_empty() => {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| line.parse().map_err(problem)).collect()
        }
        _ => Err(problem(not_a_key)),
    }
}

fn read_anchors(path: &Path) -> Result<Vec<SignedCheckpoint>, TrustProblem> {
    let bytes = std::fs::read(path).map_err(|source| TrustProblem::File { path: path.to_owned(), source })?;
    let all = SignedCheckpoint::parse_all(&String::from_utf8_lossy(&bytes));
    let all = all.map_err(|source| TrustProblem::Anchor { path: path.to_owned(), source })?;
    if all.is_empty() { Err(TrustProblem::NoAnchor(path.to_owned())) } else { Ok(all) }
}
