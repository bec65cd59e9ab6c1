//! The project: `bailiwick.toml` as it is written, as it is valid, and with everything found.

mod limits;
mod parsed;
mod resolved;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
mod validated;

pub use resolved::{Component, Origin, PROJECT_FILE, Project, ProjectAgent, read_bounded, read_named};
pub use validated::is_requester;
