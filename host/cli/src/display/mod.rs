//! What people see: progress and problems on standard error, results and accounts on standard output.

mod account;
mod notes;
mod progress;
mod result;
mod table;
mod task;

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

pub use account::{print_account, print_result};
pub use notes::Notes;
pub use progress::Progress;
pub use result::{print_block, print_value};
pub use table::{Table, heading, section};
pub use task::print_task;

use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault};

/// Prepares tracing: warnings and errors of the host on standard error; `BAILIWICK_LOG` asks for more, in the form `debug` or `bailiwick_runtime=debug`.
pub fn set_up() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("BAILIWICK_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
        .from_env_lossy();
    let colors = console::colors_enabled_stderr();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colors).without_time().init();
}

/// Tells why a command did not do what it was asked, on standard error, and with `--json` as a document on standard output too.
pub fn fault(fault: &Fault, json: bool) -> Exit {
    diagnoses(&fault.diagnoses);
    if json {
        print_json(&fault.to_json());
    }
    fault.exit
}

/// Tells what was found, on standard error.
pub fn diagnoses(diagnoses: &[Diagnosis]) {
    let colors = console::colors_enabled_stderr() && std::io::stderr().is_terminal();
    let mut stderr = std::io::stderr().lock();
    for diagnosis in diagnoses {
        // Where standard error is gone there is nobody to tell.
        let _ = writeln!(stderr, "{}", diagnosis.render(colors).trim_end());
    }
}

/// Says something that belongs to the answer and is not part of it, on standard error.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints one JSON document. What a terminal would obey stands in it as escapes.
pub fn print_json<T: Serialize>(document: &T) {
    let text = serde_json::to_string_pretty(document)
        .unwrap_or_else(|error| format!("{{\"exit\":\"internal\",\"problems\":[{{\"message\":\"{error}\"}}]}}"));
    print(&bailiwick_core::text::escape_json(&text));
}

/// Prints a line to standard output. A reader that went away, as `head` does, is no fault of ours.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
