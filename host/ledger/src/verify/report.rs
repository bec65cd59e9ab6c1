//! What a verification says.

use std::fmt;

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::FORMAT;
use serde::Serialize;

/// How many missing payloads a report names; all are counted.
pub const PAYLOADS_NAMED: usize = 100;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// There is no record with this sequence, though there are later ones, or the last head counts it.
    #[error("it is missing")]
    Missing,
    /// The record stands after the end that the last head gives.
    #[error("it lies beyond the last head, which counts {size} records")]
    Beyond {
        /// Records that the last head counts.
        size: u64,
    },
    /// The database cannot read it, or gives values of other types.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The envelope is not canonical JSON, or no envelope.
    #[error("its envelope is {0}")]
    Envelope(String),
    /// The envelope has a format that this program does not know.
    #[error("its format is {0}, this program knows {FORMAT}")]
    Format(u32),
    /// The envelope carries another sequence: records were swapped, moved or put in.
    #[error("its envelope says that it is record {0}: records were swapped, moved or put in")]
    Place(Seq),
    /// The time is earlier than that of the record before.
    #[error("its time goes back from {before_ms} to {time_ms} (milliseconds since 1970)")]
    Time {
        /// Time of the record before.
        before_ms: u64,
        /// Time of this one.
        time_ms: u64,
    },
    /// A column by which records are found says another thing than the envelope.
    #[error("column `{0}`, by which it is found, is not what its envelope says")]
    Column(&'static str),
    /// The stored leaf is not the hash of the envelope.
    #[error("its envelope does not hash to its leaf: one of the two was changed")]
    Leaf,
    /// The outcome of a call refers to no earlier intent.
    #[error("it is the outcome of a call and refers to no earlier intent")]
    Intent,
    /// The payload is not what the envelope commits to.
    #[error("its payload is not the one that it commits to: payload, salt or commitment was changed")]
    Commitment,
    /// The payload is not canonical JSON.
    #[error("its payload is {0}")]
    Payload(String),
    /// There is a payload for a record that commits to none.
    #[error("it has a payload that it does not commit to")]
    Stray,
    /// The records up to here do not give the root that the head after them says.
    #[error("records {} to {last} do not give the root of the head over {} records: at least one of them, leaf included, or the head was changed", .first, .last.0 + 1)]
    Head {
        /// The first record after the head before.
        first: Seq,
        /// The last record under the head.
        last: Seq,
    },
    /// The stored edge of the tree is not that of the records.
    #[error("the stored edge of the tree is not that of the {size} records: it was changed")]
    Edge {
        /// Number of records.
        size: u64,
    },
}

/// The first record that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BadRecord {
    /// Which one. For a flaw of a head, the first record that may be meant.
    pub seq: Seq,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.seq, self.flaw)
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerifyReport {
    /// Records that are what was written, from the first on.
    pub records: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// Of them, those under a stored head that was recomputed. Heads are not signed and nothing is anchored outside, so they
    /// vouch against damage and against changes to parts of the file, not against somebody who rewrites all of it.
    pub under_heads: u64,
    /// Stored heads that were recomputed.
    pub heads: u64,
    /// Payloads that are what their records commit to.
    pub payloads: u64,
    /// Records whose payload is missing. Erasing a data subject does that, so it is no flaw in itself.
    pub payloads_missing: u64,
    /// The first [`PAYLOADS_NAMED`] of them.
    pub missing: Vec<Seq>,
    /// The first bad record; nothing after it was looked at.
    pub first_bad: Option<BadRecord>,
    /// What SQLite's own check says against the file (an index that leads elsewhere, say); `None` for nothing. Not said when a
    /// record is bad already.
    pub file_damage: Option<String>,
}

impl VerifyReport {
    /// Whether no record is bad. Payloads may be missing.
    pub fn is_intact(&self) -> bool {
        self.first_bad.is_none() && self.file_damage.is_none()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} records are what was written, {} of them under {} stored heads; root {}",
            self.records, self.under_heads, self.heads, self.root
        )?;
        writeln!(f, "{} payloads are what their records commit to", self.payloads)?;
        if self.payloads_missing > 0 {
            let named: Vec<_> = self.missing.iter().take(10).map(ToString::to_string).collect();
            let more = if self.payloads_missing > 10 { ", …" } else { "" };
            writeln!(f, "payload missing: {} records ({}{more}); legal after an erasure only", self.payloads_missing, named.join(", "))?;
        }
        writeln!(f, "the heads are not signed and not anchored outside: whoever can write the whole file can make another that verifies")?;
        match (&self.first_bad, &self.file_damage) {
            (Some(bad), _) => write!(f, "first bad {bad}"),
            (None, Some(damage)) => write!(f, "the records are good, the file around them is damaged: {damage}"),
            (None, None) => write!(f, "no record is bad"),
        }
    }
}
