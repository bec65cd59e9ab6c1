//! `bailiwick agents inspect`: one page about an agent, nothing of which runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::AgentRunner as _;
use bailiwick_core::capability::{Effect, Label, Operation};
use bailiwick_core::policy::Prospect;
use bailiwick_core::runner::AgentInfo;
use bailiwick_orchestrator::reach::{StepReach, given, taken, undo};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use crate::args::InspectArgs;
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Result};
use crate::foresee::{KnownAgents, Still};
use crate::{text, wire};

use super::reach::{classes_text, print_step, word};

/// One operation of the project, as far as the agent is concerned.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    operation: Arc<str>,
    /// What is not imported is not linked: it cannot be called whatever grants and policies say.
    imported: bool,
    effect: Effect,
    gives: BTreeSet<Label>,
    takes: BTreeSet<Label>,
    undo: Option<String>,
    policy: Prospect,
}

/// When an agent is to be reviewed.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Review {
    by: Option<String>,
    overdue: Option<bool>,
    text: String,
}

/// Says what an agent is for and what it can reach.
pub fn inspect(args: &InspectArgs) -> Result<Exit> {
    let still = Still::open_for_agent(&args.place, &[&args.agent])?;
    let (info, steps) = wire::io_runtime()?.block_on(async {
        let info = still.find(&args.agent).await?;
        let steps = if still.project.agents.is_empty() { None } else { steps(&still, &info).await };
        Ok((info, steps))
    })?;
    let rows: Vec<Row> = still.catalog.iter().map(|operation| row(&still, &info, operation)).collect();
    let review = review(&info.review_by, Timestamp::now().to_zoned(TimeZone::UTC).date());
    if args.place.json {
        display::print_json(&json!({
            "exit": Exit::Done.name(),
            "agent": info,
            "review": review,
            "policy": still.policy_json(),
            "operations": rows,
            "hosts": [],
            "steps": steps,
        }));
    } else {
        print_about(&still, &info, &review);
        print_operations(&rows);
        print_steps(&info, steps.as_deref());
        display::section("takes");
        display::print(&fields(&info.input_schema));
        display::section("gives");
        display::print(&fields(&info.output_schema));
    }
    Ok(Exit::Done)
}

/// Finds the steps of the project's workflow whose agent this is. A project that cannot be looked at whole is no reason to say nothing of an agent.
async fn steps(still: &Still, info: &Arc<AgentInfo>) -> Option<Vec<StepReach>> {
    let looked = async {
        // As the project would run them: the agent may be another version there.
        let agents: KnownAgents = still.agents().await?;
        let workflow = still.workflow(&agents, None)?;
        Ok::<_, crate::fault::Fault>((still.reach(&agents, &workflow), agents.agent(&info.name)))
    };
    match looked.await {
        Ok((reach, same)) => {
            if let Some(other) = same.filter(|other| other.component != info.component) {
                let message = format!(
                    "the project runs {}@{} ({}): what its steps give is said of that one",
                    other.name, other.version, other.component
                );
                display::diagnoses(&[Diagnosis::new(message).into_warning()]);
            }
            Some(reach.steps.into_iter().filter(|step| step.agents.contains(&info.name)).collect())
        }
        Err(fault) => {
            let message = "what the project's steps give is not shown: the project cannot be looked at whole";
            let mut warnings = vec![Diagnosis::new(message).into_warning()];
            warnings.extend(fault.diagnoses.into_iter().map(Diagnosis::into_warning));
            display::diagnoses(&warnings);
            None
        }
    }
}

fn row(still: &Still, info: &AgentInfo, operation: &Operation) -> Row {
    Row {
        operation: Arc::clone(&operation.short),
        imported: info.imports.iter().any(|import| **import == *operation.full),
        effect: operation.spec.effect,
        gives: given(operation),
        takes: taken(operation),
        undo: undo(operation),
        policy: still.prospect(info, operation, None, None),
    }
}

fn review(by: &str, today: Date) -> Review {
    if by.is_empty() {
        return Review { by: None, overdue: None, text: "– (it names no date)".to_owned() };
    }
    let (overdue, text) = match by.parse::<Date>() {
        Ok(date) if date < today => (Some(true), format!("{by}, OVERDUE by {}", text::number_of(days(date, today), "day"))),
        Ok(_) => (Some(false), by.to_owned()),
        Err(_) => (None, format!("{by} (no date: `YYYY-MM-DD` is meant)")),
    };
    Review { by: Some(by.to_owned()), overdue, text }
}

