//! Writing of bundles.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::{Digest, Seq};
use bailiwick_core::record::Envelope;
use rusqlite::params;

use super::{CHECKPOINT, ERASED, HEADS, KEYS, PayloadLine, WITNESSED, head_line, payloads_path};
use crate::checkpoint::SignedCheckpoint;
use crate::error::ReadProblem;
use crate::reader::{Payload, Reader};
use crate::state::{kept_checkpoint, private_file};
use crate::tiles::{ENTRY_BYTES, TILE_WIDTH, TileKind, Tiler, append_entry, tile_path};

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportProblem {
    /// The folder has something in it.
    #[error("`{}` is not empty: name a new folder for the bundle", .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is nothing to export.
    #[error("the ledger has no signed record yet")]
    Empty,
    /// The tile format has no room for an entry.
    #[error("record {0} has more than {ENTRY_BYTES} bytes: an entry of a tile cannot be so long")]
    TooLong(Seq),
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadProblem),
}

impl From<rusqlite::Error> for ExportProblem {
    fn from(problem: rusqlite::Error) -> Self {
        Self::Read(problem.into())
    }
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// The checkpoint over all of it.
    pub checkpoint: SignedCheckpoint,
    /// Payloads written, in plain.
    pub payloads: u64,
}

struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ExportProblem> {
        let path = self.0.join(name);
        let problem = |source| ExportProblem::File { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            own_folder(folder).map_err(problem)?;
        }
        let mut file = private_file().write(true).create_new(true).open(&path).map_err(problem)?;
        file.write_all(bytes).map_err(problem)
    }
}

