//! What is told about each mistake, as a person sees it.

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::json;

use crate::support::{FakeRunner, answer, simple_output, try_load};

const HEAD: &str = "workflow: test
version: \"1.0.0\"
input:
  schema: { type: object, properties: { n: { type: integer }, who: { type: string }, list: { type: array, items: { type: string } } }, required: [n, who] }
subject: \"${ input.who }\"
";

fn runner() -> FakeRunner {
    let any = || json!({"type": "object"});
    let strict =
        json!({"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"], "additionalProperties": false});
    let acts = || [answer(json!({"ok": true}))];
    let operations =
        ["crm/customers.get", "orders/orders.get", "rules/tables.evaluate", "notify/messages.send", "ticketing/tickets.create"];
    FakeRunner::default()
        .with("free", any(), simple_output(), &[], acts())
        .with("worker", any(), simple_output(), &operations, acts())
        .with("caller", any(), simple_output(), &["web/http.fetch"], acts())
        .with("strict", strict, simple_output(), &[], acts())
        .with("text", any(), json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}), &[], acts())
}

/// Renders everything that is said about a text, warnings too.
fn told(text: &str) -> String {
    let diagnostics = match try_load(text, &runner()) {
        Ok(workflow) => workflow.warnings().to_vec(),
        Err(refused) => refused.0,
    };
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(160).with_links(false);
    let mut shown = String::new();
    for diagnostic in &diagnostics {
        handler.render_report(&mut shown, diagnostic).unwrap();
        shown.push('\n');
    }
    shown
}

/// Renders what is said about steps and output behind a good head.
fn steps(text: &str) -> String {
    told(&format!("{HEAD}{text}"))
}

/// One snapshot a name: the texts with what is said about each.
macro_rules! snapshots {
    ($($name:ident: $told:ident [$($text:expr),* $(,)?]),* $(,)?) => {$(
        #[test]
        fn $name() {
            let shown: Vec<String> = [$($text),*].map(|text: &str| {
                let shown = $told(text);
                assert!(!shown.is_empty(), "nothing is said about\n{text}");
                shown
            }).into();
            insta::assert_snapshot!(shown.join("\n"));
        }
    )*};
}

