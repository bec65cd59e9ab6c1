//! What a condition says about null: `x != null && x.y` is sound because of what stands on the left.

use std::collections::BTreeSet;

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    Variable(String),
    /// A variable bound by a comprehension, by a number that no other one of the expression has.
    Local(usize),
}

/// A variable, or a field of it, of which something can be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub root: Root,
    pub fields: Vec<String>,
}

impl Path {
    pub(super) fn new(root: Root) -> Self {
        Self { root, fields: Vec::new() }
    }

    pub(super) fn field(mut self, name: &str) -> Self {
        self.fields.push(name.to_owned());
        self
    }

    /// The path itself and everything it leads through: a field cannot be there if its object is not.
    pub(super) fn with_prefixes(&self) -> BTreeSet<Path> {
        let mut path = Path::new(self.root.clone());
        let mut paths = BTreeSet::from([path.clone()]);
        for name in &self.fields {
            path = path.field(name);
            paths.insert(path.clone());
        }
        paths
    }
}

/// Which paths are not null when a condition is true, and which when it is false.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub when_true: BTreeSet<Path>,
    pub when_false: BTreeSet<Path>,
}

impl Facts {
    pub(super) fn not(self) -> Self {
        Self { when_true: self.when_false, when_false: self.when_true }
    }

    /// The right side is reached only when the left one is true.
    pub(super) fn and(self, right: Self) -> Self {
        let reached = &self.when_true | &right.when_false;
        Self { when_false: &self.when_false & &reached, when_true: &self.when_true | &right.when_true }
    }

    pub(super) fn or(self, right: Self) -> Self {
        self.not().and(right.not()).not()
    }
}
