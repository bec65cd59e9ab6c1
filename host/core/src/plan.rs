//! The plan of a workflow: all that runs, and nothing that does not.
//!
//! A workflow file is compiled to a plan. Events refer to its digest, and it is what a reviewer signs off, so it holds everything that
//! changes behaviour (expressions as text, edges, grants, limits, failure handling, the schemas that values are checked against), in an order that
//! does not depend on the file. Comments, descriptions and the order of keys are not in it. Another front end is another compiler to the same plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Budgets;
use crate::canonical;
use crate::capability::{Dedupe, Effect, FieldPath, OperationId};
use crate::ids::{AgentName, Digest, StepPath, WorkflowName};
use crate::limits::{ByteCount, Limits, Span};

/// Version of the plan's form, written into each.
pub const PLAN_FORMAT: u32 = 1;

/// A workflow, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub plan_format: u32,
    /// Name of the workflow.
    pub workflow: WorkflowName,
    /// Version of the workflow.
    pub version: String,
    /// JSON schema of the run's input.
    pub input_schema: Value,
    /// Expression for whose data a run is about; it reads `input` only.
    pub subject: Option<ValueTemplate>,
    /// Steps by name.
    pub nodes: BTreeMap<StepPath, Node>,
    /// The composed result.
    pub output: ValueTemplate,
}

impl Plan {
    /// Computes the digest under which events refer to the plan: that of its canonical bytes.
    ///
    /// # Errors
    /// When the plan has no JSON form, which no plan made by the loader lacks.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(canonical::digest(&serde_json::to_value(self)?))
    }
}

/// One node of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "node", rename_all = "kebab-case")]
pub enum Node {
    /// A step that one agent does.
    Agent(Box<AgentNode>),
}

impl Node {
    /// Gives the steps that have to be settled before this one starts, and why.
    pub fn needs(&self) -> &BTreeMap<StepPath, Edge> {
        match self {
            Self::Agent(node) => &node.needs,
        }
    }
}

/// A step that one agent does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgentNode {
    /// The agent.
    pub agent: AgentName,
    /// What the agent took when the plan was made; inputs are checked against it.
    pub input_schema: Value,
    /// What the agent gave when the plan was made; answers, of later versions too, are checked against it.
    pub output_schema: Value,
    /// The input.
    pub with: ValueTemplate,
    /// What the step gives.
    pub may: Vec<GrantTemplate>,
    /// Expression that says whether the step runs at all.
    pub when: Option<String>,
    /// The steps that have to be settled first.
    pub needs: BTreeMap<StepPath, Edge>,
    /// Longest time for one attempt.
    pub timeout: Option<Span>,
    /// Limits below those of the project.
    pub limits: StepLimits,
    /// The step's value where `when` is false.
    pub stand_in: Option<ValueTemplate>,
    /// What to do when an attempt fails: the first that applies.
    pub on_error: Vec<OnError>,
}

/// Why a step waits for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// It reads only how the other one ended, so it waits for the end, whatever it is.
    State,
    /// It is written after it: it waits for the end, and does not run if the other one failed.
    After,
    /// It reads the other one's value: it does not run where there is none.
    Value,
}

/// A value with expressions in it, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueTemplate {
    /// A value without expressions.
    Value(Value),
    /// An expression.
    Expression(String),
    /// A list with at least one expression in it.
    List(Vec<ValueTemplate>),
    /// An object with at least one expression in it.
    Object(BTreeMap<String, ValueTemplate>),
}

impl ValueTemplate {
    /// Writes it as in a workflow file, in one line.
    pub fn to_text(&self) -> String {
        match self {
            Self::Value(Value::String(text)) => text.clone(),
            Self::Value(value) => value.to_string(),
            Self::Expression(source) => format!("${{ {source} }}"),
            Self::List(items) => format!("[{}]", items.iter().map(Self::to_text).collect::<Vec<_>>().join(", ")),
            Self::Object(entries) => {
                format!(
                    "{{ {} }}",
                    entries.iter().map(|(name, value)| format!("{name}: {}", value.to_text())).collect::<Vec<_>>().join(", ")
                )
            }
        }
    }
}

/// A grant that a step gives, before its expressions have values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GrantTemplate {
    /// The operation.
    pub operation: OperationId,
    /// What the operation does outside.
    pub effect: Effect,
    /// How a repeat is recognised; an operation whose repeats are not is never tried again once it may have happened.
    pub dedupe: Option<Dedupe>,
    /// Conditions by argument path; all of one path must hold.
    pub conditions: BTreeMap<FieldPath, Vec<ConditionTemplate>>,
    /// Whose data an answer must be.
    pub owner: Option<ValueTemplate>,
    /// How much, over all attempts.
    pub budgets: Budgets,
    /// Whether it may be passed on.
    pub delegable: bool,
}

/// A condition of a grant, before its expressions have values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionTemplate {
    /// Anything.
    Any,
    /// Equal to this value.
    Equals(ValueTemplate),
    /// Equal to one of the values of this list.
    In(ValueTemplate),
    /// At most this whole number.
    Max(ValueTemplate),
    /// At least this whole number.
    Min(ValueTemplate),
    /// A text that starts so.
    Prefix(ValueTemplate),
    /// This host name.
    Host(ValueTemplate),
    /// This path of a web address, or one below it.
    Path(ValueTemplate),
    /// Records whose names are in this list.
    Names(ValueTemplate),
}

impl ConditionTemplate {
    /// Borrows the value that the condition compares with; `any` has none.
    pub fn value(&self) -> Option<&ValueTemplate> {
        match self {
            Self::Any => None,
            Self::Equals(value)
            | Self::In(value)
            | Self::Max(value)
            | Self::Min(value)
            | Self::Prefix(value)
            | Self::Host(value)
            | Self::Path(value)
            | Self::Names(value) => Some(value),
        }
    }

