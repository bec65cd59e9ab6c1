//! What expressions come to.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::{Bounds, Env, EvalError, EvalFault, Program, Type};

fn variables() -> BTreeMap<String, Json> {
    BTreeMap::from([
        ("any".to_owned(), json!({"n": 3, "half": 0.5, "list": [1, 2, 3], "nothing": null, "big": u64::MAX})),
        ("typed".to_owned(), json!({"number": 3, "whole": 4.0, "numbers": [1, 2.5]})),
        ("maybe".to_owned(), json!(null)),
    ])
}

fn env() -> Env {
    let typed = json!({
        "type": "object",
        "properties": {
            "number": {"type": "number"},
            "whole": {"type": "integer"},
            "numbers": {"type": "array", "items": {"type": "number"}},
            "absent": {"type": "string"},
        },
        "required": ["number", "whole", "numbers"],
    });
    Env::new().with("any", Type::Any).with("typed", Type::from_schema(&typed).unwrap()).with("maybe", Type::Any)
}

fn run(source: &str, bounds: &Bounds) -> Result<Json, EvalError> {
    let program = Program::compile(source, &env(), bounds);
    program.unwrap_or_else(|error| panic!("{source}: {error}")).eval(&variables())
}

fn value(source: &str) -> Json {
    run(source, &Bounds::default()).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn fault(source: &str) -> EvalFault {
    run(source, &Bounds::default()).expect_err(source).fault
}

#[test]
fn values() {
    for (source, expected) in [
        ("1 + 2 * 3", json!(7)),
        ("7 / 2", json!(3)),
        ("-7 % 3", json!(-1)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("0x1F", json!(31)),
        ("1.5 + 1.0", json!(2.5)),
        ("'a' + \"b\" + '''c'''", json!("abc")),
        ("r'\\d' + '\\n'", json!("\\d\n")),
        ("1 == 1.0 && 1 < 1.5 && 9007199254740993 != 9007199254740992.0", json!(true)),
        ("[1, 2] == [1.0, 2.0]", json!(true)),
        ("{'a': [1]} == {'a': [1]}", json!(true)),
        ("1 == null", json!(false)),
        ("any.n in any.list", json!(true)),
        ("'n' in any", json!(true)),
        ("any['n'] + any.list[0]", json!(4)),
        ("any.list.filter(x, x > 1)", json!([2, 3])),
        ("any.list.map(x, x * x)", json!([1, 4, 9])),
        ("any.list.map(x, x > 1, x * x)", json!([4, 9])),
        ("any.list.all(x, x > 0) && any.list.exists(x, x == 3)", json!(true)),
        ("any.list.exists_one(x, x > 2) && !any.list.existsOne(x, x > 1)", json!(true)),
        ("[].all(x, false) && ![].exists(x, true)", json!(true)),
        ("{'b': 1, 'a': 2}.map(k, k)", json!(["a", "b"])),
        ("[1, 2].map(x, [3, 4].map(y, x * y))", json!([[3, 4], [6, 8]])),
        ("size('é€') + size([1]) + size({'a': 1}) + 'ab'.size()", json!(6)),
        ("'returns'.contains('turn') && 'a'.startsWith('') && 'ab'.endsWith('b')", json!(true)),
        ("'C-1042'.matches('^C-[0-9]+$') && !matches('x', 'y')", json!(true)),
        ("' A b '.trim().lowerAscii() + 'x'.upperAscii()", json!("a bX")),
        ("['a', 'b'].join(', ') + [].join()", json!("a, b")),
        ("string(1) + string(1.5) + string(true)", json!("11.5true")),
        ("int('42') + int(1.9) + int(-1.9)", json!(42)),
        ("int(timestamp('1970-01-01T00:01:00Z'))", json!(60)),
        ("double('1.5') + double(1)", json!(2.5)),
        ("min(3, 1, 2) + max(1, 3)", json!(4)),
        ("max(1, 1.5)", json!(1.5)),
        ("daysBetween('2026-11-02', '2026-11-21')", json!(19)),
        ("duration('1h') > duration('59m') ? duration('90m') : duration('0')", json!("5400s")),
        ("timestamp('2026-11-02T10:00:00Z') + duration('48h')", json!("2026-11-04T10:00:00Z")),
        ("timestamp('2026-11-02T10:00:00+01:00') == timestamp('2026-11-02T09:00:00Z')", json!(true)),
        ("any.nothing == null && maybe == null", json!(true)),
        ("has(any.n) && !has(any.nothing) && !has(any.none) && !has(any.none.deeper.still) && !has(maybe.x)", json!(true)),
        ("maybe != null ? maybe.x : 'none'", json!("none")),
        ("{'a': any.list}", json!({"a": [1, 2, 3]})),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn a_schema_says_what_a_number_is() {
    assert_eq!(value("typed.number / 2.0"), json!(1.5));
    assert_eq!(value("typed.whole + 1"), json!(5));
    assert_eq!(value("typed.numbers[0] * 0.5"), json!(0.5));
    assert_eq!(value("typed.numbers.map(n, n + 0.5)"), json!([1.5, 3.0]));
    assert_eq!(value("typed.absent"), json!(null));
    assert_eq!(value("typed.absent == null ? 'none' : typed.absent"), json!("none"));
}

#[test]
fn and_and_or_stop_early_from_left_to_right() {
    assert_eq!(value("false && 1 / 0 == 1"), json!(false));
    assert_eq!(value("true || 1 / 0 == 1"), json!(true));
    assert_eq!(fault("1 / 0 == 1 && false"), EvalFault::DivisionByZero);
    assert_eq!(value("true ? 1 : 1 / 0"), json!(1));
    assert_eq!(value("[1, 0].exists(x, 1 / x == 1)"), json!(true));
    assert_eq!(fault("[0, 1].exists(x, 1 / x == 1)"), EvalFault::DivisionByZero);
}

#[test]
fn faults() {
    for (source, message) in [
        ("9223372036854775807 + 1", "the result of `+` is out of range"),
        ("-9223372036854775808 / -1", "the result of `/` is out of range"),
        ("-9223372036854775808 % -1", "the result of `%` is out of range"),
        ("-(-9223372036854775808)", "the result of `-` is out of range"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("1.0 / 0.0", "division by zero"),
        ("1e308 * 10.0", "the result of `*` is not a finite number"),
        ("any.none", "no field `none`"),
        ("{'a': 1}[any.nothing == null ? 'b' : 'a']", "no field `b`"),
        ("any.list[3]", "index 3 is outside the list of 3"),
        ("any.list[-1]", "index -1 is outside the list of 3"),
        ("any.big", "`18446744073709551615` does not fit a signed 64-bit integer"),
        ("any.half + 1", "expected what `+` takes beside number, found integer"),
        ("any.n + 'a'", "expected what `+` takes beside integer, found string"),
        ("any.n.x", "expected object, found integer"),
        ("any.n && true", "expected boolean, found integer"),
        ("any.n.all(x, true)", "expected list or object, found integer"),
        ("any.n < 'a'", "expected what compares with integer, found string"),
        ("int('x')", "`x` is no integer such as `42`"),
        ("double('inf')", "`inf` is no number such as `4.2`"),
        ("int(1e300)", "the result of `int` is out of range"),
        ("timestamp('9999-12-30T00:00:00Z') + duration('48h')", "the result of `+` is out of range"),
        ("{'a' + 'b': 1, 'ab': 2}", "the key `ab` occurs twice"),
        ("[any.n].join(',')", "expected string, found integer"),
    ] {
        assert_eq!(fault(source).to_string(), message, "{source}");
    }
}

#[test]
fn a_fault_points_at_its_cause() {
    let source = "1 + [2, 3].map(x, 6 / (x - 2))[0]";
    let error = run(source, &Bounds::default()).unwrap_err();
    assert_eq!(&source[error.range], "6 / (x - 2");
}

#[test]
fn a_missing_variable_is_named() {
    let program = Program::compile("maybe", &env(), &Bounds::default()).unwrap();
    let error = program.eval(&BTreeMap::new()).unwrap_err();
    assert_eq!(error.fault, EvalFault::MissingVariable { name: "maybe".into() });
}

/// Just under, at and just over each bound.
#[test]
fn each_bound_is_exact() {
    let steps = |max_steps| run("1 + 2", &Bounds { max_steps, ..Bounds::default() });
    assert_eq!(steps(2).unwrap_err().fault, EvalFault::TooManySteps { max: 2 });
    assert_eq!(steps(3).unwrap(), json!(3));
    assert_eq!(steps(4).unwrap(), json!(3));

    let items = |most| run("any.list.all(x, x > 0)", &Bounds { max_comprehension_items: most, ..Bounds::default() });
    assert_eq!(items(2).unwrap_err().fault, EvalFault::TooManyItems { max: 2 });
    assert_eq!(items(3).unwrap(), json!(true));
    assert_eq!(items(4).unwrap(), json!(true));

    // Six bytes made by `+`; the result takes 32 and its six bytes.
    let bytes = |max_result_bytes| run("'abc' + 'def'", &Bounds { max_result_bytes, ..Bounds::default() });
    assert_eq!(bytes(43).unwrap_err().fault, EvalFault::TooManyBytes { max: 43 });
    assert_eq!(bytes(44).unwrap(), json!("abcdef"));
    assert_eq!(bytes(45).unwrap(), json!("abcdef"));
}
