//! The command line: noun then verb, each with an example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit;
use crate::requesters::Claim;

mod questions;

pub use questions::{Advise, AdviseGrantsArgs, WhoArgs, WhyArgs};

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
    /// Checks, tests and brings into force the policies that decide who may do what.
    #[command(subcommand)]
    Policy(Policy),
    /// Stops a host, a tenant, an agent or a capability at the next call, also of a host that is running.
    #[command(subcommand)]
    Freeze(Freeze),
    /// Says who may ask for runs and acts, and gives out their tokens.
    #[command(subcommand)]
    Requesters(RequestersCommand),
    /// Says who touched a data subject: every call on record, denied and cached ones marked; names of fields, never their values.
    #[command(after_help = questions::WHO_HELP)]
    Who(WhoArgs),
    /// Says why: what decided about a step of a run, or about one of its calls, and what would have had to differ.
    #[command(after_help = questions::WHY_HELP)]
    Why(WhyArgs),
    /// Advises from what is on record.
    #[command(subcommand)]
    Advise(Advise),
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

/// Who asks, and what shows it.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// Who asks, for example `channel:web-shop`. Default: whom the token names, else your account (`local:NAME`; in a development project, its requester).
    #[arg(long = "as", value_name = "REQUESTER")]
    pub requester: Option<String>,
    /// A file with the token of who asks. Default: the variable BAILIWICK_TOKEN, where it is set.
    #[arg(long, value_name = "FILE")]
    pub token: Option<PathBuf>,
}

impl ClaimArgs {
    /// Gives it as it is looked at.
    pub fn claim(&self) -> Claim<'_> {
        Claim { name: self.requester.as_deref(), token: self.token.as_deref() }
    }
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The project's folder.
    pub project: PathBuf,
    /// The input as JSON. Default: the project's `input`.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
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
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
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
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// The component file.
    pub file: PathBuf,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `agents activate`.
#[derive(Debug, Args)]
pub struct ActivateArgs {
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
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
    /// Shows the records of a run, or of a kind, or one in full.
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
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
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
    #[command(after_help = "Example:\n  bailiwick ledger key rotate --project examples/returns")]
    Rotate(RotateArgs),
}

/// Arguments of `ledger key rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
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
    /// One record in full, by its number.
    #[arg(long, value_name = "N")]
    pub record: Option<u64>,
    /// The newest records of a kind, for example `administered`, `policy-installed`, `run-denied` or `security-event`.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
}

/// Checks, tests and brings into force the policies that decide who may do what.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Finds everything that is wrong with a project's policies.
    #[command(after_help = "Example:\n  bailiwick policy check examples/returns")]
    Check(PolicyArgs),
    /// Asks the policies questions with expected answers.
    #[command(after_help = "Example:\n  bailiwick policy test examples/returns --cases cases.toml")]
    Test(PolicyTestArgs),
    /// Brings a project's policies into force, at the next call of every task, also of a host that is running.
    #[command(after_help = "Example:\n  bailiwick policy install --project examples/returns")]
    Install(PolicyInstallArgs),
    /// Prints the policies that are in force.
    #[command(after_help = "Example:\n  bailiwick policy show --project examples/returns")]
    Show(Place),
    /// Lists the administrative acts that wait for a second person.
    #[command(after_help = "Example:\n  bailiwick policy waiting --project examples/returns")]
    Waiting(Place),
    /// Prints the Cedar schema that policies are checked against.
    #[command(after_help = "Example:\n  bailiwick policy schema")]
    Schema,
    /// Prints the policies of a project that has none of its own, as a beginning for one that will.
    #[command(after_help = "Example:\n  bailiwick policy default > policy/main.cedar")]
    Default,
}

