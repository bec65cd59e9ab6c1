//! Bounds, and what is told about mistakes.

use super::*;
use serde_json::json;

fn refusal(schema: &Value) -> String {
    Schema::of_agent(schema).map(|_| ()).unwrap_err()
}

#[test]
fn an_ordinary_schema_checks_ordinary_values() {
    let schema = json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {"id": {"type": "string", "pattern": "^[A-Z]-\\d+$"}, "at": {"$ref": "#/$defs/place"}, "also": {"$ref": "#/$defs/place"}},
        "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string", "pattern": "^\\w[\\w -]*$"}}}},
    });
    let schema = Schema::of_agent(&schema).unwrap();
    schema.check(&json!({"id": "C-1042", "at": {"city": "Bad Ems"}})).unwrap();
    assert!(schema.check(&json!({"id": "C-1042", "at": {"city": "!"}})).unwrap_err().starts_with("field `at.city`"));
    assert!(schema.check(&json!({})).is_err());
}

#[test]
fn references_stay_inside_and_end() {
    for (schema, expected) in [
        (json!({"$ref": "#"}), "leads elsewhere"),
        (json!({"$ref": "http://localhost/x"}), "leads elsewhere"),
        (json!({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/a"}}}}}), "back to itself"),
        (json!({"$ref": "#/$defs/a"}), "leads to nothing"),
        (json!({"$dynamicRef": "#a"}), "`$dynamicRef`"),
        (json!({"properties": {"a": {"$id": "http://localhost/x"}}}), "`$id`"),
    ] {
        let message = refusal(&schema);
        assert!(message.contains(expected), "{schema}: {message}");
    }
}

#[test]
fn doubling_and_chains_are_weighed() {
    let level = |to: usize, times: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{to}")}); times]});
    let chain = |levels: usize, times: usize| {
        let mut definitions: serde_json::Map<String, Value> = (0..levels).map(|n| (format!("d{n}"), level(n + 1, times))).collect();
        definitions.insert(format!("d{levels}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    };
    assert!(refusal(&chain(30, 2)).contains("places"));
    assert!(refusal(&chain(80, 1)).contains("deeper"));
    Schema::of_agent(&chain(6, 2)).unwrap();
}

#[test]
fn a_costly_pattern_is_for_short_values() {
    let schema = Schema::of_agent(&json!({"type": "string", "pattern": "(x|y)*x(x|y){2000}q"})).unwrap();
    assert!(schema.check(&json!("x")).unwrap_err().contains("does not match"));
    assert!(schema.check(&json!("x".repeat(2_000_000))).unwrap_err().contains("too many to be checked"));
}

#[test]
fn many_costly_patterns_are_refused_before_all_are_compiled() {
    let of = |count: usize| -> Value {
        let properties = (0..count).map(|n| (format!("p{n}"), json!({"type": "string", "pattern": format!("(x|y){{2000}}{n}")})));
        json!({"properties": properties.collect::<serde_json::Map<_, _>>()})
    };
    Schema::of_agent(&of(4)).unwrap();
    assert!(refusal(&of(1_000)).contains("patterns take more than"));
    let keys: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("(x|y){{2000}}{n}"), json!({}))).collect();
    assert!(refusal(&json!({"patternProperties": keys})).contains("patterns take more than"));
}

#[test]
fn what_is_costly_is_told_before_it_is_done() {
    let schema = Schema::of_agent(&json!({"type": "string", "pattern": "(x|y)*x(x|y){2000}q"})).unwrap();
    assert!(!schema.is_costly(&json!("x")));
    assert!(schema.is_costly(&json!("x".repeat(100_000))));
    assert!(Schema::of_operator(&json!({"type": "string"})).unwrap().is_costly(&json!("x")));
}

#[test]
fn mistakes_name_their_field() {
    let schema = json!({
        "type": "object", "required": ["order"], "additionalProperties": false,
        "properties": { "order": {"type": "string", "pattern": "^O-[0-9]+$"}, "on": {"type": "string", "format": "date"} },
    });
    for schema in [Schema::of_agent(&schema).unwrap(), Schema::of_operator(&schema).unwrap()] {
        assert_eq!(schema.check(&json!({"order": "O-1", "on": "2026-11-20"})), Ok(()));
        assert_eq!(schema.check(&json!({})).unwrap_err(), "\"order\" is a required property");
        assert!(schema.check(&json!({"order": 5})).unwrap_err().starts_with("field `order`: 5 is not of type"));
        assert!(schema.check(&json!({"order": "O-1", "on": "20.11.2026"})).unwrap_err().starts_with("field `on`: "));
        assert!(schema.check(&json!({"order": "O-1", "x": 1})).unwrap_err().contains("'x' was unexpected"));
    }
}

#[test]
fn nothing_is_fetched() {
    for schema in [json!({"$ref": "http://127.0.0.1:9/schema.json"}), json!({"$ref": "file:///etc/passwd"}), json!({"type": "nonsense"})] {
        assert!(Schema::of_agent(&schema).is_err());
        assert!(Schema::of_operator(&schema).is_err());
    }
}

#[test]
fn what_is_told_is_harmless() {
    let schema = Schema::of_agent(&json!({"type": "integer"})).unwrap();
    let told = schema.check(&json!("\u{1b}[2J\u{202e}")).unwrap_err();
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{told}");
}