fn days(from: Date, to: Date) -> usize {
    (to - from).get_days().unsigned_abs() as usize
}

fn print_about(still: &Still, info: &AgentInfo, review: &Review) {
    let list = |items: &[String]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    display::print(&display::heading(&format!("{}@{}", info.name, info.version)));
    display::print_block(&[
        ("purpose", info.purpose.clone()),
        ("owner", info.owner.clone()),
        ("data level", info.data_level.clone()),
        ("risk class", info.risk_class.clone()),
        ("review by", review.text.clone()),
        ("component", info.component.to_string()),
        ("policy", still.policy_text()),
        ("hosts", "none: no operation of this agent names one".to_owned()),
        ("ambient", format!("{} (served by the host, reaching nothing outside)", list(&info.ambient))),
        ("stubs", if info.stubs.is_empty() { "nothing".to_owned() } else { format!("{} (linked as always denied)", list(&info.stubs)) }),
    ]);
}

fn print_operations(rows: &[Row]) {
    display::section("what it can call, where a step grants it");
    let imported: Vec<&Row> = rows.iter().filter(|row| row.imported).collect();
    if imported.is_empty() {
        display::print("nothing: it imports no operation");
    } else {
        let mut table = Table::new(&["operation!", "effect", "gives", "takes", "undo", "policy"]);
        for row in imported {
            table.row([
                row.operation.to_string(),
                row.effect.to_string(),
                classes_text(&row.gives),
                classes_text(&row.takes),
                undo_text(row).to_owned(),
                word(&row.policy),
            ]);
        }
        display::print(&table.to_text());
    }
    let others = rows.iter().filter(|row| !row.imported).count();
    display::print(&format!(
        "It imports none of the project's {}: they cannot be called, whatever a step grants.",
        text::number_of(others, "other operation")
    ));
}

fn undo_text(row: &Row) -> &'static str {
    match (row.effect, row.undo.as_deref()) {
        (Effect::Read, _) => "–",
        (Effect::Final, _) | (Effect::Write, None | Some("none")) => "no",
        (Effect::Write, Some(_)) => "yes",
    }
}

fn print_steps(info: &AgentInfo, steps: Option<&[StepReach]>) {
    let Some(steps) = steps else { return };
    display::section("what the project's workflow gives it");
    if steps.is_empty() {
        display::print("nothing: no step names it");
    }
    for step in steps {
        print_step(step, Some(&info.name));
    }
}

/// The fields of a schema's object with their types; `--json` gives the whole schema.
fn fields(schema: &serde_json::Value) -> String {
    let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) else {
        return "anything (see `--json`)".to_owned();
    };
    let required: Vec<&str> =
        schema.get("required").and_then(|r| r.as_array()).into_iter().flatten().filter_map(|name| name.as_str()).collect();
    let mut table = Table::new(&["field", "type", "", "meaning"]);
    for (name, property) in properties {
        let ty = match property.get("type") {
            Some(serde_json::Value::String(ty)) => ty.clone(),
            Some(serde_json::Value::Array(types)) => types.iter().filter_map(|ty| ty.as_str()).collect::<Vec<_>>().join(" or "),
            _ => "see --json".to_owned(),
        };
        let needed = if required.contains(&name.as_str()) { "" } else { "optional" };
        let meaning = property.get("description").and_then(|text| text.as_str()).unwrap_or_default();
        table.row([name.clone(), ty, needed.to_owned(), meaning.to_owned()]);
    }
    table.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_overdue_from_the_day_after_its_date() {
        let today = "2026-11-25".parse().unwrap();
        for (by, overdue, text) in [
            ("2026-11-26", Some(false), "2026-11-26"),
            ("2026-11-25", Some(false), "2026-11-25"),
            ("2026-11-24", Some(true), "2026-11-24, OVERDUE by 1 day"),
            ("2025-11-25", Some(true), "2025-11-25, OVERDUE by 365 days"),
            ("soon", None, "soon (no date: `YYYY-MM-DD` is meant)"),
            ("", None, "– (it names no date)"),
        ] {
            let found = review(by, today);
            assert_eq!((found.overdue, found.text.as_str()), (overdue, text));
        }
    }
}
