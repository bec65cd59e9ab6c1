//! From a decision to a letter, in whichever language.

use bailiwick_sdk::Money;
use bailiwick_sdk::money::{self, Style};

use crate::crm::customers::Customer;
use crate::{Decision, Input, english, german};

/// The most characters of a name, an order or a tracking number that a letter repeats. Names in the records can be long beyond reason, and
/// a subject line has to stay one line.
const MAX_WORD_CHARS: usize = 120;

/// A mail.
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// What a letter says, ready to be put into sentences.
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) order: String,
    pub(crate) reason: String,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    Accepted { tracking: Option<String>, refund: Refund },
    Refused,
}

/// What is said about money.
pub(crate) enum Refund {
    /// This much, with its currency.
    Amount(String),
    /// The order cost nothing.
    Nothing,
    /// Nobody said.
    Unknown,
}

pub(crate) fn write(customer: &Customer, input: &Input) -> Letter {
    // Only the first part of the tag matters here: `de-AT` reads German.
    let language = customer.language.split(['-', '_']).next().unwrap_or_default();
    if language.eq_ignore_ascii_case("de") {
        german::write(&facts(customer, input, Style::GERMAN))
    } else {
        english::write(&facts(customer, input, Style::ENGLISH))
    }
}

fn facts(customer: &Customer, input: &Input, style: Style) -> Facts {
    let outcome = match input.decision {
        Decision::Refused => Outcome::Refused,
        Decision::Accepted => Outcome::Accepted { tracking: input.tracking.as_deref().map(one_line), refund: refund(&input.refund, style) },
    };
    Facts { name: one_line(&customer.name), order: one_line(&input.order), reason: one_line(&input.reason), outcome }
}

fn refund(refund: &Option<Money>, style: Style) -> Refund {
    match refund {
        Some(money) if money.minor_units > 0 => Refund::Amount(money::format(money, style)),
        Some(_) => Refund::Nothing,
        None => Refund::Unknown,
    }
}

/// Makes one line of a value that came from elsewhere: a line break in a name must not start a line of our letter.
fn one_line(value: &str) -> String {
    let visible: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_WORD_CHARS).collect()
}

/// Joins paragraphs, leaving out empty ones.
pub(crate) fn paragraphs(parts: &[String]) -> String {
    let mut body = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    body.push('\n');
    body
}
