//! The key that signs the ledger: who holds it, where it lies, and how one takes the place of another.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use bailiwick_core::ids::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::error::OpenProblem;
use crate::note::{NoteSignature, SIGNATURE_BYTES, VerifierKey};
use crate::state::{StatePaths, private_file};

/// Bytes of a private key.
const SEED_BYTES: usize = 32;

/// Most bytes of a key file: a name and some 70 more.
const FILE_BYTES: u64 = 4_096;

/// What a private key's text begins with, as in Go's `sumdb/note`.
const PREFIX: &str = "PRIVATE+KEY+";

/// Signs the ledger's checkpoints. The host's own key lies in the state folder; a signer elsewhere (a hardware module, a service of
/// another machine) takes its place by this trait.
///
/// It is asked once a batch, on the writer thread, so its time is added to every commit.
pub trait Signer: Send + Sync {
    /// Gives the public key. Its name is the ledger's origin.
    fn verifier_key(&self) -> &VerifierKey;

    /// Signs a text with Ed25519.
    ///
    /// # Errors
    /// When it cannot. The ledger then fails for good, as when the disk cannot be written.
    fn sign(&self, text: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignProblem>;
}

/// Why a signer could not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint cannot be signed: {0}")]
pub struct SignProblem(pub String);

/// Signs a checkpoint.
pub(crate) fn sign(signer: &dyn Signer, size: u64, root: Digest) -> Result<(SignedCheckpoint, [u8; SIGNATURE_BYTES]), SignProblem> {
    let key = signer.verifier_key();
    let checkpoint = Checkpoint { origin: key.name().to_owned(), size, root };
    let signature = signer.sign(checkpoint.to_text().as_bytes())?;
    Ok((SignedCheckpoint::new(checkpoint, NoteSignature::new(key, &signature)), signature))
}

/// The host's own key.
pub(crate) struct HostKey {
    signing: SigningKey,
    verifier: VerifierKey,
}

impl Signer for HostKey {
    fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignProblem> {
        self.signing.try_sign(text).map(|signature| signature.to_bytes()).map_err(|problem| SignProblem(problem.to_string()))
    }
}

impl HostKey {
    /// Makes a key and writes it where it waits to be promoted: it counts from the commit on that names it. Without an origin, the
    /// ledger is named by its first key.
    pub(crate) fn draft(paths: &StatePaths, origin: Option<&str>) -> Result<Self, OpenProblem> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(seed.as_mut()).map_err(|problem| OpenProblem::System { source: problem.into() })?;
        let signing = SigningKey::from_bytes(&seed);
        let by_key = || format!("bailiwick/{}", Digest::of(signing.verifying_key().as_bytes()).to_short());
        let origin = origin.map_or_else(by_key, str::to_owned);
        let verifier = VerifierKey::ed25519(&origin, signing.verifying_key())
            .map_err(|problem| OpenProblem::SigningKey { path: paths.next_key.clone(), reason: problem.to_string() })?;
        let key = Self { signing, verifier };
        let problem = |problem| OpenProblem::file("write", &paths.next_key, problem);
        let mut file = private_file().write(true).create(true).truncate(true).open(&paths.next_key).map_err(problem)?;
        file.write_all(key.to_file().as_bytes()).and_then(|()| file.sync_all()).map_err(problem)?;
        paths.sync_folder()?;
        Ok(key)
    }

    /// Puts the key that waits into its place; the one before is gone with that.
    pub(crate) fn promote(paths: &StatePaths) -> Result<(), OpenProblem> {
        std::fs::rename(&paths.next_key, &paths.signing_key).map_err(|problem| OpenProblem::file("write", &paths.signing_key, problem))?;
        paths.sync_folder()
    }

    /// Reads the key that the ledger names. One that waits counts when it is the one named: the host stopped between the
    /// commit and the promotion.
    pub(crate) fn take(paths: &StatePaths, named: &VerifierKey) -> Result<Self, OpenProblem> {
        let is_named = |key: &Self| key.verifier == *named;
        if let Some(next) = Self::read(&paths.next_key)? {
            if is_named(&next) {
                Self::promote(paths)?;
                return Ok(next);
            }
            std::fs::remove_file(&paths.next_key).map_err(|problem| OpenProblem::file("remove", &paths.next_key, problem))?;
        }
        let wrong = |reason: &str| OpenProblem::SigningKey { path: paths.signing_key.clone(), reason: reason.to_owned() };
        let key = Self::read(&paths.signing_key)?.ok_or_else(|| wrong("it is missing"))?;
        if is_named(&key) { Ok(key) } else { Err(wrong("it is not the one that the ledger is signed with")) }
    }

