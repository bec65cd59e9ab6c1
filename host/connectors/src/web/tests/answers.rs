//! What a server can do to an agent and to the host.

use super::*;

/// Bytes of content that tests allow.
const MOST: usize = 1024;

fn bounded() -> Site {
    Site::new("max-response = \"1KiB\"\nfirst-byte-timeout = \"300ms\"\ntotal-timeout = \"600ms\"\n", Script::local())
}

#[tokio::test]
async fn an_answer_ends_at_its_bound() {
    for (bytes, fits) in [(MOST - 1, true), (MOST, true), (MOST + 1, false)] {
        let server = Server::start(move |_| answer("200 OK", "", &vec![b'x'; bytes])).await;
        let chunked = Server::start(move |_| {
            let half = bytes / 2;
            let (a, b) = ("x".repeat(half), "x".repeat(bytes - half));
            Manner::Answer(
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", half, bytes - half)
                    .into_bytes(),
            )
        })
        .await;
        // Without a length: the content ends with the connection.
        let open = Server::start(move |_| Manner::Answer(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(bytes)).into_bytes())).await;
        for server in [server, chunked, open] {
            let got = bounded().web.call(fetch(get(server.port, "/"))).await;
            match fits {
                true => assert_eq!(got.unwrap().value["body"]["text"].as_str().unwrap().len(), bytes),
                false => assert_eq!(got.unwrap_err().guest, GuestError::BadUpstream),
            }
        }
    }
}

#[tokio::test]
async fn what_the_step_has_left_bounds_an_answer_too() {
    let server = Server::start(|_| answer("200 OK", "", &[b'x'; 500])).await;
    let site = bounded();
    for (most, fits) in [(499, false), (500, false), (2_000, true)] {
        let mut call = fetch(get(server.port, "/"));
        call.max_result_bytes = most;
        let got = site.web.call(call).await;
        // At 500 the content fits, and the whole answer does not.
        assert_eq!(got.as_ref().map_err(|error| &error.guest).err(), (!fits).then_some(&GuestError::Budget(BudgetKind::BytesIn)));
    }
}

#[tokio::test]
async fn a_flood_is_not_taken_in() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let piece = format!("{:x}\r\n{}\r\n", 16 * 1024, "x".repeat(16 * 1024)).into_bytes();
    let server = Server::start(move |_| Manner::Flood(head.clone(), piece.clone())).await;
    assert_eq!(error(&bounded().web, fetch(get(server.port, "/"))).await.guest, GuestError::BadUpstream);
    server.ended(1).await;
    // What lay in the buffers of two sockets, and no more.
    assert!(server.told() < 32 * 1024 * 1024, "{}", server.told());
}

