//! `bailiwick agents diff` and `bailiwick workflow diff`: what changed, and whether it widens.

use std::path::Path;
use std::sync::Arc;

use bailiwick_core::AgentRunner as _;
use bailiwick_core::diff::{self, Change, Direction};
use bailiwick_core::runner::AgentInfo;
use bailiwick_orchestrator::reach::{Reach, changes, policy_direction, policy_text};
use serde_json::{Value, json};

use crate::args::{AgentsDiffArgs, WorkflowDiffArgs};
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::{Result, Source};
use crate::foresee::{KnownAgents, Still};
use crate::project::{PROJECT_FILE, read_named};
use crate::{text, wire};

/// Compares two versions of an agent.
pub fn agents(args: &AgentsDiffArgs) -> Result<Exit> {
    let still = Still::open_for_agent(&args.place, &[&args.old, &args.new])?;
    let (old, new) = wire::io_runtime()?.block_on(async { Ok((still.find(&args.old).await?, still.find(&args.new).await?)) })?;
    let mut changes = diff::agents(&old, &new);
    changes.extend(policy_changes(&still, &old, &new));
    let side = |info: &AgentInfo| json!({ "name": info.name, "version": info.version, "component": info.component });
    let text = |info: &AgentInfo| format!("{}@{} ({})", info.name, info.version, info.component);
    let policy = ("policy", still.policy_text());
    conclude(
        Compared { what: "agents", old: (text(&old), side(&old)), new: (text(&new), side(&new)), notes: vec![policy] },
        changes,
        args.place.json,
    )
}

/// What the policy in force says of operations for the one and for the other.
fn policy_changes(still: &Still, old: &AgentInfo, new: &AgentInfo) -> Vec<Change> {
    let imports = |info: &AgentInfo, full: &str| info.imports.iter().any(|import| import == full);
    let mut changes = Vec::new();
    for operation in still.catalog.iter().filter(|operation| imports(new, &operation.full)) {
        let before = imports(old, &operation.full).then(|| still.prospect(old, operation, None, None));
        let after = still.prospect(new, operation, None, None);
        if let Some(direction) = policy_direction(before.as_ref(), &after) {
            let before = before.as_ref().map_or_else(|| "not imported".to_owned(), policy_text);
            changes.push(Change::new(direction, format!("policy for {}", operation.short), Some(before), Some(policy_text(&after))));
        }
    }
    changes
}

/// One of two workflows.
struct Side {
    still: Still,
    agents: KnownAgents,
    workflow: bailiwick_orchestrator::CheckedWorkflow,
    reach: Reach,
}

impl Side {
    fn open(at: &Path, args: &WorkflowDiffArgs) -> Result<Self> {
        let (folder, file) = place_of(at, &args.place.project);
        let still = Still::open(folder, args.place.state.as_deref())?;
        let source: Option<Source> = file.map(read_named).transpose()?;
        let agents = wire::io_runtime()?.block_on(still.agents())?;
        let workflow = still.workflow(&agents, source.as_ref())?;
        let reach = still.reach(&agents, &workflow);
        Ok(Self { still, agents, workflow, reach })
    }

    fn text(&self, at: &Path) -> String {
        format!("{} {} in {}, plan {}", self.reach.workflow, self.reach.version, text::path(at), self.reach.plan.to_short())
    }

    fn json(&self) -> Value {
        json!({
            "workflow": self.reach.workflow, "version": self.reach.version, "plan": self.reach.plan, "policy": self.still.policy_json(),
        })
    }
}

/// Gives the project of a side, and the workflow file where it is not the project's.
fn place_of<'p>(at: &'p Path, project: &'p Path) -> (&'p Path, Option<&'p Path>) {
    if at.is_dir() || at.file_name().is_some_and(|name| name == PROJECT_FILE) {
        return (at, None);
    }
    let folder = at.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    match folder.filter(|folder| folder.join(PROJECT_FILE).is_file()) {
        Some(folder) => (folder, Some(at)),
        None => (project, Some(at)),
    }
}

