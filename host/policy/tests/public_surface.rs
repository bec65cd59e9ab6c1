//! What another crate does with this one, with public items alone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is not as expected")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_core::act::{Act, FreezeScope};
use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{Catalog, Effect};
use bailiwick_core::grant::{Condition, Grant, GrantRequest};
use bailiwick_core::policy::{ActDecision, AgentFacts, CallFacts, Decision, Opening, PolicyContext, PolicyEngine, Requester};
use bailiwick_policy::{CedarEngine, DEFAULT_POLICY, Freeze, Freezes, Policies, PolicySource, call_facts, parse_cases, run_cases};
use serde_json::json;

fn catalog() -> Catalog {
    bailiwick_wit::builtin_catalog().unwrap()
}

fn load(text: &str) -> Arc<Policies> {
    let files = [PolicySource { name: "policy/shop.cedar".into(), text: text.into() }];
    Arc::new(Policies::load(&files, &catalog()).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

fn requester() -> Requester {
    Requester { id: "local:anna".into(), tenant: "shop".into(), attributes: BTreeMap::new() }
}

#[test]
fn a_host_loads_asks_freezes_swaps_and_explains() {
    let catalog = catalog();
    let shop = "@id(\"no-refunds\") @reason(\"billing is closed\")
        forbid (principal, action in Bailiwick::Action::\"billing\", resource) when { context.args.status == \"refunded\" };";
    let files = [
        PolicySource { name: "policy/default.cedar".into(), text: DEFAULT_POLICY.into() },
        PolicySource { name: "policy/shop.cedar".into(), text: shop.into() },
    ];
    let engine: Arc<CedarEngine> = Arc::new(CedarEngine::new(Arc::new(Policies::load(&files, &catalog).unwrap()), Freezes::default()));
    let policy: Arc<dyn PolicyEngine> = Arc::clone(&engine) as Arc<dyn PolicyEngine>;

    let opening = Opening { workflow: &"returns".into(), tenant: &"shop".into(), subject: Some(&"C-1".into()) };
    assert!(policy.at_open(&requester(), &opening).is_permit());

    let operation = catalog.resolve("billing/accounts.set-return-status").unwrap();
    let context = PolicyContext {
        requester: Arc::new(requester()),
        workflow: "returns".into(),
        run: "run-1".into(),
        step: "record".into(),
        attempt: 1,
        agent: Arc::new(AgentFacts {
            name: "case-recorder".into(),
            version: "1.0.0".into(),
            tier: 0,
            data_level: "personal".into(),
            risk_class: "medium".into(),
        }),
        subject: Some("C-1".into()),
        run_input: None,
    };
    let request = GrantRequest {
        operation: operation.id.clone(),
        conditions: [("order".parse().unwrap(), vec![Condition::Equals(json!("O-1"))])].into(),
        owner: None,
        budgets: Budgets::default_for(Effect::Write),
        delegable: false,
    };
    let Decision::Permit(permit) = policy.at_issue(&context, operation, &request) else { panic!("the step gives it") };
    let mut grant = Grant::issue(&permit, "g".into(), "t".into(), request.clone(), u64::MAX);
    let labels = BTreeSet::new();
    let args = |status: &str| json!({"order": "O-1", "status": status, "if-version": "1"});
    let (open, refunded) = (args("open"), args("refunded"));
    let facts = |args| CallFacts { args, labels: &labels, calls: 0, bytes_out: 0 };

    assert!(policy.at_call(&context, operation, &grant, &facts(&open)).is_some_and(|decision| decision.is_permit()));
    let decision = policy.at_call(&context, operation, &grant, &facts(&refunded)).unwrap();
    let why = engine.policies().explain(&decision, call_facts(&context, operation, &request, &facts(&refunded)));
    assert_eq!((why.permitted, why.reason.as_str(), why.rules.as_slice()), (false, "billing is closed", &["no-refunds".to_owned()][..]));
    assert_eq!((why.texts[0].file.as_str(), why.texts[0].place.line, why.texts[0].source.as_str()), ("policy/shop.cedar", 1, shop));
    assert_eq!(why.facts["context"]["args"]["status"], "refunded");

    let scope = FreezeScope::Agent("case-recorder".into());
    assert!(matches!(policy.administer(&requester(), &Act::Freeze(scope.clone())), ActDecision::Decided(Decision::Permit(_))));
    engine.freeze(Freeze { scope: scope.clone(), reason: "incident 7".into(), by: "local:anna".into(), since_ms: 0 }).unwrap();
    assert!(policy.at_call(&context, operation, &grant, &facts(&open)).is_some_and(|decision| !decision.is_permit()));
    assert!(!policy.at_undo(&context, operation).is_permit());
    assert!(engine.lift(&scope).is_some());

    let before = engine.install(load("@id(\"all\") permit (principal, action, resource);"));
    assert_ne!(before.version(), &policy.version());
    let Some(Decision::Permit(permit)) = policy.at_call(&context, operation, &grant, &facts(&refunded)) else { panic!("all is permitted") };
    grant.renew(permit);
    assert_eq!(policy.at_call(&context, operation, &grant, &facts(&refunded)), None);
    let old = engine.policies().explain(&decision, json!(null));
    assert!(old.texts.is_empty(), "what another version said is not known: {old:?}");
}

/// The blocks of the documentation in a language, with the lines where they begin.
fn blocks<'t>(text: &'t str, info: &str) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(&format!("```{info}\n")) {
        let begin = from + at + info.len() + 4;
        let end = begin + text[begin..].find("```").unwrap();
        found.push((text[..begin].lines().count(), &text[begin..end]));
        from = end + 3;
    }
    found
}

#[test]
fn the_documentation_s_policies_load_and_its_cases_pass() {
    let text = include_str!("../../../docs/policy.md");
    let policies = blocks(text, "cedar");
    assert!(policies.len() >= 5, "{}", policies.len());
    let catalog = catalog();
    for (line, block) in &policies {
        let files = [PolicySource { name: format!("docs/policy.md, block at line {line}"), text: (*block).to_owned() }];
        let loaded = Policies::load(&files, &catalog).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(loaded.warnings().is_empty(), "{:?}", loaded.warnings());
    }
    let cases: Vec<_> = blocks(text, "toml policy-cases");
    assert!(!cases.is_empty());
    for (line, block) in cases {
        let cases = parse_cases(block).unwrap();
        for result in run_cases(&load(DEFAULT_POLICY), &catalog, &cases).unwrap() {
            assert!(result.passed, "line {line}: {result:#?}");
        }
    }
}
