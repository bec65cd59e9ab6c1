use bailiwick_core::capability::{CapabilityFile, Catalog, Operation};
use bailiwick_core::signature::Signature;
use cedar_policy::{Context, EntityUid, Request, Schema};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::schema::schema_text;

fn operation(ty: &WitType) -> Operation {
    let text = "package = \"t:t@0.1.0\"\nsummary = \"\"\n[i.get]\neffect = \"read\"";
    let spec = CapabilityFile::parse(text).unwrap().operations["i.get"].clone();
    let signature = Signature { params: vec![("x".into(), ty.clone())], result: None };
    Operation::new("t:t/i@0.1.0.get".parse().unwrap(), spec, signature)
}

fn everything() -> Reads {
    Reads { everything: true, ..Reads::default() }
}

/// Makes the two records and has Cedar check them against the schema.
fn check(ty: &WitType, value: &Value) -> Result<(), String> {
    let operation = operation(ty);
    let args = json!({ "x": value });
    let mut maker = Maker::new();
    let made = maker.args(&everything(), &operation.signature.params, &args).map_err(|problem| problem.to_string())?;
    let lengths = maker.lengths(&everything(), &operation.signature.params, &args).map_err(|problem| problem.to_string())?;
    let mut catalog = Catalog::default();
    catalog.insert(operation);
    let text = schema_text(&catalog);
    let (schema, _) = Schema::from_cedarschema_str(&text).map_err(|error| format!("{error}\n{text}"))?;
    let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let uid = |text: &str| text.parse::<EntityUid>().unwrap();
    let pairs = [
        ("args", made),
        ("lengths", lengths),
        ("workflow", string("")),
        ("run", string("")),
        ("step", string("")),
        ("attempt", RestrictedExpression::new_long(1)),
        ("requester", RestrictedExpression::new_entity_uid(uid("Bailiwick::Requester::\"r\""))),
        ("tenant", string("")),
        ("effect", string("read")),
        ("personal", RestrictedExpression::new_bool(false)),
        ("bound", RestrictedExpression::new_bool(false)),
        ("labels", RestrictedExpression::new_set([])),
        ("calls", RestrictedExpression::new_long(0)),
        ("bytes-out", RestrictedExpression::new_long(0)),
    ];
    let context = Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).unwrap();
    let (agent, subject) = (uid("Bailiwick::Agent::\"a\""), uid("Bailiwick::Subject::\"s\""));
    let action = uid("Bailiwick::Action::\"t:t/i.get@0.1.0\"");
    Request::new(agent, action, subject, context, Some(&schema)).map(|_| ()).map_err(|error| format!("{error}\n{text}"))
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("case"), Just("ok"), Just("a"), Just("birth-date"), Just("if"), Just("in")].prop_map(str::to_owned)
}

fn unique<T>(named: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut seen = std::collections::BTreeSet::new();
    named.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect()
}

fn ty() -> impl Strategy<Value = WitType> {
    let leaf = prop_oneof![
        Just(WitType::Bool),
        Just(WitType::Signed { bits: 64 }),
        Just(WitType::Unsigned { bits: 8 }),
        Just(WitType::Float { bits: 64 }),
        Just(WitType::Char),
        Just(WitType::Text),
        Just(WitType::Bytes),
        Just(WitType::Enum(vec!["a".into(), "b".into()])),
        Just(WitType::Flags(vec!["a".into(), "b".into()])),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| WitType::List(Box::new(ty))),
            inner.clone().prop_map(|ty| WitType::Option(Box::new(ty))),
            prop::collection::vec((name(), inner.clone()), 1..4).prop_map(|fields| WitType::Record(unique(fields))),
            prop::collection::vec((name(), prop::option::of(inner.clone())), 1..4).prop_map(|cases| WitType::Variant(unique(cases))),
            (prop::option::of(inner.clone()), prop::option::of(inner.clone()))
                .prop_map(|(ok, err)| WitType::Result { ok: ok.map(Box::new), err: err.map(Box::new) }),
            prop::collection::vec(inner, 1..4).prop_map(WitType::Tuple),
        ]
    })
}