/// Makes a folder for its owner alone: what is exported may be read by others when somebody says so, not before.
fn own_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Reader {
    /// Writes everything up to the newest signed checkpoint as a bundle into a new or empty folder; payloads, in plain, only when
    /// `with_payloads` says so. What an executor writes meanwhile is not in it.
    ///
    /// # Errors
    /// When the folder is not empty or cannot be written, or the ledger cannot be read or has no record yet.
    pub fn export(&self, folder: &Path, with_payloads: bool) -> Result<ExportReport, ExportProblem> {
        let file = |source| ExportProblem::File { path: folder.to_owned(), source };
        own_folder(folder).map_err(file)?;
        if std::fs::read_dir(folder).map_err(file)?.next().is_some() {
            return Err(ExportProblem::NotEmpty(folder.to_owned()));
        }
        // All of it as of one moment.
        let moment = self.connection().unchecked_transaction()?;
        let checkpoint = self.checkpoint()?.ok_or(ExportProblem::Empty)?;
        let out = Folder(folder);
        let size = checkpoint.checkpoint().size;
        self.export_tiles(&out, size)?;
        let payloads = if with_payloads { self.export_payloads(&out, size)? } else { 0 };
        self.export_marks(&out, size)?;
        // Last, so that a bundle that was not written to its end has none.
        out.write(CHECKPOINT, checkpoint.to_string().as_bytes())?;
        drop(moment);
        Ok(ExportReport { checkpoint, payloads })
    }

    fn export_tiles(&self, out: &Folder<'_>, size: u64) -> Result<(), ExportProblem> {
        let mut statement = self.connection().prepare("SELECT seq, leaf, envelope FROM records WHERE seq < ?1 ORDER BY seq")?;
        let mut rows = statement.query([size.cast_signed()])?;
        let mut tiler = Tiler::default();
        let mut entries = Vec::new();
        let mut seq = 0;
        while let Some(row) = rows.next()? {
            let (leaf, envelope): ([u8; 32], Vec<u8>) = (row.get(1)?, row.get(2)?);
            append_entry(&mut entries, &envelope).ok_or(ExportProblem::TooLong(Seq(seq)))?;
            seq += 1;
            if seq.is_multiple_of(TILE_WIDTH) {
                out.write(&tile_path(TileKind::Entries, seq / TILE_WIDTH - 1, TILE_WIDTH), &entries)?;
                entries.clear();
            }
            for tile in tiler.push(Digest::from_bytes(leaf)) {
                out.write(&tile.path(), &tile.bytes())?;
            }
        }
        if !entries.is_empty() {
            out.write(&tile_path(TileKind::Entries, seq / TILE_WIDTH, seq % TILE_WIDTH), &entries)?;
        }
        for tile in tiler.finish() {
            out.write(&tile.path(), &tile.bytes())?;
        }
        Ok(())
    }

    fn export_payloads(&self, out: &Folder<'_>, size: u64) -> Result<u64, ExportProblem> {
        let mut count = 0;
        for tile in 0..size.div_ceil(TILE_WIDTH) {
            let mut lines = String::new();
            let (from, end) = (tile * TILE_WIDTH, size.min((tile + 1) * TILE_WIDTH));
            let mut statement =
                self.connection().prepare_cached("SELECT seq, envelope FROM records WHERE seq >= ?1 AND seq < ?2 ORDER BY seq")?;
            let mut rows = statement.query(params![from.cast_signed(), end.cast_signed()])?;
            while let Some(row) = rows.next()? {
                let seq = Seq(row.get::<_, i64>(0)?.cast_unsigned());
                let bad = |reason: String| ReadProblem::Record { seq, reason };
                let envelope: Vec<u8> = row.get(1)?;
                let envelope: Envelope = serde_json::from_slice(&envelope).map_err(|problem| bad(problem.to_string()))?;
                let line = self.with_payload(seq, envelope.commitment, |salt, subject, body| {
                    let payload = std::str::from_utf8(body).map_err(|problem| problem.to_string())?.to_owned();
                    let line = PayloadLine { seq, salt: hex::encode(salt), subject: hex::encode(subject), payload };
                    serde_json::to_string(&line).map_err(|problem| problem.to_string())
                })?;
                if let Payload::Here(line) = line {
                    lines.push_str(&line);
                    lines.push('\n');
                    count += 1;
                }
            }
            out.write(&payloads_path(tile), lines.as_bytes())?;
        }
        Ok(count)
    }

    /// Writes what is beside the tiles.
    fn export_marks(&self, out: &Folder<'_>, size: u64) -> Result<(), ExportProblem> {
        let keys = self.signing_keys()?;
        let mut text = String::new();
        for (first, key) in &keys {
            // Writing into a `String` cannot fail.
            let _ = writeln!(text, "{first} {key}");
        }
        out.write(KEYS, text.as_bytes())?;

        let by_first: BTreeMap<u64, _> = keys.iter().map(|(first, key)| (first.0, key.id())).collect();
        let mut heads = String::new();
        let mut statement = self
            .connection()
            .prepare("SELECT size, root, signature FROM heads WHERE signature IS NOT NULL AND size <= ?1 ORDER BY size")?;
        let mut rows = statement.query([size.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let (head, root, signature): (i64, [u8; 32], [u8; 64]) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let head = head.cast_unsigned();
            let id = by_first.range(..head).next_back().or(by_first.first_key_value()).map(|(_, id)| *id).unwrap_or_default();
            heads.push_str(&head_line(head, &Digest::from_bytes(root), &[id.as_slice(), &signature].concat()));
        }
        out.write(HEADS, heads.as_bytes())?;

        let mut erased = String::new();
        let mut statement = self.connection().prepare("SELECT seq, record FROM erased WHERE record < ?1 ORDER BY seq")?;
        let mut rows = statement.query([size.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let (seq, record): (i64, i64) = (row.get(0)?, row.get(1)?);
            let _ = writeln!(erased, "{seq} {record}");
        }
        out.write(ERASED, erased.as_bytes())?;

        // What the host has anchored last, with cosignatures where there are any. Without it the bundle is as good; one that is newer than
        // the bundle, of a host that goes on meanwhile, would make it look cut.
        if let Some(witnessed) = kept_checkpoint(self.paths()).filter(|kept| kept.checkpoint().size <= size) {
            out.write(WITNESSED, witnessed.to_string().as_bytes())?;
        }
        Ok(())
    }
}
