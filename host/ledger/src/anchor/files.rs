//! Anchor files: one checkpoint after the other.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::checkpoint::{SignedCheckpoint, TORN};
use crate::error::OpenProblem;

/// Most bytes of an anchor file that is taken at a start, some 250 000 checkpoints: all of it is read into memory.
pub const ANCHOR_FILE_BYTES: u64 = 64 << 20;

/// A file to which checkpoints are appended.
#[derive(Debug)]
pub(crate) struct AnchorFile {
    path: PathBuf,
    /// The last checkpoint in it.
    last: Option<SignedCheckpoint>,
    is_torn: bool,
}

impl AnchorFile {
    /// Opens a file to append to it, and makes it where there is none, so that a place that takes nothing is refused now.
    pub(crate) fn open(path: &Path, state: &Path) -> Result<Self, OpenProblem> {
        let unusable = |reason: String| OpenProblem::Anchor { path: path.to_owned(), reason };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|problem| unusable(format!("its folder `{}`: {problem}", folder.display())))?;
        // A link in the folder may lead back in.
        let place = path.canonicalize().unwrap_or(folder);
        if state.canonicalize().is_ok_and(|state| place.starts_with(state)) {
            return Err(OpenProblem::AnchorInside { path: path.to_owned() });
        }
        // Before it is opened: to open a pipe may wait for ever, and a device need not end.
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(unusable("it is no regular file".to_owned())),
            Err(problem) if problem.kind() != ErrorKind::NotFound => return Err(unusable(problem.to_string())),
            _ => {}
        }
        let opened = OpenOptions::new().read(true).append(true).create(true).open(path);
        let bytes = opened.and_then(read_bounded).map_err(|problem| unusable(problem.to_string()))?;
        let bytes = bytes.ok_or_else(|| {
            unusable(format!("it has more than {} MiB: keep it, and begin a new file under another name", ANCHOR_FILE_BYTES >> 20))
        })?;
        // One that was torn may end in the middle of a character.
        let text = String::from_utf8_lossy(&bytes);
        let all = SignedCheckpoint::parse_all(&text).map_err(|source| OpenProblem::Checkpoints { path: path.to_owned(), source })?;
        if all.is_empty() && !text.is_empty() {
            return Err(unusable("there is something else than checkpoints in it: name a new file".to_owned()));
        }
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

/// Reads a file; `None` when it has more than [`ANCHOR_FILE_BYTES`].
fn read_bounded(file: File) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = file.take(ANCHOR_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((read as u64 <= ANCHOR_FILE_BYTES).then_some(bytes))
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

    #[test]
    fn what_takes_no_checkpoints_is_refused_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let path = |name: &str| folder.path().join(name);
        let reason = |place: &Path| match AnchorFile::open(place, &state) {
            Err(OpenProblem::Anchor { reason, .. }) => reason,
            Err(OpenProblem::Checkpoints { .. }) => "something else".to_owned(),
            other => panic!("{}: {other:?}", place.display()),
        };
        std::fs::write(path("file"), "").unwrap();
        assert!(reason(&path("not/there/anchor")).contains("its folder"));
        assert!(reason(&path("file/anchor")).contains("Not a directory"));
        for no_file in ["/dev/full", "/dev/zero", folder.path().to_str().unwrap()] {
            assert_eq!(reason(Path::new(no_file)), "it is no regular file");
        }
        for junk in ["x", "junk\n", "# a title\n\ntext\n", "\u{0}\u{1}"] {
            std::fs::write(path("junk"), junk).unwrap();
            assert!(reason(&path("junk")).contains("something else"), "{junk}");
        }
        // Junk after a checkpoint is no beginning of one.
        let key = HostKey::draft(&StatePaths::new(&state), None).unwrap();
        let one = sign(&key, 1, Digest::of(b"root")).unwrap().0;
        std::fs::write(path("junk"), format!("{one}\nno name\n")).unwrap();
        assert!(matches!(AnchorFile::open(&path("junk"), &state), Err(OpenProblem::Checkpoints { .. })));
        // A link into the state folder.
        std::os::unix::fs::symlink(state.join("anchor"), path("link")).unwrap();
        std::fs::write(state.join("anchor"), "").unwrap();
        assert!(matches!(AnchorFile::open(&path("link"), &state), Err(OpenProblem::AnchorInside { .. })));
        // Just at the bound the length is no reason, just over it is.
        let long = File::create(path("long")).unwrap();
        long.set_len(ANCHOR_FILE_BYTES).unwrap();
        assert!(reason(&path("long")).contains("something else"));
        long.set_len(ANCHOR_FILE_BYTES + 1).unwrap();
        assert!(reason(&path("long")).contains("begin a new file"));
        // What is refused stays as it was, what is taken is there.
        assert_eq!(std::fs::metadata(path("long")).unwrap().len(), ANCHOR_FILE_BYTES + 1);
        assert!(AnchorFile::open(&path("anchor"), &state).is_ok() && path("anchor").is_file());
    }
}
