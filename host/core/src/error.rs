//! Why a call gave no result: the shared WIT error variant, and the detail that only the operator sees.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::text;

/// Which budget was used up; the cases of WIT `budget-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetKind {
    /// Number of calls.
    Calls,
    /// Bytes of arguments.
    BytesOut,
    /// Bytes of results.
    BytesIn,
    /// Model tokens.
    Tokens,
    /// Money.
    Money,
}

/// What the guest learns: the cases of WIT `bailiwick:common/types.error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestError {
    /// Not permitted; the text is an opaque reference.
    Denied(String),
    /// The grant is no longer valid.
    Revoked,
    /// An argument is not acceptable; the text names the field.
    Invalid(String),
    /// No such thing, or not yours.
    NotFound,
    /// Changed since it was read; the text is the version in force.
    Conflict(String),
    /// A budget is used up.
    Budget(BudgetKind),
    /// Too many calls; wait this many milliseconds.
    RateLimited(u64),
    /// A read did not finish by its deadline.
    Timeout,
    /// Not reachable; nothing happened.
    Unavailable,
    /// The answer does not fit the contract.
    BadUpstream,
    /// Not known whether it happened; the text is an opaque reference.
    Indeterminate(String),
    /// A person has to approve; the text is an opaque reference.
    NeedsApproval(String),
}

impl GuestError {
    /// Gives the name of the WIT case.
    pub fn case(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Revoked => "revoked",
            Self::Invalid(_) => "invalid",
            Self::NotFound => "not-found",
            Self::Conflict(_) => "conflict",
            Self::Budget(_) => "budget",
            Self::RateLimited(_) => "rate-limited",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::BadUpstream => "bad-upstream",
            Self::Indeterminate(_) => "indeterminate",
            Self::NeedsApproval(_) => "needs-approval",
        }
    }

    /// Gives the JSON form of the WIT value: `{"case": payload}` or `"case"`.
    pub fn to_json(&self) -> Value {
        let payload = match self {
            Self::Denied(text) | Self::Invalid(text) | Self::Conflict(text) | Self::Indeterminate(text) | Self::NeedsApproval(text) => {
                json!(text)
            }
            Self::Budget(kind) => json!(kind),
            Self::RateLimited(ms) => json!(ms),
            Self::Revoked | Self::NotFound | Self::Timeout | Self::Unavailable | Self::BadUpstream => return json!(self.case()),
        };
        json!({ self.case(): payload })
    }
}

/// Most bytes of a text of an error that the gate keeps.
pub const ERROR_BYTES_MOST: usize = 1_000;

/// Why a connector, or the gate, gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", .guest.case())]
pub struct CallError {
    /// What the guest learns.
    pub guest: GuestError,
    /// What the operator learns: the full reason, for the ledger and tracing. Never shown to a guest.
    pub detail: String,
}

impl CallError {
    /// Joins what the guest and what the operator learns.
    pub fn new(guest: GuestError, detail: impl Into<String>) -> Self {
        Self { guest, detail: detail.into() }
    }

    /// Cuts its texts at [`ERROR_BYTES_MOST`]: they are kept for every call, and what they quote may be as long as somebody outside wanted it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        text::cut(&mut self.detail, ERROR_BYTES_MOST);
        match &mut self.guest {
            GuestError::Denied(text)
            | GuestError::Invalid(text)
            | GuestError::Conflict(text)
            | GuestError::Indeterminate(text)
            | GuestError::NeedsApproval(text) => text::cut(text, ERROR_BYTES_MOST),
            GuestError::Revoked
            | GuestError::NotFound
            | GuestError::Budget(_)
            | GuestError::RateLimited(_)
            | GuestError::Timeout
            | GuestError::Unavailable
            | GuestError::BadUpstream => {}
        }
        self
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(GuestError::NotFound, detail)
    }

    /// The system could not be reached; nothing happened.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(GuestError::Unavailable, detail)
    }

    /// An argument is not acceptable.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(GuestError::Invalid(field.to_owned()), detail)
    }

    /// The system behind answered with something that does not fit.
    pub fn bad_upstream(detail: impl Into<String>) -> Self {
        Self::new(GuestError::BadUpstream, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = "é".repeat(ERROR_BYTES_MOST);
        let error = CallError::new(GuestError::Conflict(long.clone()), long).bounded();
        let GuestError::Conflict(text) = &error.guest else { panic!("{error:?}") };
        for text in [text, &error.detail] {
            assert!(text.len() <= ERROR_BYTES_MOST + "…".len() && text.ends_with("é…"), "{}", text.len());
        }
        let short = CallError::invalid("id", "too long");
        assert_eq!(short.clone().bounded(), short);
    }

    #[test]
    fn the_json_form_is_that_of_the_wit_variant() {
        assert_eq!(GuestError::NotFound.to_json(), json!("not-found"));
        assert_eq!(GuestError::Budget(BudgetKind::BytesOut).to_json(), json!({"budget": "bytes-out"}));
        assert_eq!(GuestError::RateLimited(5).to_json(), json!({"rate-limited": 5}));
    }
}
