//! What the author of an agent uses.
//!
//! An agent is one function with an attribute. Its input and output are types of the author; the attribute makes the component's
//! two exports out of it, the JSON schemas included:
//!
//! ```
//! use bailiwick_sdk::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields)]
//! struct Input {
//!     customer: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields)]
//! struct Output {
//!     language: String,
//! }
//!
//! /// Says in which language a customer wants to be written to.
//! #[agent(owner = "team@example", data-level = "personal", risk-class = "low", wants = ["crm/customers.get"])]
//! fn language_finder(task: Task<Input>) -> Result<Answer<Output>, Failure> {
//!     let customer = crm::customers::get(&task.input.customer)?;
//!     Ok(Answer::certain(Output { language: customer.language }))
//! }
//! ```
//!
//! `deny_unknown_fields` closes the schemas: a field that nobody reads is refused, and a workflow that mentions a field which the output does
//! not have is refused when it is loaded.
//!
//! Built for `wasm32-wasip2` it is a component that imports what it calls and nothing else. Built for any other target the same
//! functions are answered by a table of fakes, so that `cargo test` needs no sandbox: see the `fake` and `testing` modules.
//!
//! | module | what it holds |
//! |---|---|
//! | [`crm`], [`orders`], [`rules`], [`shipping`], [`ticketing`], [`billing`], [`notify`], [`delegate`], [`web`] | capability calls, one function each |
//! | [`task`] | progress, log, the time: always there, no grant needed |
//! | [`money`] | amounts for people to read |
//! | [`call`] | how a call fails, and what that makes of the task |

extern crate self as bailiwick_sdk;

mod agent;
#[doc(hidden)]
pub mod bindings;
pub mod call;
mod capabilities;
#[cfg(not(target_arch = "wasm32"))]
pub mod fake;
mod http;
pub mod money;
#[doc(hidden)]
pub mod serve;
pub mod task;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use agent::{About, Agent, Answer, Confidence, Failure, Task};
pub use bailiwick_sdk_macros::agent;
pub use bindings::bailiwick::agent::types::Description;
pub use bindings::bailiwick::common::types::{Address, BudgetKind, Error, Money};
pub use call::{CallProblem, Found, Operation};
pub use capabilities::{OPERATIONS, billing, crm, delegate, notify, orders, rules, shipping, ticketing, web};
pub use {schemars, serde, serde_json};

#[doc(hidden)]
pub use wit_bindgen;

/// Everything that most agents need.
pub mod prelude {
    pub use crate::task;
    pub use crate::{Address, Agent, Answer, Error, Failure, Found, Money, Task, agent};
    pub use crate::{billing, crm, delegate, notify, orders, rules, shipping, ticketing, web};
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
