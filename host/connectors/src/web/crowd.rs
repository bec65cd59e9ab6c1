//! How many requests are open at one server: a slow one must not take the connections of all the others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Requests that are open at one server at one time. One more is `unavailable`.
pub(crate) const MAX_AT_ONE: usize = 16;

type Server = (String, u16);

/// Counts open requests by server. Holds no more servers than there are open requests.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Arc<Mutex<HashMap<Server, usize>>>);

/// A request that is open; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    crowd: Arc<Mutex<HashMap<Server, usize>>>,
    server: Server,
}

impl Crowd {
    /// Counts one more. `None` where there are as many as can be.
    pub(crate) fn join(&self, host: &str, port: u16) -> Option<Open> {
        let server = (host.to_owned(), port);
        let mut counts = self.0.lock();
        let count = counts.entry(server.clone()).or_default();
        if *count >= MAX_AT_ONE {
            return None;
        }
        *count += 1;
        Some(Open { crowd: Arc::clone(&self.0), server })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut counts = self.crowd.lock();
        if let Some(count) = counts.get_mut(&self.server) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.server);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_nothing_stays() {
        let crowd = Crowd::default();
        let mut open: Vec<Open> = (0..MAX_AT_ONE).map(|_| crowd.join("a", 1).unwrap()).collect();
        assert!(crowd.join("a", 1).is_none());
        assert!(crowd.join("a", 2).is_some() && crowd.join("b", 1).is_some());
        open.pop();
        assert!(crowd.join("a", 1).is_some());
        drop(open);
        assert!(crowd.0.lock().is_empty());
    }
}
