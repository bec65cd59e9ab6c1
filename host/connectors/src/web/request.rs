//! From the arguments of a call to a request whose every part has one meaning.

use std::fmt::Write as _;
use std::net::IpAddr;

use bailiwick_core::error::CallError;
use bailiwick_core::path;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Host;
use url::form_urlencoded::Serializer;

/// Most bytes of path and query together, as they are sent.
pub(crate) const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Most headers that an agent sets.
pub(crate) const MAX_HEADERS: usize = 32;

/// Most bytes of one header's value.
pub(crate) const MAX_HEADER_BYTES: usize = 4 * 1024;

/// Headers that agents may always set: they say what is sent and what is wanted, and nothing of who asks or how it travels.
pub(crate) const HARMLESS: [&str; 7] =
    ["accept", "accept-language", "content-type", "if-match", "if-modified-since", "if-none-match", "if-unmodified-since"];

/// Headers that no agent sets, whatever the connector's file says: they speak for somebody, name another server, change the method or path that was
/// checked, or belong to the connection.
const NEVER: [&str; 34] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "cookie2",
    "early-data",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "max-forwards",
    "metadata",
    "metadata-flavor",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-metadata-token",
    "true-client-ip",
];

/// Beginnings of headers that no agent sets.
const NEVER_BEGINNING: [&str; 5] = ["proxy-", "sec-", "x-forwarded-", "x-aws-", "x-google-"];

/// Whom a request goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// A name in its one form.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// A request, before secrets are put into it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Within TLS.
    pub(crate) is_secure: bool,
    pub(crate) server: Server,
    /// The server as it stands in an address: `[::1]` has brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// Reads the arguments of `fetch` or `send`, whose types are known to be right. `more_headers` may be set beside the harmless ones.
    ///
    /// # Errors
    /// `invalid` with the argument that has another form than the one.
    pub(crate) fn read(args: &Value, more_headers: &[String]) -> Result<Self, CallError> {
        let url = args.get("url").unwrap_or(&Value::Null);
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let method = text(args, "method").to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| CallError::invalid("method", format!("`{method}` is no method")))?;
        let (server, host) = read_host(&text(url, "host"))?;
        let port = url.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        Ok(Self {
            method,
            is_secure: text(url, "scheme") == "https",
            server,
            host,
            port: port.ok_or_else(|| CallError::invalid("url.port", "a port is a number from 1 to 65535"))?,
            target: read_target(&text(url, "path"), url.get("query").unwrap_or(&Value::Null))?,
            headers: read_headers(args.get("headers").unwrap_or(&Value::Null), more_headers)?,
            body: read_body(args.get("body").unwrap_or(&Value::Null))?,
        })
    }

    /// Gives host and port as the header `host` has them: the port where it is not the usual one.
    pub(crate) fn authority(&self) -> String {
        match (self.is_secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// Gives the whole address.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", if self.is_secure { "https" } else { "http" }, self.authority(), self.target)
    }
}

/// Reads a host. The one truth of what a text means is the parser of the URL standard, as in browsers; what it would write in another way is refused: other
/// case, other scripts, `0x7f.1`, `127.1`, `2130706433`, `%31`.
pub(crate) fn read_host(text: &str) -> Result<(Server, String), CallError> {
    let refused = |why: &str| CallError::invalid("url.host", format!("`{text}` {why}"));
    let host = Host::parse(text).map_err(|error| refused(&format!("names no server: {error}")))?;
    let written = host.to_string();
    if written != text {
        return Err(refused(&format!("has another form than the one that is compared, `{written}`")));
    }
    let server = match host {
        Host::Ipv4(address) => Server::Address(address.into()),
        Host::Ipv6(address) => Server::Address(address.into()),
        Host::Domain(name) => {
            let is_name = name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
            if !is_name || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                return Err(refused("names no server: letters, digits and hyphens between dots are expected, and no dot at the end"));
            }
            Server::Name(name)
        }
    };
    Ok((server, written))
}

