//! The schema for editors: generated, compared, and in step with the loader.

use std::path::Path;

use crate::support::{returns, sample, try_load};
use bailiwick_orchestrator::workflow_schema;
use serde_json::{Value, json};

#[test]
fn the_file_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/workflow.schema.json");
    let generated = serde_json::to_string_pretty(&workflow_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &generated).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == generated, "schemas/workflow.schema.json is out of date: run the tests with UPDATE_SCHEMAS=1");
}

fn sample_json() -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(sample().join("workflow.yaml")).unwrap()).unwrap()
}

#[test]
fn the_sample_fits() {
    let validator = jsonschema::validator_for(&workflow_schema()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&sample_json()).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// Each key that the schema knows is one that the loader knows, and a key that it does not know is one that the loader refuses.
#[test]
fn schema_and_loader_know_the_same_keys() {
    let schema = workflow_schema();
    let runner = returns::runner(returns::Acts::default());
    let places = [
        ("", "/properties"),
        ("/input", "/$defs/Input/properties"),
        ("/steps/parcel", "/$defs/Step/properties"),
        ("/steps/parcel/may/0", "/$defs/Grant/properties"),
        ("/steps/parcel/on-error/0/retry", "/$defs/Retry/properties"),
        ("/steps/parcel/on-error/1/escalate", "/$defs/Escalate/properties"),
    ];
    for (place, properties) in places {
        // The part alone: within alternatives an error does not say which key it is about.
        let mut part = schema.clone();
        if let Some(definition) = properties.strip_suffix("/properties").filter(|definition| !definition.is_empty()) {
            part = json!({"$ref": format!("#{definition}"), "$defs": schema["$defs"]});
        }
        let validator = jsonschema::validator_for(&part).unwrap();
        let mut keys: Vec<String> = schema.pointer(properties).unwrap().as_object().unwrap().keys().cloned().collect();
        keys.push("stranger".to_owned());
        for key in keys {
            let mut workflow = sample_json();
            let map = workflow.pointer_mut(place).unwrap().as_object_mut().unwrap();
            map.entry(&key).or_insert(json!("x"));
            let fits = !validator.iter_errors(workflow.pointer(place).unwrap()).any(|error| error.to_string().contains("unexpected"));
            // JSON is YAML, and all texts of it are quoted.
            let text = serde_json::to_string(&workflow).unwrap();
            let found = try_load(&text, &runner).err().map(|refused| refused.0).unwrap_or_default();
            let known = !found.iter().any(|diagnostic| diagnostic.message.contains("has no key"));
            assert_eq!((fits, known), (key != "stranger", key != "stranger"), "{place}/{key}: {found:#?}");
        }
    }
}
