//! Workflows: loading, planning, stepping, executing.
