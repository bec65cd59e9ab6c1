//! An envelope as it stands in its bytes: one object. Serde reads a type with flattened parts several times slower, since it keeps everything aside first.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::{AgentName, Digest, GrantId, PolicyVersion, RunId, Seq, StepPath, TaskId, TenantId, WorkflowName};
use bailiwick_core::record::{CallOutcome, Envelope, Fields, RecordContext, RecordKind, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Flat {
    format: u32,
    seq: Seq,
    time_ms: u64,
    kind: RecordKind,
    commitment: Option<Digest>,
    tenant: Option<TenantId>,
    requester: Option<String>,
    workflow: Option<WorkflowName>,
    plan: Option<Digest>,
    run: Option<RunId>,
    step: Option<StepPath>,
    attempt: Option<u32>,
    task: Option<TaskId>,
    parent_task: Option<TaskId>,
    agent: Option<AgentName>,
    component: Option<Digest>,
    event: Option<Arc<str>>,
    operation: Option<Arc<str>>,
    ordinal: Option<u32>,
    intent: Option<Seq>,
    outcome: Option<CallOutcome>,
    reason: Option<Arc<str>>,
    decision: Option<Verdict>,
    rule: Option<Arc<str>>,
    policy_version: Option<PolicyVersion>,
    grant: Option<GrantId>,
    reference: Option<Arc<str>>,
    key: Option<Arc<str>>,
    #[serde(default)]
    labels: Vec<String>,
    fuel: Option<u64>,
    duration_us: Option<u64>,
    #[serde(default)]
    digests: BTreeMap<String, Digest>,
}

/// Reads an envelope.
///
/// # Errors
/// When the bytes are none.
pub(crate) fn read(bytes: &[u8]) -> Result<Envelope, serde_json::Error> {
    let flat: Flat = serde_json::from_slice(bytes)?;
    // Every field is named, so that one that is added to a record cannot be forgotten here.
    let context = RecordContext {
        tenant: flat.tenant,
        requester: flat.requester,
        workflow: flat.workflow,
        plan: flat.plan,
        run: flat.run,
        step: flat.step,
        attempt: flat.attempt,
        task: flat.task,
        parent_task: flat.parent_task,
        agent: flat.agent,
        component: flat.component,
    };
    let fields = Fields {
        event: flat.event,
        operation: flat.operation,
        ordinal: flat.ordinal,
        intent: flat.intent,
        outcome: flat.outcome,
        reason: flat.reason,
        decision: flat.decision,
        rule: flat.rule,
        policy_version: flat.policy_version,
        grant: flat.grant,
        reference: flat.reference,
        key: flat.key,
        labels: flat.labels,
        fuel: flat.fuel,
        duration_us: flat.duration_us,
        digests: flat.digests,
    };
    Ok(Envelope {
        format: flat.format,
        seq: flat.seq,
        time_ms: flat.time_ms,
        kind: flat.kind,
        context,
        fields,
        commitment: flat.commitment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::draft;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_reads_what_serde_reads(draft in draft(), commitment in proptest::option::of(any::<[u8; 32]>()), seq in 0_u64..1 << 60) {
            let envelope = Envelope {
                format: 1, seq: Seq(seq), time_ms: seq / 2, kind: draft.kind, context: draft.context.as_ref().clone(), fields: draft.fields,
                commitment: commitment.map(Digest::from_bytes),
            };
            let bytes = serde_json::to_vec(&envelope).unwrap();
            prop_assert_eq!(&read(&bytes).unwrap(), &envelope);
            prop_assert_eq!(&serde_json::from_slice::<Envelope>(&bytes).unwrap(), &envelope);
        }
    }
}
