//! Proofs over the tree: that a record lies in it, and that an older tree is the beginning of a newer one (RFC 6962, 2.1).

use std::ops::Range;

use bailiwick_core::ids::Digest;

use crate::tree::{Tree, node_hash};

/// Gives the root of the tree over some leaves. A range never starts where it does not belong to a subtree.
pub(crate) trait Subtrees {
    /// Why leaves cannot be read.
    type Problem;

    /// Computes the root over a range of leaves, which is not empty.
    fn root_of(&self, leaves: Range<u64>) -> Result<Digest, Self::Problem>;
}

impl Subtrees for [Digest] {
    type Problem = ();

    fn root_of(&self, leaves: Range<u64>) -> Result<Digest, ()> {
        let range = usize::try_from(leaves.start).map_err(|_| ())?..usize::try_from(leaves.end).map_err(|_| ())?;
        let mut tree = Tree::default();
        self.get(range).ok_or(())?.iter().for_each(|leaf| tree.push(*leaf));
        Ok(tree.root())
    }
}

/// The largest power of two below a size of 2 or more: where its tree parts.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// Makes the proof that leaf `index` lies in the tree over the first `size` leaves. The index lies below the size.
pub(crate) fn inclusion<S: Subtrees + ?Sized>(leaves: &S, index: u64, size: u64) -> Result<Vec<Digest>, S::Problem> {
    let mut proof = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = range.start + split(range.end - range.start);
        if index < middle {
            proof.push(leaves.root_of(middle..range.end)?);
            range.end = middle;
        } else {
            proof.push(leaves.root_of(range.start..middle)?);
            range.start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Makes the proof that the tree over the first `old` leaves is the beginning of that over the first `new`. Empty when `old` is 0 or `new`.
pub(crate) fn consistency<S: Subtrees + ?Sized>(leaves: &S, old: u64, new: u64) -> Result<Vec<Digest>, S::Problem> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let mut range = 0..new;
    // Whether the old tree is still what its verifier has: then its root need not be told.
    let mut is_whole = true;
    while range.end > old {
        let middle = range.start + split(range.end - range.start);
        if old <= middle {
            proof.push(leaves.root_of(middle..range.end)?);
            range.end = middle;
        } else {
            proof.push(leaves.root_of(range.start..middle)?);
            range.start = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        proof.push(leaves.root_of(range)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether a proof shows that a leaf lies at an index of the tree of this size and root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(leaf: &Digest, index: u64, size: u64, root: &Digest, proof: &[Digest]) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            while place.is_multiple_of(2) && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether a proof shows that the tree of the older size and root is the beginning of the newer one (RFC 9162, 2.1.4.2).
pub fn verify_consistency(old: u64, old_root: &Digest, new: u64, new_root: &Digest, proof: &[Digest]) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == Tree::default().root();
    }
    if old >= new {
        return old == new && proof.is_empty() && old_root == new_root;
    }
    let mut path = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut place, mut last) = (old - 1, new - 1);
    while place % 2 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut older, mut newer) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            older = node_hash(sibling, &older);
            newer = node_hash(sibling, &newer);
            while place.is_multiple_of(2) && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            newer = node_hash(&newer, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && older == *old_root && newer == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;

    fn leaves(count: u32) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_no_other() {
        let all = leaves(70);
        for size in 1..=70 {
            let root = all.root_of(0..size).unwrap();
            for index in 0..size {
                let proof = inclusion(all.as_slice(), index, size).unwrap();
                let leaf = &all[index as usize];
                assert!(verify_inclusion(leaf, index, size, &root, &proof), "{index} of {size}");
                assert!(!verify_inclusion(leaf, index + 1, size, &root, &proof));
                assert!(!verify_inclusion(leaf, index, size, leaf, &proof) || size == 1);
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_inclusion(leaf, index, size, &root, shorter));
                }
                assert!(!verify_inclusion(leaf, index, size, &root, &[proof.as_slice(), &[root]].concat()));
            }
        }
    }

    #[test]
    fn every_beginning_of_every_small_tree_is_proved_and_no_other() {
        let all = leaves(70);
        let root = |size: u64| if size == 0 { Tree::default().root() } else { all.root_of(0..size).unwrap() };
        for new in 1..=70_u64 {
            for old in 0..=new {
                let proof = consistency(all.as_slice(), old, new).unwrap();
                assert!(proof.len() <= 63);
                assert!(verify_consistency(old, &root(old), new, &root(new), &proof), "{old} of {new}");
                let other = Digest::of(b"other");
                assert!(!verify_consistency(old, &other, new, &root(new), &proof), "{old} of {new}");
                assert!(old == 0 || !verify_consistency(old, &root(old), new, &other, &proof), "{old} of {new}");
                for changed in 0..proof.len() {
                    let mut bad = proof.clone();
                    bad[changed] = other;
                    assert!(!verify_consistency(old, &root(old), new, &root(new), &bad));
                }
            }
            assert!(!verify_consistency(new, &root(new), new - 1, &root(new - 1), &[]));
        }
    }
}
