//! The project: `bailiwick.toml` as it is written, as it is valid, and with everything found.

mod limits;
mod parsed;
mod resolved;
mod schema;
mod validated;

pub use limits::narrower;
pub use parsed::ProjectFile;
pub use resolved::{Component, Origin, PROJECT_FILE, Project, ProjectAgent, read_named};
pub use validated::{is_name, is_requester};
