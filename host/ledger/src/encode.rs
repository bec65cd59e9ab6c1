//! Canonical bytes of envelopes and payloads, written in one pass.
//!
//! The bytes are those of [`bailiwick_core::canonical`] over an [`Envelope`](bailiwick_core::record::Envelope); going
//! through a JSON value would cost several times as much, and the writer thread is what bounds the ledger's throughput.

use bailiwick_core::canonical;
use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, FORMAT, Fields, Part, RecordContext, RecordKind, Verdict};
use std::io::Write as _;

use crate::check::{DEPTH, nests_within};

/// Gives the wire name of a kind.
pub(crate) fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::HostStarted => "host-started",
        RecordKind::ConfigurationLoaded => "configuration-loaded",
        RecordKind::PolicyInstalled => "policy-installed",
        RecordKind::ComponentInstalled => "component-installed",
        RecordKind::VersionActivated => "version-activated",
        RecordKind::RunEvent => "run-event",
        RecordKind::TaskStarted => "task-started",
        RecordKind::TaskEnded => "task-ended",
        RecordKind::TaskTranscript => "task-transcript",
        RecordKind::GrantIssued => "grant-issued",
        RecordKind::GrantDenied => "grant-denied",
        RecordKind::CallIntent => "call-intent",
        RecordKind::CallOutcome => "call-outcome",
        RecordKind::SecurityEvent => "security-event",
        RecordKind::Escalated => "escalated",
        RecordKind::RunDenied => "run-denied",
        RecordKind::Administered => "administered",
        RecordKind::SubjectErased => "subject-erased",
        RecordKind::SubjectHeld => "subject-held",
        RecordKind::SubjectReleased => "subject-released",
        RecordKind::KeyRotated => "key-rotated",
    }
}

fn outcome_name(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Ok => "ok",
        CallOutcome::Error => "error",
        CallOutcome::Denied => "denied",
        CallOutcome::Indeterminate => "indeterminate",
        CallOutcome::Cached => "cached",
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Permit => "permit",
        Verdict::Forbid => "forbid",
    }
}

/// What the ledger itself adds to a draft.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Position.
    pub(crate) seq: Seq,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) time_ms: u64,
    /// Commitment to the payload, where there is one.
    pub(crate) commitment: Option<Digest>,
}

/// Appends the canonical bytes of an envelope.
pub(crate) fn envelope(out: &mut Vec<u8>, place: Place, kind: RecordKind, context: &RecordContext, fields: &Fields) {
    // Taken apart in full, so that a new field stops the build here.
    let RecordContext { tenant, requester, workflow, plan, run, step, attempt, task, parent_task, agent, component } = context;
    let Fields {
        event,
        operation,
        ordinal,
        intent,
        outcome,
        reason,
        decision,
        rule,
        policy_version,
        grant,
        reference,
        key,
        labels,
        fuel,
        duration_us,
        digests,
    } = fields;
    let Place { seq, time_ms, commitment } = place;

    // Keys in the order of their bytes, all in one place: in several functions the order could not be seen.
    let mut object = Object { out, is_first: true };
    object.text("agent", agent.as_ref().map(|agent| agent.as_str()));
    object.number("attempt", attempt.map(u64::from));
    object.digest("commitment", commitment.as_ref());
    object.digest("component", component.as_ref());
    object.word("decision", decision.map(verdict_name));
    if !digests.is_empty() {
        object.key("digests");
        let mut inner = Object { out: object.out, is_first: true };
        for (name, digest) in digests {
            inner.digest(name, Some(digest));
        }
        inner.close();
    }
    object.number("duration-us", *duration_us);
    object.text("event", event.as_deref());
    object.number("format", Some(u64::from(FORMAT)));
    object.number("fuel", *fuel);
    object.text("grant", grant.as_ref().map(|grant| grant.as_str()));
    object.number("intent", intent.map(|intent| intent.0));
    object.text("key", key.as_deref());
    object.word("kind", Some(kind_name(kind)));
    if !labels.is_empty() {
        object.key("labels");
        for (index, label) in labels.iter().enumerate() {
            object.out.push(if index == 0 { b'[' } else { b',' });
            canonical::append_text_to(label, object.out);
        }
        object.out.push(b']');
    }
    object.text("operation", operation.as_deref());
    object.number("ordinal", ordinal.map(u64::from));
    object.word("outcome", outcome.map(outcome_name));
    object.text("parent-task", parent_task.as_ref().map(|task| task.as_str()));
    object.digest("plan", plan.as_ref());
    object.text("policy-version", policy_version.as_ref().map(|version| version.as_str()));
    object.text("reason", reason.as_deref());
    object.text("reference", reference.as_deref());
    object.text("requester", requester.as_deref());
    object.text("rule", rule.as_deref());
    object.text("run", run.as_ref().map(|run| run.as_str()));
    object.number("seq", Some(seq.0));
    object.text("step", step.as_ref().map(|step| step.as_str()));
    object.text("task", task.as_ref().map(|task| task.as_str()));
    object.text("tenant", tenant.as_ref().map(|tenant| tenant.as_str()));
    object.number("time-ms", Some(time_ms));
    object.text("workflow", workflow.as_ref().map(|workflow| workflow.as_str()));
    object.close();
}

