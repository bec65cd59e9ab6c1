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
    /// The payload is not what was sealed for this record, or its key was destroyed.
    #[error("its payload does not open with its key: payload, subject or key was changed or exchanged")]
    Sealed,
    /// An erasure is said to have taken a payload that is there, that never was, or that came later.
    #[error("its payload is said to be erased by record {0}, which cannot be")]
    Erased(Seq),
    /// The record is said to be an erasure, and is none.
    #[error("payloads are said to be erased by it, and it is no erasure")]
    NoErasure,
    /// The payloads that are said to be erased are not those that the erasure's record names.
    #[error("the payloads that are said to be erased by it are not those that it names: one was taken away or put among them")]
    ErasedRecords,
    /// The record of a rotation names no key.
    #[error("it names no key that the ledger could be signed with")]
    Key,
    /// A head has a signature that is not the key's.
    #[error("the head over {size} records is not signed by the key that it names: signature, root or records were changed")]
    Signature {
        /// Records that the head counts.
        size: u64,
    },
    /// A head is signed with a key that was replaced before.
    #[error("the head over {size} records is signed with a key that was replaced before")]
    Retired {
        /// Records that the head counts.
        size: u64,
    },
    /// No trusted key vouches for the records at the end, or for any.
    #[error("no head over records {first} to {last} is signed by a trusted key: they were made, or made again, by somebody without it")]
    Unsigned {
        /// The first of them.
        first: Seq,
        /// The last of them.
        last: Seq,
    },
    /// The records are not those that were anchored.
    #[error("records {first} to {last} are not those that were anchored: at least one of them was changed since")]
    Anchor {
        /// The first record after the anchor before.
        first: Seq,
        /// The last record under the anchor.
        last: Seq,
    },
    /// There are fewer records than were anchored.
    #[error("records {found} to {} are missing: {anchored} were anchored, so the end was cut off or an older ledger put in place", .anchored.saturating_sub(1))]
    Cut {
        /// Records that are there.
        found: u64,
        /// Records that were anchored.
        anchored: u64,
    },
    /// The checkpoint from outside is of another ledger.
    #[error(
        "this is ledger `{found}`, what was anchored is of `{anchored}`: another ledger was put in its place, or the wrong anchor named"
    )]
    Origin {
        /// Name in the checkpoint.
        anchored: String,
        /// Name of the key.
        found: String,
    },
    /// A tile of a bundle is not that of the records.
    #[error("tile `{0}` is not that of the records")]
    Tile(String),
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

/// A place in the ledger's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// Number of records up to there.
    pub records: u64,
    /// The last of them.
    pub last: Seq,
    /// Its time, milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerifyReport {
    /// Records that are what was written, from the first on.
    pub records: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// Of them, those under a stored head that was recomputed.
    pub under_heads: u64,
    /// Stored heads that were recomputed.
    pub heads: u64,
    /// Up to where a trusted key vouches.
    pub vouched: Option<Moment>,
    /// The keys that do, in order, as C2SP verifier keys.
    pub signed_by: Vec<String>,
    /// Whether the first of them was given. If not, the ledger named it itself: whoever can write all of it can name another.
    pub is_key_given: bool,
    /// Up to where a checkpoint that was kept elsewhere, or that a witness has cosigned, vouches too: what was changed before that, and
    /// be it by somebody with the key, would have been found.
    pub anchored: Option<Moment>,
    /// Records beyond that.
    pub not_anchored: u64,
    /// Payloads that are what their records commit to.
    pub payloads: u64,
    /// Records whose payload is missing, and no erasure on record says why. The records are not touched by that.
    pub payloads_missing: u64,
    /// The first [`PAYLOADS_NAMED`] of them.
    pub missing: Vec<Seq>,
    /// Records whose payload was erased with its data subject, as an erasure on record says.
    pub payloads_erased: u64,
    /// Records whose payload was not looked at: its key, or the payload itself, does not lie beside the records.
    pub payloads_sealed: u64,
    /// The first bad record; nothing after it was looked at.
    pub first_bad: Option<BadRecord>,
    /// What SQLite's own check says against the file (an index that leads elsewhere, say); `None` for nothing. Not said when a
    /// record is bad already.
    pub file_damage: Option<String>,
}

impl VerifyReport {
    /// Whether no record is bad, and no payload is missing that no erasure explains.
    pub fn is_complete(&self) -> bool {
        self.is_intact() && self.payloads_missing == 0
    }

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
        if self.payloads_erased > 0 {
            writeln!(f, "payload erased: {} records, each by an erasure on record", self.payloads_erased)?;
        }
        if self.payloads_sealed > 0 {
            writeln!(f, "payload not looked at: {} records, since keys or payloads are not here", self.payloads_sealed)?;
        }
        if self.payloads_missing > 0 {
            let named: Vec<_> = self.missing.iter().take(10).map(ToString::to_string).collect();
            let more = if self.payloads_missing > 10 { ", …" } else { "" };
            writeln!(f, "payload missing: {} records ({}{more}); no erasure says why", self.payloads_missing, named.join(", "))?;
        }
        self.fmt_vouched(f)?;
        match (&self.first_bad, &self.file_damage) {
            (Some(bad), _) => write!(f, "first bad {bad}"),
            (None, Some(damage)) => write!(f, "the records are good, the file around them is damaged: {damage}"),
            (None, None) if self.payloads_missing > 0 => write!(f, "no record is bad, but payloads are missing"),
            (None, None) => write!(f, "no record is bad"),
        }
    }
}

impl VerifyReport {
    fn fmt_vouched(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.vouched {
            Some(moment) => writeln!(f, "signed up to {moment}, by {}", self.signed_by.join(", "))?,
            None => writeln!(f, "nothing is signed by a trusted key")?,
        }
        if !self.is_key_given && self.vouched.is_some() {
            writeln!(f, "the key is the one that the ledger names itself: give the key that you trust to find a ledger made anew")?;
        }
        match &self.anchored {
            Some(moment) => writeln!(f, "anchored up to {moment}; {} records after that are not", self.not_anchored),
            None => writeln!(f, "nothing is anchored: whoever has the key can make another ledger, or cut this one, and it verifies"),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of {} ({})", self.last, self.records, utc(self.time_ms))
    }
}

/// Writes a moment in UTC, to the second.
fn utc(time_ms: u64) -> String {
    let (days, rest) = (time_ms / 86_400_000, time_ms / 1_000 % 86_400);
    // Days to a date in the Gregorian calendar, by Howard Hinnant's `civil_from_days`; a calendar for one line is not worth a crate.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn moments_are_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds * 1_000), expected);
        }
    }
}
