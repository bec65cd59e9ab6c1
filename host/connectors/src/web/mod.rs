//! The `web` connector: requests to web servers, one at a time, to addresses that were checked.
//!
//! It follows no redirect: whether the next place may be gone to is for the gate to say, so the agent gets the answer and makes another call. It
//! keeps nothing between two requests: no cookies, no connections. It reads no settings of proxies.

mod answer;
pub(crate) mod config;
mod crowd;
mod exchange;
mod placed;
mod reach;
mod request;
mod resolve;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_core::Connector;
use bailiwick_core::capability::Operation;
use bailiwick_core::connector::{BoxFuture, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::ids::{Digest, IdempotencyKey};
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, HOST, HeaderName, USER_AGENT};
use serde_json::Value;

use self::config::WebFile;
use self::exchange::{Reacher, Ready};
use self::placed::Placed;
use self::request::Request;
use self::resolve::{Resolve, System};
use crate::config::{Latency, serves};
use crate::database::{self, Access, Database, indeterminate};
use crate::outcome::{self, Known, Repeatable};
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::secrets::Mask;
use crate::thread::Thread;
use crate::values;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Time for writing down what became of a request. It must not fail because the server took long.
const SETTLING: Duration = Duration::from_secs(5);

/// Serves `web/http.fetch` and `web/http.send`.
///
/// What was sent and not settled is `indeterminate` from then on, and a person decides. A key that is known gives its first outcome again.
#[derive(Debug)]
pub struct WebConnector {
    name: String,
    digest: Digest,
    client: Arc<Client>,
    thread: Thread,
    database: Database,
}

/// What works on the thread.
struct Client {
    headers: Vec<String>,
    secrets: Vec<Placed>,
    reacher: Reacher,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("headers", &self.headers).field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

impl WebConnector {
    /// Reads the file and its secrets, opens the database.
    pub(crate) fn load(name: &str, source: &SourceText, places: &Places) -> Result<(Self, Option<Latency>), Problem> {
        Self::load_with(name, source, places, Arc::new(System))
    }

    fn load_with(name: &str, source: &SourceText, places: &Places, resolver: Arc<dyn Resolve>) -> Result<(Self, Option<Latency>), Problem> {
        let file: WebFile = source.parse()?;
        for header in &file.headers {
            if !request::may_be_allowed(header.get_ref()) {
                let message = format!("agents cannot be allowed to set the header `{}`", header.get_ref());
                let help = "name headers in lower case that speak for nobody; credentials are put in under `secrets`".to_owned();
                return Err(source.problem_at(&header.span(), message).with_help(help));
            }
        }
        let ca = read_ca(&file, source, places)?;
        let tls = tls::config(ca.as_deref()).map_err(|why| {
            let message = format!("TLS cannot be used: {why}");
            file.ca.as_ref().map_or_else(|| source.problem(message.clone()), |ca| source.problem_at(&ca.span(), message.clone()))
        })?;
        let reacher = Reacher::new(resolver, file.reach(source)?, file.bounds(source)?, tls);
        let secrets = Placed::load_all(&file, source, places)?;
        let headers = file.headers.iter().map(|header| header.get_ref().clone()).collect();
        let database = open_database(name, source, places)?;
        let thread = Thread::start("web").map_err(|error| source.problem(format!("no thread for requests: {error}")))?;
        // A secret is no part of it: its digest in a record would let anyone try secrets against it.
        let digest = Digest::of_parts(std::iter::once(source.text.as_bytes()).chain(ca.as_deref().map(str::as_bytes)));
        let client = Arc::new(Client { headers, secrets, reacher });
        Ok((Self { name: name.to_owned(), digest, client, thread, database }, file.latency))
    }

    async fn serve(&self, call: ConnectorCall) -> Result<ConnectorAnswer, CallError> {
        let deadline = Instant::now() + call.time_left;
        self.check(&call.operation).map_err(CallError::unavailable)?;
        values::check_args(&call.operation.signature, &call.args)?;
        let request = Request::read(&call.args, &self.client.headers)?;
        match call.operation.id.function.as_str() {
            "fetch" => self.fetch(request, deadline, call.max_result_bytes).await,
            _ => self.send(request, deadline, &call).await,
        }
    }

    async fn fetch(&self, request: Request, deadline: Instant, most: u64) -> Result<ConnectorAnswer, CallError> {
        let client = Arc::clone(&self.client);
        let asked = self.thread.run(async move {
            let (ready, request) = client.prepare(request, None, left(deadline)).await?;
            client.ask(ready, request, most).await
        });
        asked.await.unwrap_or_else(|why| Err(CallError::unavailable(why)))
    }

    async fn send(&self, request: Request, deadline: Instant, call: &ConnectorCall) -> Result<ConnectorAnswer, CallError> {
        let repeatable = Repeatable::of(call)?;
        let found = repeatable.clone();
        match self.database.write(deadline, move |connection| found.look_up(connection)).await? {
            Known::Done(answer) => return Ok(*answer),
            Known::Begun => return Err(begun()),
            Known::New => {}
        }
        let (client, key) = (Arc::clone(&self.client), repeatable.key);
        let prepared = self.thread.run(async move { client.prepare(request, Some(key), left(deadline)).await });
        let (ready, request) = prepared.await.unwrap_or_else(|why| Err(CallError::unavailable(why))).map_err(nothing_sent)?;
        let begin = repeatable.clone();
        match self.database.write(deadline, move |connection| begin.begin(connection)).await? {
            Known::New => {}
            Known::Done(answer) => return Ok(*answer),
            Known::Begun => return Err(begun()),
        }
        let (client, most) = (Arc::clone(&self.client), call.max_result_bytes);
        let asked = self.thread.run(async move { client.ask(ready, request, most).await }).await;
        self.settle(asked.unwrap_or_else(|why| Err(CallError::unavailable(why))), repeatable).await
    }

