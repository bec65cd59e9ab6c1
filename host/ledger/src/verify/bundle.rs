//! Verification of a bundle: needs the bundle, the public key and the last anchored checkpoint, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bailiwick_core::ids::{Digest, Seq};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::record::{self, Seen};
use super::report::{BadRecord, Flaw, VerifyReport};
use super::strides;
use super::walk::{FoundHead, Walk};
use super::{Counts, Signed, Trust};
use crate::bundle::{CHECKPOINT, ERASED, HEADS, KEYS, PAYLOADS, PayloadLine, WITNESSED, payloads_path};
use crate::check;
use crate::checkpoint::SignedCheckpoint;
use crate::note::{NoteProblem, VerifierKey};
use crate::secrets::commitment;
use crate::tiles::{TILE_WIDTH, Tile, TileKind, Tiler, next_entry, tile_path};
use crate::tree::{HASH_BYTES, leaf_hash};

/// Most bytes of a file that is read: what a full bundle of the longest entries has, and room for the lists beside.
const FILE_BYTES: u64 = 1 << 30;

/// Why a folder could not be verified as a bundle. What is wrong with records is no problem but in the report.
#[derive(Debug, thiserror::Error)]
pub enum BundleProblem {
    /// The folder has no checkpoint.
    #[error("`{}` is not a bundle: it has no checkpoint; `bailiwick ledger export` makes bundles", .0.display())]
    NoBundle(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}` cannot be read: {source}", .path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: NoteProblem,
    },
    /// A line of a list is none.
    #[error("line {line} of `{}` cannot be read", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// Verifies a bundle. Reads nothing but it, and changes nothing.
///
/// # Errors
/// When the folder is no bundle, or a list in it cannot be read. What is wrong with records is no error: it is in the report.
pub fn verify_bundle(folder: &Path, trust: &Trust) -> Result<VerifyReport, BundleProblem> {
    let bundle = Bundle::open(folder)?;
    let mut trust = trust.clone();
    trust.take_cosigned(bundle.witnessed.clone());
    let mut report = VerifyReport::blank(&trust);
    let mut walk = Walk::new(&trust, bundle.keys.first().cloned(), bundle.size);
    report.first_bad = bundle.walk(&mut walk, &mut report).err();
    report.end(walk);
    Ok(report)
}

struct Bundle {
    folder: PathBuf,
    size: u64,
    /// Those of `heads`, and the checkpoint as the last.
    heads: Vec<FoundHead>,
    keys: Vec<VerifierKey>,
    erased: BTreeMap<Seq, Seq>,
    witnessed: Option<SignedCheckpoint>,
    has_payloads: bool,
}

impl Bundle {
    fn open(folder: &Path) -> Result<Self, BundleProblem> {
        let path = folder.join(CHECKPOINT);
        let text = read_text(&path)?.ok_or_else(|| BundleProblem::NoBundle(folder.to_owned()))?;
        let note = |path: &Path| {
            let path = path.to_owned();
            move |source| BundleProblem::Note { path, source }
        };
        let checkpoint: SignedCheckpoint = text.parse().map_err(note(&path))?;
        let keys = lines(&folder.join(KEYS), |line| line.split_once(' ')?.1.parse().ok())?;
        let mut heads = lines(&folder.join(HEADS), head)?;
        heads.retain(|head| head.size < checkpoint.checkpoint().size);
        heads.push(last_head(&checkpoint));
        let pair = |line: &str| {
            let (seq, record) = line.split_once(' ')?;
            Some((Seq(seq.parse().ok()?), Seq(record.parse().ok()?)))
        };
        let erased = lines(&folder.join(ERASED), pair)?.into_iter().collect();
        let path = folder.join(WITNESSED);
        let witnessed = read_text(&path)?.map(|text| SignedCheckpoint::from_str(&text)).transpose().map_err(note(&path))?;
        let has_payloads = folder.join(PAYLOADS).is_dir();
        Ok(Self { folder: folder.to_owned(), size: checkpoint.checkpoint().size, heads, keys, erased, witnessed, has_payloads })
    }

    fn walk(&self, walk: &mut Walk, report: &mut VerifyReport) -> Result<(), BadRecord> {
        walk.check_origins()?;
        let mut tiler = Tiler::default();
        let mut heads = self.heads.iter().peekable();
        let mut result = Ok(());
        let check = |scratch: &mut Vec<u8>, tile| self.tile(tile, scratch);
        strides::in_order(self.size.div_ceil(TILE_WIDTH), Vec::new, check, |stretch: Stretch| {
            report.count(stretch.counts);
            result = stretch
                .seen
                .into_iter()
                .try_for_each(|seen| {
                    let leaf = seen.leaf;
                    walk.push(seen)?;
                    // Level 0 was compared where the entries were.
                    tiler.push(leaf).iter().filter(|tile| tile.level > 0).try_for_each(|tile| self.compare(tile))?;
                    while let Some(head) = heads.next_if(|head| head.size <= walk.tree.size()) {
                        walk.head(head)?;
                    }
                    Ok(())
                })
                .and_then(|()| stretch.bad.map_or(Ok(()), Err));
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        result?;
        tiler.finish().iter().filter(|tile| tile.level > 0).try_for_each(|tile| self.compare(tile))?;
        walk.finish()
    }

    /// Compares a tile above the leaves with its file. One that was pruned is no flaw: it says nothing that the entries do not.
    fn compare(&self, tile: &Tile) -> Result<(), BadRecord> {
        let path = tile.path();
        match read(&self.folder.join(&path)) {
            Ok(Some(bytes)) => {
                tile.differs_from(&bytes).map_or(Ok(()), |place| Err(BadRecord { seq: tile.first_under(place), flaw: Flaw::Tile(path) }))
            }
            Ok(None) => Ok(()),
            Err(problem) => Err(BadRecord { seq: tile.first_under(0), flaw: Flaw::Unreadable(problem.to_string()) }),
        }
    }

    /// Checks the records of one tile, each by itself.
    fn tile(&self, tile: u64, scratch: &mut Vec<u8>) -> Stretch {
        let mut stretch = Stretch::default();
        if let Err(flaw) = self.check_tile(tile, scratch, &mut stretch) {
            stretch.bad = Some(BadRecord { seq: Seq(tile * TILE_WIDTH + stretch.seen.len() as u64), flaw });
        }
        stretch
    }

    fn check_tile(&self, tile: u64, scratch: &mut Vec<u8>, stretch: &mut Stretch) -> Result<(), Flaw> {
        let (from, end) = (tile * TILE_WIDTH, self.size.min((tile + 1) * TILE_WIDTH));
        let file =
            |kind| read(&self.folder.join(tile_path(kind, tile, end - from))).map_err(|problem| Flaw::Unreadable(problem.to_string()));
        let entries = file(TileKind::Entries)?.ok_or(Flaw::Missing)?;
        let leaves = file(TileKind::Hashes(0))?;
        let mut leaves = leaves.as_deref().map(|bytes| bytes.as_chunks::<HASH_BYTES>().0.iter());
        let payloads = self.payloads(tile)?;
        let mut rest = entries.as_slice();
        for seq in (from..end).map(Seq) {
            let entry = next_entry(&mut rest).ok_or(Flaw::Missing)?;
            let leaf = leaf_hash(entry);
            let is_leaf = leaves.as_mut().is_none_or(|leaves| leaves.next() == Some(leaf.as_bytes()));
            let view = match record::view(entry, seq, scratch) {
                // A record in another's place is more than a leaf that does not fit.
                Err(flaw @ Flaw::Place(_)) => return Err(flaw),
                Err(_) if !is_leaf => return Err(Flaw::Leaf),
                other => other?,
            };
            if !is_leaf {
                return Err(Flaw::Leaf);
            }
            let erased_by = self.erased.get(&seq).copied();
            match (view.commitment, payloads.get(&seq), erased_by) {
                (None, None, None) => {}
                (None, Some(_), _) => return Err(Flaw::Stray),
                (None, None, Some(record)) | (Some(_), Some(_), Some(record)) => return Err(Flaw::Erased(record)),
                (Some(_), None, Some(_)) => stretch.counts.erased += 1,
                (Some(_), None, None) if self.has_payloads => stretch.counts.missing.push(seq),
                (Some(_), None, None) => stretch.counts.sealed += 1,
                (Some(committed), Some(line), None) => {
                    check_payload(line, committed, scratch)?;
                    stretch.counts.payloads += 1;
                }
            }
            stretch.seen.push(Seen { leaf, time_ms: view.time_ms, what: view.what(entry), erased_by });
        }
        if rest.is_empty() { Ok(()) } else { Err(Flaw::Beyond { size: end }) }
    }

    fn payloads(&self, tile: u64) -> Result<HashMap<Seq, PayloadLine>, Flaw> {
        if !self.has_payloads {
            return Ok(HashMap::new());
        }
        let unreadable = |problem: String| Flaw::Unreadable(problem);
        let path = self.folder.join(payloads_path(tile));
        let Some(bytes) = read(&path).map_err(|problem| unreadable(problem.to_string()))? else { return Ok(HashMap::new()) };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse = |line: &[u8]| serde_json::from_slice::<PayloadLine>(line).map(|line| (line.seq, line));
        lines.map(parse).collect::<Result<_, _>>().map_err(|problem| unreadable(format!("`{}`: {problem}", path.display())))
    }
}

fn check_payload(line: &PayloadLine, committed: Digest, scratch: &mut Vec<u8>) -> Result<(), Flaw> {
    let mut salt = [0; 32];
    let is_hex = hex::decode_to_slice(&line.salt, &mut salt).is_ok();
    let subject = hex::decode(&line.subject).map_err(|_| Flaw::Commitment)?;
    if !is_hex || commitment(&salt, &subject, line.payload.as_bytes()) != committed {
        return Err(Flaw::Commitment);
    }
    check::check(line.payload.as_bytes(), scratch).map_err(Flaw::Payload)?;
    Ok(())
}

/// The records of a tile.
#[derive(Default)]
struct Stretch {
    seen: Vec<Seen>,
    counts: Counts,
    /// The one after those seen.
    bad: Option<BadRecord>,
}

fn head(line: &str) -> Option<FoundHead> {
    let mut parts = line.splitn(3, ' ');
    let size = parts.next()?.parse().ok()?;
    let root = Digest::from_bytes(BASE64.decode(parts.next()?).ok()?.try_into().ok()?);
    let signed = BASE64.decode(parts.next()?).ok()?;
    let (key, signature) = signed.split_first_chunk()?;
    Some(FoundHead { size, root, signature: Some(Signed { key: *key, signature: signature.try_into().ok()? }) })
}

/// Makes a head of the checkpoint, with the first of its signatures that has the length of a ledger's.
fn last_head(signed: &SignedCheckpoint) -> FoundHead {
    let checkpoint = signed.checkpoint();
    let signatures = signed.note().signatures.iter().filter(|line| line.name() == checkpoint.origin);
    let signature = signatures.filter_map(|line| Some(Signed { key: line.id(), signature: line.bytes().try_into().ok()? })).next();
    FoundHead { size: checkpoint.size, root: checkpoint.root, signature }
}

/// Reads a file; `None` when there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BundleProblem> {
    let problem = |source| BundleProblem::File { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(problem(source)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut bytes).map_err(problem)?;
    Ok(Some(bytes))
}

fn read_text(path: &Path) -> Result<Option<String>, BundleProblem> {
    let text = read(path)?.map(String::from_utf8).transpose();
    text.map_err(|_| BundleProblem::Line { path: path.to_owned(), line: 1 })
}

/// Reads a list; an absent one is empty.
fn lines<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, BundleProblem> {
    let text = read_text(path)?.unwrap_or_default();
    let numbered = text.lines().enumerate();
    numbered.map(|(at, line)| parse(line).ok_or_else(|| BundleProblem::Line { path: path.to_owned(), line: at + 1 })).collect()
}
