//! Tiles: the tree and its entries as files that foreign tools read (C2SP's tlog-tiles).

use bailiwick_core::ids::{Digest, Seq};

use crate::tree::{HASH_BYTES, Tree};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Most bytes of an entry: its length is written in two.
pub const ENTRY_BYTES: usize = u16::MAX as usize;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// Hashes; level 0 are leaves, each level above one hash a full tile of the level below.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// Gives the path of a tile with `width` hashes or entries, 1 to 256. Unlike in Go's checksum database, the height of a tile is no
/// part of it, and entries lie under `entries` and not under `data`.
pub fn tile_path(kind: TileKind, index: u64, width: u64) -> String {
    let mut path = match kind {
        TileKind::Hashes(level) => format!("tile/{level}/"),
        TileKind::Entries => "tile/entries/".to_owned(),
    };
    let mut groups = Vec::new();
    let mut rest = index;
    loop {
        groups.push(rest % 1_000);
        rest /= 1_000;
        if rest == 0 {
            break;
        }
    }
    while let Some(group) = groups.pop() {
        path.push_str(&if groups.is_empty() { format!("{group:03}") } else { format!("x{group:03}/") });
    }
    if width < TILE_WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Appends an entry to a bundle of entries. `None` when it is too long for one.
pub(crate) fn append_entry(out: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    out.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
    out.extend_from_slice(entry);
    Some(())
}

/// Takes the next entry from a bundle of entries. `None` at its end, and when it ends in the middle of one.
pub(crate) fn next_entry<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = after;
    Some(entry)
}

/// A tile of hashes that is complete, or as far as the tree goes.
pub(crate) struct Tile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Digest>,
}

impl Tile {
    pub(crate) fn path(&self) -> String {
        tile_path(TileKind::Hashes(self.level), self.index, self.hashes.len() as u64)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// Gives the first record that the hash at a place in the tile is about.
    pub(crate) fn first_under(&self, place: usize) -> Seq {
        let records = TILE_WIDTH.checked_pow(u32::from(self.level)).unwrap_or(u64::MAX);
        Seq((self.index * TILE_WIDTH + place as u64).saturating_mul(records))
    }

    /// Gives the place of the first hash that bytes do not have.
    pub(crate) fn differs_from(&self, bytes: &[u8]) -> Option<usize> {
        let (found, rest) = bytes.as_chunks::<HASH_BYTES>();
        let same = self.hashes.iter().zip(found).take_while(|(hash, found)| hash.as_bytes() == *found).count();
        (same < self.hashes.len() || same < found.len() || !rest.is_empty()).then_some(same)
    }
}

/// Makes tiles of all levels while leaves come.
#[derive(Default)]
pub(crate) struct Tiler {
    /// The tile under way of each level, and its index.
    levels: Vec<(u64, Vec<Digest>)>,
}

impl Tiler {
    /// Takes a leaf, and gives the tiles that it completes, lowest first.
    pub(crate) fn push(&mut self, leaf: Digest) -> Vec<Tile> {
        let mut done = Vec::new();
        let mut hash = leaf;
        for level in 0..=63_u8 {
            if self.levels.len() <= usize::from(level) {
                self.levels.push((0, Vec::new()));
            }
            let Some((index, hashes)) = self.levels.get_mut(usize::from(level)) else { break };
            hashes.push(hash);
            if hashes.len() as u64 != TILE_WIDTH {
                break;
            }
            let tile = Tile { level, index: *index, hashes: std::mem::take(hashes) };
            *index += 1;
            let mut tree = Tree::default();
            tile.hashes.iter().for_each(|hash| tree.push(*hash));
            hash = tree.root();
            done.push(tile);
        }
        done
    }

    /// Gives the partial tiles at the right edge.
    pub(crate) fn finish(self) -> Vec<Tile> {
        let levels = (0..=63_u8).zip(self.levels);
        let tiles = levels.map(|(level, (index, hashes))| Tile { level, index, hashes });
        tiles.filter(|tile| !tile.hashes.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(TileKind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path(TileKind::Hashes(63), 0, 1), "tile/63/000.p/1");
        assert_eq!(tile_path(TileKind::Entries, 273, 112), "tile/entries/273.p/112");
        assert_eq!(tile_path(TileKind::Entries, 1_000, 256), "tile/entries/x001/000");
    }

    #[test]
    fn a_tree_of_70_000_has_the_tiles_of_the_specifications_example() {
        let mut tiler = Tiler::default();
        let mut tree = Tree::default();
        let mut full = [0; 3];
        let mut tops = Vec::new();
        for n in 0..70_000_u32 {
            let leaf = leaf_hash(&n.to_be_bytes());
            tree.push(leaf);
            for tile in tiler.push(leaf) {
                full[usize::from(tile.level)] += 1;
                if tile.level == 1 {
                    tops.extend(tile.hashes);
                }
            }
        }
        let partial = tiler.finish();
        assert_eq!(full, [273, 1, 0]);
        assert_eq!(
            partial.iter().map(|tile| (tile.level, tile.index, tile.hashes.len())).collect::<Vec<_>>(),
            [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
        );
        // Put together again, the tiles give the root.
        let mut again = Tree::default();
        let mut low = Tree::default();
        partial[0].hashes.iter().for_each(|leaf| low.push(*leaf));
        tops.iter().chain(&partial[1].hashes).for_each(|hash| again.push(*hash));
        let edge = [again.edge_bytes(), low.edge_bytes()].concat();
        assert_eq!(Tree::restore(70_000, &edge).unwrap().root(), tree.root());
    }

    #[test]
    fn entries_read_back_up_to_the_longest() {
        let mut bundle = Vec::new();
        let longest = vec![7; ENTRY_BYTES];
        for entry in [b"".as_slice(), b"abc", &longest] {
            append_entry(&mut bundle, entry).unwrap();
        }
        let mut rest = bundle.as_slice();
        assert_eq!(next_entry(&mut rest).unwrap(), b"");
        assert_eq!(next_entry(&mut rest).unwrap(), b"abc");
        assert_eq!(next_entry(&mut rest).unwrap(), longest);
        assert!(next_entry(&mut rest).is_none());
        assert!(next_entry(&mut &bundle[..bundle.len() - 1][5..][2..]).is_none());
        assert!(append_entry(&mut bundle, &vec![7; ENTRY_BYTES + 1]).is_none());
    }

    #[test]
    fn the_first_hash_that_differs_is_named() {
        let tile = Tile { level: 1, index: 2, hashes: vec![Digest::of(b"a"), Digest::of(b"b")] };
        let mut bytes = tile.bytes();
        assert_eq!(tile.differs_from(&bytes), None);
        assert_eq!(tile.differs_from(&bytes[..40]), Some(1));
        bytes[40] ^= 1;
        assert_eq!(tile.differs_from(&bytes), Some(1));
        assert_eq!(tile.first_under(1), Seq(513 * 256));
    }
}
