//! Orders and their lines.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rusqlite::{Connection, params};
use serde_json::json;

use super::customers::Customer;
use super::{ORDERS, TODAY, pick};

/// An order, as far as other data sets need it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) tenant: &'static str,
    pub(crate) number: u32,
    pub(crate) customer: usize,
    pub(crate) placed: Date,
    pub(crate) shipped: Option<Date>,
    pub(crate) delivered: Option<Date>,
    pub(crate) status: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) payer: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// A line of an order.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    item: &'static Item,
    quantity: u32,
    price: i64,
    shipped: u32,
}

#[derive(Debug)]
struct Item {
    sku: &'static str,
    title: &'static str,
    category: &'static str,
    cents: i64,
}

const fn item(sku: &'static str, title: &'static str, category: &'static str, cents: i64) -> Item {
    Item { sku, title, category, cents }
}

static ITEMS: [Item; 16] = [
    item("SH-4410", "Trail shoes Fjell", "shoes", 12_990),
    item("SH-2207", "Canvas shoes Strand", "shoes", 5_995),
    item("JK-1031", "Rain jacket Orkan", "clothing", 18_900),
    item("TS-0042", "T-shirt, organic cotton", "clothing", 2_450),
    item("TS-0043", "T-shirt, long sleeves", "clothing", 2_990),
    item("BP-7001", "Backpack 28 l", "bags", 8_950),
    item("BP-7002", "Dry bag 10 l", "bags", 1_995),
    item("TN-3300", "Tent for two", "outdoor", 32_900),
    item("LM-1200", "Head torch", "outdoor", 3_499),
    item("MG-0815", "Enamel mug", "kitchen", 1_290),
    item("ST-5005", "Gas stove", "kitchen", 4_400),
    item("BK-9009", "Book: knots", "books", 1_680),
    item("HY-1001", "Toothbrush set", "hygiene", 890),
    item("HY-1002", "Menstrual cup", "hygiene", 2_200),
    item("GC-0050", "Gift card 50", "gift-cards", 5_000),
    item("FD-0100", "Trail mix, 12 bags", "perishables", 2_388),
];

impl Order {
    pub(crate) fn id(&self) -> String {
        format!("O-{}", self.number)
    }

    pub(crate) fn paid(&self) -> i64 {
        self.lines.iter().map(|line| line.price * i64::from(line.quantity)).sum()
    }

    /// The number of its charge; a free order has none.
    pub(crate) fn charge(&self) -> Option<String> {
        (self.paid() > 0 && self.status != "cancelled").then(|| format!("CH-{}", self.number))
    }
}

