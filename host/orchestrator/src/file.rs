//! A workflow file as it is written: every key known, every simple value read, nothing resolved.

mod grant;
mod on_error;

use std::ops::Range;

use bailiwick_core::limits::Span;
use bailiwick_core::plan::StepLimits;

pub(crate) use grant::{ConditionFile, GrantFile};
pub(crate) use on_error::{OnErrorFile, OnErrorKind};

use crate::diagnostic::Problems;
use crate::reader::{self, MapView, Spanned};
use crate::yaml::{Kind, Node};

/// Most steps of a workflow.
pub const MAX_STEPS: usize = 200;
/// Longest name of a workflow or step, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

const TOP_KEYS: &[&str] = &["workflow", "version", "description", "input", "subject", "steps", "output"];
const STEP_KEYS: &[&str] = &["agent", "with", "may", "when", "after", "timeout", "limits", "stand-in", "on-error"];
const LIMIT_KEYS: &[&str] = &["fuel", "memory", "table-elements", "host-calls", "output", "log", "host-buffer"];

/// Words that a step cannot have as its name: they mean something else in expressions.
const RESERVED: &[&str] = &[
    "input",
    "subject",
    "steps",
    "run",
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A workflow file.
#[derive(Debug)]
pub(crate) struct WorkflowFile<'n> {
    pub name: Spanned<String>,
    pub version: Spanned<String>,
    pub schema: SchemaFile<'n>,
    pub subject: Option<&'n Node>,
    /// All steps by name, those that could not be read too.
    pub names: Vec<Spanned<String>>,
    pub steps: Vec<StepFile<'n>>,
    pub output: &'n Node,
}

/// Where the input's schema is.
#[derive(Debug)]
pub(crate) enum SchemaFile<'n> {
    /// In a file of the project.
    Path(Spanned<String>),
    /// Written out.
    Inline(&'n Node),
}

/// A step.
#[derive(Debug)]
pub(crate) struct StepFile<'n> {
    pub name: Spanned<String>,
    pub agent: Spanned<String>,
    pub with: Option<&'n Node>,
    pub may: Vec<GrantFile<'n>>,
    pub when: Option<Spanned<String>>,
    /// The node of `when`, for places within it.
    pub when_node: Option<&'n Node>,
    pub after: Vec<Spanned<String>>,
    pub timeout: Option<Span>,
    pub limits: StepLimits,
    pub stand_in: Option<&'n Node>,
    pub on_error: Vec<OnErrorFile<'n>>,
}

/// Reads the file. What is missing or wrong goes to `problems`; there is a file only where its frame could be read.
pub(crate) fn read<'n>(problems: &mut Problems, root: &'n Node) -> Option<WorkflowFile<'n>> {
    let top = MapView::of(problems, root, "a workflow", TOP_KEYS)?;
    let name = top.required(problems, "workflow", "the file", "begin with `workflow: NAME`");
    let name = name.and_then(|node| workflow_name(problems, node));
    let version = top.required(problems, "version", "the workflow", "write for example `version: \"1.0.0\"`");
    let version = version.and_then(|node| reader::text(problems, node, "`version`"));
    if let Some(node) = top.get("description") {
        reader::text(problems, node, "`description`");
    }
    let schema = input_schema(problems, &top);
    let steps = top.required(problems, "steps", "the workflow", "write at least one step under `steps:`");
    let steps = steps.and_then(|node| read_steps(problems, node));
    let help = "say what the run gives, for example `output: { answer: \"${ STEP.answer }\" }`";
    let output = top.required(problems, "output", "the workflow", help);
    let (names, steps) = steps?;
    Some(WorkflowFile { name: name?, version: version?, schema: schema?, subject: top.get("subject"), names, steps, output: output? })
}

fn workflow_name(problems: &mut Problems, node: &Node) -> Option<Spanned<String>> {
    let name = reader::text(problems, node, "`workflow`")?;
    let is_plain = name.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_plain || name.value.len() > MAX_NAME_BYTES {
        let help = format!("use lower-case letters, digits and `-`, at most {MAX_NAME_BYTES}");
        problems.error(&name.span, format!("`{}` cannot be the name of a workflow", name.value), help);
    }
    Some(name)
}

