use bailiwick_sdk::{Answer, fake, testing};
use notify::messages::{Send, SendArgs};
use serde_json::{Value, json};

use super::*;

/// Every code for which a letter has its own words.
const REFUSALS: [&str; 11] = [
    "window-exceeded",
    "category-excluded",
    "already-refunded",
    "return-open",
    "not-delivered",
    "cancelled",
    "free-order",
    "order-not-found",
    "part-shipped",
    "date-before-delivery",
    "not-returnable",
];

/// The rules of the sample, whose reasons are what customers are told.
const RULES: &str = include_str!("../../../examples/returns/rules/returns.yaml");

#[test]
fn every_reason_of_the_rules_has_words() {
    let reasons: Vec<&str> =
        RULES.split("reason: ").skip(1).filter_map(|rest| rest.split([' ', ',', '}']).next()).filter(|word| !word.is_empty()).collect();
    assert!(reasons.len() > 8, "{reasons:?}");
    for reason in reasons {
        assert!(reason == "within-window" || REFUSALS.contains(&reason), "customers are not told what `{reason}` means");
    }
}

fn customer(language: &str) -> Customer {
    Customer {
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
        birth_date: None,
        language: language.to_owned(),
        opted_out: false,
        deceased: false,
        tier: "gold".to_owned(),
        version: "3".to_owned(),
        as_of: "2026-11-20T09:00:00Z".to_owned(),
    }
}

fn run(customer: Result<Customer, Error>, sent: Result<String, Error>, input: Value) -> (Result<Answer<Value>, Failure>, fake::Scope) {
    let fakes = fake::Capabilities::new().on(crm::customers::Get, move |_| customer.clone()).on(Send, move |_| sent.clone()).enter();
    (testing::run(customer_mail, input), fakes)
}

fn sent(language: &str, input: Value) -> SendArgs {
    let (answer, fakes) = run(Ok(customer(language)), Ok("M-1".to_owned()), input);
    let sent = fakes.calls(Send).remove(0);
    assert_eq!(answer.unwrap().output, json!({"message": "M-1", "subject": sent.subject}));
    assert_eq!((sent.customer.as_str(), sent.channel), ("C-1042", Channel::Email));
    assert!(!sent.subject.contains('\n'));
    sent
}

fn accepted(tracking: Value, refund: Value) -> Value {
    json!({
        "customer": "C-1042", "order": "O-20417", "decision": "accepted", "reason": "within-window", "tracking": tracking, "refund": refund
    })
}

fn refused(reason: &str) -> Value {
    json!({"customer": "C-1042", "order": "O-20417", "decision": "refused", "reason": reason, "tracking": null, "refund": null})
}

fn assert_says(letter: &SendArgs, expected: &[&str]) {
    for text in expected {
        assert!(letter.body.contains(text), "`{text}` is not in:\n{}", letter.body);
    }
}

#[test]
fn an_accepted_return_is_explained() {
    let input = accepted(json!("TR123"), json!({"minor-units": 12990, "currency": "EUR"}));
    let english = sent("en-GB", input.clone());
    assert_eq!(english.subject, "Your return of order O-20417 is accepted");
    assert!(english.body.starts_with("Hello Jana Müller,\n\n"));
    assert_says(&english, &["O-20417 in time", "What to do now", "Tracking number: TR123", "129.90 EUR", "Your service team"]);
    let german = sent("de-AT", input);
    assert_eq!(german.subject, "Ihre Rücksendung zur Bestellung O-20417 ist angenommen");
    assert!(german.body.starts_with("Guten Tag Jana Müller,\n\n"));
    assert_says(&german, &["rechtzeitig", "So geht es weiter", "Sendungsnummer: TR123", "129,90 EUR", "Ihr Service-Team"]);
}

#[test]
fn whoever_reads_neither_language_gets_english() {
    for language in ["ja", "", "den", "fr-FR"] {
        assert!(sent(language, refused("not-delivered")).body.starts_with("Hello "));
    }
    assert!(sent("DE", refused("not-delivered")).body.starts_with("Guten Tag "));
}

#[test]
fn amounts_follow_their_currency() {
    for (refund, english, german) in [
        (json!({"minor-units": 12990, "currency": "JPY"}), "12,990 JPY", "12.990 JPY"),
        (json!({"minor-units": 129_950, "currency": "EUR"}), "1,299.50 EUR", "1.299,50 EUR"),
        (json!({"minor-units": 0, "currency": "EUR"}), "nothing to pay back", "nichts zu erstatten"),
        (json!(null), "write to you about the money", "schreiben wir Ihnen wegen der Erstattung"),
    ] {
        assert_says(&sent("en", accepted(json!("TR1"), refund.clone())), &[english]);
        assert_says(&sent("de", accepted(json!("TR1"), refund)), &[german]);
    }
}

