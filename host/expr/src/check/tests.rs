//! What compiles, to which type, and what is said when it does not.

use serde_json::json;

use crate::{Bounds, CompileError, Env, Field, Mention, Program, Type};

fn optional_object(fields: &[(&str, Type)]) -> Type {
    let fields = fields.iter().map(|(name, ty)| ((*name).to_owned(), Field::optional(ty.clone())));
    Type::Object { fields: fields.collect(), open: false }
}

fn env() -> Env {
    let parcel = Type::object([("tracking", Type::String.nullable()), ("cost", Type::Double)]);
    let status = Type::object([("status", Type::String), ("error", Type::String.nullable())]);
    let order = Type::from_schema(&json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
            "note": { "type": ["string", "null"] },
        },
        "required": ["id", "lines"],
        "additionalProperties": false,
        "$defs": { "line": {
            "type": "object",
            "properties": { "sku": { "type": "string" }, "price": { "type": "number" }, "discount": { "type": "number" } },
            "required": ["sku", "price"],
        } },
    }));
    Env::new()
        .with("order", order.unwrap())
        .with("parcel", parcel.nullable())
        .with("steps", Type::object([("parcel", status.clone()), ("live-search", status)]))
        .with("eligible", Type::Bool)
        .with("count", Type::Int)
        .with("amount", Type::Double)
        .with("extra", optional_object(&[("deep", optional_object(&[("value", Type::Int)])), ("text", Type::String)]))
        .with("labels", Type::map(Type::String))
        .with("facts", Type::Any)
}

fn ty(source: &str) -> Type {
    match Program::compile(source, &env(), &Bounds::default()) {
        Ok(program) => program.ty().clone(),
        Err(error) => panic!("{source}: {error} ({:?})", error.help),
    }
}

fn refused(source: &str) -> CompileError {
    match Program::compile(source, &env(), &Bounds::default()) {
        Ok(program) => panic!("{source} compiles to {}", program.ty()),
        Err(error) => error,
    }
}

/// Checks message, marked text and help of a refusal.
fn check_refusal(source: &str, message: &str, marked: &str, help: Option<&str>) {
    let error = refused(source);
    assert_eq!(error.message, message, "{source}");
    assert_eq!(&source[error.range], marked, "{source}");
    assert_eq!(error.help.as_deref(), help, "{source}");
}

#[test]
fn types_of_expressions() {
    for (source, expected) in [
        ("1 + 2", Type::Int),
        ("amount * 2.0", Type::Double),
        ("count > 3 && eligible", Type::Bool),
        ("'a' + order.id", Type::String),
        ("order.lines[0].price", Type::Double),
        ("order.lines.map(l, l.sku)", Type::list(Type::String)),
        ("order.lines.map(l, l.price > 1.0, l.sku)", Type::list(Type::String)),
        ("order.lines.exists_one(l, l.sku == 'x')", Type::Bool),
        ("order.lines.map(l, l.discount)", Type::list(Type::Double.nullable())),
        ("order.lines.map(l, l.discount).filter(d, d != null)", Type::list(Type::Double)),
        ("order.note", Type::String.nullable()),
        ("extra.text", Type::String.nullable()),
        ("eligible ? 1 : 2.5", Type::Double),
        ("eligible ? 1 : null", Type::Int.nullable()),
        ("eligible ? 1 : 'a'", Type::Any),
        ("[1, 2.5]", Type::list(Type::Double)),
        ("[1] + [2.5]", Type::list(Type::Double)),
        ("{'a': 1, 'b': 'x'}", Type::object([("a", Type::Int), ("b", Type::String)])),
        ("{order.id: 1}", Type::map(Type::Int)),
        ("labels.colour", Type::String),
        ("labels[order.id]", Type::String),
        ("facts.anything[0].more", Type::Any),
        ("facts + 1", Type::Int),
        ("timestamp('2026-11-02T10:00:00Z') + duration('1h')", Type::Timestamp),
        ("timestamp('2026-11-02T10:00:00Z') - timestamp('2026-11-01T10:00:00Z')", Type::Duration),
        ("daysBetween('2026-11-02', order.id)", Type::Int),
        ("count < amount", Type::Bool),
        ("count in [1, 2.5]", Type::Bool),
        ("min(count, 3)", Type::Int),
        ("max(count, 3, amount)", Type::Double),
        ("-amount", Type::Double),
        ("steps['live-search'].status", Type::String),
        ("labels.map(k, size(k))", Type::list(Type::Int)),
    ] {
        assert_eq!(ty(source), expected, "{source}");
    }
}

