use std::time::Instant;

use super::*;

fn fresh(seed: u64) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("shop.sqlite");
    ensure(&path, seed).unwrap();
    (folder, path)
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_data_and_another_seed_others() {
    let (_a, first) = fresh(1);
    let (_b, second) = fresh(1);
    let (_c, other) = fresh(2);
    let digest = dump_digest(&first).unwrap();
    assert_eq!(digest, dump_digest(&second).unwrap());
    assert_ne!(digest, dump_digest(&other).unwrap());
    // Once for all: a change of the data without a change of `VERSION` would leave old state folders with other data.
    assert_eq!((VERSION, digest.to_short().as_str()), (1, "7cca1a956b78"));
}

#[test]
fn what_is_there_is_kept_and_what_is_foreign_refused() {
    let (_folder, path) = fresh(1);
    database::open(&path, database::Access::Write).unwrap().execute("UPDATE orders SET status = 'open'", []).unwrap();
    let digest = dump_digest(&path).unwrap();
    ensure(&path, 1).unwrap();
    assert_eq!(dump_digest(&path).unwrap(), digest);
    assert!(
        ensure(&path, 2).unwrap_err().to_string().contains("holds the sample data of seed 1, version 1, not the sample data of seed 2")
    );
    let other = path.with_file_name("other.sqlite");
    database::create(&other).unwrap().execute_batch("CREATE TABLE t (n)").unwrap();
    assert!(ensure(&other, 1).unwrap_err().to_string().contains("holds other tables"));
    // A file left empty by a crash in the middle is filled.
    let empty = path.with_file_name("empty.sqlite");
    drop(database::create(&empty).unwrap());
    ensure(&empty, 1).unwrap();
}

#[test]
fn sizes_are_those_of_the_scenarios() {
    let start = Instant::now();
    let (_folder, path) = fresh(7);
    // Three seconds alone on the machine; the rest is room for neighbours.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    let c = database::open(&path, database::Access::Read).unwrap();
    assert_eq!(count(&c, "customers"), i64::from(CUSTOMERS));
    assert_eq!(count(&c, "(SELECT DISTINCT tenant FROM customers)"), 3);
    assert_eq!(count(&c, "orders"), i64::from(ORDERS));
    assert_eq!(count(&c, "shipments"), SHIPMENTS as i64);
    assert_eq!(count(&c, "payments"), PAYMENTS as i64);
    assert_eq!(count(&c, "tickets"), i64::from(TICKETS));
    assert_eq!(count(&c, "tickets WHERE topics <> '[]'"), 499);
    let range = |sql: &str| c.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap();
    assert_eq!(range("SELECT min(n), max(n) FROM (SELECT count(*) n FROM order_lines GROUP BY tenant, order_id)"), (1, 40));
    let (least, most) = range("SELECT min(json_array_length(events)), max(json_array_length(events)) FROM shipments");
    assert!(least >= 3 && most <= 25 && most > 20, "{least} {most}");
    assert_eq!(count(&c, "orders o LEFT JOIN order_lines l ON l.tenant = o.tenant AND l.order_id = o.id WHERE l.sku IS NULL"), 0);
}

