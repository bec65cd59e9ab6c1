//! `bailiwick reach`: what a workflow can do, before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::capability::{Effect, Label};
use bailiwick_core::ids::AgentName;
use bailiwick_core::policy::Prospect;
use bailiwick_orchestrator::reach::{GrantReach, How, Link, Opening, Reach, StepReach, policy_text};
use serde_json::json;

use crate::args::ReachArgs;
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::Result;
use crate::foresee::Still;
use crate::{text, wire};

/// What is said of who approves, as long as there is no step of that kind.
const NOBODY: &str = "nobody: there is no approval step";

/// Says what a project's workflow can do.
pub fn reach(args: &ReachArgs) -> Result<Exit> {
    let still = Still::open(&args.project, args.state.as_deref())?;
    let agents = wire::io_runtime()?.block_on(still.agents())?;
    let workflow = still.workflow(&agents, None)?;
    let reach = still.reach(&agents, &workflow);
    if args.json {
        let versions: Vec<_> =
            agents.iter().map(|info| json!({ "agent": info.name, "version": info.version, "component": info.component })).collect();
        display::print_json(&json!({ "exit": Exit::Done.name(), "policy": still.policy_json(), "agents": versions, "reach": reach }));
        return Ok(Exit::Done);
    }
    display::print(&display::heading(&format!("workflow {} {}", reach.workflow, reach.version)));
    display::print_block(&[
        ("plan", reach.plan.to_string()),
        ("about", reach.subject.clone().unwrap_or_else(|| "nobody: the workflow names no subject".to_owned())),
        ("policy", still.policy_text()),
    ]);
    print_findings(&reach);
    display::section("what each step can do");
    for step in &reach.steps {
        print_step(step, None);
    }
    print_flow(&reach);
    print_answers(&reach);
    print_finals(&reach);
    Ok(Exit::Done)
}