#[test]
fn a_guard_takes_null_away() {
    for source in [
        "parcel != null ? parcel.cost : 0.0",
        "parcel == null ? 0.0 : parcel.cost",
        "parcel != null && parcel.cost > 1.0",
        "null == parcel || parcel.cost > 1.0",
        "!(parcel == null) && parcel.cost > 1.0",
        "has(parcel.tracking) && parcel.tracking.startsWith('1Z')",
        "has(parcel.tracking) && parcel.cost > 1.0",
        "parcel != null && eligible && parcel.cost > 1.0",
        "eligible && parcel != null ? parcel.cost : 0.0",
        "(parcel == null || count == 0) ? 0.0 : parcel.cost",
        "has(extra.deep.value) ? extra.deep.value + 1 : 0",
        "extra.text == 'x' && size(extra.text) == 1",
        "order.lines.filter(l, l.discount != null && l.discount > 0.1).size() > 0",
        "order.lines.map(l, has(l.discount), l.discount * 2.0)",
        "steps.parcel.error != null ? size(steps.parcel.error) : 0",
        "order['note'] != null ? size(order.note) : 0",
        "parcel != null && order.lines.all(l, l.price < parcel.cost)",
        "has(parcel.tracking) ? parcel.tracking : 'none'",
        "has(order.lines[0].discount) || has(order.lines[0]['discount'])",
    ] {
        ty(source);
    }
    assert_eq!(ty("parcel != null && parcel.tracking != null ? parcel.tracking : order.id"), Type::String);
    assert_eq!(ty("steps.parcel.error != null"), Type::Bool);
}

#[test]
fn a_guard_that_does_not_hold_is_none() {
    for source in [
        "parcel != null || parcel.cost > 1.0",
        "parcel == null && parcel.cost > 1.0",
        "(parcel != null || eligible) && parcel.cost > 1.0",
        "parcel.cost > 1.0 && parcel != null",
        "parcel != null ? 1.0 : parcel.cost",
        "!has(parcel.tracking) && parcel.tracking.startsWith('1Z')",
        "order.lines.exists(l, has(l.discount)) && order.lines.all(l, l.discount > 1.0)",
        "order.lines.map(l, l.discount != null).size() > 0 && order.lines.exists(l, l.discount > 1.0)",
        "[parcel].all(p, p != null) && parcel.cost > 1.0",
    ] {
        refused(source);
    }
}

#[test]
fn null_has_its_own_messages() {
    check_refusal("parcel.tracking", "`parcel` may be null", "parcel", Some("guard it: `parcel != null ? parcel.tracking : …`"));
    let guard = "guard it: `order.note != null ? … : …` or `order.note != null && …`";
    check_refusal("size(order.note)", "`order.note` may be null", "order.note", Some(guard));
    check_refusal("order.note + 'x'", "`order.note` may be null", "order.note", Some(guard));
    assert_eq!(refused("extra.deep.value").message, "`extra.deep` may be null");
}

#[test]
fn unknown_names_get_a_proposal() {
    check_refusal("eligble", "unknown variable `eligble`", "eligble", Some("did you mean `eligible`?"));
    check_refusal("order.nte", "unknown field `nte`", "nte", Some("did you mean `note`?"));
    check_refusal("steps . parcel . statis", "unknown field `statis`", "statis", Some("did you mean `status`?"));
    check_refusal("order.id.startWith('a')", "unknown function `startWith`", "startWith", Some("did you mean `startsWith`?"));
    check_refusal("order.lines.exist(l, true)", "unknown function `exist`", "exist", Some("did you mean `exists`?"));
    check_refusal("has(order.nte)", "unknown field `nte`", "nte", Some("did you mean `note`?"));
    check_refusal("order.lines.all(line, lne.price > 1.0)", "unknown variable `lne`", "lne", Some("did you mean `line`?"));
}

#[test]
fn operands_must_fit() {
    check_refusal("amount + 1", "`+` cannot take number and integer", "amount + 1", Some("write `1.0`"));
    check_refusal("count * amount", "`*` cannot take integer and number", "count * amount", Some("write `double(count)`"));
    check_refusal("order.id + count", "`+` cannot take string and integer", "order.id + count", Some("write `string(count)`"));
    check_refusal("count == 'a'", "`==` cannot take integer and string", "count == 'a'", Some("write `string(count)`"));
    check_refusal(
        "'a' in order.id",
        "`in` looks into lists and objects, not into text",
        "'a' in order.id",
        Some("write `order.id.contains('a')`"),
    );
    check_refusal("count && eligible", "a condition must be boolean, found integer", "count", None);
    check_refusal("!count", "a condition must be boolean, found integer", "count", None);
    check_refusal("-order.id", "`-` needs a number, found string", "-order.id", None);
    check_refusal("order.lines['a']", "the index must be integer, found string", "'a'", None);
    check_refusal(
        "order.lines.length",
        "`order.lines` has no field `length`: it is list of object with `discount`, `price`, `sku`",
        "length",
        Some("its size is `size(…)`"),
    );
    check_refusal("amount % 2.0", "`%` cannot take number and number", "amount % 2.0", None);
    check_refusal("order.lines.filter(l, l.sku)", "a condition must be boolean, found string", "l.sku", None);
    check_refusal("count.all(x, true)", "`count` has no elements: it is integer", "count", None);
    check_refusal("{'a': 1, 'a': 2}", "the key `a` occurs twice", "'a'", None);
    check_refusal("{1: 2}", "a key must be string, found integer", "1", None);
}

