//! Sending by SMTP, so that it is always known on which side of the point of no return it failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::error::CallError;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::{SmtpConfig, TlsMode};
use super::line_by_line::LineByLine;
use crate::database::indeterminate;
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::thread::Thread;

/// Connections that are open at one time.
const MAX_CONNECTIONS: usize = 8;

/// Most bytes of a file with a password.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// A way to an SMTP server. Conversations are held on a thread of its own: where guests run and call, there is no network.
pub(crate) struct Smtp {
    server: Arc<Server>,
    thread: Thread,
}

/// An SMTP server and how to log in there.
struct Server {
    host: String,
    port: u16,
    tls: TlsMode,
    parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    connections: Arc<Semaphore>,
}

impl fmt::Debug for Smtp {
    /// Leaves the credentials out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { host, port, tls, .. } = &*self.server;
        f.debug_struct("Smtp").field("host", host).field("port", port).field("tls", tls).finish_non_exhaustive()
    }
}

/// A conversation that got as far as the server taking the recipient: the next line sends.
pub(crate) struct Ready {
    connection: AsyncSmtpConnection,
    _place: OwnedSemaphorePermit,
}

impl Smtp {
    /// Takes the settings of a server. `ca` is the text of the file that they name.
    pub(crate) fn load(config: &SmtpConfig, ca: Option<&str>, source: &SourceText) -> Result<Self, Problem> {
        let is_loopback = matches!(config.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if config.tls == TlsMode::None && !is_loopback {
            let message = format!("`tls = \"none\"` would send mail to `{}` in the open", config.host);
            return Err(source
                .problem(message)
                .with_help("write `starttls` or `implicit`; `none` is for a server on this machine".to_owned()));
        }
        let parameters = parameters(config, ca, source)?;
        let port = config.port.unwrap_or(match config.tls {
            TlsMode::Implicit => 465,
            TlsMode::Starttls => 587,
            TlsMode::None => 25,
        });
        let credentials = credentials(config).map_err(|message| source.problem(message))?;
        let thread = Thread::start("smtp").map_err(|error| source.problem(format!("no thread for the mail server: {error}")))?;
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let server = Server { host: config.host.clone(), port, tls: config.tls, parameters, credentials, connections };
        Ok(Self { server: Arc::new(server), thread })
    }

    /// Connects, logs in and names sender and recipient. Nothing is sent by that.
    ///
    /// # Errors
    /// `unavailable`, or `invalid("customer")` when the server refuses the recipient for good.
    pub(crate) async fn prepare(&self, envelope: Envelope, within: Duration) -> Result<Ready, CallError> {
        let server = Arc::clone(&self.server);
        let broken = |why: String| CallError::unavailable(format!("{why}; nothing was sent"));
        self.hold(async move { server.prepare(&envelope, within).await }).await.unwrap_or_else(|why| Err(broken(why)))
    }

    /// Sends the message.
    ///
    /// # Errors
    /// `unavailable` when the server refused it, so that nothing was sent; `indeterminate` when the connection ended
    /// before the server said what became of it.
    pub(crate) async fn send(&self, ready: Ready, message: Vec<u8>, within: Duration) -> Result<(), CallError> {
        let server = Arc::clone(&self.server);
        self.hold(async move { server.send(ready, &message, within).await }).await.unwrap_or_else(|why| Err(indeterminate(why)))
    }

    /// Holds a part of a conversation on the thread for it. Says why it did not come to its end.
    async fn hold<T: Send + 'static>(&self, part: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
        self.thread.run(part).await.map_err(|why| format!("the conversation with {}: {why}", self.server.place()))
    }
}

