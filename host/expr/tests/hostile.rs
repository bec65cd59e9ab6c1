//! Sources and inputs that are meant to hurt. Each test ends quickly, with a typed error.

#![expect(clippy::unwrap_used, reason = "functions of a test file are tests, though clippy sees only `#[test]`")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bailiwick_expr::{Bounds, CompileError, Env, EvalFault, Program, Type};
use serde_json::{Value, json};

/// Far above what a slow machine takes, far below what an attack would.
const SOON: Duration = Duration::from_secs(5);

fn compile(source: &str, env: &Env, bounds: &Bounds) -> Result<Program, CompileError> {
    let start = Instant::now();
    let compiled = Program::compile(source, env, bounds);
    assert!(start.elapsed() < SOON, "compiling took {:?}", start.elapsed());
    compiled
}

fn fault(source: &str, value: Value, bounds: &Bounds) -> EvalFault {
    let env = Env::new().with("x", Type::Any);
    let program = compile(source, &env, bounds).unwrap();
    let start = Instant::now();
    let error = program.eval(&BTreeMap::from([("x".to_owned(), value)])).unwrap_err();
    assert!(start.elapsed() < SOON, "evaluating took {:?}", start.elapsed());
    error.fault
}

fn long_sources() -> Bounds {
    let mut bounds = Bounds::default();
    bounds.max_source_bytes = 10 << 20;
    bounds.max_nesting = usize::MAX;
    bounds
}

#[test]
fn deep_nesting_is_refused_before_parsing() {
    let many = 100_000;
    let sources = [
        "(".repeat(many) + "1" + &")".repeat(many),
        "[".repeat(many) + &"]".repeat(many),
        "{'a':".repeat(many) + "1" + &"}".repeat(many),
        "!".repeat(many) + "true",
        "-".repeat(many) + "1",
        "true ? 1 : ".repeat(many) + "1",
        "1".to_owned() + &" + 1".repeat(many),
        "a".to_owned() + &".b".repeat(many),
        "a".to_owned() + &"[0]".repeat(many),
        "a".to_owned() + &".map(b, b)".repeat(many),
        "size(".repeat(many) + "1" + &")".repeat(many),
        "(".repeat(many),
        "a[".repeat(many) + "0" + &"]".repeat(many),
    ];
    for source in sources {
        let error = compile(&source, &Env::new(), &long_sources()).unwrap_err();
        let expected = error.message.starts_with("nested deeper") || error.message == "this bracket is never closed";
        assert!(expected, "{}: {}", source.get(..20).unwrap_or_default(), error.message);
    }
}

#[test]
fn long_sources_are_refused_unread() {
    let source = "1".repeat(5000);
    let error = compile(&source, &Env::new(), &Bounds::default()).unwrap_err();
    assert_eq!(error.message, "5000 bytes long, 4096 are allowed");
}

