//! What a server sees and what an agent gets. The one who calls is taken for an attacker who has read the source.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use bailiwick_core::error::BudgetKind;
use parking_lot::Mutex;
use serde_json::json;

use self::server::{Manner, Server, answer};
use super::*;
use crate::mail::tests::server::Authority;
use crate::support::{call, error, ok};

mod addresses;
mod answers;
mod secrets;
mod sending;
mod server;

/// Answers in turn, the last one for ever, and knows how often it was asked.
struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|addresses| addresses.iter().map(|text| text.parse().unwrap()).collect()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn local() -> Arc<Self> {
        Self::new(&[&["127.0.0.1"]])
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().push(name.to_owned());
        let mut answers = self.answers.lock();
        let found = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { found.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

/// A connector with its folders.
struct Site {
    web: WebConnector,
    project: tempfile::TempDir,
    state: tempfile::TempDir,
}

/// What every connector of these tests may reach: this machine, at one address.
const HERE: &str = "reach = [\"127.0.0.1/32\"]\n";

impl Site {
    fn new(more: &str, resolver: Arc<dyn Resolve>) -> Self {
        Self::with_files(&format!("{HERE}{more}"), resolver, &[])
    }

    fn with_files(text: &str, resolver: Arc<dyn Resolve>, files: &[(&str, &str)]) -> Self {
        Self::try_with_files(text, resolver, files).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn try_with_files(text: &str, resolver: Arc<dyn Resolve>, files: &[(&str, &str)]) -> Result<Self, Problem> {
        let (project, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, text) in files {
            std::fs::write(project.path().join(name), text).unwrap();
        }
        let places = Places::open(project.path(), state.path()).unwrap();
        let source = SourceText::new("web.toml".as_ref(), format!("kind = \"web\"\n{text}"));
        let (web, _) = WebConnector::load_with("web", &source, &places, resolver)?;
        Ok(Self { web, project, state })
    }
}

/// The arguments of a `fetch` at a test's server.
fn get(port: u16, path: &str) -> Value {
    json!({
        "method": "get",
        "url": { "scheme": "http", "host": "api.example", "port": port, "path": path, "query": [] },
        "headers": []
    })
}

fn fetch(args: Value) -> ConnectorCall {
    call("web/http.fetch", args, 0)
}

fn header<'v>(answer: &'v ConnectorAnswer, name: &str) -> Option<&'v str> {
    let headers = answer.value["headers"].as_array().unwrap();
    headers.iter().find(|header| header["name"] == name).map(|header| header["value"].as_str().unwrap())
}

#[tokio::test]
async fn a_request_arrives_as_it_was_checked() {
    let server = Server::start(|_| answer("200 OK", "Content-Type: application/json\r\nX-Kind: a\r\n", b"{\"a\":1}")).await;
    let site = Site::new("headers = [\"x-kind\"]\n", Script::local());
    let mut args = get(server.port, "/v1/%C3%BC");
    args["url"]["query"] = json!([{"name": "q", "value": "a b&c"}]);
    args["headers"] = json!([{"name": "accept", "value": "application/json"}, {"name": "x-kind", "value": "b"}]);
    let got = ok(&site.web, fetch(args)).await;
    let url = format!("http://api.example:{}/v1/%C3%BC?q=a+b%26c", server.port);
    let headers = json!([{"name": "content-type", "value": "application/json"}, {"name": "x-kind", "value": "a"}]);
    assert_eq!(got.value, json!({"status": 200, "headers": headers, "body": {"text": "{\"a\":1}"}, "url": url}));
    let [heard] = server.heard().try_into().unwrap();
    let mut lines: Vec<&str> = heard.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "GET /v1/%C3%BC?q=a+b%26c HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: api.example:{}", server.port);
    assert_eq!(lines, ["accept-encoding: identity", "accept: application/json", host.as_str(), "user-agent: bailiwick", "x-kind: b"]);
}