#[tokio::test]
async fn headers_are_bounded() {
    // Each line takes four bytes beside its name and value, and there is a `content-length: 0` of 15 and 4.
    let long = |value: usize| format!("x: {}\r\n", "y".repeat(value));
    let most = crate::web::exchange::MAX_HEAD_BYTES - 19 - 5;
    let lines = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    for (headers, fits) in [(lines(99), true), (lines(100), false), (long(most), true), (long(most + 1), false), (long(200 * 1024), false)]
    {
        let server = Server::start(move |_| answer("200 OK", &headers, b"")).await;
        assert_eq!(bounded().web.call(fetch(get(server.port, "/"))).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn what_is_packed_is_not_unpacked() {
    // Ten times a kilobyte of zeros, as gzip would have it; nobody looks.
    for (name, value) in [
        ("Content-Encoding", "gzip"),
        ("content-encoding", "br"),
        ("Content-Encoding", "identity, gzip"),
        ("Transfer-Encoding", "gzip, chunked"),
    ] {
        let server = Server::start(move |_| answer("200 OK", &format!("{name}: {value}\r\n"), &[0x1f, 0x8b, 8, 0])).await;
        let failed = error(&bounded().web, fetch(get(server.port, "/"))).await;
        assert_eq!(failed.guest, GuestError::BadUpstream, "{failed}");
        assert!(server.heard()[0].contains("accept-encoding: identity\r\n"));
    }
    let server = Server::start(|_| answer("200 OK", "Content-Encoding: Identity\r\n", b"x")).await;
    assert_eq!(ok(&bounded().web, fetch(get(server.port, "/"))).await.value["body"]["text"], "x");
}

#[tokio::test]
async fn a_slow_server_is_left() {
    let silent = || Manner::Stall(Vec::new());
    let slow_head = || Manner::Stall(b"HTTP/1.1 200 OK\r\nx-a: b\r\n".to_vec());
    let slow_body = || Manner::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec());
    for (manner, what) in
        [(silent as fn() -> Manner, "no answer in time"), (slow_head, "no answer in time"), (slow_body, "no whole answer in time")]
    {
        let server = Server::start(move |_| manner()).await;
        let failed = error(&bounded().web, fetch(get(server.port, "/"))).await;
        assert!(failed.guest == GuestError::Timeout && failed.detail.contains(what), "{failed}");
        // The connection is closed, and not only given up.
        server.ended(1).await;
    }
}

#[tokio::test]
async fn a_call_has_no_more_time_than_its_task() {
    let server = Server::start(|_| Manner::Stall(Vec::new())).await;
    let site = Site::new("", Script::local());
    let mut call = fetch(get(server.port, "/"));
    call.time_left = Duration::from_millis(50);
    assert_eq!(error(&site.web, call).await.guest, GuestError::Timeout);
    server.ended(1).await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_closes_its_connection() {
    let server = Arc::new(Server::start(|_| Manner::Stall(Vec::new())).await);
    let site = Site::new("", Script::local());
    let call = site.web.call(fetch(get(server.port, "/")));
    let heard = async {
        while server.heard().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = call => panic!("the server gave no answer"),
        () = heard => {}
    }
    server.ended(1).await;
}

#[tokio::test]
async fn a_slow_server_takes_no_connections_from_others() {
    let slow = Server::start(|_| Manner::Stall(Vec::new())).await;
    let quick = Server::start(|_| answer("200 OK", "", b"quick")).await;
    let site = Arc::new(Site::new("", Script::local()));
    let open: Vec<_> = (0..crate::web::crowd::MAX_AT_ONE)
        .map(|_| {
            let (site, call) = (Arc::clone(&site), fetch(get(slow.port, "/")));
            tokio::spawn(async move { site.web.call(call).await })
        })
        .collect();
    while slow.heard().len() < open.len() {
        tokio::task::yield_now().await;
    }
    let failed = error(&site.web, fetch(get(slow.port, "/"))).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("are open already"), "{failed}");
    assert_eq!(ok(&site.web, fetch(get(quick.port, "/"))).await.value["body"]["text"], "quick");
    open.iter().for_each(tokio::task::JoinHandle::abort);
    slow.ended(open.len()).await;
    // Their places are free again.
    let mut last = fetch(get(slow.port, "/"));
    last.time_left = Duration::from_millis(50);
    assert_eq!(error(&site.web, last).await.guest, GuestError::Timeout);
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for bytes in [
        "",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    ] {
        let server = Server::start(move |_| Manner::Answer(bytes.as_bytes().to_vec())).await;
        let failed = error(&bounded().web, fetch(get(server.port, "/"))).await;
        assert_eq!(failed.guest, GuestError::BadUpstream, "{bytes:?}: {failed}");
    }
}

#[tokio::test]
async fn content_that_is_no_text_is_bytes_and_head_has_none() {
    let server = Server::start(|request| match request.starts_with("HEAD") {
        true => Manner::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\netag: \"1\"\r\n\r\n".to_vec()),
        false => answer("200 OK", "", &[0xff, 0xfe]),
    })
    .await;
    let site = bounded();
    assert_eq!(ok(&site.web, fetch(get(server.port, "/"))).await.value["body"], json!({"bytes": "//4="}));
    let mut args = get(server.port, "/");
    args["method"] = json!("head");
    let head = ok(&site.web, fetch(args)).await;
    assert_eq!((&head.value["body"], header(&head, "etag")), (&json!({"text": ""}), Some("\"1\"")));
}

#[tokio::test]
async fn errors_of_the_server_are_answers_but_one() {
    for status in ["404 Not Found", "500 Internal Server Error", "503 Service Unavailable"] {
        let server = Server::start(move |_| answer(status, "", b"why")).await;
        let got = ok(&bounded().web, fetch(get(server.port, "/"))).await;
        assert_eq!((got.value["status"].to_string(), got.value["body"]["text"].as_str()), (status[..3].to_owned(), Some("why")));
    }
    for (header, ms) in [
        ("retry-after: 3\r\n", 3_000),
        ("", 1_000),
        ("retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", 1_000),
        ("retry-after: 99999999999\r\n", 86_400_000),
    ] {
        let server = Server::start(move |_| answer("429 Too Many Requests", header, b"")).await;
        assert_eq!(error(&bounded().web, fetch(get(server.port, "/"))).await.guest, GuestError::RateLimited(ms));
    }
}

#[tokio::test]
async fn tls_is_for_the_name_that_was_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let secure = |port: u16| {
        let mut args = get(port, "/");
        args["url"]["scheme"] = json!("https");
        fetch(args)
    };
    let site = |pem: &str| Site::with_files(&format!("{HERE}ca = \"ca.pem\"\n"), Script::local(), &[("ca.pem", pem)]);
    let start = |name: &str| Server::start_at("127.0.0.1:0", Some(authority.certify(name)), |_| answer("200 OK", "", b"safe"));
    let server = start("api.example").await;
    let got = ok(&site(&authority.pem).web, secure(server.port)).await;
    assert_eq!(got.value["url"], format!("https://api.example:{}/", server.port));
    assert_eq!(got.value["body"]["text"], "safe");
    for (pem, name) in [(&stranger.pem, "api.example"), (&authority.pem, "other.example"), (&authority.pem, "127.0.0.1")] {
        let server = start(name).await;
        let failed = error(&site(pem).web, secure(server.port)).await;
        assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("TLS"), "{failed}");
        assert!(server.heard().is_empty());
    }
    // Nobody of those that browsers trust vouches for it.
    let server = start("api.example").await;
    assert_eq!(error(&Site::new("", Script::local()).web, secure(server.port)).await.guest, GuestError::Unavailable);
    assert!(server.heard().is_empty());
}
