//! The JSON schemas of the files that a project is made of, for editors: `schemas/` holds what the code says.

use serde_json::Value;

use super::parsed::ProjectFile;

/// Compares a generated file with the one in `schemas/`; `UPDATE_SCHEMAS=1` rewrites it.
fn compare(name: &str, schema: &Value) {
    let path = format!("{}/../../schemas/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "`schemas/{name}` is not what the code says: run the tests with UPDATE_SCHEMAS=1");
}

#[test]
fn the_project_schema_is_up_to_date() {
    compare("project.schema.json", &schemars::schema_for!(ProjectFile).to_value());
}

#[test]
fn the_schemas_of_connector_files_are_up_to_date() {
    for (name, schema) in bailiwick_connectors::schemas() {
        compare(name, &schema);
    }
}
