//! Schemas as schemars writes them, and as people and attackers do.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde_json::json;

use super::*;

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is wanted")]
struct Order {
    id: String,
    quantity: u32,
    price: f64,
    note: Option<String>,
    address: Option<Address>,
    tags: Vec<String>,
    prices: BTreeMap<String, f64>,
    status: Status,
    payment: Payment,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is wanted")]
#[schemars(deny_unknown_fields)]
struct Address {
    street: String,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is wanted")]
enum Status {
    Open,
    /// A documented variant, which schemars writes as `oneOf` with `const`.
    Closed,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is wanted")]
#[schemars(tag = "kind")]
enum Payment {
    Card { last4: String },
    Voucher { code: String, amount: i64 },
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is wanted")]
struct Tree {
    name: String,
    children: Vec<Tree>,
}

fn fields(ty: &Type) -> &BTreeMap<String, Field> {
    match ty {
        Type::Object { fields, .. } => fields,
        other => panic!("an object, not {other}"),
    }
}

#[test]
fn schemars_output_is_read() {
    let ty = Type::from_schema(schema_for!(Order).as_value()).unwrap();
    let order = fields(&ty);
    assert_eq!(order["id"], Field::required(Type::String));
    assert_eq!(order["quantity"], Field::required(Type::Int));
    assert_eq!(order["price"], Field::required(Type::Double));
    assert_eq!(order["note"], Field::optional(Type::String.nullable()));
    let address = Type::object([("street", Type::String)]);
    assert_eq!(order["address"], Field::optional(address.nullable()));
    assert_eq!(order["tags"], Field::required(Type::list(Type::String)));
    assert_eq!(order["prices"], Field::required(Type::map(Type::Double)));
    assert_eq!(order["status"], Field::required(Type::String));
    let payment = fields(&order["payment"].ty);
    assert_eq!(payment["kind"], Field::required(Type::String));
    assert_eq!(payment["last4"], Field::optional(Type::String));
    assert_eq!(payment["amount"], Field::optional(Type::Int));
}

#[test]
fn a_schema_inside_itself_is_any_there() {
    let ty = Type::from_schema(schema_for!(Tree).as_value()).unwrap();
    let Type::List(child) = &fields(&ty)["children"].ty else { panic!("a list") };
    assert!(matches!(**child, Type::Any | Type::Object { .. }), "{child}");
    let looped = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
    assert_eq!(Type::from_schema(&looped), Ok(Type::Any));
    assert_eq!(Type::from_schema(&json!({"$ref": "#"})), Ok(Type::Any));
}

#[test]
fn keywords_narrow_each_other() {
    let read = |schema| Type::from_schema(&schema).unwrap();
    assert_eq!(read(json!({})), Type::Any);
    assert_eq!(read(json!(true)), Type::Any);
    assert_eq!(read(json!({"type": ["string", "null"]})), Type::String.nullable());
    assert_eq!(read(json!({"type": ["integer", "string"]})), Type::Any);
    assert_eq!(read(json!({"enum": ["a", "b", null]})), Type::String.nullable());
    assert_eq!(read(json!({"type": "number", "const": 3})), Type::Int);
    assert_eq!(read(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})), Type::Int.nullable());
    assert_eq!(read(json!({"type": "object", "additionalProperties": {"type": "integer"}})), Type::map(Type::Int));
    let both = json!({"allOf": [
        {"properties": {"a": {"type": "string"}}},
        {"properties": {"b": {"type": "integer"}}, "required": ["a", "b"]},
    ]});
    let Type::Object { fields, open } = read(both) else { panic!("an object") };
    assert!(open);
    assert_eq!(fields["a"], Field::required(Type::String));
    assert_eq!(fields["b"], Field::required(Type::Int));
}

#[test]
fn references_stay_in_the_document() {
    for reference in ["https://example.com/schema", "other.json", "//x", "file:///etc/passwd", "#anchor"] {
        let schema = json!({"$ref": reference});
        assert_eq!(Type::from_schema(&schema), Err(SchemaProblem::RemoteReference(reference.into())));
    }
    let missing = Type::from_schema(&json!({"$ref": "#/$defs/none"}));
    assert_eq!(missing, Err(SchemaProblem::MissingReference("#/$defs/none".into())));
}

#[test]
fn malformed_schemas_are_refused() {
    for schema in [json!({"type": 3}), json!({"type": "text"}), json!({"anyOf": {}}), json!({"properties": []}), json!([1])] {
        assert!(Type::from_schema(&schema).is_err(), "{schema}");
    }
}

#[test]
fn hostile_schemas_end() {
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    assert_eq!(Type::from_schema(&deep), Err(SchemaProblem::TooLarge));

    // Each definition refers twice to the next: 2^40 schemas when unfolded.
    let mut definitions = serde_json::Map::new();
    for i in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
        definitions.insert(format!("d{i}"), json!({"properties": {"a": next, "b": next}}));
    }
    definitions.insert("d40".into(), json!({"type": "string"}));
    let bomb = json!({"$ref": "#/$defs/d0", "$defs": definitions});
    assert_eq!(Type::from_schema(&bomb), Err(SchemaProblem::TooLarge));
}