fn input_schema<'n>(problems: &mut Problems, top: &MapView<'n>) -> Option<SchemaFile<'n>> {
    let help = "write `input: { schema: schemas/NAME.json }`";
    let input = top.required(problems, "input", "the workflow", help)?;
    let input = MapView::of(problems, input, "`input`", &["schema"])?;
    let schema = input.required(problems, "schema", "`input`", help)?;
    match &schema.kind {
        Kind::Map(_) => Some(SchemaFile::Inline(schema)),
        _ => reader::text(problems, schema, "`schema`").map(SchemaFile::Path),
    }
}

fn read_steps<'n>(problems: &mut Problems, node: &'n Node) -> Option<(Vec<Spanned<String>>, Vec<StepFile<'n>>)> {
    let view = MapView::open(problems, node, "`steps`")?;
    if view.entries().is_empty() || view.entries().len() > MAX_STEPS {
        let message = format!("a workflow has 1 to {MAX_STEPS} steps, found {}", view.entries().len());
        problems.error(&node.span, message, None);
        return None;
    }
    let (mut names, mut steps) = (Vec::new(), Vec::new());
    for entry in view.entries() {
        check_step_name(problems, &entry.key.text, &entry.key.span);
        let name = Spanned { value: entry.key.text.clone(), span: entry.key.span.clone() };
        names.push(name.clone());
        steps.extend(read_step(problems, name, &entry.value));
    }
    Some((names, steps))
}

/// A step's name is a variable of expressions, so it is written like one.
fn check_step_name(problems: &mut Problems, name: &str, span: &Range<usize>) {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !first || !rest || name.len() > MAX_NAME_BYTES {
        let help = format!("begin with a lower-case letter and go on with such letters, digits and `_`, at most {MAX_NAME_BYTES} in all");
        problems.error(span, format!("`{name}` cannot be the name of a step: expressions mention it"), help);
    } else if RESERVED.contains(&name) {
        problems.error(
            span,
            format!("`{name}` cannot be the name of a step: it means something else in expressions"),
            "choose another name".to_owned(),
        );
    }
}

fn read_step<'n>(problems: &mut Problems, name: Spanned<String>, node: &'n Node) -> Option<StepFile<'n>> {
    let what = format!("step `{}`", name.value);
    let view = MapView::of(problems, node, &what, STEP_KEYS)?;
    let agent = view.required(problems, "agent", &what, "name the agent that does it: `agent: NAME`");
    let agent = agent.and_then(|node| reader::text(problems, node, "`agent`"));
    let may = view.get("may").map_or_else(Vec::new, |node| grant::read_all(problems, node));
    let when = view.get("when").and_then(|node| reader::expression(problems, node, "`when`"));
    let after = view.get("after").map_or_else(Vec::new, |node| names(problems, node, "`after`"));
    let timeout = view.get("timeout").and_then(|node| reader::duration(problems, node));
    let limits = view.get("limits").map_or_else(StepLimits::default, |node| read_limits(problems, node));
    let on_error = view.get("on-error").map_or_else(Vec::new, |node| on_error::read_all(problems, node));
    Some(StepFile {
        agent: agent?,
        with: view.get("with"),
        may,
        when_node: view.get("when").filter(|_| when.is_some()),
        when,
        after,
        timeout,
        limits,
        stand_in: view.get("stand-in"),
        on_error,
        name,
    })
}

fn names(problems: &mut Problems, node: &Node, what: &str) -> Vec<Spanned<String>> {
    let items = reader::list(problems, node, what).unwrap_or_default();
    items.iter().filter_map(|item| reader::text(problems, item, "the name of a step")).collect()
}

fn read_limits(problems: &mut Problems, node: &Node) -> StepLimits {
    let Some(view) = MapView::of(problems, node, "`limits`", LIMIT_KEYS) else { return StepLimits::default() };
    let mut number = |key: &str| view.get(key).and_then(|node| reader::whole(problems, node, &format!("`{key}`"), 1, i64::MAX as u64));
    let (fuel, table_elements, host_calls) = (number("fuel"), number("table-elements"), number("host-calls"));
    let mut bytes = |key: &str| view.get(key).and_then(|node| reader::bytes(problems, node));
    StepLimits {
        fuel,
        memory: bytes("memory"),
        table_elements,
        host_calls,
        output: bytes("output"),
        log: bytes("log"),
        host_buffer: bytes("host-buffer"),
    }
}
