//! Cycles.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Node;

use crate::diagnostic::Problems;
use crate::file::WorkflowFile;

/// Refuses steps that wait for each other, naming each cycle once with its path.
pub(crate) fn check(problems: &mut Problems, workflow: &WorkflowFile<'_>, nodes: &BTreeMap<StepPath, Node>) {
    let mut search = Search { nodes, path: Vec::new(), done: BTreeSet::new(), cycles: Vec::new() };
    for name in nodes.keys() {
        search.visit(name);
    }
    for cycle in search.cycles {
        let first = cycle.first().map_or("", StepPath::as_str);
        let span = workflow.names.iter().find(|name| name.value == first).map_or(0..0, |name| name.span.clone());
        if cycle.len() == 1 {
            problems.error(&span, format!("step `{first}` mentions itself"), "a step's value exists only after it has run".to_owned());
            continue;
        }
        let path: Vec<String> = cycle.iter().chain(cycle.first()).map(|step| format!("`{step}`")).collect();
        let message = format!("these steps wait for each other: {}", path.join(" needs "));
        problems.error(&span, message, "let one of them do without the next one's value".to_owned());
    }
}

struct Search<'g> {
    nodes: &'g BTreeMap<StepPath, Node>,
    path: Vec<StepPath>,
    done: BTreeSet<StepPath>,
    cycles: Vec<Vec<StepPath>>,
}

impl Search<'_> {
    /// Goes down the needs of a step. As deep as there are steps, which are bounded.
    fn visit(&mut self, name: &StepPath) {
        if let Some(start) = self.path.iter().position(|step| step == name) {
            self.cycles.extend(self.path.get(start..).map(<[StepPath]>::to_vec));
            return;
        }
        if self.done.contains(name) {
            return;
        }
        self.path.push(name.clone());
        for need in self.nodes.get(name).into_iter().flat_map(|node| node.needs().keys()) {
            self.visit(need);
        }
        self.path.pop();
        self.done.insert(name.clone());
    }
}
