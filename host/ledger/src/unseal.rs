//! Opening of stored payloads, for those who read and verify.

use std::collections::HashMap;

use bailiwick_core::ids::Seq;
use rusqlite::Connection;

use crate::seal::PayloadKey;
use crate::secrets::SALT_BYTES;
use crate::state::StatePaths;
use crate::vault::Vault;

/// Keys that a verification holds ready.
const READY: usize = 4_096;

/// What a stored payload turned out to be.
pub(crate) enum Unsealed<'a> {
    /// Salt and body.
    Open(&'a [u8; SALT_BYTES], &'a [u8]),
    /// There are no payload keys, or not those of this ledger.
    NoKeys,
    /// It is not what was sealed for this record, this subject and this key, or the key was destroyed.
    Bad,
}

/// Opens payloads.
#[derive(Debug)]
pub(crate) struct Unsealer {
    vault: Option<Vault>,
    /// Keys of before; none are kept by a reader, which may live longer than they.
    ready: Option<HashMap<u64, Option<PayloadKey>>>,
    buffer: Vec<u8>,
}

impl Unsealer {
    /// For a reader: a key is read when it is needed and not kept.
    pub(crate) fn to_read(paths: &StatePaths, connection: &Connection) -> Self {
        Self { vault: vault_of(paths, connection), ready: None, buffer: Vec::new() }
    }

    /// For a verification, which opens everything once.
    pub(crate) fn to_verify(paths: &StatePaths, connection: &Connection) -> Self {
        Self { ready: Some(HashMap::new()), ..Self::to_read(paths, connection) }
    }

    pub(crate) fn open(&mut self, seq: Seq, filed_under: &[u8], number: u64, sealed: &[u8]) -> Unsealed<'_> {
        let Self { vault, ready, buffer } = self;
        let Some(vault) = vault else { return Unsealed::NoKeys };
        let from_vault = || vault.key(number).ok().flatten();
        let fresh;
        let key = match ready {
            None => {
                fresh = from_vault();
                fresh.as_ref()
            }
            Some(ready) => {
                if ready.len() >= READY && !ready.contains_key(&number) {
                    ready.clear();
                }
                ready.entry(number).or_insert_with(from_vault).as_ref()
            }
        };
        match key.and_then(|key| key.open(sealed, seq, filed_under, buffer)) {
            Some((salt, body)) => Unsealed::Open(salt, body),
            None => Unsealed::Bad,
        }
    }
}

/// Gives the vault of a ledger, unless it is missing, unreadable or another's.
fn vault_of(paths: &StatePaths, connection: &Connection) -> Option<Vault> {
    let vault = Vault::open(paths, false).ok().flatten()?;
    let named: Vec<u8> = connection.query_row("SELECT vault FROM host", [], |row| row.get(0)).ok()?;
    (named == vault.id()).then_some(vault)
}
