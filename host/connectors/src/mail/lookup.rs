//! Where a customer receives mail.

use std::time::Instant;

use bailiwick_core::error::CallError;
use lettre::Address;
use lettre::message::Mailbox;
use rusqlite::types::Value as Cell;

use super::config::LookupConfig;
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::reading::{Reading, Shape};

/// What the statement is about.
const SHAPE: Shape = Shape { parameter: ":customer", columns: &["address", "name", "opted_out"] };

/// Longest name that is put into a header, in characters; a longer one is left out.
const MAX_NAME_CHARS: usize = 100;

/// Looks addresses up, on read-only connections.
#[derive(Debug)]
pub(crate) struct Lookup(Reading);

impl Lookup {
    /// Checks the statement against the database.
    pub(crate) fn load(config: &LookupConfig, source: &SourceText, places: &Places) -> Result<Self, Problem> {
        Reading::load(&config.database, &config.sql, SHAPE, source, places).map(Self)
    }

    /// Finds where a customer receives mail.
    ///
    /// # Errors
    /// `not-found` for an unknown customer, `invalid("customer")` for one without a usable address or who has opted out.
    pub(crate) async fn find(&self, tenant: &str, customer: &str, deadline: Instant) -> Result<Mailbox, CallError> {
        let row = self.0.row(tenant, customer, deadline).await?.map(<[Cell; 3]>::try_from);
        let Some(Ok([address, name, opted_out])) = row else {
            return Err(CallError::not_found(format!("there is no customer `{customer}`")));
        };
        let unusable = |why: &str| CallError::invalid("customer", format!("customer `{customer}` {why}; nothing was sent"));
        match (opted_out, address) {
            (Cell::Integer(0), Cell::Text(address)) => {
                let address: Address = address.parse().map_err(|_| unusable("has an address that is none"))?;
                if !address.to_string().is_ascii() {
                    return Err(unusable("has an address that is not ASCII, which few servers take"));
                }
                Ok(Mailbox::new(display_name(name), address))
            }
            (Cell::Integer(0), _) => Err(unusable("has no mail address")),
            (Cell::Integer(1), _) => Err(unusable("has opted out of mail")),
            _ => Err(CallError::bad_upstream("`opted_out` is neither 0 nor 1")),
        }
    }
}

/// A name is a courtesy: one that could disturb a header is left out, the address alone is enough.
fn display_name(name: Cell) -> Option<String> {
    match name {
        Cell::Text(name) if name.chars().count() <= MAX_NAME_CHARS && !name.chars().any(char::is_control) => Some(name),
        _ => None,
    }
}
