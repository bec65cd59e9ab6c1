use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;

fn found(before: Value, after: Value) -> Vec<(Direction, String)> {
    schemas(&before, &after).into_iter().map(|change| (change.direction, change.what)).collect()
}

#[test]
fn fields_are_added_taken_away_loosened_and_tightened() {
    use Direction::{Changed, Narrower, Wider};
    let closed = |fields: Value| json!({"type": "object", "additionalProperties": false, "properties": fields});
    let open = |fields: Value| json!({"type": "object", "properties": fields});
    for (before, after, expected) in [
        (closed(json!({})), closed(json!({"a": {"type": "string"}})), vec![(Wider, "field `a`")]),
        (open(json!({})), open(json!({"a": {"type": "string"}})), vec![(Narrower, "field `a`")]),
        (closed(json!({"a": true})), open(json!({"a": true})), vec![(Wider, "field `*`")]),
        (closed(json!({"a": {"type": "string"}})), closed(json!({"a": {"type": ["string", "null"]}})), vec![(Wider, "field `a`, type")]),
        (closed(json!({"a": {"type": "integer"}})), closed(json!({"a": {"type": "number"}})), vec![(Wider, "field `a`, type")]),
        (closed(json!({"a": {"type": "integer"}})), closed(json!({"a": {"type": "string"}})), vec![(Changed, "field `a`, type")]),
        (closed(json!({"a": {"maxLength": 5}})), closed(json!({"a": {"maxLength": 6}})), vec![(Wider, "field `a`, maxLength")]),
        (closed(json!({"a": {"minimum": 5}})), closed(json!({"a": {"minimum": 6.5}})), vec![(Narrower, "field `a`, minimum")]),
        (closed(json!({"a": {"pattern": "a"}})), closed(json!({"a": {"pattern": "b"}})), vec![(Changed, "field `a`, pattern")]),
        (closed(json!({"a": {"if": true}})), closed(json!({"a": {"if": false}})), vec![(Changed, "field `a`, if")]),
        (
            closed(json!({"a": {"items": {"enum": [1]}}})),
            closed(json!({"a": {"items": {"enum": [1, 2]}}})),
            vec![(Wider, "field `a[]`, enum")],
        ),
        (
            json!({"oneOf": [{"const": "a", "description": "x"}, {"type": "string", "const": "b"}]}),
            json!({"enum": ["a"]}),
            vec![(Narrower, "enum")],
        ),
        (
            json!({"anyOf": [closed(json!({})), {"type": "null"}]}),
            json!({"anyOf": [closed(json!({"a": true})), {"type": "null"}]}),
            vec![(Wider, "field `a`")],
        ),
        (json!({"type": "string"}), json!(true), vec![(Wider, "schema")]),
        (json!({"patternProperties": {"a": true}}), json!({"patternProperties": {"a": false}}), vec![(Changed, "fields")]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(direction, what)| (direction, what.to_owned())).collect();
        assert_eq!(found(before.clone(), after.clone()), expected, "{before} {after}");
        let back: Vec<_> = expected.into_iter().map(|(direction, what)| (direction.reversed(), what)).collect();
        assert_eq!(found(after, before), back);
    }
}

