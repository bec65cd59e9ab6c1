//! What an author sees, through public items alone.
#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime};

use bailiwick_sdk::prelude::*;
use bailiwick_sdk::task::Level;
use bailiwick_sdk::{BudgetKind, CallProblem, Confidence, fake, testing};
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Input {
    customer: String,
    #[serde(default)]
    call_times: Vec<Time>,
    per_mille: Option<u16>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Time {
    hour: u8,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Output {
    language: String,
    tier_name: Option<String>,
}

/// Says how to speak
/// to a customer.
///
/// This paragraph is not part of the purpose.
#[agent(
    owner = "team@example",
    name = "tone-finder",
    version = "2.1.0",
    data-level = "personal",
    risk-class = "low",
    review-by = "2027-06-30",
    wants = ["crm/customers.get"],
    stubs = ["wasi:sockets/tcp"]
)]
fn tone_finder(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    task::progress("reading");
    let hours: Vec<u8> = task.input.call_times.iter().map(|time| time.hour).collect();
    task::warn(format!("attempt {} of {}, hours {hours:?}", task.attempt, task.step));
    let Some(customer) = crm::customers::get(&task.input.customer).found()? else {
        return Err(Failure::not_mine("somebody else's"));
    };
    let output = Output { language: customer.language, tier_name: None };
    Ok(match task.input.per_mille {
        Some(n) => Answer::confident(n, output),
        None => Answer::certain(output),
    }
    .source("crm"))
}

/// The second agent of a crate is possible on native targets only; it takes everything from the package.
#[agent(owner = "team@example")]
fn nameless(_task: Task<Input>) -> Result<Answer<()>, Failure> {
    Err(Failure::permanent("never run"))
}

fn customer() -> crm::customers::Customer {
    let text = str::to_owned;
    crm::customers::Customer {
        id: text("C-1"),
        name: text("A"),
        email: None,
        address: Address { name: text("A"), street: text("B"), postal_code: text("1"), city: text("C"), country: text("DE") },
        birth_date: None,
        language: text("de"),
        opted_out: false,
        deceased: false,
        tier: text("gold"),
        version: text("1"),
        as_of: text("2026-11-20T09:00:00Z"),
    }
}

fn fakes(answer: Result<crm::customers::Customer, Error>) -> fake::Capabilities {
    fake::Capabilities::new().on(crm::customers::Get, move |_| answer.clone())
}

#[test]
fn an_agent_answers() {
    let fakes = fakes(Ok(customer())).enter();
    let answer = testing::run(tone_finder, json!({"customer": "C-1", "call-times": [{"hour": 9}]})).unwrap();
    assert_eq!(answer.output, json!({"language": "de", "tier-name": null}));
    assert_eq!((answer.confidence, answer.sources.as_slice()), (Confidence::Certain, ["crm".to_owned()].as_slice()));
    assert_eq!(fakes.calls(crm::customers::Get), [crm::customers::GetArgs { id: "C-1".to_owned() }]);
    assert_eq!(fakes.progress(), ["reading"]);
    assert_eq!(fakes.log(), [(Level::Warn, "attempt 1 of test, hours [9]".to_owned())]);
}

#[test]
fn confidence_ends_at_one_thousand() {
    let _fakes = fakes(Ok(customer())).enter();
    let confidence = |n: u16| testing::run(tone_finder, json!({"customer": "C-1", "per-mille": n})).map(|answer| answer.confidence);
    assert_eq!(confidence(0), Ok(Confidence::PerMille(0)));
    assert_eq!(confidence(1000), Ok(Confidence::PerMille(1000)));
    assert!(matches!(confidence(1001), Err(Failure::Permanent(text)) if text.contains("1001")));
}

#[test]
fn input_that_does_not_fit_names_the_place() {
    for (input, expected) in [
        (json!({"customer": 3}), "`customer`: invalid type: integer `3`, expected a string"),
        (
            json!({"customer": "C-1", "call-times": [{"hour": 1}, {"hour": 300}]}),
            "`call-times[1].hour`: invalid value: integer `300`, expected u8",
        ),
        (json!({"customer": "C-1", "cutsomer": "C-1"}), "`cutsomer`: unknown field `cutsomer`"),
        (json!({}), "missing field `customer`"),
        (json!("text"), "invalid type: string \"text\", expected struct Input"),
    ] {
        let Err(Failure::InvalidInput(message)) = testing::run(tone_finder, &input) else { panic!("{input} was taken") };
        assert!(message.starts_with(expected) && !message.contains(" at line "), "{message}");
    }
}

