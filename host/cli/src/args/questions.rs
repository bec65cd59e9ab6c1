//! Arguments of the questions about history.

use clap::{Args, Subcommand};

use super::Place;

pub const WHO_HELP: &str = "\
A moment is RFC 3339, `2026-11-02T10:00:00Z`, or a date, which is its first moment in UTC.
A subject that was erased is not found any more: nothing on record tells whose the erased calls were.

Example:
  bailiwick who --subject C-1042 --from 2026-11-01 --to 2026-12-01 --project examples/returns";

pub const WHY_HELP: &str = "\
CALL is the number of a record of the step as `bailiwick ledger show` prints it: of a call, or of a grant.
The answer quotes arguments and answers: what the calls said about persons is shown.

Example:
  bailiwick why last parcel --project examples/returns
  bailiwick why run-019ab5ac6cf97d21a8c5f3a0a9c4f6f1 identity 161 --project examples/returns";

const GRANTS_HELP: &str = "\
Paste a block in place of the step's `may`. What nobody used is left out: look whether it is needed in runs that were not looked at.

Example:
  bailiwick advise grants return-label --runs 500 --project examples/returns";

/// Arguments of `who`.
#[derive(Debug, Args)]
pub struct WhoArgs {
    /// The data subject.
    #[arg(long, value_name = "ID")]
    pub subject: String,
    /// The subject's tenant. Default: the project's.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Calls from this moment on. Default: from the beginning.
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Calls before this moment. Default: to the end.
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The run's id; `last` for the latest run.
    pub run: String,
    /// The step.
    pub step: String,
    /// The number of a record of the step: a call, or a grant. Default: the step as a whole.
    pub call: Option<u64>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Advises from what is on record.
#[derive(Debug, Subcommand)]
pub enum Advise {
    /// Gives the smallest grants that an agent's tasks would have needed, as `may` of each step; and the grants that no task used.
    #[command(after_help = GRANTS_HELP)]
    Grants(AdviseGrantsArgs),
}

/// Arguments of `advise grants`.
#[derive(Debug, Args)]
pub struct AdviseGrantsArgs {
    /// The agent.
    pub agent: String,
    /// How many runs with a task of the agent are looked at, the latest first.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub runs: u32,
    /// Exits with 3 when there is a grant that no task used.
    #[arg(long)]
    pub check: bool,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}
