//! A run while it runs: one line for each step.

use std::collections::BTreeMap;
use std::time::Instant;

use bailiwick_core::event::{Event, StandInBy};
use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Plan;
use indicatif::ProgressBar;

use super::Notes;
use super::notes::{set_moving, set_resting};
use crate::text::{self, clean};

/// The lines of a run's steps: they move on a terminal; otherwise each change is a line of its own.
pub struct Progress {
    notes: Notes,
    lines: BTreeMap<StepPath, Line>,
    order: Vec<StepPath>,
    /// Columns of the longest name.
    width: usize,
}

struct Line {
    bar: ProgressBar,
    started: Option<Instant>,
    /// What was said last.
    said: String,
    is_over: bool,
}

impl Progress {
    /// Makes a line for each step, in the given order.
    pub fn new(notes: &Notes, plan: &Plan, order: &[StepPath]) -> Self {
        let width = order.iter().map(|step| console::measure_text_width(step.as_str())).max().unwrap_or(0);
        let mut progress = Self { notes: notes.clone(), lines: BTreeMap::new(), order: order.to_vec(), width };
        for step in order {
            let bar = notes.add_bar();
            bar.set_prefix(format!("{}  ", progress.name(step)));
            let needs: Vec<&str> = plan.nodes.get(step).into_iter().flat_map(|node| node.needs().keys()).map(StepPath::as_str).collect();
            bar.set_message(if needs.is_empty() { "waits".to_owned() } else { format!("waits for {}", needs.join(", ")) });
            progress.lines.insert(step.clone(), Line { bar, started: None, said: "waits".to_owned(), is_over: false });
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
                line.started.get_or_insert_with(|| {
                    line.bar.reset_elapsed();
                    Instant::now()
                });
                None
            }
            Phase::Waits => None,
            Phase::Over => line.started.map(|started| started.elapsed()),
        };
        let time = time.map(|time| format!(" ({})", text::duration(time))).unwrap_or_default();
        let message = format!("{}{time}", clean(&said.text));
        line.said.clone_from(&message);
        line.is_over = matches!(said.phase, Phase::Over);
        if !self.notes.is_terminal() {
            self.notes.tell(&format!("{name}  {message}"));
            return;
        }
        // The look comes first: a line is drawn when its message changes.
        match said.phase {
            Phase::Runs => set_moving(&line.bar),
            Phase::Waits | Phase::Over => set_resting(&line.bar),
        }
        line.bar.set_message(message);
    }

    /// Shows what a step's agent says of its own progress; on a terminal only.
    pub fn hear(&mut self, step: &StepPath, message: &str) {
        let Some(line) = self.lines.get(step).filter(|line| !line.is_over) else { return };
        line.bar.set_message(format!("{}: {}", line.said, clean(message)));
    }

    /// Writes the lines down as they stand; those that move are cleared first, so that whatever is printed next begins a line of its own. In a run that
    /// was stopped, what was not over is told to have ended by that.
    pub fn finish(self, is_stopped: bool) {
        self.lines.values().for_each(|line| line.bar.finish_and_clear());
        for (step, line) in self.order.iter().filter_map(|step| Some((step, self.lines.get(step)?))) {
            let said = match (line.is_over, line.started) {
                (false, Some(started)) if is_stopped => &format!("stopped ({})", text::duration(started.elapsed())),
                (false, None) if is_stopped => "not started",
                _ => line.said.as_str(),
            };
            // Without a terminal every change has had its line already.
            if self.notes.is_terminal() || is_stopped && !line.is_over {
                self.notes.tell(&format!("{}  {said}", self.name(step)));
            }
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