/// Names classes of data.
pub fn classes_text(classes: &BTreeSet<Label>) -> String {
    if classes.is_empty() { "–".to_owned() } else { classes.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// Writes the conditions of a grant, how often, and how it is undone.
fn where_text(grant: &GrantReach) -> String {
    let conditions = grant.conditions.iter().map(|written| format!("{}: {}", written.argument, written.condition));
    let owner = grant.owner.iter().map(|owner| format!("only if the answer is of {owner}"));
    let calls = usize::try_from(grant.budgets.calls).unwrap_or(usize::MAX);
    let most = format!("at most {}", text::number_of(calls, "call"));
    let undo = match (grant.effect, grant.undo.as_deref()) {
        (Effect::Read, _) => None,
        (Effect::Final, _) | (_, None | Some("none")) => Some("cannot be undone".to_owned()),
        (_, Some(operation)) => Some(format!("undone by {operation}")),
    };
    conditions.chain(owner).chain([most]).chain(undo).collect::<Vec<_>>().join("; ")
}

fn policies_text(grant: &GrantReach, agent: Option<&AgentName>) -> String {
    if let Some(prospect) = agent.and_then(|agent| grant.policy.get(agent)) {
        return word(prospect);
    }
    let words: Vec<String> = match grant.policy.len() {
        0 => vec!["no agent of the step imports it".to_owned()],
        1 => grant.policy.values().map(word).collect(),
        _ => grant.policy.iter().map(|(agent, prospect)| format!("{agent}: {}", word(prospect))).collect(),
    };
    words.join("; ")
}

/// Writes the policy's word with its reason.
pub fn word(prospect: &Prospect) -> String {
    match prospect {
        Prospect::Never { reason, .. } => format!("never: {reason}"),
        other => policy_text(other),
    }
}

fn agents_text(step: &StepReach) -> String {
    step.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or ")
}

/// Prints what a step gives: to all its agents, or to one.
pub fn print_step(step: &StepReach, agent: Option<&AgentName>) {
    let when = step.when.as_ref().map(|when| format!(", when {when}")).unwrap_or_default();
    let grants: Vec<&GrantReach> = step.grants.iter().filter(|grant| agent.is_none_or(|agent| grant.policy.contains_key(agent))).collect();
    let nothing = if grants.is_empty() { ": nothing" } else { "" };
    print_item(&format!("{}: {}{when}{nothing}", step.step, agents_text(step)));
    let mut rows = Vec::new();
    for grant in grants {
        let effect = match grant.effect {
            Effect::Read => "  read",
            Effect::Write => "  write",
            Effect::Final => "  final",
        };
        rows.push((effect, format!("{} (policy: {})", grant.operation, policies_text(grant, agent))));
        rows.push(("", where_text(grant)));
    }
    display::print_block(&rows);
}

fn print_item(text: &str) {
    display::print_block(&[("-", text.to_owned())]);
}

fn print_flow(reach: &Reach) {
    display::section("which data can be where, and by which arguments it can leave");
    for step in &reach.steps {
        let leaves: Vec<String> = step.grants.iter().filter(|grant| grant.is_possible()).filter_map(chosen_text).collect();
        print_item(&step.step.to_string());
        display::print_block(&[
            ("  its calls give", classes_text(&step.reads)),
            ("  answers bring", brought_text(step)),
            ("  can leave by", if leaves.is_empty() { "–".to_owned() } else { leaves.join("; ") }),
        ]);
    }
    let from = reach.output.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    print_item("the result");
    display::print_block(&[("  made of", from), ("  can hold", classes_text(&reach.output.holds))]);
}

/// Names the classes that come with answers, each set of them once with where it comes from.
fn brought_text(step: &StepReach) -> String {
    let mut by_classes: BTreeMap<&BTreeSet<Label>, Vec<String>> = BTreeMap::new();
    for (from, classes) in step.receives.iter().filter(|(_, classes)| !classes.is_empty()) {
        by_classes.entry(classes).or_default().push(from.to_string());
    }
    let texts: Vec<String> =
        by_classes.into_iter().map(|(classes, from)| format!("{} (from {})", classes_text(classes), from.join(", "))).collect();
    if texts.is_empty() { "–".to_owned() } else { texts.join("; ") }
}

fn chosen_text(grant: &GrantReach) -> Option<String> {
    let chosen: Vec<String> = grant.chosen().map(ToString::to_string).collect();
    (!chosen.is_empty()).then(|| format!("{} ({})", grant.operation, chosen.join(", ")))
}

fn print_answers(reach: &Reach) {
    display::section("what each answer opens");
    for answer in &reach.answers {
        let nothing = if answer.opens.is_empty() { ": nothing" } else { "" };
        let rests_on = if answer.rests_on.is_empty() { "no labelled data".to_owned() } else { classes_text(&answer.rests_on) };
        print_item(&format!("{}, resting on {rests_on}{nothing}", answer.step));
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        let mut last: Option<&Opening> = None;
        for opening in &answer.opens {
            let effect = format!("{} {}", opening.effect, opening.operation);
            match rows.last_mut().filter(|_| last.is_some_and(|last| last.step == opening.step)) {
                Some((_, texts)) => texts.insert(texts.len() - 1, effect),
                None => rows.push((format!("  {}", opening.step), vec![effect, how_text(opening)])),
            }
            last = Some(opening);
        }
        let lines = rows.iter().flat_map(|(step, texts)| {
            texts.iter().enumerate().map(move |(n, text)| (if n == 0 { step.as_str() } else { "" }, text.clone()))
        });
        display::print_block(&lines.collect::<Vec<_>>());
    }
}

fn how_text(opening: &Opening) -> String {
    let link = |link: &Link| match link.how {
        How::When => format!("when {}", link.what),
        How::May => format!("condition {}", link.what),
        How::With => format!("with {}", link.what),
        How::After => "after it, unless it failed".to_owned(),
        How::StandIn => format!("stand-in {}", link.what),
    };
    match opening.by.as_slice() {
        [first, .., last] if last.to == opening.step && first.to != opening.step => {
            let way: Vec<String> = opening.by.iter().map(|step| format!("{} ({})", step.to, link(step))).collect();
            format!("through {}", way.join(", then "))
        }
        by => by.iter().map(link).collect::<Vec<_>>().join("; "),
    }
}

fn print_finals(reach: &Reach) {
    display::section("what cannot be undone");
    if reach.finals.is_empty() {
        let undone = reach.steps.iter().flat_map(|step| &step.grants).any(|grant| grant.effect == Effect::Write);
        display::print(if undone { "nothing: every effect is a write, which has an undo" } else { "nothing: there are no effects" });
        return;
    }
    let mut table = Table::new(&["step!", "operation!", "to whom and how much", "opened by the answers of", "who approves"]);
    for end in &reach.finals {
        let to: Vec<String> = end.fixed_to.iter().map(|written| format!("{}: {}", written.argument, written.condition)).collect();
        let by: Vec<String> = end.opened_by.iter().map(ToString::to_string).collect();
        table.row([
            end.step.to_string(),
            end.operation.clone(),
            to.join("; "),
            if by.is_empty() { "none".to_owned() } else { by.join(", ") },
            end.approved_by.clone().unwrap_or_else(|| NOBODY.to_owned()),
        ]);
    }
    display::print(&table.to_text());
}

fn print_findings(reach: &Reach) {
    if reach.findings.is_empty() {
        return;
    }
    display::section("look at");
    for finding in &reach.findings {
        print_item(&finding.message);
    }
}
