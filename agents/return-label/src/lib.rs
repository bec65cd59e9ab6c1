//! Makes the label with which a customer sends an order back.
//!
//! The sender is the address in the customer's record: nobody tells the agent where the parcel comes from, so nobody can have a label made
//! for another address.
#![forbid(unsafe_code)]

use bailiwick_sdk::prelude::*;
use crm::customers::Customer;

/// The weight that a label is made for when nobody knows better: the carrier's price is the same up to 5 kg, and few returns weigh more.
pub const USUAL_WEIGHT_GRAMS: u32 = 2_000;
/// The heaviest parcel that the carrier takes.
pub const MAX_WEIGHT_GRAMS: u32 = 31_500;

/// Which order comes back, from whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// Number of the order.
    pub order: String,
    /// Number of the customer who sends it.
    pub customer: String,
    /// Weight of the parcel, if somebody knows it; 2 kg are taken otherwise.
    #[serde(default)]
    #[schemars(range(min = 1, max = 31_500))]
    pub weight_grams: Option<u32>,
}

/// The label.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// Tracking number.
    pub tracking: String,
    /// Opaque reference of the label document; the host knows where the document is.
    pub document: String,
    /// Carrier.
    pub carrier: String,
}

/// Makes the label with which a customer sends an order back.
#[agent(
    owner = "team-logistics@nordwind.example",
    data-level = "personal",
    risk-class = "medium",
    wants = ["crm/customers.get", "shipping/parcels.create-label"]
)]
pub fn return_label(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    let Input { order, customer, weight_grams } = task.input;
    let weight_grams = weight_grams.unwrap_or(USUAL_WEIGHT_GRAMS);
    if weight_grams == 0 || weight_grams > MAX_WEIGHT_GRAMS {
        return Err(Failure::invalid_input(format!("`weight-grams` is {weight_grams}: the carrier takes 1 to {MAX_WEIGHT_GRAMS}")));
    }
    let sender = sender(crm::customers::get(&customer)?)?;
    let label = shipping::parcels::create_label(&order, &sender, weight_grams).map_err(|problem| match &problem.cause {
        // The address comes from the customer's record, so another attempt sends the same one.
        Error::Invalid(field) => Failure::needs_human(format!(
            "the carrier refused `{field}` for the return of order `{order}`: correct the customer's address and make the label again"
        )),
        _ => problem.into(),
    })?;
    Ok(Answer::certain(Output { tracking: label.tracking, document: label.document, carrier: label.carrier }))
}

/// Gives the customer's address as a sender, or says what it lacks. Asking the carrier with half an address costs a call and says less.
fn sender(customer: Customer) -> Result<Address, Failure> {
    let mut address = customer.address;
    if address.name.trim().is_empty() {
        address.name = customer.name;
    }
    let parts = [("name", &address.name), ("street", &address.street), ("city", &address.city), ("country", &address.country)];
    let missing: Vec<&str> = parts.into_iter().filter(|(_, value)| value.trim().is_empty()).map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Ok(address);
    }
    Err(Failure::needs_human(format!("the customer's address has no {}: complete it and make the label again", missing.join(", no "))))
}

#[cfg(test)]
mod tests;