snapshots! {
    frame: told [
        "",
        "[a]",
        "workflow: Test\nversion: 1.0\ninput: { schema: missing.json }\nsteps: {}\n",
        "workflwo: test\nversion: \"1\"\ninput: { schema: { type: strin } }\nsteps: { a: { agent: free } }\noutput: 1\n",
        "workflow: test\nversion: null\ninput: { schema: { type: string } }\nsubject: \"${ subject }\"\nsteps: { a: { agent: free } }\noutput: 1\n",
        "workflow: test\nversion: \"1\"\ninput: { schema: { type: object, properties: { n: { type: integer } } } }\nsubject: \"${ input.n }\"\nsteps: { a: { agent: free } }\noutput: 1\n",
        "workflow: test\nversion: \"1\"\ninput: { schema: { $ref: \"https://example.org/x.json\" } }\nsteps: { a: { agent: free } }\noutput: 1\n",
    ],
    names: steps [
        "steps:\n  A-b: { agent: free }\n  input: { agent: free }\noutput: 1\n",
        "steps:\n  a: { agent: fre, wiht: 1 }\n  b: { with: 1 }\noutput: 1\n",
        "steps:\n  a: { agent: free, after: [bb] }\n  b: { agent: 5 }\noutput: 1\n",
    ],
    quoting: steps [
        "steps:\n  a: { agent: free, with: { x: ${ input.n } } }\noutput: 1\n",
        "steps:\n  a:\n    agent: free\n    with:\n      x: ${ input.n }\noutput: 1\n",
        "steps:\n  a:\n    agent: free\n    when: input.n > 1\noutput: 1\n",
        "steps:\n  a:\n    agent: free\n    when: !has(input.list)\noutput: 1\n",
        "steps:\n  a:\n    agent: free\n    when: \"${ input.n > 1 }\"\noutput: 1\n",
        "steps:\n  a: { agent: free, with: { x: \"number ${ input.n }\", y: \"${ input.n\" } }\noutput: 1\n",
        "steps:\n  a: { agent: free, with: { x: 007, y: , z: .inf } }\noutput: 1\n",
    ],
    expressions: steps [
        "steps:\n  a: { agent: free, when: \"input.m > 1\" }\noutput: \"${ b.ok }\"\n",
        "steps:\n  a: { agent: free, when: \"input.n\" }\noutput: \"${ input.n + 'x' }\"\n",
        "steps:\n  a: { agent: free, when: \"a.ok\" }\noutput: 1\n",
        "steps:\n  a: { agent: free, with: \"${ b }\" }\n  b: { agent: free, after: [c] }\n  c: { agent: free, when: \"a.ok\" }\noutput: 1\n",
        "steps:\n  a: { agent: free, when: \"input.n > 1\" }\noutput: \"${ a.ok }\"\n",
        "steps:\n  a: { agent: free, with: { x: \"${ steps }\", y: \"${ steps.b.status }\", z: \"${ steps.a.stat }\" } }\noutput: 1\n",
    ],
    types: steps [
        "steps:\n  a: { agent: strict }\noutput: 1\n",
        "steps:\n  a: { agent: strict, with: { order: \"${ input.n }\" } }\noutput: 1\n",
        "steps:\n  a: { agent: strict, with: { order: x, more: 1 } }\noutput: 1\n",
        "steps:\n  a: { agent: free, stand-in: { okay: true } }\noutput: 1\n",
        "steps:\n  a: { agent: free, on-error: [ { partial: { stand-in: { ok: 1 } } } ] }\noutput: 1\n",
    ],
    grants: steps [
        "steps:\n  a: { agent: worker, may: [ { call: crm/customer.get } ] }\noutput: 1\n",
        "steps:\n  a: { agent: free, may: [ { call: crm/customers.get, where: { id: \"${ subject }\" } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { idd: x } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { id: 5 } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { id: { max: 5, like: x } } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: notify/messages.send, where: { customer: \"${ subject }\", channel: mail, subject: any } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: rules/tables.evaluate, where: { ruleset: [a, b], \"facts.*.name\": x }, calls: 0 } ] }\noutput: 1\n",
        "steps:\n  a:\n    agent: worker\n    may:\n      - { call: rules/tables.evaluate, where: { ruleset: x, facts: any } }\n      - { call: rules/tables.evaluate, where: { ruleset: y, facts: any } }\noutput: 1\n",
    ],
    trust: steps [
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { id: any } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { id: { prefix: C- } } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { id: \"${ input.who }\" } } ] }\noutput: 1\n",
        "steps:\n  t: { agent: text }\n  a: { agent: worker, may: [ { call: crm/customers.get, where: { id: \"${ t.text }\" } } ] }\noutput: 1\n",
        "steps:\n  t: { agent: text }\n  a: { agent: worker, may: [ { call: orders/orders.get, where: { id: \"${ t.text }\" }, owner: \"${ subject }\" } ] }\noutput: 1\n",
        "steps:\n  t: { agent: text }\n  a: { agent: worker, may: [ { call: orders/orders.get, where: { id: \"${ t.text == 'x' ? input.who : 'O-1' }\" }, owner: \"${ subject }\" } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: orders/orders.get, where: { id: \"${ input.who }\" } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: orders/orders.get, where: { id: x }, owner: \"${ input.who }\" } ] }\noutput: 1\n",
        "steps:\n  a: { agent: worker, may: [ { call: rules/tables.evaluate, where: { ruleset: x, facts: any }, owner: \"${ subject }\" } ] }\noutput: 1\n",
    ],
    web: steps [
        "steps:\n  a: { agent: caller, may: [ { call: web/http.fetch, where: { method: get, headers: any } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: caller, may: [ { call: web/http.fetch, where: { method: get, headers: { names: accept }, url.scheme: https, url.host: { prefix: api }, url.port: { max: 443 }, url.path: any, url.query: any } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: caller, may: [ { call: web/http.fetch, where: { method: { names: [get] }, headers: any, url.scheme: https, url.host: { host: api.example }, url.port: 443, url.path: { path: /v1/../x }, url.query: { names: [1] } } } ] }\noutput: 1\n",
        "steps:\n  t: { agent: text }\n  a: { agent: caller, may: [ { call: web/http.fetch, where: { method: get, headers: any, url.scheme: https, url.host: { host: \"${ t.text }\" }, url.port: 443, url.path: { path: \"${ '/v1/' + t.text }\" }, url.query: { names: [\"${ t.text }\"] } } } ] }\noutput: 1\n",
    ],
    failures: steps [
        "steps:\n  a: { agent: free, on-error: [ { retyr: { max: 1 } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: free, on-error: [ { retry: { max: 11, on: [], backoff: 200 } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: free, on-error: [ { retry: { max: 1, on: [denied] } }, { retry: { max: 1 } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: free, on-error: [ { partial: { stand-in: null } }, { retry: { max: 1 } } ] }\noutput: 1\n",
        "steps:\n  a: { agent: free, on-error: [ { alternate: { agent: free } }, { alternate: { agent: text } } ], timeout: 0s }\noutput: 1\n",
        "steps:\n  a: { agent: strict, with: { order: x }, on-error: [ { alternate: { agent: fre } }, { escalate: {} } ], timeout: soon }\noutput: 1\n",
    ],
    warnings: steps [
        "steps:\n  a:\n    agent: worker\n    may: [ { call: notify/messages.send, where: { customer: \"${ subject }\", channel: email, subject: any, body: any } } ]\n    on-error: [ { retry: { max: 1 } } ]\noutput: 1\n",
    ],
}

#[test]
fn all_mistakes_come_together_in_the_order_of_the_file() {
    let text = format!("{HEAD}steps:\n  a: {{ agent: fre }}\n  b: {{ agent: free, when: \"nope\" }}\noutput: \"${{ c }}\"\n");
    let refused = try_load(&text, &runner()).unwrap_err();
    let lines: Vec<_> = refused.0.iter().map(|diagnostic| diagnostic.line).collect();
    assert_eq!(lines, [7, 8, 9]);
    assert_eq!(refused.to_string(), "workflow.yaml:7:15: there is no agent `fre` (and 2 more)");
    let json = serde_json::to_value(&refused.0[0]).unwrap();
    assert_eq!(json["severity"], "error");
    assert_eq!(json["help"], "did you mean `free`?");
}

#[test]
fn a_web_address_may_be_open_below_a_path_and_in_the_values_of_its_names() {
    let grant = |path: &str| {
        format!(
            "steps:\n  a: {{ agent: caller, may: [ {{ call: web/http.fetch, where: {{ method: get, headers: {{ names: [] }}, url.scheme: https, url.host: {{ host: api.example }}, url.port: 443, url.path: {{ path: {path} }}, url.query: {{ names: [page, \"${{ input.who }}\"] }} }} }} ] }}\noutput: 1\n"
        )
    };
    for path in ["/v1", "/", "/v1/", "\"${ '/v1/' + input.who }\""] {
        assert_eq!(steps(&grant(path)), "", "{path}");
    }
}
