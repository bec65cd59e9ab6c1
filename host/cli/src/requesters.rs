//! Who asks, and how that is known.
//!
//! Somebody at the host's own command line is the account of the operating system that the process runs under: `local:NAME`. Anybody else
//! shows a token that was given out for his name; the state folder keeps its digest, tenant, attributes and when it ends. A name alone proves
//! nothing, so it is taken in development projects only, and stands in the records as such.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::ids::{Digest, TenantId};
use bailiwick_core::policy::Requester;
use serde::{Deserialize, Serialize};

use crate::fault::{Diagnosis, Fault, Result};
use crate::project::{Project, is_requester, read_bounded};
use crate::{kept, text};

/// The file of the state folder.
const FILE: &str = "requesters.json";
/// Where a token is looked for when no file is named.
pub const TOKEN_VARIABLE: &str = "BAILIWICK_TOKEN";
/// What every token begins with, so that scanners for leaked secrets can know it.
const TOKEN_PREFIX: &str = "bailiwick_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Most bytes of a token file.
const TOKEN_FILE_BYTES_MOST: u64 = 4 * 1024;
/// Most requesters of a host.
const REQUESTERS_MOST: usize = 10_000;
/// Most attributes of a requester, and most bytes of a name or value.
const ATTRIBUTES_MOST: usize = 50;
const ATTRIBUTE_BYTES_MOST: usize = 1_000;
/// The attribute that says how it is known who asks. Ours alone to set.
pub const AUTHENTICATED_BY: &str = "authenticated-by";
/// What names of people at the command line begin with.
const LOCAL: &str = "local:";

/// Somebody who is known to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Known {
    /// Name with its kind.
    pub id: String,
    /// The tenant on whose data he may act. For a local account it is the project's, whatever stands here.
    pub tenant: TenantId,
    /// Further facts that a policy may look at.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Digest of the token; none for a local account, which the operating system authenticates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Digest>,
    /// Who let him ask: that one and he are not two persons where two have to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_by: Option<String>,
    /// Since when, in milliseconds since 1970-01-01T00:00:00Z.
    pub since_ms: u64,
    /// From when on the token is worth nothing, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// Everybody who is known to a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requesters(Vec<Known>);

/// How somebody is to be known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claim<'a> {
    /// The name that was given.
    pub name: Option<&'a str>,
    /// The file with a token.
    pub token: Option<&'a Path>,
}

impl Requesters {
    /// Reads who is known to the host of a state folder.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn load(state: &Path) -> Result<Self> {
        kept::read(state, FILE).map(Option::unwrap_or_default)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn store(&self, state: &Path) -> Result<()> {
        kept::write(state, FILE, self)
    }

