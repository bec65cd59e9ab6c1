//! Runs an agent as the host would, on the author's machine: JSON in, JSON out.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::bailiwick::agent::types as wit;
use crate::{Answer, Confidence, Failure, Task};

/// The deadline of a test's task, after the time that the fakes give.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs an agent on an input, against the fakes that are in force. Input and output pass as JSON text, so the names and forms that the
/// host sees are tested too.
///
/// # Errors
/// The failure that the agent gives, or invalid input when the input does not fit its type.
pub fn run<I: DeserializeOwned, O: Serialize>(
    agent: fn(Task<I>) -> Result<Answer<O>, Failure>,
    input: impl Serialize,
) -> Result<Answer<Value>, Failure> {
    let input = serde_json::to_string(&input).map_err(|problem| Failure::InvalidInput(problem.to_string()))?;
    let deadline = crate::task::now() + DEADLINE;
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let task = wit::Task {
        id: "task-test".to_owned(),
        run: "run-test".to_owned(),
        step: "test".to_owned(),
        attempt: 1,
        input,
        deadline: u64::try_from(deadline).unwrap_or(u64::MAX),
    };
    crate::serve::run(agent, task).map_err(from_wit_failure).and_then(from_wit_answer)
}

fn from_wit_answer(answer: wit::Answer) -> Result<Answer<Value>, Failure> {
    let output = serde_json::from_str(&answer.output).map_err(|problem| Failure::Permanent(problem.to_string()))?;
    let confidence = match answer.confidence {
        wit::Confidence::Certain => Confidence::Certain,
        wit::Confidence::PerMille(n) => Confidence::PerMille(u16::try_from(n).unwrap_or(u16::MAX)),
    };
    Ok(Answer { output, confidence, sources: answer.sources })
}

fn from_wit_failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::InvalidInput(text) => Failure::InvalidInput(text),
        wit::Failure::NotMine(text) => Failure::NotMine(text),
        wit::Failure::Retryable(text) => Failure::Retryable(text),
        wit::Failure::Permanent(text) => Failure::Permanent(text),
        wit::Failure::NeedsHuman(text) => Failure::NeedsHuman(text),
    }
}
