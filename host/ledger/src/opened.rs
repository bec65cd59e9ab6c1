//! Opening a ledger to write: what lies in the state folder is checked, completed and taken over.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use crate::anchor::AnchorFile;
use crate::checkpoint::SignedCheckpoint;
use crate::error::OpenProblem;
use crate::keys::KeyBook;
use crate::ledger::LedgerOptions;
use crate::note::VerifierKey;
use crate::schema::{self, Facts, Found, TakeOver, TakeOverProblem};
use crate::secrets::SubjectKey;
use crate::signing::{HostKey, Signer};
use crate::state::{StatePaths, is_blank, private_file, replace_file};
use crate::tree::Tree;
use crate::vault::Vault;

/// A ledger that was checked and taken over.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) tree: Tree,
    pub(crate) last_time_ms: u64,
    pub(crate) subject_key: SubjectKey,
    pub(crate) book: KeyBook,
    pub(crate) signer: Arc<dyn Signer>,
    /// Over what is on disk.
    pub(crate) checkpoint: SignedCheckpoint,
    pub(crate) files: Vec<AnchorFile>,
    pub(crate) epoch: u64,
}

impl Opened {
    pub(crate) fn open(paths: &StatePaths, options: &LedgerOptions) -> Result<Self, OpenProblem> {
        let path = &paths.ledger;
        let files = options.anchors.files.iter().map(|file| AnchorFile::open(file, &paths.folder)).collect::<Result<Vec<_>, _>>()?;
        let marks = marks(paths, &files)?;
        let facts = if is_blank(path)? { None } else { found(paths, &marks)? };
        let facts = match facts {
            Some(facts) => facts,
            None => nothing_yet(paths, &marks)?,
        };
        let subject_key = subject_key(paths, &facts)?;
        let named = facts.keys.as_ref().and_then(|keys| keys.current());
        let (signer, is_draft) = signer(paths, options, named)?;
        let vault = vault(paths, &facts)?;
        if facts.version == 0 {
            let problem = |problem| OpenProblem::file("create", path, problem);
            private_file().write(true).create(true).truncate(false).open(path).map_err(problem)?;
        }
        let mut connection = schema::open_to_write(paths, options.max_pages)?;
        let (tree, epoch) = (facts.tree, facts.epoch + 1);
        let key_check = subject_key.check_value();
        let last_key = facts.keys.map_or(0, |keys| keys.last);
        let new = TakeOver { from: facts.version, epoch, key_check: &key_check, tree: &tree, signer: signer.as_ref() };
        let (book, checkpoint) = schema::take_over(&mut connection, vault, last_key, &new).map_err(|problem| match problem {
            TakeOverProblem::Storage(problem) => OpenProblem::storage(path, problem),
            TakeOverProblem::Sign(source) => OpenProblem::Sign { source },
            other @ (TakeOverProblem::Keys(_) | TakeOverProblem::Seal(_)) => OpenProblem::System { source: std::io::Error::other(other) },
        })?;
        if is_draft {
            HostKey::promote(paths)?;
        }
        // From here on it is missed when it is taken away.
        replace_file(&paths.checkpoint, checkpoint.to_string().as_bytes())?;
        paths.sync_folder()?;
        Ok(Self { connection, tree, last_time_ms: facts.last_time_ms, subject_key, book, signer, checkpoint, files, epoch })
    }
}

/// The checkpoints that say how far the ledger had got, each with the file that says it.
fn marks(paths: &StatePaths, files: &[AnchorFile]) -> Result<Vec<(PathBuf, SignedCheckpoint)>, OpenProblem> {
    let mut marks = Vec::new();
    if !is_blank(&paths.checkpoint)? {
        let path = &paths.checkpoint;
        let text = std::fs::read_to_string(path).map_err(|problem| OpenProblem::file("read", path, problem))?;
        let mark = text.parse().map_err(|source| OpenProblem::Checkpoints { path: path.clone(), source })?;
        marks.push((path.clone(), mark));
    }
    marks.extend(files.iter().filter_map(|file| Some((file.path().to_owned(), file.last()?.clone()))));
    Ok(marks)
}

