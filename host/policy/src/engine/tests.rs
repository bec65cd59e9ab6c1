use std::collections::BTreeSet;

use bailiwick_core::act::{DataSubject, Waiting};
use serde_json::{Value, json};

use super::*;
use crate::testing::{agent, catalog, context, grant, load, request, requester, rules};

mod fast_and_plain;
mod foreseen;

const ALL: &str = "@id(\"all\") permit (principal, action, resource);";

fn engine(text: &str) -> CedarEngine {
    CedarEngine::new(load(text), Freezes::default())
}

fn operation(name: &str) -> Arc<Operation> {
    Arc::clone(catalog().resolve(name).unwrap())
}

fn pay(engine: &CedarEngine, args: &Value, labels: &[&str], calls: u64) -> Decision {
    let operation = operation("acme:bank/payments.pay");
    let request = request(&operation, &[("from", args["from"].clone()), ("to", args["to"].clone()), ("cents", args["cents"].clone())]);
    ask(engine, "a", &operation, request, args, labels, calls)
}

fn ask(
    engine: &CedarEngine,
    agent: &str,
    operation: &Operation,
    request: GrantRequest,
    args: &Value,
    labels: &[&str],
    calls: u64,
) -> Decision {
    let context = context(agent);
    let labels: BTreeSet<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    let issued = engine.at_issue(&context, operation, &request);
    if !issued.is_permit() {
        return issued;
    }
    let grant = grant(&issued, request);
    engine.at_call(&context, operation, &grant, &CallFacts { args, labels: &labels, calls, bytes_out: 0 }).unwrap_or(issued)
}

fn read(engine: &CedarEngine) -> Decision {
    let operation = operation("crm/customers.get");
    ask(engine, "a", &operation, request(&operation, &[("id", json!("C-1"))]), &json!({"id": "C-1"}), &[], 0)
}

fn reason(decision: &Decision) -> &str {
    match decision {
        Decision::Permit(_) => "permitted",
        Decision::Forbid { reason, .. } => reason,
    }
}

#[test]
fn nothing_is_permitted_unless_a_policy_says_so() {
    let engine = engine("");
    let decision = read(&engine);
    assert_eq!((reason(&decision), rules(&decision)), ("no policy permits it", vec![]));
    let open = Opening { workflow: &"returns".into(), tenant: &"shop".into(), subject: None };
    assert!(!engine.at_open(&requester("local:anna", &[]), &open).is_permit());
    assert!(matches!(engine.administer(&requester("local:anna", &[]), &Act::RotateKey), ActDecision::Decided(Decision::Forbid { .. })));
}

#[test]
fn forbid_wins_at_issue_and_at_call() {
    let fixed = format!("{ALL} @id(\"no\") @reason(\"not now\") forbid (principal, action in Bailiwick::Action::\"read\", resource);");
    assert_eq!(reason(&read(&engine(&fixed))), "not now");
    let late = format!(
        "{ALL} @id(\"no\") forbid (principal, action == Bailiwick::Action::\"crm/customers.get@0.1.0\", resource) when {{ context.args.id == \"C-1\" }};"
    );
    let decision = read(&engine(&late));
    assert_eq!((reason(&decision), rules(&decision)), ("forbidden by `no`", vec!["no".to_owned()]));
}

#[test]
fn where_no_rule_reads_a_call_the_permit_stands() {
    let (engine, operation, context) = (engine(ALL), operation("crm/customers.get"), context("a"));
    let request = request(&operation, &[("id", json!("C-1"))]);
    let grant = grant(&engine.at_issue(&context, &operation, &request), request);
    let labels = BTreeSet::new();
    let call = CallFacts { args: &json!({"id": "C-1"}), labels: &labels, calls: 0, bytes_out: 0 };
    assert_eq!(engine.at_call(&context, &operation, &grant, &call), None);
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    // Two hundred and more calls make the product too large: Cedar reports an error, leaves the forbid out and would permit.
    let engine = engine(&format!(
        "{ALL} @id(\"many\") forbid (principal, action in Bailiwick::Action::\"final\", resource) when {{ context.calls * 92233720368547758 < 0 }};"
    ));
    let args = json!({"from": "C-1", "to": "C-1", "cents": 1, "note": null});
    assert!(pay(&engine, &args, &[], 100).is_permit());
    let decision = pay(&engine, &args, &[], 101);
    assert_eq!(rules(&decision), ["many"]);
    assert!(reason(&decision).starts_with("`many` could not be decided: "), "{decision:?}");
}

