//! Shipments with their events, and payments.

use jiff::ToSpan;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::orders::Order;
use super::{PAYMENTS, SHIPMENTS, TODAY, pick};

const PLACES: [&str; 6] = ["Hamburg", "Hannover", "Kassel", "Nürnberg", "Linz", "Lyon"];

/// What is odd about a shipment. The first five have one oddity each; later ones now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oddity {
    None,
    OutOfOrder,
    Lost,
    Silent,
    DeliveredBeforeShipped,
}

pub(crate) fn write(connection: &Connection, rng: &mut ChaCha20Rng, orders: &[Order]) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO shipments (tenant, tracking, order_id, carrier, eta, state, events) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let mut count = 0;
    for order in orders.iter().filter(|order| order.shipped.is_some()) {
        let parcels = if count == 5 || rng.random_bool(0.03) { 2 } else { 1 };
        for parcel in 1..=parcels {
            if count >= SHIPMENTS {
                return Ok(());
            }
            let oddity = match (count, rng.random_range(0..400)) {
                (0, _) | (_, 0) => Oddity::OutOfOrder,
                (1, _) | (_, 1) => Oddity::Lost,
                (2, _) | (_, 2) => Oddity::Silent,
                (3, _) | (_, 3) => Oddity::DeliveredBeforeShipped,
                _ => Oddity::None,
            };
            let (state, events) = events(rng, order, oddity);
            let tracking = format!("PX{}{parcel}", order.number);
            let eta = order.shipped.map(|day| day.saturating_add(3.days()).to_string());
            let carrier = pick(rng, &["Post Express", "Kurier Nord"], "Post Express");
            insert.execute(params![order.tenant, tracking, order.id(), carrier, eta, state, Value::Array(events).to_string()])?;
            count += 1;
        }
    }
    Ok(())
}

fn events(rng: &mut ChaCha20Rng, order: &Order, oddity: Oddity) -> (&'static str, Vec<Value>) {
    let shipped = order.shipped.unwrap_or(order.placed);
    let end = match (oddity, order.delivered) {
        // Nine days before the day that the data lead up to, the carrier fell silent.
        (Oddity::Silent, _) => TODAY.saturating_sub(9.days()),
        (Oddity::DeliveredBeforeShipped, _) => shipped.saturating_sub(1.days()),
        (_, Some(delivered)) => delivered,
        (_, None) => shipped.saturating_add(2.days()),
    };
    let count = if rng.random_bool(0.02) { rng.random_range(8..26) } else { rng.random_range(3..7) };
    let mut events: Vec<Value> = (0..count)
        .map(|index| {
            let days = (end - shipped).get_days();
            let day = shipped.saturating_add((i64::from(days) * i64::from(index) / i64::from(count - 1)).days());
            let code = match index {
                0 => "picked-up",
                i if i + 1 == count && order.delivered.is_some() && !matches!(oddity, Oddity::Lost | Oddity::Silent) => "delivered",
                i if i + 1 == count && oddity == Oddity::Lost => "lost",
                _ => "in-transit",
            };
            let time = format!("{day}T{:02}:{:02}:00Z", (6 + index / 2) % 24, rng.random_range(0..60));
            // In the order of the alphabet: the same bytes whether the JSON library keeps keys in order or sorts them.
            json!({ "code": code, "place": pick(rng, &PLACES, "Hamburg"), "time": time })
        })
        .collect();
    if oddity == Oddity::OutOfOrder {
        events.swap(0, 2);
    }
    let state = match oddity {
        Oddity::Lost => "lost",
        Oddity::Silent => "in-transit",
        _ if order.delivered.is_some() => "delivered",
        _ => "in-transit",
    };
    (state, events)
}

/// A charge for every order that cost something; then partial refunds, pending ones, chargebacks and unknown results.
pub(crate) fn write_payments(connection: &Connection, rng: &mut ChaCha20Rng, orders: &[Order]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(
        "INSERT INTO payments (tenant, id, order_id, kind, amount_minor_units, amount_currency, method, state, made_on)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let charged: Vec<(&Order, String)> = orders.iter().filter_map(|order| Some((order, order.charge()?))).collect();
    let mut count = 0;
    for (order, charge) in &charged {
        insert.execute(params![
            order.tenant,
            charge,
            order.id(),
            "charge",
            order.paid(),
            order.currency,
            order.method,
            "settled",
            order.placed.to_string(),
        ])?;
        count += 1;
    }
    let mut round = 0_i64;
    while count < PAYMENTS {
        round += 1;
        for (order, charge) in &charged {
            if count >= PAYMENTS {
                break;
            }
            let is_refunded = order.status == "refunded" && round == 1;
            let kind = rng.random_range(0..12);
            let (kind, state, amount) = match kind {
                _ if is_refunded => ("refund", "settled", order.paid()),
                0 => ("partial-refund", "settled", order.paid() / 4),
                1 => ("refund", "pending", order.paid()),
                2 => ("chargeback", "open", order.paid()),
                3 => ("refund", "unknown", order.paid()),
                _ => continue,
            };
            let made_on = order.delivered.unwrap_or(order.placed).saturating_add(6.days()).to_string();
            let id = format!("{charge}-{round}");
            insert.execute(params![order.tenant, id, order.id(), kind, amount, order.currency, order.method, state, made_on])?;
            count += 1;
        }
    }
    Ok(())
}
