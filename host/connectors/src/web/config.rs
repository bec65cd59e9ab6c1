//! The form of a `kind = "web"` file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_core::limits::{ByteCount, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::reach::Reach;
use crate::config::Latency;
use crate::problem::{Problem, SourceText};

/// Longest time that a file may give to a request.
const MAX_TIME: Duration = Duration::from_secs(300);

/// Largest content of an answer that a file may allow.
const MAX_RESPONSE: ByteCount = ByteCount::mib(4);

/// Requests to web servers. Where they may go is a matter of grants and policies; here stands what holds for all of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct WebFile {
    /// Always `web`.
    #[expect(dead_code, reason = "it selected this type")]
    kind: WebKind,
    /// Ranges of addresses that may be reached although they are not public, for example `10.20.0.0/16`. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) reach: Vec<Spanned<String>>,
    /// Headers that agents may set, beside the harmless ones that they always may. In lower case. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) headers: Vec<Spanned<String>>,
    /// Longest time until there is a connection, finding the address and TLS included. Default `5s`.
    #[schemars(with = "Option<String>")]
    connect_timeout: Option<Spanned<Span>>,
    /// Longest time from there until status and headers are there. Default `10s`.
    #[schemars(with = "Option<String>")]
    first_byte_timeout: Option<Spanned<Span>>,
    /// Longest time for all of it. Default `30s`.
    #[schemars(with = "Option<String>")]
    total_timeout: Option<Spanned<Span>>,
    /// Largest content of an answer. Default `1MiB`, at most `4MiB`.
    #[schemars(with = "Option<String>")]
    max_response: Option<Spanned<ByteCount>>,
    /// File of the project with the certificates, as PEM, of those who may vouch for servers; nobody else may then. Default: the authorities that
    /// browsers trust.
    #[schemars(with = "Option<String>")]
    pub(crate) ca: Option<Spanned<String>>,
    /// What is put into requests to a server, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SecretConfig>")]
    pub(crate) secrets: BTreeMap<String, Spanned<SecretConfig>>,
    /// Waits so long before every call: for demonstrations and benchmarks. Default: not at all.
    pub(crate) latency: Option<Latency>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum WebKind {
    Web,
}

/// A secret, where it is read from, and for which server it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SecretConfig {
    /// Environment variable of the host that holds it.
    pub(crate) env: Option<String>,
    /// File whose first line it is, read anew for every request. A relative path lies in the project.
    pub(crate) file: Option<PathBuf>,
    /// The server that gets it, and no other does.
    pub(crate) host: String,
    /// Port of the server. Default 443.
    #[serde(default = "default_port")]
    pub(crate) port: u16,
    /// Header that it is put into. Default `authorization`.
    #[serde(default = "default_header")]
    pub(crate) header: String,
    /// What stands before it in the header, for example `Bearer ` with its space. Default: nothing.
    #[serde(default)]
    pub(crate) prefix: String,
    /// Name to log in with: the header then has the form `Basic …`, and no `prefix`.
    pub(crate) user: Option<String>,
}

const fn default_port() -> u16 {
    443
}

fn default_header() -> String {
    "authorization".to_owned()
}

/// How long and how much, for every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) total: Duration,
    pub(crate) response_bytes: u64,
}

impl WebFile {
    /// Gives the bounds, checked.
    pub(crate) fn bounds(&self, source: &SourceText) -> Result<Bounds, Problem> {
        let time = |given: &Option<Spanned<Span>>, default: u64| match given {
            None => Ok(Duration::from_secs(default)),
            Some(span) if span.get_ref().0.is_zero() || span.get_ref().0 > MAX_TIME => {
                let message = format!("`{}` is no time for a request: up to {} is possible", span.get_ref(), Span(MAX_TIME));
                Err(source.problem_at(&span.span(), message))
            }
            Some(span) => Ok(span.get_ref().0),
        };
        let response_bytes = match &self.max_response {
            None => ByteCount::mib(1),
            Some(size) if size.get_ref().0 == 0 || *size.get_ref() > MAX_RESPONSE => {
                let message = format!("`{}` cannot be the largest answer: up to {MAX_RESPONSE} is possible", size.get_ref());
                return Err(source.problem_at(&size.span(), message));
            }
            Some(size) => *size.get_ref(),
        };
        Ok(Bounds {
            connect: time(&self.connect_timeout, 5)?,
            first_byte: time(&self.first_byte_timeout, 10)?,
            total: time(&self.total_timeout, 30)?,
            response_bytes: response_bytes.0,
        })
    }

    /// Gives the ranges that may be reached.
    pub(crate) fn reach(&self, source: &SourceText) -> Result<Reach, Problem> {
        let mut ranges = Vec::with_capacity(self.reach.len());
        for text in &self.reach {
            let range = super::reach::read_range(text.get_ref());
            ranges.push(range.map_err(|(message, help)| source.problem_at(&text.span(), message).with_help(help))?);
        }
        Ok(Reach::new(ranges))
    }
}
