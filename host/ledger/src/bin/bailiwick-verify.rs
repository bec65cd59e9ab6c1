//! `bailiwick-verify`: verifies an exported bundle of a ledger, offline.
//!
//! For whoever does not run Bailiwick and does not trust who does: it opens no state folder, runs no agent and needs no network.

use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_core::text::{escape_json, is_active};
use bailiwick_ledger::{Trust, verify_bundle};
use clap::Parser;

/// No record is bad.
const FINE: u8 = 0;
/// A record is bad, or something is missing.
const FOUND: u8 = 3;
/// The bundle, a key, an anchor or the command line cannot be read.
const BAD_INPUT: u8 = 4;
/// A fault of this program or of the machine.
const INTERNAL: u8 = 5;

const AFTER: &str = "\
Exit codes:
  0  no record is bad, and no payload is missing
  3  a record is bad or missing; the report names the first
  4  the bundle, a key, an anchor or the command line cannot be read
  5  a fault of this program or of the machine

Example:
  bailiwick-verify ./bundle --key example.com/ledger+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k --anchor /mnt/elsewhere/anchor

What it proves: every record is what was written and stands where it stood, up to the last checkpoint signed by the key; and up to the
last anchor, not even somebody with the key has changed, dropped or added one since. What lies beyond the last anchor can have been cut.";

/// Verifies an exported bundle of a Bailiwick ledger, offline.
#[derive(Parser)]
#[command(version, after_help = AFTER)]
struct Args {
    /// Folder of the bundle, as `bailiwick ledger export` writes it.
    bundle: PathBuf,
    /// Public key of the ledger that you trust, or a file with one a line: the first, or any later one. May be repeated.
    #[arg(long = "key", required = true, value_name = "KEY|FILE")]
    keys: Vec<String>,
    /// File to which the host has anchored checkpoints. May be repeated.
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// Public key of a witness that you trust: what it has cosigned is anchored. May be repeated.
    #[arg(long = "witness-key", value_name = "KEY|FILE")]
    witnesses: Vec<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(problem) => {
            let is_asked_for = !problem.use_stderr();
            // Where that cannot be written, there is nobody to tell.
            let _ = problem.print();
            return ExitCode::from(if is_asked_for { FINE } else { BAD_INPUT });
        }
    };
    ExitCode::from(catch_unwind(|| run(&args)).unwrap_or(INTERNAL))
}

fn run(args: &Args) -> u8 {
    let trust = match Trust::read(&args.keys, &args.anchors, &args.witnesses) {
        Ok(trust) => trust,
        Err(problem) => return complain(args, &problem.to_string()),
    };
    let report = match verify_bundle(&args.bundle, &trust) {
        Ok(report) => report,
        Err(problem) => return complain(args, &problem.to_string()),
    };
    let exit = if report.is_complete() { FINE } else { FOUND };
    let text = if args.json {
        escape_json(&serde_json::json!({ "exit": exit, "intact": report.is_intact(), "report": report }).to_string()).into_owned()
    } else {
        clean(&report.to_string())
    };
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => exit,
        Err(_) => INTERNAL,
    }
}

fn complain(args: &Args, problem: &str) -> u8 {
    if args.json {
        let _ = writeln!(std::io::stdout(), "{}", escape_json(&serde_json::json!({ "exit": BAD_INPUT, "error": problem }).to_string()));
    } else {
        let _ = writeln!(std::io::stderr(), "error: {}", clean(problem));
    }
    BAD_INPUT
}

/// Leaves out what a terminal would obey: texts of a bundle may hold anything.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !is_active(*c)).collect()
}
