//! Exit codes: what a script learns without reading anything.
//!
//! Stable across versions. `docs/exit-codes.md` and `bailiwick --help` list the same table; a test compares them.

/// How a command ended, as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It did what it was asked. A business "no" is a result.
    Done,
    /// The run ended with a partial result: a stand-in was used, or something waits for a person.
    Partial,
    /// The run failed, the tried agent gave no answer, the verified ledger has a bad record, or `--check` found something.
    Failed,
    /// The project, its input or the command line is wrong. Nothing was run.
    BadInput,
    /// A fault of the host or of the machine: a disk that cannot be written, say.
    Internal,
    /// A signal asked the command to stop before it was done. What had happened by then is on record.
    Stopped,
    /// A comparison found that more is possible than before, or could not rule it out.
    Widened,
}

impl Exit {
    /// All codes, in order.
    pub const ALL: [Self; 7] = [Self::Done, Self::Partial, Self::Failed, Self::BadInput, Self::Internal, Self::Stopped, Self::Widened];

    /// Gives the number. 1 is what many programs use for anything, so it stays free.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => 2,
            Self::Failed => 3,
            Self::BadInput => 4,
            Self::Internal => 5,
            Self::Stopped => 6,
            Self::Widened => 7,
        }
    }

    /// Gives the name used in JSON output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::BadInput => "bad-input",
            Self::Internal => "internal",
            Self::Stopped => "stopped",
            Self::Widened => "widened",
        }
    }

    /// Says in one line when it is given.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; a business \"no\" is a result",
            Self::Partial => "a partial result: a stand-in was used, or something waits for a person",
            Self::Failed => "the run failed, the tried agent gave no answer, the ledger has a bad record, or `--check` found something",
            Self::BadInput => "the project, its input or the command line is wrong; nothing was run",
            Self::Internal => "a fault of the host or of the machine",
            Self::Stopped => "stopped by a signal; what had happened is on record",
            Self::Widened => "a comparison: more is possible than before, or that cannot be ruled out",
        }
    }
}

/// Gives the table that stands at the end of `--help`.
pub fn help() -> String {
    let rows = Exit::ALL.map(|exit| format!("  {}  {:<9}  {}", exit.code(), exit.name(), exit.meaning()));
    format!("Exit codes:\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_the_one_in_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md");
        let documented = std::fs::read_to_string(path).unwrap();
        let rows: Vec<String> =
            Exit::ALL.iter().map(|exit| format!("| {} | `{}` | {} |", exit.code(), exit.name(), exit.meaning())).collect();
        let found: Vec<&str> = documented.lines().filter(|line| line.starts_with("| ") && line.contains("| `")).collect();
        assert_eq!(found, rows);
    }

    #[test]
    fn codes_differ_and_leave_claps_own_alone() {
        let mut codes = Exit::ALL.map(Exit::code).to_vec();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(!codes.contains(&1));
    }
}
