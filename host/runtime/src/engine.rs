//! The engine: one configuration for every sandbox of a host.

use std::hash::{Hash, Hasher};

use bailiwick_core::ids::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Stack of a guest. Deeper recursion ends the task with the limit `stack`.
pub(crate) const STACK_BYTES: usize = 512 * 1024;
/// Instructions between two points at which a guest lets its thread do something else. At 100,000 a neighbour waits about 10 to 15 µs.
pub(crate) const FUEL_YIELD_INTERVAL: u64 = 100_000;
/// Most bytes of one linear memory that any limit can allow; the pool reserves address space for it.
pub(crate) const MEMORY_MOST: usize = 1 << 30;
/// Most elements of one table that any limit can allow.
pub(crate) const TABLE_MOST: usize = 100_000;

/// Core instances of one component; one made of std code has four.
const CORE_INSTANCES_MOST: u32 = 16;
/// Memories of one component.
const MEMORIES_MOST: u32 = 4;
/// Tables of one component.
const TABLES_MOST: u32 = 8;

/// What the operator may choose about the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Sandboxes alive at the same time; further tasks wait. From 1 to [`SANDBOXES_MOST`]. Default 1,024.
    pub sandboxes: u32,
}

/// Most sandboxes alive at the same time. Each takes up to 14 of the 65,530 memory maps that Linux gives a process by default: 4 to 6 alive and 2 for each
/// memory that the pool reserves.
pub const SANDBOXES_MOST: u32 = 3_000;

impl EngineSettings {
    /// Gives the number of sandboxes within its bounds.
    pub(crate) fn bounded(self) -> u32 {
        self.sandboxes.clamp(1, SANDBOXES_MOST)
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { sandboxes: 1_024 }
    }
}

/// Settings that decide what the compiler makes; the same in the compiling child and in the host.
fn base() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .max_wasm_stack(STACK_BYTES)
        // Guests call the host on their own stack, so it has to hold a guest's whole stack and the host's part.
        .async_stack_size(STACK_BYTES + 1024 * 1024)
        .wasm_component_model(true)
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20));
    config
}

/// Makes the engine that only compiles.
pub(crate) fn compiler() -> wasmtime::Result<Engine> {
    Engine::new(&base())
}

/// Makes the engine that runs guests.
pub(crate) fn runner(settings: EngineSettings) -> wasmtime::Result<Engine> {
    let sandboxes = settings.bounded();
    let mut pool = PoolingAllocationConfig::new();
    // INVARIANT: the pool has room for every sandbox at its most. With less, a few components that take all they may would
    // make others end as overloaded.
    pool.total_component_instances(sandboxes)
        .total_core_instances(sandboxes.saturating_mul(CORE_INSTANCES_MOST))
        .total_memories(sandboxes.saturating_mul(MEMORIES_MOST))
        .total_tables(sandboxes.saturating_mul(TABLES_MOST))
        .total_stacks(sandboxes)
        .max_core_instances_per_component(CORE_INSTANCES_MOST)
        .max_memories_per_component(MEMORIES_MOST)
        .max_tables_per_component(TABLES_MOST)
        .max_memories_per_module(4)
        .max_tables_per_module(8)
        .max_memory_size(MEMORY_MOST)
        .table_elements(TABLE_MOST)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
    }
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// Digest of everything that decides whether compiled code fits an engine. Names cache files; also a record of each task.
pub(crate) fn digest(engine: &Engine) -> Digest {
    /// Feeds what is hashed into SHA-256.
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut feed = Feed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut feed);
    Digest::from_bytes(feed.0.finalize().into())
}

/// Makes the tokio runtime on which guests run, apart from the one that does I/O.
///
/// Its timers are looked at after every few polls: with tokio's default of 61 a neighbour of a busy guest waited
/// for 61 yields (measured, see `benches/README.md`).
///
/// # Errors
/// When threads cannot be started.
pub fn guest_runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).thread_name("guest").event_interval(8).enable_time().build()
}
