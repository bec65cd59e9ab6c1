//! The cache of compiled components: files that only this host can have written.
//!
//! Loading compiled code is as trusting as running it, so each file carries a MAC under a key of this state folder. A file
//! that is damaged, foreign or of another engine is rebuilt, never loaded.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::Digest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 8] = b"bwcwasm1";
const MAC_BYTES: usize = 32;

/// The cache of one state folder.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
}

impl Cache {
    /// Opens the cache; the key is made on first use, readable by its owner alone.
    pub(crate) fn open(dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join("key");
        let key = match std::fs::read(&path) {
            Ok(bytes) if bytes.len() == 32 => bytes.try_into().unwrap_or([0; 32]),
            // A key that is gone or damaged makes every file foreign: all are rebuilt.
            _ => fresh_key(dir, &path)?,
        };
        Ok(Self { dir: dir.to_owned(), key })
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

fn fresh_key(dir: &Path, path: &Path) -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
    // `NamedTempFile` has mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(key)
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
}
