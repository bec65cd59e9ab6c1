//! The state folder: where the ledger's files lie, and who is its executor.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::checkpoint::SignedCheckpoint;
use crate::error::{Holder, OpenProblem};

/// Longest text of a lock file that is read: two numbers and their names.
const LOCK_TEXT_BYTES: u64 = 128;

/// Paths of the ledger's files in a state folder.
#[derive(Debug, Clone)]
pub(crate) struct StatePaths {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Held by the executor.
    pub(crate) lock: PathBuf,
    /// The database.
    pub(crate) ledger: PathBuf,
    /// The key for data subjects.
    pub(crate) subject_key: PathBuf,
    /// The keys that payloads are sealed with.
    pub(crate) payload_keys: PathBuf,
    /// The key that checkpoints are signed with.
    pub(crate) signing_key: PathBuf,
    /// The signing key that waits for the commit that names it.
    pub(crate) next_key: PathBuf,
    /// The last checkpoint, by which a ledger that was taken away or set back is missed.
    pub(crate) checkpoint: PathBuf,
}

impl StatePaths {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            folder: state.to_owned(),
            lock: state.join("lock"),
            ledger: state.join("ledger.sqlite"),
            subject_key: state.join("subject.key"),
            payload_keys: state.join("payload.keys"),
            signing_key: state.join("signing.key"),
            next_key: state.join("signing.key.next"),
            checkpoint: state.join("ledger.checkpoint"),
        }
    }

    /// Makes the folder, readable by its owner alone, unless it exists.
    pub(crate) fn create_folder(&self) -> Result<(), OpenProblem> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|problem| OpenProblem::file("create", &self.folder, problem))
    }

    /// Makes the names of new files durable.
    pub(crate) fn sync_folder(&self) -> Result<(), OpenProblem> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|problem| OpenProblem::file("sync", &self.folder, problem))
    }
}

/// Replaces a small file, so that it holds the old or the new bytes whenever the machine stops.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), OpenProblem> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let problem = |problem| OpenProblem::file("write", &draft, problem);
    let mut file = private_file().write(true).create(true).truncate(true).open(&draft).map_err(problem)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(problem)?;
    std::fs::rename(&draft, path).map_err(|problem| OpenProblem::file("write", path, problem))
}

/// Reads the checkpoint that the host has anchored last; `None` when there is none that could be read.
pub(crate) fn kept_checkpoint(paths: &StatePaths) -> Option<SignedCheckpoint> {
    std::fs::read_to_string(&paths.checkpoint).ok()?.parse().ok()
}

/// Options for files that belong to the owner alone. A symbolic link in the place of one is refused, so that nobody can
/// have us write elsewhere.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// The executor role of a state folder; given back when dropped, also when the process dies.
#[derive(Debug)]
pub(crate) struct ExecutorLock {
    file: File,
}

impl ExecutorLock {
    /// Takes the role.
    pub(crate) fn take(paths: &StatePaths) -> Result<Self, OpenProblem> {
        let problem = |problem: std::io::Error| OpenProblem::file("lock", &paths.lock, problem);
        let mut file = private_file().read(true).write(true).create(true).truncate(false).open(&paths.lock).map_err(problem)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(OpenProblem::Held { state: paths.folder.clone(), holder: read_holder(&mut file) });
            }
            Err(errno) => return Err(problem(errno.into())),
        }
        // What a dead executor left must not be taken for us.
        file.set_len(0).map_err(problem)?;
        Ok(Self { file })
    }

    /// Says who holds the role, for the message that another executor gives.
    pub(crate) fn announce(&mut self, epoch: u64) -> std::io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(format!("pid {}\nepoch {epoch}\n", std::process::id()).as_bytes())
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(LOCK_TEXT_BYTES).read_to_string(&mut text).ok()?;
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(Holder { pid: number("pid ")?.try_into().ok()?, epoch: number("epoch ")? })
}

/// Whether a file is absent or empty.
pub(crate) fn is_blank(path: &Path) -> Result<bool, OpenProblem> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file() && metadata.len() == 0),
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(true),
        Err(problem) => Err(OpenProblem::file("read", path, problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_one_takes_the_role_and_the_other_learns_who() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(&folder.path().join("a/b"));
        paths.create_folder().unwrap();
        assert_eq!(std::fs::metadata(&paths.folder).unwrap().permissions().mode() & 0o777, 0o700);
        let mut lock = ExecutorLock::take(&paths).unwrap();
        assert!(matches!(ExecutorLock::take(&paths), Err(OpenProblem::Held { holder: None, .. })));
        lock.announce(7).unwrap();
        let Err(OpenProblem::Held { holder: Some(holder), .. }) = ExecutorLock::take(&paths) else { panic!("held") };
        assert_eq!(holder, Holder { pid: std::process::id(), epoch: 7 });
        drop(lock);
        assert!(ExecutorLock::take(&paths).is_ok());
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(folder.path());
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &paths.lock).unwrap();
        assert!(matches!(ExecutorLock::take(&paths), Err(OpenProblem::File { .. })));
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
