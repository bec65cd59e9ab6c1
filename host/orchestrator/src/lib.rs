//! Workflows: loading, planning, stepping, executing.

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
mod reader;
mod report;
mod schema;
mod scope;
mod stepper;
mod validate;
mod variables;
mod yaml;

pub use bind::MAX_IN_VALUES;
pub use check::{CheckedWorkflow, Known, Refused, load};
pub use compiled::{Compiled, PlanProblem};
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity};
pub use executor::{MAX_SUBJECT_BYTES, Observer, Options, Orchestrator, RunRequest};
pub use report::{ArtifactReport, AttemptReport, CardReport, PathEntry, RunReport, RunTime, StepReport, StepStatus};
pub use schema::workflow_schema;
pub use stepper::{Command, MAX_BACKOFF, TaskOrder, step};
pub use yaml::{MAX_FILE_BYTES, MAX_FILE_NESTING, MAX_FILE_VALUES};

/// Microseconds of a span of time.
pub(crate) fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
