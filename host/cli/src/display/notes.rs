//! Lines on standard error while something is being done.

use std::io::Write as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::fault::WIDTH;
use crate::text::{clean, shorten};

/// How often a line on a terminal is drawn again.
const TICK: Duration = Duration::from_millis(100);

/// How a line looks whose matter moves, and one whose matter rests.
const MOVES: &str = "{prefix}{spinner} {elapsed} {wide_msg}";
const RESTS: &str = "{prefix}{wide_msg}";

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

/// Has a line show that its matter moves, and for how long by now.
pub fn set_moving(bar: &ProgressBar) {
    bar.set_style(style(MOVES));
    bar.enable_steady_tick(TICK);
}

/// Has a line show that its matter rests.
pub fn set_resting(bar: &ProgressBar) {
    bar.disable_steady_tick();
    bar.set_style(style(RESTS));
}

/// Where notes go: lines that move on a terminal, plain lines otherwise.
#[derive(Debug, Clone)]
pub struct Notes {
    bars: MultiProgress,
    is_terminal: bool,
    is_quiet: bool,
}

impl Notes {
    /// Looks where standard error leads. Quiet notes show no progress; what has to be said is said nevertheless.
    pub fn new(is_quiet: bool) -> Self {
        let is_terminal = console::Term::stderr().is_term() && !is_quiet;
        let bars = MultiProgress::new();
        if !is_terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bars, is_terminal, is_quiet }
    }

    /// Whether lines can move.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Says something that has to be said.
    pub fn say(&self, line: &str) {
        let line = clean(line);
        self.bars.suspend(|| {
            // Where standard error is gone there is nobody to tell; a run goes on without its display.
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    /// Takes the moving lines away for good, and does what comes last: nothing is drawn while it goes on.
    pub fn leave(&self, last: impl FnOnce()) {
        self.bars.suspend(last);
    }

    /// Says how far something has come, unless quiet is wanted.
    pub fn tell(&self, line: &str) {
        if !self.is_quiet {
            self.say(line);
        }
    }

    /// Adds a line that moves. Without a terminal it is not seen.
    pub fn add_bar(&self) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(style(RESTS));
        bar
    }

    /// Begins something that takes a while. Without a terminal its beginning is not told.
    pub fn work(&self, what: &str) -> Work {
        self.begin(what, what.to_owned())
    }

    /// Begins something that takes long, and says why. Without a terminal its beginning is told.
    pub fn long_work(&self, what: &str, why: &str) -> Work {
        let whole = format!("{what} ({why})");
        if !self.is_terminal {
            self.tell(&whole);
        }
        // The reason gives way to what is being done just now: a line has no room for both.
        self.begin(what, whole)
    }

    fn begin(&self, what: &str, message: String) -> Work {
        let bar = self.add_bar();
        if self.is_terminal {
            set_moving(&bar);
        }
        bar.set_message(message);
        Work { notes: self.clone(), bar, what: what.to_owned() }
    }
}

/// Something that takes a while.
#[derive(Debug)]
pub struct Work {
    notes: Notes,
    bar: ProgressBar,
    what: String,
}

impl Work {
    /// Shows what is being done just now; on a terminal only.
    pub fn set(&self, detail: &str) {
        if !detail.is_empty() {
            let line = format!("{}: {}", self.what, clean(detail));
            self.bar.set_message(shorten(&line, WIDTH - 8).into_owned());
        }
    }

    /// Ends the line, with a last word where there is one.
    pub fn finish(self, last: Option<String>) {
        self.bar.finish_and_clear();
        if let Some(last) = last {
            self.notes.tell(&last);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