#[test]
fn the_edge_cases_of_every_data_set_are_present() {
    let (_folder, path) = fresh(1);
    let c = database::open(&path, database::Access::Read).unwrap();
    let text = |sql: &str| c.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    // Customers.
    assert!(
        count(
            &c,
            "customers a JOIN customers b ON a.tenant = b.tenant AND a.name = b.name AND a.birth_date = b.birth_date AND a.id < b.id"
        ) > 0
    );
    assert_eq!(count(&c, "customers WHERE id IN ('C-1050', 'C-1051') AND name = 'Anna Schmidt' AND birth_date = '1990-01-01'"), 2);
    assert_eq!(count(&c, "customers WHERE id = 'C-1055' AND email IS NULL AND tenant = 'nordwind'"), 1);
    for id in fixed::NON_LATIN {
        assert!(text(&format!("SELECT name FROM customers WHERE id = '{id}'")).chars().all(|c| !c.is_ascii_alphabetic()), "{id}");
    }
    assert_eq!(count(&c, "customers WHERE id = 'C-1062' AND deceased = 1"), 1);
    assert_eq!(count(&c, "customers WHERE id = 'C-1065' AND opted_out = 1"), 1);
    assert_eq!(text("SELECT street FROM customers WHERE id = 'C-1066'").chars().count(), 300);
    assert_eq!(text("SELECT tenant FROM customers WHERE id = 'C-1042'"), TENANT);
    assert_ne!(text("SELECT tenant FROM customers WHERE id = 'C-1043'"), TENANT);
    assert_eq!(count(&c, "customers WHERE email NOT LIKE '%.example'"), 0);
    // Orders.
    let delivered =
        |id: &str| text(&format!("SELECT delivered_on FROM orders WHERE id = '{id}' AND customer = 'C-1042' AND tenant = 'nordwind'"));
    let days = |id: &str| {
        let delivered: Date = delivered(id).parse().unwrap();
        (fixed::REQUESTED_ON.parse::<Date>().unwrap() - delivered).get_days()
    };
    assert_eq!((days(fixed::ORDER_ACCEPTED), days(fixed::ORDER_DAY_30), days(fixed::ORDER_DAY_31)), (28, 30, 31));
    assert_eq!(count(&c, "order_lines WHERE order_id = 'O-20419' AND category = 'hygiene'"), 2);
    let status = |id: &str| text(&format!("SELECT status FROM orders WHERE id = '{id}'"));
    assert_eq!(status(fixed::ORDER_REFUNDED), "refunded");
    assert_eq!(status(fixed::ORDER_PART_SHIPPED), "part-shipped");
    assert_eq!(status(fixed::ORDER_OPEN), "open");
    assert_eq!(status(fixed::ORDER_RETURN_OPEN), "return-open");
    assert_eq!(count(&c, "order_lines WHERE order_id = 'O-20422' AND shipped > 0"), 1);
    assert_eq!(count(&c, "order_lines WHERE order_id = 'O-20422' AND shipped = 0"), 2);
    assert_eq!(count(&c, "orders WHERE id = 'O-20423' AND paid_minor_units = 0 AND charge IS NULL"), 1);
    assert_eq!(count(&c, "orders WHERE id = 'O-20424' AND payer = 'C-2001' AND customer = 'C-1042'"), 1);
    assert_eq!(count(&c, "orders WHERE id = 'O-20425' AND paid_currency = 'JPY' AND paid_minor_units = 9800"), 1);
    assert_eq!(delivered(fixed::ORDER_DAYLIGHT_SAVING), "2026-10-25");
    assert_eq!(count(&c, "order_lines WHERE order_id = 'O-20428'"), 40);
    assert_eq!(text("SELECT customer FROM orders WHERE id = 'O-20500'"), fixed::OTHER_CUSTOMER);
    assert_eq!(count(&c, "orders WHERE id = 'O-99999'"), 0);
    // Shipments.
    let event = |n: usize, side: &str| format!("json_extract(events, '$[{n}].{side}')");
    assert!(count(&c, &format!("shipments WHERE {} > {}", event(0, "time"), event(2, "time"))) > 0);
    assert!(count(&c, "shipments WHERE state = 'lost' AND events LIKE '%\"lost\"%'") > 0);
    assert!(count(&c, "(SELECT 1 FROM shipments GROUP BY tenant, order_id HAVING count(*) = 2)") > 0);
    assert!(count(&c, "shipments WHERE state = 'in-transit' AND json_extract(events, '$[#-1].time') LIKE '2026-11-11%'") > 0);
    let before = "shipments s JOIN orders o ON o.tenant = s.tenant AND o.id = s.order_id
                  WHERE s.state = 'delivered' AND substr(json_extract(events, '$[#-1].time'), 1, 10) < o.shipped_on";
    assert!(count(&c, before) > 0);
    // Payments.
    for (kind, state) in [("partial-refund", "settled"), ("refund", "pending"), ("chargeback", "open"), ("refund", "unknown")] {
        assert!(count(&c, &format!("payments WHERE kind = '{kind}' AND state = '{state}'")) > 0, "{kind} {state}");
    }
    // Tickets.
    let body = |id: &str| text(&format!("SELECT body FROM tickets WHERE id = '{id}'"));
    assert_eq!(count(&c, "tickets WHERE id = 'T-7001' AND json_array_length(topics) = 2"), 1);
    assert!(body("T-7002").contains("Great service"));
    assert_eq!(count(&c, "tickets WHERE id = 'T-7003' AND language = 'de' AND body LIKE 'Je voudrais%'"), 1);
    assert!(body("T-7004").starts_with("SYSTEM:"));
    assert!(body("T-7005").contains("Karl Beispiel"));
    assert_eq!(body("T-7006").len(), 64 * 1024);
    assert_eq!(body("T-7007"), "");
}
