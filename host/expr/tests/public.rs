//! The crate as its users see it: only public items, as the orchestrator and the connectors use them.

use std::collections::BTreeMap;

use bailiwick_expr::{At, Bounds, CompileError, Env, EvalError, EvalFault, Field, Mention, Mismatch, Program, SchemaProblem};
use bailiwick_expr::{Template, Type, Variables};
use serde_json::{Value, json};

/// The sample workflow: what its expressions may mention, from the agents' schemas.
#[expect(clippy::unwrap_used, reason = "a function of a test file is a test, though clippy sees only `#[test]`")]
fn env() -> Env {
    let parcel = json!({
        "type": "object",
        "properties": { "tracking": { "type": ["string", "null"] } },
        "required": ["tracking"],
    });
    let status = json!({
        "type": "object",
        "properties": { "status": { "enum": ["done", "failed", "skipped"] }, "error": { "type": "string" } },
        "required": ["status"],
        "additionalProperties": false,
    });
    Env::new()
        .with("input", Type::object([("customer", Type::String), ("order", Type::String)]))
        .with("identity", Type::object([("verified", Type::Bool)]))
        .with("eligibility", Type::object([("eligible", Type::Bool), ("reason", Type::String)]))
        .with("parcel", Type::from_schema(&parcel).unwrap())
        .with("steps", Type::object([("parcel", Type::from_schema(&status).unwrap())]))
}

fn variables(tracking: Value) -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("input".to_owned(), json!({ "customer": "C-1042", "order": "O-7" })),
        ("identity".to_owned(), json!({ "verified": true })),
        ("eligibility".to_owned(), json!({ "eligible": true, "reason": "in time" })),
        ("parcel".to_owned(), json!({ "tracking": tracking })),
        ("steps".to_owned(), json!({ "parcel": { "status": "done" } })),
    ])
}

#[test]
fn the_sample_workflow_works() {
    let bounds = Bounds::default();
    let when = Program::compile("identity.verified && eligibility.eligible", &env(), &bounds).unwrap();
    assert!(Type::Bool.accepts(when.ty()));
    assert_eq!(when.eval(&variables(json!(null))).unwrap(), json!(true));
    let mention = |root: &str, field: &str| Mention { root: root.into(), path: vec![field.into()] };
    assert_eq!(when.mentions(), [mention("eligibility", "eligible"), mention("identity", "verified")]);

    let output = json!({
        "decision": "${ parcel.tracking != null ? 'accepted' : eligibility.reason }",
        "failed": "${ steps.parcel.error != null }",
        "kind": "return",
    });
    let output = Template::compile(&output, &env(), &bounds).unwrap();
    let wanted = Type::object([("decision", Type::String), ("failed", Type::Bool), ("kind", Type::String)]);
    assert_eq!(output.ty(), wanted);
    let accepted = output.eval(&variables(json!("1Z"))).unwrap();
    assert_eq!(accepted, json!({ "decision": "accepted", "failed": false, "kind": "return" }));
    let refused = output.eval(&variables(json!(null))).unwrap();
    assert_eq!(refused, json!({ "decision": "in time", "failed": false, "kind": "return" }));
}

#[test]
fn a_mistake_says_where_and_what_next() {
    let errors: Vec<At<CompileError>> = Template::compile(&json!({ "order": "${ input.oder }" }), &env(), &Bounds::default()).unwrap_err();
    assert_eq!(errors[0].pointer, "/order");
    assert_eq!(errors[0].error.message, "unknown field `oder`");
    assert_eq!(errors[0].error.range, 9..13);
    assert_eq!(errors[0].error.help.as_deref(), Some("did you mean `order`?"));
    assert_eq!(errors[0].to_string(), "`/order`: unknown field `oder`");
}

#[test]
fn types_are_compared_with_reasons() {
    let wanted = Type::from_schema(&json!({
        "type": "object", "properties": { "order": { "type": "string" } }, "required": ["order"],
    }));
    let given = Template::compile(&json!({ "order": "${ parcel.tracking }" }), &env(), &Bounds::default()).unwrap();
    let mismatch: Mismatch = wanted.unwrap().mismatch(&given.ty()).unwrap();
    assert_eq!(mismatch.to_string(), "`order`: expected string, found string or null");
    assert_eq!(Type::from_schema(&json!({ "$ref": "https://x" })), Err(SchemaProblem::RemoteReference("https://x".into())));
    let field = Field::optional(Type::Int);
    assert!(!field.required);
}

/// Any source of values will do.
struct One(Value);

impl Variables for One {
    fn variable(&self, name: &str) -> Option<&Value> {
        (name == "x").then_some(&self.0)
    }
}

#[test]
fn values_may_come_from_anywhere() {
    let program = Program::compile("10 / x", &Env::new().with("x", Type::Int), &Bounds::default()).unwrap();
    assert_eq!(program.eval(&One(json!(3))).unwrap(), json!(3));
    let error: EvalError = program.eval(&One(json!(0))).unwrap_err();
    assert_eq!((error.fault, error.range), (EvalFault::DivisionByZero, 0..6));
}

#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Program>();
    shared::<Template>();
    shared::<Type>();
    shared::<Env>();
    shared::<Bounds>();
    shared::<CompileError>();
    shared::<EvalError>();
}
