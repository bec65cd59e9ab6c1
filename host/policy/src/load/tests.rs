use super::*;
use crate::testing::{catalog, load, source, try_load};

/// Problems as people read them.
fn problems(text: &str) -> String {
    let problems = try_load(text).expect_err("the set is wrong");
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn problems_name_file_line_column_and_what_to_do() {
    insta::assert_snapshot!(problems(
        r#"
@id("too-much")
forbid (principal, action in Bailiwick::Action::"acme:bank/payments.pay", resource)
when { context.args.cent > 5 };

@id("text-as-number")
forbid (principal, action in Bailiwick::Action::"acme:bank/payments.pay", resource)
when { context.args.cents == "5" };

@id("note-may-be-missing")
forbid (principal, action in Bailiwick::Action::"acme:bank/payments.pay", resource)
when { context.args.note like "*x*" };

@id("no-guard")
permit (principal is Bailiwick::Requester, action == Bailiwick::Action::"runs.open", resource)
when { principal.getTag("kind") == "person" };

@id("on-every-operation")
permit (principal is Bailiwick::Agent, action, resource) when { context.args.id == "C-1" };
"#
    ));
}

#[test]
fn names_that_are_not_there_are_found_with_the_nearest_that_is() {
    insta::assert_snapshot!(problems(
        r#"
permit (principal, action == Bailiwick::Action::"crm/customers.gett@0.1.0", resource);
permit (principal, action in [Bailiwick::Action::"orders", Bailiwick::Action::"frezee"], resource);
permit (principal == Bailiwick::User::"x", action, resource);
"#
    ));
}

#[test]
fn a_text_that_is_no_policy_is_refused_where_it_stops_being_one() {
    insta::assert_snapshot!(problems("permit (principal, action, resource);\n\npermit (principal, action resource);\n"));
}

#[test]
fn names_and_annotations_are_checked() {
    insta::assert_snapshot!(problems(
        r#"
@id("twice")
permit (principal, action, resource);
@id("twice")
forbid (principal, action, resource);
"#
    ));
    insta::assert_snapshot!(problems(
        r#"
@foureyes("true")
permit (principal, action == Bailiwick::Action::"policy.install", resource);
@four_eyes("yes")
permit (principal, action == Bailiwick::Action::"policy.install", resource);
@id("reads") @four_eyes("true")
permit (principal, action in Bailiwick::Action::"read", resource);
@id("any") @four_eyes("true")
permit (principal, action, resource);
@id("a, b")
permit (principal, action, resource);
@id("freeze")
permit (principal, action, resource);
"#
    ));
    insta::assert_snapshot!(problems("permit (principal == ?principal, action, resource);"));
    for rule in crate::GATE_RULES {
        let found = problems(&format!("@id(\"{rule}\")\npermit (principal, action, resource);"));
        assert!(found.contains(&format!("`{rule}` is a rule of the host itself")), "{found}");
    }
}

#[test]
fn a_forbid_that_can_never_apply_is_refused_and_a_permit_is_warned_of() {
    insta::assert_snapshot!(problems(
        r#"
@id("of-a-group")
forbid (principal, action == Bailiwick::Action::"crm/customers.get", resource);
"#
    ));
    insta::assert_snapshot!(problems(
        r#"
@id("by-nobody")
forbid (principal is Bailiwick::Requester, action in Bailiwick::Action::"crm", resource);
@id("never")
forbid (principal, action in Bailiwick::Action::"crm", resource is Bailiwick::Target);
"#
    ));
    let policies = load("permit (principal, action in Bailiwick::Action::\"crm\", resource is Bailiwick::Target);");
    assert_eq!(policies.warnings().len(), 1);
}

#[test]
fn a_text_that_shows_otherwise_than_it_reads_is_refused() {
    let text = "permit (principal, action, resource) when { context.workflow == \"a\u{202e}b\" };";
    assert!(try_load(text).is_err_and(|problems| problems[0].place.is_some()));
}

#[test]
fn one_wrong_file_refuses_all() {
    let mut files = source("permit (principal, action, resource);");
    files.push(PolicySource { name: "policy/other.cedar".into(), text: "permit".into() });
    let problems = Policies::load(&files, &catalog()).unwrap_err();
    assert!(problems.iter().all(|problem| problem.file == "policy/other.cedar"), "{problems:?}");
}

#[test]
fn a_rule_without_id_is_known_by_file_and_line() {
    let text = "// permit (principal, action, resource);\npermit (principal, action, resource);\n\npermit (principal, action, resource)\nwhen { false };";
    let policies = load(text);
    let ids: Vec<&str> = policies.rules().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["policy/test.cedar:2:1", "policy/test.cedar:4:1"]);
    assert_eq!(policies.rule("policy/test.cedar:4:1").unwrap().source, "permit (principal, action, resource)\nwhen { false };");
    assert_eq!(policies.warnings().len(), 1, "it can never apply: {:?}", policies.warnings());
}

#[test]
fn the_version_is_of_sources_and_schema() {
    let text = "permit (principal, action, resource);";
    let of = |text: &str| load(text).version().clone();
    assert_eq!(of(text), of(text));
    assert_ne!(of(text), of("permit (principal, action, resource); "));
    let builtin = bailiwick_wit::builtin_catalog().unwrap();
    assert_ne!(*Policies::load(&source(text), &builtin).unwrap().version(), of(text));
    let file = |name: &str| PolicySource { name: name.into(), text: format!("@id(\"{name}\") {text}") };
    let of = |files: &[PolicySource]| Policies::load(files, &builtin).unwrap().version().clone();
    assert_eq!(of(&[file("a"), file("b")]), of(&[file("b"), file("a")]));
}

#[test]
fn the_schema_is_what_authors_read() {
    insta::assert_snapshot!(crate::schema_text(&catalog()));
}

#[test]
fn a_package_cannot_take_the_name_of_an_effect_or_act() {
    use bailiwick_core::capability::CapabilityFile;
    let mut catalog = catalog();
    for (package, function) in [("bailiwick:read", "x"), ("bailiwick:freeze", "x")] {
        let text = format!("package = \"{package}@0.1.0\"\nsummary = \"\"\n[i.{function}]\neffect = \"final\"\ndedupe = \"none\"");
        let spec = CapabilityFile::parse(&text).unwrap().operations["i.x"].clone();
        let signature = bailiwick_core::signature::Signature { params: Vec::new(), result: None };
        catalog.insert(Operation::new(format!("{package}/i@0.1.0.{function}").parse().unwrap(), spec, signature));
    }
    let policies = Policies::load(&source("permit (principal, action in Bailiwick::Action::\"read\", resource);"), &catalog).unwrap();
    let action = &policies.operations[&"bailiwick:read/i@0.1.0.x".parse().unwrap()];
    assert!(action.any.is_empty(), "a final operation is no read because of its package's name");
}

#[test]
fn the_default_policies_are_right_and_mostly_decided_at_issue() {
    let policies = load(crate::DEFAULT_POLICY);
    assert!(policies.warnings().is_empty(), "{:?}", policies.warnings());
    for action in policies.operations.values() {
        let is_final = action.operation.as_ref().unwrap().spec.effect == bailiwick_core::capability::Effect::Final;
        assert_eq!(action.slice(&policies, "any").at_call.is_empty(), !is_final, "{}", action.uid);
    }
}
