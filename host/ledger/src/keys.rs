//! Which key seals whose payloads: data subjects are given keys from the vault, and the ledger keeps who has which.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_core::ids::{Digest, Seq};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::seal::PayloadKey;
use crate::vault::{NOBODY, Vault};

/// Data subjects whose keys are held ready; more are looked up again.
const READY: usize = 4_096;

/// Why a payload has no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyProblem {
    #[error("{0}")]
    Storage(#[from] rusqlite::Error),
    #[error("the payload keys cannot be read or written: {0}")]
    Vault(#[from] std::io::Error),
    #[error("payload key {0} is gone from the file of payload keys: restore it from a backup")]
    Gone(u64),
}

/// Gives each data subject its key. Belongs to whoever writes.
pub(crate) struct KeyBook {
    vault: Vault,
    nobody: Arc<PayloadKey>,
    /// The last key that was given to a subject.
    last: u64,
    ready: HashMap<Digest, (u64, Arc<PayloadKey>)>,
}

impl KeyBook {
    pub(crate) fn new(vault: Vault, last: u64) -> Result<Self, KeyProblem> {
        let nobody = Arc::new(vault.key(NOBODY)?.ok_or(KeyProblem::Gone(NOBODY))?);
        Ok(Self { vault, nobody, last: last.max(NOBODY), ready: HashMap::new() })
    }

    /// Gives the number and the key for a subject, by the name under which it is filed. A subject without one is given the next of the
    /// vault, within the transaction of its first payload.
    pub(crate) fn key_for(&mut self, within: &Connection, subject: Option<&Digest>) -> Result<(u64, Arc<PayloadKey>), KeyProblem> {
        let Some(subject) = subject else { return Ok((NOBODY, Arc::clone(&self.nobody))) };
        if let Some((number, key)) = self.ready.get(subject) {
            return Ok((*number, Arc::clone(key)));
        }
        if self.ready.len() >= READY {
            self.ready.clear();
        }
        let (number, key) = self.find_or_give(within, subject)?;
        let key = Arc::new(key);
        self.ready.insert(*subject, (number, Arc::clone(&key)));
        Ok((number, key))
    }

    fn find_or_give(&mut self, within: &Connection, subject: &Digest) -> Result<(u64, PayloadKey), KeyProblem> {
        if let Some(number) = number_of(within, subject)? {
            let key = self.vault.key(number)?.ok_or(KeyProblem::Gone(number))?;
            return Ok((number, key));
        }
        let (number, key) = self.vault.key_after(self.last)?;
        within.prepare_cached("INSERT INTO subjects VALUES (?1, ?2)")?.execute(params![subject.as_bytes(), number.cast_signed()])?;
        within.prepare_cached("UPDATE host SET last_key = ?1")?.execute([number.cast_signed()])?;
        self.last = number;
        Ok((number, key))
    }

    /// Forgets a subject's key: the next payload about it gets another.
    pub(crate) fn forget(&mut self, subject: &Digest) {
        self.ready.remove(subject);
    }

    /// Destroys the keys that the ledger has given up, and then what it remembers of them.
    pub(crate) fn destroy_doomed(&self, connection: &Connection) -> Result<(), KeyProblem> {
        let mut statement = connection.prepare_cached("SELECT key FROM doomed")?;
        let doomed: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for number in doomed {
            self.vault.destroy(number.cast_unsigned())?;
            connection.prepare_cached("DELETE FROM doomed WHERE key = ?1")?.execute([number])?;
        }
        Ok(())
    }
}

/// Gives the number of a subject's key, where it has one.
pub(crate) fn number_of(connection: &Connection, subject: &Digest) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached("SELECT key FROM subjects WHERE subject = ?1")?;
    statement.query_row([subject.as_bytes()], |row| row.get::<_, i64>(0)).optional().map(|found| found.map(i64::cast_unsigned))
}

/// Begins the digest by which an erasure's record names the records whose payloads it destroyed: their sequences in order, eight bytes
/// each, big-endian.
pub(crate) fn erased_hasher() -> Sha256 {
    Sha256::new_with_prefix(b"bailiwick/erased/1")
}

/// Computes that digest.
pub(crate) fn digest_of_erased(erased: impl IntoIterator<Item = Seq>) -> Digest {
    let mut hasher = erased_hasher();
    erased.into_iter().for_each(|seq| hasher.update(seq.0.to_be_bytes()));
    Digest::from_bytes(hasher.finalize().into())
}
