//! An SMTP server on the loopback interface, with and without TLS, well behaved or not.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Manner {
    Accept,
    RefuseLogin,
    RefuseStartTls,
    RefuseRecipient,
    RefuseMessage,
    /// Answers STARTTLS and goes on in the clear, as somebody on the way would who cannot break TLS.
    InjectAfterStartTls,
    DropAfterData,
    DropBeforeData,
    Garbage,
    GarbageAfterData,
    EndlessLine,
    Silent,
    SilentAfterStartTls,
    SilentAfterData,
}

/// Where TLS begins.
#[derive(Clone)]
pub(super) enum Tls {
    None,
    Upgrade(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

/// What a server was told, line by line.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) in_the_clear: Vec<String>,
    pub(super) protected: Vec<String>,
    pub(super) messages: Vec<String>,
}

/// A server that keeps what it was told.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) heard: Arc<Mutex<Heard>>,
    pub(super) manner: Arc<Mutex<Manner>>,
}

impl Server {
    pub(super) async fn start(manner: Manner) -> Self {
        Self::start_with(manner, Tls::None).await
    }

    pub(super) async fn start_with(manner: Manner, tls: Tls) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, manner) = (Arc::default(), Arc::new(Mutex::new(manner)));
        tokio::spawn({
            let (heard, manner) = (Arc::clone(&heard), Arc::clone(&manner));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let manner = *manner.lock().await;
                    tokio::spawn(serve(stream, tls.clone(), manner, Arc::clone(&heard)));
                }
            }
        });
        Self { port, heard, manner }
    }
}

/// Serves one connection. Whatever goes wrong ends it, as it would end a server's.
async fn serve(stream: TcpStream, tls: Tls, manner: Manner, heard: Arc<Mutex<Heard>>) -> std::io::Result<()> {
    let mut conversation = Conversation { manner, heard, offers_tls: matches!(tls, Tls::Upgrade(_)), is_protected: false };
    match tls {
        Tls::None => conversation.hold(&mut BufReader::new(stream), true).await,
        Tls::Upgrade(config) => {
            let mut plain = BufReader::new(stream);
            conversation.hold(&mut plain, true).await?;
            conversation.protect(config, plain.into_inner(), false).await
        }
        Tls::Implicit(config) if manner == Manner::Silent => {
            let mut stream = BufReader::new(stream);
            drop(config);
            wait_for_the_end(&mut stream).await
        }
        Tls::Implicit(config) => conversation.protect(config, stream, true).await,
    }
}

async fn wait_for_the_end<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(|_| ())
}

struct Conversation {
    manner: Manner,
    heard: Arc<Mutex<Heard>>,
    offers_tls: bool,
    is_protected: bool,
}

impl Conversation {
    async fn protect(mut self, config: Arc<ServerConfig>, stream: TcpStream, greets: bool) -> std::io::Result<()> {
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        (self.is_protected, self.offers_tls) = (true, false);
        self.hold(&mut BufReader::new(stream), greets).await
    }

    /// Talks until the client says QUIT, the manner ends it, or TLS is to begin.
    async fn hold<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut BufReader<S>, greets: bool) -> std::io::Result<()> {
        match self.manner {
            Manner::Silent => return wait_for_the_end(stream).await,
            Manner::Garbage => stream.write_all(b"\0\xff\x16 what?\r\n").await?,
            Manner::EndlessLine => loop {
                stream.write_all(&[b'x'; 4096]).await?;
            },
            _ if greets => stream.write_all(b"220 test ESMTP\r\n").await?,
            _ => {}
        }
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let mut heard = self.heard.lock().await;
            let lines = if self.is_protected { &mut heard.protected } else { &mut heard.in_the_clear };
            lines.push(line.trim_end().to_owned());
            drop(heard);
            let reply = match (line.split([' ', ':', '\r']).next().unwrap(), self.manner) {
                ("EHLO", _) if self.offers_tls => "250-test\r\n250-8BITMIME\r\n250 STARTTLS\r\n",
                ("EHLO", _) => "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
                ("STARTTLS", Manner::RefuseStartTls) => "454 not just now\r\n",
                ("STARTTLS", Manner::InjectAfterStartTls) => {
                    return stream.write_all(b"220 go on\r\n250-test\r\n250 AUTH PLAIN LOGIN\r\n").await;
                }
                ("STARTTLS", Manner::SilentAfterStartTls) => {
                    stream.write_all(b"220 go on\r\n").await?;
                    return wait_for_the_end(stream).await;
                }
                ("STARTTLS", _) => return stream.write_all(b"220 go on\r\n").await,
                ("AUTH", Manner::RefuseLogin) => "535 who are you?\r\n",
                ("AUTH", _) => "235 welcome\r\n",
                ("RCPT", Manner::RefuseRecipient) => "550 no such mailbox\r\n",
                ("DATA", Manner::DropBeforeData) => return Ok(()),
                ("DATA", _) => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let mut text = String::new();
                    while !text.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut text).await? == 0 {
                            return Ok(());
                        }
                    }
                    self.heard.lock().await.messages.push(text);
                    match self.manner {
                        Manner::DropAfterData => return Ok(()),
                        Manner::SilentAfterData => return wait_for_the_end(stream).await,
                        Manner::GarbageAfterData => "\0 what?\r\n",
                        Manner::RefuseMessage => "554 looks like spam\r\n",
                        _ => "250 taken\r\n",
                    }
                }
                ("QUIT", _) => return stream.write_all(b"221 bye\r\n").await,
                _ => "250 ok\r\n",
            };
            stream.write_all(reply.as_bytes()).await?;
        }
    }
}

/// Who signs the certificates of servers.
pub(crate) struct Authority {
    /// Its own certificate.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Makes a server's certificate.
    pub(crate) fn certify(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(config.unwrap().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}
