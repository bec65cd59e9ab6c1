//! The `mail` connector: messages to customers, as files or by SMTP.

pub(crate) mod config;
mod line_by_line;
mod lookup;
mod smtp;

use std::time::Instant;

use bailiwick_core::Connector;
use bailiwick_core::capability::Operation;
use bailiwick_core::connector::{Artifact, BoxFuture, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::ids::Digest;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use rusqlite::Connection;
use serde_json::{Value, json};

use self::config::MailFile;
use self::lookup::Lookup;
use self::smtp::Smtp;
use crate::config::{Latency, serves};
use crate::database::{self, Access, Database, indeterminate};
use crate::outcome::{self, Known, Repeatable};
use crate::places::{Folder, Places};
use crate::problem::{Problem, SourceText};
use crate::values;

/// Most characters of a subject.
const MAX_SUBJECT_CHARS: usize = 200;

/// Serves `notify/messages.send`.
///
/// The host looks the recipient up. A key that is known gives its first outcome again. By SMTP, a key whose
/// message was begun and not settled is `indeterminate` from then on, and a person decides.
#[derive(Debug)]
pub struct MailConnector {
    name: String,
    digest: Digest,
    from: Mailbox,
    lookup: Lookup,
    smtp: Option<Smtp>,
    folder: Folder,
    database: Database,
}

impl MailConnector {
    /// Reads the file, checks the look-up, opens folder and database.
    pub(crate) fn load(name: &str, source: &SourceText, places: &Places) -> Result<(Self, Option<Latency>), Problem> {
        let file: MailFile = source.parse()?;
        let from: Mailbox = file.from.get_ref().parse().map_err(|error| {
            source
                .problem_at(&file.from.span(), format!("`{}` is no sender: {error}", file.from.get_ref()))
                .with_help("write `Name <address>`".to_owned())
        })?;
        let lookup = Lookup::load(&file.lookup, source, places)?;
        let ca = file.smtp.as_ref().map(|config| smtp::read_ca(config, source, places)).transpose()?.flatten();
        let smtp = file.smtp.as_ref().map(|config| Smtp::load(config, ca.as_deref(), source)).transpose()?;
        let folder = places
            .documents(&file.folder)
            .map_err(|error| source.problem(format!("the folder `{}` cannot be used: {error}", file.folder)))?;
        let database_name = format!("{name}.sqlite");
        let path =
            places.database(&database_name).map_err(|error| source.problem(format!("`{database_name}` cannot be a database: {error}")))?;
        prepare(&path).map_err(|error| source.problem(format!("the database `{}` cannot be prepared: {error}", path.display())))?;
        let database =
            Database::start(&path, Access::Write).map_err(|error| source.problem(format!("no thread for the database: {error}")))?;
        // A password is no part of it: its digest in a record would let anyone try passwords against it.
        let digest = Digest::of_parts(std::iter::once(source.text.as_bytes()).chain(ca.as_deref().map(str::as_bytes)));
        Ok((Self { name: name.to_owned(), digest, from, lookup, smtp, folder, database }, file.latency))
    }

    async fn send(&self, call: ConnectorCall) -> Result<ConnectorAnswer, CallError> {
        let deadline = Instant::now() + call.time_left;
        self.check(&call.operation).map_err(CallError::unavailable)?;
        values::check_args(&call.operation.signature, &call.args)?;
        let repeatable = Repeatable::of(&call)?;
        // First, because a repeat gives its outcome whatever has become of the customer since.
        let found = repeatable.clone();
        match self.database.write(deadline, move |connection| found.look_up(connection)).await? {
            Known::Done(answer) => return Ok(*answer),
            Known::Begun if self.smtp.is_some() => return Err(begun()),
            Known::Begun | Known::New => {}
        }
        let text = |name: &str| call.args.get(name).and_then(Value::as_str).unwrap_or_default();
        check_subject(text("subject"))?;
        let to = self.lookup.find(call.origin.tenant.as_str(), text("customer"), deadline).await.map_err(|error| match error.guest {
            GuestError::Timeout => CallError::unavailable("the address was not found in time; nothing was sent"),
            _ => error,
        })?;
        let id = message_id(&repeatable, &self.from);
        let message = self.compose(to, &id, text("subject"), text("body"))?;
        let answer = ConnectorAnswer { as_of: Some(outcome::now()), ..ConnectorAnswer::of(json!(id)) };
        match &self.smtp {
            Some(smtp) => self.by_smtp(smtp, repeatable, message, answer, deadline).await,
            None => self.as_file(repeatable, message, answer, deadline).await,
        }
    }

    fn compose(&self, to: Mailbox, id: &str, subject: &str, body: &str) -> Result<Message, CallError> {
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .message_id(Some(id.to_owned()))
            .date_now()
            // So that no absence note answers to it.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(body.to_owned())
            .map_err(|error| CallError::invalid("body", format!("the message cannot be composed: {error}")))
    }

    /// Writes the message to a file that is named by the key, so that doing it again after a crash changes nothing.
    async fn as_file(
        &self,
        repeatable: Repeatable,
        message: Message,
        answer: ConnectorAnswer,
        deadline: Instant,
    ) -> Result<ConnectorAnswer, CallError> {
        let folder = self.folder.clone();
        let write = move |connection: &mut Connection| {
            // The key and its arguments are on disk before the file is: other arguments can never replace it.
            if let Known::Done(answer) = repeatable.begin(connection)? {
                return Ok(*answer);
            }
            let path = folder
                .write_atomically(&format!("{}.eml", repeatable.key.to_hex()), &message.formatted())
                .map_err(|error| CallError::unavailable(format!("the message cannot be written: {error}")))?;
            let answer = ConnectorAnswer { artifacts: vec![Artifact { kind: "mail".to_owned(), path }], ..answer };
            // The message is there, so whatever keeps its outcome from being written is no word that nothing happened.
            repeatable.finish(connection, &answer).map_err(|error| indeterminate(format!("the message is written: {}", error.detail)))?;
            Ok(answer)
        };
        self.database.write(deadline, write).await
    }

    async fn by_smtp(
        &self,
        smtp: &Smtp,
        repeatable: Repeatable,
        message: Message,
        answer: ConnectorAnswer,
        deadline: Instant,
    ) -> Result<ConnectorAnswer, CallError> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let ready = smtp.prepare(message.envelope().clone(), left()).await?;
        let begin_now = repeatable.clone();
        let known = self.database.write(deadline, move |connection| begin_now.begin(connection)).await?;
        match known {
            Known::New => {}
            Known::Done(answer) => return Ok(*answer),
            Known::Begun => return Err(begun()),
        }
        let sent = smtp.send(ready, message.formatted(), left()).await;
        // Settling is a matter of milliseconds and must not fail because sending took long.
        let settle_by = Instant::now() + std::time::Duration::from_secs(5);
        match sent {
            Ok(()) => {
                let (settled, stored) = (answer.clone(), repeatable);
                // The message is out, and that is what the caller learns. If the outcome cannot be kept, a repeat finds the key begun and asks a person.
                let _ = self.database.write(settle_by, move |connection| stored.finish(connection, &settled)).await;
                Ok(answer)
            }
            Err(error) => {
                if !matches!(error.guest, GuestError::Indeterminate(_)) {
                    // Certainly not sent, so a later attempt may try. If that cannot be kept, it will not: safe, if sorry.
                    let _ = self.database.write(settle_by, move |connection| repeatable.forget(connection)).await;
                }
                Err(error)
            }
        }
    }
}

