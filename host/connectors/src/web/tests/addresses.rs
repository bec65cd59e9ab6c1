//! Where a name leads.

use super::*;

fn denied(failed: &CallError, why: &str) {
    assert!(matches!(failed.guest, GuestError::Denied(_)) && failed.detail.contains(why), "{failed}");
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_until_its_range_is_named() {
    let server = Server::start(|_| answer("200 OK", "", b"here")).await;
    let closed = Site::with_files("", Script::local(), &[]);
    denied(&error(&closed.web, fetch(get(server.port, "/"))).await, "127.0.0.1 is loopback");
    assert_eq!(server.connections(), 0);
    let open = Site::new("", Script::local());
    assert_eq!(ok(&open.web, fetch(get(server.port, "/"))).await.value["body"]["text"], "here");
    for (address, why) in [
        ("10.0.0.1", "private"),
        ("100.64.0.1", "carrier"),
        ("169.254.0.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("0.0.0.0", "this network"),
        ("224.0.0.1", "multicast"),
        ("::1", "loopback"),
        ("fd00::1", "private"),
        ("::ffff:127.0.0.1", "IPv4 address in IPv6"),
        ("64:ff9b::7f00:1", "IPv4 address in IPv6"),
    ] {
        let site = Site::new("", Script::new(&[&[address]]));
        denied(&error(&site.web, fetch(get(server.port, "/"))).await, why);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn one_bad_address_refuses_all_of_a_name() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    for addresses in [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "169.254.169.254"]] {
        let site = Site::new("", Script::new(&[&addresses]));
        denied(&error(&site.web, fetch(get(server.port, "/"))).await, "may not be reached");
    }
    assert_eq!(server.connections(), 0);
    let many: Vec<String> = (0..33).map(|last| format!("1.1.1.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let site = Site::new("", Script::new(&[&many]));
    assert_eq!(error(&site.web, fetch(get(server.port, "/"))).await.guest, GuestError::Unavailable);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_address_that_was_checked_is_dialled() {
    let first = Server::start(|_| answer("200 OK", "", b"first")).await;
    // The same port at another address of this machine: where a second look-up would lead.
    let second = Server::start_at(&format!("127.0.0.2:{}", first.port), None, |_| answer("200 OK", "", b"second")).await;
    let resolver = Script::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let site = Site::new("", resolver.clone());
    assert_eq!(ok(&site.web, fetch(get(first.port, "/"))).await.value["body"]["text"], "first");
    assert_eq!((resolver.asked(), first.connections()), (1, 1));
    denied(&error(&site.web, fetch(get(first.port, "/"))).await, "127.0.0.2 is loopback");
    assert_eq!((resolver.asked(), first.connections(), second.connections()), (2, 1, 0));
}

#[tokio::test]
async fn an_address_in_place_of_a_name_needs_a_range() {
    let server = Server::start(|_| answer("200 OK", "", b"here")).await;
    let resolver = Script::local();
    let literal = |host: &str| {
        let mut args = get(server.port, "/");
        args["url"]["host"] = json!(host);
        fetch(args)
    };
    let site = Site::new("", resolver.clone());
    for (host, why) in [
        ("1.1.1.1", "is no name"),
        ("169.254.169.254", "is no name"),
        ("[::1]", "is no name"),
        ("[::ffff:7f00:1]", "is no name"),
        ("127.0.0.2", "is no name"),
    ] {
        denied(&error(&site.web, literal(host)).await, why);
    }
    assert_eq!(ok(&site.web, literal("127.0.0.1")).await.value["body"]["text"], "here");
    assert_eq!((resolver.asked(), server.connections()), (0, 1));
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let server = Server::start_at("127.0.0.2:0", None, |_| answer("200 OK", "", b"second")).await;
    let site = Site::with_files("reach = [\"127.0.0.0/8\"]\n", Script::new(&[&["127.0.0.1", "127.0.0.2"]]), &[]);
    assert_eq!(ok(&site.web, fetch(get(server.port, "/"))).await.value["body"]["text"], "second");
}

/// A name whose look-up does not come to its end.
struct Never;

impl Resolve for Never {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn finding_the_address_counts_against_the_time_to_connect() {
    let site = Site::new("connect-timeout = \"50ms\"\n", Arc::new(Never));
    let failed = error(&site.web, fetch(get(80, "/"))).await;
    assert!(failed.guest == GuestError::Timeout && failed.detail.contains("no connection to `http://api.example` in time"), "{failed}");
}
