//! Sandboxes: engine, stores, limits, dynamic linking, the gate, registry and swap.
//!
//! This is the only crate that names wasmtime. A [`Sandbox`] runs tasks: one fresh store each, built only from grants
//! and limits. Whatever a guest calls passes the gate (`gate.rs`), whose five acts are: count, check, record the intent, act
//! through a connector, bound and record the outcome.

mod agent;
mod ambient;
mod cache;
mod checks;
pub mod compile;
mod delegate;
mod engine;
#[cfg(feature = "floor")]
pub mod floor;
mod gate;
mod host;
mod install;
mod json;
mod link;
mod registry;
mod sandbox;
mod task;
mod turns;
mod types;

pub use compile::{CompileCommand, CompileProblem};
pub use delegate::{Member, Roster, is_delegation};
pub use engine::{EngineSettings, SANDBOXES_MOST, guest_runtime};
pub use install::InstallProblem;
pub use link::Routes;
pub use registry::{InstallOptions, Installed, Registry, RegistryProblem};
pub use sandbox::{Sandbox, SandboxParts, Watcher};