/// The deepest sources allowed must not exhaust a small stack, in an unoptimized build too.
#[test]
fn the_deepest_allowed_sources_run_on_a_small_stack() {
    let run = || {
        let mut bounds = long_sources();
        bounds.max_comprehension_nesting = 100;
        let env = Env::new().with("a", Type::Any);
        let sources = [
            "(".repeat(63) + "1" + &")".repeat(63),
            "[".repeat(63) + &"]".repeat(63),
            "1".to_owned() + &" + 1".repeat(250),
            "a".to_owned() + &".b".repeat(250),
            "a".to_owned() + &"[0]".repeat(60),
            "true ? 1 : ".repeat(63) + "1",
            "!(".repeat(31) + "true" + &")".repeat(31),
            "[1].map(x, ".repeat(30) + "1" + &")".repeat(30),
        ];
        for source in sources {
            let program = compile(&source, &env, &bounds).unwrap_or_else(|error| panic!("{source}: {error}"));
            let _ = program.eval(&BTreeMap::from([("a".to_owned(), json!([]))]));
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn nested_comprehensions_end_at_a_bound() {
    let list = json!((0..2000).collect::<Vec<_>>());
    let nested = "x.map(a, x.map(b, x.map(c, a * b * c)))";
    let found = fault(nested, list.clone(), &Bounds::default());
    assert!(matches!(found, EvalFault::TooManyItems { max: 10_000 } | EvalFault::TooManySteps { max: 100_000 }), "{found}");

    let mut bounds = Bounds::default();
    bounds.max_comprehension_items = u64::MAX;
    assert_eq!(fault(nested, list, &bounds), EvalFault::TooManySteps { max: 100_000 });

    let deeper = "x.map(a, x.map(b, x.map(c, x.map(d, 1))))";
    let error = compile(deeper, &Env::new().with("x", Type::Any), &Bounds::default()).unwrap_err();
    assert_eq!(error.message, "comprehensions inside one another more than 3 deep");
}

#[test]
fn doubling_text_and_lists_is_bounded() {
    let doubling = |open: &str| {
        let steps: String = (0..40).map(|_| ".map(s, s + s)").collect();
        format!("[{open}]{steps}")
    };
    let mut bounds = Bounds::default();
    bounds.max_steps = u64::MAX;
    for open in ["x", "'0123456789'", "[1, 2, 3]"] {
        let found = fault(&doubling(open), json!("0123456789"), &bounds);
        assert_eq!(found, EvalFault::TooManyBytes { max: 4 << 20 }, "{open}");
    }
}

/// Inside, `[s, s]` shares `s`; as JSON it would take 2^40 values.
#[test]
fn shared_values_do_not_unfold_without_bound() {
    let steps: String = (0..40).map(|_| ".map(s, [s, s])").collect();
    let found = fault(&format!("[x]{steps}"), json!("a"), &Bounds::default());
    assert_eq!(found, EvalFault::TooManyBytes { max: 4 << 20 });
    let steps: String = (0..20).map(|_| ".map(s, [s, s])").collect();
    let compared = fault(&format!("[x]{steps} == [x]{steps}"), json!("a"), &Bounds::default());
    assert_eq!(compared, EvalFault::TooManySteps { max: 100_000 });
}

#[test]
fn patterns_are_linear_and_small() {
    let env = Env::new().with("x", Type::String);
    let evil = compile("x.matches('^(a+)+$')", &env, &Bounds::default()).unwrap();
    let text = "a".repeat(200_000) + "!";
    let start = Instant::now();
    assert_eq!(evil.eval(&BTreeMap::from([("x".to_owned(), json!(text))])).unwrap(), json!(false));
    assert!(start.elapsed() < SOON);

    for pattern in ["(a{1,1000}){1,1000}", "((((a{100}){100}){100}){100})"] {
        let error = compile(&format!("x.matches('{pattern}')"), &env, &Bounds::default()).unwrap_err();
        assert_eq!(error.message, "this pattern is too large", "{pattern}");
    }
    for common in ["^[\\w.+-]+@[\\w-]+\\.[\\w.-]+$", "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$", "^\\w{1,20}$", "\\bO-\\d{4,10}\\b"] {
        compile(&format!("x.matches(r'{common}')"), &env, &Bounds::default()).unwrap_or_else(|error| panic!("{common}: {error}"));
    }
    let nested = "(".repeat(100) + "a" + &")".repeat(100);
    assert!(compile(&format!("x.matches('{nested}')"), &env, &Bounds::default()).is_err());
}

#[test]
fn searching_large_text_costs_steps() {
    let text = "a".repeat(1 << 20);
    let found = fault("[1,2,3,4,5,6,7,8,9].all(n, x.contains('ab') == false)", json!(text), &Bounds::default());
    assert_eq!(found, EvalFault::TooManySteps { max: 100_000 });
}

#[test]
fn input_nested_too_deep_is_refused() {
    let mut deep = json!(1);
    for _ in 0..600 {
        deep = json!([deep]);
    }
    for source in ["x", "x == x", "[x] + [x]", "x in [x]"] {
        assert_eq!(fault(source, deep.clone(), &Bounds::default()), EvalFault::TooDeep { max: 256 }, "{source}");
    }
}
