//! What goes into an agent, what comes out, and what the attribute makes of a function.

use std::time::SystemTime;

use crate::Description;
use crate::bindings::bailiwick::agent::types as wit;

/// One delegated piece of work, with its input already read.
#[derive(Debug, Clone, PartialEq)]
pub struct Task<I> {
    /// Id of this task; a retry of the same step is a new task.
    pub id: String,
    /// Id of the run that the task belongs to.
    pub run: String,
    /// Path of the step in the workflow, for example `eligibility`.
    pub step: String,
    /// Which try of the step this is, from 1.
    pub attempt: u32,
    /// When the host will end the task.
    pub deadline: SystemTime,
    /// The input.
    pub input: I,
}

/// How sure an agent is of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// The agent applied rules to facts; there is nothing to be unsure about.
    Certain,
    /// Per mille, 0 to 1000. A task whose answer has more than 1000 fails as [`Failure::Permanent`].
    PerMille(u16),
}

/// What an agent gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<O> {
    /// The output. The host checks it against the output schema before anyone else sees it.
    pub output: O,
    /// How sure the agent is.
    pub confidence: Confidence,
    /// What the agent says its answer rests on. A claim: the host adds the calls that it recorded itself.
    pub sources: Vec<String>,
}

impl<O> Answer<O> {
    /// Makes an answer that follows from rules and facts.
    pub fn certain(output: O) -> Self {
        Self { output, confidence: Confidence::Certain, sources: Vec::new() }
    }

    /// Makes an answer with a confidence in per mille, 0 to 1000. More than 1000 fails the task: it is not cut to 1000, because a
    /// wrong number must not look like certainty.
    pub fn confident(per_mille: u16, output: O) -> Self {
        Self { output, confidence: Confidence::PerMille(per_mille), sources: Vec::new() }
    }

    /// Adds something that the answer rests on, for example `ruleset returns 3`.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.sources.push(source.into());
        self
    }
}

/// Why a task gave no answer. The text is for people and for the ledger; the case decides what the workflow does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The input makes no sense to the agent. The SDK gives it when the input does not fit its type.
    InvalidInput(String),
    /// The work belongs to another agent.
    NotMine(String),
    /// A later attempt may succeed, for example because a system could not be reached.
    Retryable(String),
    /// No attempt will succeed.
    Permanent(String),
    /// A person has to decide.
    NeedsHuman(String),
}

impl Failure {
    /// Makes [`Failure::InvalidInput`].
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::InvalidInput(message.into())
    }

    /// Makes [`Failure::NotMine`].
    pub fn not_mine(message: impl Into<String>) -> Self {
        Self::NotMine(message.into())
    }

    /// Makes [`Failure::Retryable`].
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable(message.into())
    }

    /// Makes [`Failure::Permanent`].
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }

    /// Makes [`Failure::NeedsHuman`].
    pub fn needs_human(message: impl Into<String>) -> Self {
        Self::NeedsHuman(message.into())
    }

    /// Borrows the text.
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidInput(text) | Self::NotMine(text) | Self::Retryable(text) | Self::Permanent(text) | Self::NeedsHuman(text) => text,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let case = match self {
            Self::InvalidInput(_) => "invalid input",
            Self::NotMine(_) => "not mine",
            Self::Retryable(_) => "retryable",
            Self::Permanent(_) => "permanent",
            Self::NeedsHuman(_) => "needs a person",
        };
        write!(f, "{case}: {}", self.message())
    }
}

impl std::error::Error for Failure {}

/// What the attribute says about an agent; the schemas are added from the types of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Name, lower case with dashes.
    pub name: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// What the agent is for, in one sentence.
    pub purpose: &'static str,
    /// Who answers for it: a team or a mail address.
    pub owner: &'static str,
    /// Highest class of data that it is meant to see: `public`, `internal`, `personal` or `secret`.
    pub data_level: &'static str,
    /// How much harm a wrong answer does: `low`, `medium` or `high`.
    pub risk_class: &'static str,
    /// When the agent is to be reviewed next, as `YYYY-MM-DD`, or empty.
    pub review_by: &'static str,
    /// Operations that the agent may call, for example `crm/customers.get`.
    pub wants: &'static [&'static str],
    /// WASI interfaces that the toolchain imports and the agent never uses.
    pub stubs: &'static [&'static str],
}

/// An agent. The attribute implements it for a type that has the name of the function.
pub trait Agent {
    /// Gives the manifest, with the JSON schemas of input and output.
    fn describe() -> Description;

    /// Does one task in the form in which the host gives it.
    ///
    /// # Errors
    /// The failure that the author's function gave; invalid input when the input does not fit its type.
    #[doc(hidden)]
    fn run(task: wit::Task) -> Result<wit::Answer, wit::Failure>;
}

/// Exports an agent from its component. The attribute writes this; it is of no use elsewhere.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($agent:ident) => {
        struct Export;

        impl $crate::bindings::exports::bailiwick::agent::handler::Guest for Export {
            fn run(
                task: $crate::bindings::bailiwick::agent::types::Task,
            ) -> ::core::result::Result<
                $crate::bindings::bailiwick::agent::types::Answer,
                $crate::bindings::bailiwick::agent::types::Failure,
            > {
                <$agent as $crate::Agent>::run(task)
            }

            fn describe() -> $crate::Description {
                <$agent as $crate::Agent>::describe()
            }
        }

        $crate::bindings::export_agent!(Export with_types_in $crate::bindings);
    };
}
