//! Signed notes and verifier keys: C2SP's signed-note, and cosignatures of tlog-cosignature (Ed25519).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Bytes of a key id.
pub(crate) const KEY_ID_BYTES: usize = 4;

/// Bytes of an Ed25519 signature.
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// Most bytes of a note that is read: room for far more than the 16 signatures that every reader must take.
pub(crate) const NOTE_BYTES: usize = 64 * 1024;

/// What a key signs, and how; the byte is the one of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    /// The text itself: what a ledger does.
    Ed25519 = 0x01,
    /// The text with the time at which it was seen: what a witness does.
    Cosigner = 0x04,
}

/// Why a text is no note, no key or no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteProblem {
    /// A verifier key cannot be read.
    #[error("`{text}` is not a verifier key (`<name>+<id>+<base64>`, Ed25519): {reason}")]
    Key {
        /// The text.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A note cannot be read.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// A note is no checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// A name cannot be that of a key or of a ledger.
    #[error("`{0}` cannot name a ledger: a name is not empty and has neither spaces nor `+`")]
    Name(String),
}

/// A public key with the name under which it signs; its text form is C2SP's *vkey*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

/// What a key says about a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureState {
    /// The note has no signature of this key.
    Absent,
    /// The note has one that is not this key's.
    Forged,
    /// The key has signed the note; a cosigner says when, in seconds since 1970.
    Good(Option<u64>),
}

/// Whether a text can be the name of a key.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl VerifierKey {
    /// Gives a ledger's key its name.
    pub(crate) fn ed25519(name: &str, key: VerifyingKey) -> Result<Self, NoteProblem> {
        if is_name(name) {
            Ok(Self { name: name.to_owned(), kind: KeyKind::Ed25519, key })
        } else {
            Err(NoteProblem::Name(name.to_owned()))
        }
    }

    /// Makes a ledger's verifier key from the 32 bytes of a public key. For signers outside of this crate.
    ///
    /// # Errors
    /// When the name cannot be one, or the bytes are no public key.
    pub fn from_public(name: &str, key: &[u8; 32]) -> Result<Self, NoteProblem> {
        let reason = "its public key is none";
        let key = VerifyingKey::from_bytes(key).map_err(|_| NoteProblem::Key { text: name.to_owned(), reason })?;
        Self::ed25519(name, key)
    }

    /// Gives the name. A ledger signs under its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the id by which signatures name the key.
    pub fn id(&self) -> [u8; KEY_ID_BYTES] {
        let hash =
            Sha256::new().chain_update(&self.name).chain_update([b'\n', self.kind as u8]).chain_update(self.key.as_bytes()).finalize();
        let [a, b, c, d, ..] = hash.0;
        [a, b, c, d]
    }

    /// Whether the key has made a signature over a text.
    pub(crate) fn has_signed(&self, text: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        // Strict: no two signatures of one key are good for one text, and no weak key is good for any.
        self.key.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
    }

    /// Looks for this key's signature under a note.
    pub fn open(&self, note: &Note) -> SignatureState {
        let id = self.id();
        let mut found = SignatureState::Absent;
        for line in note.signatures.iter().filter(|line| line.name == self.name && line.id == id) {
            match self.opens(&note.text, &line.bytes) {
                Some(time) => found = SignatureState::Good(time),
                None => return SignatureState::Forged,
            }
        }
        found
    }

    /// Gives the time that a good signature says.
    fn opens(&self, text: &str, bytes: &[u8]) -> Option<Option<u64>> {
        match self.kind {
            KeyKind::Ed25519 => self.has_signed(text.as_bytes(), bytes.try_into().ok()?).then_some(None),
            KeyKind::Cosigner => {
                let (time, signature) = bytes.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let text = format!("cosignature/v1\ntime {time}\n{text}");
                self.has_signed(text.as_bytes(), signature.try_into().ok()?).then_some(Some(time))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind as u8];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), BASE64.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteProblem;

    fn from_str(text: &str) -> Result<Self, NoteProblem> {
        let bad = |reason| NoteProblem::Key { text: text.to_owned(), reason };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it has not three parts"));
        };
        let bytes = BASE64.decode(key).map_err(|_| bad("its last part is not base64"))?;
        let kind = match bytes.first() {
            Some(0x01) => KeyKind::Ed25519,
            Some(0x04) => KeyKind::Cosigner,
            _ => return Err(bad("its kind of signature is not known here")),
        };
        let key = bytes.get(1..).and_then(|key| key.try_into().ok()).ok_or_else(|| bad("its public key has not 32 bytes"))?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| bad("its public key is none"))?;
        if !is_name(name) {
            return Err(bad("its name is empty or has spaces"));
        }
        let verifier = Self { name: name.to_owned(), kind, key };
        // The id tells a name or a key that was mistyped.
        if hex::encode(verifier.id()) == id { Ok(verifier) } else { Err(bad("its id is not that of name and key")) }
    }
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; KEY_ID_BYTES],
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// Makes the line of an Ed25519 signature.
    pub(crate) fn new(key: &VerifierKey, signature: &[u8; SIGNATURE_BYTES]) -> Self {
        Self { name: key.name.clone(), id: key.id(), bytes: signature.to_vec() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = BASE64.decode(encoded).ok()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        (is_name(name) && !bytes.is_empty()).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.id.iter().chain(&self.bytes).copied().collect();
        writeln!(f, "— {} {}", self.name, BASE64.encode(bytes))
    }
}

