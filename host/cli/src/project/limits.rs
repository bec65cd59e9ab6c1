//! `[limits]`: each key on its own, so that an agent can lower one and keep the others.

use bailiwick_core::limits::{ByteCount, Limits, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::fault::{Diagnosis, Source};

/// Limits of a task; what is not mentioned stays as it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitsFile {
    /// Instructions, in fuel units; about 7 to 10 billion are one second. Default: 2000000000.
    #[schemars(with = "Option<u64>")]
    pub fuel: Option<Spanned<u64>>,
    /// All memories of the sandbox together. Default: `64MiB`.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<ByteCount>>,
    /// Elements of all tables of the sandbox together. Default: 20000.
    #[schemars(with = "Option<u64>")]
    pub table_elements: Option<Spanned<u64>>,
    /// Wall clock from start to answer, time in host calls included. Default: `10s`.
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Spanned<Span>>,
    /// Calls that leave the sandbox. Default: 10000.
    #[schemars(with = "Option<u64>")]
    pub host_calls: Option<Spanned<u64>>,
    /// Bytes of the answer. Default: `256KiB`.
    #[schemars(with = "Option<String>")]
    pub output: Option<Spanned<ByteCount>>,
    /// Bytes of log, progress and standard output. Default: `64KiB`.
    #[schemars(with = "Option<String>")]
    pub log: Option<Spanned<ByteCount>>,
    /// Bytes that one call may copy between guest and host. Default: `4MiB`.
    #[schemars(with = "Option<String>")]
    pub host_buffer: Option<Spanned<ByteCount>>,
}

/// The highest value that a project may set for each limit: high enough for any task, and never "no limit".
const MOST: Limits = Limits {
    fuel: 100_000_000_000_000,
    memory: ByteCount::mib(1024),
    table_elements: 100_000,
    deadline: Span::millis(24 * 60 * 60 * 1_000),
    host_calls: 100_000_000,
    output: ByteCount::mib(64),
    log: ByteCount::mib(64),
    host_buffer: ByteCount::mib(256),
};

impl LimitsFile {
    /// Applies the keys of a project file to the defaults.
    ///
    /// # Errors
    /// Each value that is 0 or beyond what any project may set.
    pub fn for_project(&self, source: &Source) -> Result<Limits, Vec<Diagnosis>> {
        self.apply(Limits::default(), MOST, source, "the most that can be set is")
    }

    /// Applies the keys of an agent to the project's limits.
    ///
    /// # Errors
    /// Each value that is 0 or beyond the project's.
    pub fn for_agent(&self, project: Limits, source: &Source) -> Result<Limits, Vec<Diagnosis>> {
        self.apply(project, project, source, "an agent can only lower the project's limit, which is")
    }

    fn apply(&self, base: Limits, most: Limits, source: &Source, because: &str) -> Result<Limits, Vec<Diagnosis>> {
        let mut limits = base;
        let mut wrong = Vec::new();
        let mut take = |name: &str, span: std::ops::Range<usize>, is_zero: bool, is_over: bool, most: &dyn std::fmt::Display| {
            if is_zero || is_over {
                let why = if is_zero { "a limit of nothing lets no task run".to_owned() } else { format!("{because} `{most}`") };
                wrong.push(Diagnosis::new(format!("limit `{name}` cannot be set so")).at(source, span).with_help(why));
            }
        };
        macro_rules! set {
            ($($field:ident $name:literal $is_zero:expr),*) => {$(
                if let Some(value) = &self.$field {
                    let given = *value.get_ref();
                    take($name, value.span(), $is_zero(given), given > most.$field, &most.$field);
                    limits.$field = given;
                }
            )*};
        }
        let none = |n: u64| n == 0;
        let no_bytes = |n: ByteCount| n.0 == 0;
        set!(fuel "fuel" none, memory "memory" no_bytes, table_elements "table-elements" none, deadline "deadline" |n: Span| n.0.is_zero());
        set!(host_calls "host-calls" none, output "output" no_bytes, log "log" no_bytes, host_buffer "host-buffer" no_bytes);
        if wrong.is_empty() { Ok(limits) } else { Err(wrong) }
    }
}
