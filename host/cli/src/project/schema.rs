//! The JSON schema of `bailiwick.toml`, for editors.

use serde_json::Value;

use super::parsed::ProjectFile;

/// Gives the JSON schema of `bailiwick.toml`.
pub fn project_schema() -> Value {
    schemars::schema_for!(ProjectFile).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        compare("project.schema.json", &project_schema());
    }
}
