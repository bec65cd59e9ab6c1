use bailiwick_sdk::{Answer, Confidence, fake, testing};
use orders::orders::Line;
use serde_json::json;

use super::*;

fn euro(minor_units: i64) -> Money {
    Money { minor_units, currency: "EUR".to_owned() }
}

fn line(category: &str, price: i64, quantity: u32, shipped: u32) -> Line {
    Line { sku: "S-1".to_owned(), title: "A thing".to_owned(), category: category.to_owned(), quantity, price: euro(price), shipped }
}

fn order() -> Order {
    Order {
        id: "O-20417".to_owned(),
        customer: "C-1042".to_owned(),
        placed_on: "2026-10-19".to_owned(),
        delivered_on: Some("2026-10-23".to_owned()),
        status: Status::Delivered,
        lines: vec![line("shoes", 8990, 1, 1), line("clothing", 2000, 2, 2), line("shoes", 100, 1, 1)],
        paid: euro(13_090),
        version: "7".to_owned(),
        as_of: "2026-11-20T09:00:00Z".to_owned(),
    }
}

fn decision(outcome: &str, reason: Option<&str>) -> Decision {
    let value = |reason: &str| Fact { name: "reason".to_owned(), value: Value::Text(reason.to_owned()) };
    Decision {
        outcome: outcome.to_owned(),
        rules: vec!["r-1".to_owned(), "r-9".to_owned()],
        values: reason.map(value).into_iter().collect(),
        ruleset_version: "3".to_owned(),
    }
}

fn run(order: Result<Order, Error>, decision: Result<Decision, Error>) -> (Result<Answer<serde_json::Value>, Failure>, fake::Scope) {
    let fakes = fake::Capabilities::new()
        .on(orders::orders::Get, move |_| order.clone())
        .on(rules::tables::Evaluate, move |_| decision.clone())
        .enter();
    let result = testing::run(returns_policy, json!({"order": "O-20417", "requested-on": "2026-11-20"}));
    assert_eq!(fakes.calls(orders::orders::Get)[0].id, "O-20417");
    (result, fakes)
}

#[test]
fn an_eligible_order_is_paid_back() {
    let (answer, fakes) = run(Ok(order()), Ok(decision("eligible", Some("within-window"))));
    let answer = answer.unwrap();
    assert_eq!(answer.confidence, Confidence::Certain);
    assert_eq!(
        answer.output,
        json!({
            "eligible": true, "reason": "within-window", "rules": ["r-1", "r-9"], "ruleset-version": "3",
            "refund": {"minor-units": 13_090, "currency": "EUR"}, "order-version": "7"
        })
    );
    assert_eq!(answer.sources, ["order `O-20417` as of 2026-11-20T09:00:00Z", "ruleset `returns` version 3"]);
    let asked = &fakes.calls(rules::tables::Evaluate)[0];
    assert_eq!(asked.ruleset, "returns");
    let fact = |name: &str| asked.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone());
    assert_eq!(fact("requested-on"), Some(Value::Date("2026-11-20".to_owned())));
    assert_eq!(fact("delivered-on"), Some(Value::Date("2026-10-23".to_owned())));
    assert_eq!(fact("status"), Some(Value::Text("delivered".to_owned())));
    assert_eq!(fact("categories"), Some(Value::Texts(vec!["clothing".to_owned(), "shoes".to_owned()])));
    assert_eq!(fact("paid-minor-units"), Some(Value::Number(13_090)));
    assert_eq!(asked.facts.len(), 5);
}

#[test]
fn a_refused_order_is_not_paid_back() {
    let (answer, _) = run(Ok(order()), Ok(decision("refused", Some("window-exceeded"))));
    let output = answer.unwrap().output;
    assert_eq!((&output["eligible"], &output["reason"], &output["refund"]), (&json!(false), &json!("window-exceeded"), &json!(null)));
}

