//! Outcomes kept beside the effects they belong to, so that a repeat finds them and nothing happens twice.

use bailiwick_core::canonical;
use bailiwick_core::connector::{ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{BudgetKind, CallError, GuestError};
use bailiwick_core::ids::{Digest, IdempotencyKey};
use rusqlite::{Connection, OptionalExtension};

use crate::database;

/// Names that start so belong to Bailiwick: no declared statement may touch such a table.
pub(crate) const OWN_PREFIX: &str = "bailiwick_";

/// Makes the table of outcomes where there is none.
///
/// # Errors
/// SQLite's reason.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS bailiwick_outcomes (
            key TEXT PRIMARY KEY, operation TEXT NOT NULL, args_digest TEXT NOT NULL, answer TEXT, begun_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID",
    )
}

/// What is known of a key.
pub(crate) enum Known {
    /// Nothing: the effect has not begun.
    New,
    /// The effect has begun, and it is not known how it ended.
    Begun,
    /// The effect happened.
    Done(Box<ConnectorAnswer>),
}

/// What a write needs to be recognised when it comes again.
#[derive(Debug, Clone)]
pub(crate) struct Repeatable {
    pub(crate) key: IdempotencyKey,
    operation: String,
    args_digest: Digest,
    max_result_bytes: u64,
}

impl Repeatable {
    /// Takes it from a call.
    ///
    /// # Errors
    /// `unavailable` for a call without a key: without one a repeat would be a second effect.
    pub(crate) fn of(call: &ConnectorCall) -> Result<Self, CallError> {
        let key = call.key.ok_or_else(|| CallError::unavailable("an effect was called without an idempotency key; nothing was done"))?;
        let operation = call.operation.full.to_string();
        Ok(Self { key, operation, args_digest: call.args_digest(), max_result_bytes: call.max_result_bytes })
    }

    /// Looks the key up.
    ///
    /// # Errors
    /// `conflict` when the key belongs to another operation or other arguments.
    pub(crate) fn look_up(&self, connection: &Connection) -> Result<Known, CallError> {
        let row = connection
            .prepare_cached("SELECT operation, args_digest, answer FROM bailiwick_outcomes WHERE key = ?1")
            .and_then(|mut s| s.query_row([self.key.to_hex()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional())
            .map_err(|error| database::failure(&error))?;
        let Some((operation, digest, answer)): Option<(String, String, Option<String>)> = row else { return Ok(Known::New) };
        if operation != self.operation || digest != self.args_digest.to_string() {
            let detail = format!("the key {} was used for other arguments or another operation", self.key.to_hex());
            return Err(CallError::new(GuestError::Conflict(String::new()), detail));
        }
        let Some(answer) = answer else { return Ok(Known::Begun) };
        let mut answer: ConnectorAnswer = serde_json::from_str(&answer)
            .map_err(|error| database::indeterminate(format!("the stored outcome of key {} is damaged: {error}", self.key.to_hex())))?;
        answer.cached = true;
        check_size(&answer, self.max_result_bytes)?;
        Ok(Known::Done(Box::new(answer)))
    }

    /// Writes the key, with its outcome or, where the effect leaves the database, without one yet.
    pub(crate) fn insert(&self, connection: &Connection, answer: Option<&ConnectorAnswer>, now: &str) -> Result<(), CallError> {
        let answer = answer.map(to_text).transpose()?;
        connection
            .prepare_cached("INSERT INTO bailiwick_outcomes (key, operation, args_digest, answer, begun_at) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut s| s.execute((self.key.to_hex(), &self.operation, self.args_digest.to_string(), answer, now)))
            .map(|_| ())
            .map_err(|error| database::failure(&error))
    }

    /// Writes the key down as begun, if it is new, and says what was known of it. On disk when this returns.
    ///
    /// # Errors
    /// Those of [`Repeatable::look_up`]; `unavailable` where it is not certain that the key is on disk.
    pub(crate) fn begin(&self, connection: &mut Connection) -> Result<Known, CallError> {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| database::failure(&error))?;
        let known = self.look_up(connection)?;
        if matches!(known, Known::New) {
            self.insert(connection, None, &now())?;
            database::commit(connection).map_err(|error| match error.guest {
                // Only the key may have been written, nothing left the host: that is no effect of which one would have to be unsure.
                GuestError::Indeterminate(_) => CallError::unavailable(error.detail),
                _ => error,
            })?;
        } else {
            connection.execute_batch("ROLLBACK").map_err(|error| database::failure(&error))?;
        }
        Ok(known)
    }

    /// Adds the outcome to a key that was written without one.
    pub(crate) fn finish(&self, connection: &Connection, answer: &ConnectorAnswer) -> Result<(), CallError> {
        let answer = to_text(answer)?;
        connection
            .execute("UPDATE bailiwick_outcomes SET answer = ?2 WHERE key = ?1", (self.key.to_hex(), answer))
            .map(|_| ())
            .map_err(|error| database::failure(&error))
    }

    /// Forgets a key whose effect certainly did not happen.
    pub(crate) fn forget(&self, connection: &Connection) -> Result<(), CallError> {
        connection
            .execute("DELETE FROM bailiwick_outcomes WHERE key = ?1 AND answer IS NULL", [self.key.to_hex()])
            .map(|_| ())
            .map_err(|error| database::failure(&error))
    }

    /// Does an effect and writes its outcome in one transaction, or gives the stored outcome.
    ///
    /// # Errors
    /// Those of the effect, with everything undone; `conflict` as [`Repeatable::look_up`]; those of [`database::commit`].
    pub(crate) fn once(
        &self,
        connection: &mut Connection,
        now: &str,
        effect: impl FnOnce(&Connection) -> Result<ConnectorAnswer, CallError>,
    ) -> Result<ConnectorAnswer, CallError> {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| database::failure(&error))?;
        let answer = match self.look_up(connection)? {
            Known::Done(answer) => return Ok(*answer),
            Known::Begun => return Err(database::indeterminate(format!("key {} has begun and has no outcome", self.key.to_hex()))),
            Known::New => effect(connection)?,
        };
        check_size(&answer, self.max_result_bytes)?;
        self.insert(connection, Some(&answer), now)?;
        database::commit(connection)?;
        Ok(answer)
    }
}

fn to_text(answer: &ConnectorAnswer) -> Result<String, CallError> {
    serde_json::to_string(answer).map_err(|error| CallError::bad_upstream(format!("the outcome has no JSON form: {error}")))
}

/// Refuses an answer that is larger than the call allows.
pub(crate) fn check_size(answer: &ConnectorAnswer, most: u64) -> Result<(), CallError> {
    let bytes = canonical::to_bytes(&answer.value).len() as u64;
    if bytes <= most { Ok(()) } else { Err(too_large(most)) }
}

pub(crate) fn too_large(most: u64) -> CallError {
    CallError::new(GuestError::Budget(BudgetKind::BytesIn), format!("the answer has more than the {most} bytes that are left"))
}

/// The time now, RFC 3339 in UTC with whole seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
