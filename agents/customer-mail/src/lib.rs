//! Tells a customer what became of their return request: what was decided and why, what to do next, and what is paid back.
//!
//! The mail is written in German to customers who prefer German, in English to everybody else. The agent never names an address: the host
//! looks up where the customer receives mail.
#![forbid(unsafe_code)]

mod english;
mod german;
mod letter;

use bailiwick_sdk::prelude::*;
use crm::customers::Customer;
use notify::messages::Channel;

/// What was decided, about what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// Number of the customer.
    pub customer: String,
    /// Number of the order.
    pub order: String,
    /// What was decided.
    pub decision: Decision,
    /// Code of the reason, for example `window-exceeded`.
    pub reason: String,
    /// Tracking number of the label, if one was made.
    #[serde(default)]
    pub tracking: Option<String>,
    /// What is paid back once the parcel has arrived.
    #[serde(default)]
    pub refund: Option<Money>,
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

/// What was sent.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// Id of the message.
    pub message: String,
    /// Its subject line.
    pub subject: String,
}

/// Tells a customer what became of their return request.
#[agent(
    owner = "team-service@nordwind.example",
    data-level = "personal",
    risk-class = "medium",
    wants = ["crm/customers.get", "notify/messages.send"]
)]
pub fn customer_mail(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    let input = task.input;
    if input.decision == Decision::Refused && (input.tracking.is_some() || input.refund.is_some()) {
        return Err(Failure::invalid_input("a refused return has no label and no refund: `tracking` and `refund` must be null"));
    }
    let customer = crm::customers::get(&input.customer)?;
    check_reachable(&customer)?;
    let letter = letter::write(&customer, &input);
    let message = notify::messages::send(&input.customer, Channel::Email, &letter.subject, &letter.body)?;
    Ok(Answer::certain(Output { message, subject: letter.subject }))
}

/// A mail cannot be taken back, so whoever must not get one is found before it is sent.
fn check_reachable(customer: &Customer) -> Result<(), Failure> {
    let obstacle = if customer.deceased {
        "the customer's record asks for a person: no mail was sent"
    } else if customer.opted_out {
        "the customer does not want mail: tell them in another way what was decided"
    } else if customer.email.as_deref().is_none_or(|address| address.trim().is_empty()) {
        "the customer has no mail address: tell them in another way what was decided"
    } else {
        return Ok(());
    };
    Err(Failure::needs_human(obstacle))
}

#[cfg(test)]
mod tests;
