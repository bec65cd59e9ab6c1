//! The `shipping` connector: return labels as PDF documents, and the book of them.

mod address;
pub(crate) mod config;
mod label;
mod tracking;

use std::sync::Arc;
use std::time::Instant;

use bailiwick_core::Connector;
use bailiwick_core::capability::Operation;
use bailiwick_core::connector::{Artifact, BoxFuture, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::ids::Digest;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use self::address::Address;
use self::config::{ShippingFile, WarehouseConfig};
use self::label::{Label, LabelProblem};
use crate::config::{Latency, serves};
use crate::database::{self, Access, Database};
use crate::outcome::{self, Repeatable};
use crate::places::{Folder, Places};
use crate::problem::{Problem, SourceText};
use crate::reading::{Reading, Shape};
use crate::values;

/// Most characters of an order number.
const MAX_ORDER_CHARS: usize = 40;

/// What the statement that says whose an order is is about.
const OWNER: Shape = Shape { parameter: ":order", columns: &["owner"] };

/// How often another tracking number is tried when one is taken. With 10^14 of them a second try is already rare.
const MAX_NUMBER_TRIES: u32 = 8;

/// Serves `shipping/parcels`: makes return labels and voids them.
///
/// The document is on disk before the label's record and the call's outcome commit together, and it is named by the
/// key: a crash in between leaves a document that the repeat writes again.
#[derive(Debug)]
pub struct ShippingConnector {
    name: String,
    digest: Digest,
    /// Says whose an order is, where the file says how.
    owner: Option<Reading>,
    desk: Arc<Desk>,
    database: Database,
}

/// What is needed to make a label.
#[derive(Debug)]
struct Desk {
    file: ShippingFile,
    warehouse: Vec<String>,
    folder: Folder,
}

impl ShippingConnector {
    /// Reads the file, opens folder and database.
    pub(crate) fn load(name: &str, source: &SourceText, places: &Places) -> Result<(Self, Option<Latency>), Problem> {
        let file: ShippingFile = source.parse()?;
        check_file(&file, source)?;
        let owner = file.owner.as_ref().map(|config| Reading::load(&config.database, &config.sql, OWNER, source, places)).transpose()?;
        let folder = places
            .documents(&file.folder)
            .map_err(|error| source.problem(format!("the folder `{}` cannot be used: {error}", file.folder)))?;
        let database_name = format!("{name}.sqlite");
        let path =
            places.database(&database_name).map_err(|error| source.problem(format!("`{database_name}` cannot be a database: {error}")))?;
        prepare(&path).map_err(|error| source.problem(format!("the database `{}` cannot be prepared: {error}", path.display())))?;
        let database =
            Database::start(&path, Access::Write).map_err(|error| source.problem(format!("no thread for the database: {error}")))?;
        let warehouse = warehouse_lines(&file.warehouse);
        let (digest, latency) = (Digest::of(source.text.as_bytes()), file.latency);
        Ok((Self { name: name.to_owned(), digest, owner, desk: Arc::new(Desk { file, warehouse, folder }), database }, latency))
    }

    async fn write(&self, call: ConnectorCall) -> Result<ConnectorAnswer, CallError> {
        let deadline = Instant::now() + call.time_left;
        self.check(&call.operation).map_err(CallError::unavailable)?;
        values::check_args(&call.operation.signature, &call.args)?;
        let order = order_of(&call.args)?;
        self.check_owner(&call, &order, deadline).await?;
        let repeatable = Repeatable::of(&call)?;
        let desk = self.desk.clone();
        if call.operation.id.function == "void-label" {
            let tracking = call.args.get("tracking").and_then(Value::as_str).unwrap_or_default().to_owned();
            if !tracking::is_valid(&desk.file.tracking_prefix, &tracking) {
                return Err(CallError::not_found(format!("`{tracking}` is no tracking number of {}", desk.file.carrier)));
            }
            let void = move |connection: &mut Connection| {
                let now = outcome::now();
                repeatable.once(connection, &now, |connection| void(connection, call.origin.tenant.as_str(), &order, &tracking, &now))
            };
            return self.database.write(deadline, void).await;
        }
        let sender = Address::read(call.args.get("sender").unwrap_or(&Value::Null), &desk.file.countries)?;
        let weight = call.args.get("weight-grams").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        if weight == 0 || weight > desk.file.max_weight_grams {
            return Err(CallError::invalid("weight-grams", format!("a parcel weighs between 1 and {} grams", desk.file.max_weight_grams)));
        }
        let make = move |connection: &mut Connection| {
            let now = outcome::now();
            let parcel = Parcel { tenant: call.origin.tenant.as_str(), order: &order, sender: &sender, weight };
            repeatable.once(connection, &now, |connection| desk.make(connection, &repeatable, &parcel, &now))
        };
        self.database.write(deadline, make).await
    }
}

impl ShippingConnector {
    /// Refuses an order that is not the run's subject's, as if it did not exist. A grant cannot: a write would have happened before its answer can be
    /// refused.
    async fn check_owner(&self, call: &ConnectorCall, order: &str, deadline: Instant) -> Result<(), CallError> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let found = owner.row(call.origin.tenant.as_str(), order, deadline).await.map_err(|error| match error.guest {
            GuestError::Timeout => CallError::unavailable("whose the order is was not found in time; nothing was done"),
            _ => error,
        })?;
        let is_own = match (found.as_deref(), &call.origin.subject) {
            (Some([Cell::Text(owner)]), Some(subject)) => owner == subject.as_str(),
            _ => false,
        };
        if is_own { Ok(()) } else { Err(CallError::not_found(format!("the run's subject has no order `{order}`"))) }
    }
}

