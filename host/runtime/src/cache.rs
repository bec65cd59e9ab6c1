//! The cache of compiled components: files that only this host can have written.
//!
//! Loading compiled code is as trusting as running it, so each file carries a MAC under a key of this state folder. A file
//! that is damaged, foreign or of another engine is rebuilt, never loaded.
//!
//! A state folder lies in its project by default, and a project may come from anywhere, its state folder with it: a key in it and
//! code under that key. So the key that counts is made of the key file's content and of what nobody can put into an archive: which
//! file it is and when it came to be there. A folder that was copied or restored rebuilds its cache.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bailiwick_core::ids::Digest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::fs::OFlags;
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 8] = b"bwcwasm1";
const MAC_BYTES: usize = 32;
const KEY_BYTES: usize = 32;

/// The cache of one state folder.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// Opens the cache; the key is made on first use, readable by its owner alone.
    pub(crate) fn open(dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join("key");
        // A key that is gone or damaged makes every file foreign: all are rebuilt.
        let key = match read_key(&path) {
            Some(key) => key,
            None => {
                write_fresh_key(dir, &path)?;
                read_key(&path).ok_or_else(|| std::io::Error::other("the key of the cache cannot be read back"))?
            }
        };
        Ok(Self { dir: dir.to_owned(), key })
    }

    /// Opens a cache that is there, to load from it alone.
    pub(crate) fn open_to_read(dir: &Path) -> Option<Self> {
        read_key(&dir.join("key")).map(|key| Self { dir: dir.to_owned(), key })
    }

    fn path(&self, component: Digest, engine: Digest) -> PathBuf {
        self.dir.join(format!("{}.{}.cwasm", component.to_hex(), engine.to_short()))
    }

    fn mac(&self, component: Digest, engine: Digest, artifact: &[u8]) -> Hmac<Sha256> {
        // A key of 32 bytes is never of a wrong length for HMAC, which takes any.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(MAGIC);
        mac.update(component.as_bytes());
        mac.update(engine.as_bytes());
        mac.update(artifact);
        mac
    }

    /// Keeps compiled code. The file appears whole or not at all.
    pub(crate) fn put(&self, component: Digest, engine: Digest, artifact: &[u8]) -> std::io::Result<()> {
        let mac = self.mac(component, engine, artifact).finalize().into_bytes();
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(&mac)?;
        file.write_all(artifact)?;
        file.as_file().sync_all()?;
        file.persist(self.path(component, engine)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Loads compiled code, or `None` where there is none that this host wrote for this component and engine.
    pub(crate) fn load(&self, engine: &Engine, component: Digest, engine_digest: Digest) -> Option<Component> {
        let bytes = std::fs::read(self.path(component, engine_digest)).ok()?;
        let (magic, rest) = bytes.split_at_checked(MAGIC.len())?;
        let (tag, artifact) = rest.split_at_checked(MAC_BYTES)?;
        if magic != MAGIC || self.mac(component, engine_digest, artifact).verify_slice(tag).is_err() {
            tracing::warn!(component = %component, "a cache file is damaged or not ours; it is rebuilt");
            return None;
        }
        deserialize(engine, artifact)
    }
}

/// Loads code whose MAC has been verified.
fn deserialize(engine: &Engine, artifact: &[u8]) -> Option<Component> {
    #[expect(unsafe_code, reason = "the bytes carry this host's MAC: they are what its own compiler made for this component and engine")]
    // SAFETY: `load` verified under the host's key that these bytes are the compiler's output.
    let loaded = unsafe { Component::deserialize(engine, artifact) };
    loaded.map_err(|error| tracing::warn!(%error, "compiled code of another engine; it is rebuilt")).ok()
}

/// Reads the key and binds it to the file that holds it; `None` where there is no such file of the right size.
fn read_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    // A link could lead to bytes and a file that somebody else knows.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    let secret: [u8; KEY_BYTES] = bytes.try_into().ok()?;
    // The time of change is set by the system alone. The device is left out: its number may change when the machine starts.
    let bound = [metadata.ino().to_be_bytes(), metadata.ctime().to_be_bytes(), metadata.ctime_nsec().to_be_bytes()];
    let parts = [b"bailiwick/cache-key/1".as_slice(), secret.as_slice()];
    Some(*Digest::of_parts(parts.into_iter().chain(bound.iter().map(<[u8; 8]>::as_slice))).as_bytes())
}