/// Gives a value of a type; the numbers choose.
fn value(ty: &WitType, choices: &mut impl Iterator<Item = usize>) -> Value {
    let choice = choices.next().unwrap_or(0);
    let text = ["", "C-1", "\"\\\n\0\u{1f600}", "ü"];
    let case = |name: &str, payload: Option<Value>| payload.map_or_else(|| json!(name), |payload| json!({ name: payload }));
    match ty {
        WitType::Bool => json!(choice.is_multiple_of(2)),
        WitType::Signed { .. } => json!([i64::MIN, -1, 0, i64::MAX][choice % 4]),
        WitType::Unsigned { .. } => json!(choice % 256),
        WitType::Float { .. } => json!(0.5),
        WitType::Char => json!("x"),
        WitType::Text => json!(text[choice % 4]),
        WitType::Bytes => json!("AAEC"),
        WitType::Enum(cases) => json!(cases[choice % cases.len()]),
        WitType::Flags(flags) => json!(flags[..choice % (flags.len() + 1)]),
        WitType::List(inner) => (0..choice % 3).map(|_| value(inner, choices)).collect(),
        WitType::Option(inner) => {
            if choice.is_multiple_of(2) {
                Value::Null
            } else {
                value(inner, choices)
            }
        }
        WitType::Record(fields) => Value::Object(fields.iter().map(|(name, ty)| (name.clone(), value(ty, choices))).collect::<Map<_, _>>()),
        WitType::Tuple(items) => items.iter().map(|ty| value(ty, choices)).collect(),
        WitType::Variant(cases) => {
            let (name, payload) = &cases[choice % cases.len()];
            case(name, payload.as_ref().map(|ty| value(ty, choices)))
        }
        WitType::Result { ok, err } => {
            let (name, payload) = if choice.is_multiple_of(2) { ("ok", ok) } else { ("err", err) };
            // A result always says its case as an object.
            json!({ name: payload.as_ref().map_or(Value::Null, |ty| value(ty, choices)) })
        }
        WitType::Handle => Value::Null,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a guest may pass has the type that the schema says: else a policy that passed every check could fail on it.
    #[test]
    fn arguments_fit_the_schema(ty in ty(), choices in prop::collection::vec(0_usize..1000, 40)) {
        let value = value(&ty, &mut choices.into_iter());
        prop_assert_eq!(check(&ty, &value), Ok(()), "{} = {}", ty, value);
    }
}

#[test]
fn whole_numbers_fit_up_to_the_most_that_cedar_has() {
    let ty = WitType::Unsigned { bits: 64 };
    assert_eq!(check(&ty, &json!(i64::MAX as u64 - 1)), Ok(()));
    assert_eq!(check(&ty, &json!(i64::MAX as u64)), Ok(()));
    let problem = check(&ty, &json!(i64::MAX as u64 + 1)).unwrap_err();
    assert_eq!(problem, "argument `x` is 9223372036854775808: policies compare whole numbers up to 9223372036854775807");
}

#[test]
fn what_does_not_fit_its_type_is_an_error() {
    let record = WitType::Record(vec![("n".into(), WitType::Signed { bits: 8 })]);
    for (ty, value, path) in [
        (WitType::Bool, json!("true"), "`x`"),
        (WitType::Text, json!(null), "`x`"),
        (record, json!({"n": 1.5}), "`x.n`"),
        (WitType::Tuple(vec![WitType::Bool]), json!([true, true]), "`x`"),
        (WitType::Variant(vec![("a".into(), None)]), json!("b"), "`x`"),
        (WitType::List(Box::new(WitType::Bool)), json!({}), "`x`"),
    ] {
        let problem = check(&ty, &value).unwrap_err();
        assert!(problem.starts_with(&format!("argument {path} does not have the type")), "{problem}");
    }
}

#[test]
fn a_guest_cannot_make_the_host_weigh_any_number_of_values() {
    let ty = WitType::List(Box::new(WitType::Bool));
    let args = |count: usize| json!({ "x": vec![true; count] });
    let made = |count: usize| Maker::new().args(&everything(), &[("x".into(), ty.clone())], &args(count)).map(|_| ());
    // The list itself counts as one.
    assert_eq!(made(VALUES_MOST - 2), Ok(()));
    assert_eq!(made(VALUES_MOST - 1), Ok(()));
    assert_eq!(made(VALUES_MOST), Err(ValueProblem::TooMany));
}

#[test]
fn lengths_are_characters_bytes_and_elements() {
    let params = [
        ("t".to_owned(), WitType::Text),
        ("b".to_owned(), WitType::Bytes),
        ("l".to_owned(), WitType::List(Box::new(WitType::Text))),
        ("n".to_owned(), WitType::Bool),
    ];
    let args = json!({"t": "üä", "b": "AAEC", "l": ["x"], "n": true});
    let lengths = Maker::new().lengths(&everything(), &params, &args).unwrap();
    let context = Context::from_pairs([("lengths".to_owned(), lengths)]).unwrap();
    assert_eq!(context.to_json_value().unwrap(), json!({"lengths": {"t": 2, "b": 3, "l": 1}}));
    assert_eq!([decoded_length(""), decoded_length("AA=="), decoded_length("AAE="), decoded_length("AAECAw==")], [0, 1, 2, 4]);
}

#[test]
fn only_what_is_read_is_made_but_what_may_not_fit_always() {
    let params = [("a".to_owned(), WitType::Text), ("b".to_owned(), WitType::Text), ("n".to_owned(), WitType::Unsigned { bits: 64 })];
    let reads = Reads { arguments: ["a".to_owned()].into(), ..Reads::default() };
    let made = |n: u64| Maker::new().args(&reads, &params, &json!({"a": "x", "b": "y", "n": n}));
    let context = Context::from_pairs([("args".to_owned(), made(1).unwrap())]).unwrap();
    assert_eq!(context.to_json_value().unwrap(), json!({"args": {"a": "x", "n": 1}}));
    assert!(matches!(made(u64::MAX), Err(ValueProblem::TooLarge { .. })));
}
