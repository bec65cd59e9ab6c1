//! Secrets and the servers that they are for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::config::{SecretConfig, WebFile};
use super::request::{self, Request};
use crate::places::Places;
use crate::problem::{Problem, SourceText};
use crate::secrets::{Secret, Source};

/// Headers that a secret may be put into although no agent may set them.
const FOR_SECRETS: [&str; 2] = ["authorization", "cookie"];

/// A secret and where it goes.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) secret: Secret,
    host: String,
    port: u16,
    header: HeaderName,
    prefix: String,
    user: Option<String>,
}

impl Placed {
    /// Takes the secrets of a connector's file, and reads each once.
    pub(crate) fn load_all(file: &WebFile, source: &SourceText, places: &Places) -> Result<Vec<Self>, Problem> {
        let mut placed: Vec<Self> = Vec::new();
        for (name, config) in &file.secrets {
            let problem = |message: String| source.problem_at(&config.span(), message);
            let one = Self::load(name, config.get_ref(), places).map_err(|(message, help)| problem(message).with_help(help))?;
            if file.headers.iter().any(|header| header.get_ref() == one.header.as_str()) {
                let help = "leave it out of `headers`".to_owned();
                return Err(problem(format!("agents may set the header `{}`, which a secret is put into", one.header)).with_help(help));
            }
            if placed.iter().any(|other| (&other.host, other.port, &other.header) == (&one.host, one.port, &one.header)) {
                let message = format!("another secret is put into the header `{}` for `{}:{}`", one.header, one.host, one.port);
                return Err(problem(message));
            }
            one.secret.read().map_err(problem)?;
            placed.push(one);
        }
        Ok(placed)
    }

    fn load(name: &str, config: &SecretConfig, places: &Places) -> Result<Self, (String, Option<String>)> {
        let with_help = |message: String, help: &str| (message, Some(help.to_owned()));
        let source = match (&config.env, &config.file) {
            (Some(variable), None) => Source::Environment(variable.clone()),
            (None, Some(path)) => {
                let file = places.secret(path).map_err(|error| (format!("`{}` cannot be opened: {error}", path.display()), None))?;
                Source::File(file)
            }
            _ => return Err(with_help(format!("it is not clear where the secret `{name}` is read from"), "name either `env` or `file`")),
        };
        let (_, host) = request::read_host(&config.host).map_err(|error| (error.detail, None))?;
        let is_good = FOR_SECRETS.contains(&config.header.as_str())
            || (request::may_be_allowed(&config.header) && !request::HARMLESS.contains(&config.header.as_str()));
        let header = HeaderName::from_bytes(config.header.as_bytes()).ok().filter(|_| is_good);
        let header = header.ok_or_else(|| {
            with_help(format!("no secret can be put into the header `{}`", config.header), "for example `authorization`, or `x-api-key`")
        })?;
        if !config.prefix.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(("`prefix` has other characters than visible ones of ASCII".to_owned(), None));
        }
        if let Some(user) = &config.user {
            if !config.prefix.is_empty() {
                return Err(with_help(
                    "`user` and `prefix` exclude each other".to_owned(),
                    "leave `prefix` out: `Basic ` is written by itself",
                ));
            }
            if user.contains(':') || !user.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err((format!("`{user}` is no name to log in with: visible characters of ASCII but `:` are expected"), None));
            }
        }
        let (prefix, user) = (config.prefix.clone(), config.user.clone());
        Ok(Self { secret: Secret::new(name, source), host, port: config.port, header, prefix, user })
    }

    /// Says whether a request goes to the server that the secret is for.
    pub(crate) fn is_for(&self, request: &Request) -> bool {
        request.host == self.host && request.port == self.port
    }

    /// Puts the secret, as it is now, into a request.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn put_into(&self, request: &mut Request) -> Result<(), String> {
        let version = self.secret.read()?;
        let mut text = Zeroizing::new(String::with_capacity(self.prefix.len() + version.reveal().len() * 2 + 64));
        match &self.user {
            Some(user) => {
                let pair = Zeroizing::new(format!("{user}:{}", version.reveal()));
                text.push_str("Basic ");
                STANDARD.encode_string(pair.as_bytes(), &mut text);
            }
            None => {
                text.push_str(&self.prefix);
                text.push_str(version.reveal());
            }
        }
        let mut value = HeaderValue::from_str(&text).map_err(|_| format!("the header `{}` cannot hold it", self.header))?;
        value.set_sensitive(true);
        request.headers.insert(self.header.clone(), value);
        Ok(())
    }
}
