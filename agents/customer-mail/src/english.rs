//! The letter in English.

use crate::letter::{Facts, Letter, Outcome, Refund, paragraphs};

pub(crate) fn write(facts: &Facts) -> Letter {
    let order = &facts.order;
    let greeting = if facts.name.is_empty() { "Hello,".to_owned() } else { format!("Hello {},", facts.name) };
    let close = "If anything is unclear, just answer this mail.\n\nKind regards\nYour service team".to_owned();
    match &facts.outcome {
        Outcome::Accepted { tracking, refund } => Letter {
            subject: format!("Your return of order {order} is accepted"),
            body: paragraphs(&[greeting, accepted(order, &facts.reason), next(order, tracking.as_deref()), money(refund), close]),
        },
        Outcome::Refused => Letter {
            subject: format!("Your return of order {order} cannot be accepted"),
            body: paragraphs(&[
                greeting,
                format!(
                    "you asked to return your order {order}. We are sorry, but we cannot accept this return: {}",
                    refused(&facts.reason)
                ),
                advice(&facts.reason).to_owned(),
                close,
            ]),
        },
    }
}

fn accepted(order: &str, reason: &str) -> String {
    match reason {
        "within-window" => format!("you asked to return your order {order} in time, and we have accepted the return."),
        _ => format!("you asked to return your order {order}, and we have accepted the return."),
    }
}

fn next(order: &str, tracking: Option<&str>) -> String {
    match tracking {
        Some(tracking) => format!(
            "What to do now:\n\
             1. Pack everything, in its original packaging if you still have it.\n\
             2. Print the return label of order {order} and stick it on the parcel. It covers the postage.\n\
             3. Hand the parcel over within 14 days and keep the receipt.\n\n\
             Tracking number: {tracking}"
        ),
        None => "Your return label is not ready yet. We are making it by hand and will send it to you: \
                 please keep everything until then, there is nothing you have to do."
            .to_owned(),
    }
}

fn money(refund: &Refund) -> String {
    match refund {
        Refund::Amount(amount) => format!("As soon as the parcel has arrived we pay back {amount}, in the way in which you paid."),
        Refund::Nothing => "As nothing was paid for this order, there is nothing to pay back.".to_owned(),
        Refund::Unknown => "As soon as the parcel has arrived we write to you about the money.".to_owned(),
    }
}

/// Finishes the sentence that says no.
fn refused(reason: &str) -> String {
    match reason {
        "window-exceeded" => "the time in which an order can be returned is over.".to_owned(),
        "category-excluded" => "the order has goods that cannot be returned, for example for reasons of hygiene.".to_owned(),
        "already-refunded" => "we have already paid the money for this order back.".to_owned(),
        "return-open" => "a return of this order is already on its way.".to_owned(),
        "not-delivered" => "the order has not arrived yet.".to_owned(),
        "part-shipped" => "some of it has not been shipped yet.".to_owned(),
        "date-before-delivery" => "the date of the request is before the day on which it arrived.".to_owned(),
        "not-returnable" => "orders of this kind cannot be returned.".to_owned(),
        "cancelled" => "the order was cancelled before it was shipped.".to_owned(),
        "free-order" => "nothing was paid for it.".to_owned(),
        "order-not-found" => "we cannot find this order under your customer number.".to_owned(),
        other => format!("our rules do not allow it ({other})."),
    }
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "window-exceeded" | "category-excluded" => {
            "If the goods are faulty your statutory rights are not affected: tell us what is wrong with them."
        }
        "already-refunded" => "Depending on your bank it can take a few days until you see the money.",
        "return-open" => "Please use the label that you already have.",
        "part-shipped" => "You can ask again as soon as everything has arrived.",
        "date-before-delivery" => "Please check the date and ask again.",
        "not-delivered" => "You can ask again as soon as it has arrived.",
        "order-not-found" => "Please check the number of the order: you find it in the mail that confirmed it.",
        _ => "",
    }
}
