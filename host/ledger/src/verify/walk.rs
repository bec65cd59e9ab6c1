//! What is checked about records in their order: the tree, its heads, who signed them, what was anchored, and what refers to what.

use std::collections::{BTreeMap, HashSet};

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::CallOutcome;
use sha2::{Digest as _, Sha256};

use super::record::{Seen, What};
use super::report::{BadRecord, Flaw, Moment};
use super::{Signed, Trust};
use crate::checkpoint::Checkpoint;
use crate::keys::erased_hasher;
use crate::note::VerifierKey;
use crate::tree::Tree;

/// A head as it was found.
pub(super) struct FoundHead {
    pub(super) size: u64,
    pub(super) root: Digest,
    pub(super) signature: Option<Signed>,
}

/// A key, and the size after which it signs nothing any more.
struct Known {
    key: VerifierKey,
    id: [u8; 4],
    retired_at: Option<u64>,
}

/// Takes records and heads in order.
pub(super) struct Walk {
    pub(super) tree: Tree,
    last_time_ms: u64,
    /// One bit a record: it is an intent.
    intents: Vec<u64>,
    keys: Vec<Known>,
    /// A rotation whose record was seen, and the size of the head that has to hand over.
    handover: Option<(u64, Box<VerifierKey>)>,
    /// Checkpoints from outside, the next one last.
    anchors: Vec<Checkpoint>,
    /// Sequences that erasures are said to have taken, hashed so far.
    erased: BTreeMap<Seq, Sha256>,
    /// Erasures beyond that are not looked at: they were made after the verification began.
    end: u64,
    pub(super) heads: u64,
    pub(super) under_heads: u64,
    pub(super) vouched: Option<Moment>,
    pub(super) anchored: Option<Moment>,
    pub(super) signed_by: Vec<String>,
}

impl Walk {
    /// Begins with the keys that are trusted, for a ledger that says it has so many records.
    pub(super) fn new(trust: &Trust, own: Option<VerifierKey>, end: u64) -> Self {
        let keys = if trust.keys.is_empty() { own.into_iter().collect() } else { trust.keys.clone() };
        let known = |key: VerifierKey| Known { id: key.id(), key, retired_at: None };
        let mut anchors: Vec<Checkpoint> = trust.anchors.iter().map(|anchor| anchor.checkpoint().clone()).collect();
        anchors.sort_by_key(|anchor| std::cmp::Reverse(anchor.size));
        Self {
            tree: Tree::default(),
            last_time_ms: 0,
            intents: Vec::new(),
            keys: keys.into_iter().map(known).collect(),
            handover: None,
            anchors,
            erased: BTreeMap::new(),
            end,
            heads: 0,
            under_heads: 0,
            vouched: None,
            anchored: None,
            signed_by: Vec::new(),
        }
    }

    /// Checks, before any record, that the checkpoints from outside are of this ledger.
    pub(super) fn check_origins(&self) -> Result<(), BadRecord> {
        let names: HashSet<&str> = self.keys.iter().map(|known| known.key.name()).collect();
        let other = self.anchors.iter().find(|anchor| !names.contains(anchor.origin.as_str()));
        match (other, names.iter().next()) {
            (Some(other), Some(name)) => {
                Err(BadRecord { seq: Seq(0), flaw: Flaw::Origin { anchored: other.origin.clone(), found: (*name).to_owned() } })
            }
            _ => Ok(()),
        }
    }

    fn here(&self) -> Moment {
        Moment { records: self.tree.size(), last: Seq(self.tree.size().saturating_sub(1)), time_ms: self.last_time_ms }
    }

    /// Takes the next record.
    pub(super) fn push(&mut self, seen: Seen) -> Result<(), BadRecord> {
        let seq = Seq(self.tree.size());
        self.check(seq, &seen).map_err(|flaw| BadRecord { seq, flaw })?;
        self.last_time_ms = seen.time_ms;
        self.tree.push(seen.leaf);
        if let What::Rotation(Some(key)) = seen.what {
            self.handover = Some((self.tree.size(), key));
        }
        while let Some(anchor) = self.anchors.pop_if(|anchor| anchor.size <= self.tree.size()) {
            self.anchor(&anchor)?;
        }
        Ok(())
    }

