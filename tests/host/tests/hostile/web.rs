//! Web egress: what a server hears is what a grant says, whatever the guest tries.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailiwick_connectors::Connectors;
use bailiwick_core::Connector;
use bailiwick_core::grant::Condition;
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_test_artifacts::{self as artifacts, assert_every_web};
use bailiwick_test_host::{Bench, Kept, Settings, answered};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::settings;

assert_every_web!();

/// A server on this machine that answers everything and keeps the first line of what it hears.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let mut piece = [0_u8; 4096];
                // What these tests send comes in one piece or two, and its content is not looked at.
                while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
                    }
                }
                kept.lock().push(String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned());
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"from\":\"server\"";
                let _ = stream.write_all(answer.as_bytes()).await;
                // Read to the end, so that closing does not reset what the other side has not read yet.
                while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {}
            }
        });
        Ok(Self { port, heard, task })
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().clone()
    }
}

/// A sandbox whose web operations go to a real connector.
async fn bench(reach: &str) -> Result<(Bench, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("web.toml"), format!("kind = \"web\"\nreach = [{reach}]\n"))?;
    let connectors = Connectors::load(dir.path(), &dir.path().join("state"), &[PathBuf::from("web.toml")]);
    let connectors: Vec<Arc<dyn Connector>> = connectors.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    Ok((Bench::open(Settings { connectors, ..settings() }).await?, dir))
}

/// What a step gives for the server at a port.
fn grant(method: &str, port: u16) -> Vec<(&'static str, Condition)> {
    vec![
        ("method", Condition::Equals(json!(method))),
        ("url.scheme", Condition::Equals(json!("http"))),
        ("url.host", Condition::Host("localhost".to_owned())),
        ("url.port", Condition::Equals(json!(port))),
        ("url.path", Condition::Path("/v1/orders".to_owned())),
        ("url.query", Condition::Names(vec!["page".to_owned()])),
        ("headers", Condition::Names(vec!["accept".to_owned()])),
    ]
}

/// Runs the guest against a granted and another server; gives its results and what was recorded.
async fn run(reach: &str, granted: &Server, other: &Server) -> Result<(Value, Kept)> {
    let (bench, _dir) = bench(reach).await?;
    let draft = bench.task(&artifacts::WEB_BEYOND_ITS_GRANT).await?;
    let draft = draft.input(json!({"count": granted.port, "id": other.port.to_string()}));
    let mut sending = grant("post", granted.port);
    sending.push(("body", Condition::Any));
    let draft = draft.grant("web/http.fetch", &grant("get", granted.port))?.grant("web/http.send", &sending)?;
    let (report, kept) = bench.run_beside_neighbours(draft.spec).await?;
    let output = &answered(&report)?.output;
    Ok((Value::clone(output), kept))
}

fn outcomes(kept: &Kept, rule: &str) -> usize {
    let denied = |outcome: Option<CallOutcome>| outcome == Some(CallOutcome::Denied);
    kept.of(RecordKind::CallOutcome)
        .iter()
        .filter(|record| denied(record.fields.outcome) && record.fields.rule.as_deref() == Some(rule))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_beyond_its_grant() -> Result<()> {
    let (granted, other) = (Server::start().await?, Server::start().await?);
    let (output, kept) = run("\"127.0.0.0/8\", \"::1/128\"", &granted, &other).await?;
    let mut expected = vec!["denied"; 20];
    *expected.first_mut().context("there are results")? = "ok";
    *expected.last_mut().context("there are results")? = "ok";
    ensure!(output["results"] == json!(expected), "{output}");
    ensure!(output["text"] == json!("{\"from\":\"server\""), "{output}");
    // One question and one effect; of everything else no server heard anything.
    ensure!(granted.heard() == ["GET /v1/orders?page=1 HTTP/1.1", "POST /v1/orders?page=1 HTTP/1.1"], "{:?}", granted.heard());
    ensure!(other.heard().is_empty(), "{:?}", other.heard());
    ensure!(outcomes(&kept, "grant-conditions") == 18 && kept.of(RecordKind::CallIntent).len() == 2, "{:?}", kept.kinds());
    // Another method or header is outside of the grant, and names nobody: it is no security event.
    ensure!(kept.security_events() == vec!["call-outside-grant"; 15], "{:?}", kept.security_events());
    let labelled =
        kept.of(RecordKind::CallOutcome).into_iter().filter(|record| record.fields.labels.iter().any(|label| label == "untrusted"));
    ensure!(labelled.count() == 2, "answers of servers are untrusted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_name_that_leads_into_this_machine_is_denied_by_the_connector() -> Result<()> {
    let (granted, other) = (Server::start().await?, Server::start().await?);
    let (output, kept) = run("", &granted, &other).await?;
    ensure!(output["results"] == json!(vec!["denied"; 20]) && output["text"] == json!(""), "{output}");
    ensure!(granted.heard().is_empty() && other.heard().is_empty(), "{:?} {:?}", granted.heard(), other.heard());
    ensure!(outcomes(&kept, "connector") == 2 && outcomes(&kept, "grant-conditions") == 18, "{:?}", kept.kinds());
    let denied = kept.of(RecordKind::CallOutcome).into_iter().filter(|record| record.fields.rule.as_deref() == Some("connector"));
    for record in denied {
        let fields = &record.fields;
        ensure!(
            fields.intent.is_some() && fields.reference.as_deref().is_some_and(|reference| reference.starts_with("ref-")),
            "{fields:?}"
        );
    }
    ensure!(kept.security_events().iter().filter(|reason| **reason == "denied-by-connector").count() == 2, "{:?}", kept.security_events());
    Ok(())
}
