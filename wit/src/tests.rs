use super::*;

#[test]
fn the_builtin_packages_make_a_catalog() {
    let catalog = builtin_catalog().unwrap();
    let names: Vec<_> = catalog.iter().map(|operation| operation.short.to_string()).collect();
    assert_eq!(
        names,
        [
            "billing/accounts.set-return-status",
            "crm/customers.get",
            "crm/notes.append",
            "crm/notes.void",
            "delegate/tasks.await",
            "delegate/tasks.cancel",
            "delegate/tasks.start",
            "notify/messages.send",
            "orders/orders.get",
            "rules/tables.evaluate",
            "shipping/parcels.create-label",
            "shipping/parcels.void-label",
            "ticketing/tickets.cancel",
            "ticketing/tickets.create",
            "web/http.fetch",
            "web/http.send",
        ]
    );
}

#[test]
fn every_item_of_every_package_is_documented() {
    let resolve = resolve(&builtin()).unwrap();
    let mut missing = Vec::new();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.clone().unwrap_or_default();
        for (function, item) in &interface.functions {
            if item.docs.contents.is_none() {
                missing.push(format!("{name}.{function}"));
            }
        }
        for (type_name, id) in &interface.types {
            let def = &resolve.types[*id];
            if matches!(def.kind, wit_parser::TypeDefKind::Type(_)) {
                continue;
            }
            if def.docs.contents.is_none() {
                missing.push(format!("{name}.{type_name}"));
            }
            if let wit_parser::TypeDefKind::Record(record) = &def.kind {
                missing
                    .extend(record.fields.iter().filter(|f| f.docs.contents.is_none()).map(|f| format!("{name}.{type_name}.{}", f.name)));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn wit_and_capability_file_must_agree() {
    let base = |wit: &str, capability: &str| {
        catalog(&[PackageText {
            folder: "x".into(),
            wit: format!("package a:x@0.1.0;\ninterface i {{ {wit} }}"),
            capability: Some(format!("package = \"a:x@0.1.0\"\nsummary = \"\"\n{capability}")),
        }])
    };
    assert!(base("get: func(id: string);", "[i.get]\neffect = \"read\"\nsubject = [\"id\"]").is_ok());
    for (wit, capability, expected) in [
        ("get: func(id: string);", "", "operation `i.get` has no entry"),
        ("", "[i.get]\neffect = \"read\"", "no such function"),
        ("get: func(id: string);", "[i.get]\neffect = \"read\"\nsubject = [\"di\"]", "known: `id`"),
        ("get: func(id: string);", "[i.get]\neffect = \"read\"\nowner = \"result.x\"", "leads to no field"),
        ("get: func(id: strin);", "[i.get]\neffect = \"read\"", "strin"),
    ] {
        let message = base(wit, capability).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
