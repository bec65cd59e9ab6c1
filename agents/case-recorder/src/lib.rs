//! Records what became of a return request: in the books, as a ticket, and as a note on the customer's file.
//!
//! The books come first. They are the one place that can refuse (the order may have changed since the decision), and refusing before
//! anything else is written leaves nothing to undo.
#![forbid(unsafe_code)]

mod text;

use bailiwick_sdk::prelude::*;
use billing::accounts::ReturnStatus;
use ticketing::tickets::{Kind, Status};

/// What was decided, about what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// Number of the customer.
    pub customer: String,
    /// Number of the order.
    pub order: String,
    /// Version of the order that the decision rests on; whatever it is now, if there is none.
    #[serde(default)]
    pub order_version: Option<String>,
    /// What was decided.
    pub decision: Decision,
    /// Code of the reason.
    pub reason: String,
    /// Tracking number of the label, if one was made.
    #[serde(default)]
    pub tracking: Option<String>,
}

/// What was decided about a return request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The order may come back.
    Accepted,
    /// It may not.
    Refused,
}

/// Where it was recorded.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// Number of the ticket.
    pub ticket: String,
    /// Id of the note on the customer's file.
    pub note: String,
    /// What the books say of the return: `expected`, or nothing if it was refused.
    pub return_status: Option<String>,
}

/// Records what became of a return request, in the books, as a ticket and on the customer's file.
#[agent(
    owner = "team-service@nordwind.example",
    data-level = "personal",
    risk-class = "medium",
    wants = ["billing/accounts.set-return-status", "ticketing/tickets.create", "crm/notes.append"]
)]
pub fn case_recorder(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    let input = task.input;
    if input.decision == Decision::Refused && input.tracking.is_some() {
        return Err(Failure::invalid_input("a refused return has no label: `tracking` must be null"));
    }
    let return_status = match input.decision {
        Decision::Accepted => Some(expect_return(&input)?),
        Decision::Refused => None,
    };
    let ticket =
        ticketing::tickets::create(&input.customer, Kind::GoodsReturn, ticket_status(&input), &text::subject(&input), &text::body(&input))?;
    let note = crm::notes::append(&input.customer, &text::note(&input, &ticket.id))?;
    Ok(Answer::certain(Output { ticket: ticket.id, note, return_status }))
}

fn expect_return(input: &Input) -> Result<String, Failure> {
    let version = input.order_version.as_deref().unwrap_or_default();
    match billing::accounts::set_return_status(&input.order, ReturnStatus::Expected, version) {
        Ok(_) => Ok("expected".to_owned()),
        // Another attempt has the same version in its input, so it would meet the same conflict.
        Err(problem) if matches!(problem.cause, Error::Conflict(_)) => Err(Failure::needs_human(format!(
            "order `{}` has changed since the return was decided: decide it again on what it says now",
            input.order
        ))),
        Err(problem) => Err(problem.into()),
    }
}

fn ticket_status(input: &Input) -> Status {
    match (input.decision, &input.tracking) {
        (Decision::Refused, _) => Status::Solved,
        (Decision::Accepted, Some(_)) => Status::Waiting,
        // Somebody has to make the label by hand.
        (Decision::Accepted, None) => Status::Open,
    }
}

#[cfg(test)]
mod tests;
