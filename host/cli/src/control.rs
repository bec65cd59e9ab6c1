//! How commands reach a host that is running: a socket in its state folder, that only its owner can open.
//!
//! A line of JSON asks, a line of JSON answers. Who asks is the account at the other end, as the kernel says it, or who holds the token that is shown.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::act::FreezeScope;
use bailiwick_core::policy::Requester;
use bailiwick_policy::PolicySource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::governance::{Governance, now_ms};
use crate::text;

/// The socket in the state folder.
const SOCKET: &str = "control.sock";
/// Most bytes of a question: policies are the largest part of one.
const LINE_BYTES_MOST: u64 = 16 * 1024 * 1024;
/// Questions at a time; further ones wait.
const CONNECTIONS_MOST: usize = 8;
/// How long nobody is heard after the machine has refused a connection.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a question may take to arrive, and an answer to be taken.
const TALKING_MOST: Duration = Duration::from_secs(10);

/// What can be asked of a host that is running.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Stop something at its next call.
    Freeze {
        /// What.
        scope: FreezeScope,
        /// Why.
        reason: String,
    },
    /// End a freeze.
    Lift {
        /// Of what.
        scope: FreezeScope,
    },
    /// Bring policies into force.
    InstallPolicies {
        /// Texts by file.
        files: BTreeMap<String, String>,
    },
}

impl Order {
    /// Does it, where somebody may.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn carry_out(self, governance: &Governance, who: &Requester) -> Result<Value> {
        match self {
            Self::Freeze { scope, reason } => governance.freeze(who, scope, &reason).await,
            Self::Lift { scope } => governance.lift(who, &scope).await,
            Self::InstallPolicies { files } => {
                let sources = files.into_iter().map(|(name, text)| PolicySource { name, text }).collect();
                governance.install_policies(who, sources).await
            }
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Question {
    token: Option<String>,
    order: Order,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Done(Value),
    Fault { exit: String, problems: Vec<Value> },
}

/// What listens; it stops when it is dropped.
pub struct Listening {
    task: JoinHandle<()>,
    socket: PathBuf,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        // Nobody listens behind it any more; the next start replaces it in any case.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Listens for orders. The caller holds the state folder, so a socket that is there already is one that nobody listens behind.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(governance: Arc<Governance>, state: &Path) -> Result<Listening> {
    let socket = state.join(SOCKET);
    let failed = |error: std::io::Error| Fault::internal(format!("`{}` cannot be made: {error}", text::path(&socket)));
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let folder = std::fs::File::open(state).map_err(failed)?;
    let listener = UnixListener::bind(short(&folder)).map_err(failed)?;
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    let task = tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MOST));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                // An error here is one of the machine, out of handles say, and would be there again at once.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let governance = Arc::downgrade(&governance);
            tokio::spawn(async move {
                let _place = place;
                // Whoever asked and went away learns nothing more.
                if let Some(governance) = governance.upgrade() {
                    let _ = answer(stream, &governance).await;
                }
            });
        }
    });
    Ok(Listening { task, socket })
}

/// A path to the socket that is short, wherever the state folder lies: the kernel takes 107 bytes.
fn short(folder: &std::fs::File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}

async fn answer(stream: UnixStream, governance: &Governance) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut bounded = (&mut stream).take(LINE_BYTES_MOST);
    let done = match tokio::time::timeout(TALKING_MOST, bounded.read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) => obey(governance, uid, &line).await,
        Ok(Err(error)) => return Err(error),
        Err(_) => return Ok(()),
    };
    let reply = match done {
        Ok(document) => Reply::Done(document),
        Err(fault) => {
            Reply::Fault { exit: fault.exit.name().to_owned(), problems: fault.diagnoses.iter().map(Diagnosis::to_json).collect() }
        }
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    match tokio::time::timeout(TALKING_MOST, stream.write_all(&bytes)).await {
        Ok(written) => written,
        Err(_) => Ok(()),
    }
}

async fn obey(governance: &Governance, uid: u32, line: &[u8]) -> Result<Value> {
    let question: Question =
        serde_json::from_slice(line).map_err(|error| Fault::bad_input(Diagnosis::new(format!("the question cannot be read: {error}"))))?;
    let requesters = governance.requesters()?;
    let who = match &question.token {
        Some(token) => requesters.by_token(token, now_ms())?,
        None => requesters.account(uid, &governance.tenant),
    };
    question.order.carry_out(governance, &who).await
}

/// Gives an order to the host that holds a state folder; `None` where none listens.
///
/// # Errors
/// What the host says, or when it does not answer.
pub async fn ask(state: &Path, token: Option<String>, order: Order) -> Result<Option<Value>> {
    let silent = |what: String| {
        let diagnosis = Diagnosis::new(format!("the host that holds `{}` {what}", text::path(state)));
        Fault::of(Exit::Internal, vec![diagnosis])
    };
    let Ok(folder) = std::fs::File::open(state) else { return Ok(None) };
    let mut stream = match UnixStream::connect(short(&folder)).await {
        Ok(stream) => BufReader::new(stream),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(silent(format!("cannot be reached: {error}"))),
    };
    let mut bytes = serde_json::to_vec(&Question { token, order }).map_err(|error| Fault::internal(error.to_string()))?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await.map_err(|error| silent(format!("does not listen: {error}")))?;
    let mut line = Vec::new();
    (&mut stream).take(LINE_BYTES_MOST).read_until(b'\n', &mut line).await.map_err(|error| silent(format!("does not answer: {error}")))?;
    match serde_json::from_slice(&line) {
        Ok(Reply::Done(document)) => Ok(Some(document)),
        Ok(Reply::Fault { exit, problems }) => Err(told(&exit, &problems)),
        Err(_) => Err(silent("ended before it answered".to_owned())),
    }
}

/// What another process says is wrong, as it would be here.
fn told(exit: &str, problems: &[Value]) -> Fault {
    let exit = Exit::ALL.into_iter().find(|known| known.name() == exit).unwrap_or(Exit::Internal);
    let word = |problem: &Value| {
        let field = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        let place = match (field("file"), problem.get("line"), problem.get("column")) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
            (Some(file), ..) => format!("{file}: "),
            _ => String::new(),
        };
        Diagnosis::new(format!("{place}{}", field("message").unwrap_or_else(|| json!(problem).to_string()))).with_help(field("help"))
    };
    Fault::of(exit, problems.iter().map(word).collect())
}
