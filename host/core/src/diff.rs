//! What changed between two versions, with what widens set apart from what narrows.
//!
//! A direction is said only where it is certain. What is different in a way of which it cannot be told is [`Direction::Changed`], and whoever
//! decides by the answer takes it for a widening.

mod agent;
mod plan;
mod schema;

pub use agent::agents;
pub use plan::plans;
pub use schema::{MAX_PLACES, schemas};

use serde::Serialize;

/// Which way something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More can be done, seen, taken or given than before.
    Wider,
    /// It is different, and it is not certain that it is not wider.
    Changed,
    /// Less can be done, seen, taken or given than before.
    Narrower,
    /// It is different, and it says nothing of what can be done: a name, a purpose.
    Noted,
}

impl Direction {
    /// Whether a reviewer has to look at it: more is possible, or that cannot be ruled out.
    pub fn may_widen(self) -> bool {
        matches!(self, Self::Wider | Self::Changed)
    }

    /// Gives the direction of the change the other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Wider => Self::Narrower,
            Self::Narrower => Self::Wider,
            other => other,
        }
    }
}

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// Which way.
    pub direction: Direction,
    /// What, from the outside in: `step mail, may notify/messages.send, calls`.
    pub what: String,
    /// How it was; `None` where it was not there.
    pub before: Option<String>,
    /// How it is; `None` where it is not there any more.
    pub after: Option<String>,
}

impl Change {
    /// Joins the parts.
    pub fn new(direction: Direction, what: impl Into<String>, before: Option<String>, after: Option<String>) -> Self {
        Self { direction, what: what.into(), before, after }
    }

    /// Puts a place before the place.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { what: if self.what.is_empty() { outer.to_owned() } else { format!("{outer}, {}", self.what) }, ..self }
    }
}

/// Whether any of the changes may widen.
pub fn may_widen(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.direction.may_widen())
}

/// What two lists do not have in common: what was added is wider, what was taken away is narrower.
fn listed(changes: &mut Vec<Change>, what: &str, before: &[String], after: &[String]) {
    for added in after.iter().filter(|item| !before.contains(item)) {
        changes.push(Change::new(Direction::Wider, what, None, Some(added.clone())));
    }
    for removed in before.iter().filter(|item| !after.contains(item)) {
        changes.push(Change::new(Direction::Narrower, what, Some(removed.clone()), None));
    }
}

/// A difference in words that says nothing of what can be done.
fn noted(changes: &mut Vec<Change>, what: &str, before: &str, after: &str) {
    if before != after {
        changes.push(Change::new(Direction::Noted, what, Some(before.to_owned()), Some(after.to_owned())));
    }
}
