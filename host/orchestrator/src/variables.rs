//! The values of what expressions mention, from the state of a run.

use std::cell::OnceCell;

use bailiwick_core::event::SkipReason;
use bailiwick_core::ids::StepPath;
use bailiwick_core::run::{Phase, RunHead, RunState, StepState};
use bailiwick_expr::Variables;
use serde_json::{Map, Value, json};

const NULL: Value = Value::Null;

/// The variables of one run. `steps` is made when the first expression mentions it.
pub(crate) struct RunVariables<'s> {
    state: &'s RunState,
    head: &'s RunHead,
    subject: Option<Value>,
    run: Value,
    steps: OnceCell<Value>,
}

impl<'s> RunVariables<'s> {
    pub(crate) fn new(state: &'s RunState, head: &'s RunHead) -> Self {
        let subject = head.subject.as_ref().map(|subject| json!(subject.as_str()));
        Self { state, head, subject, run: json!({"id": head.run.as_str()}), steps: OnceCell::new() }
    }

    fn steps(&self) -> &Value {
        self.steps.get_or_init(|| {
            let steps = self.state.steps().iter().map(|(name, step)| (name.as_str().to_owned(), told(step)));
            Value::Object(steps.collect::<Map<_, _>>())
        })
    }
}

impl Variables for RunVariables<'_> {
    fn variable(&self, name: &str) -> Option<&Value> {
        match name {
            "input" => Some(&self.head.input),
            "subject" => self.subject.as_ref(),
            "run" => Some(&self.run),
            "steps" => Some(self.steps()),
            step => {
                let step = self.state.step(&StepPath::from(step))?;
                // Only what is settled is mentioned; without a value it is null.
                step.phase.is_settled().then(|| step.value.as_ref().unwrap_or(&NULL))
            }
        }
    }
}

/// What `steps.NAME` says of a step.
fn told(step: &StepState) -> Value {
    json!({
        "status": step.phase.status(),
        "confidence": step.confidence().map(|confidence| confidence.to_per_mille()),
        "error": reason(step),
        "as-of": step.as_of(),
    })
}

/// Says why a step has no answer of its own.
pub(crate) fn reason(step: &StepState) -> Option<String> {
    match &step.phase {
        Phase::Skipped { reason } => Some(reason.to_string()),
        Phase::Answered => None,
        _ => step.failures.last().map(|tried| tried.failure.to_string()),
    }
}

/// Says why a step that needs another one without a value is skipped.
pub(crate) fn skip_reason(need: &StepPath, state: &StepState) -> SkipReason {
    match state.is_lost_to_failure() {
        true => SkipReason::NeedsFailed { step: need.clone() },
        false => SkipReason::NeedsSkipped { step: need.clone() },
    }
}

/// Variables before a run has a state: only the input is there.
pub(crate) struct InputVariables<'v>(pub &'v Value);

impl Variables for InputVariables<'_> {
    fn variable(&self, name: &str) -> Option<&Value> {
        (name == "input").then_some(self.0)
    }
}
