use bailiwick_sdk::{Answer, Confidence, fake, testing};
use serde_json::{Value, json};

use super::*;

fn customer() -> crm::customers::Customer {
    crm::customers::Customer {
        id: "C-1042".to_owned(),
        name: "Jana Müller".to_owned(),
        email: Some("jana@example.com".to_owned()),
        address: Address {
            name: "Jana Müller".to_owned(),
            street: "Hafenstraße 7".to_owned(),
            postal_code: "20457".to_owned(),
            city: "Hamburg".to_owned(),
            country: "DE".to_owned(),
        },
        birth_date: Some("1987-04-12".to_owned()),
        language: "de".to_owned(),
        opted_out: false,
        deceased: false,
        tier: "gold".to_owned(),
        version: "3".to_owned(),
        as_of: "2026-11-20T09:00:00Z".to_owned(),
    }
}

fn run_with(answer: Result<crm::customers::Customer, Error>, evidence: Value) -> Result<Answer<Value>, Failure> {
    let fakes = fake::Capabilities::new().on(crm::customers::Get, move |_| answer.clone()).enter();
    let result = testing::run(identity_verifier, json!({"customer": "C-1042", "evidence": evidence}));
    assert_eq!(fakes.calls(crm::customers::Get), [crm::customers::GetArgs { id: "C-1042".to_owned() }]);
    assert_eq!(fakes.order().len(), 1);
    result
}

fn strength_of(customer: crm::customers::Customer, evidence: Value) -> Value {
    let answer = run_with(Ok(customer), evidence).unwrap();
    assert_eq!(answer.confidence, Confidence::Certain);
    assert_eq!(answer.output["verified"], json!(answer.output["strength"] != "none"));
    assert_eq!(answer.output.as_object().unwrap().len(), 2, "nothing of the record may be in the answer");
    answer.output["strength"].clone()
}

#[test]
fn the_more_evidence_fits_the_stronger() {
    let full = json!({"name": "jana mueller", "postal-code": "20457", "birth-date": "1987-04-12"});
    assert_eq!(strength_of(customer(), full), "strong");
    assert_eq!(strength_of(customer(), json!({"name": "Jana Müller", "postal-code": "20457", "birth-date": null})), "weak");
    assert_eq!(strength_of(customer(), json!({"name": "Jana Müller", "postal-code": " 20457"})), "weak");
    assert_eq!(strength_of(customer(), json!({"name": "Jana Müller", "postal-code": "", "birth-date": "1987-04-12"})), "weak");
}

#[test]
fn one_thing_that_differs_is_enough() {
    for evidence in [
        json!({"name": "Jana Maier", "postal-code": "20457", "birth-date": "1987-04-12"}),
        json!({"name": "Jana Müller", "postal-code": "20459", "birth-date": "1987-04-12"}),
        json!({"name": "Jana Müller", "postal-code": "20457", "birth-date": "1987-04-13"}),
        json!({"name": "Jana Müller", "postal-code": "20457", "birth-date": "12.04.1987"}),
        json!({"name": "", "postal-code": "20457", "birth-date": "1987-04-12"}),
        json!({"name": "Jana Müller", "postal-code": "", "birth-date": null}),
    ] {
        assert_eq!(strength_of(customer(), evidence), "none");
    }
}

#[test]
fn what_the_record_lacks_cannot_strengthen() {
    let mut sparse = customer();
    sparse.birth_date = None;
    let evidence = json!({"name": "Jana Müller", "postal-code": "20457", "birth-date": "1987-04-12"});
    assert_eq!(strength_of(sparse.clone(), evidence.clone()), "weak");
    sparse.address.postal_code = String::new();
    assert_eq!(strength_of(sparse.clone(), evidence.clone()), "none");
    sparse.name = String::new();
    assert_eq!(strength_of(sparse, json!({"name": "", "postal-code": "", "birth-date": ""})), "none");
}

#[test]
fn postal_codes_are_compared_without_case_and_spaces() {
    let mut british = customer();
    british.address.postal_code = "SW1A 1AA".to_owned();
    assert_eq!(strength_of(british, json!({"name": "Jana Müller", "postal-code": "sw1a1aa"})), "weak");
}

#[test]
fn a_customer_that_is_not_there_looks_like_wrong_evidence() {
    let wrong = run_with(Ok(customer()), json!({"name": "X", "postal-code": "1"})).unwrap();
    let missing = run_with(Err(Error::NotFound), json!({"name": "X", "postal-code": "1"})).unwrap();
    assert_eq!(wrong, missing);
}

#[test]
fn a_death_goes_to_a_person_and_only_after_the_evidence_fits() {
    let mut deceased = customer();
    deceased.deceased = true;
    let fits = json!({"name": "Jana Müller", "postal-code": "20457"});
    assert!(matches!(run_with(Ok(deceased.clone()), fits), Err(Failure::NeedsHuman(_))));
    assert_eq!(strength_of(deceased, json!({"name": "Jana Müller", "postal-code": "1"})), "none");
}

#[test]
fn failures_of_the_call_are_failures_of_the_task() {
    let evidence = json!({"name": "Jana Müller", "postal-code": "20457"});
    assert!(matches!(run_with(Err(Error::Denied("d-1".to_owned())), evidence.clone()), Err(Failure::Permanent(_))));
    assert!(matches!(run_with(Err(Error::Unavailable), evidence.clone()), Err(Failure::Retryable(_))));
    assert!(matches!(run_with(Err(Error::Timeout), evidence), Err(Failure::Retryable(_))));
}

#[test]
fn bad_input_names_its_field() {
    let failure = testing::run(identity_verifier, json!({"customer": "C-1", "evidence": {"name": 3, "postal-code": ""}})).unwrap_err();
    assert!(matches!(&failure, Failure::InvalidInput(text) if text.starts_with("`evidence.name`: ")), "{failure}");
}

#[test]
fn the_manifest_wants_what_is_called() {
    let description = <identity_verifier as Agent>::describe();
    assert_eq!(description.name, "identity-verifier");
    assert_eq!(description.wants, ["crm/customers.get"]);
    assert_eq!(description.purpose, "Checks that a customer is who they say they are.");
}
