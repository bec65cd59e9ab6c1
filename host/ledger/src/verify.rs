//! Verification: recomputes everything that a ledger says about itself, and names the first bad record.

use bailiwick_core::ids::Digest;

use crate::note::{KEY_ID_BYTES, SIGNATURE_BYTES};
use crate::tree::Tree;

mod bundle;
mod database;
mod record;
mod report;
mod strides;
mod trust;
mod walk;

pub use bundle::{BundleProblem, verify_bundle};
pub use database::{verify, verify_against};
pub use report::{BadRecord, Flaw, Moment, PAYLOADS_NAMED, VerifyReport};
pub use trust::{Trust, TrustProblem};

/// The signature of a head, and whose it claims to be.
#[derive(Debug, Clone)]
struct Signed {
    key: [u8; KEY_ID_BYTES],
    signature: [u8; SIGNATURE_BYTES],
}

/// What was counted in a stretch of records.
#[derive(Debug, Default)]
struct Counts {
    payloads: u64,
    missing: Vec<bailiwick_core::ids::Seq>,
    erased: u64,
    sealed: u64,
}

impl VerifyReport {
    /// A report in which nothing was looked at yet.
    fn blank(trust: &Trust) -> Self {
        Self {
            records: 0,
            root: empty_root(),
            under_heads: 0,
            heads: 0,
            vouched: None,
            signed_by: Vec::new(),
            is_key_given: !trust.keys.is_empty(),
            anchored: None,
            not_anchored: 0,
            payloads: 0,
            payloads_missing: 0,
            missing: Vec::new(),
            payloads_erased: 0,
            payloads_sealed: 0,
            first_bad: None,
            file_damage: None,
        }
    }

    fn count(&mut self, counts: Counts) {
        self.payloads += counts.payloads;
        self.payloads_erased += counts.erased;
        self.payloads_sealed += counts.sealed;
        self.payloads_missing += counts.missing.len() as u64;
        let room = PAYLOADS_NAMED.saturating_sub(self.missing.len());
        self.missing.extend(counts.missing.into_iter().take(room));
    }

    /// Takes what the walk has come to.
    fn end(&mut self, walk: walk::Walk) {
        self.records = walk.tree.size();
        self.root = walk.tree.root();
        self.under_heads = walk.under_heads;
        self.heads = walk.heads;
        self.not_anchored = self.records - walk.anchored.as_ref().map_or(0, |moment| moment.records);
        self.vouched = walk.vouched;
        self.anchored = walk.anchored;
        self.signed_by = walk.signed_by;
    }
}

fn empty_root() -> Digest {
    Tree::default().root()
}
