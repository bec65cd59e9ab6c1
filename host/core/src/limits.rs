//! The limits of a task: mandatory, finite, each with a unit and a default.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written as in `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

impl ByteCount {
    /// Makes a count of binary kilobytes.
    pub const fn kib(n: u64) -> Self {
        Self(n * 1024)
    }

    /// Makes a count of binary megabytes.
    pub const fn mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1024 * 1024 && n % (1024 * 1024) == 0 => write!(f, "{}MiB", n / (1024 * 1024)),
            n if n >= 1024 && n % 1024 == 0 => write!(f, "{}KiB", n / 1024),
            n => write!(f, "{n}B"),
        }
    }
}

impl Serialize for ByteCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<bytesize::ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a size: write for example `64MiB`")))
    }
}

/// A span of time, written as in `800ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// Makes a span of milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|_| format!("`{text}` is not a span of time: write for example `800ms` or `30s`"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What one task may use up. Reaching a limit ends the task with that limit as its reason; it never ends the host or
/// a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Instructions, in wasmtime's fuel units; about 7 to 10 billion are one second. Default 2,000,000,000.
    pub fuel: u64,
    /// Bytes of all linear memories of the store together. Default 64MiB.
    pub memory: ByteCount,
    /// Elements of all tables of the store together. Default 20,000.
    pub table_elements: u64,
    /// Wall clock from start to answer, time in host calls included. Default 10s.
    pub deadline: Span,
    /// Calls that leave the sandbox, ambient ones included. Default 10,000.
    pub host_calls: u64,
    /// Bytes of the answer's output, or of the failure's text. Default 256KiB.
    pub output: ByteCount,
    /// Bytes of log lines, progress and standard output and error. Default 64KiB.
    pub log: ByteCount,
    /// Bytes that one call may copy between guest and host. Default 4MiB.
    pub host_buffer: ByteCount,
}

impl Limits {
    /// Gives the smaller of each.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self {
            fuel: self.fuel.min(other.fuel),
            memory: self.memory.min(other.memory),
            table_elements: self.table_elements.min(other.table_elements),
            deadline: self.deadline.min(other.deadline),
            host_calls: self.host_calls.min(other.host_calls),
            output: self.output.min(other.output),
            log: self.log.min(other.log),
            host_buffer: self.host_buffer.min(other.host_buffer),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 2_000_000_000,
            memory: ByteCount::mib(64),
            table_elements: 20_000,
            deadline: Span::millis(10_000),
            host_calls: 10_000,
            output: ByteCount::kib(256),
            log: ByteCount::kib(64),
            host_buffer: ByteCount::mib(4),
        }
    }
}

/// A limit by name, as it stands in errors and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// [`Limits::fuel`].
    Fuel,
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::table_elements`].
    TableElements,
    /// [`Limits::deadline`].
    Deadline,
    /// [`Limits::host_calls`].
    HostCalls,
    /// [`Limits::output`].
    Output,
    /// [`Limits::log`].
    Log,
    /// [`Limits::host_buffer`].
    HostBuffer,
    /// The stack of the guest, 512 KiB for every task.
    Stack,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::TableElements => "table-elements",
            Self::Deadline => "deadline",
            Self::HostCalls => "host-calls",
            Self::Output => "output",
            Self::Log => "log",
            Self::HostBuffer => "host-buffer",
            Self::Stack => "stack",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written() {
        let limits: Limits = toml::from_str("memory = \"16MiB\"\ndeadline = \"800ms\"").unwrap();
        assert_eq!(limits.memory, ByteCount::mib(16));
        assert_eq!(limits.deadline, Span::millis(800));
        assert_eq!(limits.fuel, Limits::default().fuel);
        assert_eq!(ByteCount::mib(16).to_string(), "16MiB");
        assert_eq!(Span::millis(800).to_string(), "800ms");
    }

    #[test]
    fn a_number_without_unit_and_an_unknown_key_are_refused() {
        assert!(toml::from_str::<Limits>("memory = 16").is_err());
        assert!(toml::from_str::<Limits>("memroy = \"16MiB\"").is_err());
    }
}