/// Arguments of `policy check`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub project: PathBuf,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `policy test`.
#[derive(Debug, Args)]
pub struct PolicyTestArgs {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub project: PathBuf,
    /// A file with cases; may be given several times. Default: the project's `policy/*.toml`.
    #[arg(long, value_name = "FILE")]
    pub cases: Vec<PathBuf>,
    /// Prints one JSON document and nothing else to standard output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `policy install`.
#[derive(Debug, Args)]
pub struct PolicyInstallArgs {
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Stops a host, a tenant, an agent or a capability at the next call, also of a host that is running.
#[derive(Debug, Subcommand)]
pub enum Freeze {
    /// Stops something at its next call, undoing included, until it is lifted.
    #[command(after_help = "Example:\n  bailiwick freeze stop agent customer-mail --reason 'case 4711' --project examples/returns")]
    Stop(FreezeArgs),
    /// Ends a freeze.
    #[command(after_help = "Example:\n  bailiwick freeze lift agent customer-mail --project examples/returns")]
    Lift(LiftArgs),
    /// Lists the freezes in force.
    #[command(after_help = "Example:\n  bailiwick freeze list --project examples/returns")]
    List(Place),
}

/// What kind of thing is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FreezeKind {
    /// Everything.
    Host,
    /// Every run of a tenant.
    Tenant,
    /// Every version of an agent.
    Agent,
    /// A package (`crm`), interface (`crm/customers`) or operation (`crm/customers.get`).
    Capability,
}

/// Arguments of `freeze stop`.
#[derive(Debug, Args)]
pub struct FreezeArgs {
    /// What kind of thing.
    pub kind: FreezeKind,
    /// Its name; the host has none.
    pub name: Option<String>,
    /// Why, for those who meet it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Freezes an agent or a tenant that the project does not know.
    #[arg(long)]
    pub unknown: bool,
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `freeze lift`.
#[derive(Debug, Args)]
pub struct LiftArgs {
    /// What kind of thing.
    pub kind: FreezeKind,
    /// Its name; the host has none.
    pub name: Option<String>,
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Says who may ask for runs and acts, and gives out their tokens.
#[derive(Debug, Subcommand)]
pub enum RequestersCommand {
    /// Lets somebody ask, and prints the token that shows it; an older one is worth nothing then.
    #[command(
        after_help = "Example:\n  bailiwick requesters add channel:web-shop --attribute kind=service-channel --project examples/returns"
    )]
    Add(AddRequesterArgs),
    /// Lets somebody ask no more.
    #[command(after_help = "Example:\n  bailiwick requesters remove channel:web-shop --project examples/returns")]
    Remove(RemoveRequesterArgs),
    /// Lists who may ask.
    #[command(after_help = "Example:\n  bailiwick requesters list --project examples/returns")]
    List(Place),
}

/// Arguments of `requesters add`.
#[derive(Debug, Args)]
pub struct AddRequesterArgs {
    /// The name: a kind, a colon and a name. `local:NAME` is an account of this machine and gets attributes, but no token.
    pub id: String,
    /// The tenant on whose data he may act. Default: the project's.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// A fact that policies may look at, NAME=VALUE; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub attribute: Vec<String>,
    /// After how many days the token is worth nothing. Default: when it is removed or replaced.
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `requesters remove`.
#[derive(Debug, Args)]
pub struct RemoveRequesterArgs {
    /// The name.
    pub id: String,
    /// Who asks.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Which project, and how to print.
    #[command(flatten)]
    pub place: Place,
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
            Self::Policy(Policy::Check(args)) => args.json,
            Self::Policy(Policy::Test(args)) => args.json,
            Self::Policy(Policy::Install(args)) => args.place.json,
            Self::Policy(Policy::Show(place) | Policy::Waiting(place))
            | Self::Freeze(Freeze::List(place))
            | Self::Requesters(RequestersCommand::List(place)) => place.json,
            Self::Policy(Policy::Schema | Policy::Default) => false,
            Self::Freeze(Freeze::Stop(args)) => args.place.json,
            Self::Freeze(Freeze::Lift(args)) => args.place.json,
            Self::Requesters(RequestersCommand::Add(args)) => args.place.json,
            Self::Requesters(RequestersCommand::Remove(args)) => args.place.json,
            Self::Who(args) => args.place.json,
            Self::Why(args) => args.place.json,
            Self::Advise(Advise::Grants(args)) => args.place.json,
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
