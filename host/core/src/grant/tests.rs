use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::capability::{CapabilityFile, Effect};
use crate::policy::{Decision, StepRule};
use crate::signature::{Signature, WitType};

fn operation() -> Operation {
    let file = CapabilityFile::parse(
        "package = \"t:t@0.1.0\"\nsummary = \"\"\n[i.get]\neffect = \"read\"\nsubject = [\"id\"]\nowner = \"result.customer\"",
    )
    .unwrap();
    let signature = Signature {
        params: vec![
            ("id".into(), WitType::Text),
            ("how".into(), WitType::Record(vec![("n".into(), WitType::Signed { bits: 64 }), ("t".into(), WitType::Text)])),
        ],
        result: None,
    };
    Operation::new("t:t/i@0.1.0.get".parse().unwrap(), file.operations["i.get"].clone(), signature)
}

fn request(conditions: &[(&str, Condition)]) -> GrantRequest {
    GrantRequest {
        operation: operation().id,
        conditions: conditions.iter().map(|(path, c)| (path.parse().unwrap(), vec![c.clone()])).collect(),
        owner: None,
        budgets: Budgets::default_for(Effect::Read),
        delegable: true,
    }
}

fn grant(request: GrantRequest) -> Grant {
    let Decision::Permit(permit) = StepRule.permit_for_tests() else { panic!("the step rule permits") };
    Grant::issue(&permit, "g".into(), "t".into(), request, 1_000)
}

#[test]
fn only_what_is_mentioned_and_holds_passes() {
    let grant = grant(request(&[("id", Condition::Equals(json!("C-1"))), ("how.n", Condition::Max(5)), ("how.t", Condition::Any)]));
    let check = |args: Value| grant.check_arguments(&operation(), &args, 1_000);
    assert_eq!(check(json!({"id": "C-1", "how": {"n": 5, "t": "x"}})), Ok(()));
    assert!(matches!(check(json!({"id": "c-1", "how": {"n": 5, "t": "x"}})), Err(Refusal::Condition { names_another: true, .. })));
    assert!(matches!(check(json!({"id": "", "how": {"n": 5, "t": "x"}})), Err(Refusal::Condition { names_another: true, .. })));
    assert!(matches!(check(json!({"id": "C-1", "how": {"n": 6, "t": "x"}})), Err(Refusal::Condition { names_another: false, .. })));
    assert!(matches!(check(json!({"id": "C-1", "how": {"n": "5", "t": "x"}})), Err(Refusal::Condition { .. })));
    assert_eq!(check(json!({"id": "C-1", "how": {"n": 5, "t": "x", "more": 1}})), Err(Refusal::Unmentioned { path: "how.more".into() }));
}

#[test]
fn an_argument_without_condition_is_refused() {
    let grant = grant(request(&[("id", Condition::Any)]));
    assert_eq!(
        grant.check_arguments(&operation(), &json!({"id": "C-1", "how": {"n": 1}}), 0),
        Err(Refusal::Unmentioned { path: "how".into() })
    );
}

#[test]
fn after_its_expiry_a_grant_permits_nothing() {
    let grant = grant(request(&[("id", Condition::Any), ("how", Condition::Any)]));
    assert_eq!(grant.check_arguments(&operation(), &json!({"id": "C-1"}), 1_000), Ok(()));
    assert_eq!(grant.check_arguments(&operation(), &json!({"id": "C-1"}), 1_001), Err(Refusal::Expired));
}

#[test]
fn the_owner_of_an_answer_is_checked() {
    let mut asked = request(&[("id", Condition::Any), ("how", Condition::Any)]);
    asked.owner = Some("C-1".into());
    let grant = grant(asked);
    assert!(grant.owner_holds(&operation(), &json!({"customer": "C-1"})));
    assert!(!grant.owner_holds(&operation(), &json!({"customer": "C-2"})));
    assert!(!grant.owner_holds(&operation(), &json!({})));
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Any),
        (-5_i64..5).prop_map(|n| Condition::Equals(json!(n))),
        proptest::collection::vec(-5_i64..5, 0..3).prop_map(|v| Condition::In(v.into_iter().map(|n| json!(n)).collect())),
        (-5_i64..5).prop_map(Condition::Max),
        (-5_i64..5).prop_map(Condition::Min),
        "[ab]{0,2}".prop_map(Condition::Prefix),
        "[ab]{1,2}".prop_map(|text| Condition::Equals(json!(text))),
        "[abA]{1,2}".prop_map(Condition::Host),
        "/[ab/.]{0,3}".prop_map(Condition::Path),
        proptest::collection::vec("[ab]", 0..3).prop_map(Condition::Names),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let named = proptest::collection::vec("[abc]", 0..3);
    prop_oneof![
        (-6_i64..6).prop_map(|n| json!(n)),
        "[abA]{0,3}".prop_map(|t| json!(t)),
        "/[ab/.]{0,4}".prop_map(|t| json!(t)),
        named.prop_map(|names| names.into_iter().map(|name| json!({ "name": name })).collect()),
        Just(Value::Null),
        Just(json!(true))
    ]
}

proptest! {
    #[test]
    fn narrowing_never_widens(held in condition(), asked in condition(), id in value()) {
        let parent = grant(request(&[("id", held), ("how", Condition::Any)]));
        let child = parent.narrow("c".into(), "t2".into(), request(&[("id", asked), ("how", Condition::Any)]), 1_000);
        if let Ok(child) = child {
            let args = json!({"id": id, "how": {}});
            if child.check_arguments(&operation(), &args, 0).is_ok() {
                prop_assert!(parent.check_arguments(&operation(), &args, 0).is_ok());
            }
        }
    }

    #[test]
    fn within_means_implied(a in condition(), b in condition(), v in value()) {
        if a.is_within(&b) && a.holds(&v) {
            prop_assert!(b.holds(&v));
        }
    }
}

#[test]
fn names_are_those_of_every_record_of_a_list() {
    let names = Condition::Names(vec!["page".into(), "limit".into()]);
    for good in [json!([]), json!([{"name": "page", "value": "1"}, {"name": "page", "value": "2"}, {"name": "limit"}])] {
        assert!(names.holds(&good), "{good}");
    }
    for bad in [
        json!(null),
        json!("page"),
        json!({"name": "page"}),
        json!(["page"]),
        json!([{"name": "Page"}]),
        json!([{"name": "page"}, {"name": "to"}]),
        json!([{}]),
    ] {
        assert!(!names.holds(&bad), "{bad}");
    }
    assert!(Condition::Names(Vec::new()).holds(&json!([])) && !Condition::Names(Vec::new()).holds(&json!([{"name": ""}])));
}

#[test]
fn a_narrowed_grant_has_no_note_of_its_parent_and_a_renewed_one_names_the_new_version() {
    let Decision::Permit(permit) = StepRule.permit_for_tests() else { panic!("the step rule permits") };
    let request = GrantRequest { delegable: true, ..request(&[("id", Condition::Any)]) };
    let mut parent = Grant::issue(&permit.with_note(std::sync::Arc::new(1_u8)), "p".into(), "t1".into(), request.clone(), 1_000);
    let child = parent.narrow("c".into(), "t2".into(), request, 1_000).unwrap();
    assert_eq!((parent.permit().note::<u8>(), child.permit().note::<u8>()), (Some(&1), None));
    assert_eq!(serde_json::to_value(&parent).unwrap()["policy-version"], StepRule::VERSION);
    let Decision::Permit(other) = Decision::permit(Vec::new(), "2".into()) else { panic!("it is a permit") };
    parent.renew(other);
    assert_eq!(parent.policy_version().as_str(), "2");
}