#[test]
fn an_order_that_has_not_arrived_has_no_such_fact() {
    let open = Order { delivered_on: None, status: Status::Open, ..order() };
    let (_, fakes) = run(Ok(open), Ok(decision("refused", Some("not-delivered"))));
    let facts = &fakes.calls(rules::tables::Evaluate)[0].facts;
    assert!(facts.iter().all(|fact| fact.name != "delivered-on"));
    assert!(facts.iter().any(|fact| fact.value == Value::Text("open".to_owned())));
}

#[test]
fn no_such_order_and_somebody_elses_look_the_same() {
    let (missing, fakes) = run(Err(Error::NotFound), Ok(decision("eligible", Some("x"))));
    assert!(fakes.calls(rules::tables::Evaluate).is_empty());
    drop(fakes);
    let (foreign, _fakes) = run(Err(Error::Denied("d-1".to_owned())), Ok(decision("eligible", Some("x"))));
    let missing = missing.unwrap();
    assert_eq!(missing, foreign.unwrap());
    assert_eq!(missing.output["reason"], "order-not-found");
    assert_eq!(missing.output["eligible"], false);
}

#[test]
fn failures_of_calls_are_failures_of_the_task() {
    let good = || Ok(decision("eligible", Some("within-window")));
    assert!(matches!(run(Err(Error::Unavailable), good()).0, Err(Failure::Retryable(_))));
    assert!(matches!(run(Ok(order()), Err(Error::Timeout)).0, Err(Failure::Retryable(_))));
    assert!(matches!(run(Ok(order()), Err(Error::NotFound)).0, Err(Failure::Permanent(_))));
    assert!(matches!(run(Ok(order()), Err(Error::Denied("d-2".to_owned()))).0, Err(Failure::Permanent(_))));
}

#[test]
fn a_ruleset_that_says_something_else_is_not_guessed_at() {
    let message = |decision| run(Ok(order()), Ok(decision)).0.unwrap_err().to_string();
    assert!(message(decision("maybe", Some("x"))).contains("the outcome `maybe`"));
    assert!(message(decision("eligible", None)).contains("without a text `reason`: add it to the values of the rule `r-1`"));
    let mut numbered = decision("eligible", None);
    numbered.values = vec![Fact { name: "reason".to_owned(), value: Value::Number(3) }];
    assert!(message(numbered).contains("without a text `reason`"));
}

#[test]
fn only_what_was_shipped_and_paid_is_paid_back() {
    let amount = |lines: Vec<Line>, paid: i64| refund::amount(&Order { lines, paid: euro(paid), ..order() }).unwrap().minor_units;
    assert_eq!(amount(vec![line("a", 100, 3, 2)], 300), 200, "part shipped");
    assert_eq!(amount(vec![line("a", 100, 1, 5)], 900), 100, "more shipped than bought");
    assert_eq!(amount(vec![line("a", 100, 3, 3)], 250), 250, "a voucher paid the rest");
    assert_eq!(amount(vec![line("a", 100, 3, 3)], 0), 0, "free order");
    assert_eq!(amount(vec![line("a", 100, 3, 3)], -5), 0, "a debt is not paid back");
    assert_eq!(amount(vec![line("a", -100, 3, 3)], 50), 0, "nor is a negative price");
    assert_eq!(amount(Vec::new(), 50), 0);
}

#[test]
fn amounts_that_do_not_add_up_go_to_a_person() {
    let yen = Line { price: Money { minor_units: 1, currency: "JPY".to_owned() }, ..line("a", 1, 1, 1) };
    for lines in [vec![yen], vec![line("a", i64::MAX, 2, 2)], vec![line("a", i64::MAX, 1, 1), line("a", 1, 1, 1)]] {
        let (result, _fakes) = run(Ok(Order { lines, ..order() }), Ok(decision("eligible", Some("within-window"))));
        assert!(matches!(result, Err(Failure::NeedsHuman(_))));
    }
}

#[test]
fn the_manifest_wants_what_is_called() {
    let (_, fakes) = run(Ok(order()), Ok(decision("eligible", Some("within-window"))));
    let description = <returns_policy as Agent>::describe();
    assert_eq!(description.wants, fakes.order());
    assert!(description.input_schema.contains(r"^\\d{4}-\\d{2}-\\d{2}$"));
}
