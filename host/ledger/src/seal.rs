//! Sealing of payloads: XAES-256-GCM (C2SP) under the data subject's key, before the database sees them.
//!
//! AES-256-GCM with nonces that may be drawn at random. XChaCha20-Poly1305 would do as well and took three times as long for texts as short
//! as these, which the writer thread would have had to pay.

use bailiwick_core::ids::Seq;
use xaes_256_gcm::aead::{AeadInOut as _, KeyInit as _};
use xaes_256_gcm::{Nonce, Tag, Xaes256Gcm};

use crate::secrets::SALT_BYTES;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// Bytes of a nonce. So many that random ones do not repeat, however many payloads one key seals; numbers would repeat when a ledger
/// is restored from a backup.
pub(crate) const NONCE_BYTES: usize = 24;

const TAG_BYTES: usize = 16;

/// Bytes before a payload's own in the buffer that is sealed: nonce and salt.
pub(crate) const BEFORE_BODY: usize = NONCE_BYTES + SALT_BYTES;

/// A key for the payloads of one data subject. Cleared from memory when dropped.
#[derive(Clone)]
pub(crate) struct PayloadKey(Xaes256Gcm);

impl std::fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PayloadKey")
    }
}

/// What a sealed payload is bound to: its record and the name under which it is filed (none for nobody's), so that it opens nowhere else.
fn bound_to(seq: Seq, filed_under: &[u8]) -> ([u8; 8 + 32], usize) {
    let mut bytes = [0; 40];
    let parts = seq.0.to_be_bytes().into_iter().chain(filed_under.iter().copied());
    let mut length = 0;
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = from;
        length += 1;
    }
    (bytes, length)
}

impl PayloadKey {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Xaes256Gcm::new(key.into()))
    }

    /// Seals a buffer of nonce, salt and body in place and appends the tag. The salt is sealed too: it goes with the key, and without it
    /// a commitment cannot even be compared with a guess. `None` when the buffer is too short or too long.
    pub(crate) fn seal(&self, buffer: &mut Vec<u8>, seq: Seq, filed_under: &[u8]) -> Option<()> {
        let (bytes, length) = bound_to(seq, filed_under);
        let (nonce, rest) = buffer.split_first_chunk_mut::<NONCE_BYTES>()?;
        let nonce = Nonce::from(*nonce);
        let tag = self.0.encrypt_inout_detached(&nonce, bytes.get(..length)?, rest.into()).ok()?;
        buffer.extend_from_slice(&tag);
        Some(())
    }

    /// Opens what was sealed, and gives salt and body in `out`. `None` when it is not what this key has sealed for this record and name.
    pub(crate) fn open<'a>(
        &self,
        sealed: &[u8],
        seq: Seq,
        filed_under: &[u8],
        out: &'a mut Vec<u8>,
    ) -> Option<(&'a [u8; SALT_BYTES], &'a [u8])> {
        let (bytes, length) = bound_to(seq, filed_under);
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        out.clear();
        out.extend_from_slice(text);
        self.0.decrypt_inout_detached(&Nonce::from(*nonce), bytes.get(..length)?, out.as_mut_slice().into(), &Tag::from(*tag)).ok()?;
        out.split_first_chunk::<SALT_BYTES>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_record_its_name_and_its_key_alone() {
        let key = PayloadKey::new(&[1; 32]);
        let mut sealed = [&[2; NONCE_BYTES], [3; SALT_BYTES].as_slice(), b"{\"a\":1}"].concat();
        key.seal(&mut sealed, Seq(5), &[6; 32]).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"{\"a\":1}"));
        let mut out = Vec::new();
        assert_eq!(key.open(&sealed, Seq(5), &[6; 32], &mut out).unwrap(), (&[3; 32], b"{\"a\":1}".as_slice()));
        assert!(key.open(&sealed, Seq(6), &[6; 32], &mut out).is_none());
        assert!(key.open(&sealed, Seq(5), &[7; 32], &mut out).is_none());
        assert!(key.open(&sealed, Seq(5), &[], &mut out).is_none());
        assert!(PayloadKey::new(&[2; 32]).open(&sealed, Seq(5), &[6; 32], &mut out).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed, Seq(5), &[6; 32], &mut out).is_none(), "{at}");
            assert!(key.open(&sealed[..at], Seq(5), &[6; 32], &mut out).is_none(), "{at}");
        }
    }

    #[test]
    fn the_test_vector_of_the_specification_is_met() {
        let mut buffer = b"XAES-256-GCM".to_vec();
        let nonce = Nonce::from(*b"ABCDEFGHIJKLMNOPQRSTUVWX");
        let cipher = Xaes256Gcm::new(&[3; 32].into());
        let tag = cipher.encrypt_inout_detached(&nonce, b"c2sp.org/XAES-256-GCM", buffer.as_mut_slice().into()).unwrap();
        assert_eq!(hex::encode([buffer, tag.to_vec()].concat()), "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
    }
}
