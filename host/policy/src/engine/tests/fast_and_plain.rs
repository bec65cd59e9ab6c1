//! The promise of two speeds with one meaning: whatever the policies and whatever the call, slices and decisions made at issue say what plain
//! Cedar says over the whole set. The policies are not checked for types here, so that many of them cannot be evaluated.

use cedar_policy::{Authorizer, Context, Entities, PolicySet, Request};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::reads::Reads;
use crate::testing::source;

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is Bailiwick::Agent",
    "principal is Bailiwick::Requester",
    "principal == Bailiwick::Agent::\"a\"",
    "principal == Bailiwick::Agent::\"b\"",
    "principal in Bailiwick::Agent::\"a\"",
    "principal is Bailiwick::Agent in Bailiwick::Agent::\"b\"",
    "principal is Bailiwick::Requester in Bailiwick::Agent::\"a\"",
    "principal == Bailiwick::Requester::\"a\"",
];

const ACTIONS: &[&str] = &[
    "action",
    "action == Bailiwick::Action::\"crm/customers.get@0.1.0\"",
    "action == Bailiwick::Action::\"crm/customers.get\"",
    "action in Bailiwick::Action::\"crm/customers.get\"",
    "action in Bailiwick::Action::\"crm\"",
    "action in Bailiwick::Action::\"read\"",
    "action in [Bailiwick::Action::\"final\", Bailiwick::Action::\"orders/orders\"]",
    "action in [Bailiwick::Action::\"acme:bank/payments.pay\", Bailiwick::Action::\"rules\"]",
    "action == Bailiwick::Action::\"runs.open\"",
];

const RESOURCES: &[&str] = &[
    "resource",
    "resource is Bailiwick::Subject",
    "resource is Bailiwick::Target",
    "resource == Bailiwick::Subject::\"C-1\"",
    "resource in Bailiwick::Target::\"O-1\"",
    "resource is Bailiwick::Subject in Bailiwick::Subject::\"C-1\"",
    "resource == Bailiwick::Subject::\"\"",
];

const CONDITIONS: &[&str] = &[
    "true",
    "false",
    "principal.tier > 1",
    "principal.name == \"a\"",
    "principal.nothing == 1",
    "context.workflow == \"returns\"",
    "context.attempt < 2",
    "context.requester.tenant == context.tenant",
    "context.requester.hasTag(\"kind\") && context.requester.getTag(\"kind\") == \"person\"",
    "context.requester.getTag(\"nothing\") == \"\"",
    "context.effect == \"read\"",
    "context.bound",
    "context.personal",
    "context.nothing == 1",
    "context has nothing",
    "context has args",
    "context has args.id && context.args.id == \"C-1\"",
    "context.args.id == \"C-1\"",
    "context.args has note && context.args.note like \"*x*\"",
    "context.args.cents > 400",
    "context.lengths.id == 3",
    "context.labels.contains(\"untrusted\")",
    "context.labels.isEmpty()",
    "context.calls < 2",
    "context.calls * 9223372036854775807 > 1",
    "context[\"bytes-out\"] > 100",
    "context == {\"a\": 1}",
    "(if principal.tier > 1 then context else context).workflow == \"returns\"",
    "resource.tenant == \"shop\"",
    "resource.id == \"C-1\"",
    "resource.subject == Bailiwick::Subject::\"C-1\"",
    "resource is Bailiwick::Target",
    "Bailiwick::Subject::\"C-1\".tenant == \"shop\"",
    "Bailiwick::Target::\"O-1\" has tenant",
    "Bailiwick::Agent::\"b\".tier > 1",
    "Bailiwick::Agent::\"a\".name == \"a\"",
    "context.args == {\"id\": \"C-1\"}",
    "action in [Bailiwick::Action::\"read\", Bailiwick::Action::\"crm/notes\"]",
    "action == Bailiwick::Action::\"acme:bank/payments.pay@1.0.0\"",
    "Bailiwick::Action::\"crm/customers.get@0.1.0\" in Bailiwick::Action::\"crm\"",
    "[principal].contains(Bailiwick::Agent::\"a\")",
];

/// A policy by chance; a broad one has a scope that matches every call.
fn policy(is_broad: bool) -> impl Strategy<Value = String> {
    let clause = (prop::bool::weighted(0.7), select(CONDITIONS)).prop_map(|(when, condition)| {
        let word = if when { "when" } else { "unless" };
        format!(" {word} {{ {condition} }}")
    });
    let effect = prop::bool::weighted(if is_broad { 0.2 } else { 0.6 }).prop_map(|permit| if permit { "permit" } else { "forbid" });
    let first = |all: &'static [&'static str]| select(if is_broad { &all[..1] } else { all });
    (effect, first(PRINCIPALS), first(ACTIONS), first(RESOURCES), prop::collection::vec(clause, 0..3)).prop_map(
        |(effect, principal, action, resource, clauses)| format!("{effect} ({principal}, {action}, {resource}){};\n", clauses.concat()),
    )
}

