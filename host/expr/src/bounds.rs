//! What an expression may cost.

/// Says how much compiling and evaluating one expression may cost.
///
/// CEL always ends, but it is not free: nested comprehensions multiply, and a string can be doubled by adding it to
/// itself. Every bound is finite; a value of zero forbids the thing altogether.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Longest source text, in bytes. Default 4,096.
    pub max_source_bytes: usize,
    /// Deepest nesting of brackets, ternaries and unary operators. Default 32; never taken as more than 64, which is
    /// what the parser's stack is measured for. Chains (`a + b + c`, `a.b.c`) may be four times as long.
    pub max_nesting: usize,
    /// Comprehensions (`all`, `exists`, `exists_one`, `filter`, `map`) inside one another's bodies. Default 3.
    pub max_comprehension_nesting: usize,
    /// Elements visited by all comprehensions of one evaluation together. Default 10,000.
    pub max_comprehension_items: u64,
    /// Steps of one evaluation: one for each node of the expression each time it is evaluated, one for each element
    /// compared or copied, one for each 64 bytes of text searched or compared. A pattern takes from one step for 8 bytes
    /// of text to 8 steps for each byte, by its compiled size. Default 100,000: a few milliseconds.
    pub max_steps: u64,
    /// Bytes of all text, lists and maps made by one evaluation, intermediate values and the result together.
    /// Default 4 MiB. A value counts as 32 bytes beside its text. Input that is only read does not count; input returned
    /// as the result does.
    pub max_result_bytes: u64,
}

impl Bounds {
    /// The most that `max_nesting` is taken for.
    pub(crate) const NESTING_CEILING: usize = 64;

    /// Returns the nesting allowed, after the ceiling.
    pub(crate) fn nesting(&self) -> usize {
        self.max_nesting.min(Self::NESTING_CEILING)
    }

    /// Returns how deep the syntax tree may be, chains of operators and selections included.
    pub(crate) fn tree_depth(&self) -> usize {
        self.nesting() * 4
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_source_bytes: 4096,
            max_nesting: 32,
            max_comprehension_nesting: 3,
            max_comprehension_items: 10_000,
            max_steps: 100_000,
            max_result_bytes: 4 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_hold() {
        let bounds = Bounds::default();
        assert_eq!(bounds.max_source_bytes, 4096);
        assert_eq!(bounds.max_nesting, 32);
        assert_eq!(bounds.max_comprehension_nesting, 3);
        assert_eq!(bounds.max_comprehension_items, 10_000);
        assert_eq!(bounds.max_steps, 100_000);
        assert_eq!(bounds.max_result_bytes, 4 * 1024 * 1024);
    }

    #[test]
    fn nesting_has_a_ceiling() {
        let bounds = Bounds { max_nesting: usize::MAX, ..Bounds::default() };
        assert_eq!(bounds.nesting(), 64);
        assert_eq!(bounds.tree_depth(), 256);
    }
}