struct Parcel<'a> {
    tenant: &'a str,
    order: &'a str,
    sender: &'a Address,
    weight: u32,
}

impl Desk {
    /// Draws the label, writes it, and enters it into the book.
    fn make(&self, connection: &Connection, repeatable: &Repeatable, parcel: &Parcel<'_>, now: &str) -> Result<ConnectorAnswer, CallError> {
        let tracking = self.free_number(connection, repeatable)?;
        let (sender, rewritten) = parcel.sender.to_lines()?;
        let label = Label {
            carrier: &self.file.carrier,
            order: parcel.order,
            tracking: &tracking,
            weight_grams: parcel.weight,
            sender: &sender,
            warehouse: &self.warehouse,
            rewritten,
        };
        let pdf = label::to_pdf(&label).map_err(|problem| match problem {
            LabelProblem::TooLong => CallError::invalid("sender.street", problem.to_string()),
            LabelProblem::Document(_) => CallError::unavailable(problem.to_string()),
        })?;
        let name = format!("{}.pdf", repeatable.key.to_hex());
        let path = self
            .folder
            .write_atomically(&name, &pdf)
            .map_err(|error| CallError::unavailable(format!("the label cannot be written: {error}; nothing was booked")))?;
        let document = format!("label-{}", Digest::of_parts([b"bailiwick/label/1".as_slice(), name.as_bytes()]).to_short());
        let insert = "INSERT INTO labels (tracking, tenant, order_id, document, file, weight_grams, state, made_at)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'valid', ?7)";
        connection
            .execute(insert, (&tracking, parcel.tenant, parcel.order, &document, &name, parcel.weight, now))
            .map_err(|error| database::failure(&error))?;
        let value = json!({ "tracking": tracking, "document": document, "carrier": self.file.carrier });
        Ok(ConnectorAnswer {
            version: Some("1".to_owned()),
            as_of: Some(now.to_owned()),
            artifacts: vec![Artifact { kind: "label".to_owned(), path }],
            ..ConnectorAnswer::of(value)
        })
    }

