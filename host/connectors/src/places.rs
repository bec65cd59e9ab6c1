//! Where connectors may read and write: inside the project and inside the state folder, nowhere else.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use zeroize::Zeroizing;

/// Most bytes of one file that configures connectors.
pub(crate) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// The project and the state folder, each as a handle that no path leaves.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    project: Arc<Dir>,
    state: Arc<Dir>,
    state_path: PathBuf,
}

impl Places {
    /// Opens both folders; the state folder is made if it is not there.
    pub(crate) fn open(project: &Path, state: &Path) -> io::Result<Self> {
        let project = Dir::open_ambient_dir(project, ambient_authority())?;
        Dir::create_ambient_dir_all(state, ambient_authority())?;
        // Canonical, because SQLite is given a path and not a handle: a later change of the working folder or of a
        // link on the way must not move the database.
        let state_path = state.canonicalize()?;
        let state = Dir::open_ambient_dir(&state_path, ambient_authority())?;
        Ok(Self { project: Arc::new(project), state: Arc::new(state), state_path })
    }

    /// Reads a text file of the project, up to [`MAX_CONFIG_BYTES`].
    pub(crate) fn read(&self, path: &Path) -> io::Result<String> {
        read_bounded(&self.project, path)
    }

    /// Reads a text file of a folder of the project.
    pub(crate) fn project_folder(&self, path: &str) -> io::Result<Dir> {
        self.project.open_dir(path)
    }

    /// Gives a file that holds a secret. A relative path lies in the project. An absolute one may lie anywhere, since it was the operator who named it and
    /// secrets lie outside of projects; from its folder no link leads out.
    pub(crate) fn secret(&self, path: &Path) -> io::Result<SecretFile> {
        if !path.is_absolute() {
            return Ok(SecretFile { dir: Arc::clone(&self.project), name: path.to_owned(), path: path.to_owned() });
        }
        let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it names no file");
        let (folder, name) = (path.parent().ok_or_else(no_file)?, path.file_name().ok_or_else(no_file)?);
        let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
        Ok(SecretFile { dir: Arc::new(dir), name: name.into(), path: path.to_owned() })
    }

    /// Gives the path of a database, `data/NAME` in the state folder, and makes the folder.
    pub(crate) fn database(&self, name: &str) -> io::Result<PathBuf> {
        if !is_file_name(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a plain file name such as `shop.sqlite` is expected"));
        }
        self.state.create_dir_all("data")?;
        let data = self.state.open_dir("data")?;
        match data.symlink_metadata(name) {
            Ok(metadata) if !metadata.is_file() => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file")),
            Ok(_) => Ok(self.state_path.join("data").join(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.state_path.join("data").join(name)),
            Err(error) => Err(error),
        }
    }

    /// Opens a folder of the state folder for documents, and makes it.
    pub(crate) fn documents(&self, name: &str) -> io::Result<Folder> {
        if !is_file_name(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a plain folder name such as `labels` is expected"));
        }
        self.state.create_dir_all(name)?;
        let dir = self.state.open_dir(name)?;
        Ok(Folder { dir: Arc::new(dir), path: self.state_path.join(name) })
    }
}

/// A file that holds a secret, by the folder that it lies in.
#[derive(Debug, Clone)]
pub(crate) struct SecretFile {
    dir: Arc<Dir>,
    name: PathBuf,
    path: PathBuf,
}

impl SecretFile {
    /// Reads the file as it is now, if it has at most so many bytes. What is read is overwritten when it is dropped.
    pub(crate) fn read(&self, most: usize) -> io::Result<Zeroizing<String>> {
        // Opening a pipe would wait for somebody to write to it.
        if !self.dir.metadata(&self.name)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
        }
        // Room for more than is read: growing would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(most + 64));
        self.dir.open(&self.name)?.take(most as u64 + 2).read_to_end(&mut bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl std::fmt::Display for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// Reads a text file relative to a folder, up to [`MAX_CONFIG_BYTES`].
pub(crate) fn read_bounded(dir: &Dir, path: &Path) -> io::Result<String> {
    let mut text = String::new();
    dir.open(path)?.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_CONFIG_BYTES} bytes")));
    }
    Ok(text)
}

/// Whether a text is one harmless path segment: letters, digits, `-`, `_` and inner dots.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A folder that documents are written to.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: Arc<Dir>,
    path: PathBuf,
}

impl Folder {
    /// Writes a whole file under its name or not at all: the bytes and the name are on disk when this returns. A file
    /// of the same name is replaced.
    pub(crate) fn write_atomically(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let temporary = format!(".{name}.part");
        let mut file = self.dir.create(&temporary)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        drop(file);
        if let Err(error) = written.and_then(|()| self.dir.rename(&temporary, &self.dir, name)) {
            // The part is of no use to anyone; the reason why it is one is what counts.
            let _ = self.dir.remove_file(&temporary);
            return Err(error);
        }
        // The rename itself is durable only when the folder is.
        self.dir.open(".")?.sync_all()?;
        Ok(self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_state_folder() {
        let (project, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = Places::open(project.path(), state.path()).unwrap();
        for name in ["../x.sqlite", "/etc/passwd", "a/b", "", ".", "..", "x\0y", ".hidden"] {
            assert!(places.database(name).is_err(), "{name:?}");
            assert!(places.documents(name).is_err(), "{name:?}");
        }
        assert!(places.read(Path::new("../x")).is_err());
        assert!(places.database("shop.sqlite").unwrap().starts_with(state.path().canonicalize().unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_no_database_and_no_way_out() {
        let (project, state, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = Places::open(project.path(), state.path()).unwrap();
        places.database("a.sqlite").unwrap();
        std::fs::write(outside.path().join("x"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path().join("x"), state.path().join("data/a.sqlite")).unwrap();
        assert!(places.database("a.sqlite").is_err());
        std::os::unix::fs::symlink(outside.path(), state.path().join("labels")).unwrap();
        assert!(places.documents("labels").is_err());
        std::os::unix::fs::symlink(outside.path().join("x"), project.path().join("x.toml")).unwrap();
        assert!(places.read(Path::new("x.toml")).is_err());
    }

    #[test]
    fn a_written_file_is_whole_and_leaves_no_part() {
        let (project, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = Places::open(project.path(), state.path()).unwrap().documents("labels").unwrap();
        let path = folder.write_atomically("a.pdf", b"one").unwrap();
        folder.write_atomically("a.pdf", b"two").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(state.path().join("labels")).unwrap().count(), 1);
    }
}
