//! The command line: noun then verb, each with an example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exit;

/// Runs AI agents that need not be trusted with access.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version, about, after_help = exit::help(), max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a project's workflow and prints the result and an account of it.
    #[command(after_help = "Example:\n  bailiwick run examples/returns --input examples/returns/inputs/day-31.json")]
    Run(RunArgs),
    /// Finds everything that can be found without running: manifests, workflow, expressions, grants, connectors, data.
    #[command(after_help = "Example:\n  bailiwick check examples/returns")]
    Check(CheckArgs),
    /// Compiles a project's agents from their source folders. This runs their build scripts and macros natively.
    #[command(after_help = "Example:\n  bailiwick build examples/returns")]
    Build(BuildArgs),
    /// Runs one agent in the sandbox with the grants given here: its calls, denials, limits, answer.
    #[command(after_help = TRY_HELP)]
    Try(TryArgs),
    /// Starts something new.
    #[command(subcommand)]
    New(New),
    /// Says what a workflow can do before it runs: grants under the policy, where data can flow, what each answer opens.
    #[command(after_help = "Example:\n  bailiwick reach examples/returns")]
    Reach(ReachArgs),
    /// Compares workflows.
    #[command(subcommand)]
    Workflow(Workflow),
    /// Looks at and changes the installed agents.
    #[command(subcommand)]
    Agents(Agents),
    /// Reads, verifies, exports and anchors the ledger; erases and holds data in it.
    #[command(subcommand)]
    Ledger(Ledger),
}

const TRY_HELP: &str = "\
A grant is an operation, conditions on its arguments, an owner and budgets; conditions are joined by white space:
  'crm/customers.get where id=C-1042'
  'orders/orders.get where id=O-20417 owner=C-1042 calls=2'
  'rules/tables.evaluate where ruleset=returns facts=any'
  PATH=VALUE equal, PATH=A|B one of, PATH<=N at most, PATH>=N at least, PATH^=TEXT starts with, PATH=any anything.
  An argument that is not mentioned is refused. A value with spaces or | is put in double quotes.

Example:
  bailiwick try identity-verifier --project examples/returns --input claim.json --may 'crm/customers.get where id=C-1042'";

