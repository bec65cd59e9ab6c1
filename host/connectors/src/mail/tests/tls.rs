//! SMTP over TLS, with a server's certificate from an authority of the project's own.

use std::time::{Duration, Instant};

use super::server::{Authority, Manner, Server, Tls};
use super::*;

/// Who logs in, and what goes over the line for it: `\0returns\0correct horse`.
const PASSWORD: &str = "correct horse";
const LOGIN: &str = "AUTH PLAIN AHJldHVybnMAY29ycmVjdCBob3JzZQ==";

/// A mail connector that logs in to a server on this machine.
struct Client {
    state: tempfile::TempDir,
    /// More lines of `[smtp]`.
    smtp: String,
    ca: Option<String>,
}

impl Client {
    fn new(tls: &str, ca: Option<&str>) -> Self {
        Self { state: state(), smtp: format!("tls = \"{tls}\"\n"), ca: ca.map(str::to_owned) }
    }

    fn load(&self, server: &Server) -> Result<Arc<dyn Connector>, String> {
        drop(sample_connector("shop", self.state.path()));
        let password = self.state.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let text = std::fs::read_to_string(sample().join("connectors/mail.toml")).unwrap();
        let ca = if self.ca.is_some() { "ca = \"certs/ca.pem\"\n" } else { "" };
        let text = format!(
            "{text}\n[smtp]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"returns\"\npassword-file = \"{}\"\n{}{ca}",
            server.port,
            password.display(),
            self.smtp
        );
        let files: Vec<(&str, &str)> = self.ca.iter().map(|pem| ("certs/ca.pem", pem.as_str())).collect();
        load_text(&text, self.state.path(), &files)
    }

    async fn fails(&self, server: &Server) -> CallError {
        error(&*self.load(server).unwrap(), message(fixed::CUSTOMER, "s", "b", 0)).await
    }
}

