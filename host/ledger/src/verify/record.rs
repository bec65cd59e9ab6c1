//! What is checked about one record by itself; the same for a ledger's file and for a bundle.

use std::borrow::Cow;

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, Envelope, FORMAT, RecordKind};
use serde::Deserialize;

use super::report::Flaw;
use crate::check;
use crate::note::VerifierKey;
use crate::orders::ERASED_RECORDS;

/// The fields of an envelope that are compared.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EnvelopeView<'a> {
    format: u32,
    seq: Seq,
    pub(super) time_ms: u64,
    pub(super) kind: RecordKind,
    #[serde(borrow)]
    pub(super) run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) task: Option<Cow<'a, str>>,
    intent: Option<Seq>,
    outcome: Option<CallOutcome>,
    pub(super) commitment: Option<Digest>,
}

/// A record that is good by itself, with what its place among the others has to bear out.
pub(super) struct Seen {
    pub(super) leaf: Digest,
    pub(super) time_ms: u64,
    pub(super) what: What,
    /// The erasure that is said to have taken its payload.
    pub(super) erased_by: Option<Seq>,
}

/// What a record has to do with others.
pub(super) enum What {
    Plain,
    Intent,
    Outcome(Option<Seq>, Option<CallOutcome>),
    Rotation(Option<Box<VerifierKey>>),
    Erasure(Option<Digest>),
}

/// Reads an envelope in canonical form that stands in this place.
pub(super) fn view<'a>(envelope: &'a [u8], place: Seq, scratch: &mut Vec<u8>) -> Result<EnvelopeView<'a>, Flaw> {
    let text = check::check(envelope, scratch).map_err(Flaw::Envelope)?;
    let view: EnvelopeView<'_> = serde_json::from_str(text).map_err(|problem| Flaw::Envelope(format!("no envelope: {problem}")))?;
    if view.format != FORMAT {
        return Err(Flaw::Format(view.format));
    }
    if view.seq != place {
        return Err(Flaw::Place(view.seq));
    }
    Ok(view)
}

impl EnvelopeView<'_> {
    /// Takes what others have to bear out.
    pub(super) fn what(&self, envelope: &[u8]) -> What {
        // Read in full where that is rare.
        let fields = || serde_json::from_slice::<Envelope>(envelope).ok().map(|envelope| envelope.fields);
        match self.kind {
            RecordKind::CallIntent => What::Intent,
            RecordKind::CallOutcome => What::Outcome(self.intent, self.outcome),
            RecordKind::KeyRotated => What::Rotation(fields().and_then(|fields| fields.key?.parse().ok()).map(Box::new)),
            RecordKind::SubjectErased => What::Erasure(fields().and_then(|fields| fields.digests.get(ERASED_RECORDS).copied())),
            _ => What::Plain,
        }
    }
}