/// A set by chance. Among policies of any scope few calls are permitted; in every second set all are, and every policy concerns every call, so that
/// forbids and errors show.
pub(super) fn set() -> impl Strategy<Value = String> {
    any::<bool>().prop_flat_map(|is_broad| {
        prop::collection::vec(policy(is_broad), 1..7).prop_map(move |policies| {
            let open = if is_broad { "permit (principal, action, resource);\n" } else { "" };
            format!("{open}{}", policies.concat())
        })
    })
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub agent: &'static str,
    pub operation: &'static str,
    pub args: Value,
    pub labels: BTreeSet<String>,
    pub calls: u64,
    pub bytes_out: u64,
    pub subject: Option<&'static str>,
    pub attempt: u32,
}

impl Call {
    /// Conditions that bind whatever has to be bound.
    pub(super) fn conditions(&self) -> Vec<(&'static str, Value)> {
        match self.operation {
            "acme:bank/payments.pay" => ["from", "to", "cents"].map(|name| (name, self.args[name].clone())).to_vec(),
            "rules/tables.evaluate" => Vec::new(),
            "notify/messages.send" => vec![("customer", self.args["customer"].clone())],
            _ => vec![("id", self.args["id"].clone())],
        }
    }
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let id = select(&["C-1", "C-2", "O-1", "", "\"\n\0"][..]);
    let what = (id, select(&[0_u64, 500, 501][..]), prop::option::of(select(&["x", ""][..]))).prop_flat_map(|(id, cents, note)| {
        select(vec![
            ("crm/customers.get", json!({ "id": id })),
            ("orders/orders.get", json!({ "id": id })),
            ("rules/tables.evaluate", json!({ "ruleset": id, "facts": [] })),
            ("acme:bank/payments.pay", json!({ "from": id, "to": "C-1", "cents": cents, "note": note })),
            ("notify/messages.send", json!({ "customer": id, "channel": "email", "subject": "x", "body": "y" })),
        ])
    });
    let labels = prop::collection::btree_set(select(&["untrusted", "pii"][..]).prop_map(str::to_owned), 0..3);
    let subject = select(&[None, Some("C-1"), Some("C-2")][..]);
    (select(&["a", "b", "c"][..]), what, labels, 0_u64..4, select(&[0_u64, 101][..]), subject, 1_u32..3).prop_map(
        |(agent, (operation, args), labels, calls, bytes_out, subject, attempt)| Call {
            agent,
            operation,
            args,
            labels,
            calls,
            bytes_out,
            subject,
            attempt,
        },
    )
}

/// What plain Cedar says over the whole set, with every fact.
fn plain(policies: &Policies, context: &PolicyContext, operation: &Operation, request: &GrantRequest, call: &CallFacts<'_>) -> bool {
    let everything = Reads { everything: true, ..Reads::default() };
    let mut pairs = facts::issue_context(&policies.types, &everything, context, operation, request);
    let of_call = match facts::call_context(&everything, operation, call) {
        Ok(pairs) => pairs,
        Err(problem) => panic!("{problem}: {}", call.args),
    };
    pairs.extend(of_call);
    let agent = facts::agent(&policies.types, &context.agent).unwrap();
    let requester = facts::requester(&policies.types, &context.requester).unwrap();
    let set = PolicySet::from_policies(policies.rules.iter().map(|rule| rule.policy.clone())).unwrap();
    let action = &policies.operations[&operation.id];
    facts::resources(&policies.types, context, operation, call.args).unwrap().into_iter().all(|(resource, with)| {
        let given = [agent.clone(), requester.clone()].into_iter().chain(with);
        // Facts have the types of the schema, and the hierarchy of actions is the schema's.
        let entities = Entities::from_entities(given, Some(&policies.schema)).unwrap();
        let context = Context::from_pairs(pairs.clone()).unwrap();
        let request = Request::new(agent.uid(), action.uid.clone(), resource, context, Some(&policies.schema)).unwrap();
        let response = Authorizer::new().is_authorized(&request, &set, &entities);
        response.decision() == cedar_policy::Decision::Allow && response.diagnostics().errors().next().is_none()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn fast_and_plain_agree(text in set(), calls in prop::collection::vec(call(), 1..8)) {
        let catalog = catalog();
        let policies = Arc::new(Policies::load_unchecked(&source(&text), &catalog).unwrap());
        let engine = CedarEngine::new(Arc::clone(&policies), Freezes::default());
        for call in calls {
            let operation = catalog.resolve(call.operation).unwrap();
            let mut context = context(call.agent);
            context.subject = call.subject.map(Into::into);
            context.attempt = call.attempt;
            let request = request(operation, &call.conditions());
            let facts = CallFacts { args: &call.args, labels: &call.labels, calls: call.calls, bytes_out: call.bytes_out };
            let issued = engine.at_issue(&context, operation, &request);
            let fast = issued.is_permit() && {
                let grant = grant(&issued, request.clone());
                let at_call = engine.at_call(&context, operation, &grant, &facts);
                // Nothing changed between: a second call says the same.
                prop_assert_eq!(&at_call, &engine.at_call(&context, operation, &grant, &facts));
                at_call.is_none_or(|decision| decision.is_permit())
            };
            prop_assert_eq!(fast, plain(&policies, &context, operation, &request, &facts), "{:?}", call);
        }
    }
}