    fn free_number(&self, connection: &Connection, repeatable: &Repeatable) -> Result<String, CallError> {
        for attempt in 0..MAX_NUMBER_TRIES {
            let tracking = tracking::number(&self.file.tracking_prefix, &repeatable.key, attempt);
            let taken: Option<i64> = connection
                .query_row("SELECT 1 FROM labels WHERE tracking = ?1", [&tracking], |row| row.get(0))
                .optional()
                .map_err(|error| database::failure(&error))?;
            if taken.is_none() {
                return Ok(tracking);
            }
        }
        Err(CallError::unavailable(format!("{MAX_NUMBER_TRIES} tracking numbers in a row are taken")))
    }
}

fn void(connection: &Connection, tenant: &str, order: &str, tracking: &str, now: &str) -> Result<ConnectorAnswer, CallError> {
    let state: Option<String> = connection
        .query_row("SELECT state FROM labels WHERE tracking = ?1 AND tenant = ?2 AND order_id = ?3", (tracking, tenant, order), |row| {
            row.get(0)
        })
        .optional()
        .map_err(|error| database::failure(&error))?;
    match state.as_deref() {
        None => Err(CallError::not_found(format!("there is no label `{tracking}` for the order `{order}`"))),
        Some("valid") => {
            connection
                .execute("UPDATE labels SET state = 'void', voided_at = ?2 WHERE tracking = ?1", (tracking, now))
                .map_err(|error| database::failure(&error))?;
            Ok(ConnectorAnswer {
                prior: Some(json!({ "state": "valid" })),
                version: Some("2".to_owned()),
                as_of: Some(now.to_owned()),
                ..ConnectorAnswer::of(Value::Null)
            })
        }
        Some(state) => Err(CallError::new(GuestError::Conflict("2".to_owned()), format!("the label `{tracking}` is {state} already"))),
    }
}

/// Reads the argument `order`, which stands on the label and in the book and nowhere in a path.
fn order_of(args: &Value) -> Result<String, CallError> {
    let order = args.get("order").and_then(Value::as_str).unwrap_or_default();
    let is_good = !order.is_empty() && order.len() <= MAX_ORDER_CHARS && order.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match is_good {
        true => Ok(order.to_owned()),
        false => Err(CallError::invalid("order", format!("an order number has up to {MAX_ORDER_CHARS} letters, digits and hyphens"))),
    }
}

fn warehouse_lines(config: &WarehouseConfig) -> Vec<String> {
    let place = format!("{} {}", config.postal_code, config.city);
    [&config.name, &config.street, &place, &config.country].map(|line| address::readable(line).0).to_vec()
}

fn check_file(file: &ShippingFile, source: &SourceText) -> Result<(), Problem> {
    if file.tracking_prefix.len() != 2 || !file.tracking_prefix.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(source.problem(format!("`tracking-prefix` is `{}`, two capital letters are expected", file.tracking_prefix)));
    }
    if file.carrier.trim().is_empty() || file.carrier.chars().count() > 20 {
        return Err(source.problem("`carrier` needs between 1 and 20 characters, to stand on a label"));
    }
    for (country, pattern) in &file.countries {
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(source.problem(format!("`{country}` is no country: write two capital letters, for example `DE`")));
        }
        if !address::is_pattern(pattern) {
            return Err(source.problem(format!("`{pattern}` is no form of postal codes: write `#` for a digit and `@` for a letter")));
        }
    }
    Ok(())
}

fn prepare(path: &std::path::Path) -> rusqlite::Result<()> {
    let connection = if path.exists() { database::open(path, Access::Write)? } else { database::create(path)? };
    outcome::prepare(&connection)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS labels (
            tracking TEXT PRIMARY KEY, tenant TEXT NOT NULL, order_id TEXT NOT NULL, document TEXT NOT NULL, file TEXT NOT NULL,
            weight_grams INTEGER NOT NULL, state TEXT NOT NULL, made_at TEXT NOT NULL, voided_at TEXT
        ) STRICT, WITHOUT ROWID",
    )
}

impl Connector for ShippingConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn config_digest(&self) -> Digest {
        self.digest
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        serves("shipping", operation, "shipping", "parcels", &["create-label", "void-label"])
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(self.write(call))
    }
}

#[cfg(test)]
mod tests;