#[tokio::test]
async fn what_has_two_meanings_is_refused_before_anybody_is_asked() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    let resolver = Script::local();
    let site = Site::new("", resolver.clone());
    let long = "x".repeat(values::MAX_TEXT_BYTES + 1);
    let with = |pointer: &str, value: Value| {
        let mut args = get(server.port, "/v1/x");
        *args.pointer_mut(pointer).unwrap() = value;
        args
    };
    let credential = |name: &str| json!([{"name": name, "value": "Bearer x"}]);
    for (args, field) in [
        (with("/url/path", json!("/v1/../admin")), "url.path"),
        (with("/url/path", json!("/v1/%2e%2e/admin")), "url.path"),
        (with("/url/path", json!("/v1//admin")), "url.path"),
        (with("/url/path", json!("/v1/\\..\\admin")), "url.path"),
        (with("/url/path", json!("/v1/x?to=y")), "url.path"),
        (with("/url/path", json!("/x HTTP/1.1\r\nhost: other.example\r\n\r\n")), "url.path"),
        (with("/url/path", json!("http://other.example/")), "url.path"),
        (with("/url/host", json!("api.example:81")), "url.host"),
        (with("/url/host", json!("user:word@api.example")), "url.host"),
        (with("/url/host", json!("API.example")), "url.host"),
        (with("/url/host", json!("api.example.")), "url.host"),
        (with("/url/host", json!("api.example\r\nx: y")), "url.host"),
        (with("/url/host", json!("2130706433")), "url.host"),
        (with("/url/host", json!("0x7f.1")), "url.host"),
        (with("/url/host", json!("0177.0.0.1")), "url.host"),
        (with("/url/port", json!(0)), "url.port"),
        (with("/method", json!("post")), "method"),
        (with("/method", json!("GET")), "method"),
        (with("/url/scheme", json!("file")), "url.scheme"),
        (with("/headers", credential("authorization")), "headers"),
        (with("/headers", credential("cookie")), "headers"),
        (with("/headers", credential("host")), "headers"),
        (with("/headers", credential("proxy-authorization")), "headers"),
        (with("/headers", credential("x-forwarded-host")), "headers"),
        (with("/headers", credential("x-http-method-override")), "headers"),
        (with("/headers", credential("x-api-key")), "headers"),
        (with("/headers", json!([{"name": "accept", "value": "a\r\ncookie: b"}])), "headers"),
        (with("/url/query", json!([{"name": "q", "value": long}])), "url.query.value"),
    ] {
        let failed = error(&site.web, fetch(args)).await;
        assert_eq!(failed.guest, GuestError::Invalid(field.to_owned()), "{failed}");
    }
    assert_eq!((resolver.asked(), server.connections()), (0, 0));
}

