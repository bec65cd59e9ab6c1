//! Compiling components ahead of time, in a child process with bounds.
//!
//! A slow compile is no fault in wasmtime's eyes, and a component is foreign code: the child has a wall clock, a
//! processor time and an address space limit, and hands back bytes that only the host's own key makes loadable.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::engine;

/// Most bytes of a component.
pub const COMPONENT_BYTES_MOST: u64 = 32 * 1024 * 1024;
/// Most bytes of compiled code.
const ARTIFACT_BYTES_MOST: u64 = 256 * 1024 * 1024;
/// Most bytes of the child's complaint that are kept.
const COMPLAINT_BYTES_MOST: u64 = 16 * 1024;
/// Address space of the child.
const CHILD_MEMORY_BYTES: u64 = 4 << 30;
/// Processor seconds of the child.
const CHILD_CPU_SECONDS: u64 = 120;
/// Wall clock of the child.
const CHILD_TIME: Duration = Duration::from_secs(120);

/// How the compiling child is started: a program that calls [`child_main`].
#[derive(Debug, Clone)]
pub struct CompileCommand {
    /// The program, usually the host's own.
    pub program: PathBuf,
    /// Its arguments, which lead to [`child_main`].
    pub args: Vec<OsString>,
    /// Environment beside which the child has none.
    pub env: Vec<(OsString, OsString)>,
}

/// Why a component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileProblem {
    /// The component is too large.
    #[error("the component has more than {} MiB", COMPONENT_BYTES_MOST >> 20)]
    TooLarge,
    /// The compiler refused it; the text is its message.
    #[error("not a valid component: {0}")]
    Invalid(String),
    /// The child was stopped at one of its bounds.
    #[error("compiling was stopped: {0}")]
    Stopped(String),
    /// The child could not be run.
    #[error("the compiling child could not be run: {0}")]
    Child(#[source] std::io::Error),
}

/// Compiles a component in a child process.
///
/// # Errors
/// See [`CompileProblem`].
pub(crate) async fn compile(command: &CompileCommand, wasm: &[u8]) -> Result<Vec<u8>, CompileProblem> {
    if wasm.len() as u64 > COMPONENT_BYTES_MOST {
        return Err(CompileProblem::TooLarge);
    }
    let mut child = tokio::process::Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(command.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(CompileProblem::Child)?;
    let talk = async {
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(pipe) = stdin.as_mut() {
                // A child that stops reading says why itself.
                let _ = pipe.write_all(wasm).await;
            }
            drop(stdin);
        };
        let mut artifact = Vec::new();
        let mut complaint = Vec::new();
        let listen = async {
            if let Some(pipe) = stdout {
                pipe.take(ARTIFACT_BYTES_MOST).read_to_end(&mut artifact).await?;
            }
            std::io::Result::Ok(())
        };
        let listen_for_complaint = async {
            if let Some(pipe) = stderr {
                pipe.take(COMPLAINT_BYTES_MOST).read_to_end(&mut complaint).await?;
            }
            std::io::Result::Ok(())
        };
        let ((), heard, complained) = tokio::join!(feed, listen, listen_for_complaint);
        heard.and(complained).map_err(CompileProblem::Child)?;
        let status = child.wait().await.map_err(CompileProblem::Child)?;
        Ok((status, artifact, String::from_utf8_lossy(&complaint).trim().to_owned()))
    };
    let (status, artifact, complaint) = tokio::time::timeout(CHILD_TIME, talk)
        .await
        .map_err(|_| CompileProblem::Stopped(format!("it took more than {}s", CHILD_TIME.as_secs())))??;
    match status.code() {
        Some(0) => Ok(artifact),
        Some(EXIT_INVALID) => Err(CompileProblem::Invalid(complaint)),
        _ => Err(CompileProblem::Stopped(format!(
            "{status}; bounds are {CHILD_CPU_SECONDS}s and {} GiB {complaint}",
            CHILD_MEMORY_BYTES >> 30
        ))),
    }
}

/// Exit code of the child for a component that does not compile.
const EXIT_INVALID: i32 = 3;
/// Exit code of the child for anything else.
const EXIT_FAULT: i32 = 4;

/// Is the compiling child: reads a component from standard input, writes compiled code to standard output, gives the
/// exit code. Lowers its own resource limits first.
pub fn child_main() -> i32 {
    let both = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    let bounded = setrlimit(Resource::As, both(CHILD_MEMORY_BYTES)).and_then(|()| setrlimit(Resource::Cpu, both(CHILD_CPU_SECONDS)));
    if let Err(error) = bounded {
        eprintln!("resource limits could not be set: {error}");
        return EXIT_FAULT;
    }
    let mut wasm = Vec::new();
    if let Err(error) = std::io::stdin().lock().take(COMPONENT_BYTES_MOST).read_to_end(&mut wasm) {
        eprintln!("standard input could not be read: {error}");
        return EXIT_FAULT;
    }
    let compiled = engine::compiler().and_then(|engine| engine.precompile_component(&wasm));
    match compiled {
        Ok(artifact) => match std::io::stdout().lock().write_all(&artifact) {
            Ok(()) => 0,
            Err(_) => EXIT_FAULT,
        },
        Err(error) => {
            eprintln!("{error:#}");
            EXIT_INVALID
        }
    }
}