/// Compares two workflows, with the agents and under the policies of their projects.
pub fn workflows(args: &WorkflowDiffArgs) -> Result<Exit> {
    let (old, new) = (Side::open(&args.old, args)?, Side::open(&args.new, args)?);
    let mut all = diff::plans(old.workflow.plan(), new.workflow.plan());
    for (before, after) in same_agents(&old, &new) {
        all.extend(diff::agents(&before, &after).into_iter().map(|change| change.within(&format!("agent {}", after.name))));
    }
    all.extend(changes(&old.reach, &new.reach));
    let notes = vec![("policy before", old.still.policy_text()), ("policy after", new.still.policy_text())];
    let compared = Compared { what: "workflows", old: (old.text(&args.old), old.json()), new: (new.text(&args.new), new.json()), notes };
    conclude(compared, all, args.place.json)
}

/// Agents that both workflows use, and that are other components.
fn same_agents(old: &Side, new: &Side) -> Vec<(Arc<AgentInfo>, Arc<AgentInfo>)> {
    let used = |side: &Side| -> std::collections::BTreeSet<_> { side.reach.steps.iter().flat_map(|step| step.agents.clone()).collect() };
    let both = used(old).intersection(&used(new)).cloned().collect::<Vec<_>>();
    let pairs = both.iter().filter_map(|name| Some((old.agents.agent(name)?, new.agents.agent(name)?)));
    pairs.filter(|(before, after)| before.component != after.component).collect()
}

/// What was compared, for people and for programs.
struct Compared {
    what: &'static str,
    old: (String, Value),
    new: (String, Value),
    notes: Vec<(&'static str, String)>,
}

/// Prints the changes and says whether something may widen.
fn conclude(compared: Compared, mut changes: Vec<Change>, is_json: bool) -> Result<Exit> {
    changes.sort();
    changes.dedup();
    let exit = if diff::may_widen(&changes) { Exit::Widened } else { Exit::Done };
    if is_json {
        display::print_json(&json!({
            "exit": exit.name(), compared.what: { "old": compared.old.1, "new": compared.new.1 }, "changes": changes,
        }));
        return Ok(exit);
    }
    let mut head = vec![("old", compared.old.0), ("new", compared.new.0)];
    head.extend(compared.notes);
    display::print_block(&head);
    for (direction, heading) in GROUPS {
        print_group(heading, changes.iter().filter(|change| change.direction == *direction));
    }
    display::print(&format!("\n{}", verdict(&changes)));
    Ok(exit)
}

const GROUPS: &[(Direction, &str)] = &[
    (Direction::Wider, "wider"),
    (Direction::Changed, "changed, and not certain not to be wider"),
    (Direction::Narrower, "narrower"),
    (Direction::Noted, "other"),
];

fn print_group<'c>(heading: &str, changes: impl Iterator<Item = &'c Change>) {
    let mut changes = changes.peekable();
    if changes.peek().is_none() {
        return;
    }
    display::section(heading);
    let mut table = Table::new(&["what", "before", "after"]);
    for change in changes {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        table.row([change.what.clone(), shown(&change.before), shown(&change.after)]);
    }
    display::print(&table.to_text());
}

fn verdict(changes: &[Change]) -> String {
    let count = |direction: Direction| changes.iter().filter(|change| change.direction == direction).count();
    let (wider, changed, narrower) = (count(Direction::Wider), count(Direction::Changed), count(Direction::Narrower));
    match (wider + changed, narrower) {
        (0, 0) if changes.is_empty() => "nothing changed".to_owned(),
        (0, 0) => "nothing changed of what can be done".to_owned(),
        (0, narrower) => format!("nothing is wider; {narrower} narrower"),
        _ => format!("{wider} wider, {changed} changed, {narrower} narrower: somebody with authority has to accept this"),
    }
}
