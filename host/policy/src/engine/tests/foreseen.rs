//! What is foreseen comes true: whatever the policies, no call is decided otherwise than what was said to be certain before it was made.

use bailiwick_core::ids::{StepPath, WorkflowName};
use bailiwick_core::policy::{AgentFacts, Foreseen, Prospect};
use proptest::prelude::*;

use super::fast_and_plain::{Call, call, set};
use super::*;
use crate::DEFAULT_POLICY;
use crate::testing::source;

/// What is decided when the call is made.
fn decided(engine: &CedarEngine, call: &Call) -> bool {
    let catalog = catalog();
    let operation = catalog.resolve(call.operation).unwrap();
    let mut context = context(call.agent);
    context.subject = call.subject.map(Into::into);
    context.attempt = call.attempt;
    let request = request(operation, &call.conditions());
    let issued = engine.at_issue(&context, operation, &request);
    let facts = CallFacts { args: &call.args, labels: &call.labels, calls: call.calls, bytes_out: call.bytes_out };
    issued.is_permit() && {
        let grant = grant(&issued, request);
        engine.at_call(&context, operation, &grant, &facts).is_none_or(|decision| decision.is_permit())
    }
}

/// Whether the call's grant is bound, as the engine will find.
fn is_bound(call: &Call) -> bool {
    let catalog = catalog();
    let operation = catalog.resolve(call.operation).unwrap();
    let mut context = context(call.agent);
    context.subject = call.subject.map(Into::into);
    facts::is_bound(&context, operation, &request(operation, &call.conditions()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_certain_comes_true(text in set(), calls in prop::collection::vec(call(), 1..8)) {
        let policies = Arc::new(Policies::load_unchecked(&source(&text), &catalog()).unwrap());
        let engine = CedarEngine::new(policies, Freezes::default());
        let (workflow, step, tenant) = (WorkflowName::from("returns"), StepPath::from("look"), "shop".into());
        for call in calls {
            let operation = operation(call.operation);
            let agent = agent(call.agent);
            let permitted = decided(&engine, &call);
            for place in [None, Some((&workflow, &step))] {
                for bound in [None, Some(is_bound(&call))] {
                    let prospect = engine.prospect(&Foreseen { agent: &agent, tenant: &tenant, place, bound }, &operation);
                    match &prospect {
                        Prospect::Always { .. } => prop_assert!(permitted, "{prospect:?} {call:?}"),
                        Prospect::Never { .. } => prop_assert!(!permitted, "{prospect:?} {call:?}"),
                        Prospect::Depends { on, rules } => prop_assert!(!on.is_empty() && !rules.is_empty(), "{prospect:?}"),
                    }
                }
            }
        }
    }
}

/// What is foreseen of an operation for an agent of a data level, in short.
fn foreseen(policy: &str, level: &str, operation: &str, place: Option<(&WorkflowName, &StepPath)>, bound: Option<bool>) -> String {
    let agent = AgentFacts { data_level: level.to_owned(), ..agent("a") };
    let known = Foreseen { agent: &agent, tenant: &"shop".into(), place, bound };
    match engine(policy).prospect(&known, &self::operation(operation)) {
        Prospect::Always { rules } => format!("always {}", rules.join(" ")),
        Prospect::Depends { on, rules } => format!("depends on {} {}", on.into_iter().collect::<Vec<_>>().join(" "), rules.join(" ")),
        Prospect::Never { rules, reason } => format!("never {} ({reason})", rules.join(" ")),
    }
}

#[test]
fn the_default_policy_is_foreseen() {
    let low = "never data-level (the agent's data level is too low for personal data)";
    for (level, operation, bound, expected) in [
        ("personal", "crm/customers.get", None, "always step-gives"),
        ("internal", "crm/customers.get", None, low),
        ("internal", "orders/orders.get", None, "always step-gives"),
        ("public", "notify/messages.send", None, low),
        ("personal", "notify/messages.send", None, "depends on bound labels untrusted-final"),
        ("personal", "notify/messages.send", Some(true), "depends on labels untrusted-final"),
        ("personal", "shipping/parcels.create-label", Some(false), "always step-gives"),
    ] {
        assert_eq!(foreseen(DEFAULT_POLICY, level, operation, None, bound), expected, "{level} {operation} {bound:?}");
    }
}

#[test]
fn what_is_not_known_is_left_open_and_what_nobody_permits_is_never() {
    let (workflow, step) = ("returns".into(), "look".into());
    let here = Some((&workflow, &step));
    for (policy, place, expected) in [
        ("", None, "never  (no policy permits it)"),
        (
            "@id(\"w\") permit (principal, action in Bailiwick::Action::\"crm\", resource) when { context.workflow == \"returns\" };",
            None,
            "depends on workflow w",
        ),
        (
            "@id(\"w\") permit (principal, action in Bailiwick::Action::\"crm\", resource) when { context.workflow == \"returns\" };",
            here,
            "always w",
        ),
        (
            "@id(\"w\") permit (principal, action in Bailiwick::Action::\"crm\", resource) when { context.step == \"other\" };",
            here,
            "never  (no policy permits it)",
        ),
        (
            "@id(\"r\") permit (principal, action in Bailiwick::Action::\"crm\", resource) when { context.requester.tenant == context.tenant };",
            here,
            "depends on requester r",
        ),
        (
            "@id(\"b\") permit (principal, action in Bailiwick::Action::\"crm\", resource == Bailiwick::Subject::\"C-1\");",
            here,
            "depends on resource b",
        ),
        (
            "@id(\"f\") forbid (principal, action in Bailiwick::Action::\"crm\", resource) when { context.calls > 2 };",
            here,
            "never  (no policy permits it)",
        ),
        ("@id(\"o\") permit (principal == Bailiwick::Agent::\"other\", action, resource);", here, "never  (no policy permits it)"),
    ] {
        assert_eq!(foreseen(policy, "personal", "crm/customers.get", place, None), expected, "{policy}");
    }
}

#[test]
fn a_freeze_is_a_never() {
    let engine = engine(ALL);
    let scope = bailiwick_core::act::FreezeScope::Agent("a".into());
    engine.freeze(crate::Freeze { scope, reason: "it lies".to_owned(), by: "local:anna".to_owned(), since_ms: 0 }).unwrap();
    let known = Foreseen { agent: &agent("a"), tenant: &"shop".into(), place: None, bound: None };
    let prospect = engine.prospect(&known, &operation("orders/orders.get"));
    assert!(matches!(&prospect, Prospect::Never { rules, .. } if rules == &["freeze"]), "{prospect:?}");
    assert!(engine.prospect(&Foreseen { agent: &agent("b"), ..known }, &operation("orders/orders.get")).is_possible());
}