#[test]
fn every_error_of_a_call_becomes_the_failure_of_the_table() {
    let text = || "x".to_owned();
    let kind = |cause: Error| {
        let _fakes = fakes(Err(cause)).enter();
        let failure = testing::run(tone_finder, json!({"customer": "C-1"})).err().unwrap();
        assert!(failure.message().contains("`crm/customers.get`") || matches!(failure, Failure::NotMine(_)), "{failure}");
        match failure {
            Failure::Permanent(_) => "permanent",
            Failure::Retryable(_) => "retryable",
            Failure::NeedsHuman(_) => "needs-human",
            Failure::NotMine(_) => "not-mine",
            Failure::InvalidInput(_) => "invalid-input",
        }
    };
    for cause in [Error::Denied(text()), Error::Revoked, Error::Invalid(text()), Error::Budget(BudgetKind::Calls)] {
        assert_eq!(kind(cause), "permanent");
    }
    for cause in [Error::RateLimited(3), Error::Timeout, Error::Unavailable, Error::BadUpstream, Error::Conflict(text())] {
        assert_eq!(kind(cause), "retryable");
    }
    for cause in [Error::Indeterminate(text()), Error::NeedsApproval(text())] {
        assert_eq!(kind(cause), "needs-human");
    }
    assert_eq!(kind(Error::NotFound), "not-mine", "`found` makes an absence of it");
    assert!(matches!(CallProblem { operation: "a/b.c", cause: Error::NotFound }.into(), Failure::Permanent(_)));
}

#[test]
fn the_manifest_says_what_the_attribute_and_the_types_say() {
    let description = <tone_finder as Agent>::describe();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("tone-finder", "2.1.0"));
    assert_eq!(description.purpose, "Says how to speak to a customer.");
    assert_eq!((description.owner.as_str(), description.review_by.as_str()), ("team@example", "2027-06-30"));
    assert_eq!((description.data_level.as_str(), description.risk_class.as_str()), ("personal", "low"));
    assert_eq!((description.wants, description.stubs), (vec!["crm/customers.get".to_owned()], vec!["wasi:sockets/tcp".to_owned()]));
    let input: serde_json::Value = serde_json::from_str(&description.input_schema).unwrap();
    assert_eq!(input["required"], json!(["customer"]));
    assert_eq!(input["additionalProperties"], json!(false));
    assert_eq!(input["properties"]["call-times"]["items"]["properties"]["hour"]["maximum"], json!(255), "subschemas are written out");
    let output: serde_json::Value = serde_json::from_str(&description.output_schema).unwrap();
    assert_eq!(output["required"], json!(["language", "tier-name"]), "an output always has all its fields");
    assert_eq!(output["additionalProperties"], json!(false));
}

#[test]
fn what_the_attribute_leaves_out_is_the_package_or_the_careful_choice() {
    let description = <nameless as Agent>::describe();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("bailiwick-sdk", env!("CARGO_PKG_VERSION")));
    assert_eq!((description.data_level.as_str(), description.risk_class.as_str()), ("public", "high"));
    assert!(description.wants.is_empty() && description.stubs.is_empty() && description.review_by.is_empty());
}

#[test]
fn what_has_no_fake_is_denied_and_told() {
    assert!(crm::customers::get("C-1").is_err_and(|problem| problem.is_denied()), "without any table");
    let fakes = fake::Capabilities::new().enter();
    let failure = testing::run(tone_finder, json!({"customer": "C-1"})).err().unwrap();
    assert!(matches!(&failure, Failure::Permanent(text) if text.contains(fake::NO_FAKE)), "{failure}");
    assert_eq!(fakes.unexpected(), ["crm/customers.get"]);
    assert_eq!(fakes.order(), ["crm/customers.get"]);
}

#[test]
fn tables_nest_and_end_with_their_scope() {
    let outer = fakes(Ok(customer())).enter();
    {
        let inner = fakes(Err(Error::NotFound)).enter();
        assert!(crm::customers::get("C-2").is_err_and(|problem| problem.is_not_found()));
        assert_eq!(inner.order().len(), 1);
    }
    assert!(crm::customers::get("C-1").is_ok());
    assert_eq!(outer.calls(crm::customers::Get).len(), 1, "the inner table kept its calls to itself");
    drop(outer);
    assert!(crm::customers::get("C-1").is_err());
}

#[test]
fn a_fake_may_count_and_call() {
    let mut calls = 0;
    let fakes = fakes(Ok(customer()))
        .on(crm::notes::Append, move |args| {
            calls += 1;
            let name = crm::customers::get(&args.customer).map_err(|problem| problem.cause)?.name;
            Ok(format!("{name}{calls}"))
        })
        .enter();
    assert_eq!(crm::notes::append("C-1", "x").unwrap(), "A1");
    assert_eq!(crm::notes::append("C-1", "y").unwrap(), "A2");
    assert_eq!(fakes.order().len(), 4);
}

#[test]
fn the_time_is_what_the_test_says() {
    assert_eq!(task::now(), SystemTime::UNIX_EPOCH);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_123);
    let _fakes = fake::Capabilities::new().at(now).enter();
    assert_eq!(task::now(), now);
}

#[test]
fn names_of_agents() {
    use bailiwick_sdk::serve::is_agent_name;
    for name in ["a", "return-label", "a1-2b"] {
        assert!(is_agent_name(name), "{name}");
    }
    for name in ["", "A", "a_b", "a--b", "-a", "a-", "1a", "ä"] {
        assert!(!is_agent_name(name), "{name}");
    }
}