pub(crate) fn write(connection: &Connection, rng: &mut ChaCha20Rng, customers: &[Customer]) -> rusqlite::Result<Vec<Order>> {
    let mut insert = connection.prepare(
        "INSERT INTO orders (tenant, id, customer, placed_on, shipped_on, delivered_on, status, paid_minor_units, paid_currency, payer, charge,
         method, ship_to, return_status, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    let mut insert_line = connection.prepare(
        "INSERT INTO order_lines (tenant, order_id, position, sku, title, category, quantity, price_minor_units, price_currency, shipped)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut orders = Vec::new();
    for number in 10_001..10_001 + ORDERS {
        let mut order = random(rng, number, customers);
        by_hand(&mut order, customers);
        let Some(customer) = customers.get(order.customer) else { continue };
        let version: u32 = rng.random_range(1..6);
        let id = order.id();
        // In the order of the alphabet: the same bytes whether the JSON library keeps keys in order or sorts them.
        let ship_to = json!({
            "city": customer.city, "country": customer.country, "name": customer.name, "postal-code": customer.postal_code, "street": customer.street,
        });
        let return_status = match order.status {
            "return-open" => "expected",
            "refunded" => "refunded",
            _ => "none",
        };
        insert.execute(params![
            order.tenant,
            id,
            customer.id(),
            order.placed.to_string(),
            order.shipped.map(|d| d.to_string()),
            order.delivered.map(|d| d.to_string()),
            order.status,
            order.paid(),
            order.currency,
            order.payer.map_or_else(|| customer.id(), str::to_owned),
            order.charge(),
            order.method,
            ship_to.to_string(),
            return_status,
            version,
        ])?;
        for (position, line) in (1_i64..).zip(&order.lines) {
            let Item { sku, title, category, .. } = line.item;
            insert_line.execute(params![
                order.tenant,
                id,
                position,
                sku,
                title,
                category,
                line.quantity,
                line.price,
                order.currency,
                line.shipped
            ])?;
        }
        orders.push(order);
    }
    Ok(orders)
}

fn random(rng: &mut ChaCha20Rng, number: u32, customers: &[Customer]) -> Order {
    let customer = rng.random_range(0..customers.len());
    let tenant = customers.get(customer).map_or(super::TENANT, |c| c.tenant);
    let placed = TODAY.saturating_sub(rng.random_range(3_i64..110).days());
    let shipped = placed.saturating_add(rng.random_range(1_i64..4).days());
    let delivered = shipped.saturating_add(rng.random_range(1_i64..6).days());
    let status = match rng.random_range(0..100) {
        0..6 => "open",
        6..10 => "cancelled",
        10..13 => "part-shipped",
        13..15 => "return-open",
        15..19 => "refunded",
        _ if delivered > TODAY => "shipped",
        _ => "delivered",
    };
    let (is_shipped, is_delivered) = (!matches!(status, "open" | "cancelled"), matches!(status, "delivered" | "return-open" | "refunded"));
    let currency = if rng.random_bool(0.02) { "JPY" } else { "EUR" };
    let count = match rng.random_range(0..100) {
        0..60 => 1,
        60..85 => 2,
        85..97 => rng.random_range(3..7),
        _ => rng.random_range(7..41),
    };
    let free = rng.random_bool(0.005);
    let lines = (0..count).map(|_| line(rng, currency, free, status)).collect();
    Order {
        tenant,
        number,
        customer,
        placed,
        shipped: is_shipped.then_some(shipped),
        delivered: is_delivered.then_some(delivered),
        status,
        currency,
        payer: None,
        method: pick(rng, &["card", "invoice", "direct-debit"], "card"),
        lines,
    }
}

fn line(rng: &mut ChaCha20Rng, currency: &str, free: bool, status: &str) -> Line {
    use rand::seq::IndexedRandom;
    let item = ITEMS.choose(rng).unwrap_or(&ITEMS[0]);
    let quantity = if rng.random_bool(0.8) { 1 } else { rng.random_range(2..5) };
    // About 160 yen to the euro, and a yen has no smaller unit: the price in yen happens to be a plain multiple.
    let price = if free {
        0
    } else if currency == "JPY" {
        item.cents * 8 / 5
    } else {
        item.cents
    };
    let shipped = match status {
        "open" | "cancelled" => 0,
        "part-shipped" => rng.random_range(0..=quantity),
        _ => quantity,
    };
    Line { item, quantity, price, shipped }
}

/// Puts the orders of [`super::fixed`] in place.
fn by_hand(order: &mut Order, customers: &[Customer]) {
    let owner = if order.number == 20_500 { 2001 } else { 1042 };
    let is_fixed = matches!(order.number, 20_417..=20_429 | 20_500);
    let Some(index) = customers.iter().position(|c| c.number == owner).filter(|_| is_fixed) else { return };
    order.customer = index;
    (order.tenant, order.currency, order.method, order.payer) = (super::TENANT, "EUR", "card", None);
    let (delivered, status, items): (Option<Date>, &'static str, &[usize]) = match order.number {
        20_417 => (Some(date(2026, 10, 23)), "delivered", &[0, 3]),
        20_418 => (Some(date(2026, 10, 20)), "delivered", &[2]),
        20_419 => (Some(date(2026, 11, 5)), "delivered", &[12, 13]),
        20_420 => (Some(date(2026, 10, 30)), "refunded", &[5]),
        20_421 => (Some(date(2026, 10, 21)), "delivered", &[8]),
        20_422 => (None, "part-shipped", &[7, 8, 9]),
        20_423 => (Some(date(2026, 11, 2)), "delivered", &[11]),
        20_424 => (Some(date(2026, 11, 9)), "delivered", &[5]),
        20_425 => (Some(date(2026, 11, 10)), "delivered", &[1]),
        20_426 => (Some(date(2026, 10, 25)), "delivered", &[4]),
        20_427 => (None, "open", &[2]),
        20_428 => (Some(date(2026, 11, 12)), "delivered", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        20_429 => (Some(date(2026, 11, 1)), "return-open", &[1]),
        _ => (Some(date(2026, 11, 3)), "delivered", &[6, 9]),
    };
    order.status = status;
    order.delivered = delivered;
    order.placed = delivered.unwrap_or(date(2026, 11, 18)).saturating_sub(5.days());
    order.shipped = (status != "open").then(|| order.placed.saturating_add(2.days()));
    let repeats = if order.number == 20_428 { 4 } else { 1 };
    order.lines = items.repeat(repeats).iter().filter_map(|index| ITEMS.get(*index)).map(|item| fixed_line(item, status)).collect();
    match order.number {
        20_422 => order.lines.iter_mut().skip(1).for_each(|line| line.shipped = 0),
        20_423 => order.lines.iter_mut().for_each(|line| line.price = 0),
        20_424 => order.payer = Some(super::fixed::OTHER_CUSTOMER),
        20_425 => {
            order.currency = "JPY";
            order.lines.iter_mut().for_each(|line| line.price = 9_800);
        }
        _ => {}
    }
}

fn fixed_line(item: &'static Item, status: &str) -> Line {
    Line { item, quantity: 1, price: item.cents, shipped: u32::from(status != "open") }
}
