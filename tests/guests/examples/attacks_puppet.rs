//! Does what its input says, call by call, and answers what its input says: what any agent could do, a test can have it do.

use bailiwick_sdk::prelude::*;
use bailiwick_sdk::{CallProblem, shipping, ticketing};
use bailiwick_test_guests::{case, raw, raw_guest};
use serde_json::{Value, json};

const WANTS: &[&str] = &[
    "billing/accounts.set-return-status",
    "crm/customers.get",
    "crm/notes.append",
    "notify/messages.send",
    "orders/orders.get",
    "shipping/parcels.create-label",
    "ticketing/tickets.create",
];

/// One thing to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Act {
    /// An operation, or `log`, `progress`, `print`, `trap`, `spin`.
    r#do: String,
    /// At which attempt alone.
    attempt: Option<u32>,
    /// Whom or what the call names.
    #[serde(default)]
    id: String,
    /// What else it passes.
    #[serde(default)]
    text: String,
}

/// What to do, and what to say then.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Script {
    acts: Vec<Act>,
    /// The answer's text; without it, what the calls gave.
    answer: Option<Value>,
    /// Per mille; certain without it.
    confidence: Option<u32>,
    /// What the answer says that it rests on.
    sources: Vec<String>,
    /// Fails with this text in place of answering, at the first attempt alone where `fail-once` is set.
    fail: Option<String>,
    fail_once: bool,
}

raw_guest!(
    || {
        let mut description = raw::description("attacks-puppet", WANTS);
        description.data_level = "personal".to_owned();
        description.output_schema = r#"{"type":"object"}"#.to_owned();
        description
    },
    |task| {
        let script: Script = match serde_json::from_str(&task.input) {
            Ok(script) => script,
            Err(error) => return Err(raw::Failure::InvalidInput(error.to_string())),
        };
        let due = script.acts.iter().filter(|act| act.attempt.is_none_or(|attempt| attempt == task.attempt));
        let (results, seen): (Vec<String>, Vec<String>) = due.map(perform).unzip();
        if let Some(text) = script.fail.filter(|_| !script.fail_once || task.attempt == 1) {
            return Err(raw::Failure::Retryable(text));
        }
        let output = script.answer.unwrap_or_else(|| json!({ "results": results, "seen": seen }));
        let confidence = script.confidence.map_or(raw::Confidence::Certain, raw::Confidence::PerMille);
        Ok(raw::Answer { output: output.to_string(), confidence, sources: script.sources })
    }
);

/// Does one thing; gives how it went, and all that there is to see of it.
#[expect(clippy::panic, reason = "to trap is one of the things that it does")]
fn perform(act: &Act) -> (String, String) {
    let (id, text) = (act.id.as_str(), act.text.as_str());
    match act.r#do.as_str() {
        "crm/customers.get" => told(crm::customers::get(id)),
        "orders/orders.get" => told(orders::orders::get(id)),
        "crm/notes.append" => told(crm::notes::append(id, text)),
        "notify/messages.send" => told(notify::messages::send(id, notify::messages::Channel::Email, "news", text)),
        "shipping/parcels.create-label" => told(shipping::parcels::create_label(id, &sender(), 100)),
        "ticketing/tickets.create" => {
            use ticketing::tickets::{Kind, Status, create};
            told(create(id, Kind::Question, Status::Open, "a question", text))
        }
        "billing/accounts.set-return-status" => {
            told(billing::accounts::set_return_status(id, billing::accounts::ReturnStatus::Expected, text))
        }
        "log" | "progress" | "print" => {
            match act.r#do.as_str() {
                "log" => task::info(text),
                "progress" => task::progress(text),
                _ => println!("{text}"),
            }
            ("ok".to_owned(), String::new())
        }
        "spin" => loop {
            std::hint::black_box(text);
        },
        other => panic!("{other}: {text}"),
    }
}

fn told<T: std::fmt::Debug>(result: Result<T, CallProblem>) -> (String, String) {
    let seen = match &result {
        Ok(value) => format!("{value:?}"),
        // A reference is another one at every call.
        Err(CallProblem { cause: Error::Denied(_), .. }) => "denied".to_owned(),
        Err(CallProblem { cause, .. }) => format!("{cause:?}"),
    };
    (case(&result), seen)
}

fn sender() -> Address {
    Address {
        name: "Anna Berg".to_owned(),
        street: "Hauptstr. 1".to_owned(),
        postal_code: "10115".to_owned(),
        city: "Berlin".to_owned(),
        country: "DE".to_owned(),
    }
}