fn begun() -> CallError {
    indeterminate("an earlier attempt began to send this message, and it is not known whether it went out")
}

/// Gives the id of the message: the same for the same key.
fn message_id(repeatable: &Repeatable, from: &Mailbox) -> String {
    let digest = Digest::of_parts([b"bailiwick/message/1".as_slice(), repeatable.key.to_hex().as_bytes()]);
    let local: String = digest.to_hex().chars().take(32).collect();
    format!("<{local}@{}>", from.email.domain())
}

/// A subject is one line; what could end it is refused before the library that would encode it sees it.
fn check_subject(subject: &str) -> Result<(), CallError> {
    if subject.trim().is_empty() || subject.chars().count() > MAX_SUBJECT_CHARS {
        return Err(CallError::invalid("subject", format!("a subject has between 1 and {MAX_SUBJECT_CHARS} characters")));
    }
    if subject.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(CallError::invalid("subject", "the subject has a line break or another control character"));
    }
    Ok(())
}

fn prepare(path: &std::path::Path) -> rusqlite::Result<()> {
    let connection = if path.exists() { database::open(path, Access::Write)? } else { database::create(path)? };
    outcome::prepare(&connection)
}

impl Connector for MailConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn config_digest(&self) -> Digest {
        self.digest
    }

    fn check(&self, operation: &Operation) -> Result<(), String> {
        serves("mail", operation, "notify", "messages", &["send"])
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(self.send(call))
    }
}

#[cfg(test)]
pub(crate) mod tests;