#[test]
fn an_amount_that_policies_cannot_compare_denies() {
    let text = format!(
        "{ALL} @id(\"limit\") forbid (principal, action == Bailiwick::Action::\"acme:bank/payments.pay@1.0.0\", resource) when {{ context.args.cents > 500 }};"
    );
    let engine = engine(&text);
    let args = |cents: u64| json!({"from": "C-1", "to": "C-1", "cents": cents, "note": null});
    assert!(pay(&engine, &args(500), &[], 0).is_permit());
    assert_eq!(rules(&pay(&engine, &args(501), &[], 0)), ["limit"]);
    assert_eq!(rules(&pay(&engine, &args(i64::MAX as u64), &[], 0)), ["limit"]);
    let decision = pay(&engine, &args(i64::MAX as u64 + 1), &[], 0);
    assert!(reason(&decision).starts_with("argument `cents` is 9223372036854775808"), "{decision:?}");
}

#[test]
fn a_permit_that_reads_the_call_is_enough_to_issue_and_decides_at_the_call() {
    let text = "@id(\"small\") permit (principal, action == Bailiwick::Action::\"acme:bank/payments.pay@1.0.0\", resource) when { context.args.cents <= 500 };";
    let engine = engine(text);
    let args = |cents: u64| json!({"from": "C-1", "to": "C-1", "cents": cents, "note": null});
    assert_eq!(rules(&pay(&engine, &args(500), &[], 0)), ["small"]);
    assert_eq!(reason(&pay(&engine, &args(501), &[], 0)), "no policy permits it");
}

