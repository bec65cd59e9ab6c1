//! Witnesses: who cosigns that the ledger only grows (C2SP's tlog-witness). Texts are made and read here; how they travel is not.

use bailiwick_core::ids::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::SignedCheckpoint;
use crate::note::{NoteProblem, SignatureState, VerifierKey};

/// Somebody who cosigns checkpoints, reached by whatever carries `POST <prefix>/add-checkpoint`.
pub trait Witness: Send + Sync {
    /// Gives the key with which it cosigns.
    fn key(&self) -> &VerifierKey;

    /// Sends the body of an `add-checkpoint` request and gives the answer. Called on the anchoring thread; it bounds its own time.
    ///
    /// # Errors
    /// When there was no answer.
    fn add_checkpoint(&self, body: &str) -> Result<WitnessAnswer, WitnessProblem>;
}

/// The answer of a witness as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAnswer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// Why a checkpoint was not cosigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessProblem {
    /// There was no answer.
    #[error("the witness does not answer: {0}")]
    Transport(String),
    /// The witness has cosigned another size than the proof begins with.
    #[error("the witness has last cosigned {0} records")]
    Conflict(u64),
    /// The witness refused.
    #[error("the witness refused with status {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The answer has no good cosignature of this witness.
    #[error("the witness has not cosigned: {0}")]
    Unsigned(String),
    /// The consistency proof could not be made.
    #[error("the consistency proof cannot be made: {0}")]
    Proof(String),
}

impl From<NoteProblem> for WitnessProblem {
    fn from(problem: NoteProblem) -> Self {
        Self::Unsigned(problem.to_string())
    }
}

/// Makes the body of an `add-checkpoint` request: the size that the witness has, the proof from there, the checkpoint.
pub fn add_checkpoint_request(old_size: u64, proof: &[Digest], checkpoint: &SignedCheckpoint) -> String {
    let mut body = format!("old {old_size}\n");
    for hash in proof {
        body.push_str(&BASE64.encode(hash.as_bytes()));
        body.push('\n');
    }
    body.push('\n');
    body.push_str(&checkpoint.to_string());
    body
}

/// Reads the answer to an `add-checkpoint` request, and gives the checkpoint with the cosignature.
///
/// # Errors
/// When the witness has another size (it says which), has refused, or has not cosigned with its key.
pub fn read_add_checkpoint_answer(
    answer: &WitnessAnswer,
    checkpoint: &SignedCheckpoint,
    key: &VerifierKey,
) -> Result<SignedCheckpoint, WitnessProblem> {
    match answer.status {
        200 => {
            let mut cosigned = checkpoint.clone();
            cosigned.add_signatures(&answer.body)?;
            match key.open(cosigned.note()) {
                SignatureState::Good(Some(_)) => Ok(cosigned),
                SignatureState::Good(None) => Err(WitnessProblem::Unsigned(format!("`{key}` is not the key of a witness"))),
                SignatureState::Absent => Err(WitnessProblem::Unsigned(format!("there is no signature of `{}`", key.name()))),
                SignatureState::Forged => Err(WitnessProblem::Unsigned(format!("the signature of `{}` is not good", key.name()))),
            }
        }
        409 => {
            let size =
                answer.body.trim_end().parse().map_err(|_| WitnessProblem::Unsigned("it does not tell the size it has".to_owned()))?;
            Err(WitnessProblem::Conflict(size))
        }
        status => Err(WitnessProblem::Refused { status, body: answer.body.chars().take(200).collect() }),
    }
}

/// Has a witness cosign. The proof from the size that it has is asked for when the size is known; the witness says it where `known` is not right.
pub(crate) fn cosign(
    witness: &dyn Witness,
    checkpoint: &SignedCheckpoint,
    known: u64,
    proof: impl Fn(u64, u64) -> Result<Vec<Digest>, String>,
) -> Result<SignedCheckpoint, WitnessProblem> {
    let size = checkpoint.checkpoint().size;
    let ask = |old: u64| {
        let proof = proof(old, size).map_err(WitnessProblem::Proof)?;
        let answer = witness.add_checkpoint(&add_checkpoint_request(old, &proof, checkpoint))?;
        read_add_checkpoint_answer(&answer, checkpoint, witness.key())
    };
    match ask(known) {
        Err(WitnessProblem::Conflict(old)) if old != known && old <= size => ask(old),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKPOINT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    #[test]
    fn the_request_is_that_of_the_specification() {
        let signed: SignedCheckpoint = CHECKPOINT.parse().unwrap();
        let hash = Digest::from_bytes(BASE64.decode("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=").unwrap().try_into().unwrap());
        let body = add_checkpoint_request(20_852_014, &[hash], &signed);
        assert_eq!(body, format!("old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\n{CHECKPOINT}"));
    }

    #[test]
    fn answers_without_a_good_cosignature_are_refused() {
        let signed: SignedCheckpoint = CHECKPOINT.parse().unwrap();
        let public = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        let key = VerifierKey::from_public("w", &public).unwrap();
        let read =
            |status, body: &str| read_add_checkpoint_answer(&WitnessAnswer { status, body: body.to_owned() }, &signed, &key).unwrap_err();
        assert_eq!(read(409, "17\n"), WitnessProblem::Conflict(17));
        assert!(matches!(read(409, "many\n"), WitnessProblem::Unsigned(_)));
        assert!(matches!(read(404, "who?"), WitnessProblem::Refused { status: 404, .. }));
        assert!(matches!(read(200, "hello\n"), WitnessProblem::Unsigned(_)));
        assert!(matches!(read(200, ""), WitnessProblem::Unsigned(_)));
        assert!(matches!(read(200, "— other AAAAAAAA\n"), WitnessProblem::Unsigned(_)));
        let forged = format!("— w {}\n", BASE64.encode([key.id().as_slice(), &[0; 64]].concat()));
        assert!(read(200, &forged).to_string().contains("not good"));
    }
}
