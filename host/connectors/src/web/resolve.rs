//! Finding the addresses of a name.

use std::io;
use std::net::IpAddr;

use bailiwick_core::connector::BoxFuture;

use super::reach::Reach;
use super::request::Server;

/// Most addresses of one name. More of them are no answer that a server needs.
const MAX_ADDRESSES: usize = 32;

/// Finds the addresses of a name. There are two: the system's, and one of tests that changes its answers.
pub(crate) trait Resolve: Send + Sync {
    /// Asks once.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// What the operating system says.
pub(crate) struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Why there is no address to go to.
#[derive(Debug)]
pub(crate) enum NoAddress {
    /// One of them may not be reached. That is final: whoever answers for the name can change the order, or the answer.
    Refused(String),
    /// There is none now.
    NotFound(String),
}

/// Gives the addresses of a server, each of which may be reached. The name is looked up once, and one bad address refuses all of them: an answer
/// that mixes the two is made by somebody who waits for the other to be taken.
pub(crate) async fn addresses(resolver: &dyn Resolve, reach: &Reach, server: &Server) -> Result<Vec<IpAddr>, NoAddress> {
    let name = match server {
        Server::Address(address) => return reach.check_literal(*address).map(|()| vec![*address]).map_err(NoAddress::Refused),
        Server::Name(name) => name,
    };
    let mut found = resolver.resolve(name).await.map_err(|error| NoAddress::NotFound(format!("`{name}` has no address: {error}")))?;
    for address in &found {
        reach.check(*address).map_err(|why| NoAddress::Refused(format!("`{name}` leads to an address that may not be reached: {why}")))?;
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(*address));
    match found.len() {
        0 => Err(NoAddress::NotFound(format!("`{name}` has no address"))),
        1..=MAX_ADDRESSES => Ok(found),
        more => Err(NoAddress::NotFound(format!("`{name}` has {more} addresses, at most {MAX_ADDRESSES} are looked at"))),
    }
}
