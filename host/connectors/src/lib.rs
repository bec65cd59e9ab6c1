//! What serves capabilities: the only crate that speaks to outside systems.
//!
//! A connector is declared in a TOML file of the project: `kind` says what it is (`sql`, `rules`, `shipping`, `mail`, `web`), the rest
//! what it serves. [`Connectors::load`] reads the files and finds every mistake that can be found without a call.
//! Connectors are called by the gate alone, which has counted, checked and recorded the call.
//!
//! Paths from files lead nowhere but into the project (to read) and the state folder (databases below `data/`,
//! documents below a folder of each connector).

mod config;
mod database;
mod factory;
pub mod generator;
mod mail;
mod outcome;
mod places;
mod problem;
mod reading;
mod rules;
mod secrets;
mod shipping;
mod sql;
#[cfg(test)]
mod support;
mod thread;
mod values;
mod web;
mod wrap;

pub use factory::{Connectors, schemas};
pub use mail::MailConnector;
pub use problem::Problem;
pub use rules::RulesConnector;
pub use shipping::ShippingConnector;
pub use sql::SqlConnector;
pub use values::MAX_TEXT_BYTES;
pub use web::WebConnector;
pub use wrap::{Delayed, Journal, JournalEntry};
