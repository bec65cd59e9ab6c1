use super::*;
use crate::testing::{catalog, context, request};

#[test]
fn bound_means_fixed_to_what_the_requester_gave() {
    let catalog = catalog();
    let pay = catalog.resolve("acme:bank/payments.pay").unwrap();
    let fixed = [("from", json!("C-1")), ("to", json!("C-1")), ("cents", json!(500))];
    let with = |name: &str, conditions: &[Condition]| {
        let mut request = request(pay, &fixed);
        request.conditions.insert(name.parse().unwrap(), conditions.to_vec());
        is_bound(&context("a"), pay, &request)
    };
    for (name, value) in &fixed {
        assert!(with(name, &[Condition::Equals(value.clone())]));
        assert!(with(name, &[Condition::Any, Condition::In(vec![value.clone(), value.clone()])]));
        for loose in [
            vec![],
            vec![Condition::Any],
            vec![Condition::Max(500)],
            vec![Condition::Prefix("C-1".into())],
            vec![Condition::Host("C-1".into())],
            vec![Condition::Path("C-1".into())],
            vec![Condition::Names(vec!["C-1".into()])],
            vec![Condition::Equals(json!("C-2"))],
            vec![Condition::In(vec![value.clone(), json!("C-2")])],
            vec![Condition::Equals(json!({"id": "C-1"}))],
        ] {
            assert!(!with(name, &loose), "{name} {loose:?}");
        }
    }
    // Without the run's input only the subject counts, and without a subject nothing does.
    let mut context = context("a");
    context.run_input = None;
    assert!(!is_bound(&context, pay, &request(pay, &fixed)));
    let send = catalog.resolve("notify/messages.send").unwrap();
    let to = request(send, &[("customer", json!("C-1"))]);
    assert!(is_bound(&context, send, &to));
    context.subject = None;
    assert!(!is_bound(&context, send, &to));
    let evaluate = catalog.resolve("rules/tables.evaluate").unwrap();
    assert!(!is_bound(&context, evaluate, &request(evaluate, &[])), "what names nobody is bound to nobody");
}

#[test]
fn facts_for_people_say_what_was_looked_at() {
    let catalog = catalog();
    let pay = catalog.resolve("acme:bank/payments.pay").unwrap();
    let labels = ["pii".to_owned()].into();
    let call = CallFacts { args: &json!({"cents": 1}), labels: &labels, calls: 2, bytes_out: 3 };
    insta::assert_json_snapshot!(call_facts(&context("a"), pay, &request(pay, &[("cents", json!(500))]), &call));
}
