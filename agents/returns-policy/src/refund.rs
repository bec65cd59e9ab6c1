//! What would be paid back for an order.

use bailiwick_sdk::{Failure, Money};

use crate::orders::orders::Order;

/// Gives the price of everything that was shipped, at most what was paid and at least nothing.
///
/// What was bought and never shipped is paid back elsewhere; what a voucher paid is not paid back in money.
///
/// # Errors
/// Needs a person when the lines are not in the currency of the payment, or amounts are too large to add up.
pub(crate) fn amount(order: &Order) -> Result<Money, Failure> {
    let mut total: i64 = 0;
    for line in &order.lines {
        if line.price.currency != order.paid.currency {
            return Err(Failure::needs_human(format!(
                "order `{}` was paid in `{}` and has a line in `{}`: a person has to say what is paid back",
                order.id, order.paid.currency, line.price.currency
            )));
        }
        // More shipped than bought is a fault of the record, and no reason to pay more back.
        let pieces = i64::from(line.shipped.min(line.quantity));
        total = line.price.minor_units.checked_mul(pieces).and_then(|price| total.checked_add(price)).ok_or_else(|| {
            Failure::needs_human(format!("the amounts of order `{}` are too large to add up: look at its lines", order.id))
        })?;
    }
    let most = order.paid.minor_units.max(0);
    Ok(Money { minor_units: total.clamp(0, most), currency: order.paid.currency.clone() })
}