    fn check(&mut self, seq: Seq, seen: &Seen) -> Result<(), Flaw> {
        if seen.time_ms < self.last_time_ms {
            return Err(Flaw::Time { before_ms: self.last_time_ms, time_ms: seen.time_ms });
        }
        let bit = seq.0 % 64;
        if bit == 0 {
            self.intents.push(0);
        }
        if let Some(record) = seen.erased_by
            && record.0 < self.end
        {
            if record <= seq {
                return Err(Flaw::Erased(record));
            }
            self.erased.entry(record).or_insert_with(erased_hasher).update(seq.0.to_be_bytes());
        }
        match &seen.what {
            What::Plain | What::Rotation(Some(_)) => {}
            What::Intent => {
                if let Some(last) = self.intents.last_mut() {
                    *last |= 1 << bit;
                }
            }
            // What was done, or may have been done, needs an intent; what was refused may never have had one.
            What::Outcome(Some(intent), _) if *intent < seq && self.is_intent(*intent) => {}
            What::Outcome(None, Some(CallOutcome::Denied | CallOutcome::Error | CallOutcome::Cached)) => {}
            What::Outcome(..) => return Err(Flaw::Intent),
            What::Rotation(None) => return Err(Flaw::Key),
            What::Erasure(digest) => {
                let found = Digest::from_bytes(self.erased.remove(&seq).unwrap_or_else(erased_hasher).finalize().into());
                if *digest != Some(found) {
                    return Err(Flaw::ErasedRecords);
                }
            }
        }
        // An erasure that is no erasure.
        if self.erased.contains_key(&seq) { Err(Flaw::NoErasure) } else { Ok(()) }
    }

    fn is_intent(&self, seq: Seq) -> bool {
        let word = usize::try_from(seq.0 / 64).ok().and_then(|word| self.intents.get(word));
        word.is_some_and(|word| word >> (seq.0 % 64) & 1 == 1)
    }

    /// Compares with a checkpoint from outside that is of this size or smaller.
    fn anchor(&mut self, anchor: &Checkpoint) -> Result<(), BadRecord> {
        if anchor.size == self.tree.size() && anchor.root != self.tree.root() {
            let first = Seq(self.anchored.as_ref().map_or(0, |moment| moment.records));
            return Err(BadRecord { seq: first, flaw: Flaw::Anchor { first, last: Seq(anchor.size.saturating_sub(1)) } });
        }
        if anchor.size == self.tree.size() {
            self.anchored = Some(self.here());
        }
        Ok(())
    }

    /// Takes the next head; it is over the records so far, or it is bad.
    pub(super) fn head(&mut self, head: &FoundHead) -> Result<(), BadRecord> {
        if head.size != self.tree.size() || head.root != self.tree.root() {
            let (first, last) = (Seq(self.under_heads), Seq(self.tree.size().saturating_sub(1)));
            return Err(BadRecord { seq: first, flaw: Flaw::Head { first, last } });
        }
        if let Some(signed) = &head.signature {
            self.signature(head, signed)?;
        }
        self.under_heads = head.size;
        self.heads += 1;
        Ok(())
    }

    fn signature(&mut self, head: &FoundHead, signed: &Signed) -> Result<(), BadRecord> {
        let first = Seq(self.vouched.as_ref().map_or(0, |moment| moment.records));
        let bad = |flaw| BadRecord { seq: first, flaw };
        // Signed by somebody who is not known (yet, or here): nothing is gained by it.
        let Some(known) = self.keys.iter_mut().find(|known| known.id == signed.key) else { return Ok(()) };
        if known.retired_at.is_some_and(|last| head.size > last) {
            return Err(bad(Flaw::Retired { size: head.size }));
        }
        let text = Checkpoint { origin: known.key.name().to_owned(), size: head.size, root: head.root }.to_text();
        if !known.key.has_signed(text.as_bytes(), &signed.signature) {
            return Err(bad(Flaw::Signature { size: head.size }));
        }
        let name = known.key.to_string();
        if self.signed_by.last() != Some(&name) {
            self.signed_by.push(name);
        }
        if let Some((_, key)) = self.handover.take_if(|(size, _)| *size == head.size) {
            known.retired_at = Some(head.size);
            // A key that was trusted from the beginning stays what it is.
            if !self.keys.iter().any(|known| known.key == *key) {
                self.keys.push(Known { id: key.id(), key: *key, retired_at: None });
            }
        }
        self.vouched = Some(self.here());
        Ok(())
    }

    /// Checks, after the last record, what should have come.
    pub(super) fn finish(&mut self) -> Result<(), BadRecord> {
        let size = self.tree.size();
        if let Some(anchor) = self.anchors.first().filter(|anchor| anchor.size > size) {
            return Err(BadRecord { seq: Seq(size), flaw: Flaw::Cut { found: size, anchored: anchor.size } });
        }
        let vouched = self.vouched.as_ref().map_or(0, |moment| moment.records);
        if vouched < size {
            return Err(BadRecord { seq: Seq(vouched), flaw: Flaw::Unsigned { first: Seq(vouched), last: Seq(size - 1) } });
        }
        match self.erased.keys().next() {
            Some(record) => Err(BadRecord { seq: *record, flaw: Flaw::NoErasure }),
            None => Ok(()),
        }
    }
}