#[test]
fn the_resource_is_what_the_arguments_name() {
    let text = "permit (principal, action in Bailiwick::Action::\"orders\", resource == Bailiwick::Target::\"O-1\")
        when { resource.subject == Bailiwick::Subject::\"C-1\" && resource.tenant == \"shop\" };";
    let (engine, operation) = (engine(text), operation("orders/orders.get"));
    for (id, permitted) in [("O-1", true), ("O-2", false)] {
        let request = request(&operation, &[("id", json!(id))]);
        assert_eq!(ask(&engine, "a", &operation, request, &json!({ "id": id }), &[], 0).is_permit(), permitted, "{id}");
    }
}

#[test]
fn an_operation_that_names_nobody_is_about_the_run_s_subject_and_needs_no_call() {
    let text = "permit (principal, action in Bailiwick::Action::\"rules\", resource) when { resource.id == \"C-1\" };";
    let (engine, operation, mut context) = (engine(text), operation("rules/tables.evaluate"), context("a"));
    let request = request(&operation, &[]);
    let grant = grant(&engine.at_issue(&context, &operation, &request), request.clone());
    let labels = BTreeSet::new();
    assert_eq!(
        engine.at_call(&context, &operation, &grant, &CallFacts { args: &json!({}), labels: &labels, calls: 0, bytes_out: 0 }),
        None
    );
    context.subject = Some("C-2".into());
    assert!(!engine.at_issue(&context, &operation, &request).is_permit());
}

#[test]
fn untrusted_text_does_not_choose_whom_a_final_operation_concerns() {
    let engine = engine(crate::DEFAULT_POLICY);
    let pay_to =
        |to: &str, cents: u64, labels: &[&str]| pay(&engine, &json!({"from": "C-1", "to": to, "cents": cents, "note": null}), labels, 0);
    // The run's input says 500, and its subject is C-1.
    assert!(pay_to("C-1", 500, &["untrusted"]).is_permit());
    assert_eq!(rules(&pay_to("C-1", 501, &["untrusted"])), ["untrusted-final"]);
    assert_eq!(rules(&pay_to("C-2", 500, &["pii", "untrusted"])), ["untrusted-final"]);
    assert!(pay_to("C-2", 501, &["pii"]).is_permit());
}

#[test]
fn an_agent_of_a_low_data_level_gets_no_personal_data() {
    let (engine, operation, mut context) = (engine(crate::DEFAULT_POLICY), operation("crm/customers.get"), context("a"));
    let request = request(&operation, &[("id", json!("C-1"))]);
    for (level, permitted) in [("public", false), ("internal", false), ("personal", true), ("secret", true), ("", false)] {
        context.agent = Arc::new(bailiwick_core::policy::AgentFacts { data_level: level.into(), ..agent("a") });
        assert_eq!(engine.at_issue(&context, &operation, &request).is_permit(), permitted, "{level}");
    }
}

#[test]
fn runs_are_opened_about_whom_one_may() {
    let engine = engine(crate::DEFAULT_POLICY);
    let channel = [("kind", "service-channel")];
    let customer = [("kind", "customer"), ("subject", "C-1")];
    for (id, tags, tenant, subject, permitted) in [
        ("local:anna", &[][..], "shop", Some("C-1"), true),
        ("local:anna", &[], "bank", Some("C-1"), false),
        ("local:anna", &[], "shop", None, true),
        ("channel:web", &channel, "shop", Some("C-9"), true),
        ("channel:web", &channel, "bank", Some("C-9"), false),
        ("channel:web", &[], "shop", Some("C-9"), false),
        ("customer:1", &customer, "shop", Some("C-1"), true),
        ("customer:1", &customer, "shop", Some("C-2"), false),
        ("customer:1", &customer, "shop", None, false),
        ("customer:1", &customer[..1], "shop", Some("C-1"), false),
        ("local:anna", &customer, "shop", Some("C-2"), false),
    ] {
        let (workflow, tenant, subject) = ("returns".into(), tenant.into(), subject.map(Into::into));
        let open = Opening { workflow: &workflow, tenant: &tenant, subject: subject.as_ref() };
        assert_eq!(engine.at_open(&requester(id, tags), &open).is_permit(), permitted, "{id} {tags:?} {tenant} {subject:?}");
    }
}

#[test]
fn every_act_is_known_to_the_schema_and_the_default_permits_it_at_the_command_line() {
    let engine = engine(crate::DEFAULT_POLICY);
    let subject = DataSubject { tenant: "shop".into(), id: "C-1".into() };
    let waiting = Waiting {
        tenant: "shop".into(),
        workflow: "returns".into(),
        run: "r".into(),
        step: "s".into(),
        opened_by: "local:bert".into(),
        subject: None,
    };
    for act in [
        Act::InstallAgent(agent("a")),
        Act::ActivateAgent(agent("a")),
        Act::AcceptWider(agent("a")),
        Act::InstallPolicy,
        Act::Freeze(FreezeScope::Host),
        Act::Lift(FreezeScope::Agent("a".into())),
        Act::Approve(waiting),
        Act::EraseSubject(subject.clone()),
        Act::HoldSubject(subject),
        Act::RotateKey,
        Act::AddRequester("channel:web-shop".into()),
        Act::RemoveRequester("channel:web-shop".into()),
    ] {
        let by = |id: &str| matches!(engine.administer(&requester(id, &[]), &act), ActDecision::Decided(Decision::Permit(_)));
        assert!(by("local:anna"), "{act:?}");
        assert!(!by("channel:web"), "{act:?}");
    }
}

#[test]
fn four_eyes_are_two_different_persons_who_both_may() {
    let text = r#"
        @id("alone") permit (principal, action == Bailiwick::Action::"freeze", resource);
        @id("two") @four_eyes("true")
        permit (principal, action in [Bailiwick::Action::"policy.install", Bailiwick::Action::"freeze"], resource)
        when { principal.hasTag("role") && principal.getTag("role") == "officer" };
    "#;
    let engine = engine(text);
    let officer = |id: &str| requester(id, &[("role", "officer")]);
    for (second, permitted) in [(officer("local:bert"), true), (officer("local:anna"), false), (requester("local:carl", &[]), false)] {
        let ActDecision::NeedsSecond(proposal) = engine.administer(&officer("local:anna"), &Act::InstallPolicy) else {
            panic!("a second person is needed")
        };
        assert_eq!((proposal.first(), proposal.rules()), ("local:anna", &["two".to_owned()][..]));
        assert_eq!(proposal.second(&second, &engine).is_permit(), permitted, "{}", second.id);
    }
    // Where two permits hold, the stricter counts; a freeze by somebody without the role needs nobody else.
    let freeze = Act::Freeze(FreezeScope::Host);
    assert!(matches!(engine.administer(&officer("local:anna"), &freeze), ActDecision::NeedsSecond(_)));
    assert!(matches!(engine.administer(&requester("local:carl", &[]), &freeze), ActDecision::Decided(Decision::Permit(_))));
}

#[test]
fn the_facts_of_an_act_can_be_asked_for() {
    let text = r#"
        permit (principal, action == Bailiwick::Action::"freeze", resource) when { context.kind == "agent" && context.name like "beta-*" };
        permit (principal, action == Bailiwick::Action::"approve", resource) when { context["opened-by"] != principal.id };
        permit (principal, action == Bailiwick::Action::"agents.install", resource) when { resource["risk-class"] == "low" };
        permit (principal, action == Bailiwick::Action::"ledger.erase", resource) when { resource.tenant == principal.tenant };
    "#;
    let engine = engine(text);
    let may = |act: &Act| matches!(engine.administer(&requester("local:anna", &[]), act), ActDecision::Decided(Decision::Permit(_)));
    assert!(may(&Act::Freeze(FreezeScope::Agent("beta-1".into()))) && !may(&Act::Freeze(FreezeScope::Host)));
    let waiting = |by: &str| {
        let (tenant, workflow, run, step) = ("shop".into(), "w".into(), "r".into(), "s".into());
        Act::Approve(Waiting { tenant, workflow, run, step, opened_by: by.into(), subject: None })
    };
    assert!(may(&waiting("local:bert")) && !may(&waiting("local:anna")));
    let risky = bailiwick_core::policy::AgentFacts { risk_class: "high".into(), ..agent("a") };
    assert!(may(&Act::InstallAgent(agent("a"))) && !may(&Act::InstallAgent(risky)));
    let erase = |tenant: &str| Act::EraseSubject(DataSubject { tenant: tenant.into(), id: "C-1".into() });
    assert!(may(&erase("shop")) && !may(&erase("bank")));
}

fn freeze(scope: FreezeScope) -> Freeze {
    Freeze { scope, reason: "incident 7".into(), by: "local:anna".into(), since_ms: 1 }
}

#[test]
fn a_freeze_stops_what_it_names_at_issue_at_the_next_call_and_when_undoing() {
    for (scope, stops_call, stops_open) in [
        (FreezeScope::Host, true, true),
        (FreezeScope::Tenant("shop".into()), true, true),
        (FreezeScope::Tenant("bank".into()), false, false),
        (FreezeScope::Agent("a".into()), true, false),
        (FreezeScope::Agent("b".into()), false, false),
        (FreezeScope::Capability("crm".into()), true, false),
        (FreezeScope::Capability("bailiwick:crm".into()), true, false),
        (FreezeScope::Capability("crm/customers".into()), true, false),
        (FreezeScope::Capability("bailiwick:crm/customers@0.1.0".into()), true, false),
        (FreezeScope::Capability("crm/customers.get".into()), true, false),
        (FreezeScope::Capability("crm/customers.get@0.1.0".into()), true, false),
        (FreezeScope::Capability("bailiwick:crm/customers@0.1.0.get".into()), true, false),
        (FreezeScope::Capability("crm/notes".into()), false, false),
        (FreezeScope::Capability("orders".into()), false, false),
    ] {
        let (engine, operation, context) = (engine(ALL), operation("crm/customers.get"), context("a"));
        let request = request(&operation, &[("id", json!("C-1"))]);
        let grant = grant(&engine.at_issue(&context, &operation, &request), request.clone());
        let labels = BTreeSet::new();
        let args = json!({"id": "C-1"});
        let call = CallFacts { args: &args, labels: &labels, calls: 0, bytes_out: 0 };
        let open = Opening { workflow: &"returns".into(), tenant: &"shop".into(), subject: None };
        engine.freeze(freeze(scope.clone())).unwrap();
        let called = engine.at_call(&context, &operation, &grant, &call).unwrap();
        for decision in [&called, &engine.at_issue(&context, &operation, &request), &engine.at_undo(&context, &operation)] {
            assert_eq!(decision.is_permit(), !stops_call, "{scope}");
            if stops_call {
                assert_eq!(rules(decision), [FREEZE_RULE]);
                assert_eq!(reason(decision), format!("{scope} is frozen: incident 7"));
            }
        }
        assert_eq!(engine.at_open(&requester("local:anna", &[]), &open).is_permit(), !stops_open, "{scope}");
        assert!(matches!(
            engine.administer(&requester("local:anna", &[]), &Act::Lift(scope.clone())),
            ActDecision::Decided(Decision::Permit(_))
        ));

        assert_eq!(engine.freezes().iter().count(), 1);
        assert_eq!(engine.lift(&scope).unwrap().reason, "incident 7");
        assert_eq!(engine.lift(&scope), None);
        let called = engine.at_call(&context, &operation, &grant, &call).unwrap();
        assert!(called.is_permit(), "{scope}");
    }
}

#[test]
fn a_freeze_of_nothing_is_refused() {
    let problem = engine(ALL).freeze(freeze(FreezeScope::Capability("crm/custommers".into()))).unwrap_err();
    assert_eq!(problem.to_string(), "the project has no package, interface or operation `crm/custommers`: did you mean `crm/customers`?");
}

#[test]
fn freezes_are_kept_as_a_list() {
    let mut freezes = Freezes::default();
    freezes.add(freeze(FreezeScope::Capability("crm".into())));
    freezes.add(freeze(FreezeScope::Host));
    let text = serde_json::to_string(&freezes).unwrap();
    assert_eq!(serde_json::from_str::<Freezes>(&text).unwrap(), freezes);
    assert_eq!(freezes.iter().next().unwrap().scope, FreezeScope::Host);
}

#[test]
fn a_changed_policy_bites_at_the_next_call_and_a_renewed_grant_is_cheap_again() {
    let (engine, operation, context) = (engine(ALL), operation("crm/customers.get"), context("a"));
    let request = request(&operation, &[("id", json!("C-1"))]);
    let mut grant = grant(&engine.at_issue(&context, &operation, &request), request);
    let labels = BTreeSet::new();
    let args = json!({"id": "C-1"});
    let call = CallFacts { args: &args, labels: &labels, calls: 0, bytes_out: 0 };
    let before = engine.version();
    engine.install(load("@id(\"other\") permit (principal, action, resource);"));
    assert_ne!(engine.version(), before);
    let Some(Decision::Permit(permit)) = engine.at_call(&context, &operation, &grant, &call) else { panic!("it is decided anew") };
    assert_eq!((permit.rules(), permit.policy_version()), (&["other".to_owned()][..], &engine.version()));
    grant.renew(permit);
    assert_eq!(engine.at_call(&context, &operation, &grant, &call), None);
    let before = engine.install(load(""));
    assert!(before.rule("other").is_some());
    assert!(engine.at_call(&context, &operation, &grant, &call).is_some_and(|decision| !decision.is_permit()));
}

#[test]
fn a_permit_of_another_engine_or_of_a_parent_is_not_believed() {
    let (open, closed) = (engine(ALL), engine(""));
    let (operation, context) = (operation("crm/customers.get"), context("a"));
    let request = request(&operation, &[("id", json!("C-1"))]);
    let parent = grant(&open.at_issue(&context, &operation, &request), request.clone());
    let labels = BTreeSet::new();
    let args = json!({"id": "C-1"});
    let call = CallFacts { args: &args, labels: &labels, calls: 0, bytes_out: 0 };
    assert!(closed.at_call(&context, &operation, &parent, &call).is_some_and(|decision| !decision.is_permit()));
    let child = parent.narrow("c".into(), "t2".into(), request, 1).unwrap();
    assert!(open.at_call(&context, &operation, &child, &call).is_some_and(|decision| decision.is_permit()));
}

#[test]
fn an_operation_that_the_policies_do_not_know_is_forbidden() {
    let builtin = bailiwick_wit::builtin_catalog().unwrap();
    let policies = Policies::load(&crate::testing::source(ALL), &builtin).unwrap();
    let engine = CedarEngine::new(Arc::new(policies), Freezes::default());
    let operation = operation("acme:bank/payments.pay");
    let decision = engine.at_issue(&context("a"), &operation, &request(&operation, &[]));
    assert!(reason(&decision).contains("do not know `acme:bank/payments@1.0.0.pay`"), "{decision:?}");
}

#[test]
fn texts_from_outside_are_taken_as_they_are() {
    let hostile = ["\"", "\\", "a\nb", "\0", "\u{202e}x", "\") permit(principal, action, resource); //", "'; --", "*", "${x}", ""];
    let text = r#"
        @id("mine") permit (principal == Bailiwick::Agent::"a", action in Bailiwick::Action::"crm", resource)
        when { resource.id == "C-1" && context.args.id == "C-1" };
        @id("open") permit (principal == Bailiwick::Requester::"r", action == Bailiwick::Action::"runs.open", resource)
        when { resource.id == "C-1" };
    "#;
    let text = text.replace("context.args.id == \"C-1\"", "context.calls < 9");
    let (engine, operation) = (engine(&text), operation("crm/customers.get"));
    for bad in hostile {
        let args = json!({ "id": bad });
        let request = request(&operation, &[("id", json!(bad))]);
        let decision = ask(&engine, "a", &operation, request.clone(), &args, &[bad], 0);
        assert_eq!((decision.is_permit(), reason(&decision)), (false, "no policy permits it"), "{bad:?}");
        assert!(!ask(&engine, bad, &operation, request, &args, &[], 0).is_permit(), "{bad:?}");
        let (workflow, tenant) = (bad.into(), bad.into());
        let open = |subject: &str, id: &str| {
            let opening = Opening { workflow: &workflow, tenant: &tenant, subject: Some(&subject.into()) };
            engine.at_open(&requester(id, &[(bad, bad)]), &opening).is_permit()
        };
        assert!(open("C-1", "r") && !open(bad, "r") && !open("C-1", bad), "{bad:?}");
    }
}

#[test]
fn each_of_several_subjects_has_to_be_permitted() {
    use bailiwick_core::capability::{CapabilityFile, Catalog};
    use bailiwick_core::signature::{Signature, WitType};
    let text = "package = \"acme:bulk@1.0.0\"\nsummary = \"\"\n[i.get]\neffect = \"read\"\nsubject = [\"ids.*\"]";
    let spec = CapabilityFile::parse(text).unwrap().operations["i.get"].clone();
    let signature = Signature { params: vec![("ids".into(), WitType::List(Box::new(WitType::Text)))], result: None };
    let operation = Operation::new("acme:bulk/i@1.0.0.get".parse().unwrap(), spec, signature);
    let mut catalog = Catalog::default();
    catalog.insert(operation.clone());
    let text = "permit (principal, action, resource); forbid (principal, action in Bailiwick::Action::\"read\", resource == Bailiwick::Subject::\"C-2\");";
    let engine = CedarEngine::new(Arc::new(Policies::load(&crate::testing::source(text), &catalog).unwrap()), Freezes::default());
    let ids = |most: usize| -> Vec<String> { (10..10 + most).map(|n| format!("C-{n}")).collect() };
    for (ids, permitted) in [
        (vec!["C-1".to_owned(), "C-3".into()], true),
        (vec!["C-1".to_owned(), "C-2".into()], false),
        (vec!["C-2".to_owned(), "C-1".into()], false),
        (vec![], true),
        (ids(63), true),
        (ids(64), true),
        (ids(65), false),
    ] {
        let args = json!({ "ids": ids });
        let request = request(&operation, &[("ids", args["ids"].clone())]);
        assert_eq!(ask(&engine, "a", &operation, request, &args, &[], 0).is_permit(), permitted, "{}", ids.len());
    }
}
