//! The file of payload keys: one slot of 32 bytes a key, by number.
//!
//! A file of its own and no database: a key lies on it once, in one place, and is destroyed by writing over it. A database would
//! keep copies in its log, in free pages and where it has moved rows.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use zeroize::Zeroizing;

use crate::error::OpenProblem;
use crate::seal::{KEY_BYTES, PayloadKey};
use crate::state::{StatePaths, private_file};

/// What the file begins with.
const MAGIC: &[u8; 8] = b"BWLKEYS1";

/// Bytes by which a ledger knows its vault.
pub(crate) const VAULT_ID_BYTES: usize = KEY_BYTES - MAGIC.len();

/// Keys drawn and written at a time, so that a new data subject costs no fsync of its own.
const KEYS_AT_ONCE: u64 = 256;

/// The number of the key for payloads about nobody.
pub(crate) const NOBODY: u64 = 1;

/// The keys of a state folder.
#[derive(Debug)]
pub(crate) struct Vault {
    file: File,
    id: [u8; VAULT_ID_BYTES],
    /// Slots in the file, the one at the beginning included.
    slots: u64,
}

impl Vault {
    /// Makes the vault of a new ledger, or writes over one that a crash has left without a ledger.
    pub(crate) fn create(paths: &StatePaths) -> Result<Self, OpenProblem> {
        let problem = |problem| OpenProblem::file("write", &paths.payload_keys, problem);
        let file = private_file().read(true).write(true).create(true).truncate(true).open(&paths.payload_keys).map_err(problem)?;
        let mut id = [0; VAULT_ID_BYTES];
        getrandom::fill(&mut id).map_err(|problem| OpenProblem::System { source: problem.into() })?;
        file.write_all_at(MAGIC, 0).and_then(|()| file.write_all_at(&id, MAGIC.len() as u64)).map_err(problem)?;
        let mut vault = Self { file, id, slots: 1 };
        vault.extend().map_err(problem)?;
        paths.sync_folder()?;
        Ok(vault)
    }

    /// Opens the vault of a ledger; `None` when there is none.
    pub(crate) fn open(paths: &StatePaths, is_writer: bool) -> Result<Option<Self>, OpenProblem> {
        let path = &paths.payload_keys;
        let file = match private_file().read(true).write(is_writer).open(path) {
            Ok(file) => file,
            Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(OpenProblem::file("read", path, problem)),
        };
        let mut head = [0; KEY_BYTES];
        let wrong = || OpenProblem::PayloadKeys { path: path.clone(), reason: "is not a file of payload keys" };
        file.read_exact_at(&mut head, 0).map_err(|_| wrong())?;
        let id = head.strip_prefix(MAGIC).and_then(|id| id.try_into().ok()).ok_or_else(wrong)?;
        let bytes = file.metadata().map_err(|problem| OpenProblem::file("read", path, problem))?.len();
        Ok(Some(Self { file, id, slots: bytes / KEY_BYTES as u64 }))
    }

    /// Gives what the ledger keeps to recognise its vault.
    pub(crate) fn id(&self) -> &[u8; VAULT_ID_BYTES] {
        &self.id
    }

    /// Gives a key; `None` when it was destroyed, or never made.
    pub(crate) fn key(&self, number: u64) -> std::io::Result<Option<PayloadKey>> {
        let Some(at) = number.checked_mul(KEY_BYTES as u64).filter(|_| number > 0) else { return Ok(None) };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match self.file.read_exact_at(key.as_mut(), at) {
            Ok(()) => Ok(key.iter().any(|byte| *byte != 0).then(|| PayloadKey::new(&key))),
            Err(problem) if problem.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Gives the first usable key after a number, and its own. Makes more when they are used up.
    pub(crate) fn key_after(&mut self, number: u64) -> std::io::Result<(u64, PayloadKey)> {
        let mut next = number;
        loop {
            next += 1;
            while next >= self.slots {
                self.extend()?;
            }
            // A slot that a crash left empty is passed over: it would be taken for a destroyed key.
            if let Some(key) = self.key(next)? {
                return Ok((next, key));
            }
        }
    }

    /// Destroys a key: what was sealed with it can never be read again. It is gone from the disk, as far as the disk writes over what
    /// it is told to, when this returns.
    pub(crate) fn destroy(&self, number: u64) -> std::io::Result<()> {
        if number > NOBODY && number < self.slots {
            self.file.write_all_at(&[0; KEY_BYTES], number * KEY_BYTES as u64)?;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn extend(&mut self) -> std::io::Result<()> {
        let mut keys = Zeroizing::new([[0; KEY_BYTES]; KEYS_AT_ONCE as usize]);
        getrandom::fill(keys.as_flattened_mut())?;
        self.file.write_all_at(keys.as_flattened(), self.slots * KEY_BYTES as u64)?;
        self.file.sync_all()?;
        self.slots += KEYS_AT_ONCE;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn bytes(paths: &StatePaths) -> Vec<u8> {
        std::fs::read(&paths.payload_keys).unwrap()
    }

    #[test]
    fn keys_are_made_ahead_kept_and_destroyed_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(folder.path());
        let mut vault = Vault::create(&paths).unwrap();
        assert_eq!(std::fs::metadata(&paths.payload_keys).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(bytes(&paths).len(), 257 * 32);
        assert!(vault.key(0).unwrap().is_none(), "the beginning of the file is no key");
        assert!(vault.key(NOBODY).unwrap().is_some());
        assert_eq!(vault.key_after(NOBODY).unwrap().0, 2);
        assert_eq!(vault.key_after(255).unwrap().0, 256);
        assert_eq!(bytes(&paths).len(), 257 * 32);
        assert_eq!(vault.key_after(256).unwrap().0, 257);
        assert_eq!(bytes(&paths).len(), 513 * 32);

        let before = bytes(&paths);
        vault.destroy(7).unwrap();
        assert!(vault.key(7).unwrap().is_none());
        assert_eq!(vault.key_after(6).unwrap().0, 8);
        let after = bytes(&paths);
        assert_eq!((&before[..7 * 32], &before[8 * 32..]), (&after[..7 * 32], &after[8 * 32..]));
        assert_eq!(after[7 * 32..8 * 32], [0; 32]);
        // Nobody's key is never destroyed, nor is the beginning of the file.
        vault.destroy(NOBODY).unwrap();
        vault.destroy(0).unwrap();
        assert_eq!(bytes(&paths), after);

        let again = Vault::open(&paths, false).unwrap().unwrap();
        assert_eq!(again.id(), vault.id());
        assert!(again.key(7).unwrap().is_none() && again.key(8).unwrap().is_some() && again.key(600).unwrap().is_none());
    }

    #[test]
    fn what_a_crash_left_half_written_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(folder.path());
        drop(Vault::create(&paths).unwrap());
        let mut torn = bytes(&paths);
        torn.extend_from_slice(&[0; 40]);
        std::fs::write(&paths.payload_keys, &torn).unwrap();
        let mut vault = Vault::open(&paths, true).unwrap().unwrap();
        assert_eq!(vault.key_after(256).unwrap().0, 258);
        for bad in [b"BWLKEYS2 and so on, 32 bytes or more".as_slice(), b"BWL"] {
            std::fs::write(&paths.payload_keys, bad).unwrap();
            assert!(matches!(Vault::open(&paths, false), Err(OpenProblem::PayloadKeys { .. })));
        }
    }
}
