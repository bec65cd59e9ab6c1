use bailiwick_sdk::{Answer, fake, testing};
use billing::accounts::{Change, SetReturnStatus};
use crm::notes::Append;
use serde_json::{Value, json};
use ticketing::tickets::{Create, Ticket};

use super::*;

/// Errors of the three systems; `None` answers.
#[derive(Default)]
struct Faults {
    billing: Option<Error>,
    ticketing: Option<Error>,
    crm: Option<Error>,
}

fn run(input: Value, faults: Faults) -> (Result<Answer<Value>, Failure>, fake::Scope) {
    let answer = |fault: &Option<Error>| fault.clone().map_or(Ok(()), Err);
    let fakes = fake::Capabilities::new()
        .on(SetReturnStatus, move |_| answer(&faults.billing).map(|()| Change { version: "8".to_owned(), prior: ReturnStatus::None }))
        .on(Create, move |args| {
            answer(&faults.ticketing).map(|()| Ticket { id: "T-7001".to_owned(), status: args.status, version: "1".to_owned() })
        })
        .on(Append, move |_| answer(&faults.crm).map(|()| "N-1".to_owned()))
        .enter();
    (testing::run(case_recorder, input), fakes)
}

fn input(decision: &str, tracking: Value) -> Value {
    json!({
        "customer": "C-1042", "order": "O-20417", "order-version": "7", "decision": decision, "reason": "within-window",
        "tracking": tracking
    })
}

#[test]
fn an_accepted_return_is_expected_and_its_ticket_waits() {
    let (answer, fakes) = run(input("accepted", json!("TR123")), Faults::default());
    assert_eq!(answer.unwrap().output, json!({"ticket": "T-7001", "note": "N-1", "return-status": "expected"}));
    assert_eq!(fakes.order(), <case_recorder as Agent>::describe().wants, "the books come first");
    let booked = &fakes.calls(SetReturnStatus)[0];
    assert_eq!((booked.order.as_str(), booked.status, booked.if_version.as_str()), ("O-20417", ReturnStatus::Expected, "7"));
    let ticket = &fakes.calls(Create)[0];
    assert_eq!((ticket.customer.as_str(), ticket.kind, ticket.status), ("C-1042", Kind::GoodsReturn, Status::Waiting));
    assert_eq!(ticket.subject, "Return of order O-20417 accepted");
    assert!(ticket.body.contains("Reason: within-window") && ticket.body.contains("Tracking number: TR123"), "{}", ticket.body);
    assert_eq!(fakes.calls(Append)[0].text, "Return of order O-20417: accepted (within-window), label TR123, ticket T-7001");
}

#[test]
fn an_accepted_return_without_a_label_is_open() {
    let (answer, fakes) = run(input("accepted", json!(null)), Faults::default());
    assert_eq!(answer.unwrap().output["return-status"], "expected");
    let ticket = &fakes.calls(Create)[0];
    assert_eq!(ticket.status, Status::Open);
    assert!(ticket.subject.ends_with("label pending") && ticket.body.contains("make the label by hand"));
    assert!(fakes.calls(Append)[0].text.contains("label pending"));
}

#[test]
fn a_refused_return_is_solved_and_not_in_the_books() {
    let (answer, fakes) = run(input("refused", json!(null)), Faults::default());
    assert_eq!(answer.unwrap().output, json!({"ticket": "T-7001", "note": "N-1", "return-status": null}));
    assert!(fakes.calls(SetReturnStatus).is_empty());
    assert_eq!(fakes.calls(Create)[0].status, Status::Solved);
    assert_eq!(fakes.calls(Append)[0].text, "Return of order O-20417: refused (within-window), ticket T-7001");
}

#[test]
fn a_missing_version_means_whatever_it_is_now() {
    let mut without = input("accepted", json!("TR123"));
    without.as_object_mut().unwrap().remove("order-version");
    let (_, fakes) = run(without, Faults::default());
    assert_eq!(fakes.calls(SetReturnStatus)[0].if_version, "");
    assert!(!fakes.calls(Create)[0].body.contains("Version of the order"));
}

#[test]
fn input_that_contradicts_itself_writes_nothing() {
    for bad in [input("refused", json!("TR123")), input("maybe", json!(null))] {
        let (answer, fakes) = run(bad, Faults::default());
        assert!(matches!(answer, Err(Failure::InvalidInput(_))));
        assert!(fakes.order().is_empty());
    }
}

#[test]
fn an_order_that_changed_goes_to_a_person_before_anything_else_is_written() {
    let faults = Faults { billing: Some(Error::Conflict("9".to_owned())), ..Faults::default() };
    let (answer, fakes) = run(input("accepted", json!("TR123")), faults);
    assert!(matches!(answer, Err(Failure::NeedsHuman(_))));
    assert_eq!(fakes.order().len(), 1);
}

#[test]
fn failures_of_calls_are_failures_of_the_task() {
    let accepted = || input("accepted", json!("TR123"));
    let (answer, fakes) = run(accepted(), Faults { billing: Some(Error::Unavailable), ..Faults::default() });
    assert!(matches!(answer, Err(Failure::Retryable(_))));
    assert_eq!(fakes.order().len(), 1);
    drop(fakes);
    let (answer, fakes) = run(accepted(), Faults { ticketing: Some(Error::Timeout), ..Faults::default() });
    assert!(matches!(answer, Err(Failure::Retryable(_))));
    assert!(fakes.calls(Append).is_empty());
    drop(fakes);
    let (answer, _fakes) = run(accepted(), Faults { crm: Some(Error::Denied("d".to_owned())), ..Faults::default() });
    assert!(matches!(answer, Err(Failure::Permanent(_))));
}
