//! Anchor files: one checkpoint after the other.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::checkpoint::{SignedCheckpoint, TORN};
use crate::error::OpenProblem;

/// A file to which checkpoints are appended.
#[derive(Debug)]
pub(crate) struct AnchorFile {
    path: PathBuf,
    /// The last checkpoint in it.
    last: Option<SignedCheckpoint>,
    is_torn: bool,
}

impl AnchorFile {
    /// Looks at a file, which need not exist.
    pub(crate) fn open(path: &Path, state: &Path) -> Result<Self, OpenProblem> {
        let place = |path: &Path| path.canonicalize().ok();
        if let (Some(folder), Some(state)) = (path.parent().and_then(place), place(state))
            && folder.starts_with(state)
        {
            return Err(OpenProblem::AnchorInside { path: path.to_owned() });
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(problem) if problem.kind() == ErrorKind::NotFound => Vec::new(),
            Err(problem) => return Err(OpenProblem::file("read", path, problem)),
        };
        // One that was torn may end in the middle of a character.
        let text = String::from_utf8_lossy(&bytes);
        let all = SignedCheckpoint::parse_all(&text).map_err(|source| OpenProblem::Checkpoints { path: path.to_owned(), source })?;
        let is_whole = text.is_empty() || all.last().is_some_and(|last| text.ends_with(&format!("{last}\n")));
        Ok(Self { path: path.to_owned(), last: all.last().cloned(), is_torn: !is_whole })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the last checkpoint in it.
    pub(crate) fn last(&self) -> Option<&SignedCheckpoint> {
        self.last.as_ref()
    }

    /// Appends a checkpoint; it is on disk when this returns.
    pub(crate) fn append(&mut self, checkpoint: &SignedCheckpoint) -> std::io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        let mark = if self.is_torn { format!("\n{TORN}\n\n") } else { String::new() };
        // Until it is whole, the next one has to say so.
        self.is_torn = true;
        file.write_all(format!("{mark}{checkpoint}\n").as_bytes())?;
        file.sync_all()?;
        self.is_torn = false;
        self.last = Some(checkpoint.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{HostKey, sign};
    use crate::state::StatePaths;
    use bailiwick_core::ids::Digest;

    #[test]
    fn checkpoints_are_appended_also_after_one_that_was_torn_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let key = HostKey::draft(&StatePaths::new(&state), None).unwrap();
        let path = folder.path().join("anchor");
        let signed = |size| sign(&key, size, Digest::of(b"root")).unwrap().0;
        let mut file = AnchorFile::open(&path, &state).unwrap();
        assert!(file.last().is_none());
        file.append(&signed(1)).unwrap();
        let one = std::fs::read(&path).unwrap();
        file.append(&signed(2)).unwrap();
        let two = std::fs::read(&path).unwrap();
        assert_eq!(two[..one.len()], one);

        for cut in one.len() + 1..two.len() {
            std::fs::write(&path, &two[..cut]).unwrap();
            let mut file = AnchorFile::open(&path, &state).unwrap();
            file.append(&signed(3)).unwrap();
            let file = AnchorFile::open(&path, &state).unwrap();
            assert_eq!(file.last(), Some(&signed(3)), "{cut}");
            assert!(!file.is_torn);
        }
    }

    #[test]
    fn a_file_in_the_state_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for path in ["anchor", "a/anchor", "a/../anchor"] {
            let problem = AnchorFile::open(&folder.path().join(path), folder.path());
            assert!(matches!(problem, Err(OpenProblem::AnchorInside { .. })), "{path}");
        }
        assert!(AnchorFile::open(&folder.path().join("anchor"), &folder.path().join("a")).is_ok());
    }
}