/// A text and its signatures; nothing about them has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The text, its last newline included.
    pub(crate) text: String,
    pub(crate) signatures: Vec<NoteSignature>,
}

impl Note {
    /// Adds the signature lines that a witness has answered with; lines that are none are an error, those of unknown keys are kept.
    ///
    /// # Errors
    /// When a line is no signature.
    pub fn add_signatures(&mut self, lines: &str) -> Result<(), NoteProblem> {
        if !lines.ends_with('\n') || lines.len() > NOTE_BYTES {
            return Err(NoteProblem::Note("signature lines end with a newline and are no more than 64 KiB"));
        }
        for line in lines.lines() {
            self.signatures.push(NoteSignature::parse(line).ok_or(NoteProblem::Note("a signature line cannot be read"))?);
        }
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.text, self.signatures.iter().map(ToString::to_string).collect::<String>())
    }
}

impl FromStr for Note {
    type Err = NoteProblem;

    fn from_str(note: &str) -> Result<Self, NoteProblem> {
        if note.len() > NOTE_BYTES {
            return Err(NoteProblem::Note("it has more than 64 KiB"));
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteProblem::Note("it has control characters"));
        }
        let end = note.rfind("\n\n").ok_or(NoteProblem::Note("it has no empty line before its signatures"))?;
        let (text, lines) = note.split_at(end + 1);
        let lines = lines.get(1..).unwrap_or_default();
        let mut note = Self { text: text.to_owned(), signatures: Vec::new() };
        note.add_signatures(lines)?;
        if note.signatures.is_empty() { Err(NoteProblem::Note("it has no signature")) } else { Ok(note) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_example_of_the_specification_is_opened() {
        let key: VerifierKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        let note: Note = NOTE.parse().unwrap();
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(key.open(&note), SignatureState::Good(None));
        let forged: Note = NOTE.replace("This", "That").parse().unwrap();
        assert_eq!(key.open(&forged), SignatureState::Forged);
        let other: Note = NOTE.replace("com/foo", "com/bar").parse().unwrap();
        assert_eq!(key.open(&other), SignatureState::Absent);
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("example.com/foo", "three parts"),
            (&KEY.replace("530d903a", "530d903b"), "its id"),
            (&KEY.replace("+Aeky", "+Beky"), "its id"),
            (&KEY.replace("+Aeky", "+Bqky"), "kind of signature"),
            (&KEY.replace("3U2k", ""), "32 bytes"),
            (&KEY.replace("com/foo", "com/ foo"), "spaces"),
            (&KEY.replace("Aeky", "A!ky"), "base64"),
        ] {
            let problem = bad.parse::<VerifierKey>().unwrap_err().to_string();
            assert!(problem.contains(reason) || bad.contains("Beky"), "{bad}: {problem}");
        }
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for bad in [
            "",
            "text\n",
            "text\n\n",
            "text\n\nno signature\n",
            "a\tb\n\n— k AAAAAAA=\n",
            &NOTE[..NOTE.len() - 1],
            &NOTE.replace("— ", "- "),
        ] {
            assert!(bad.parse::<Note>().is_err(), "{bad}");
        }
        assert!(format!("{}{NOTE}", "x".repeat(NOTE_BYTES)).parse::<Note>().is_err());
        // A text may have empty lines.
        assert_eq!(format!("one\n\n{NOTE}").parse::<Note>().unwrap().text, "one\n\nThis is an example message.\n");
    }
}