fn read_target(path: &str, query: &Value) -> Result<String, CallError> {
    if !path::is_normal(path) {
        let detail =
            "the path has another form than the one that is compared: no `.` or `..`, no empty segment, nothing encoded without need";
        return Err(CallError::invalid("url.path", format!("`{path}`: {detail}")));
    }
    let mut target = path.to_owned();
    let parameters = query.as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        target.push('?');
        let start = target.len();
        let mut serializer = Serializer::for_suffix(target, start);
        for (name, value) in parameters.iter().map(field) {
            serializer.append_pair(name, value);
        }
        target = serializer.finish();
    }
    if target.len() > MAX_TARGET_BYTES {
        return Err(CallError::invalid(
            "url.query",
            format!("path and query have {} bytes, at most {MAX_TARGET_BYTES} are sent", target.len()),
        ));
    }
    Ok(target)
}

fn field(value: &Value) -> (&str, &str) {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    (text("name"), text("value"))
}

/// Says whether a connector's file may let agents set a header.
pub(crate) fn may_be_allowed(name: &str) -> bool {
    is_header_name(name) && !NEVER.contains(&name) && !NEVER_BEGINNING.iter().any(|beginning| name.starts_with(beginning))
}

/// Says whether a text is the name of a header in lower case. Without `_`, which some servers read as `-`.
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn read_headers(value: &Value, more: &[String]) -> Result<HeaderMap, CallError> {
    let fields = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if fields.len() > MAX_HEADERS {
        return Err(CallError::invalid("headers", format!("{} headers, at most {MAX_HEADERS} are sent", fields.len())));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        if !HARMLESS.contains(&name) && !more.iter().any(|known| known == name) {
            let mut why = format!("an agent may not set the header `{}`", name.escape_default());
            if may_be_allowed(name) {
                let _ = write!(why, ": a connector's file can allow it under `headers`");
            }
            return Err(CallError::invalid("headers", why));
        }
        let refused = |why: &str| CallError::invalid("headers", format!("the header `{name}` {why}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("has no name of a header"))?;
        if value.len() > MAX_HEADER_BYTES || !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(refused(&format!("has more than {MAX_HEADER_BYTES} bytes, or other characters than visible ones of ASCII")));
        }
        let value = HeaderValue::from_str(value).map_err(|_| refused("has no value of a header"))?;
        if headers.insert(&name, value).is_some() {
            return Err(CallError::invalid("headers", format!("the header `{name}` stands there twice")));
        }
    }
    Ok(headers)
}

fn read_body(body: &Value) -> Result<Bytes, CallError> {
    if let Some(text) = body.get("text").and_then(Value::as_str) {
        return Ok(Bytes::from(text.to_owned()));
    }
    match body.get("bytes").and_then(Value::as_str) {
        None => Ok(Bytes::new()),
        Some(encoded) => STANDARD
            .decode(encoded)
            .map(Bytes::from)
            .map_err(|error| CallError::invalid("body", format!("the bytes are no base64: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::error::GuestError;
    use serde_json::json;

    use super::*;

    fn args(host: &str, path: &str) -> Value {
        json!({"method": "get", "url": {"scheme": "https", "host": host, "port": 443, "path": path, "query": []}, "headers": []})
    }

    fn refused(args: &Value, more: &[String]) -> String {
        match Request::read(args, more).unwrap_err().guest {
            GuestError::Invalid(field) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_host_has_one_form() {
        for (good, server) in [
            ("api.example", Server::Name("api.example".into())),
            ("xn--bcher-kva.example", Server::Name("xn--bcher-kva.example".into())),
            ("localhost", Server::Name("localhost".into())),
            ("a_b.example", Server::Name("a_b.example".into())),
            ("127.0.0.1", Server::Address([127, 0, 0, 1].into())),
            ("[::1]", Server::Address("::1".parse().unwrap())),
        ] {
            assert_eq!(Request::read(&args(good, "/"), &[]).unwrap().server, server);
        }
        for bad in [
            "",
            ".",
            "api.example.",
            ".example",
            "a..b",
            "API.example",
            "bücher.example",
            "api。example",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "127.0.0.1.",
            "%31.1.1.1",
            "api.example:80",
            "user@api.example",
            "api.example/x",
            "api.example?x",
            "api.example#x",
            "api example",
            "api\nexample",
            "::1",
            "[::1",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
            "①②⑦.⓪.⓪.①",
            "1.2.3.4.5",
            "a\0b",
            "[::1]:80",
            "*.example",
            "api.example\\x",
            "ａpi.example",
            "api\u{ad}.example",
        ] {
            assert_eq!(refused(&args(bad, "/"), &[]), "url.host", "{bad:?}");
        }
        assert_eq!(refused(&args(&format!("{}.example", "a".repeat(64)), "/"), &[]), "url.host");
        assert_eq!(refused(&args(&"a.".repeat(130), "/"), &[]), "url.host");
    }

    #[test]
    fn a_target_is_what_was_checked() {
        let mut with_query = args("h", "/v1/%C3%BC");
        with_query["url"]["query"] =
            json!([{"name": "q", "value": "a b&c=d#e/../%2e\u{e9}"}, {"name": "q", "value": ""}, {"name": "&x", "value": "?"}]);
        let request = Request::read(&with_query, &[]).unwrap();
        assert_eq!(request.target, "/v1/%C3%BC?q=a+b%26c%3Dd%23e%2F..%2F%252e%C3%A9&q=&%26x=%3F");
        assert_eq!(request.url(), format!("https://h{}", request.target));
        // What is sent is read back as what was asked for.
        let read: Vec<(String, String)> = url::Url::parse(&request.url()).unwrap().query_pairs().into_owned().collect();
        assert_eq!(read[0], ("q".to_owned(), "a b&c=d#e/../%2e\u{e9}".to_owned()));
        for path in ["/v1/../x", "/v1//x", "/v1/%2e%2e/x", "x", "", "/x?y", "/x#y", "/x y", "/x\r\nhost: y"] {
            assert_eq!(refused(&args("h", path), &[]), "url.path", "{path}");
        }
        assert!(Request::read(&args("h", &format!("/{}", "x".repeat(MAX_TARGET_BYTES - 1))), &[]).is_ok());
        assert_eq!(refused(&args("h", &format!("/{}", "x".repeat(MAX_TARGET_BYTES))), &[]), "url.query");
        let mut port = args("h", "/");
        port["url"]["port"] = json!(0);
        assert_eq!(refused(&port, &[]), "url.port");
        port["url"]["port"] = json!(8443);
        assert_eq!(Request::read(&port, &[]).unwrap().authority(), "h:8443");
    }

    #[test]
    fn headers_that_speak_for_somebody_are_never_set() {
        let with = |fields: Value| {
            let mut args = args("h", "/");
            args["headers"] = fields;
            args
        };
        let one = |name: &str, value: &str| with(json!([{"name": name, "value": value}]));
        for name in HARMLESS {
            assert!(Request::read(&one(name, "x"), &[]).is_ok(), "{name}");
        }
        for name in ["x-request-kind", "Accept", "accept ", "x_y", "", ":path", "accept\r\nhost", "accept\0", "é"] {
            assert_eq!(refused(&one(name, "x"), &[]), "headers", "{name:?}");
        }
        let more = ["x-request-kind".to_owned()];
        assert!(Request::read(&one("x-request-kind", "x"), &more).is_ok());
        for name in NEVER.into_iter().chain(["proxy-authorization", "x-forwarded-host", "x-aws-ec2-metadata-token", "sec-fetch-site"]) {
            assert!(!may_be_allowed(name), "{name}");
            assert_eq!(refused(&one(name, "x"), &more), "headers", "{name}");
        }
        for value in ["a\r\nx: y", "a\nb", "a\0b", "é", "a\tb", "a\u{7f}"] {
            assert_eq!(refused(&one("accept", value), &[]), "headers", "{value:?}");
        }
        assert_eq!(refused(&with(json!([{"name": "accept", "value": "a"}, {"name": "accept", "value": "b"}])), &[]), "headers");
        assert!(Request::read(&one("accept", &"x".repeat(MAX_HEADER_BYTES)), &[]).is_ok());
        assert_eq!(refused(&one("accept", &"x".repeat(MAX_HEADER_BYTES + 1)), &[]), "headers");
        let names: Vec<String> = (0..=MAX_HEADERS).map(|number| format!("x-{number}")).collect();
        let many = |count: usize| with(names[..count].iter().map(|name| json!({"name": name, "value": ""})).collect());
        assert!(Request::read(&many(MAX_HEADERS), &names).is_ok());
        assert_eq!(refused(&many(MAX_HEADERS + 1), &names), "headers");
    }
}