/// The two ways to TLS: the word of the connector's file, and the server's side of it.
fn both(authority: &Authority, name: &str) -> [(&'static str, Tls); 2] {
    let config = authority.certify(name);
    [("starttls", Tls::Upgrade(Arc::clone(&config))), ("implicit", Tls::Implicit(config))]
}

/// Nothing that is anybody's business was said in the clear.
async fn assert_nothing_was_told(server: &Server) {
    let heard = server.heard.lock().await;
    let is_harmless = |line: &String| line.starts_with("EHLO ") || line == "STARTTLS" || line == "QUIT";
    assert!(heard.in_the_clear.iter().all(is_harmless), "{heard:?}");
    assert!(heard.protected.is_empty() && heard.messages.is_empty(), "{heard:?}");
}

#[tokio::test]
async fn a_message_arrives_whole_and_only_over_tls() {
    let authority = Authority::new();
    let body: String = (0..1_000).map(|number| format!("{}line {number}\r\n", ".".repeat(number % 4))).collect();
    for (mode, tls) in both(&authority, "127.0.0.1") {
        let server = Server::start_with(Manner::Accept, tls).await;
        let mail = Client::new(mode, Some(&authority.pem));
        let mail = (mail.load(&server).unwrap(), mail);
        let sent = ok(&*mail.0, message(fixed::CUSTOMER, "Hello", &body, 0)).await;
        let heard = server.heard.lock().await;
        assert!(heard.in_the_clear.iter().all(|line| line.starts_with("EHLO ") || line == "STARTTLS"), "{heard:?}");
        let said: Vec<&str> = heard.protected.iter().map(String::as_str).filter(|line| !line.starts_with("EHLO ")).collect();
        let expected = [LOGIN, "MAIL FROM:<returns@nordwind.example>", "RCPT TO:<marta.lindqvist@post.example>", "DATA", "QUIT"];
        assert_eq!(said, expected, "{mode}");
        let [text] = heard.messages.as_slice() else { panic!("{heard:?}") };
        let (head, told) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Message-ID: {}", sent.value.as_str().unwrap())) && head.contains("Subject: Hello"), "{head}");
        let told: String =
            told.strip_suffix(".\r\n").unwrap().split_inclusive("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
        assert_eq!(told.trim_end(), body.trim_end(), "{mode}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (mode, tls) in both(&authority, "127.0.0.1") {
        // Without a file, the authorities that browsers trust; with one, those of the file and no others.
        for ca in [None, Some(other.pem.as_str())] {
            let server = Server::start_with(Manner::Accept, tls.clone()).await;
            let failed = Client::new(mode, ca).fails(&server).await;
            assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("invalid peer certificate"), "{failed}");
            assert!(failed.detail.contains("nothing was sent"), "{failed}");
            assert_nothing_was_told(&server).await;
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_server_is_refused() {
    let authority = Authority::new();
    for name in ["127.0.0.2", "localhost", "smtp.nordwind.example"] {
        for (mode, tls) in both(&authority, name) {
            let server = Server::start_with(Manner::Accept, tls).await;
            let failed = Client::new(mode, Some(&authority.pem)).fails(&server).await;
            assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("not valid for name"), "{failed}");
            assert_nothing_was_told(&server).await;
        }
    }
}

#[tokio::test]
async fn nothing_gets_a_message_into_the_clear() {
    let authority = Authority::new();
    let [(_, starttls), _] = both(&authority, "127.0.0.1");
    // The offer is left out, taken back, or the port speaks no TLS at all.
    for (mode, tls, manner, detail) in [
        ("starttls", Tls::None, Manner::Accept, "STARTTLS is not supported"),
        ("starttls", starttls, Manner::RefuseStartTls, "STARTTLS failed"),
        ("implicit", Tls::None, Manner::Accept, "connecting failed"),
    ] {
        let server = Server::start_with(manner, tls).await;
        let failed = Client::new(mode, Some(&authority.pem)).fails(&server).await;
        assert!(failed.guest == GuestError::Unavailable && failed.detail.contains(detail), "{failed}");
        assert_nothing_was_told_but_noise(&server).await;
    }
}

/// As [`assert_nothing_was_told`]; a server without TLS takes the beginning of it for noise.
async fn assert_nothing_was_told_but_noise(server: &Server) {
    let heard = server.heard.lock().await;
    let told = format!("{heard:?}");
    assert!(!["AUTH PLAIN", "MAIL FROM", "RCPT", "DATA", "lindqvist"].iter().any(|word| told.contains(word)), "{told}");
}

#[tokio::test]
async fn what_is_put_behind_the_answer_to_starttls_is_not_the_servers() {
    let authority = Authority::new();
    let [(mode, tls), _] = both(&authority, "127.0.0.1");
    let server = Server::start_with(Manner::InjectAfterStartTls, tls).await;
    let failed = Client::new(mode, Some(&authority.pem)).fails(&server).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("STARTTLS failed"), "{failed}");
    assert_nothing_was_told(&server).await;
}

#[tokio::test]
async fn a_refused_login_sends_nothing_and_does_not_show_the_password() {
    let authority = Authority::new();
    for (mode, tls) in both(&authority, "127.0.0.1") {
        let server = Server::start_with(Manner::RefuseLogin, tls).await;
        let failed = Client::new(mode, Some(&authority.pem)).fails(&server).await;
        assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("who are you?"), "{failed}");
        assert!(!failed.detail.contains(PASSWORD) && !failed.detail.contains("AHJl"), "{failed}");
        assert!(server.heard.lock().await.messages.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_deadline() {
    let authority = Authority::new();
    let [(_, starttls), (_, implicit)] = both(&authority, "127.0.0.1");
    for (mode, tls, manner) in [
        ("starttls", starttls.clone(), Manner::Silent),
        ("starttls", starttls.clone(), Manner::SilentAfterStartTls),
        ("implicit", implicit.clone(), Manner::Silent),
        ("starttls", starttls, Manner::SilentAfterData),
        ("implicit", implicit, Manner::SilentAfterData),
    ] {
        let server = Server::start_with(manner, tls).await;
        let client = Client::new(mode, Some(&authority.pem));
        let mail = client.load(&server).unwrap();
        // A message that is out needs the time to get there.
        let time_left = Duration::from_millis(if manner == Manner::SilentAfterData { 3_000 } else { 300 });
        let begun = Instant::now();
        let failed = error(&*mail, ConnectorCall { time_left, ..message(fixed::CUSTOMER, "s", "b", 0) }).await;
        let took = begun.elapsed();
        assert!(took >= time_left && took < time_left + Duration::from_secs(5), "{mode} {manner:?}: {took:?}");
        match manner {
            Manner::SilentAfterData => assert!(matches!(failed.guest, GuestError::Indeterminate(_)), "{failed}"),
            _ => assert_eq!(failed.guest, GuestError::Unavailable, "{failed}"),
        }
    }
}

#[tokio::test]
async fn after_the_message_only_a_word_of_the_server_settles_it() {
    let authority = Authority::new();
    for (mode, tls) in both(&authority, "127.0.0.1") {
        for manner in [Manner::DropAfterData, Manner::GarbageAfterData] {
            let server = Server::start_with(manner, tls.clone()).await;
            let client = Client::new(mode, Some(&authority.pem));
            let failed = client.fails(&server).await;
            assert!(matches!(failed.guest, GuestError::Indeterminate(_)), "{mode} {manner:?}: {failed}");
            // A person decides: it is not sent again.
            *server.manner.lock().await = Manner::Accept;
            assert!(matches!(client.fails(&server).await.guest, GuestError::Indeterminate(_)));
            assert_eq!(server.heard.lock().await.messages.len(), 1);
        }
    }
}

#[tokio::test]
async fn before_the_message_whatever_a_server_says_is_unavailable() {
    let authority = Authority::new();
    for (mode, tls) in both(&authority, "127.0.0.1") {
        for manner in [Manner::Garbage, Manner::DropBeforeData] {
            let server = Server::start_with(manner, tls.clone()).await;
            let failed = Client::new(mode, Some(&authority.pem)).fails(&server).await;
            assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("nothing was sent"), "{mode} {manner:?}: {failed}");
        }
    }
}

#[tokio::test]
async fn a_server_that_says_too_much_is_left() {
    let authority = Authority::new();
    let [(mode, tls), _] = both(&authority, "127.0.0.1");
    let server = Server::start_with(Manner::EndlessLine, tls).await;
    let failed = Client::new(mode, Some(&authority.pem)).fails(&server).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("says more than"), "{failed}");
}

#[tokio::test]
async fn a_ca_file_is_checked_when_it_is_loaded() {
    let server = Server::start(Manner::Accept).await;
    for (tls, ca, expected) in [
        ("starttls", "", "`certs/ca.pem` has no certificate"),
        ("implicit", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "`certs/ca.pem` cannot be used"),
        ("starttls", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n", "`certs/ca.pem` cannot be used"),
        ("none", &Authority::new().pem, "`ca` has no use without TLS"),
    ] {
        let problem = Client::new(tls, Some(ca)).load(&server).err().unwrap();
        assert!(problem.contains(expected) && problem.contains("c.toml:"), "{problem}");
    }
    for path in ["certs/ca.pem", "../ca.pem", "/etc/ssl/cert.pem"] {
        let client = Client { smtp: format!("ca = \"{path}\"\n"), ..Client::new("starttls", None) };
        let problem = client.load(&server).err().unwrap();
        assert!(problem.contains(&format!("`{path}` cannot be read")), "{problem}");
    }
}
