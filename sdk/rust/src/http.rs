//! Addresses, bodies and answers of `web/http`, as authors write and read them.

use std::fmt::Write as _;

use crate::bindings::bailiwick::web::http::{Body, Field, Response, Scheme, Url};

impl Url {
    /// Makes the address of a server that is spoken to within TLS at port 443. The path is percent-encoded already and begins with `/`.
    ///
    /// ```
    /// use bailiwick_sdk::web::http::Url;
    ///
    /// let url = Url::https("api.example", "/v1/orders").below("O 1").with("lines", "all");
    /// assert_eq!(url.path, "/v1/orders/O%201");
    /// assert_eq!((url.port, url.query[0].value.as_str()), (443, "all"));
    /// ```
    pub fn https(host: &str, path: &str) -> Self {
        Self { scheme: Scheme::Https, host: host.to_owned(), port: 443, path: path.to_owned(), query: Vec::new() }
    }

    /// Adds a segment to the path, and encodes what a segment cannot hold. The host refuses one that is empty, `.` or `..`, or has a `/`, `\`, `%` or
    /// control character: servers do not agree on what those mean.
    #[must_use]
    pub fn below(mut self, segment: &str) -> Self {
        if !self.path.ends_with('/') {
            self.path.push('/');
        }
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
                self.path.push(char::from(byte));
            } else {
                // A text takes everything that is written to it.
                let _ = write!(self.path, "%{byte:02X}");
            }
        }
        self
    }

    /// Adds a parameter to the query. The host encodes it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push(Field::new(name, value));
        self
    }
}

impl Field {
    /// Makes a header, its name in lower case, or a parameter.
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Response {
    /// Says whether the server did what was asked: a status from 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Gives the content where it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            Body::Bytes(_) => None,
        }
    }

    /// Gives the first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::web::http::{Fetch, Method, SafeMethod, Send, fetch, send};

    #[test]
    fn a_segment_stays_one_segment() {
        let path = |segment| Url::https("h", "/v1/").below(segment).path;
        assert_eq!(path("a b"), "/v1/a%20b");
        assert_eq!(path("ü?#"), "/v1/%C3%BC%3F%23");
        // Encoded, so that it is not taken for two; the host refuses it all the same.
        assert_eq!(path("a/b"), "/v1/a%2Fb");
        assert_eq!(Url::https("h", "/v1").below("x").path, "/v1/x");
    }

    #[test]
    fn fakes_answer_requests() {
        let answer = |status, text: &str| Response {
            status,
            headers: vec![Field::new("content-type", "text/plain")],
            body: text.into(),
            url: String::new(),
        };
        let fakes =
            fake::Capabilities::new().on(Fetch, move |args| Ok(answer(200, &args.url.path))).on(Send, move |_| Ok(answer(404, ""))).enter();
        let read = fetch(SafeMethod::Get, &Url::https("h", "/x"), &[]).unwrap();
        assert_eq!(
            (read.text(), read.header("content-type"), read.header("x"), read.is_success()),
            (Some("/x"), Some("text/plain"), None, true)
        );
        let sent = send(Method::Post, &Url::https("h", "/y"), &[Field::new("accept", "*/*")], &"content".into()).unwrap();
        assert!(!sent.is_success());
        assert_eq!(fakes.calls(Send)[0].body, Body::Text("content".to_owned()));
    }
}
