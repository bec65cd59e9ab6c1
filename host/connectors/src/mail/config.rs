//! The form of a `kind = "mail"` file.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::config::Latency;

/// Mail to customers: as files by default, by SMTP where a server is named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct MailFile {
    /// Always `mail`.
    #[expect(dead_code, reason = "it selected this type")]
    kind: MailKind,
    /// Who sends: `Name <address>`.
    #[schemars(with = "String")]
    pub(crate) from: Spanned<String>,
    /// Folder for `.eml` files in the state folder. Default `mail`.
    #[serde(default = "default_folder")]
    pub(crate) folder: String,
    /// How the address of a customer is found.
    pub(crate) lookup: LookupConfig,
    /// The server. Without it every message becomes a file.
    pub(crate) smtp: Option<SmtpConfig>,
    /// Waits so long before every call: for demonstrations and benchmarks. Default: not at all.
    pub(crate) latency: Option<Latency>,
}

fn default_folder() -> String {
    "mail".to_owned()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum MailKind {
    Mail,
}

/// The statement that finds a customer's address. It is the host that looks it up: a sender never names one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LookupConfig {
    /// Name of the database file, below `data/` in the state folder.
    #[schemars(with = "String")]
    pub(crate) database: Spanned<String>,
    /// A statement with `:tenant` and `:customer` that gives the columns `address`, `name` and `opted_out` (0 or 1).
    #[schemars(with = "String")]
    pub(crate) sql: Spanned<String>,
}

/// An SMTP server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SmtpConfig {
    /// Name of the server; its certificate must be for it.
    pub(crate) host: String,
    /// Port. Default: 465 for `implicit`, 587 for `starttls`, 25 for `none`.
    pub(crate) port: Option<u16>,
    /// How the connection is protected. Default `starttls`.
    #[serde(default)]
    pub(crate) tls: TlsMode,
    /// File of the project with the certificates, as PEM, of those who may vouch for the server; nobody else may then. Default: the authorities that
    /// browsers trust.
    #[schemars(with = "Option<String>")]
    pub(crate) ca: Option<Spanned<String>>,
    /// Name to log in with; with it a password is needed.
    pub(crate) user: Option<String>,
    /// Environment variable of the host that holds the password.
    pub(crate) password_env: Option<String>,
    /// File that holds the password, one line.
    pub(crate) password_file: Option<std::path::PathBuf>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsMode {
    /// TLS from the first byte.
    Implicit,
    /// Plain at first, then TLS, or no mail at all.
    #[default]
    Starttls,
    /// Not at all: only for a server on this machine.
    None,
}
