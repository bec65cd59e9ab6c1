//! Tests of the orchestrator through its public items alone.
// `cfg(test)` always holds here. It tells clippy that these modules are tests, helpers included.

#[cfg(test)]
mod diagnostics;
#[cfg(test)]
mod executor;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod returns;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod stepper;
#[cfg(test)]
mod support;
