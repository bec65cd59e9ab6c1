//! The checked tree that is evaluated: names resolved, functions chosen, patterns compiled.

use std::ops::Range;

use regex::Regex;

use crate::syntax::{Constant, Operator};

/// A checked node.
#[derive(Debug)]
pub(crate) struct Node {
    pub range: Range<usize>,
    pub kind: NodeKind,
    pub number: NumberKind,
}

impl Node {
    /// Whether it is a variable, or a field of one, and nothing else is done with it.
    pub(crate) fn is_selection(&self) -> bool {
        match &self.kind {
            NodeKind::Variable(_) => true,
            NodeKind::Select { operand, .. } => operand.is_selection(),
            _ => false,
        }
    }
}

/// What a number read from JSON is to be taken for: JSON does not tell `3` from `3.0`, types do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberKind {
    AsIs,
    Int,
    Double,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Constant(Constant),
    Variable(String),
    /// A variable bound by a comprehension: its place among those bound around it, outermost first.
    Local(usize),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Select {
        operand: Box<Node>,
        field: String,
        absent: Absent,
    },
    /// Is the field there and not null?
    Has {
        operand: Box<Node>,
        field: String,
    },
    Index {
        operand: Box<Node>,
        index: Box<Node>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Conditional(Box<[Node; 3]>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Pattern),
    Comprehension {
        kind: Comprehension,
        range: Box<Node>,
        filter: Option<Box<Node>>,
        body: Box<Node>,
    },
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub regex: Regex,
    /// The memory it was given, which bounds how long it may look at one byte of text.
    pub bytes: usize,
}

/// What selecting a field gives where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// An error: the field was said to be there, or nothing was said.
    Fault,
    /// Null: the field was said to be optional.
    Null,
    /// Null, and null too where the operand is null: inside `has`, which asks and never fails.
    NullThroughout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comprehension {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Comprehension {
    pub(crate) const NAMES: [&str; 6] = ["all", "exists", "exists_one", "existsOne", "filter", "map"];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "filter" => Self::Filter,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

/// A function; `x.size()` and `size(x)` are the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Trim,
    Join,
    Text,
    Int,
    Double,
    Duration,
    Timestamp,
    DaysBetween,
    Min,
    Max,
}

impl Function {
    pub(crate) const ALL: [Self; 17] = [
        Self::Size,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Matches,
        Self::LowerAscii,
        Self::UpperAscii,
        Self::Trim,
        Self::Join,
        Self::Text,
        Self::Int,
        Self::Double,
        Self::Duration,
        Self::Timestamp,
        Self::DaysBetween,
        Self::Min,
        Self::Max,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Matches => "matches",
            Self::LowerAscii => "lowerAscii",
            Self::UpperAscii => "upperAscii",
            Self::Trim => "trim",
            Self::Join => "join",
            Self::Text => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::DaysBetween => "daysBetween",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// Returns how the function is called.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::Size => "x.size() or size(x)",
            Self::Contains => "text.contains(part)",
            Self::StartsWith => "text.startsWith(part)",
            Self::EndsWith => "text.endsWith(part)",
            Self::Matches => "text.matches(\"pattern\")",
            Self::LowerAscii => "text.lowerAscii()",
            Self::UpperAscii => "text.upperAscii()",
            Self::Trim => "text.trim()",
            Self::Join => "list.join(separator)",
            Self::Text => "string(x)",
            Self::Int => "int(x)",
            Self::Double => "double(x)",
            Self::Duration => "duration(\"90m\")",
            Self::Timestamp => "timestamp(\"2026-11-02T10:00:00Z\")",
            Self::DaysBetween => "daysBetween(from, to)",
            Self::Min => "min(a, b)",
            Self::Max => "max(a, b)",
        }
    }

    /// Returns whether the function may be called as a method, and whether as a plain function.
    pub(crate) fn styles(self) -> (bool, bool) {
        match self {
            Self::Size | Self::Matches => (true, true),
            Self::Contains | Self::StartsWith | Self::EndsWith => (true, false),
            Self::LowerAscii | Self::UpperAscii | Self::Trim | Self::Join => (true, false),
            _ => (false, true),
        }
    }

    /// Returns the least and the greatest number of arguments, the one before the dot included.
    pub(crate) fn arity(self) -> (usize, usize) {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches | Self::DaysBetween => (2, 2),
            Self::Join => (1, 2),
            Self::Min | Self::Max => (2, usize::MAX),
            _ => (1, 1),
        }
    }
}
