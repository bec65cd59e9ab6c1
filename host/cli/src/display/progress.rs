//! A run while it runs: one line for each step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bailiwick_core::event::{Event, StandInBy};
use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Plan;
use indicatif::ProgressBar;

use super::Notes;
use crate::text::{self, clean};

/// How often a step that runs is drawn again.
const TICK: Duration = Duration::from_millis(100);

/// The lines of a run's steps: they move on a terminal; otherwise each change is a line of its own.
pub struct Progress {
    notes: Notes,
    lines: BTreeMap<StepPath, Line>,
    /// Columns of the longest name.
    width: usize,
}

struct Line {
    bar: ProgressBar,
    started: Option<Instant>,
}

impl Progress {
    /// Makes a line for each step, in the given order.
    pub fn new(notes: &Notes, plan: &Plan, order: &[StepPath]) -> Self {
        let width = order.iter().map(|step| console::measure_text_width(step.as_str())).max().unwrap_or(0);
        let mut progress = Self { notes: notes.clone(), lines: BTreeMap::new(), width };
        for step in order {
            let bar = notes.add_bar();
            bar.set_prefix(progress.name(step));
            let needs: Vec<&str> = plan.nodes.get(step).into_iter().flat_map(|node| node.needs().keys()).map(StepPath::as_str).collect();
            bar.set_message(if needs.is_empty() { "waits".to_owned() } else { format!("waits for {}", needs.join(", ")) });
            progress.lines.insert(step.clone(), Line { bar, started: None });
        }
        progress
    }

    fn name(&self, step: &StepPath) -> String {
        console::pad_str(&clean(step.as_str()), self.width, console::Alignment::Left, None).into_owned()
    }

    /// Shows what happened.
    pub fn show(&mut self, event: &Event) {
        let Some(step) = event.step() else { return };
        let Some(said) = words(event) else { return };
        let name = self.name(step);
        let Some(line) = self.lines.get_mut(step) else { return };
        let time = match said.phase {
            Phase::Runs => {
                line.started.get_or_insert_with(Instant::now);
                None
            }
            Phase::Waits => None,
            Phase::Over => line.started.map(|started| started.elapsed()),
        };
        let time = time.map(|time| format!(" ({})", text::duration(time))).unwrap_or_default();
        let message = format!("{}{time}", clean(&said.text));
        if !self.notes.is_terminal() {
            self.notes.tell(&format!("{name}  {message}"));
            return;
        }
        line.bar.set_message(message.clone());
        match said.phase {
            Phase::Runs => line.bar.enable_steady_tick(TICK),
            Phase::Waits => {}
            Phase::Over => line.bar.finish_with_message(message),
        }
    }

    /// Leaves the lines as they stand.
    pub fn finish(self) {
        for line in self.lines.values() {
            line.bar.abandon();
        }
    }
}

enum Phase {
    Waits,
    Runs,
    Over,
}

struct Said {
    phase: Phase,
    text: String,
}

/// Says in a few words what an event means for its step.
fn words(event: &Event) -> Option<Said> {
    let said = |phase, text: String| Some(Said { phase, text });
    match event {
        Event::RunStarted { .. } | Event::RunFinished { .. } => None,
        Event::TaskStarted { agent, attempt: 1, .. } => said(Phase::Runs, format!("runs on {agent}")),
        Event::TaskStarted { agent, attempt, .. } => said(Phase::Runs, format!("runs on {agent}, attempt {attempt}")),
        Event::StepAnswered { .. } => said(Phase::Over, "done".to_owned()),
        Event::AttemptFailed { failure, .. } => said(Phase::Runs, format!("attempt failed: {failure}")),
        Event::RetryScheduled { .. } => said(Phase::Waits, "waits to try again".to_owned()),
        Event::RetryDue { .. } => None,
        Event::AlternateChosen { agent, .. } => said(Phase::Waits, format!("goes to {agent}")),
        Event::Escalated { card, .. } => said(Phase::Runs, format!("escalated to queue {}", card.queue)),
        Event::StoodIn { by: StandInBy::Partial, .. } => said(Phase::Over, "failed, a stand-in is used".to_owned()),
        Event::StoodIn { by: StandInBy::Escalate, .. } => said(Phase::Over, "waits for a person, a stand-in is used".to_owned()),
        Event::StepFailed { .. } => said(Phase::Over, "failed".to_owned()),
        Event::StepSkipped { reason, stand_in: None, .. } => said(Phase::Over, format!("skipped: {reason}")),
        Event::StepSkipped { reason, stand_in: Some(_), .. } => said(Phase::Over, format!("skipped: {reason}; a stand-in is used")),
    }
}