/// Looks at a file that is there. `None` when it is an empty database.
fn found(paths: &StatePaths, marks: &[(PathBuf, SignedCheckpoint)]) -> Result<Option<Facts>, OpenProblem> {
    let path = &paths.ledger;
    let connection = schema::open_to_read(paths)?;
    let Found::Ledger(facts) = schema::inspect(&connection, path)? else { return Ok(None) };
    let size = facts.tree.size();
    for (shown_by, mark) in marks {
        let mark = mark.checkpoint();
        let root = if mark.size == size {
            Some(*facts.tree.root().as_bytes())
        } else {
            let sql = "SELECT root FROM heads WHERE size = ?1";
            let root = connection.query_row(sql, [mark.size.cast_signed()], |row| row.get::<_, [u8; 32]>(0)).optional();
            root.map_err(|problem| OpenProblem::storage(path, problem))?
        };
        let is_named = facts.keys.as_ref().and_then(|keys| keys.current()).is_none_or(|key| key.name() == mark.origin);
        // Nothing was anchored yet, or it is what is there.
        let is_covered = mark.size == 0 || root == Some(*mark.root.as_bytes());
        if !is_named || !is_covered {
            return Err(OpenProblem::SetBack { path: path.clone(), shown_by: shown_by.clone(), found: size, anchored: mark.size });
        }
    }
    // A ledger from before there were keys, where there already was a newer one.
    if facts.keys.is_none() && !is_blank(&paths.signing_key)? {
        return Err(OpenProblem::SetBack { path: path.clone(), shown_by: paths.signing_key.clone(), found: size, anchored: 0 });
    }
    Ok(Some(facts))
}

/// Begins a ledger where there is none, unless something shows that there was one. A new signing key is put into its place only
/// after the ledger is on disk, so one that is there is never what a crash of a first start has left.
fn nothing_yet(paths: &StatePaths, marks: &[(PathBuf, SignedCheckpoint)]) -> Result<Facts, OpenProblem> {
    let gone = |shown_by: &PathBuf, records| OpenProblem::Gone { path: paths.ledger.clone(), shown_by: shown_by.clone(), records };
    if let Some((shown_by, mark)) = marks.first() {
        return Err(gone(shown_by, Some(mark.checkpoint().size)));
    }
    if !is_blank(&paths.signing_key)? {
        return Err(gone(&paths.signing_key, None));
    }
    let key_check = bailiwick_core::ids::Digest::of(b"");
    Ok(Facts { version: 0, last_time_ms: 0, tree: Tree::default(), key_check, epoch: 0, keys: None })
}

fn subject_key(paths: &StatePaths, facts: &Facts) -> Result<SubjectKey, OpenProblem> {
    let key = SubjectKey::read(paths)?;
    if facts.version == 0 {
        // A key without a ledger is what a crash between the two leaves behind.
        return key.map_or_else(|| SubjectKey::create(paths), Ok);
    }
    let wrong = |reason| OpenProblem::SubjectKey { path: paths.subject_key.clone(), reason };
    let key = key.ok_or_else(|| wrong("is missing"))?;
    if key.check_value() == facts.key_check { Ok(key) } else { Err(wrong("is not the one that the ledger was written with")) }
}

/// Gives who signs, and whether it is a key of the host that counts only with the commit that names it.
fn signer(paths: &StatePaths, options: &LedgerOptions, named: Option<&VerifierKey>) -> Result<(Arc<dyn Signer>, bool), OpenProblem> {
    match (&options.signer, named) {
        (Some(given), Some(named)) if given.verifier_key() != named => {
            Err(OpenProblem::Signer { path: paths.ledger.clone(), expected: named.to_string(), given: given.verifier_key().to_string() })
        }
        (Some(given), _) => Ok((Arc::clone(given), false)),
        (None, Some(named)) => Ok((Arc::new(HostKey::take(paths, named)?), false)),
        (None, None) => Ok((Arc::new(HostKey::draft(paths, options.origin.as_deref())?), true)),
    }
}

fn vault(paths: &StatePaths, facts: &Facts) -> Result<Vault, OpenProblem> {
    let Some(keys) = &facts.keys else { return Vault::create(paths) };
    let wrong = |reason| OpenProblem::PayloadKeys { path: paths.payload_keys.clone(), reason };
    let vault = Vault::open(paths, true)?.ok_or_else(|| wrong("are missing"))?;
    if vault.id() == keys.vault.as_slice() { Ok(vault) } else { Err(wrong("are not those that the ledger was written with")) }
}
