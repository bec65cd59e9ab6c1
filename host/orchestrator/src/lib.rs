//! Workflows: loading, planning, stepping, executing.

mod check;
mod compiled;
mod convert;
mod diagnostic;
mod file;
mod quote;
mod reader;
mod scope;
mod validate;
mod yaml;

pub use check::{CheckedWorkflow, Known, Refused, load};
pub use compiled::{Compiled, PlanProblem};
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity};
pub use yaml::{MAX_FILE_BYTES, MAX_FILE_NESTING, MAX_FILE_VALUES};