/// Which project and state folder.
#[derive(Debug, Args)]
pub struct Place {
    /// The project's folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// The state folder. Default: the project's, `.bailiwick` unless its file says otherwise.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The project's folder.
    pub project: PathBuf,
    /// The input as JSON. Default: the project's `input`.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Who asks for the run, for example `channel:web-shop`. Default: the project's requester.
    #[arg(long = "as", value_name = "REQUESTER")]
    pub requester: Option<String>,
    /// The state folder. Default: the project's, `.bailiwick` unless its file says otherwise.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
    /// A file outside of the state folder to which the ledger's checkpoints are appended; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// Prints the result alone: no progress, no account.
    #[arg(long)]
    pub quiet: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The project's folder.
    pub project: PathBuf,
    /// The state folder whose version is looked at. Default: the project's.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `reach`.
#[derive(Debug, Args)]
pub struct ReachArgs {
    /// The project's folder.
    pub project: PathBuf,
    /// The state folder whose agents are looked at. Default: the project's.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Compares workflows.
#[derive(Debug, Subcommand)]
pub enum Workflow {
    /// Says what changed between two workflows, with what widens apart from what narrows; exit code 7 where something may widen.
    #[command(after_help = WORKFLOW_DIFF_HELP)]
    Diff(WorkflowDiffArgs),
}

const WORKFLOW_DIFF_HELP: &str = "\
A folder is a project, with its own agents and policy. A file is a workflow: with the project that it lies in, else with --project.

Example:
  bailiwick workflow diff before.yaml examples/returns --project examples/returns";

/// Arguments of `workflow diff`.
#[derive(Debug, Args)]
pub struct WorkflowDiffArgs {
    /// How it was: a project's folder, or a workflow file.
    pub old: PathBuf,
    /// How it is to be: a project's folder, or a workflow file.
    pub new: PathBuf,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The project's folder.
    pub project: PathBuf,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `try`.
#[derive(Debug, Args)]
pub struct TryArgs {
    /// An agent of the project, or a component file.
    pub agent: String,
    /// The agent's input as JSON.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// A grant; may be given several times.
    #[arg(long, value_name = "GRANT")]
    pub may: Vec<String>,
    /// Whose data the task is about.
    #[arg(long, value_name = "ID")]
    pub subject: Option<String>,
    /// Who asks, for example `channel:web-shop`. Default: the project's requester.
    #[arg(long = "as", value_name = "REQUESTER")]
    pub requester: Option<String>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Starts something new.
#[derive(Debug, Subcommand)]
pub enum New {
    /// Writes a new agent with its own test and a copy of the SDK: it builds offline and outside of any repository.
    #[command(after_help = "Example:\n  bailiwick new agent order-status --dir agents")]
    Agent(NewAgentArgs),
}

/// Arguments of `new agent`.
#[derive(Debug, Args)]
pub struct NewAgentArgs {
    /// The agent's name: lower case letters, digits and dashes.
    pub name: String,
    /// The folder in which the agent's folder is made.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Looks at and changes the installed agents.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// Lists the installed versions of all agents.
    #[command(after_help = "Example:\n  bailiwick agents list --project examples/returns")]
    List(Place),
    /// Says what an agent is for and what it can reach, under the policy in force. Nothing runs.
    #[command(after_help = "Example:\n  bailiwick agents inspect return-label --project examples/returns")]
    Inspect(InspectArgs),
    /// Says what changed between two versions, with what widens apart from what narrows; exit code 7 where something may widen.
    #[command(after_help = AGENTS_DIFF_HELP)]
    Diff(AgentsDiffArgs),
    /// Installs a component file; it becomes active if no other version of the agent is.
    #[command(after_help = "Example:\n  bailiwick agents install return-label.wasm --project examples/returns")]
    Install(InstallArgs),
    /// Makes an installed version the one that new tasks use.
    #[command(after_help = "Example:\n  bailiwick agents activate return-label@0.2.0 --project examples/returns")]
    Activate(ActivateArgs),
}

const AGENTS_DIFF_HELP: &str = "\
Example:
  bailiwick agents diff return-label@0.1.0 return-label@0.2.0 --project examples/returns
  bailiwick agents diff before.wasm after.wasm --project examples/returns";

/// Arguments of `agents diff`.
#[derive(Debug, Args)]
pub struct AgentsDiffArgs {
    /// How it was: an installed agent, `NAME` or `NAME@VERSION`, or a component file.
    pub old: String,
    /// How it is to be: the same.
    pub new: String,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `agents inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An installed agent, `NAME` or `NAME@VERSION`, or a component file.
    pub agent: String,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `agents install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The component file.
    pub file: PathBuf,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `agents activate`.
#[derive(Debug, Args)]
pub struct ActivateArgs {
    /// The version, `NAME@VERSION`.
    pub version: String,
    /// Accepts that the version asks for more than the active one.
    #[arg(long)]
    pub accept_wider: bool,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Reads, verifies, exports and anchors the ledger; erases and holds data in it.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Shows the records of a run.
    #[command(after_help = "Example:\n  bailiwick ledger show --last --project examples/returns")]
    Show(ShowArgs),
    /// Recomputes everything that the ledger says about itself and names the first bad record.
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Writes everything up to the newest checkpoint as a bundle that verifies without this host.
    #[command(after_help = "Example:\n  bailiwick ledger export bundle --project examples/returns")]
    Export(ExportArgs),
    /// Destroys the key, the salts and the payloads of a data subject. The records stay, and the erasure is one.
    #[command(after_help = "Example:\n  bailiwick ledger erase --subject C-1042 --project examples/returns")]
    Erase(SubjectArgs),
    /// Forbids erasing a data subject until the hold is released.
    #[command(after_help = "Example:\n  bailiwick ledger hold --subject C-1042 --reason 'case 4711' --project examples/returns")]
    Hold(HoldArgs),
    /// Shows and changes the key that signs the ledger.
    #[command(subcommand)]
    Key(Key),
    /// Appends the newest checkpoint to files outside of the state folder.
    #[command(after_help = "Example:\n  bailiwick ledger anchor --to /mnt/elsewhere/returns.anchor --project examples/returns")]
    Anchor(AnchorArgs),
}

const VERIFY_HELP: &str = "\
Without --key, the key is the one that the ledger names itself: a ledger made anew is not found.
Without --anchor, a ledger that was cut or set back is not found.

Example:
  bailiwick ledger verify --project examples/returns
  bailiwick ledger verify --bundle bundle --key returns.key --anchor /mnt/elsewhere/returns.anchor";

/// Arguments of `ledger verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// An exported bundle, instead of the state folder's ledger. Needs neither project nor state folder.
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// A public key of the ledger that you trust, or a file with one a line; may be given several times.
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Vec<String>,
    /// A file to which checkpoints were anchored; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// A public key of a witness that you trust, or a file with one a line; may be given several times.
    #[arg(long, value_name = "KEY|FILE")]
    pub witness_key: Vec<String>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `ledger export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The bundle's folder: new, or empty.
    pub folder: PathBuf,
    /// Writes payloads too, in plain: whoever has the bundle can read them, also after an erasure.
    #[arg(long)]
    pub payloads: bool,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `ledger erase`.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// The data subject.
    #[arg(long, value_name = "ID")]
    pub subject: String,
    /// The subject's tenant. Default: the project's.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Who asks, for example `local:anna`; it is put on record. Default: nobody is named.
    #[arg(long = "as", value_name = "REQUESTER")]
    pub requester: Option<String>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `ledger hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Releases the hold instead.
    #[arg(long)]
    pub release: bool,
    /// Why; kept as data of the subject.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Whose data, and who asks.
    #[command(flatten)]
    pub subject: SubjectArgs,
}

/// Shows and changes the key that signs the ledger.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Shows the public keys that have signed the ledger, in order.
    #[command(after_help = "Example:\n  bailiwick ledger key show --project examples/returns")]
    Show(Place),
    /// Makes a new key. The change is a record, signed with the old key.
    #[command(after_help = "Example:\n  bailiwick ledger key rotate --as local:anna --project examples/returns")]
    Rotate(RotateArgs),
}

/// Arguments of `ledger key rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Who asks, for example `local:anna`; it is put on record. Default: nobody is named.
    #[arg(long = "as", value_name = "REQUESTER")]
    pub requester: Option<String>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `ledger anchor`.
#[derive(Debug, Args)]
pub struct AnchorArgs {
    /// The file; may be given several times. It is appended to and never replaced.
    #[arg(long, value_name = "FILE", required = true)]
    pub to: Vec<PathBuf>,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `ledger show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which run.
    #[command(flatten)]
    pub which: WhichRun,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Which run.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhichRun {
    /// The run with this id.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// The latest run.
    #[arg(long)]
    pub last: bool,
}

impl Command {
    /// Whether the answer is wanted as JSON.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Run(args) => args.json,
            Self::Check(args) => args.json,
            Self::Reach(args) => args.json,
            Self::Workflow(Workflow::Diff(args)) => args.place.json,
            Self::Build(args) => args.json,
            Self::Try(args) => args.place.json,
            Self::New(New::Agent(args)) => args.json,
            Self::Agents(Agents::List(place)) | Self::Ledger(Ledger::Key(Key::Show(place))) => place.json,
            Self::Agents(Agents::Inspect(args)) => args.place.json,
            Self::Agents(Agents::Diff(args)) => args.place.json,
            Self::Agents(Agents::Install(args)) => args.place.json,
            Self::Agents(Agents::Activate(args)) => args.place.json,
            Self::Ledger(Ledger::Show(args)) => args.place.json,
            Self::Ledger(Ledger::Verify(args)) => args.place.json,
            Self::Ledger(Ledger::Export(args)) => args.place.json,
            Self::Ledger(Ledger::Erase(args)) => args.place.json,
            Self::Ledger(Ledger::Hold(args)) => args.subject.place.json,
            Self::Ledger(Ledger::Key(Key::Rotate(args))) => args.place.json,
            Self::Ledger(Ledger::Anchor(args)) => args.place.json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn visit(command: &clap::Command) {
            let subcommands: Vec<_> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
            if subcommands.is_empty() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example:\n  bailiwick "), "`{}` has no example", command.get_name());
            }
            subcommands.into_iter().for_each(visit);
        }
        visit(&super::Cli::command());
    }
}