    /// Writes it for people: the value, or the word of the condition and the value.
    pub fn to_text(&self) -> String {
        let word = match self {
            Self::Any => return "any".to_owned(),
            Self::Equals(value) => return value.to_text(),
            Self::In(_) => "in",
            Self::Max(_) => "max",
            Self::Min(_) => "min",
            Self::Prefix(_) => "prefix",
            Self::Host(_) => "host",
            Self::Path(_) => "path",
            Self::Names(_) => "names",
        };
        format!("{word} {}", self.value().map(ValueTemplate::to_text).unwrap_or_default())
    }
}

/// What to do when an attempt fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Try again, where that is safe.
    Retry {
        /// Which failures.
        on: Vec<RetryOn>,
        /// How many further attempts, at most 10.
        max: u32,
        /// How long to wait before the first of them; it doubles with each, up to one minute.
        backoff: Span,
        /// Whether up to a quarter is added to the wait, so that many runs do not come back at once.
        jitter: bool,
    },
    /// Let another agent try.
    Alternate {
        /// The agent.
        agent: AgentName,
        /// What it took when the plan was made.
        input_schema: Value,
    },
    /// Go on with a stand-in; the run ends `partial`.
    Partial {
        /// The step's value.
        stand_in: ValueTemplate,
    },
    /// Put a briefing card before a person.
    Escalate {
        /// The queue.
        queue: String,
        /// The step's value meanwhile; without one the step has failed.
        stand_in: Option<ValueTemplate>,
    },
}

/// Failures that a retry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// All that a later attempt may not meet again: the agent said so, it trapped, its deadline passed, or the host had no room.
    Retryable,
}

/// Limits of a step; each takes effect where it is below that of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepLimits {
    /// [`Limits::fuel`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// [`Limits::memory`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteCount>,
    /// [`Limits::table_elements`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<u64>,
    /// [`Limits::host_calls`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<u64>,
    /// [`Limits::output`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<ByteCount>,
    /// [`Limits::log`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<ByteCount>,
    /// [`Limits::host_buffer`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_buffer: Option<ByteCount>,
}

impl StepLimits {
    /// Gives the smaller of each limit; a step never raises a limit of the project.
    pub fn within(&self, limits: Limits) -> Limits {
        let least = |own: Option<u64>, project: u64| own.map_or(project, |own| own.min(project));
        let least_bytes = |own: Option<ByteCount>, project: ByteCount| own.map_or(project, |own| own.min(project));
        Limits {
            fuel: least(self.fuel, limits.fuel),
            memory: least_bytes(self.memory, limits.memory),
            table_elements: least(self.table_elements, limits.table_elements),
            deadline: limits.deadline,
            host_calls: least(self.host_calls, limits.host_calls),
            output: least_bytes(self.output, limits.output),
            log: least_bytes(self.log, limits.log),
            host_buffer: least_bytes(self.host_buffer, limits.host_buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(agent: &str) -> Node {
        Node::Agent(Box::new(AgentNode {
            agent: agent.into(),
            input_schema: json!({}),
            output_schema: json!({}),
            with: ValueTemplate::Expression("input".to_owned()),
            may: Vec::new(),
            when: None,
            needs: BTreeMap::new(),
            timeout: Some(Span::millis(800)),
            limits: StepLimits::default(),
            stand_in: None,
            on_error: vec![OnError::Partial { stand_in: ValueTemplate::Value(json!(null)) }],
        }))
    }

    fn plan(steps: &[&str]) -> Plan {
        Plan {
            plan_format: PLAN_FORMAT,
            workflow: "w".into(),
            version: "1".to_owned(),
            input_schema: json!({"type": "object"}),
            subject: None,
            nodes: steps.iter().map(|name| ((*name).into(), node(name))).collect(),
            output: ValueTemplate::Value(json!({})),
        }
    }

    #[test]
    fn a_plan_reads_back_with_the_same_digest() {
        let plan = plan(&["a", "b"]);
        let again: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
        assert_eq!(again.digest().unwrap(), plan.digest().unwrap());
    }

    #[test]
    fn the_digest_ignores_order_and_sees_everything_else() {
        let base = plan(&["a", "b"]).digest().unwrap();
        assert_eq!(plan(&["b", "a"]).digest().unwrap(), base);
        assert_ne!(plan(&["a"]).digest().unwrap(), base);
        let mut other = plan(&["a", "b"]);
        let Some(Node::Agent(node)) = other.nodes.get_mut(&"a".into()) else { panic!("an agent") };
        node.timeout = None;
        assert_ne!(other.digest().unwrap(), base);
        // A text that looks like an expression is not one.
        let mut text = plan(&["a", "b"]);
        text.output = ValueTemplate::Value(json!("input"));
        let mut expression = plan(&["a", "b"]);
        expression.output = ValueTemplate::Expression("input".to_owned());
        assert_ne!(text.digest().unwrap(), expression.digest().unwrap());
    }

    #[test]
    fn a_step_never_raises_a_limit() {
        let project = Limits::default();
        let step = StepLimits { fuel: Some(10), memory: Some(ByteCount::mib(512)), ..StepLimits::default() };
        let limits = step.within(project);
        assert_eq!(limits.fuel, 10);
        assert_eq!(limits.memory, project.memory);
    }

    #[test]
    fn the_stronger_edge_is_the_greater() {
        assert!(Edge::Value > Edge::After && Edge::After > Edge::State);
    }
}