fn write_fresh_key(dir: &Path, path: &Path) -> std::io::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
    // `NamedTempFile` has mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (tempfile::TempDir, Cache, Engine, Digest, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let engine = crate::engine::runner(crate::EngineSettings { sandboxes: 4 }).unwrap();
        let artifact = crate::engine::compiler().unwrap().precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
        let digest = Digest::of(b"component");
        cache.put(digest, Digest::of(b"engine"), &artifact).unwrap();
        (dir, cache, engine, digest, artifact)
    }

    #[test]
    fn what_was_kept_is_loaded() {
        let (dir, cache, engine, digest, _) = setup();
        assert!(cache.load(&engine, digest, Digest::of(b"engine")).is_some());
        assert!(Cache::open(dir.path()).unwrap().load(&engine, digest, Digest::of(b"engine")).is_some());
        assert!(cache.load(&engine, Digest::of(b"other"), Digest::of(b"engine")).is_none());
    }

    #[test]
    fn a_cache_opened_to_read_loads_and_makes_no_key() {
        let (dir, _cache, engine, digest, _) = setup();
        let reading = Cache::open_to_read(dir.path()).unwrap();
        assert!(reading.load(&engine, digest, Digest::of(b"engine")).is_some());
        let empty = tempfile::tempdir().unwrap();
        assert!(Cache::open_to_read(empty.path()).is_none());
        assert!(std::fs::read_dir(empty.path()).unwrap().next().is_none());
    }

    #[test]
    fn a_damaged_a_renamed_and_a_foreign_file_are_not_loaded() {
        let (_dir, cache, engine, digest, artifact) = setup();
        let path = cache.path(digest, Digest::of(b"engine"));
        let good = std::fs::read(&path).unwrap();
        for at in [0, 10, 60, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(cache.load(&engine, digest, Digest::of(b"engine")).is_none(), "byte {at}");
        }
        std::fs::write(&path, &good[..20]).unwrap();
        assert!(cache.load(&engine, digest, Digest::of(b"engine")).is_none());
        let other = Digest::of(b"another component");
        std::fs::write(cache.path(other, Digest::of(b"engine")), &good).unwrap();
        assert!(cache.load(&engine, other, Digest::of(b"engine")).is_none());
        let elsewhere = tempfile::tempdir().unwrap();
        let foreign = Cache::open(elsewhere.path()).unwrap();
        foreign.put(digest, Digest::of(b"engine"), &artifact).unwrap();
        std::fs::copy(foreign.path(digest, Digest::of(b"engine")), &path).unwrap();
        assert!(cache.load(&engine, digest, Digest::of(b"engine")).is_none());
    }

    #[test]
    fn a_folder_that_came_with_its_own_key_is_not_believed() {
        let (dir, cache, engine, digest, _) = setup();
        let elsewhere = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), elsewhere.path().join(file.file_name())).unwrap();
        }
        let copied = Cache::open(elsewhere.path()).unwrap();
        assert!(std::fs::exists(copied.path(digest, Digest::of(b"engine"))).unwrap());
        assert!(copied.load(&engine, digest, Digest::of(b"engine")).is_none());
        assert!(cache.load(&engine, digest, Digest::of(b"engine")).is_some());
        // A link to the key is none.
        let linked = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path().join("key"), linked.path().join("key")).unwrap();
        Cache::open(linked.path()).unwrap();
        assert!(!std::fs::symlink_metadata(linked.path().join("key")).unwrap().is_symlink());
    }
}
