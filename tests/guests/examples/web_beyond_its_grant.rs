//! Asks a web server for what it may, and then for what lies around that, by every way into it that is known.

use bailiwick_sdk::prelude::*;
use bailiwick_test_guests::{Order, Report, case};
use web::http::{Field, Method, SafeMethod, Scheme, Url, fetch, send};

/// Asks a web server for what it may, and then for what lies around that. `count` is the port that is granted, `id` another one.
#[agent(name = "web-beyond-its-grant", owner = "tests", risk-class = "low", wants = ["web/http.fetch", "web/http.send"])]
pub fn guest(task: Task<Order>) -> Result<Answer<Report>, Failure> {
    let port = |number: u64| u16::try_from(number).unwrap_or(0);
    let other: u64 = task.input.id.parse().unwrap_or(0);
    let good = Url { scheme: Scheme::Http, port: port(task.input.count), ..Url::https("localhost", "/v1/orders").with("page", "1") };
    let url = |change: fn(&mut Url)| {
        let mut url = good.clone();
        change(&mut url);
        url
    };
    let get = |url: &Url| fetch(SafeMethod::Get, url, &[]);
    let first = get(&good);
    let mut results = vec![case(&first)];
    for url in [
        url(|url| url.host = "127.0.0.1".to_owned()),
        url(|url| url.host = "localhost.".to_owned()),
        url(|url| url.host = "169.254.169.254".to_owned()),
        url(|url| url.scheme = Scheme::Https),
        Url { port: port(other), ..good.clone() },
        url(|url| url.path = "/v1/order".to_owned()),
        url(|url| url.path = "/v1/orders-of-others".to_owned()),
        url(|url| url.path = "/v1/orders/../admin".to_owned()),
        url(|url| url.path = "/v1/orders/%2e%2e/admin".to_owned()),
        url(|url| url.path = "/v1/orders/..;/admin".to_owned()),
        url(|url| url.path = "/v1/orders//x".to_owned()),
        url(|url| url.path = "/v1/orders\\..\\admin".to_owned()),
        url(|url| url.path = "/v1/orders?to=me".to_owned()),
        url(|url| url.query.push(Field::new("to", "me"))),
        url(|url| url.query = vec![Field::new("Page", "1")]),
    ] {
        results.push(case(&get(&url)));
    }
    results.push(case(&fetch(SafeMethod::Head, &good, &[])));
    results.push(case(&fetch(SafeMethod::Get, &good, &[Field::new("authorization", "Bearer x")])));
    results.push(case(&send(Method::Delete, &good, &[], &"".into())));
    // Within the grant; what becomes of it says the connector, which sees where the name leads.
    results.push(case(&send(Method::Post, &good, &[], &"content".into())));
    let text = first.ok().and_then(|response| response.text().map(str::to_owned)).unwrap_or_default();
    Ok(Answer::certain(Report { results, text, count: 0 }))
}
