//! Strategies for tests: any JSON value, any draft.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::{CallOutcome, Draft, Fields, Payload, RecordContext, RecordKind, Verdict};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |n| Number::from_f64(n).map(Value::Number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|all| Value::Object(all.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", any::<String>()]
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn context() -> impl Strategy<Value = RecordContext> {
    let who = (of(word()), of(word()), of(word()), of(digest()), of("run-[a-c]"), of(word()));
    let which = (of(any::<u32>()), of("task-[a-c]"), of(word()), of(word()), of(digest()));
    (who, which).prop_map(|((tenant, requester, workflow, plan, run, step), (attempt, task, parent, agent, component))| RecordContext {
        tenant: tenant.map(Into::into),
        requester,
        workflow: workflow.map(Into::into),
        plan,
        run: run.map(Into::into),
        step: step.map(Into::into),
        attempt,
        task: task.map(Into::into),
        parent_task: parent.map(Into::into),
        agent: agent.map(Into::into),
        component,
    })
}

fn outcome() -> impl Strategy<Value = CallOutcome> {
    use CallOutcome::{Cached, Denied, Error, Indeterminate, Ok};
    prop::sample::select(vec![Ok, Error, Denied, Indeterminate, Cached])
}

fn fields() -> impl Strategy<Value = Fields> {
    let call = (of(word()), of(word()), of(any::<u32>()), of(any::<u64>()), of(outcome()), of(word()));
    let decision = (of(any::<bool>()), of(word()), of(word()), of(word()), of(word()), of(word()));
    let rest =
        (prop::collection::vec(word(), 0..3), of(any::<u64>()), of(any::<u64>()), prop::collection::btree_map(word(), digest(), 0..3));
    (call, decision, rest).prop_map(|(call, decision, (labels, fuel, duration_us, digests))| {
        let (event, operation, ordinal, intent, outcome, reason) = call;
        let (permit, rule, policy_version, grant, reference, key) = decision;
        Fields {
            event: event.map(Into::into),
            operation: operation.map(Into::into),
            ordinal,
            intent: intent.map(Seq),
            outcome,
            reason: reason.map(Into::into),
            decision: permit.map(|permit| if permit { Verdict::Permit } else { Verdict::Forbid }),
            rule: rule.map(Into::into),
            policy_version: policy_version.map(Into::into),
            grant: grant.map(Into::into),
            reference: reference.map(Into::into),
            key: key.map(Into::into),
            labels,
            fuel,
            duration_us,
            digests: BTreeMap::from_iter(digests),
        }
    })
}

fn kind() -> impl Strategy<Value = RecordKind> {
    use RecordKind as K;
    prop::sample::select(vec![
        K::HostStarted,
        K::ConfigurationLoaded,
        K::PolicyInstalled,
        K::ComponentInstalled,
        K::VersionActivated,
        K::RunEvent,
        K::TaskStarted,
        K::TaskEnded,
        K::TaskTranscript,
        K::GrantIssued,
        K::GrantDenied,
        K::CallIntent,
        K::CallOutcome,
        K::SecurityEvent,
        K::Escalated,
        K::SubjectHeld,
        K::SubjectReleased,
    ])
}

fn payload() -> impl Strategy<Value = Payload> {
    (of("C-[0-9]"), of(json()), of(json())).prop_map(|(subject, args, result)| Payload {
        subject: subject.map(Into::into),
        parts: [("result", result), ("args", args)].into_iter().filter_map(|(name, value)| Some((name, value?.into()))).collect(),
    })
}

pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    (kind(), context(), fields(), of(payload())).prop_map(|(kind, context, fields, payload)| Draft {
        kind,
        context: Arc::new(context),
        fields,
        payload,
    })
}
