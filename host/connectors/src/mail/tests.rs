use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use self::server::{Manner, Server};
use super::*;
use crate::generator::fixed;
use crate::support::*;

pub(crate) mod server;
mod tls;

fn message(customer: &str, subject: &str, body: &str, ordinal: u32) -> ConnectorCall {
    let args = json!({"customer": customer, "channel": "email", "subject": subject, "body": body});
    call("notify/messages.send", args, ordinal)
}

fn files(state: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(state.path().join("mail")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_message_becomes_one_file_that_is_named_by_its_key() {
    let state = state();
    let mail = sample_connector("mail", state.path());
    let sent = ok(&*mail, message(fixed::CUSTOMER, "Your return of O-20417 — accepted", "Grüße\n.\nFrom here on\n", 0)).await;
    let id = sent.value.as_str().unwrap();
    assert!(id.starts_with('<') && id.ends_with("@nordwind.example>"), "{id}");
    assert_eq!((sent.artifacts[0].kind.as_str(), files(&state)), ("mail", vec![sent.artifacts[0].path.clone()]));
    let text = std::fs::read_to_string(&sent.artifacts[0].path).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    for line in [
        "From: \"Nordwind Returns\" <returns@nordwind.example>",
        "To: \"Marta Lindqvist\" <marta.lindqvist@post.example>",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(head.contains(line), "{line}\n{head}");
    }
    assert!(head.contains(&format!("Message-ID: {id}")) && head.contains("Subject: ") && head.contains("Date: "), "{head}");
    assert!(body.contains("Gr=C3=BC=C3=9Fe") || body.contains("Grüße"), "{body}");
    assert!(sent.artifacts[0].path.file_name().unwrap().to_str().unwrap().starts_with(&message("", "", "", 0).key.unwrap().to_hex()));

    let again = ok(&*mail, message(fixed::CUSTOMER, "Your return of O-20417 — accepted", "Grüße\n.\nFrom here on\n", 0)).await;
    assert!(again.cached && again.value == sent.value && files(&state).len() == 1);
    assert!(matches!(error(&*mail, message(fixed::CUSTOMER, "Other", "x", 0)).await.guest, GuestError::Conflict(_)));
    assert_eq!(std::fs::read_to_string(&sent.artifacts[0].path).unwrap(), text);
    assert_ne!(ok(&*mail, message(fixed::CUSTOMER, "Other", "x", 1)).await.value, sent.value);
}

#[tokio::test]
async fn a_message_whose_outcome_cannot_be_kept_is_not_told_as_unsent() {
    let state = state();
    let mail = sample_connector("mail", state.path());
    let connection = database::open(&state.path().canonicalize().unwrap().join("data/mail.sqlite"), Access::Write).unwrap();
    let trigger = "CREATE TRIGGER t BEFORE UPDATE ON bailiwick_outcomes BEGIN SELECT RAISE(ABORT, 'no'); END";
    connection.execute_batch(trigger).unwrap();
    let failed = error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    assert!(matches!(failed.guest, GuestError::Indeterminate(_)) && files(&state).len() == 1, "{failed}");
    connection.execute_batch("DROP TRIGGER t").unwrap();
    ok(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    assert_eq!(files(&state).len(), 1);
}

#[tokio::test]
async fn who_cannot_or_will_not_get_mail_gets_none() {
    let state = state();
    let mail = sample_connector("mail", state.path());
    for (customer, detail) in [(fixed::WITHOUT_EMAIL, "no mail address"), (fixed::OPTED_OUT, "opted out")] {
        let failed = error(&*mail, message(customer, "s", "b", 0)).await;
        assert!(failed.guest == GuestError::Invalid("customer".to_owned()) && failed.detail.contains(detail), "{failed}");
    }
    for customer in ["C-0", fixed::NEIGHBOUR, "", "C-1042' OR '1'='1", "marta.lindqvist@post.example"] {
        assert_eq!(error(&*mail, message(customer, "s", "b", 0)).await.guest, GuestError::NotFound, "{customer}");
    }
    assert_eq!(files(&state).len(), 0);
}

#[tokio::test]
async fn headers_cannot_be_injected() {
    let state = state();
    let mail = sample_connector("mail", state.path());
    for subject in ["a\r\nBcc: x@evil.example", "a\nb", "a\rb", "a\u{2028}b", "a\tb", "", "   ", &"x".repeat(201)] {
        assert_eq!(
            error(&*mail, message(fixed::CUSTOMER, subject, "b", 0)).await.guest,
            GuestError::Invalid("subject".to_owned()),
            "{subject:?}"
        );
    }
    for (subject, body, field) in [("a\0b", "b", "subject"), ("s", "a\0b", "body")] {
        assert_eq!(error(&*mail, message(fixed::CUSTOMER, subject, body, 0)).await.guest, GuestError::Invalid(field.to_owned()));
    }
    let huge = message(fixed::CUSTOMER, "s", &"x".repeat(1 << 20), 0);
    assert_eq!(error(&*mail, huge).await.guest, GuestError::Invalid("body".to_owned()));
    // What stands in a body stays in the body.
    let body = "Hello\r\nBcc: x@evil.example\r\n\r\nSubject: other\r\n.\r\nMAIL FROM:<x>";
    let sent = ok(&*mail, message(fixed::CUSTOMER, "=?utf-8?q?s?= Bcc: y@evil.example", body, 1)).await;
    let text = std::fs::read_to_string(&sent.artifacts[0].path).unwrap();
    let head = text.split_once("\r\n\r\n").unwrap().0;
    let names: Vec<&str> =
        head.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    assert!(!names.contains(&"Bcc") && names.iter().filter(|name| **name == "Subject").count() == 1, "{head}");
    // A name in the database with a line break is left out.
    let path = state.path().canonicalize().unwrap().join("data/shop.sqlite");
    let connection = database::open(&path, Access::Write).unwrap();
    connection.execute("UPDATE customers SET name = 'x' || char(13, 10) || 'Bcc: z@evil.example' WHERE id = 'C-1042'", []).unwrap();
    let sent = ok(&*mail, message(fixed::CUSTOMER, "s", "b", 2)).await;
    assert!(!std::fs::read_to_string(&sent.artifacts[0].path).unwrap().contains("evil"));
    connection.execute("UPDATE customers SET email = 'a@b.example, c@evil.example' WHERE id = 'C-1042'", []).unwrap();
    assert_eq!(error(&*mail, message(fixed::CUSTOMER, "s", "b", 3)).await.guest, GuestError::Invalid("customer".to_owned()));
}

#[tokio::test]
async fn a_crash_after_the_key_was_written_repeats_the_file_but_never_with_other_words() {
    let state = state();
    let mail = sample_connector("mail", state.path());
    let sent = ok(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    let path = state.path().canonicalize().unwrap().join("data/mail.sqlite");
    database::open(&path, Access::Write).unwrap().execute("UPDATE bailiwick_outcomes SET answer = NULL", []).unwrap();
    assert!(matches!(error(&*mail, message(fixed::CUSTOMER, "s", "other", 0)).await.guest, GuestError::Conflict(_)));
    let again = ok(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    assert!(!again.cached && again.value == sent.value && files(&state).len() == 1);
    assert!(ok(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await.cached);
}

impl Server {
    fn connector(&self, state: &tempfile::TempDir) -> Arc<dyn Connector> {
        drop(sample_connector("shop", state.path()));
        let text = std::fs::read_to_string(sample().join("connectors/mail.toml")).unwrap();
        load_text(&format!("{text}\n[smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n", self.port), state.path(), &[]).unwrap()
    }
}

#[tokio::test]
async fn a_message_goes_out_by_smtp_once() {
    let state = state();
    let server = Server::start(Manner::Accept).await;
    let mail = server.connector(&state);
    let sent = ok(&*mail, message(fixed::CUSTOMER, "Hello", "one\n.\ntwo", 0)).await;
    let again = ok(&*mail, message(fixed::CUSTOMER, "Hello", "one\n.\ntwo", 0)).await;
    assert!(again.cached && again.value == sent.value && sent.artifacts.is_empty());
    let heard = server.heard.lock().await;
    let received = &heard.messages;
    assert_eq!(received.len(), 1);
    assert!(received[0].contains(sent.value.as_str().unwrap()) && received[0].contains("Subject: Hello"), "{}", received[0]);
    assert!(received[0].contains("\r\n..\r\n"), "a line of one dot is doubled on the way: {}", received[0]);
    drop(heard);
    assert!(matches!(error(&*mail, message(fixed::CUSTOMER, "Other", "x", 0)).await.guest, GuestError::Conflict(_)));
    assert_eq!(files(&state).len(), 0);
}

/// Guests run, and call, on a runtime that has time and no network.
#[test]
fn a_message_goes_out_where_the_caller_has_no_network() {
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = servers.block_on(Server::start(Manner::Accept));
    let guests = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let state = state();
    let mail = server.connector(&state);
    guests.block_on(async {
        ok(&*mail, message(fixed::CUSTOMER, "Hello", "one", 0)).await;
        // The last handle is dropped where futures run.
        drop(mail);
    });
    assert_eq!(servers.block_on(server.heard.lock()).messages.len(), 1);
}

#[tokio::test]
async fn before_the_message_everything_is_unavailable_and_may_be_tried_again() {
    let state = state();
    let server = Server::start(Manner::DropBeforeData).await;
    let mail = server.connector(&state);
    let failed = error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("nothing was sent"), "{failed}");
    *server.manner.lock().await = Manner::RefuseMessage;
    assert_eq!(error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await.guest, GuestError::Unavailable);
    *server.manner.lock().await = Manner::RefuseRecipient;
    assert_eq!(error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await.guest, GuestError::Invalid("customer".to_owned()));
    *server.manner.lock().await = Manner::Silent;
    let short = ConnectorCall { time_left: Duration::from_millis(200), ..message(fixed::CUSTOMER, "s", "b", 0) };
    assert_eq!(error(&*mail, short).await.guest, GuestError::Unavailable);
    *server.manner.lock().await = Manner::Accept;
    assert!(!ok(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await.cached);

    // Nobody listens there any more.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let gone = Server { port: listener.local_addr().unwrap().port(), heard: Arc::default(), manner: Arc::new(Mutex::new(Manner::Accept)) };
    drop(listener);
    let failed = error(&*gone.connector(&state), message(fixed::CUSTOMER, "s", "b", 1)).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("connecting failed"), "{failed}");
}

#[tokio::test]
async fn a_message_whose_fate_is_unknown_is_never_sent_again() {
    let state = state();
    let server = Server::start(Manner::DropAfterData).await;
    let mail = server.connector(&state);
    assert!(matches!(error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await.guest, GuestError::Indeterminate(_)));
    *server.manner.lock().await = Manner::Accept;
    let failed = error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    assert!(matches!(failed.guest, GuestError::Indeterminate(_)) && failed.detail.contains("an earlier attempt"), "{failed}");
    *server.manner.lock().await = Manner::SilentAfterData;
    let short = ConnectorCall { time_left: Duration::from_millis(500), ..message(fixed::CUSTOMER, "s", "b", 1) };
    assert!(matches!(error(&*mail, short).await.guest, GuestError::Indeterminate(_)));
    assert_eq!(server.heard.lock().await.messages.len(), 2);
    // It stays so after a restart of the host.
    drop(mail);
    *server.manner.lock().await = Manner::Accept;
    assert!(matches!(error(&*server.connector(&state), message(fixed::CUSTOMER, "s", "b", 0)).await.guest, GuestError::Indeterminate(_)));
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_mail() {
    let state = state();
    let server = Server::start(Manner::Accept).await;
    drop(sample_connector("shop", state.path()));
    let text = std::fs::read_to_string(sample().join("connectors/mail.toml")).unwrap();
    let smtp = format!("{text}\n[smtp]\nhost = \"127.0.0.1\"\nport = {}\n", server.port);
    let mail = load_text(&smtp, state.path(), &[]).unwrap();
    let failed = error(&*mail, message(fixed::CUSTOMER, "s", "b", 0)).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("STARTTLS"), "{failed}");
    assert_eq!(server.heard.lock().await.messages.len(), 0);
}

#[test]
fn files_are_checked_and_passwords_are_not_shown() {
    let state = state();
    let good = std::fs::read_to_string(sample().join("connectors/mail.toml")).unwrap();
    let secret = state.path().join("secret");
    std::fs::write(&secret, "hunter2-but-longer\n").unwrap();
    let with = |smtp: &str| load_text(&format!("{good}\n[smtp]\nhost = \"smtp.nordwind.example\"\n{smtp}"), state.path(), &[]);
    for (smtp, expected) in [
        ("tls = \"none\"", "in the open"),
        ("tls = \"startls\"", "did you mean `starttls`?"),
        ("user = \"u\"", "needs `password-env` or `password-file`"),
        ("user = \"u\"\npassword = \"p\"", "unknown key `password`"),
        ("user = \"u\"\npassword-env = \"NO_SUCH_VARIABLE_HERE\"", "`NO_SUCH_VARIABLE_HERE` holds no password"),
        ("user = \"u\"\npassword-file = \"/nowhere\"", "cannot be read"),
        ("password-env = \"HOME\"", "a password needs `user`"),
        ("user = \"u\"\npassword-env = \"HOME\"\npassword-file = \"x\"", "exclude each other"),
    ] {
        let message = with(smtp).err().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    with(&format!("user = \"u\"\npassword-file = \"{}\"", secret.display())).unwrap();
    let source = SourceText::new(std::path::Path::new("x"), String::new());
    let config = config::SmtpConfig {
        host: "h".to_owned(),
        port: None,
        tls: config::TlsMode::Starttls,
        ca: None,
        user: Some("u".to_owned()),
        password_env: None,
        password_file: Some(secret),
    };
    assert!(!format!("{:?}", Smtp::load(&config, None, &source).unwrap()).contains("hunter2"));
    for (from, to, expected) in [
        ("Nordwind Returns <returns@nordwind.example>", "nobody", "is no sender"),
        ("\"shop.sqlite\"", "\"none.sqlite\"", "cannot be opened"),
        ("email AS address", "mail AS address", "no such column: mail"),
        ("email AS address", "email", "gives no column `address`"),
        ("AND id = :customer", "", "needs the parameters"),
        ("opted_out FROM", "opted_out, phone FROM", "gives more than"),
        (
            "SELECT email AS address, name, opted_out FROM customers WHERE tenant = :tenant AND id = :customer",
            "DELETE FROM customers WHERE tenant = :tenant AND id = :customer RETURNING email AS address, name, opted_out",
            "the statement writes",
        ),
    ] {
        let message = load_text(&good.replace(from, to), state.path(), &[]).err().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}