    /// Gives everybody, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.0.iter()
    }

    /// Adds somebody, or replaces what is known of him: an older token is worth nothing then. Gives the new token, which is nowhere kept; a local account has
    /// none.
    ///
    /// # Errors
    /// When the name is none, an attribute is not to be set from outside or too long, or the host knows too many.
    pub fn add(&mut self, mut known: Known) -> Result<Option<String>> {
        if !is_requester(&known.id) {
            return Err(no_requester(&known.id));
        }
        if let Some((name, _)) = known.attributes.iter().find(|(name, value)| {
            name.is_empty() || name.as_str() == AUTHENTICATED_BY || name.len() > ATTRIBUTE_BYTES_MOST || value.len() > ATTRIBUTE_BYTES_MOST
        }) {
            let diagnosis = Diagnosis::new(format!("attribute `{}` cannot be set", text::clean(name)));
            let help = format!("`{AUTHENTICATED_BY}` is the host's own; names and values have at most {ATTRIBUTE_BYTES_MOST} bytes");
            return Err(Fault::bad_input(diagnosis.with_help(help)));
        }
        self.0.retain(|other| other.id != known.id);
        if self.0.len() >= REQUESTERS_MOST || known.attributes.len() > ATTRIBUTES_MOST {
            let message = format!("a host knows at most {REQUESTERS_MOST} requesters, each with at most {ATTRIBUTES_MOST} attributes");
            return Err(Fault::bad_input(Diagnosis::new(message)));
        }
        let token = if known.id.starts_with(LOCAL) { None } else { Some(fresh_token()?) };
        known.token = token.as_deref().map(|token| Digest::of(token.as_bytes()));
        self.0.push(known);
        self.0.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(token)
    }

    /// Forgets somebody; `None` where he was not known.
    pub fn remove(&mut self, id: &str) -> Option<Known> {
        let at = self.0.iter().position(|known| known.id == id)?;
        Some(self.0.remove(at))
    }

    /// Whether somebody is known because another one added him.
    pub fn was_added_by(&self, id: &str, other: &str) -> bool {
        self.0.iter().any(|known| known.id == id && known.added_by.as_deref() == Some(other))
    }

    /// Finds who holds a token.
    fn holder(&self, token: &str, now_ms: u64) -> Option<&Known> {
        // Of the digest a comparison may tell how far it agrees: whoever can make digests that agree has the token.
        let digest = Digest::of(token.as_bytes());
        self.0.iter().find(|known| known.token == Some(digest) && known.expires_ms.is_none_or(|end| now_ms < end))
    }

    /// Gives the local account with what is known of it.
    fn local(&self, id: String, tenant: &TenantId) -> Requester {
        let known = self.0.iter().find(|known| known.id == id);
        let attributes = known.map(|known| known.attributes.clone()).unwrap_or_default();
        authenticated(Requester { id, tenant: tenant.clone(), attributes }, "local-account")
    }

    /// Finds out who asks: by a token, else the local account; in a development project, whoever the project or the command line says.
    ///
    /// # Errors
    /// When a token is not known or of somebody else, or a name comes without one.
    pub fn authenticate(&self, project: &Project, claim: Claim<'_>, now_ms: u64) -> Result<Requester> {
        if let Some(name) = claim.name.filter(|name| !is_requester(name)) {
            return Err(no_requester(name));
        }
        if let Some(token) = shown_token(claim.token)? {
            let Some(known) = self.holder(&token, now_ms) else {
                let diagnosis = Diagnosis::new("the token is not known here, or its time is over");
                return Err(Fault::bad_input(diagnosis.with_help("`bailiwick requesters add NAME` gives out a new one".to_owned())));
            };
            if let Some(name) = claim.name.filter(|name| *name != known.id) {
                let diagnosis = Diagnosis::new(format!("the token is that of another than `{name}`"));
                return Err(Fault::bad_input(diagnosis.with_help("leave `--as` out, or show the token of whom it names".to_owned())));
            }
            let requester = Requester { id: known.id.clone(), tenant: known.tenant.clone(), attributes: known.attributes.clone() };
            return Ok(authenticated(requester, "token"));
        }
        let local = local_name();
        let stand_in = project.requester.as_ref();
        match claim.name {
            Some(name) if name == local => Ok(self.local(local, &project.tenant)),
            None if stand_in.is_none() => Ok(self.local(local, &project.tenant)),
            _ if !project.development => {
                let name = claim.name.unwrap_or(&local);
                let diagnosis = Diagnosis::new(format!("nothing shows that `{name}` asks: you are `{local}`"));
                let help = format!(
                    "show a token: `--token FILE` or the variable {TOKEN_VARIABLE}; `bailiwick requesters add NAME` gives one out, but for accounts of this machine. A name alone \
                     is taken in development projects"
                );
                Err(Fault::bad_input(diagnosis.with_help(help)))
            }
            name => {
                // The attributes of the project's requester are facts about that one, so another has none.
                let attributes = stand_in.filter(|(id, _)| name.is_none_or(|name| name == id)).map(|(_, attributes)| attributes.clone());
                let id = name.map(str::to_owned).or_else(|| stand_in.map(|(id, _)| id.clone())).unwrap_or(local);
                let requester = Requester { id, tenant: project.tenant.clone(), attributes: attributes.unwrap_or_default() };
                Ok(authenticated(requester, "development"))
            }
        }
    }

    /// Gives the account with a user id, as it asks through the socket of a state folder.
    pub fn account(&self, uid: u32, tenant: &TenantId) -> Requester {
        self.local(account_name(uid), tenant)
    }

    /// Finds who asks through the socket with a token.
    ///
    /// # Errors
    /// When it is not known.
    pub fn by_token(&self, token: &str, now_ms: u64) -> Result<Requester> {
        let known = self
            .holder(token, now_ms)
            .ok_or_else(|| Fault::bad_input(Diagnosis::new("the token is not known here, or its time is over")))?;
        let requester = Requester { id: known.id.clone(), tenant: known.tenant.clone(), attributes: known.attributes.clone() };
        Ok(authenticated(requester, "token"))
    }
}

fn authenticated(mut requester: Requester, by: &str) -> Requester {
    requester.attributes.insert(AUTHENTICATED_BY.to_owned(), by.to_owned());
    requester
}

/// Says that a text is no name of a requester.
fn no_requester(name: &str) -> Fault {
    let diagnosis = Diagnosis::new(format!("`{name}` names no requester"));
    Fault::bad_input(diagnosis.with_help("write a kind and a name, for example `channel:web-shop`".to_owned()))
}

/// The token that the command line or the environment shows.
pub fn shown_token(file: Option<&Path>) -> Result<Option<String>> {
    let text = match file {
        Some(path) => {
            let read = std::fs::File::open(path).and_then(|file| read_bounded(file, TOKEN_FILE_BYTES_MOST));
            let bytes = read
                .map_err(|error| Fault::bad_input(Diagnosis::new(format!("token file `{}` cannot be read: {error}", text::path(path)))))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(text) => text,
            Err(_) => return Ok(None),
        },
    };
    let token = text.trim();
    if token.starts_with(TOKEN_PREFIX) {
        return Ok(Some(token.to_owned()));
    }
    // It is not repeated: it may be another secret.
    let place = file.map_or_else(|| format!("the variable {TOKEN_VARIABLE}"), |path| format!("`{}`", text::path(path)));
    Err(Fault::bad_input(Diagnosis::new(format!("{place} holds no token of this host: one begins with `{TOKEN_PREFIX}`"))))
}

fn fresh_token() -> Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Fault::internal(format!("the machine gives no random numbers: {error}")))?;
    Ok(format!("{TOKEN_PREFIX}{}", hex::encode(bytes)))
}

/// The account under which this process runs. Of the operating system: what the environment says, anybody can write.
pub fn local_name() -> String {
    account_name(rustix::process::getuid().as_raw())
}

fn account_name(uid: u32) -> String {
    let name = nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| format!("{LOCAL}{}", user.name));
    name.filter(|name| is_requester(name)).unwrap_or_else(|| format!("{LOCAL}uid-{uid}"))
}

#[cfg(test)]
mod tests;
