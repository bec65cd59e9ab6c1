use bailiwick_sdk::{Answer, fake, testing};
use serde_json::{Value, json};
use shipping::parcels::{CreateLabel, CreateLabelArgs, Label};

use super::*;

fn customer() -> Customer {
    Customer {
        id: "C-1042".to_owned(),
        name: "Jana Müller".to_owned(),
        email: None,
        address: Address {
            name: "J. Müller".to_owned(),
            street: "Hafenstraße 7".to_owned(),
            postal_code: "20457".to_owned(),
            city: "Hamburg".to_owned(),
            country: "DE".to_owned(),
        },
        birth_date: None,
        language: "de".to_owned(),
        opted_out: false,
        deceased: false,
        tier: "gold".to_owned(),
        version: "3".to_owned(),
        as_of: "2026-11-20T09:00:00Z".to_owned(),
    }
}

fn label() -> Label {
    Label { tracking: "TR123".to_owned(), document: "doc-1".to_owned(), carrier: "Post Express".to_owned() }
}

fn run(customer: Result<Customer, Error>, label: Result<Label, Error>, input: Value) -> (Result<Answer<Value>, Failure>, fake::Scope) {
    let fakes =
        fake::Capabilities::new().on(crm::customers::Get, move |_| customer.clone()).on(CreateLabel, move |_| label.clone()).enter();
    (testing::run(return_label, input), fakes)
}

fn input() -> Value {
    json!({"order": "O-20417", "customer": "C-1042"})
}

#[test]
fn the_label_is_made_from_the_address_on_record() {
    let (answer, fakes) = run(Ok(customer()), Ok(label()), input());
    assert_eq!(answer.unwrap().output, json!({"tracking": "TR123", "document": "doc-1", "carrier": "Post Express"}));
    assert_eq!(fakes.calls(crm::customers::Get)[0].id, "C-1042");
    let asked = CreateLabelArgs { order: "O-20417".to_owned(), sender: customer().address, weight_grams: USUAL_WEIGHT_GRAMS };
    assert_eq!(fakes.calls(CreateLabel), [asked]);
    assert_eq!(<return_label as Agent>::describe().wants, fakes.order());
}

#[test]
fn a_known_weight_is_used_within_what_the_carrier_takes() {
    let with_weight = |grams: u32| run(Ok(customer()), Ok(label()), json!({"order": "O-1", "customer": "C-1", "weight-grams": grams}));
    for grams in [1, MAX_WEIGHT_GRAMS] {
        let (answer, fakes) = with_weight(grams);
        assert!(answer.is_ok());
        assert_eq!(fakes.calls(CreateLabel)[0].weight_grams, grams);
    }
    for grams in [0, MAX_WEIGHT_GRAMS + 1] {
        let (answer, fakes) = with_weight(grams);
        assert!(matches!(answer, Err(Failure::InvalidInput(_))));
        assert!(fakes.order().is_empty());
    }
}

#[test]
fn an_address_without_a_name_takes_the_customers() {
    let mut nameless = customer();
    nameless.address.name = " ".to_owned();
    let (_, fakes) = run(Ok(nameless), Ok(label()), input());
    assert_eq!(fakes.calls(CreateLabel)[0].sender.name, "Jana Müller");
}

#[test]
fn half_an_address_goes_to_a_person_before_the_carrier_is_asked() {
    let mut half = customer();
    half.address.street = String::new();
    half.address.country = " ".to_owned();
    let (answer, fakes) = run(Ok(half), Ok(label()), input());
    let failure = answer.unwrap_err();
    assert!(matches!(&failure, Failure::NeedsHuman(text) if text.contains("no street, no country")), "{failure}");
    assert!(fakes.calls(CreateLabel).is_empty());
    // Some countries have no postal codes.
    let mut codeless = customer();
    codeless.address.postal_code = String::new();
    drop(fakes);
    assert!(run(Ok(codeless), Ok(label()), input()).0.is_ok());
}

#[test]
fn failures_of_calls_are_failures_of_the_task() {
    let failure = |error| run(Ok(customer()), Err(error), input()).0.unwrap_err();
    let refused = failure(Error::Invalid("sender.country".to_owned()));
    assert!(matches!(&refused, Failure::NeedsHuman(text) if text.contains("`sender.country`")), "{refused}");
    assert!(matches!(failure(Error::Unavailable), Failure::Retryable(_)));
    assert!(matches!(failure(Error::Timeout), Failure::Retryable(_)));
    assert!(matches!(failure(Error::Denied("d".to_owned())), Failure::Permanent(_)));
    assert!(matches!(failure(Error::Indeterminate("i".to_owned())), Failure::NeedsHuman(_)));
    let (answer, fakes) = run(Err(Error::NotFound), Ok(label()), input());
    assert!(matches!(answer, Err(Failure::Permanent(_))));
    assert!(fakes.calls(CreateLabel).is_empty());
}
