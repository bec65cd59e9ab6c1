//! The harness of the hostile tests: the real sandbox and the real gate, with an upstream and a recorder that can be asked what reached them.
//!
//! Every test has a sandbox, a registry folder, an upstream and a recorder of its own; only compiled code is shared, through the
//! cache that the registry keeps.

pub mod bench;
pub mod recorder;
pub mod upstream;

pub use bench::{Bench, Settings, TaskDraft, answered, ended};
pub use recorder::{Kept, MemoryRecorder, Record};
pub use upstream::{Upstream, UpstreamCall};
