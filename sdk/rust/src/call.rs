//! How a capability call fails, and what that makes of the task.
//!
//! `?` turns a [`CallProblem`] into a [`Failure`]:
//!
//! | error of the call | failure of the task | why |
//! |---|---|---|
//! | `denied`, `revoked` | permanent | another attempt has the same grants |
//! | `invalid`, `not-found` | permanent | another attempt sends the same arguments |
//! | `budget` | permanent | budgets hold for the step over all its attempts |
//! | `rate-limited`, `timeout`, `unavailable`, `bad-upstream` | retryable | nothing happened; the system may recover |
//! | `conflict` | retryable | the next attempt reads the new version first |
//! | `indeterminate` | needs a person | it may have happened, and a repeat may do it twice |
//! | `needs-approval` | needs a person | a person has to approve first |
//!
//! Where that is not what an agent wants, it looks at [`CallProblem::cause`], or asks with [`Found::found`].

use std::fmt;

use crate::{Error, Failure};

/// An operation of a capability, as a type: it names the operation to a table of fakes and to whoever asks for calls made.
pub trait Operation: 'static {
    /// Name in the form of workflow files, for example `crm/customers.get`.
    const NAME: &'static str;
    /// The arguments, owned.
    type Args: Clone + fmt::Debug + PartialEq + 'static;
    /// The result of a call that succeeds.
    type Output: 'static;
}

/// A capability call that gave no result.
#[derive(Debug, Clone, PartialEq)]
pub struct CallProblem {
    /// The operation, for example `crm/customers.get`.
    pub operation: &'static str,
    /// Why.
    pub cause: Error,
}

impl CallProblem {
    /// Says whether the thing asked for does not exist, or belongs to someone else: the two cannot be told apart.
    pub fn is_not_found(&self) -> bool {
        matches!(self.cause, Error::NotFound)
    }

    /// Says whether the task's grants, the policy or the run's subject do not permit the call.
    pub fn is_denied(&self) -> bool {
        matches!(self.cause, Error::Denied(_) | Error::Revoked)
    }
}

impl fmt::Display for CallProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation;
        match &self.cause {
            Error::Denied(reference) => write!(f, "`{operation}` was denied: the ledger has the reason under `{reference}`"),
            Error::Revoked => write!(f, "`{operation}` was denied: its grant is no longer valid"),
            Error::Invalid(field) => write!(f, "`{operation}` refused the argument `{field}`"),
            Error::NotFound => write!(f, "`{operation}` found nothing"),
            Error::Conflict(version) if version.is_empty() => write!(f, "`{operation}` met a change made since it was read"),
            Error::Conflict(version) => write!(f, "`{operation}` met a change made since it was read: version `{version}` is in force"),
            Error::Budget(kind) => write!(f, "`{operation}` has used up its budget of {}", kind_name(*kind)),
            Error::RateLimited(ms) => write!(f, "`{operation}` may be called again in {ms} ms"),
            Error::Timeout => write!(f, "`{operation}` did not answer in time"),
            Error::Unavailable => write!(f, "`{operation}` could not be reached"),
            Error::BadUpstream => write!(f, "`{operation}` got an answer that does not fit its contract"),
            Error::Indeterminate(reference) => {
                write!(f, "it is not known whether `{operation}` happened: the host settles it under `{reference}`")
            }
            Error::NeedsApproval(reference) => write!(f, "`{operation}` needs an approval, which is pending as `{reference}`"),
        }
    }
}

fn kind_name(kind: crate::BudgetKind) -> &'static str {
    match kind {
        crate::BudgetKind::Calls => "calls",
        crate::BudgetKind::BytesOut => "bytes sent",
        crate::BudgetKind::BytesIn => "bytes received",
        crate::BudgetKind::Tokens => "tokens",
        crate::BudgetKind::Money => "money",
    }
}

impl std::error::Error for CallProblem {}

impl From<CallProblem> for Failure {
    fn from(problem: CallProblem) -> Self {
        let message = problem.to_string();
        match problem.cause {
            Error::Denied(_) | Error::Revoked | Error::Invalid(_) | Error::NotFound | Error::Budget(_) => Self::Permanent(message),
            Error::RateLimited(_) | Error::Timeout | Error::Unavailable | Error::BadUpstream | Error::Conflict(_) => {
                Self::Retryable(message)
            }
            Error::Indeterminate(_) | Error::NeedsApproval(_) => Self::NeedsHuman(message),
        }
    }
}

/// Asks for something that may not be there.
pub trait Found<T> {
    /// Gives `None` for `not-found`; every other problem stays one.
    ///
    /// # Errors
    /// Every [`CallProblem`] but `not-found`.
    fn found(self) -> Result<Option<T>, CallProblem>;
}

impl<T> Found<T> for Result<T, CallProblem> {
    fn found(self) -> Result<Option<T>, CallProblem> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(problem) if problem.is_not_found() => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}