#[tokio::test]
async fn nothing_is_remembered_between_two_requests() {
    let server = Server::start(|_| answer("200 OK", "Set-Cookie: session=1\r\nSet-Cookie2: a\r\nConnection: keep-alive\r\n", b"x")).await;
    let site = Site::new("", Script::local());
    for _ in 0..2 {
        let got = ok(&site.web, fetch(get(server.port, "/"))).await;
        assert_eq!(got.value["headers"], json!([]));
    }
    assert_eq!((server.connections(), server.heard().len()), (2, 2));
    assert!(server.heard().iter().all(|heard| !heard.to_ascii_lowercase().contains("cookie")));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_follows_it() {
    let other = Server::start(|_| answer("200 OK", "", b"")).await;
    let location = format!("http://127.0.0.1:{}/admin", other.port);
    let sent = location.clone();
    let server = Server::start(move |_| answer("302 Found", &format!("Location: {sent}\r\n"), b"")).await;
    let resolver = Script::local();
    let site = Site::new("", resolver.clone());
    let got = ok(&site.web, fetch(get(server.port, "/"))).await;
    assert_eq!((got.value["status"].as_u64(), header(&got, "location")), (Some(302), Some(location.as_str())));
    assert_eq!((server.connections(), other.connections(), resolver.asked()), (1, 0, 1));
}

/// Runs in a process of its own, whose environment names a proxy; see below.
#[tokio::test]
#[ignore = "started by `no_setting_of_a_proxy_is_read`"]
async fn in_an_environment_with_a_proxy() {
    let server = Server::start(|_| answer("200 OK", "", b"straight")).await;
    let site = Site::new("", Script::local());
    assert_eq!(ok(&site.web, fetch(get(server.port, "/"))).await.value["body"], json!({"text": "straight"}));
}

#[tokio::test]
async fn no_setting_of_a_proxy_is_read() {
    let proxy = Server::start(|_| answer("200 OK", "", b"by proxy")).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "web::tests::in_an_environment_with_a_proxy"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    let output = child.env_remove("NO_PROXY").env_remove("no_proxy").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn mistakes_in_the_file_are_told_with_place_and_next_step() {
    let secret = |more: &str| format!("[secrets.token]\nfile = \"token\"\nhost = \"api.example\"\n{more}\n");
    for (text, expected) in [
        ("reach = [\"10.0.0.1\"]", "web.toml:2:10: `10.0.0.1` is no range of addresses: write for example"),
        ("reach = [\"0.0.0.0/0\"]", "more than one range"),
        ("headers = [\"cookie\"]", "web.toml:2:12: agents cannot be allowed to set the header `cookie`"),
        ("headers = [\"X-Kind\"]", "name headers in lower case"),
        ("total-timeout = \"0s\"", "`0s` is no time for a request: up to 5m"),
        ("total-timeout = \"6m\"", "`6m` is no time for a request"),
        ("max-response = \"5MiB\"", "up to 4MiB is possible"),
        ("max-response = \"0B\"", "cannot be the largest answer"),
        ("ca = \"../ca.pem\"", "web.toml:2:6: `../ca.pem` cannot be read"),
        ("ca = \"token\"", "it has no certificate"),
        ("rech = []", "did you mean `reach`?"),
        (&secret("env = \"TOKEN\""), "name either `env` or `file`"),
        ("[secrets.token]\nhost = \"api.example\"", "name either `env` or `file`"),
        (
            "[secrets.token]\nenv = \"BAILIWICK_TEST_IS_NOT_SET\"\nhost = \"api.example\"",
            "the environment variable `BAILIWICK_TEST_IS_NOT_SET` is not set",
        ),
        (&secret("").replace("\"token\"", "\"other\""), "the secret `token` cannot be used: `other` cannot be read"),
        (&secret("").replace("\"token\"", "\"../token\""), "`../token` cannot be read"),
        (&secret("").replace("\"token\"", "\"short\""), "it has 5 bytes, between 8 and 4096 are needed"),
        (&secret("").replace("api", "API"), "has another form than the one that is compared, `api.example`"),
        (&secret("header = \"host\""), "no secret can be put into the header `host`"),
        (&secret("header = \"accept\""), "no secret can be put into the header `accept`"),
        (&secret("header = \"Authorization\""), "no secret can be put into the header `Authorization`"),
        (&secret("prefix = \"a\\r\\nb\""), "`prefix` has other characters"),
        (&secret("user = \"a:b\""), "`a:b` is no name to log in with"),
        (&secret("user = \"a\"\nprefix = \"b\""), "`user` and `prefix` exclude each other"),
        (
            &format!("headers = [\"x-key\"]\n{}", secret("header = \"x-key\"")),
            "agents may set the header `x-key`, which a secret is put into",
        ),
        (
            &format!("{}{}", secret(""), secret("").replace("token]", "other]")),
            "another secret is put into the header `authorization` for `api.example:443`",
        ),
    ] {
        let files = [("token", "correct-horse-battery"), ("short", "12345")];
        let problem = Site::try_with_files(text, Script::local(), &files).map(|_| ()).unwrap_err().to_string();
        assert!(problem.contains(expected), "{text}\n{problem}");
        assert!(problem.starts_with("web.toml:") && !problem.contains("correct-horse"), "{problem}");
    }
}

#[test]
fn only_its_own_operations_are_served() {
    let site = Site::new("", Script::local());
    for (name, served) in [("web/http.fetch", true), ("web/http.send", true), ("crm/customers.get", false)] {
        assert_eq!(site.web.check(&crate::support::operation(name)).is_ok(), served);
    }
}
