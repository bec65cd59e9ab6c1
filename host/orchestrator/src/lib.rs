//! Workflows: loading, planning, stepping, executing.
//!
//! [`load`] reads a workflow file, checks it against the agents and operations that exist, and compiles it to a
//! [plan](bailiwick_core::plan::Plan); whatever is wrong comes back as [`Diagnostic`]s with places. [`step`] says what is to be done next in a run, as
//! a function of plan and state alone. [`Orchestrator`] does it: tasks go to an [`AgentRunner`](bailiwick_core::AgentRunner), events to a
//! [`Recorder`](bailiwick_core::Recorder), each before it counts. It can do nothing else to the outside world.
//!
//! # What a workflow means
//! - **Edges.** A step starts once every step whose *value* it mentions (in `when`, `with` or `may`) is settled; mentioning only `steps.NAME`
//!   waits for the end and takes any; `after` waits for the end and is skipped where the other one failed.
//! - **Skipping.** A step whose `when` is false is skipped, and so is one that needs the value of a step without one. Its own `stand-in` is its
//!   value then, but only where nothing failed on the way: no stand-in of a later step hides a failure.
//! - **Failing.** `on-error` is gone through from the top for each failed attempt, and the first entry that applies is taken. A step for which none
//!   applies has failed, and with it the run, which then has no output; the other steps go on as far as they do not need it.
//! - **Trying again** is for failures that may pass (the agent says so, a trap, a deadline, no room) and never for denials. Once an operation may
//!   have happened whose repeat nobody recognises, nothing is tried again, by no agent.
//! - **Stand-ins** have the fields of the answer, and each may be null or left out; steps that read the value see its type so widened. They may
//!   mention `input`, `subject`, `run` and `steps`, which are there whatever happened.
//! - **Trust.** Whose data, what thing, where to and how much an operation is granted for comes from `subject` and `input` and never from an agent's
//!   answer; a subject is the run's own, and an answer that may be about anybody needs `owner`.
//!
//! # A run that is read back
//! [`Compiled::new`] takes the plan alone, and [`RunState::fold`](bailiwick_core::run::RunState::fold) its events: neither the file nor the agents
//! of then are needed, and [`step`] goes on from there.

mod bind;
mod card;
mod check;
mod compiled;
mod convert;
mod diagnostic;
mod executor;
mod failure;
mod file;
mod quote;
pub mod reach;
mod reader;
mod report;
mod schema;
mod scope;
mod stepper;
mod variables;
mod yaml;

pub use bind::MAX_IN_VALUES;
pub use check::{CheckedWorkflow, Known, Refused, load};
pub use compiled::{Compiled, PlanProblem};
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity};
pub use executor::{MAX_SUBJECT_BYTES, Observer, Options, Orchestrator, RunRequest};
pub use failure::MAX_MESSAGE_CHARS;
pub use file::{MAX_NAME_BYTES, MAX_STEPS};
pub use report::{ArtifactReport, AttemptReport, CardReport, PathEntry, RunReport, RunTime, StepReport, StepStatus};
pub use schema::workflow_schema;
pub use stepper::{Command, MAX_BACKOFF, TaskOrder, step};
pub use yaml::{MAX_FILE_BYTES, MAX_FILE_NESTING, MAX_FILE_VALUES};

/// Microseconds of a span of time.
pub(crate) fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