/// Writes the members of one object; what is `None` is left out.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        self.out.push(if self.is_first { b'{' } else { b',' });
        self.is_first = false;
        canonical::append_text_to(key, self.out);
        self.out.push(b':');
    }

    fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.key(key);
            canonical::append_text_to(text, self.out);
        }
    }

    /// A text that needs no escapes.
    fn word(&mut self, key: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.key(key);
            self.out.push(b'"');
            self.out.extend_from_slice(word.as_bytes());
            self.out.push(b'"');
        }
    }

    fn number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.key(key);
            // Writing into a `Vec` cannot fail.
            let _ = write!(self.out, "{number}");
        }
    }

    fn digest(&mut self, key: &str, digest: Option<&Digest>) {
        if let Some(digest) = digest {
            self.key(key);
            self.out.extend_from_slice(b"\"sha256:");
            let mut digits = [0; 64];
            // The buffer has the right size by its type.
            let _ = hex::encode_to_slice(digest.as_bytes(), &mut digits);
            self.out.extend_from_slice(&digits);
            self.out.push(b'"');
        }
    }

    fn close(self) {
        if self.is_first {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// Why a payload has no canonical bytes that could be read back. No guest can bring it about: the texts that it makes are
/// read with far fewer levels, and the parts are named by the host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadProblem {
    /// It could not be made into JSON.
    #[error("part `{0}` of a payload has no JSON form: {1}")]
    NoJson(&'static str, String),
    /// One of them would be lost.
    #[error("two parts of a payload are named `{0}`")]
    SameName(&'static str),
    #[error("part `{0}` of a payload nests more than {PART_DEPTH} levels")]
    TooDeep(&'static str),
}

/// Most levels of a part: the object of the parts is one more.
const PART_DEPTH: usize = DEPTH - 1;

/// Appends the canonical bytes of the object of a payload's parts.
pub(crate) fn payload(out: &mut Vec<u8>, parts: &[(&'static str, Part)]) -> Result<(), PayloadProblem> {
    let mut parts: Vec<_> = parts.iter().map(|(name, part)| (*name, part)).collect();
    parts.sort_unstable_by_key(|(name, _)| *name);
    if let Some(&(name, _)) = parts.array_windows().find_map(|[a, b]| (a.0 == b.0).then_some(a)) {
        return Err(PayloadProblem::SameName(name));
    }
    let mut object = Object { out, is_first: true };
    for (name, part) in parts {
        let value = part.to_value().map_err(|error| PayloadProblem::NoJson(name, error.to_string()))?;
        if !nests_within(&value, PART_DEPTH) {
            return Err(PayloadProblem::TooDeep(name));
        }
        object.key(name);
        canonical::append_to(&value, object.out);
    }
    object.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use bailiwick_core::record::Envelope;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_canonical_form(draft in testing::draft(), seq: u64, time_ms: u64, salted: Option<[u8; 32]>) {
            let place = Place { seq: Seq(seq), time_ms, commitment: salted.map(Digest::from_bytes) };
            let mut bytes = Vec::new();
            envelope(&mut bytes, place, draft.kind, &draft.context, &draft.fields);
            let expected = Envelope {
                format: FORMAT,
                seq: place.seq,
                time_ms,
                kind: draft.kind,
                context: (*draft.context).clone(),
                fields: draft.fields,
                commitment: place.commitment,
            };
            prop_assert_eq!(String::from_utf8(bytes.clone()).unwrap(), String::from_utf8(canonical::of(&expected).unwrap()).unwrap());
            prop_assert_eq!(serde_json::from_slice::<Envelope>(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn parts_are_one_sorted_object() {
        let mut bytes = Vec::new();
        payload(&mut bytes, &[("result", json!({"b": 1, "a": 2}).into()), ("args", json!(["x"]).into())]).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"args":["x"],"result":{"a":2,"b":1}}"#);
        let mut empty = Vec::new();
        payload(&mut empty, &[]).unwrap();
        assert_eq!(empty, b"{}");
    }

    #[test]
    fn two_parts_of_one_name_are_refused() {
        let part = |n: i64| ("args", Part::from(json!(n)));
        assert_eq!(payload(&mut Vec::new(), &[part(1), ("b", json!(1).into()), part(2)]), Err(PayloadProblem::SameName("args")));
    }

    #[test]
    fn what_nests_too_deep_to_be_read_back_is_refused() {
        let nested = |levels: usize| Part::from((0..levels).fold(json!(1), |inner, _| json!([inner])));
        let mut bytes = Vec::new();
        payload(&mut bytes, &[("args", nested(PART_DEPTH))]).unwrap();
        assert!(crate::check::read(&bytes).is_ok());
        assert_eq!(payload(&mut bytes, &[("args", nested(PART_DEPTH + 1))]), Err(PayloadProblem::TooDeep("args")));
    }
}
