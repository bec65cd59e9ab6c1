//! The Merkle tree over the records: RFC 6962 with SHA-256.
//!
//! Only the right edge is held: the roots of the perfect subtrees that the leaves so far make up, one for each bit of
//! the size, largest first. That is enough to append in O(log n) and to give the root; tiles and proofs are made from
//! the stored leaf hashes.

use bailiwick_core::ids::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes of a hash.
pub(crate) const HASH_BYTES: usize = 32;

/// Hashes the bytes of a leaf.
pub(crate) fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into())
}

/// Hashes two nodes into the one above them.
pub(crate) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::from_bytes(Sha256::new().chain_update([0x01]).chain_update(left.as_bytes()).chain_update(right.as_bytes()).finalize().into())
}

/// A tree that grows on the right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    // INVARIANT: as many entries as `size` has bits set.
    edge: Vec<Digest>,
}

impl Tree {
    /// Restores a tree from its size and [`Tree::edge_bytes`]. `None` when they do not fit together.
    pub(crate) fn restore(size: u64, edge: &[u8]) -> Option<Self> {
        let (hashes, rest) = edge.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() != size.count_ones() as usize {
            return None;
        }
        Some(Self { size, edge: hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect() })
    }

    /// Number of leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Gives the right edge, one hash after the other.
    pub(crate) fn edge_bytes(&self) -> Vec<u8> {
        self.edge.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// Appends the hash of a leaf.
    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        // Each bit set at the low end stands for a perfect subtree of the same height as the one just completed.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// Gives the root; of an empty tree, the hash of nothing.
    pub(crate) fn root(&self) -> Digest {
        let mut subtrees = self.edge.iter().rev();
        let Some(last) = subtrees.next() else { return Digest::of(b"") };
        subtrees.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition in RFC 6962, part 2.1, word for word.
    fn naive(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [one] => leaf_hash(one),
            many => {
                let k = (many.len() as u64).next_power_of_two() as usize / 2;
                node_hash(&naive(&many[..k]), &naive(&many[k..]))
            }
        }
    }

    #[test]
    fn known_roots() {
        // Test vectors of the certificate transparency reference implementation.
        let leaves: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        ];
        let mut tree = Tree::default();
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.push(leaf_hash(leaf));
            assert_eq!(tree.root().to_hex(), root);
        }
    }

    #[test]
    fn an_edge_that_does_not_fit_its_size_is_refused() {
        assert!(Tree::restore(0, b"").is_some());
        assert!(Tree::restore(1, b"").is_none());
        assert!(Tree::restore(2, &[0; 64]).is_none());
        assert!(Tree::restore(3, &[0; 64]).is_some());
        assert!(Tree::restore(3, &[0; 65]).is_none());
    }

    proptest! {
        #[test]
        fn appending_gives_the_root_of_the_definition(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..200)) {
            let mut tree = Tree::default();
            for (n, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(tree.root(), naive(&leaves[..n]));
                tree.push(leaf_hash(leaf));
                let restored = Tree::restore(tree.size(), &tree.edge_bytes());
                prop_assert_eq!(restored.as_ref(), Some(&tree));
            }
            prop_assert_eq!(tree.root(), naive(&leaves));
        }
    }
}
