//! What cannot be taken back is done once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn post(port: u16, body: &Value, ordinal: u32) -> ConnectorCall {
    let mut args = get(port, "/orders");
    args["method"] = json!("post");
    args["body"] = body.clone();
    call("web/http.send", args, ordinal)
}

fn text(text: &str) -> Value {
    json!({ "text": text })
}

#[tokio::test]
async fn a_repeat_gives_the_first_outcome_and_sends_nothing() {
    let server = Server::start(|_| answer("201 Created", "location: /orders/1\r\n", b"made")).await;
    let site = Site::new("", Script::local());
    let first = ok(&site.web, post(server.port, &text("{\"a\":1}"), 0)).await;
    assert_eq!((first.cached, first.value["status"].as_u64(), header(&first, "location")), (false, Some(201), Some("/orders/1")));
    let again = ok(&site.web, post(server.port, &text("{\"a\":1}"), 0)).await;
    assert!(again.cached && again.value == first.value);
    assert_eq!(error(&site.web, post(server.port, &text("{\"a\":2}"), 0)).await.guest, GuestError::Conflict(String::new()));
    let [heard] = server.heard().try_into().unwrap();
    let key = post(0, &text(""), 0).key.unwrap().to_hex();
    assert!(heard.starts_with("POST /orders HTTP/1.1\r\n") && heard.ends_with("\r\n\r\n{\"a\":1}"), "{heard}");
    assert!(heard.contains(&format!("idempotency-key: {key}\r\n")) && heard.contains("content-length: 7\r\n"), "{heard}");
    assert!(!ok(&site.web, post(server.port, &text("{\"a\":1}"), 1)).await.cached, "another key is another effect");
    let bytes = ok(&site.web, post(server.port, &json!({"bytes": "AAECAw=="}), 2)).await;
    assert!(!bytes.cached && server.heard()[2].ends_with("\r\n\r\n\0\u{1}\u{2}\u{3}"));
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_for_a_person() {
    for manner in [
        (|| Manner::Answer(Vec::new())) as fn() -> Manner,
        || Manner::Stall(Vec::new()),
        || answer("200 OK", "content-encoding: gzip\r\n", b"x"),
        || answer("200 OK", "", &[b'x'; 2_000]),
    ] {
        let server = Server::start(move |_| manner()).await;
        let site = Site::new("first-byte-timeout = \"200ms\"\nmax-response = \"1KiB\"\n", Script::local());
        for _ in 0..2 {
            let failed = error(&site.web, post(server.port, &text("x"), 0)).await;
            assert!(matches!(failed.guest, GuestError::Indeterminate(_)), "{failed}");
        }
        assert_eq!(server.heard().len(), 1, "a repeat sends nothing");
    }
}

#[tokio::test]
async fn what_was_not_sent_may_be_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let site = Site::new("", Script::new(&[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]]));
    assert_eq!(error(&site.web, post(port, &text("x"), 0)).await.guest, GuestError::Unavailable, "nobody listens");
    assert!(matches!(error(&site.web, post(port, &text("x"), 0)).await.guest, GuestError::Denied(_)));
    let server = Server::start_at(&format!("127.0.0.1:{port}"), None, |_| answer("200 OK", "", b"")).await;
    assert!(!ok(&site.web, post(port, &text("x"), 0)).await.cached);
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_for_fewer_requests_has_done_nothing() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => answer("429 Too Many Requests", "retry-after: 2\r\n", b""),
        _ => answer("200 OK", "", b"done"),
    })
    .await;
    let site = Site::new("", Script::local());
    assert_eq!(error(&site.web, post(server.port, &text("x"), 0)).await.guest, GuestError::RateLimited(2_000));
    assert_eq!(ok(&site.web, post(server.port, &text("x"), 0)).await.value["body"]["text"], "done");
}

#[tokio::test]
async fn a_refusal_of_the_server_is_an_outcome_and_stays_one() {
    let server = Server::start(|_| answer("503 Service Unavailable", "", b"later")).await;
    let site = Site::new("", Script::local());
    for cached in [false, true] {
        let got = ok(&site.web, post(server.port, &text("x"), 0)).await;
        assert_eq!((got.cached, got.value["status"].as_u64()), (cached, Some(503)));
    }
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_call_that_is_left_in_the_middle_is_not_made_again() {
    let server = Server::start(|_| Manner::Stall(Vec::new())).await;
    let site = Site::new("", Script::local());
    let heard = async {
        while server.heard().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = site.web.call(post(server.port, &text("x"), 0)) => panic!("the server gave no answer"),
        () = heard => {}
    }
    server.ended(1).await;
    let failed = error(&site.web, post(server.port, &text("x"), 0)).await;
    assert!(matches!(failed.guest, GuestError::Indeterminate(_)) && failed.detail.contains("an earlier attempt"), "{failed}");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn an_effect_needs_a_key() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    let site = Site::new("", Script::local());
    let mut call = post(server.port, &text("x"), 0);
    call.key = None;
    assert_eq!(error(&site.web, call).await.guest, GuestError::Unavailable);
    assert_eq!(server.connections(), 0);
}
