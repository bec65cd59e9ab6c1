//! From what a server answered to what the agent gets.

use std::time::Duration;

use bailiwick_core::error::{CallError, GuestError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::exchange::Reply;
use crate::secrets::Mask;

/// Headers of an answer that agents do not get: cookies, which are credentials, and what concerns the connection alone.
const KEPT_BACK: [&str; 14] = [
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How long to wait where a server asks for fewer requests and says nothing of the time.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// Longest wait that an agent is told of.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Gives the value of an answer, with secrets masked.
///
/// # Errors
/// `rate-limited` where the server asks for fewer requests: it has done nothing then.
pub(crate) fn value(reply: Reply, url: &str, mask: &Mask) -> Result<Value, CallError> {
    if reply.status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let wait = seconds.map_or(DEFAULT_WAIT, Duration::from_secs).min(MAX_WAIT);
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        return Err(CallError::new(GuestError::RateLimited(ms), "the server asks for fewer requests"));
    }
    let headers: Vec<Value> = reply
        .headers
        .iter()
        .filter(|(name, _)| !KEPT_BACK.contains(&name.as_str()))
        .map(|(name, value)| json!({ "name": name.as_str(), "value": String::from_utf8_lossy(&mask.bytes(value.as_bytes())) }))
        .collect();
    let body = mask.bytes(&reply.body);
    let body = match std::str::from_utf8(&body) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "bytes": STANDARD.encode(&body) }),
    };
    Ok(json!({ "status": reply.status.as_u16(), "headers": headers, "body": body, "url": mask.text(url) }))
}
