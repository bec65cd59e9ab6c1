//! The words and rules of Bailiwick, pure.
//!
//! Nothing here touches a clock, a disk, a socket or randomness (ids are made at the edge with
//! [`ids::RunId::fresh`], the one exception). The traits at the crate boundary, [`AgentRunner`],
//! [`Connector`] and [`Recorder`], let the orchestrator, the sandbox and the outside world meet without knowing
//! each other.

pub mod act;
pub mod budget;
pub mod canonical;
pub mod capability;
pub mod connector;
pub mod diff;
pub mod error;
pub mod event;
pub mod grant;
pub mod ids;
pub mod limits;
pub mod path;
pub mod plan;
pub mod policy;
pub mod record;
pub mod run;
pub mod runner;
pub mod signature;
pub mod suggest;
pub mod text;

pub use connector::{BoxFuture, Connector};
pub use record::Recorder;
pub use runner::AgentRunner;
