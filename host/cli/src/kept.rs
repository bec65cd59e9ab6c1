//! Small files of a state folder: read whole, replaced whole, its owner's alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::{Diagnosis, Fault, Result};
use crate::text;

/// Most bytes of such a file: more than the lists in them can need.
const BYTES_MOST: u64 = 16 * 1024 * 1024;

/// Reads a file of a state folder; `None` where there is none.
///
/// # Errors
/// When it is there and cannot be read or understood: what it says must not be passed over.
pub fn read<T: DeserializeOwned>(state: &Path, name: &str) -> Result<Option<T>> {
    let path = state.join(name);
    let wrong = |what: String| {
        let diagnosis = Diagnosis::new(format!("`{}` {what}", text::path(&path)));
        Fault::bad_input(
            diagnosis.with_help("the host wrote this file: put it back from a backup; what it says is not passed over".to_owned()),
        )
    };
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    let bytes = crate::project::read_bounded(file, BYTES_MOST).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(format!("is damaged: {error}")))
}

/// Replaces a file of a state folder, or makes it. When this returns it is on disk; whoever reads meanwhile sees the one or the other.
///
/// # Errors
/// When the disk does not take it; the file is then as it was.
pub fn write<T: Serialize>(state: &Path, name: &str, content: &T) -> Result<()> {
    let path = state.join(name);
    replace(state, &path, content).map_err(|error| Fault::internal(format!("`{}` cannot be written: {error}", text::path(&path))))
}

fn replace<T: Serialize>(state: &Path, path: &PathBuf, content: &T) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(content)?;
    bytes.push(b'\n');
    // Mode 0600 from the beginning.
    let mut file = tempfile::NamedTempFile::new_in(state)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(state)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_owners_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read::<Vec<u32>>(folder.path(), "x.json").unwrap(), None);
        for list in [vec![1, 2, 3], vec![4]] {
            write(folder.path(), "x.json", &list).unwrap();
            assert_eq!(read::<Vec<u32>>(folder.path(), "x.json").unwrap(), Some(list));
        }
        assert_eq!(std::fs::metadata(folder.path().join("x.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no part is left");
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.json"), "[1, 2").unwrap();
        let fault = read::<Vec<u32>>(folder.path(), "x.json").unwrap_err();
        assert!(fault.diagnoses[0].to_string().contains("x.json` is damaged"), "{fault:?}");
    }
}
