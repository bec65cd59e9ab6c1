//! What keeps payloads from being guessed or linked: salts (and nonces), and the key under which data subjects are filed.

use std::io::{ErrorKind, Read as _, Write as _};

use bailiwick_core::ids::{Digest, SubjectId, TenantId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::error::OpenProblem;
use crate::seal::NONCE_BYTES;
use crate::state::{StatePaths, private_file};

/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 32;

/// Salts drawn from the operating system at a time; one call for each would cost more than the hashing.
const SALTS_AT_ONCE: usize = 128;

/// Bytes of the subject key.
const KEY_BYTES: usize = 32;

/// Bytes that SHA-256 takes at a time.
const BLOCK_BYTES: usize = 64;

/// Computes the commitment to a payload and to whose it is: `subject` is the name under which it is filed, empty for nobody's.
pub(crate) fn commitment(salt: &[u8; SALT_BYTES], subject: &[u8], body: &[u8]) -> Digest {
    // A canonical body begins with `{`; the length before the name keeps the two apart whatever they are.
    let length = (subject.len() as u64).to_be_bytes();
    Digest::from_bytes(Sha256::new().chain_update(salt).chain_update(length).chain_update(subject).chain_update(body).finalize().into())
}

/// A salt and the nonce to seal it with.
pub(crate) type SaltAndNonce = ([u8; SALT_BYTES], [u8; NONCE_BYTES]);

/// Random salts and nonces from the operating system.
#[derive(Default)]
pub(crate) struct Salts {
    drawn: Vec<[u8; SALT_BYTES + NONCE_BYTES]>,
}

impl Salts {
    /// Gives a salt and a nonce that were never given before.
    pub(crate) fn next(&mut self) -> Result<SaltAndNonce, getrandom::Error> {
        if self.drawn.is_empty() {
            let mut bytes = [[0; SALT_BYTES + NONCE_BYTES]; SALTS_AT_ONCE];
            getrandom::fill(bytes.as_flattened_mut())?;
            self.drawn.extend_from_slice(&bytes);
        }
        let drawn = self.drawn.pop().ok_or(getrandom::Error::UNEXPECTED)?;
        let (salt, nonce) = drawn.split_first_chunk().ok_or(getrandom::Error::UNEXPECTED)?;
        Ok((*salt, nonce.try_into().map_err(|_| getrandom::Error::UNEXPECTED)?))
    }
}

/// The key under which data subjects are filed: without it, the ledger's file does not tell whose payload is whose.
#[derive(Clone)]
pub(crate) struct SubjectKey([u8; KEY_BYTES]);

impl SubjectKey {
    /// Reads the key of a state folder; `None` when there is none.
    pub(crate) fn read(paths: &StatePaths) -> Result<Option<Self>, OpenProblem> {
        let path = &paths.subject_key;
        let mut file = match private_file().read(true).open(path) {
            Ok(file) => file,
            Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(OpenProblem::file("read", path, problem)),
        };
        let mut key = [0; KEY_BYTES];
        let bad = || OpenProblem::SubjectKey { path: path.clone(), reason: "is not 32 bytes long" };
        file.read_exact(&mut key).map_err(|_| bad())?;
        if file.read(&mut [0]).map_err(|problem| OpenProblem::file("read", path, problem))? != 0 {
            return Err(bad());
        }
        Ok(Some(Self(key)))
    }

    /// Makes the key of a new state folder. It is on disk, with its name, when this returns.
    pub(crate) fn create(paths: &StatePaths) -> Result<Self, OpenProblem> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|problem| OpenProblem::System { source: problem.into() })?;
        // Under another name first, so that a crash leaves no half key behind.
        let draft = paths.subject_key.with_extension("key.new");
        let problem = |problem| OpenProblem::file("write", &draft, problem);
        let mut file = private_file().write(true).create(true).truncate(true).open(&draft).map_err(problem)?;
        file.write_all(&key).and_then(|()| file.sync_all()).map_err(problem)?;
        std::fs::rename(&draft, &paths.subject_key).map_err(|problem| OpenProblem::file("write", &paths.subject_key, problem))?;
        paths.sync_folder()?;
        Ok(Self(key))
    }

    /// Gives the name under which a subject of a tenant is filed. Tenants differ, so that the same id in two of them does
    /// not make one person of two.
    pub(crate) fn file_under(&self, tenant: Option<&TenantId>, subject: &SubjectId) -> Digest {
        let tenant = tenant.map_or("", |tenant| tenant.as_str());
        self.mac([b"bailiwick/subject/1".as_slice(), tenant.as_bytes(), subject.as_str().as_bytes()])
    }

    /// Gives what the database keeps to recognise the key.
    pub(crate) fn check_value(&self) -> Digest {
        self.mac([b"bailiwick/subject-key-check/1".as_slice()])
    }

    fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        // HMAC itself fills a key shorter than a block with zeros; done here, it cannot fail.
        let mut block = [0; BLOCK_BYTES];
        let (head, _) = block.split_at_mut(KEY_BYTES);
        head.copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn salts_do_not_repeat() {
        let mut salts = Salts::default();
        let drawn: HashSet<_> = (0..3 * SALTS_AT_ONCE).map(|_| salts.next().unwrap()).collect();
        assert_eq!(drawn.len(), 3 * SALTS_AT_ONCE);
    }

    #[test]
    fn a_key_reads_back_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(folder.path());
        assert!(SubjectKey::read(&paths).unwrap().is_none());
        let made = SubjectKey::create(&paths).unwrap();
        assert_eq!(SubjectKey::read(&paths).unwrap().unwrap().0, made.0);
        assert_eq!(std::fs::metadata(&paths.subject_key).unwrap().permissions().mode() & 0o777, 0o600);
        for bad in [31, 33] {
            std::fs::write(&paths.subject_key, vec![1; bad]).unwrap();
            assert!(matches!(SubjectKey::read(&paths), Err(OpenProblem::SubjectKey { .. })));
        }
    }

    #[test]
    fn subjects_are_told_apart_by_key_tenant_and_id() {
        let (a, b) = (SubjectKey([1; KEY_BYTES]), SubjectKey([2; KEY_BYTES]));
        let name = |key: &SubjectKey, tenant: &str, id: &str| key.file_under(Some(&tenant.into()), &id.into());
        assert_eq!(name(&a, "t", "C-1"), name(&a, "t", "C-1"));
        let all =
            [name(&a, "t", "C-1"), name(&b, "t", "C-1"), name(&a, "u", "C-1"), name(&a, "t", "C-2"), name(&a, "tC", "-1"), a.check_value()];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
