//! What a decision costs with 1,000 policies installed.
//!
//! The mix: 900 policies for one agent and one operation each (50 agents, all operations that Bailiwick comes with), 60 for one operation and
//! any agent, 20 for one effect, 20 for any agent and any operation. Every second one of the first two kinds, every third of the third and
//! every fifth of the last reads something of the call. So a call meets about 33 policies, of which it weighs about ten.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first thing that is not as expected"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::grant::{Condition, Grant, GrantRequest};
use bailiwick_core::policy::{AgentFacts, CallFacts, Decision, Opening, PolicyContext, PolicyEngine as _, Requester};
use bailiwick_policy::{CedarEngine, DEFAULT_POLICY, Freezes, Policies, PolicySource};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AGENTS: usize = 50;
const GRANTS: [&str; 5] =
    ["crm/customers.get", "orders/orders.get", "crm/notes.append", "billing/accounts.set-return-status", "notify/messages.send"];

fn policies(catalog: &Catalog) -> String {
    let operations: Vec<&Arc<Operation>> = catalog.iter().collect();
    let action = |at: usize| {
        let operation = operations[at % operations.len()];
        format!("{}@0.1.0", operation.short)
    };
    let mut text = String::from(DEFAULT_POLICY);
    for n in 0..900 {
        let condition = if n % 2 == 0 { format!("context.calls > {}", 100 + n) } else { format!("context.workflow == \"w{n}\"") };
        let _ = writeln!(
            text,
            "@id(\"one-{n}\") forbid (principal == Bailiwick::Agent::\"agent-{}\", action == Bailiwick::Action::\"{}\", resource) when {{ {condition} }};",
            n % AGENTS,
            action(n / AGENTS + n),
        );
    }
    for n in 0..60 {
        let operation = operations[n % operations.len()];
        let condition = match operation.signature.params.first() {
            Some((name, bailiwick_core::signature::WitType::Text)) if n % 2 == 0 => format!("context.args[\"{name}\"] like \"X-{n}*\""),
            _ => format!("principal.tier > {}", 50 + n),
        };
        let _ = writeln!(
            text,
            "@id(\"op-{n}\") forbid (principal, action == Bailiwick::Action::\"{}\", resource) when {{ {condition} }};",
            action(n)
        );
    }
    for n in 0..20 {
        let condition = if n % 3 == 0 { format!("context.labels.contains(\"label-{n}\")") } else { format!("context.step == \"s{n}\"") };
        let effect = ["read", "write", "final"][n % 3];
        let _ = writeln!(
            text,
            "@id(\"effect-{n}\") forbid (principal, action in Bailiwick::Action::\"{effect}\", resource) when {{ {condition} }};"
        );
    }
    for n in 0..20 {
        let condition = if n % 5 == 0 { format!("context.calls > {}", 200 + n) } else { format!("context.tenant == \"t{n}\"") };
        let _ = writeln!(text, "@id(\"any-{n}\") forbid (principal is Bailiwick::Agent, action, resource) when {{ {condition} }};");
    }
    text
}

