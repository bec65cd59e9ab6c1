//! Hostile guests against the real sandbox: each has a test of its own name, or this does not compile.

mod contract;
mod grants;
mod install;
mod ledger;
mod limits;
mod swap;
mod web;

use anyhow::Result;
use bailiwick_test_host::{Bench, Settings};

/// The settings of a test that changes some.
fn settings() -> Settings {
    Settings::new(env!("CARGO_BIN_EXE_compile_child"), concat!(env!("CARGO_TARGET_TMPDIR"), "/code"))
}

/// A bench with the default settings.
async fn bench() -> Result<Bench> {
    Bench::open(settings()).await
}
