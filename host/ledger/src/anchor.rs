//! Anchoring: checkpoints leave the machine, so that whoever rewrites the ledger later contradicts them.
//!
//! A thread of its own takes the newest checkpoint now and then, has a witness cosign it and appends it to files outside of the state
//! folder. Files are appended to and never replaced: what was anchored stays, which narrows down where a ledger was changed, and a medium
//! or file that only takes additions (`chattr +a`, write-once storage, a log shipper) can serve.

mod files;
mod post;
mod witness;

pub use files::ANCHOR_FILE_BYTES;
pub(crate) use files::AnchorFile;
pub use post::{AnchorState, Anchors};
pub(crate) use post::{Anchorer, Post};
pub use witness::{Witness, WitnessAnswer, WitnessProblem, add_checkpoint_request, read_add_checkpoint_answer};
