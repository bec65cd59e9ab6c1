//! Checks that a customer is who they say they are.
//!
//! The answer says whether the evidence fits the record and how much was checked, and nothing of the record. A customer who does not exist
//! and evidence that does not fit give the same answer, so that numbers of customers cannot be tried out.
#![forbid(unsafe_code)]

mod name;

use bailiwick_sdk::prelude::*;

/// Who the customer claims to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// Number of the customer.
    pub customer: String,
    /// What the customer says about themselves.
    pub evidence: Evidence,
}

/// What a customer says about themselves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Evidence {
    /// Full name.
    pub name: String,
    /// Postal code of the main address; empty where the country has none.
    pub postal_code: String,
    /// Date of birth as `YYYY-MM-DD`.
    #[serde(default)]
    pub birth_date: Option<String>,
}

/// Whether the evidence fits.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// Whether the customer is who they say they are.
    pub verified: bool,
    /// How much of the evidence could be checked; `none` unless verified.
    pub strength: Strength,
}

/// How much of the evidence could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Not verified.
    None,
    /// The name, and one of postal code and date of birth.
    Weak,
    /// The name, the postal code and the date of birth.
    Strong,
}

/// Checks that a customer is who they say they are.
#[agent(owner = "team-identity@nordwind.example", data-level = "personal", risk-class = "high", wants = ["crm/customers.get"])]
pub fn identity_verifier(task: Task<Input>) -> Result<Answer<Output>, Failure> {
    let Some(customer) = crm::customers::get(&task.input.customer).found()? else {
        return Ok(answer(Strength::None));
    };
    let strength = compare(&task.input.evidence, &customer);
    // Whoever cannot prove to be the customer does not learn that the customer has died either.
    if strength != Strength::None && customer.deceased {
        return Err(Failure::needs_human(
            "the evidence fits, but the customer's record asks for a person: look at its flags before anything is sent",
        ));
    }
    Ok(answer(strength))
}

fn answer(strength: Strength) -> Answer<Output> {
    Answer::certain(Output { verified: strength != Strength::None, strength })
}

/// One piece of evidence against the record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Fits,
    Differs,
    /// One of the two sides has nothing to compare.
    Unknown,
}

fn compare(evidence: &Evidence, customer: &crm::customers::Customer) -> Strength {
    if !name::same(&evidence.name, &customer.name) {
        return Strength::None;
    }
    let postal_code = compare_folded(&fold_code(&evidence.postal_code), &fold_code(&customer.address.postal_code));
    let date = |date: &Option<String>| date.as_deref().unwrap_or_default().trim().to_owned();
    let birth_date = compare_folded(&date(&evidence.birth_date), &date(&customer.birth_date));
    match (postal_code, birth_date) {
        (Match::Differs, _) | (_, Match::Differs) | (Match::Unknown, Match::Unknown) => Strength::None,
        (Match::Fits, Match::Fits) => Strength::Strong,
        (Match::Fits, Match::Unknown) | (Match::Unknown, Match::Fits) => Strength::Weak,
    }
}

fn compare_folded(claimed: &str, recorded: &str) -> Match {
    match (claimed, recorded) {
        ("", _) | (_, "") => Match::Unknown,
        (claimed, recorded) if claimed == recorded => Match::Fits,
        _ => Match::Differs,
    }
}

/// Postal codes are compared without case, spaces and dashes: `sw1a 1aa` is `SW1A1AA`, `1000-001` is `1000001`.
fn fold_code(code: &str) -> String {
    code.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests;