#[test]
fn calls_must_fit() {
    check_refusal("size()", "wrong number of arguments for `size`", "size()", Some("write `x.size() or size(x)`"));
    check_refusal(
        "contains(order.id, 'a')",
        "`contains` is not called like this",
        "contains(order.id, 'a')",
        Some("write `text.contains(part)`"),
    );
    check_refusal("size(count)", "`size` takes text, a list or an object, found integer", "count", None);
    check_refusal(
        "order.lines.all(l)",
        "wrong number of arguments for `all`",
        "order.lines.all(l)",
        Some("write `list.all(x, condition)`"),
    );
    check_refusal("order.lines.all(1, true)", "the first argument names the element", "1", Some("write `list.filter(x, x > 1)`"));
    check_refusal("has(count)", "`has` takes one field", "has(count)", Some("write `has(object.field)`"));
    check_refusal("has(order.lines[0])", "`has` takes a field, not an element of a list", "order.lines[0]", Some("compare with `size(…)`"));
    check_refusal(
        "order.id.matches(order.id)",
        "the pattern of `matches` must be written out",
        "order.id",
        Some("write `text.matches(\"pattern\")`"),
    );
    check_refusal("order.id.matches('(')", "this is no pattern: unclosed group", "'('", None);
    check_refusal("duration('1 day')", "`1 day` is no duration such as `1h30m`", "'1 day'", None);
    check_refusal("daysBetween('2026-02-30', order.id)", "`2026-02-30` is no date such as `2026-11-02`", "'2026-02-30'", None);
}

#[test]
fn syntax_errors_name_the_token() {
    check_refusal("1 +", "the expression ends too early", "", None);
    check_refusal("order.id = 'a'", "unexpected `=`", "=", Some("`==` compares"));
    check_refusal("1 2", "unexpected `2`", "2", None);
    check_refusal("", "the expression is empty", "", None);
    check_refusal("  // nothing", "the expression is empty", "  // nothing", None);
    check_refusal("'é' + ) 1", "`)` closes nothing", ")", None);
    check_refusal("'é' + * 1", "unexpected `*`", "*", None);
    check_refusal("5u", "unsigned integers are not supported", "5u", Some("write `5`"));
    check_refusal("b'x'", "bytes are not supported", "b'x'", None);
    check_refusal("order{id: 1}", "messages are not supported", "{", Some("write an object: `{\"key\": value}`"));
    check_refusal("99999999999999999999", "invalid int literal: `99999999999999999999`", "99999999999999999999", None);
}

fn mentions(source: &str) -> Vec<String> {
    let program = Program::compile(source, &env(), &Bounds::default());
    let program = program.unwrap_or_else(|error| panic!("{source}: {error}"));
    let dotted = |mention: &Mention| [std::slice::from_ref(&mention.root), &mention.path].concat().join(".");
    program.mentions().iter().map(dotted).collect()
}

#[test]
fn mentions_are_paths_as_far_as_they_are_written_out() {
    assert_eq!(mentions("steps.parcel.status == 'ok' && eligible"), ["eligible", "steps.parcel.status"]);
    assert_eq!(mentions("steps['live-search'].status"), ["steps.live-search.status"]);
    assert_eq!(mentions("has(steps.parcel.error)"), ["steps.parcel.error"]);
    assert_eq!(mentions("order.lines[0].sku"), ["order.lines"]);
    assert_eq!(mentions("order.lines[count].sku"), ["count", "order.lines"]);
    assert_eq!(mentions("order.lines.map(l, l.sku + order.id)"), ["order.id", "order.lines"]);
    assert_eq!(mentions("order.lines.map(order, order.sku)"), ["order.lines"]);
    assert_eq!(mentions("facts.a.b.c"), ["facts.a.b.c"]);
    assert_eq!(mentions("{'a': count, 'b': [amount]}"), ["amount", "count"]);
    assert_eq!(mentions("order"), ["order"]);
    assert_eq!(mentions("1 + 1"), Vec::<String>::new());
}

#[test]
fn bounds_are_exact() {
    let nested = |levels: usize| "(".repeat(levels) + "1" + &")".repeat(levels);
    ty(&nested(32));
    assert_eq!(refused(&nested(33)).message, "nested deeper than 32 levels, or a chain longer than 128");
    let long = |bytes: usize| format!("'{}'", "a".repeat(bytes - 2));
    ty(&long(4096));
    ty(&long(4095));
    assert_eq!(refused(&long(4097)).message, "4097 bytes long, 4096 are allowed");
    ty("order.lines.map(a, order.lines.map(b, order.lines.map(c, 1)))");
    refused("order.lines.map(a, order.lines.map(b, order.lines.map(c, order.lines.map(d, 1))))");
}

#[test]
fn only_closed_objects_know_all_their_fields() {
    let open = Type::Object { fields: [("id".to_owned(), Field::required(Type::String))].into(), open: true };
    let compile = |ty: Type| Program::compile("o[0].di", &Env::new().with("o", Type::list(ty)), &Bounds::default());
    assert_eq!(*compile(open.clone()).unwrap().ty(), Type::Any);
    let error = compile(open.closed()).unwrap_err();
    assert_eq!((error.message.as_str(), error.help.as_deref()), ("unknown field `di`", Some("did you mean `id`?")));
}
