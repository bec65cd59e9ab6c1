//! Credentials: put in by the host, for one server, and never seen by an agent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const SECRET: &str = "s3cr3t/token+12";

fn site(port: u16, more: &str) -> Site {
    let text = format!("{HERE}[secrets.token]\nfile = \"token\"\nhost = \"api.example\"\nport = {port}\n{more}");
    Site::with_files(&text, Script::local(), &[("token", &format!("{SECRET}\n"))])
}

#[tokio::test]
async fn a_secret_goes_to_its_server_alone() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    let other = Server::start(|_| answer("200 OK", "", b"")).await;
    let basic = format!("authorization: Basic {}\r\n", STANDARD.encode(format!("agent:{SECRET}")));
    for (more, expected) in [
        ("", format!("authorization: {SECRET}\r\n")),
        ("prefix = \"Bearer \"\n", format!("authorization: Bearer {SECRET}\r\n")),
        ("header = \"x-api-key\"\n", format!("x-api-key: {SECRET}\r\n")),
        ("user = \"agent\"\n", basic),
    ] {
        let site = site(server.port, more);
        ok(&site.web, fetch(get(server.port, "/"))).await;
        assert!(server.heard().last().unwrap().contains(&expected), "{expected}");
        // Another port, and another name that leads to the same server.
        ok(&site.web, fetch(get(other.port, "/"))).await;
        let mut args = get(server.port, "/");
        args["url"]["host"] = json!("evil.example");
        ok(&site.web, fetch(args)).await;
        assert!(
            ![other.heard().last().unwrap(), server.heard().last().unwrap()]
                .iter()
                .any(|heard| heard.contains("authorization") || heard.contains("x-api-key"))
        );
    }
}

#[tokio::test]
async fn an_agent_cannot_put_its_own_in_the_place_of_a_secret() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    let site = site(server.port, "header = \"x-api-key\"\n");
    let mut args = get(server.port, "/");
    args["headers"] = json!([{"name": "x-api-key", "value": "mine"}]);
    assert_eq!(error(&site.web, fetch(args)).await.guest, GuestError::Invalid("headers".into()));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_echo_is_masked_in_whatever_form() {
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let echo = format!(
        "{SECRET} {} {encoded} {}",
        STANDARD.encode(format!("agent:{SECRET}")),
        serde_json::to_string(SECRET).unwrap().replace('/', "\\/")
    );
    let body = [echo.as_bytes(), b" end \xff"].concat();
    let headers = format!("x-echo: {SECRET}\r\nlocation: http://evil.example/?t={encoded}\r\n");
    let server = Server::start(move |_| answer("302 Found", &headers, &body)).await;
    let got = ok(&site(server.port, "").web, fetch(get(server.port, "/"))).await;
    let body = STANDARD.decode(got.value["body"]["bytes"].as_str().unwrap()).unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(text.matches("[masked]").count(), 4, "{text}");
    assert!(text.ends_with(" end \u{fffd}"));
    assert_eq!((header(&got, "x-echo"), header(&got, "location")), (Some("[masked]"), Some("http://evil.example/?t=[masked]")));
    let all = format!("{} {text}", got.value);
    for form in [SECRET.to_owned(), encoded, STANDARD.encode(SECRET), "s3cr3t".to_owned()] {
        assert!(!all.contains(&form), "{all}");
    }
}

#[tokio::test]
async fn another_server_cannot_tell_it_either() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    let evil = Server::start(|_| answer("200 OK", "", SECRET.as_bytes())).await;
    let site = site(server.port, "");
    assert_eq!(ok(&site.web, fetch(get(evil.port, "/"))).await.value["body"]["text"], "[masked]");
}

#[tokio::test]
async fn what_is_kept_for_a_repeat_is_masked() {
    let server = Server::start(|_| answer("200 OK", "", SECRET.as_bytes())).await;
    let site = site(server.port, "");
    let mut args = get(server.port, "/");
    args["method"] = json!("post");
    args["body"] = json!({"text": ""});
    for cached in [false, true] {
        let got = ok(&site.web, call("web/http.send", args.clone(), 0)).await;
        assert_eq!((got.cached, &got.value["body"]["text"]), (cached, &json!("[masked]")));
    }
    let stored = std::fs::read(site.state.path().join("data/web.sqlite")).unwrap();
    assert!(memchr::memmem::find(&stored, SECRET.as_bytes()).is_none());
}

#[tokio::test]
async fn a_changed_secret_is_used_at_once_and_a_withdrawn_one_no_more() {
    let server = Server::start(|request| {
        let sent = request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap().to_owned();
        answer("200 OK", "", format!("{sent} {SECRET}").as_bytes())
    })
    .await;
    let site = site(server.port, "");
    ok(&site.web, fetch(get(server.port, "/"))).await;
    std::fs::write(site.project.path().join("token"), "another-token").unwrap();
    let got = ok(&site.web, fetch(get(server.port, "/"))).await;
    assert!(server.heard()[1].contains("authorization: another-token\r\n"));
    assert_eq!(got.value["body"]["text"], "[masked] [masked]", "the one before may still be on its way");
    std::fs::remove_file(site.project.path().join("token")).unwrap();
    let failed = error(&site.web, fetch(get(server.port, "/"))).await;
    assert!(failed.guest == GuestError::Unavailable && failed.detail.contains("the secret `token` cannot be used"), "{failed}");
    assert_eq!(server.heard().len(), 2, "no request goes out without its credential");
}

#[tokio::test]
async fn a_secret_does_not_go_out_in_the_open() {
    // An address that is no loopback and that this machine has: whichever it sends from. Nothing is sent to find that out.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let Ok(own) = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()) else { return };
    let own = own.ip().to_string();
    let server = Server::start_at(&format!("{own}:0"), None, |_| answer("200 OK", "", b"")).await;
    let text = format!("reach = [\"{own}/32\"]\n[secrets.token]\nfile = \"token\"\nhost = \"api.example\"\nport = {}\n", server.port);
    let site = Site::with_files(&text, Script::new(&[&[&own]]), &[("token", SECRET)]);
    let failed = error(&site.web, fetch(get(server.port, "/"))).await;
    assert_eq!(failed.guest, GuestError::Invalid("url.scheme".into()), "{failed}");
    assert!(server.heard().is_empty());
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let site = site(443, "");
    assert!(!format!("{:?}", site.web).contains("s3cr3t"));
}
