//! What the ticket and the note say. The texts are for colleagues, so they give codes as they are.

use crate::{Decision, Input};

pub(crate) fn subject(input: &Input) -> String {
    match (input.decision, &input.tracking) {
        (Decision::Accepted, Some(_)) => format!("Return of order {} accepted", input.order),
        (Decision::Accepted, None) => format!("Return of order {} accepted: label pending", input.order),
        (Decision::Refused, _) => format!("Return of order {} refused", input.order),
    }
}

pub(crate) fn body(input: &Input) -> String {
    let mut lines = vec![format!("Order: {}", input.order), format!("Decision: {}", decision(input)), format!("Reason: {}", input.reason)];
    if let Some(version) = &input.order_version {
        lines.push(format!("Version of the order: {version}"));
    }
    lines.push(match (input.decision, &input.tracking) {
        (Decision::Accepted, Some(tracking)) => format!("Tracking number: {tracking}\nNext: wait for the parcel"),
        (Decision::Accepted, None) => "Tracking number: label pending\nNext: make the label by hand and send it to the customer".to_owned(),
        (Decision::Refused, _) => "Next: nothing".to_owned(),
    });
    lines.join("\n")
}

pub(crate) fn note(input: &Input, ticket: &str) -> String {
    let label = match (input.decision, &input.tracking) {
        (Decision::Accepted, Some(tracking)) => format!(", label {tracking}"),
        (Decision::Accepted, None) => ", label pending".to_owned(),
        (Decision::Refused, _) => String::new(),
    };
    format!("Return of order {}: {} ({}){label}, ticket {ticket}", input.order, decision(input), input.reason)
}

fn decision(input: &Input) -> &'static str {
    match input.decision {
        Decision::Accepted => "accepted",
        Decision::Refused => "refused",
    }
}
