//! What expressions can mention, and its types: the same for the loader and for a plan that is read back.

use std::collections::BTreeMap;

use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Edge;
use bailiwick_expr::{Bounds, Env, Mention, Template, Type};

/// The bounds of every expression of a workflow.
pub(crate) fn bounds() -> Bounds {
    Bounds::default()
}

/// Everything that the expressions of one workflow can mention.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    input: Type,
    has_subject: bool,
    steps: BTreeMap<StepPath, StepTypes>,
}

#[derive(Debug, Clone)]
struct StepTypes {
    value: Type,
    /// Whether the step may have no value although nothing failed.
    may_lack: bool,
}

/// From where an expression looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// `subject`: nothing but the input is there.
    Input,
    /// Stand-ins and owners: what is there whatever happened to other steps.
    Given,
    /// `when`, `with` and `may`: other steps' values too.
    Step,
    /// `output`: every step is settled, and some have no value.
    Output,
}

impl Scope {
    /// Makes a scope in which nothing is known of the steps' values yet.
    pub(crate) fn new(input: Type, has_subject: bool, steps: impl IntoIterator<Item = StepPath>) -> Self {
        let steps = steps.into_iter().map(|step| (step, StepTypes { value: Type::Any, may_lack: false })).collect();
        Self { input: input.closed(), has_subject, steps }
    }

    /// Says what the value of a step is: the agent's output, or one of its stand-ins.
    pub(crate) fn set_value(&mut self, step: &StepPath, output: Type, stand_ins: impl IntoIterator<Item = Type>) {
        if let Some(types) = self.steps.get_mut(step) {
            types.value = stand_ins.into_iter().fold(output.closed(), Type::join);
        }
    }

    /// Says which steps may have no value in `output`. A step of which nothing is said could not be read: one mistake is enough.
    pub(crate) fn set_lacking(&mut self, lacking: &BTreeMap<StepPath, bool>) {
        for (step, types) in &mut self.steps {
            types.may_lack = lacking.get(step).copied().unwrap_or(false);
        }
    }

    pub(crate) fn has_subject(&self) -> bool {
        self.has_subject
    }

    pub(crate) fn is_step(&self, name: &str) -> bool {
        self.steps.contains_key(&StepPath::from(name))
    }

    pub(crate) fn step_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.steps.keys().map(StepPath::as_str)
    }

    /// Gives the variables.
    pub(crate) fn env(&self, view: View) -> Env {
        let mut env = Env::new().with("input", self.input.clone());
        if view == View::Input {
            return env;
        }
        if self.has_subject {
            env.insert("subject", Type::String);
        }
        env.insert("run", Type::object([("id", Type::String)]));
        env.insert("steps", Type::object(self.steps.keys().map(|step| (step.as_str(), step_state()))));
        if matches!(view, View::Step | View::Output) {
            for (step, types) in &self.steps {
                let lacks = view == View::Output && types.may_lack;
                env.insert(step.as_str(), if lacks { types.value.clone().nullable() } else { types.value.clone() });
            }
        }
        env
    }

    /// Gives the steps whose state an expression reads: all, where it reads `steps` as a whole.
    pub(crate) fn states_read(&self, template: &Template) -> Vec<StepPath> {
        let mentions = template.mentions();
        let of_states = mentions.iter().filter(|mention| mention.root == "steps");
        of_states
            .flat_map(|mention| match mention.path.first() {
                Some(step) => vec![StepPath::from(step.as_str())],
                None => self.steps.keys().cloned().collect(),
            })
            .collect()
    }

    /// Gives the edge that a mention makes, and to which step; `None` where it mentions no step.
    pub(crate) fn edge(&self, mention: &Mention) -> Option<(StepPath, Edge)> {
        if mention.root == "steps" {
            return mention.path.first().map(|step| (StepPath::from(step.as_str()), Edge::State));
        }
        self.is_step(&mention.root).then(|| (StepPath::from(mention.root.as_str()), Edge::Value))
    }
}

/// What `steps.NAME` says.
fn step_state() -> Type {
    Type::object([
        ("status", Type::String),
        ("confidence", Type::Int.nullable()),
        ("error", Type::String.nullable()),
        ("as-of", Type::String.nullable()),
    ])
}

/// Says which steps may have no value although nothing failed: those with a `when`, and those that need one of them, unless a stand-in is named.
/// Steps on a cycle are taken to be such.
pub(crate) fn lacking<'p>(steps: impl IntoIterator<Item = (&'p StepPath, LackInfo<'p>)>) -> BTreeMap<StepPath, bool> {
    let steps: BTreeMap<&StepPath, LackInfo<'_>> = steps.into_iter().collect();
    let mut lacking: BTreeMap<StepPath, bool> = BTreeMap::new();
    for step in steps.keys() {
        lacks(step, &steps, &mut lacking);
    }
    lacking
}

/// What decides whether a step may have no value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LackInfo<'p> {
    pub has_when: bool,
    pub has_stand_in: bool,
    pub needs: &'p BTreeMap<StepPath, Edge>,
}

fn lacks(step: &StepPath, steps: &BTreeMap<&StepPath, LackInfo<'_>>, known: &mut BTreeMap<StepPath, bool>) -> bool {
    if let Some(lacks) = known.get(step) {
        return *lacks;
    }
    let Some(info) = steps.get(step) else { return true };
    if info.has_stand_in {
        known.insert(step.clone(), false);
        return false;
    }
    // Taken to lack while it is looked at, so that a cycle ends.
    known.insert(step.clone(), true);
    let by_need = info.needs.iter().filter(|(_, edge)| **edge == Edge::Value).any(|(need, _)| lacks(need, steps, known));
    let result = info.has_when || by_need;
    known.insert(step.clone(), result);
    result
}

/// Joins an edge into others; of two to the same step the stronger stays.
pub(crate) fn add_edge(needs: &mut BTreeMap<StepPath, Edge>, step: StepPath, edge: Edge) {
    let held = needs.entry(step).or_insert(edge);
    *held = (*held).max(edge);
}
