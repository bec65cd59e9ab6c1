//! Bundles: a ledger as a folder of files that is verified without the ledger, its host or its keys.
//!
//! Checkpoint, tiles and entries lie where C2SP's tlog-tiles has them, so that foreign tools read them. Beside them, and needed by nobody
//! else: `keys` (the keys that sign, a line each: first record, verifier key), `heads` (every signed head, a line each: size, root,
//! key id and signature), `erased` (a line each: record, erasure), `witnessed` (the last cosigned checkpoint) and, only when asked for,
//! `payloads/…` (JSON lines: sequence, salt, name of the subject, payload; in plain).

mod export;

use bailiwick_core::ids::{Digest, Seq};
use serde::{Deserialize, Serialize};

pub use export::{ExportProblem, ExportReport};

/// The newest checkpoint, as tlog-tiles names it.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The keys that sign.
pub(crate) const KEYS: &str = "keys";
/// Every signed head.
pub(crate) const HEADS: &str = "heads";
/// Which payloads were erased, and by what.
pub(crate) const ERASED: &str = "erased";
/// The last checkpoint that a witness cosigned.
pub(crate) const WITNESSED: &str = "witnessed";
/// Payloads, in plain.
pub(crate) const PAYLOADS: &str = "payloads";

/// One payload in a bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PayloadLine {
    pub(crate) seq: Seq,
    /// Hexadecimal.
    pub(crate) salt: String,
    /// The name under which it is filed, hexadecimal; empty for nobody's.
    pub(crate) subject: String,
    /// Its canonical JSON, as text, so that no reader makes other bytes of it.
    pub(crate) payload: String,
}

/// Gives the file of the payloads of a tile's entries.
pub(crate) fn payloads_path(tile: u64) -> String {
    use crate::tiles::{TILE_WIDTH, TileKind, tile_path};
    // The same numbering as that of entries, without widths.
    let path = tile_path(TileKind::Entries, tile, TILE_WIDTH);
    format!("{PAYLOADS}{}", path.strip_prefix("tile/entries").unwrap_or_default())
}

/// One line of `heads`.
pub(crate) fn head_line(size: u64, root: &Digest, signed: &[u8]) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    format!("{size} {} {}\n", BASE64.encode(root.as_bytes()), BASE64.encode(signed))
}