    /// Writes down what became of a request that was sent.
    async fn settle(&self, asked: Result<ConnectorAnswer, CallError>, repeatable: Repeatable) -> Result<ConnectorAnswer, CallError> {
        let settle_by = Instant::now() + SETTLING;
        match asked {
            Ok(answer) => {
                let kept = answer.clone();
                // It is done, and that is what the caller learns. If the outcome cannot be kept, a repeat finds the key begun and asks a person.
                let _ = self.database.write(settle_by, move |connection| repeatable.finish(connection, &kept)).await;
                Ok(answer)
            }
            Err(error) if matches!(error.guest, GuestError::RateLimited(_)) => {
                // The server says that it did nothing, so a later attempt may try. If that cannot be kept, it will not: safe, if sorry.
                let _ = self.database.write(settle_by, move |connection| repeatable.forget(connection)).await;
                Err(error)
            }
            Err(error) => Err(indeterminate(format!("the request was sent, and what became of it is not known: {}", error.detail))),
        }
    }
}

impl Client {
    /// Puts into a request what it lacks, secrets among it, and connects. Nothing is sent by that.
    async fn prepare(&self, mut request: Request, key: Option<IdempotencyKey>, left: Duration) -> Result<(Ready, Request), CallError> {
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|_| CallError::invalid("url.host", "the host has no form in a header"));
        let host = value(&request.authority())?;
        request.headers.insert(HOST, host);
        request.headers.insert(USER_AGENT, HeaderValue::from_static("bailiwick"));
        request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(key) = key {
            request.headers.insert(IDEMPOTENCY_KEY, value(&key.to_hex())?);
        }
        let ready = self.reacher.prepare(&request, left).await?;
        for placed in self.secrets.iter().filter(|placed| placed.is_for(&request)).collect::<Vec<_>>() {
            if !request.is_secure && !ready.address.is_loopback() {
                let detail = "a secret is put into requests to this server, and goes out in the open to this machine alone";
                return Err(CallError::invalid("url.scheme", detail));
            }
            placed.put_into(&mut request).map_err(CallError::unavailable)?;
        }
        Ok((ready, request))
    }

    async fn ask(&self, ready: Ready, request: Request, most: u64) -> Result<ConnectorAnswer, CallError> {
        let url = request.url();
        let asked = self.reacher.ask(ready, request, most).await;
        // Those of all servers: one may be told what another said. Made after the request, so that what was put into it is among them.
        let versions: Vec<_> = self.secrets.iter().flat_map(|placed| placed.secret.used()).collect();
        let mask = Mask::of(&versions);
        let value: Value = match asked {
            Ok(reply) => answer::value(reply, &url, &mask)?,
            Err(error) => return Err(CallError { detail: mask.text(&error.detail), ..error }),
        };
        let answer = ConnectorAnswer { as_of: Some(outcome::now()), ..ConnectorAnswer::of(value) };
        outcome::check_size(&answer, most)?;
        Ok(answer)
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn begun() -> CallError {
    indeterminate("an earlier attempt sent this request, and it is not known what became of it")
}

/// A `timeout` is for reads; of what was not sent it is certain that nothing happened.
fn nothing_sent(error: CallError) -> CallError {
    match error.guest {
        GuestError::Timeout => CallError::unavailable(error.detail),
        _ => error,
    }
}

fn read_ca(file: &WebFile, source: &SourceText, places: &Places) -> Result<Option<String>, Problem> {
    let Some(ca) = &file.ca else { return Ok(None) };
    let read = places.read(std::path::Path::new(ca.get_ref())).map_err(|error| {
        let message = format!("`{}` cannot be read: {error}", ca.get_ref());
        source.problem_at(&ca.span(), message).with_help("name a file of the project".to_owned())
    });
    read.map(Some)
}

fn open_database(name: &str, source: &SourceText, places: &Places) -> Result<Database, Problem> {
    let database_name = format!("{name}.sqlite");
    let path =
        places.database(&database_name).map_err(|error| source.problem(format!("`{database_name}` cannot be a database: {error}")))?;
    let prepare = || {
        let connection = if path.exists() { database::open(&path, Access::Write)? } else { database::create(&path)? };
        outcome::prepare(&connection)
    };
    prepare().map_err(|error| source.problem(format!("the database `{}` cannot be prepared: {error}", path.display())))?;
    Database::start(&path, Access::Write).map_err(|error| source.problem(format!("no thread for the database: {error}")))
}

impl Connector for WebConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn config_digest(&self) -> Digest {
        self.digest
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        serves("web", operation, "web", "http", &["fetch", "send"])
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(self.serve(call))
    }
}

#[cfg(test)]
pub(crate) mod tests;