#[test]
fn a_missing_label_is_announced() {
    let english = sent("en", accepted(json!(null), json!(null)));
    assert_says(&english, &["label is not ready yet"]);
    assert!(!english.body.contains("Tracking number"));
    assert_says(&sent("de", accepted(json!(null), json!(null))), &["Rücksendeetikett ist noch nicht fertig"]);
}

#[test]
fn every_refusal_has_its_own_words() {
    for language in ["en", "de"] {
        let mut seen = std::collections::BTreeSet::new();
        for reason in REFUSALS {
            let letter = sent(language, refused(reason));
            assert!(!letter.body.contains(&format!("({reason})")), "a code is no reason to a customer: {}", letter.body);
            assert!(!letter.body.contains("Tracking") && !letter.body.contains("pay back "), "{}", letter.body);
            assert!(seen.insert(letter.body), "`{reason}` has the words of another reason");
        }
        assert_says(&sent(language, refused("new-rule")), &["(new-rule)"]);
    }
}

#[test]
fn values_from_elsewhere_stay_on_their_line() {
    let mut odd = customer("en");
    odd.name = "Jana\r\nBcc: all@example.com\n\n".to_owned() + &"x".repeat(400);
    let mut input = refused("window-exceeded");
    input["order"] = json!("O-1\r\nSubject: win");
    let (_, fakes) = run(Ok(odd), Ok("M-1".to_owned()), input);
    let letter = fakes.calls(Send).remove(0);
    assert_eq!(letter.subject, "Your return of order O-1 Subject: win cannot be accepted");
    assert!(letter.body.starts_with("Hello Jana Bcc: all@example.com xxx"));
    assert!(letter.body.lines().next().unwrap().chars().count() < 140);
    let mut nameless = customer("en");
    nameless.name = " ".to_owned();
    drop(fakes);
    let (_, fakes) = run(Ok(nameless), Ok("M-1".to_owned()), refused("not-delivered"));
    assert!(fakes.calls(Send)[0].body.starts_with("Hello,\n\n"));
}

#[test]
fn who_must_not_get_mail_goes_to_a_person() {
    for change in
        [(|c| c.opted_out = true) as fn(&mut Customer), |c| c.deceased = true, |c| c.email = None, |c| c.email = Some(" ".to_owned())]
    {
        let mut unreachable = customer("en");
        change(&mut unreachable);
        let (answer, fakes) = run(Ok(unreachable), Ok("M-1".to_owned()), refused("not-delivered"));
        assert!(matches!(answer, Err(Failure::NeedsHuman(_))));
        assert!(fakes.calls(Send).is_empty());
    }
}

#[test]
fn input_that_contradicts_itself_sends_nothing() {
    let mut with_tracking = refused("not-delivered");
    with_tracking["tracking"] = json!("TR1");
    let mut with_refund = refused("not-delivered");
    with_refund["refund"] = json!({"minor-units": 1, "currency": "EUR"});
    for input in [with_tracking, with_refund] {
        let (answer, fakes) = run(Ok(customer("en")), Ok("M-1".to_owned()), input);
        assert!(matches!(answer, Err(Failure::InvalidInput(_))));
        assert!(fakes.order().is_empty());
    }
}

#[test]
fn failures_of_calls_are_failures_of_the_task() {
    let failure = |error| run(Ok(customer("en")), Err(error), refused("not-delivered")).0.unwrap_err();
    assert!(matches!(failure(Error::Unavailable), Failure::Retryable(_)));
    assert!(matches!(failure(Error::Indeterminate("i-1".to_owned())), Failure::NeedsHuman(_)));
    assert!(matches!(failure(Error::Denied("d-1".to_owned())), Failure::Permanent(_)));
    let (answer, fakes) = run(Err(Error::NotFound), Ok("M-1".to_owned()), refused("not-delivered"));
    assert!(matches!(answer, Err(Failure::Permanent(_))));
    assert!(fakes.calls(Send).is_empty());
}

#[test]
fn the_manifest_wants_what_is_called() {
    let (_, fakes) = run(Ok(customer("en")), Ok("M-1".to_owned()), refused("not-delivered"));
    assert_eq!(<customer_mail as Agent>::describe().wants, fakes.order());
}
