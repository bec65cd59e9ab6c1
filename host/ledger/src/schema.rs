//! The database: its tables, their versions, and what is checked before it is used.

use std::path::Path;

use bailiwick_core::ids::{Digest, Seq};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::checkpoint::SignedCheckpoint;
use crate::error::OpenProblem;
use crate::keys::{KeyBook, KeyProblem};
use crate::note::VerifierKey;
use crate::secrets::Salts;
use crate::signing::{self, SignProblem, Signer};
use crate::state::StatePaths;
use crate::tree::{Tree, leaf_hash};
use crate::vault::Vault;

/// Marks the database as a ledger in its header: `BWLK`.
const APPLICATION_ID: i64 = 0x4257_4c4b;

/// A step from one storage version to the next.
struct Step {
    sql: &'static str,
    /// Whether payloads are sealed after that, and what comes then.
    then: Option<&'static str>,
}

/// A step that was released is never changed.
const MIGRATIONS: &[Step] = &[
    Step {
        sql: "
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, run TEXT, task TEXT, leaf BLOB NOT NULL, envelope BLOB NOT NULL
    ) STRICT;
    CREATE INDEX records_kind ON records (kind);
    CREATE INDEX records_run ON records (run) WHERE run IS NOT NULL;
    CREATE INDEX records_task ON records (task) WHERE task IS NOT NULL;
    CREATE INDEX run_events ON records (run) WHERE kind = 'run-event' AND run IS NOT NULL;
    CREATE TABLE payloads (seq INTEGER PRIMARY KEY, subject BLOB, salt BLOB NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX payloads_subject ON payloads (subject) WHERE subject IS NOT NULL;
    CREATE TABLE heads (size INTEGER PRIMARY KEY, root BLOB NOT NULL) STRICT;
    CREATE TABLE tree (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, edge BLOB NOT NULL) STRICT;
    CREATE TABLE host (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, key_check BLOB NOT NULL) STRICT;
    INSERT INTO tree VALUES (1, 0, x'');
",
        then: None,
    },
    // Signatures, and payloads sealed under keys. Heads of before have no signature: the first signed one covers them.
    Step {
        sql: "
    ALTER TABLE heads ADD COLUMN signature BLOB;
    ALTER TABLE host ADD COLUMN vault BLOB;
    ALTER TABLE host ADD COLUMN last_key INTEGER NOT NULL DEFAULT 1;
    CREATE TABLE signing_keys (first INTEGER PRIMARY KEY, vkey TEXT NOT NULL) STRICT;
    CREATE TABLE subjects (subject BLOB PRIMARY KEY, key INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE doomed (key INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE erased (seq INTEGER PRIMARY KEY, record INTEGER NOT NULL) STRICT;
    CREATE INDEX erased_record ON erased (record);
    DROP INDEX payloads_subject;
    ALTER TABLE payloads RENAME TO plain;
    CREATE TABLE payloads (seq INTEGER PRIMARY KEY, subject BLOB, key INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX payloads_subject ON payloads (subject) WHERE subject IS NOT NULL;
",
        then: Some("DROP TABLE plain"),
    },
];

/// The storage version that this program writes.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Most bytes of one stored value. An envelope has about 600; a payload holds what one call may copy (`host-buffer`, 4MiB by
/// default) once or twice, in JSON up to six times as long.
const VALUE_BYTES: i32 = 256 * 1024 * 1024;

/// Memory for pages, in KiB. The default of 2 MiB makes a large batch go out to the log and come back before its commit.
const CACHE_KIB: i64 = 32 * 1024;

/// How long to wait for somebody else who has locked the file: an executor does while it closes, a reader while it takes up
/// the log of a crashed one. Nobody of ours ever holds up a commit.
const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

/// What lies in the place of the ledger.
pub(crate) enum Found {
    /// Nothing yet.
    Blank,
    /// A ledger.
    Ledger(Facts),
}

/// What a ledger says about itself.
pub(crate) struct Facts {
    pub(crate) version: i64,
    /// Time of the last record.
    pub(crate) last_time_ms: u64,
    pub(crate) tree: Tree,
    pub(crate) key_check: Digest,
    pub(crate) epoch: u64,
    /// What only a ledger of this version has.
    pub(crate) keys: Option<Keys>,
}

/// The keys that a ledger names.
pub(crate) struct Keys {
    /// Those that sign it, each with the first record that is under its heads alone.
    pub(crate) signing: Vec<(Seq, VerifierKey)>,
    pub(crate) vault: Vec<u8>,
    /// The last payload key that was given to a subject.
    pub(crate) last: u64,
}

impl Keys {
    /// Gives the key that signs now.
    pub(crate) fn current(&self) -> Option<&VerifierKey> {
        self.signing.last().map(|(_, key)| key)
    }
}

/// Opens the file for reading alone.
pub(crate) fn open_to_read(paths: &StatePaths) -> Result<Connection, OpenProblem> {
    let path = &paths.ledger;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let open = |name: &Path, flags| -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(name, flags)?;
        harden(&connection)?;
        // The first access is what tells whether the file can be read.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    match open(path, flags) {
        Err(problem) if is_read_only_place(&problem) && crate::state::is_blank(&wal_of(path))? => {
            // On a read-only medium SQLite cannot make its shared-memory file. Without a write-ahead log there is no
            // writer either, so the file can be read as one that does not change.
            open(&immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        other => other,
    }
    .map_err(|problem| OpenProblem::storage(path, problem))
}

fn is_read_only_place(problem: &rusqlite::Error) -> bool {
    matches!(problem.sqlite_error_code(), Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly))
}

fn wal_of(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn immutable_uri(path: &Path) -> std::path::PathBuf {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            // Writing into a `String` cannot fail.
            other => drop(write!(uri, "%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

/// Opens the file for writing, with every commit on disk before it counts.
pub(crate) fn open_to_write(paths: &StatePaths, max_pages: Option<u32>) -> Result<Connection, OpenProblem> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&paths.ledger, flags)?;
        harden(&connection)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        // What is taken out (plain payloads of the first version, payloads of an erased subject) is written over, in the file and not
        // through temporary files of SQLite's elsewhere.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "wal_autocheckpoint", crate::writer::CHECKPOINT_PAGES)?;
        if let Some(pages) = max_pages {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(connection)
    };
    open().map_err(|problem| OpenProblem::storage(&paths.ledger, problem))
}

/// Bounds and settings for a file that somebody else may have made.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    use rusqlite::config::DbConfig;
    connection.busy_timeout(BUSY)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // A negative size is one in KiB.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)
}

/// Looks at a database without changing it.
pub(crate) fn inspect(connection: &Connection, path: &Path) -> Result<Found, OpenProblem> {
    let storage = |problem| OpenProblem::storage(path, problem);
    // At one moment, since an executor may be writing.
    let connection = &*connection.unchecked_transaction().map_err(storage)?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(storage);
    let (application, version) = (number("application_id")?, number("user_version")?);
    let found = schema_of(connection).map_err(storage)?;
    if application == 0 && version == 0 && found.is_empty() {
        return Ok(Found::Blank);
    }
    let not_ours = |reason: &str| OpenProblem::NotALedger { path: path.to_owned(), reason: reason.to_owned() };
    if application != APPLICATION_ID {
        return Err(not_ours("its application id is another"));
    }
    if version > VERSION {
        return Err(OpenProblem::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    // A trigger or view put into the file would run with our statements, so the schema must be ours to the letter.
    if version < 1 || found != expected_schema(version).map_err(storage)? {
        return Err(not_ours("its tables are not those of a ledger"));
    }
    inspect_tail(connection, path, version)
}

fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

fn expected_schema(version: i64) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    let scratch = Connection::open_in_memory()?;
    for step in MIGRATIONS.iter().take(usize::try_from(version).unwrap_or(0)) {
        scratch.execute_batch(step.sql)?;
        scratch.execute_batch(step.then.unwrap_or_default())?;
    }
    schema_of(&scratch)
}

/// Checks that the last record, the last head and the tree's edge say the same.
fn inspect_tail(connection: &Connection, path: &Path, version: i64) -> Result<Found, OpenProblem> {
    let storage = |problem| OpenProblem::storage(path, problem);
    let damaged = |reason: &str| OpenProblem::damaged(path, reason);
    let tree = stored_tree(connection).map_err(storage)?.ok_or_else(|| damaged("the edge of the tree does not fit its size"))?;
    let head: Option<(i64, Vec<u8>)> = connection
        .query_row("SELECT size, root FROM heads ORDER BY size DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(storage)?;
    let last: Option<(i64, Vec<u8>, Vec<u8>)> = connection
        .query_row("SELECT seq, leaf, envelope FROM records ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
        .map_err(storage)?;
    let last_time_ms = match (head, last) {
        (None, None) if tree.size() == 0 => 0,
        (Some((size, root)), Some((seq, leaf, envelope))) => {
            if u64::try_from(size) != Ok(tree.size()) || root != tree.root().as_bytes() {
                return Err(damaged("the last head and the tree contradict each other"));
            }
            if seq.checked_add(1) != Some(size) {
                return Err(damaged("the last record and the last head contradict each other"));
            }
            if leaf != leaf_hash(&envelope).as_bytes() {
                return Err(damaged("the last record is not what was written"));
            }
            let envelope: bailiwick_core::record::Envelope =
                serde_json::from_slice(&envelope).map_err(|_| damaged("the last record cannot be read"))?;
            envelope.time_ms
        }
        _ => return Err(damaged("records, heads and tree contradict each other")),
    };
    let (epoch, key_check): (i64, Vec<u8>) = connection
        .query_row("SELECT epoch, key_check FROM host", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|problem| match problem {
            rusqlite::Error::QueryReturnedNoRows => damaged("the host's row is gone"),
            other => storage(other),
        })?;
    let epoch = u64::try_from(epoch).map_err(|_| damaged("the epoch is not a count"))?;
    let key_check = Digest::from_bytes(key_check.try_into().map_err(|_| damaged("the host's row cannot be read"))?);
    let keys = if version > 1 {
        Some(stored_keys(connection).map_err(storage)?.ok_or_else(|| damaged("the keys it names cannot be read"))?)
    } else {
        None
    };
    Ok(Found::Ledger(Facts { version, last_time_ms, tree, key_check, epoch, keys }))
}

/// Reads the keys that a ledger names; `None` when they are none.
pub(crate) fn stored_keys(connection: &Connection) -> rusqlite::Result<Option<Keys>> {
    let mut statement = connection.prepare("SELECT first, vkey FROM signing_keys ORDER BY first")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut signing = Vec::new();
    for row in rows {
        let (first, vkey) = row?;
        let Ok(key) = vkey.parse() else { return Ok(None) };
        signing.push((Seq(first.cast_unsigned()), key));
    }
    let (vault, last): (Option<Vec<u8>>, i64) =
        connection.query_row("SELECT vault, last_key FROM host", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let keys = vault.map(|vault| Keys { signing, vault, last: last.cast_unsigned() });
    Ok(keys.filter(|keys| !keys.signing.is_empty()))
}

/// Reads the stored tree; `None` when size and edge do not fit together.
pub(crate) fn stored_tree(connection: &Connection) -> rusqlite::Result<Option<Tree>> {
    let row = connection.query_row("SELECT size, edge FROM tree", [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let Some((size, edge)) = row.optional()? else { return Ok(None) };
    Ok(u64::try_from(size).ok().and_then(|size| Tree::restore(size, &edge)))
}

/// What a new executor brings with it.
pub(crate) struct TakeOver<'a> {
    /// The version found; 0 for none.
    pub(crate) from: i64,
    pub(crate) epoch: u64,
    pub(crate) key_check: &'a Digest,
    /// The tree found.
    pub(crate) tree: &'a Tree,
    pub(crate) signer: &'a dyn Signer,
}

/// Why a ledger could not be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeOverProblem {
    #[error("{0}")]
    Storage(#[from] rusqlite::Error),
    #[error("{0}")]
    Keys(#[from] KeyProblem),
    #[error("{0}")]
    Sign(#[from] SignProblem),
    #[error("payload {0} cannot be sealed")]
    Seal(Seq),
}

/// Brings the database to this version, stores the epoch of a new executor and has the head signed, in one transaction. Gives the
/// keys for payloads, and the checkpoint.
pub(crate) fn take_over(
    connection: &mut Connection,
    vault: Vault,
    last_key: u64,
    new: &TakeOver<'_>,
) -> Result<(KeyBook, SignedCheckpoint), TakeOverProblem> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let vault_id = *vault.id();
    let mut book = KeyBook::new(vault, last_key)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(new.from).unwrap_or(0)) {
        transaction.execute_batch(step.sql)?;
        if let Some(then) = step.then {
            seal_plain(&transaction, &mut book)?;
            transaction.execute_batch(then)?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.execute(
        "INSERT INTO host (one, epoch, key_check, vault) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, vault = excluded.vault",
        params![new.epoch.cast_signed(), new.key_check.as_bytes().as_slice(), vault_id.as_slice()],
    )?;
    let size = new.tree.size().cast_signed();
    transaction.execute(
        "INSERT INTO signing_keys SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
        params![size, new.signer.verifier_key().to_string()],
    )?;
    let (checkpoint, signature) = signing::sign(new.signer, new.tree.size(), new.tree.root())?;
    transaction.execute("UPDATE heads SET signature = ?2 WHERE size = ?1 AND signature IS NULL", params![size, signature.as_slice()])?;
    transaction.commit()?;
    // What was plain until now may stand in the log; pages that were freed have been written over.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    book.destroy_doomed(connection)?;
    Ok((book, checkpoint))
}

/// Seals the payloads of a ledger that kept them plain.
fn seal_plain(transaction: &Connection, book: &mut KeyBook) -> Result<(), TakeOverProblem> {
    let mut plain = transaction.prepare("SELECT seq, subject, salt, body FROM plain ORDER BY seq")?;
    let mut sealed = transaction.prepare("INSERT INTO payloads VALUES (?1, ?2, ?3, ?4)")?;
    let mut rows = plain.query([])?;
    let mut nonces = Salts::default();
    let mut buffer = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get::<_, i64>(0)?.cast_unsigned());
        let subject: Option<Vec<u8>> = row.get(1)?;
        let (ValueRef::Blob(salt), ValueRef::Blob(body)) = (row.get_ref(2)?, row.get_ref(3)?) else {
            return Err(TakeOverProblem::Seal(seq));
        };
        // A damaged name is for the verifier to find, under a key all the same.
        let digest = |name: &Vec<u8>| <[u8; 32]>::try_from(name.as_slice()).map_or_else(|_| Digest::of(name), Digest::from_bytes);
        let name = subject.as_ref().map(digest);
        let (number, key) = book.key_for(transaction, name.as_ref())?;
        let (_, nonce) = nonces.next().map_err(|problem| KeyProblem::Vault(problem.into()))?;
        buffer.clear();
        buffer.extend_from_slice(&nonce);
        buffer.extend_from_slice(salt);
        buffer.extend_from_slice(body);
        key.seal(&mut buffer, seq, subject.as_deref().unwrap_or_default()).ok_or(TakeOverProblem::Seal(seq))?;
        sealed.execute(params![seq.0.cast_signed(), subject, number.cast_signed(), buffer])?;
    }
    Ok(())
}