#[test]
fn what_people_read_and_where_definitions_stand_decides_nothing() {
    let before = json!({"title": "T", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string", "description": "x"}}});
    let after = json!({"properties": {"a": {"type": "string"}}, "$schema": "x"});
    assert_eq!(found(before.clone(), after), []);
    // The same reference to something else is found.
    let mut other = before.clone();
    other["$defs"]["A"]["type"] = json!("integer");
    assert_eq!(found(before, other), [(Direction::Changed, "field `a`, type".to_owned())]);
}

#[test]
fn a_schema_without_end_is_compared_as_a_whole() {
    let endless = json!({"properties": {"a": {"$ref": "#"}}});
    assert_eq!(found(endless.clone(), endless.clone()), []);
    assert_eq!(found(endless, json!({})), [(Direction::Changed, "schema".to_owned())]);
    // Each level refers twice to the next one: 2^30 places.
    let defs: Map<String, Value> = (0..30)
        .map(|n| (format!("d{n}"), json!({"allOf": [{"$ref": format!("#/$defs/d{}", n + 1)}, {"$ref": format!("#/$defs/d{}", n + 1)}]})))
        .chain([("d30".to_owned(), json!({}))])
        .collect();
    let wide = json!({"$ref": "#/$defs/d0", "$defs": defs});
    assert_eq!(found(wide.clone(), wide.clone()), []);
    assert_eq!(found(wide, json!({})), [(Direction::Changed, "schema".to_owned())]);
}

/// A schema by chance, of few words, so that two of them often have to do with each other.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = select(vec![
        json!(true),
        json!(false),
        json!({}),
        json!({"type": "string"}),
        json!({"type": "integer"}),
        json!({"type": ["number", "null"]}),
        json!({"type": ["string", "null"], "maxLength": 1}),
        json!({"type": "string", "maxLength": 2}),
        json!({"type": "string", "minLength": 2}),
        json!({"type": "string", "pattern": "^a"}),
        json!({"type": "number", "minimum": 0, "maximum": 1}),
        json!({"type": "number", "exclusiveMinimum": 0}),
        json!({"multipleOf": 2}),
        json!({"enum": ["a", 1, null]}),
        json!({"enum": ["a"]}),
        json!({"const": 1}),
        json!({"oneOf": [{"const": "a"}, {"const": "bb"}]}),
        json!({"oneOf": [{"const": 1}, {"type": "number"}]}),
        json!({"not": {"type": "null"}}),
    ]);
    leaf.prop_recursive(3, 24, 3, |inner| {
        let optional = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
        let fields = (optional(inner.clone().boxed()), optional(inner.clone().boxed()), optional(inner.clone().boxed()));
        let required = prop::collection::btree_set(select(vec!["a", "b"]), 0..3);
        let object = (fields, required, any::<bool>()).prop_map(|((a, b, others), required, is_object)| {
            let mut schema = Map::new();
            let named: Map<String, Value> = [("a", a), ("b", b)].into_iter().filter_map(|(name, s)| Some((name.to_owned(), s?))).collect();
            schema.insert("properties".to_owned(), Value::Object(named));
            schema.extend(others.map(|others| ("additionalProperties".to_owned(), others)));
            schema.insert("required".to_owned(), json!(required));
            if is_object {
                schema.insert("type".to_owned(), json!("object"));
            }
            Value::Object(schema)
        });
        let list = (inner.clone(), any::<bool>()).prop_map(|(items, unique)| json!({"items": items, "uniqueItems": unique, "maxItems": 2}));
        let several =
            (select(vec!["anyOf", "allOf", "oneOf"]), prop::collection::vec(inner, 1..3)).prop_map(|(word, of)| json!({word: of}));
        prop_oneof![object, list, several]
    })
}

/// Values of which every rule above accepts some and refuses some.
fn value() -> impl Strategy<Value = Value> {
    let leaf = select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(0.5),
        json!(""),
        json!("a"),
        json!("bb"),
        json!("abc"),
    ]);
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(select(vec!["a", "b", "c"]).prop_map(str::to_owned), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A schema and one that came of it by changing one place: another schema stands there, or is one more of several.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    let edited = (schema(), schema(), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(before, piece, index, adds)| {
        let mut after = before.clone();
        let mut pointers = Vec::new();
        places(&before, String::new(), &mut pointers);
        let Some(place) = after.pointer_mut(&pointers[index.index(pointers.len())]) else { panic!("a place of the schema") };
        let several = if adds { ["anyOf", "allOf"].into_iter().find(|word| place.get(word).is_some()) } else { None };
        match several.and_then(|word| place.get_mut(word)).and_then(Value::as_array_mut) {
            Some(list) => list.push(piece),
            None => *place = piece,
        }
        (before, after)
    });
    prop_oneof![3 => edited, 1 => (schema(), schema())]
}

/// Where schemas stand in a schema.
fn places(schema: &Value, at: String, into: &mut Vec<String>) {
    for (word, value) in schema.as_object().into_iter().flatten() {
        match (word.as_str(), value) {
            ("properties", Value::Object(named)) => named.iter().for_each(|(name, s)| places(s, format!("{at}/properties/{name}"), into)),
            ("anyOf" | "allOf", Value::Array(items)) => {
                items.iter().enumerate().for_each(|(n, s)| places(s, format!("{at}/{word}/{n}"), into));
            }
            ("items" | "additionalProperties", value) => places(value, format!("{at}/{word}"), into),
            _ => {}
        }
    }
    into.push(at);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_direction_is_certain((before, after) in pair(), values in prop::collection::vec(value(), 32)) {
        let changes = schemas(&before, &after);
        let (old, new) = (jsonschema::validator_for(&before).unwrap(), jsonschema::validator_for(&after).unwrap());
        let has = |directions: &[Direction]| changes.iter().any(|change| directions.contains(&change.direction));
        for value in &values {
            let (was, is) = (old.is_valid(value), new.is_valid(value));
            if !has(&[Direction::Narrower, Direction::Changed]) {
                prop_assert!(!was || is, "no longer accepted: {value}\n{before}\n{after}\n{changes:#?}");
            }
            if !has(&[Direction::Wider, Direction::Changed]) {
                prop_assert!(!is || was, "accepted of late: {value}\n{before}\n{after}\n{changes:#?}");
            }
        }
        // The other way round it says the opposite.
        let mut back: Vec<_> = schemas(&after, &before).into_iter().map(|c| (c.direction.reversed(), c.what)).collect();
        let mut forth: Vec<_> = changes.into_iter().map(|c| (c.direction, c.what)).collect();
        back.sort();
        forth.sort();
        prop_assert_eq!(back, forth);
        prop_assert_eq!(schemas(&before, &before), vec![]);
    }
}
