//! What hostile guests share. Each guest is an example of this package, a component of its own, named `<suite>_<topic>`;
//! the test of the same name lies in `tests/host`.
//!
//! Guests that no compiler of a high language makes (several memories, table growth, a start function) are text in `wat/`.
#![forbid(unsafe_code)]

use bailiwick_sdk::prelude::*;

/// What a guest is told to do: every field is there for the guest that looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Order {
    /// An id to ask for.
    pub id: String,
    /// How much or how often.
    pub count: u64,
    /// A text to pass on.
    pub text: String,
}

/// What a guest reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Report {
    /// What the calls gave: `ok`, or the name of the error's case.
    pub results: Vec<String>,
    /// A number that the guest has counted.
    pub count: u64,
    /// A text that the guest has seen.
    pub text: String,
}

/// Makes the answer of a guest that only reports what its calls gave.
pub fn results(results: Vec<String>) -> Result<Answer<Report>, Failure> {
    Ok(Answer::certain(Report { results, ..Report::default() }))
}

/// Names the result of a call: `ok`, or the case of the error.
pub fn case<T>(result: &Result<T, bailiwick_sdk::CallProblem>) -> String {
    let Err(problem) = result else { return "ok".to_owned() };
    match &problem.cause {
        Error::Denied(_) => "denied",
        Error::Revoked => "revoked",
        Error::Invalid(_) => "invalid",
        Error::NotFound => "not-found",
        Error::Conflict(_) => "conflict",
        Error::Budget(kind) => return format!("budget-{kind:?}").to_lowercase(),
        Error::RateLimited(_) => "rate-limited",
        Error::Timeout => "timeout",
        Error::Unavailable => "unavailable",
        Error::BadUpstream => "bad-upstream",
        Error::Indeterminate(_) => "indeterminate",
        Error::NeedsApproval(_) => "needs-approval",
    }
    .to_owned()
}

/// Calls the operation of this short name about `id`, and names what came of it.
pub fn call_anything(operation: &str, id: &str) -> String {
    let address =
        || Address { name: id.to_owned(), street: id.to_owned(), postal_code: id.to_owned(), city: id.to_owned(), country: id.to_owned() };
    match operation {
        "billing/accounts.set-return-status" => {
            case(&billing::accounts::set_return_status(id, billing::accounts::ReturnStatus::Expected, "1"))
        }
        "crm/customers.get" => case(&crm::customers::get(id)),
        "crm/notes.append" => case(&crm::notes::append(id, "a note")),
        "crm/notes.void" => case(&crm::notes::void(id, "N-1")),
        "notify/messages.send" => case(&notify::messages::send(id, notify::messages::Channel::Email, "hello", "pay here")),
        "orders/orders.get" => case(&orders::orders::get(id)),
        "rules/tables.evaluate" => case(&rules::tables::evaluate(id, &[])),
        "shipping/parcels.create-label" => case(&shipping::parcels::create_label(id, &address(), 1)),
        "shipping/parcels.void-label" => case(&shipping::parcels::void_label(id, "PX-1")),
        "ticketing/tickets.create" => {
            use ticketing::tickets::{Kind, Status};
            case(&ticketing::tickets::create(id, Kind::GoodsReturn, Status::Open, "hello", "world"))
        }
        "ticketing/tickets.cancel" => case(&ticketing::tickets::cancel(id, "T-1")),
        _ => "unknown".to_owned(),
    }
}

/// The types of the world, for guests that break the contract below the SDK.
pub mod raw {
    pub use bailiwick_sdk::Description;
    pub use bailiwick_sdk::bindings::bailiwick::agent::types::{Answer, Confidence, Failure, Task};
    pub use bailiwick_sdk::bindings::exports::bailiwick::agent::handler::Guest;

    /// Describes a guest that takes and gives anything.
    pub fn description(name: &str, wants: &[&str]) -> Description {
        Description {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            purpose: "breaks one promise of the contract".to_owned(),
            owner: "tests".to_owned(),
            data_level: "public".to_owned(),
            risk_class: "low".to_owned(),
            review_by: String::new(),
            input_schema: "true".to_owned(),
            output_schema: "true".to_owned(),
            wants: wants.iter().map(|want| (*want).to_owned()).collect(),
            stubs: Vec::new(),
        }
    }

    /// Makes an answer of a text that need not be JSON.
    pub fn answer(output: impl Into<String>) -> Result<Answer, Failure> {
        Ok(Answer { output: output.into(), confidence: Confidence::Certain, sources: Vec::new() })
    }
}

/// Exports a guest written against the world itself: a function that describes and one that runs.
#[macro_export]
macro_rules! raw_guest {
    ($describe:expr, $run:expr) => {
        struct RawGuest;

        impl $crate::raw::Guest for RawGuest {
            fn run(task: $crate::raw::Task) -> Result<$crate::raw::Answer, $crate::raw::Failure> {
                let run: fn($crate::raw::Task) -> Result<$crate::raw::Answer, $crate::raw::Failure> = $run;
                run(task)
            }

            fn describe() -> $crate::raw::Description {
                let describe: fn() -> $crate::raw::Description = $describe;
                describe()
            }
        }

        // Nothing is exported natively; naming both functions keeps checks for other targets honest about what is used.
        const _: (fn() -> $crate::raw::Description, fn($crate::raw::Task) -> Result<$crate::raw::Answer, $crate::raw::Failure>) =
            (<RawGuest as $crate::raw::Guest>::describe, <RawGuest as $crate::raw::Guest>::run);

        #[cfg(target_arch = "wasm32")]
        bailiwick_sdk::bindings::export_agent!(RawGuest with_types_in bailiwick_sdk::bindings);
    };
}