fn load(text: &str, catalog: &Catalog) -> Arc<Policies> {
    let files = [PolicySource { name: "policy/bench.cedar".into(), text: text.into() }];
    Arc::new(Policies::load(&files, catalog).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

fn requester() -> Requester {
    Requester { id: "channel:web".into(), tenant: "shop".into(), attributes: [("kind".into(), "service-channel".into())].into() }
}

fn context() -> PolicyContext {
    PolicyContext {
        requester: Arc::new(requester()),
        workflow: "returns".into(),
        run: "run-0198b2f3c1d27a3b9e8f0a1b2c3d4e5f".into(),
        step: "record".into(),
        attempt: 1,
        agent: Arc::new(AgentFacts {
            name: "agent-7".into(),
            version: "1.4.2".into(),
            tier: 1,
            data_level: "personal".into(),
            risk_class: "medium".into(),
        }),
        subject: Some("C-1042".into()),
        run_input: Some(Arc::new(json!({"customer": "C-1042", "order": "O-77", "reason": "too small"}))),
    }
}

/// An operation with a request for it and arguments.
fn asked(catalog: &Catalog, name: &str) -> (Arc<Operation>, GrantRequest, Value) {
    let operation = Arc::clone(catalog.resolve(name).unwrap());
    let args = match name {
        "crm/customers.get" => json!({"id": "C-1042"}),
        "orders/orders.get" => json!({"id": "O-77"}),
        "crm/notes.append" => json!({"customer": "C-1042", "text": "The customer returns one parcel; the label is on its way. ".repeat(4)}),
        "billing/accounts.set-return-status" => json!({"order": "O-77", "status": "open", "if-version": "3"}),
        _ => {
            json!({"customer": "C-1042", "channel": "email", "subject": "Your return", "body": "Dear customer, your label is attached. ".repeat(20)})
        }
    };
    let conditions = operation.spec.bound_arguments().map(|(_, path)| {
        let value = path.get(&args).cloned().unwrap_or(Value::Null);
        (path.clone(), vec![Condition::Equals(value)])
    });
    let request = GrantRequest {
        operation: operation.id.clone(),
        conditions: conditions.collect(),
        owner: None,
        budgets: Budgets::default_for(operation.spec.effect),
        delegable: false,
    };
    (operation, request, args)
}

fn decisions(c: &mut Criterion) {
    let catalog = bailiwick_wit::builtin_catalog().unwrap();
    let text = policies(&catalog);
    let many = CedarEngine::new(load(&text, &catalog), Freezes::default());
    let few = CedarEngine::new(load(DEFAULT_POLICY, &catalog), Freezes::default());
    let context = context();
    let labels: BTreeSet<String> = ["pii".to_owned(), "untrusted".to_owned()].into();

    for name in GRANTS {
        let (operation, request, args) = asked(&catalog, name);
        let call = CallFacts { args: &args, labels: &labels, calls: 1, bytes_out: 200 };
        for (engine, which) in [(&many, "1000 policies"), (&few, "default policies")] {
            let decision = engine.at_issue(&context, &operation, &request);
            let Decision::Permit(permit) = &decision else { panic!("{decision:?}") };
            let grant = Grant::issue(permit, "g".into(), "t".into(), request.clone(), u64::MAX);
            let kind = match engine.at_call(&context, &operation, &grant, &call) {
                None => "nothing of a call is read",
                Some(decision) if decision.is_permit() => "decided at the call",
                Some(decision) => panic!("{decision:?}"),
            };
            c.bench_function(&format!("call, {which}, {name}, {kind}"), |b| {
                // Only whether: handing a decision to the harness would cost more than finding that there is none.
                b.iter(|| engine.at_call(black_box(&context), black_box(&operation), black_box(&grant), black_box(&call)).is_none());
            });
        }
    }

    for (engine, which) in [(&many, "1000 policies"), (&few, "default policies")] {
        let grants = GRANTS.map(|name| asked(&catalog, name));
        c.bench_function(&format!("issue of five grants, {which}"), |b| {
            b.iter(|| {
                for (operation, request, _) in &grants {
                    assert!(black_box(engine.at_issue(black_box(&context), operation, request)).is_permit());
                }
            });
        });
        let requester = requester();
        let opening = Opening { workflow: &"returns".into(), tenant: &"shop".into(), subject: Some(&"C-1042".into()) };
        c.bench_function(&format!("opening a run, {which}"), |b| {
            b.iter(|| assert!(black_box(engine.at_open(black_box(&requester), &opening)).is_permit()));
        });
        c.bench_function(&format!("version, {which}"), |b| b.iter(|| black_box(engine.version())));
    }

    // The first issue after a change: slices are cut again.
    let installed = many.policies();
    let files = [PolicySource { name: "policy/bench.cedar".into(), text }];
    let mut group = c.benchmark_group("rare");
    group.sample_size(10);
    group.bench_function("loading 1000 policies", |b| b.iter(|| black_box(Policies::load(&files, &catalog).unwrap())));
    group.bench_function("swap of policies in force", |b| b.iter(|| black_box(many.install(Arc::clone(&installed)))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(100);
    targets = decisions
}
criterion_main!(benches);
