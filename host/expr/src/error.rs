//! What can go wrong, told for the person who wrote the expression.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// Why an expression was refused before it ever ran.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong: lower case, no final stop, user input in backticks.
    pub message: String,
    /// The bytes of the source it is about.
    pub range: Range<usize>,
    /// A next step, where there is one.
    pub help: Option<String>,
}

impl CompileError {
    pub(crate) fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), range, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Moves the range, for a source that is part of a longer text.
    pub(crate) fn shifted(mut self, bytes: usize) -> Self {
        self.range = self.range.start.saturating_add(bytes)..self.range.end.saturating_add(bytes);
        self
    }
}

/// Why an evaluation ended without a value.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{fault}")]
pub struct EvalError {
    /// What went wrong.
    #[source]
    pub fault: EvalFault,
    /// The bytes of the source it is about.
    pub range: Range<usize>,
}

/// What went wrong in an evaluation.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EvalFault {
    /// A whole number left the signed 64-bit range, or an instant or a span of time its own.
    #[error("the result of `{operation}` is out of range")]
    Overflow {
        /// The operation.
        operation: &'static str,
    },
    /// A division or remainder by zero, of whole or fractional numbers.
    #[error("division by zero")]
    DivisionByZero,
    /// A number became infinite or undefined, which JSON cannot hold.
    #[error("the result of `{operation}` is not a finite number")]
    NotFinite {
        /// The operation.
        operation: &'static str,
    },
    /// An object has no such field.
    #[error("no field `{key}`")]
    MissingKey {
        /// The field.
        key: String,
    },
    /// A list is shorter than that.
    #[error("index {index} is outside the list of {len}")]
    IndexOutOfRange {
        /// The index, counted from zero.
        index: i64,
        /// How many elements the list has.
        len: usize,
    },
    /// A whole number of the input does not fit a signed 64-bit integer.
    #[error("`{value}` does not fit a signed 64-bit integer")]
    IntegerTooLarge {
        /// The number as it was written.
        value: String,
    },
    /// A value that was not known at compile time has the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What was needed.
        expected: String,
        /// The type of what was there.
        found: &'static str,
    },
    /// A text cannot be read as what it was said to be.
    #[error("`{text}` is no {expected}")]
    Unreadable {
        /// The text, shortened.
        text: String,
        /// What it should have been, with an example.
        expected: &'static str,
    },
    /// An object literal names one key twice.
    #[error("the key `{key}` occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The caller gave no value for a variable.
    #[error("no value was given for `{name}`")]
    MissingVariable {
        /// The variable.
        name: String,
    },
    /// `max_steps` was used up.
    #[error("more than {max} steps")]
    TooManySteps {
        /// The bound.
        max: u64,
    },
    /// `max_comprehension_items` was used up.
    #[error("comprehensions visit more than {max} elements")]
    TooManyItems {
        /// The bound.
        max: u64,
    },
    /// `max_result_bytes` was used up.
    #[error("text, lists and maps take more than {max} bytes")]
    TooManyBytes {
        /// The bound.
        max: u64,
    },
    /// A value of the input is nested deeper than values may be.
    #[error("a value is nested deeper than {max} levels")]
    TooDeep {
        /// The bound.
        max: usize,
    },
}

impl EvalFault {
    /// Makes the fault of a text that cannot be read, showing its beginning only: it may be long, and it is not ours.
    pub(crate) fn unreadable(text: &str, expected: &'static str) -> Self {
        const SHOWN_CHARS: usize = 40;
        let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self::Unreadable { text: shown, expected }
    }

    pub(crate) fn at(self, range: &Range<usize>) -> EvalError {
        EvalError { fault: self, range: range.clone() }
    }
}

/// An error at one place of a tree of values.
#[derive(Debug, Clone, PartialEq)]
pub struct At<E> {
    /// The place, as a JSON pointer; empty for the value itself.
    pub pointer: String,
    /// What is wrong there. Its range counts from the start of the text at that place.
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for At<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.is_empty() {
            true => self.error.fmt(f),
            false => write!(f, "`{}`: {}", self.pointer, self.error),
        }
    }
}

impl<E: std::error::Error> std::error::Error for At<E> {}
