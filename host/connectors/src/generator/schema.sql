CREATE TABLE customers (
    tenant TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, email TEXT, phone TEXT,
    street TEXT NOT NULL, postal_code TEXT NOT NULL, city TEXT NOT NULL, country TEXT NOT NULL,
    birth_date TEXT, language TEXT NOT NULL, opted_out INTEGER NOT NULL, deceased INTEGER NOT NULL, consents TEXT NOT NULL,
    tier TEXT NOT NULL, points INTEGER NOT NULL, residency TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    tenant TEXT NOT NULL, id TEXT NOT NULL, customer TEXT NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL,
    written_at TEXT NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, customer) REFERENCES customers
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    tenant TEXT NOT NULL, id TEXT NOT NULL, customer TEXT NOT NULL, placed_on TEXT NOT NULL, shipped_on TEXT, delivered_on TEXT,
    status TEXT NOT NULL, paid_minor_units INTEGER NOT NULL, paid_currency TEXT NOT NULL, payer TEXT NOT NULL, charge TEXT,
    method TEXT NOT NULL, ship_to TEXT NOT NULL, return_status TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, customer) REFERENCES customers
) STRICT, WITHOUT ROWID;

CREATE TABLE order_lines (
    tenant TEXT NOT NULL, order_id TEXT NOT NULL, position INTEGER NOT NULL, sku TEXT NOT NULL, title TEXT NOT NULL,
    category TEXT NOT NULL, quantity INTEGER NOT NULL, price_minor_units INTEGER NOT NULL, price_currency TEXT NOT NULL,
    shipped INTEGER NOT NULL,
    PRIMARY KEY (tenant, order_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE shipments (
    tenant TEXT NOT NULL, tracking TEXT NOT NULL, order_id TEXT NOT NULL, carrier TEXT NOT NULL, eta TEXT, state TEXT NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (tenant, tracking)
) STRICT, WITHOUT ROWID;

CREATE TABLE payments (
    tenant TEXT NOT NULL, id TEXT NOT NULL, order_id TEXT NOT NULL, kind TEXT NOT NULL, amount_minor_units INTEGER NOT NULL,
    amount_currency TEXT NOT NULL, method TEXT NOT NULL, state TEXT NOT NULL, made_on TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    tenant TEXT NOT NULL, id TEXT NOT NULL, customer TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, language TEXT NOT NULL, topics TEXT NOT NULL, resolution TEXT, opened_at TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, customer) REFERENCES customers
) STRICT, WITHOUT ROWID;