    fn read(path: &Path) -> Result<Option<Self>, OpenProblem> {
        let file = match private_file().read(true).open(path) {
            Ok(file) => file,
            Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(OpenProblem::file("read", path, problem)),
        };
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(FILE_BYTES).read_to_string(&mut text).map_err(|problem| OpenProblem::file("read", path, problem))?;
        let bad = || OpenProblem::SigningKey { path: path.to_owned(), reason: "it is not a signing key".to_owned() };
        Self::from_file(text.trim_end()).map(Some).ok_or_else(bad)
    }

    fn to_file(&self) -> Zeroizing<String> {
        let mut key = Zeroizing::new(vec![0x01]);
        key.extend_from_slice(self.signing.as_bytes());
        let encoded = Zeroizing::new(BASE64.encode(key.as_slice()));
        let (name, id) = (self.verifier.name(), hex::encode(self.verifier.id()));
        Zeroizing::new(format!("{PREFIX}{name}+{id}+{}\n", encoded.as_str()))
    }

    fn from_file(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = Zeroizing::new(BASE64.decode(key).ok()?);
        let seed = Zeroizing::new(<[u8; SEED_BYTES]>::try_from(key.strip_prefix(&[0x01])?).ok()?);
        let signing = SigningKey::from_bytes(&seed);
        let verifier = VerifierKey::ed25519(name, signing.verifying_key()).ok()?;
        (hex::encode(verifier.id()) == id).then_some(Self { signing, verifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::SignatureState;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_counts_when_it_is_named_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(folder.path());
        let first = HostKey::draft(&paths, None).unwrap();
        assert!(!paths.signing_key.exists());
        assert_eq!(std::fs::metadata(&paths.next_key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(HostKey::take(&paths, &first.verifier).is_ok());
        assert!(paths.signing_key.exists() && !paths.next_key.exists());

        // One that was made and never named is thrown away.
        let second = HostKey::draft(&paths, Some(first.verifier.name())).unwrap();
        let taken = HostKey::take(&paths, &first.verifier).unwrap();
        assert_eq!(taken.verifier, first.verifier);
        assert!(!paths.next_key.exists());
        assert!(matches!(HostKey::take(&paths, &second.verifier), Err(OpenProblem::SigningKey { .. })));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(folder.path());
        let key = HostKey::draft(&paths, Some("example.com/a")).unwrap();
        let text = key.to_file();
        assert_eq!(HostKey::from_file(text.trim_end()).unwrap().verifier, key.verifier);
        for bad in [&text.replace("com/a", "com/b"), &text[4..], &text[..40], ""] {
            std::fs::write(&paths.signing_key, bad).unwrap();
            assert!(matches!(HostKey::read(&paths.signing_key), Err(OpenProblem::SigningKey { .. })), "{bad}");
        }
        assert!(HostKey::draft(&paths, Some("no name")).is_err());
    }

    #[test]
    fn another_implementation_opens_what_is_signed_here() {
        use signed_note::{Note, StandardVerifier, Verifier as _, VerifierList};
        let folder = tempfile::tempdir().unwrap();
        let key = HostKey::draft(&StatePaths::new(folder.path()), Some("example.com/a")).unwrap();
        let (signed, _) = sign(&key, 7, Digest::of(b"root")).unwrap();
        assert_eq!(key.verifier.open(signed.note()), SignatureState::Good(None));
        let theirs = StandardVerifier::new(&key.verifier.to_string()).unwrap();
        assert_eq!(theirs.key_id(), u32::from_be_bytes(key.verifier.id()));
        let note = Note::from_bytes(signed.to_string().as_bytes()).unwrap();
        let (verified, unknown) = note.verify(&VerifierList::new(vec![Box::new(theirs)])).unwrap();
        assert_eq!((verified.len(), unknown.len()), (1, 0));
    }
}
