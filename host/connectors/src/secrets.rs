//! Secrets: named in a connector's file, held by the host, put into requests by the connector, and never shown to anyone.
//!
//! A secret is read anew for every call, so that one that was changed is used at once; the one before is kept to be masked, since an answer on
//! its way may still hold it. What is freed is overwritten. Copies that libraries make while they write to a socket are not in our hands.

mod mask;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

pub(crate) use self::mask::Mask;
use crate::places::SecretFile;

/// Most bytes of a secret, and of the file that holds it.
pub(crate) const MAX_SECRET_BYTES: usize = 4096;

/// Fewest bytes of a secret. A shorter one would be masked in texts that only happen to have it in them.
pub(crate) const MIN_SECRET_BYTES: usize = 8;

/// Versions of a secret that are masked: the one in use and those before it.
const VERSIONS_KEPT: usize = 2;

/// Where a secret is read from.
#[derive(Debug)]
pub(crate) enum Source {
    /// An environment variable of the host.
    Environment(String),
    /// The first line of a file.
    File(SecretFile),
}

/// A secret by its name.
#[derive(Debug)]
pub(crate) struct Secret {
    name: String,
    source: Source,
    /// The newest first.
    versions: Mutex<Vec<Arc<Version>>>,
}

/// What a secret was at some time.
pub(crate) struct Version {
    /// From 1, one more with each change that this process saw.
    number: u64,
    text: Zeroizing<String>,
}

impl fmt::Debug for Version {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Version {
    /// Borrows the secret, to put it into a request.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// Gives the number of the version: 1 for the first that this process saw.
    #[cfg(test)]
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Secret {
    /// Takes a secret that was never read.
    pub(crate) fn new(name: &str, source: Source) -> Self {
        Self { name: name.to_owned(), source, versions: Mutex::new(Vec::new()) }
    }

    /// Reads the secret as it is now.
    ///
    /// # Errors
    /// When it is not there or cannot be used. The one before is not used in its place: it may have been withdrawn.
    pub(crate) fn read(&self) -> Result<Arc<Version>, String> {
        let text = self.text().map_err(|why| format!("the secret `{}` cannot be used: {why}", self.name))?;
        let mut versions = self.versions.lock();
        if let Some(newest) = versions.first()
            && *newest.text == *text
        {
            return Ok(Arc::clone(newest));
        }
        let number = versions.first().map_or(1, |newest| newest.number.saturating_add(1));
        let version = Arc::new(Version { number, text });
        versions.insert(0, Arc::clone(&version));
        versions.truncate(VERSIONS_KEPT);
        Ok(version)
    }

    /// Gives the versions that have to be masked: those that were used last.
    pub(crate) fn used(&self) -> Vec<Arc<Version>> {
        self.versions.lock().clone()
    }

    fn text(&self) -> Result<Zeroizing<String>, String> {
        let whole = match &self.source {
            Source::Environment(name) => {
                Zeroizing::new(std::env::var(name).map_err(|_| format!("the environment variable `{name}` is not set, or is no text"))?)
            }
            Source::File(file) => file.read(MAX_SECRET_BYTES).map_err(|error| format!("`{file}` cannot be read: {error}"))?,
        };
        let line = whole.lines().next().unwrap_or_default();
        if line.len() < MIN_SECRET_BYTES || line.len() > MAX_SECRET_BYTES {
            return Err(format!("it has {} bytes, between {MIN_SECRET_BYTES} and {MAX_SECRET_BYTES} are needed", line.len()));
        }
        if !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it has other characters than visible ones of ASCII".to_owned());
        }
        Ok(Zeroizing::new(line.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;

    fn places() -> (tempfile::TempDir, tempfile::TempDir, Places) {
        let (project, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = Places::open(project.path(), state.path()).unwrap();
        (project, state, places)
    }

    fn file(places: &Places, path: &str) -> Secret {
        Secret::new("token", Source::File(places.secret(path.as_ref()).unwrap()))
    }

    #[test]
    fn a_changed_file_is_a_new_version_and_the_one_before_stays_masked() {
        let (project, _state, places) = places();
        let path = project.path().join("token");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("first-secret\nsecond line\n");
        let secret = file(&places, "token");
        assert!(secret.used().is_empty());
        assert_eq!((secret.read().unwrap().reveal(), secret.read().unwrap().number()), ("first-secret", 1));
        write("second-secret");
        assert_eq!((secret.read().unwrap().reveal(), secret.read().unwrap().number()), ("second-secret", 2));
        write("third-secret");
        secret.read().unwrap();
        let used: Vec<u64> = secret.used().iter().map(|version| version.number()).collect();
        assert_eq!(used, [3, 2]);
        std::fs::remove_file(&path).unwrap();
        assert!(secret.read().unwrap_err().contains("`token` cannot be read"), "what was withdrawn is not used");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_being_told() {
        let (project, _state, places) = places();
        let secret = file(&places, "token");
        for (text, expected) in [
            ("", "it has 0 bytes"),
            ("1234567", "it has 7 bytes"),
            ("\n12345678", "it has 0 bytes"),
            ("12345678 x", "visible ones of ASCII"),
            ("12345678\u{e9}", "visible ones of ASCII"),
            ("12345678\u{7}", "visible ones of ASCII"),
        ] {
            std::fs::write(project.path().join("token"), text).unwrap();
            let why = secret.read().unwrap_err();
            assert!(why.contains(expected) && !why.contains("12345678"), "{why}");
        }
        for (length, good) in [(MIN_SECRET_BYTES, true), (MAX_SECRET_BYTES, true), (MAX_SECRET_BYTES + 1, false)] {
            std::fs::write(project.path().join("token"), "x".repeat(length)).unwrap();
            assert_eq!(secret.read().is_ok(), good, "{length}");
        }
        std::fs::write(project.path().join("token"), [b'a', 0xff, b'b', b'c', b'd', b'e', b'f', b'g']).unwrap();
        assert!(secret.read().is_err());
        assert!(Secret::new("x", Source::Environment("BAILIWICK_TEST_IS_NOT_SET".into())).read().unwrap_err().contains("is not set"));
    }

    #[test]
    fn nothing_that_is_printed_holds_it() {
        let (project, _state, places) = places();
        std::fs::write(project.path().join("token"), "correct-horse").unwrap();
        let secret = file(&places, "token");
        let version = secret.read().unwrap();
        assert!(!format!("{secret:?} {version:?}").contains("correct-horse"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_no_further_than_its_folder() {
        let (project, _state, places) = places();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("token"), "correct-horse").unwrap();
        std::os::unix::fs::symlink(outside.path().join("token"), project.path().join("token")).unwrap();
        assert!(file(&places, "token").read().is_err());
        // As orchestrators of containers lay out secrets: a link to a folder that is swapped as a whole.
        let mounted = tempfile::tempdir().unwrap();
        for (folder, text) in [("one", "first-secret"), ("two", "second-secret")] {
            std::fs::create_dir(mounted.path().join(folder)).unwrap();
            std::fs::write(mounted.path().join(folder).join("token"), text).unwrap();
        }
        let swap = |folder: &str| {
            std::os::unix::fs::symlink(folder, mounted.path().join("next")).unwrap();
            std::fs::rename(mounted.path().join("next"), mounted.path().join("data")).unwrap();
        };
        swap("one");
        std::os::unix::fs::symlink("data/token", mounted.path().join("token")).unwrap();
        let secret = file(&places, mounted.path().join("token").to_str().unwrap());
        assert_eq!(secret.read().unwrap().reveal(), "first-secret");
        swap("two");
        assert_eq!(secret.read().unwrap().reveal(), "second-secret");
    }
}
