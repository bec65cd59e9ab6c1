//! Between the WIT types of the world and the typed function of the author. Called by the code that the attribute writes.

use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::bailiwick::agent::types as wit;
use crate::{About, Answer, Confidence, Description, Failure, Task};

/// The most per mille that a confidence can have.
const FULL_CONFIDENCE: u16 = 1000;

/// Reads the input, calls the agent and writes the answer.
///
/// # Errors
/// The agent's failure; invalid input, with the path, when the input does not fit its type; permanent when the answer cannot be written.
pub fn run<I: DeserializeOwned, O: Serialize>(
    agent: fn(Task<I>) -> Result<Answer<O>, Failure>,
    task: wit::Task,
) -> Result<wit::Answer, wit::Failure> {
    read(task).and_then(agent).and_then(write).map_err(to_wit_failure)
}

fn read<I: DeserializeOwned>(task: wit::Task) -> Result<Task<I>, Failure> {
    let mut reader = serde_json::Deserializer::from_str(&task.input);
    let input = serde_path_to_error::deserialize(&mut reader).map_err(|problem| {
        let path = problem.path().to_string();
        // The parser's own text ends in a line and column of a JSON text that the author never sees.
        let message = problem.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        if path == "." { Failure::InvalidInput(message.to_owned()) } else { Failure::InvalidInput(format!("`{path}`: {message}")) }
    })?;
    reader.end().map_err(|_| Failure::invalid_input("the input goes on after the end of its JSON value"))?;
    let deadline = UNIX_EPOCH
        .checked_add(Duration::from_millis(task.deadline))
        .ok_or_else(|| Failure::permanent("the task's deadline is beyond what this target can express"))?;
    Ok(Task { id: task.id, run: task.run, step: task.step, attempt: task.attempt, deadline, input })
}

fn write<O: Serialize>(answer: Answer<O>) -> Result<wit::Answer, Failure> {
    let output =
        serde_json::to_string(&answer.output).map_err(|problem| Failure::Permanent(format!("the output is no JSON: {problem}")))?;
    let confidence = match answer.confidence {
        Confidence::Certain => wit::Confidence::Certain,
        Confidence::PerMille(n) if n > FULL_CONFIDENCE => {
            return Err(Failure::Permanent(format!("a confidence of {n} per mille is more than {FULL_CONFIDENCE}")));
        }
        Confidence::PerMille(n) => wit::Confidence::PerMille(n.into()),
    };
    Ok(wit::Answer { output, confidence, sources: answer.sources })
}

fn to_wit_failure(failure: Failure) -> wit::Failure {
    match failure {
        Failure::InvalidInput(text) => wit::Failure::InvalidInput(text),
        Failure::NotMine(text) => wit::Failure::NotMine(text),
        Failure::Retryable(text) => wit::Failure::Retryable(text),
        Failure::Permanent(text) => wit::Failure::Permanent(text),
        Failure::NeedsHuman(text) => wit::Failure::NeedsHuman(text),
    }
}

/// Makes the manifest: what the attribute says, and the schemas of the agent's types.
pub fn describe<I: JsonSchema, O: JsonSchema>(about: &About, _agent: fn(Task<I>) -> Result<Answer<O>, Failure>) -> Description {
    // Schemas are written out flat, so that a reviewer reads one text and a type checker follows no references.
    let schema = |settings: SchemaSettings| settings.with(|settings| settings.inline_subschemas = true).into_generator();
    let input = schema(SchemaSettings::draft2020_12().for_deserialize()).into_root_schema_for::<I>();
    let output = schema(SchemaSettings::draft2020_12().for_serialize()).into_root_schema_for::<O>();
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Description {
        name: about.name.to_owned(),
        version: about.version.to_owned(),
        purpose: about.purpose.to_owned(),
        owner: about.owner.to_owned(),
        data_level: about.data_level.to_owned(),
        risk_class: about.risk_class.to_owned(),
        review_by: about.review_by.to_owned(),
        input_schema: input.as_value().to_string(),
        output_schema: output.as_value().to_string(),
        wants: texts(about.wants),
        stubs: texts(about.stubs),
    }
}

/// Says whether a name is one that an agent can have: lower-case letters, digits and single dashes, beginning with a letter.
pub const fn is_agent_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    let mut after_dash = true;
    let mut first = true;
    while let [byte, tail @ ..] = rest {
        match byte {
            b'a'..=b'z' => after_dash = false,
            b'0'..=b'9' if !first => after_dash = false,
            b'-' if !after_dash => after_dash = true,
            _ => return false,
        }
        first = false;
        rest = tail;
    }
    !after_dash
}
