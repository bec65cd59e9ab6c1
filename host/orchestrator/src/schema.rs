//! The JSON schema of workflow files, for editors.
//!
//! These types say what may be written; the loader reads the file itself, because it has to know where everything stands and how it is quoted.
//! A test holds the two together.

#![expect(dead_code, reason = "the fields are read by the schema's derive alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// Gives the JSON schema (draft 2020-12) of `workflow.yaml`.
pub fn workflow_schema() -> Value {
    schemars::schema_for!(Workflow).to_value()
}

/// A Bailiwick workflow: steps that agents do, each with exactly what it may touch, and the result that is composed of their answers.
///
/// A text that is `${ … }` as a whole is an expression, and expressions are always quoted.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Workflow {
    /// Name of the workflow: lower-case letters, digits and `-`.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
    workflow: String,
    /// Version of the workflow, in quotes: `"1.0.0"`.
    version: String,
    /// What the workflow is for, in a few words. It changes nothing.
    description: Option<String>,
    /// The input of a run.
    input: Input,
    /// Expression for whose data a run is about; it reads `input` only. Payloads are kept, found and erased under it.
    #[schemars(example = "${ input.customer }")]
    subject: Option<String>,
    /// Steps by name. A step starts as soon as the values that its expressions mention exist.
    #[schemars(length(min = 1, max = 200))]
    steps: BTreeMap<StepName, Step>,
    /// The composed result: a value with expressions in it. A step that was skipped is null here, unless it has a stand-in.
    output: Value,
}

/// Name of a step: a lower-case letter, then such letters, digits and `_`. Expressions mention the step's value by it.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transparent)]
struct StepName(#[schemars(regex(pattern = "^[a-z][a-z0-9_]{0,63}$"))] String);

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Input {
    /// Path of a JSON schema in the project, or the schema itself.
    schema: SchemaOrPath,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum SchemaOrPath {
    /// Path relative to the project folder.
    Path(String),
    /// The schema.
    Inline(BTreeMap<String, Value>),
}

/// A step that one agent does.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Step {
    /// Name of the agent.
    agent: String,
    /// The agent's input: a value with expressions in it.
    with: Option<Value>,
    /// What the step may touch; nothing if left out.
    #[schemars(length(max = 50))]
    may: Option<Vec<Grant>>,
    /// Expression in quotes, without `${ … }`: the step is skipped where it is false.
    #[schemars(example = "identity.verified && eligibility.eligible")]
    when: Option<String>,
    /// Steps that have to be settled first although no value of theirs is read. Where one of them failed, this step is skipped.
    after: Option<Vec<String>>,
    /// Longest time of one attempt, for example `800ms` or `30s`.
    #[schemars(example = "800ms")]
    timeout: Option<String>,
    /// Limits below those of the project.
    limits: Option<Limits>,
    /// The step's value where it is skipped and nothing failed. Fields may be null or left out.
    stand_in: Option<Value>,
    /// What to do when an attempt fails: the first entry that applies.
    #[schemars(length(max = 8))]
    on_error: Option<Vec<OnError>>,
}

/// A grant: one operation, within conditions.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Grant {
    /// The operation.
    #[schemars(example = "crm/customers.get")]
    call: String,
    /// Conditions by argument; an argument that is not mentioned is refused. Nested fields are named by path: `a.b`.
    #[serde(rename = "where")]
    conditions: Option<BTreeMap<String, Value>>,
    /// Whose data the answer must be: `"${ subject }"`. Checked before the agent sees it.
    owner: Option<String>,
    /// Most calls, over all attempts. By default 32 for an operation that reads, 1 for any other.
    #[schemars(range(min = 1, max = 1_000_000))]
    calls: Option<u64>,
    /// Most bytes of arguments, over all attempts. By default `256KiB`.
    #[schemars(example = "256KiB")]
    bytes_out: Option<String>,
    /// Most bytes of results, over all attempts. By default `4MiB`.
    #[schemars(example = "4MiB")]
    bytes_in: Option<String>,
    /// Whether the agent may pass it on. By default not.
    delegable: Option<bool>,
}

/// Limits of a step; each takes effect where it is below that of the project.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Limits {
    /// Instructions.
    #[schemars(range(min = 1))]
    fuel: Option<u64>,
    /// Memory, for example `16MiB`.
    memory: Option<String>,
    /// Elements of all tables.
    #[schemars(range(min = 1))]
    table_elements: Option<u64>,
    /// Calls that leave the sandbox.
    #[schemars(range(min = 1))]
    host_calls: Option<u64>,
    /// Size of the answer.
    output: Option<String>,
    /// Size of all log lines.
    log: Option<String>,
    /// Bytes that one call may copy.
    host_buffer: Option<String>,
}

/// One way to deal with a failure.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum OnError {
    /// Try again, where that is safe.
    Retry(Retry),
    /// Let another agent try, one that takes and gives the same.
    Alternate(Alternate),
    /// Go on with a stand-in; the run ends `partial`. Nothing comes after it.
    Partial(Partial),
    /// Put a briefing card before a person. Nothing comes after it.
    Escalate(Escalate),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Retry {
    /// Which failures. By default `[retryable]`.
    #[schemars(length(min = 1))]
    on: Option<Vec<RetryOn>>,
    /// How many further attempts.
    #[schemars(range(min = 1, max = 10))]
    max: u32,
    /// How long to wait before the first of them; it doubles with each, up to one minute. By default `200ms`.
    #[schemars(example = "200ms")]
    backoff: Option<String>,
    /// Whether up to a quarter is added to the wait. By default it is.
    jitter: Option<bool>,
}

/// A kind of failure.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum RetryOn {
    /// All that a later attempt may not meet again: the agent said so, it trapped, its deadline passed, or the host had no room.
    Retryable,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Alternate {
    /// Name of the agent.
    agent: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Partial {
    /// The step's value. Fields may be null or left out.
    stand_in: Value,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Escalate {
    /// Name of the queue.
    queue: String,
    /// The step's value meanwhile. Without one the step has failed.
    stand_in: Option<Value>,
}
