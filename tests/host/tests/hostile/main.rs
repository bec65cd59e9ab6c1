//! Hostile guests against the real sandbox: each has a test of its own name, or this does not compile.

mod attacks;
mod completeness;
mod contract;
mod delegate;
mod deputies;
mod foreseen;
mod grants;
mod install;
mod ledger;
mod limits;
mod swap;
mod versions;
mod web;
mod withdrawn;

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