impl Server {
    async fn prepare(&self, envelope: &Envelope, within: Duration) -> Result<Ready, CallError> {
        match tokio::time::timeout(within, self.converse(envelope, within)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::unavailable(format!("{} did not answer in time; nothing was sent", self.place()))),
        }
    }

    async fn converse(&self, envelope: &Envelope, within: Duration) -> Result<Ready, CallError> {
        let failed = |step: &str, error: &dyn fmt::Display| {
            CallError::unavailable(format!("{}: {step} failed: {error}; nothing was sent", self.place()))
        };
        let place = Arc::clone(&self.connections).acquire_owned().await.map_err(|error| failed("waiting for a connection", &error))?;
        let hello = ClientId::default();
        let server = (self.host.as_str(), self.port);
        let connected = match self.parameters.clone().filter(|_| self.tls == TlsMode::Implicit) {
            Some(implicit) => AsyncSmtpConnection::connect_tokio1(server, Some(within), &hello, Some(implicit), None).await,
            None => {
                let tcp = TcpStream::connect(server).await.map_err(|error| failed("connecting", &error))?;
                AsyncSmtpConnection::connect_with_transport(Box::new(LineByLine::new(tcp)), &hello).await
            }
        };
        let mut connection = connected.map_err(|error| failed("connecting", &error))?;
        if let (TlsMode::Starttls, Some(parameters)) = (self.tls, &self.parameters) {
            // A server that does not offer it gets no mail: the offer may have been cut out on the way.
            connection.starttls(parameters.clone(), &hello).await.map_err(|error| failed("STARTTLS", &error))?;
        }
        if let Some(credentials) = &self.credentials {
            // The error of a refused login is the server's line, never what was sent.
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(|error| failed("logging in", &error))?;
        }
        connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await.map_err(|error| failed("MAIL", &error))?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|error| match error.is_permanent() {
                true => CallError::invalid("customer", format!("{} refuses the recipient: {error}; nothing was sent", self.place())),
                false => failed("RCPT", &error),
            })?;
        }
        Ok(Ready { connection, _place: place })
    }

    async fn send(&self, mut ready: Ready, message: &[u8], within: Duration) -> Result<(), CallError> {
        let conversation = async {
            let refused = |error: &dyn fmt::Display| {
                CallError::unavailable(format!("{} refuses the message: {error}; nothing was sent", self.place()))
            };
            // Before the server's 354 there is no message yet, whatever happens to the connection.
            ready.connection.command(Data).await.map_err(|error| refused(&error))?;
            ready.connection.message(message).await.map_err(|error| match error.is_permanent() || error.is_transient() {
                true => refused(&error),
                false => indeterminate(format!("{} did not say what became of the message: {error}", self.place())),
            })?;
            Ok(())
        };
        let result = tokio::time::timeout(within, conversation).await;
        let Ok(result) = result else {
            return Err(indeterminate(format!("{} did not say in time what became of the message", self.place())));
        };
        // A polite end; the message is settled, so its failure matters to nobody.
        let _ = tokio::time::timeout(Duration::from_secs(1), ready.connection.quit()).await;
        result
    }

    fn place(&self) -> String {
        format!("the mail server `{}:{}`", self.host, self.port)
    }
}

/// Reads the file that names who may vouch for the server.
pub(crate) fn read_ca(config: &SmtpConfig, source: &SourceText, places: &Places) -> Result<Option<String>, Problem> {
    let Some(ca) = &config.ca else { return Ok(None) };
    let problem = |message: String| source.problem_at(&ca.span(), message);
    if config.tls == TlsMode::None {
        return Err(problem("`ca` has no use without TLS".to_owned()).with_help("leave it out, or write another `tls`".to_owned()));
    }
    let text = places.read(std::path::Path::new(ca.get_ref())).map_err(|error| {
        problem(format!("`{}` cannot be read: {error}", ca.get_ref())).with_help("name a file of the project".to_owned())
    })?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(problem(format!("`{}` has no certificate", ca.get_ref()))
            .with_help("write it as PEM, which begins with `-----BEGIN CERTIFICATE-----`".to_owned()));
    }
    Ok(Some(text))
}

fn parameters(config: &SmtpConfig, ca: Option<&str>, source: &SourceText) -> Result<Option<TlsParameters>, Problem> {
    if config.tls == TlsMode::None {
        return Ok(None);
    }
    let builder = TlsParameters::builder(config.host.clone());
    let built = match (ca, &config.ca) {
        // Whoever names an authority means this one: hundreds of others would only be more who can pretend to be the server.
        (Some(ca), Some(named)) => Certificate::from_pem(ca.as_bytes())
            .and_then(|ca| builder.certificate_store(CertificateStore::None).add_root_certificate(ca).build_rustls())
            .map_err(|error| source.problem_at(&named.span(), format!("`{}` cannot be used: {error}", named.get_ref()))),
        _ => builder.build_rustls().map_err(|error| source.problem(format!("TLS cannot be used: {error}"))),
    };
    built.map(Some)
}

fn credentials(config: &SmtpConfig) -> Result<Option<Credentials>, String> {
    let password = match (&config.password_env, &config.password_file) {
        (None, None) => None,
        (Some(_), Some(_)) => return Err("`password-env` and `password-file` exclude each other".to_owned()),
        (Some(name), None) => Some(std::env::var(name).map_err(|_| format!("the environment variable `{name}` holds no password"))?),
        // Named by the operator, and secrets lie outside of projects: so any path, not only one inside.
        (None, Some(path)) => {
            Some(read_password(path).map_err(|error| format!("the password file `{}` cannot be read: {error}", path.display()))?)
        }
    };
    match (&config.user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user.clone(), password))),
        (Some(_), None) => Err("`user` needs `password-env` or `password-file`".to_owned()),
        (None, Some(_)) => Err("a password needs `user`".to_owned()),
    }
}

fn read_password(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_PASSWORD_BYTES).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
