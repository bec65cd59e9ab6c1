//! Sample data of a shop: synthetic, seeded, the same to the last character for the same seed and [`VERSION`].
//!
//! Three tenants (`nordwind`, `suedlicht`, `westhafen`), 5,000 customers, 20,000 orders, 18,000 shipments, 25,000 payments, 8,500
//! tickets. The edge cases that a workflow has to get right are made by hand and lie at well-known ids: see [`fixed`].

mod customers;
pub mod fixed;
mod orders;
mod shipments;
mod tickets;

use std::path::Path;

use bailiwick_core::ids::Digest;
use jiff::civil::{Date, date};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rusqlite::{Connection, OptionalExtension};

use crate::database;

/// Version of the generator: it changes when the same seed gives other data.
pub const VERSION: u32 = 1;

/// The tenant of the returns sample.
pub const TENANT: &str = "nordwind";

/// Number of customers, over all tenants.
pub const CUSTOMERS: u32 = 5_000;
/// Number of orders.
pub const ORDERS: u32 = 20_000;
/// Number of shipments.
pub const SHIPMENTS: usize = 18_000;
/// Number of payments: charges, refunds and chargebacks.
pub const PAYMENTS: usize = 25_000;
/// Number of tickets, 500 of them labelled for a router.
pub const TICKETS: u32 = 8_500;

/// The day that the data lead up to.
pub(crate) const TODAY: Date = date(2026, 11, 20);

/// Why there are no sample data.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorProblem {
    /// The file holds something else.
    #[error("`{path}` holds {found}, not the sample data of seed {seed}, version {VERSION}: remove it, or name another database")]
    Foreign {
        /// The file.
        path: String,
        /// What it holds.
        found: String,
        /// The seed that was asked for.
        seed: u64,
    },
    /// The database cannot be written.
    #[error("the database says: {0}")]
    Database(#[from] rusqlite::Error),
}

/// Makes sure that a database holds the sample data of a seed. Writes them in one transaction if there is no database;
/// does nothing if they are there already, whatever was changed in them since.
///
/// # Errors
/// When the file holds something else, or cannot be written.
pub fn ensure(path: &Path, seed: u64) -> Result<(), GeneratorProblem> {
    let connection = if path.exists() { database::open(path, database::Access::Write)? } else { database::create(path)? };
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let foreign = |found: String| GeneratorProblem::Foreign { path: path.display().to_string(), found, seed };
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        write(&connection, seed)?;
        connection.execute_batch("COMMIT")?;
        return Ok(());
    }
    let marker: Option<(String, u32)> = connection
        .query_row("SELECT seed, version FROM bailiwick_generated", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(|_| foreign("other tables".to_owned()))?;
    match marker {
        // A seed is any 64-bit number and SQLite's are signed, so it is kept as text.
        Some((found, VERSION)) if found == seed.to_string() => Ok(()),
        Some((found, version)) => Err(foreign(format!("the sample data of seed {found}, version {version}"))),
        None => Err(foreign("half of something".to_owned())),
    }
}

fn write(connection: &Connection, seed: u64) -> rusqlite::Result<()> {
    connection.execute_batch(include_str!("schema.sql"))?;
    connection.execute_batch("CREATE TABLE bailiwick_generated (seed TEXT NOT NULL, version INTEGER NOT NULL) STRICT")?;
    let customers = customers::write(connection, &mut stream(seed, 1))?;
    let orders = orders::write(connection, &mut stream(seed, 2), &customers)?;
    shipments::write(connection, &mut stream(seed, 3), &orders)?;
    shipments::write_payments(connection, &mut stream(seed, 4), &orders)?;
    tickets::write(connection, &mut stream(seed, 5), &customers)?;
    connection.execute("INSERT INTO bailiwick_generated (seed, version) VALUES (?1, ?2)", (seed.to_string(), VERSION))?;
    Ok(())
}

/// Each data set draws from a stream of its own, so that a change of one leaves the others as they are.
fn stream(seed: u64, number: u64) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(VERSION) << 32 | number);
    rng
}

/// Hashes everything that the generator wrote, row by row, for comparisons.
///
/// # Errors
/// When the database cannot be read.
pub fn dump_digest(path: &Path) -> Result<Digest, GeneratorProblem> {
    let connection = database::open(path, database::Access::Read)?;
    let mut digests: Vec<[u8; 32]> = Vec::new();
    for table in ["customers", "orders", "order_lines", "shipments", "payments", "tickets", "notes"] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells: Vec<Vec<u8>> =
                (0..columns).map(|i| Ok(format!("{:?}", row.get_ref(i)?).into_bytes())).collect::<rusqlite::Result<_>>()?;
            digests.push(*Digest::of_parts(cells.iter().map(Vec::as_slice)).as_bytes());
        }
    }
    Ok(Digest::of_parts(digests.iter().map(<[u8; 32]>::as_slice)))
}

/// Picks one of a list that is never empty.
fn pick<'a, T: ?Sized>(rng: &mut ChaCha20Rng, items: &[&'a T], otherwise: &'a T) -> &'a T {
    use rand::seq::IndexedRandom;
    items.choose(rng).copied().unwrap_or(otherwise)
}

#[cfg(test)]
mod tests;
