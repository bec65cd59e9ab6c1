//! The agent world from the host's side: the types of `bailiwick:agent@0.1.0`.

use bailiwick_core::runner::{Confidence, FailureKind};
use wasmtime::component::{ComponentType, Lift, Lower};

/// The interface that an agent exports.
pub(crate) const HANDLER: &str = "bailiwick:agent/handler@0.1.0";

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct TaskIn {
    pub id: String,
    pub run: String,
    pub step: String,
    pub attempt: u32,
    pub input: String,
    pub deadline: u64,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ConfidenceOut {
    #[component(name = "certain")]
    Certain,
    #[component(name = "per-mille")]
    PerMille(u32),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct AnswerOut {
    pub output: String,
    pub confidence: ConfidenceOut,
    pub sources: Vec<String>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum FailureOut {
    #[component(name = "invalid-input")]
    InvalidInput(String),
    #[component(name = "not-mine")]
    NotMine(String),
    #[component(name = "retryable")]
    Retryable(String),
    #[component(name = "permanent")]
    Permanent(String),
    #[component(name = "needs-human")]
    NeedsHuman(String),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct DescriptionOut {
    pub name: String,
    pub version: String,
    pub purpose: String,
    pub owner: String,
    #[component(name = "data-level")]
    pub data_level: String,
    #[component(name = "risk-class")]
    pub risk_class: String,
    #[component(name = "review-by")]
    pub review_by: String,
    #[component(name = "input-schema")]
    pub input_schema: String,
    #[component(name = "output-schema")]
    pub output_schema: String,
    pub wants: Vec<String>,
    pub stubs: Vec<String>,
}

/// Result of `run`.
pub(crate) type RunResult = (Result<AnswerOut, FailureOut>,);

impl ConfidenceOut {
    /// Gives the confidence, or `None` when it is beyond 1000.
    pub(crate) fn to_confidence(self) -> Option<Confidence> {
        match self {
            Self::Certain => Some(Confidence::Certain),
            Self::PerMille(n) => u16::try_from(n).ok().filter(|n| *n <= 1000).map(Confidence::PerMille),
        }
    }
}

impl FailureOut {
    pub(crate) fn into_parts(self) -> (FailureKind, String) {
        match self {
            Self::InvalidInput(text) => (FailureKind::InvalidInput, text),
            Self::NotMine(text) => (FailureKind::NotMine, text),
            Self::Retryable(text) => (FailureKind::Retryable, text),
            Self::Permanent(text) => (FailureKind::Permanent, text),
            Self::NeedsHuman(text) => (FailureKind::NeedsHuman, text),
        }
    }
}
