//! The binary `bailiwick`: reads the command line, puts the parts together, prints, and gives an exit code.

mod args;
mod build;
mod commands;
mod control;
mod display;
mod exit;
mod fault;
mod foresee;
mod governance;
mod kept;
mod may;
mod project;
mod questions;
mod requesters;
mod state;
mod stop;
mod text;
mod wire;
mod workflow;

use std::process::ExitCode;

use clap::Parser as _;

use crate::exit::Exit;

// A task makes and frees many small values on the host's side; with the system's allocator a governed task took half as long again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else is set up: this process may be the child that compiles components under its own resource limits.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == wire::COMPILE_WORD) && words.next().is_none() {
        return ExitCode::from(u8::try_from(bailiwick_runtime::compile::child_main()).unwrap_or(u8::MAX));
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where the terminal is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::BadInput.code() } else { Exit::Done.code() });
        }
    };
    display::set_up();
    let json = cli.command.is_json();
    let exit = commands::dispatch(cli.command).unwrap_or_else(|fault| display::fault(&fault, json));
    ExitCode::from(exit.code())
}
