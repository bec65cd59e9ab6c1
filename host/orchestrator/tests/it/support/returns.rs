//! The agents of the returns sample, as far as their schemas go.

use serde_json::{Value, json};

use super::{Act, FakeRunner};

fn object(fields: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": fields, "required": required, "additionalProperties": false})
}

fn nullable_text() -> Value {
    json!({"type": ["string", "null"]})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn decision() -> Value {
    json!({"oneOf": [{"type": "string", "const": "accepted"}, {"type": "string", "const": "refused"}]})
}

fn money() -> Value {
    json!({"anyOf": [object(json!({"minor-units": {"type": "integer"}, "currency": text()}), &["minor-units", "currency"]), {"type": "null"}]})
}

/// What each agent does.
pub struct Acts {
    pub identity: Vec<Act>,
    pub policy: Vec<Act>,
    pub label: Vec<Act>,
    pub recorder: Vec<Act>,
    pub mail: Vec<Act>,
}

impl Default for Acts {
    fn default() -> Self {
        let policy = json!({
            "eligible": true, "reason": "within-window", "rules": ["R-60"], "ruleset-version": "7",
            "refund": {"minor-units": 12990, "currency": "EUR"}, "order-version": "3",
        });
        Self {
            identity: vec![super::answer(json!({"verified": true, "strength": "strong"}))],
            policy: vec![super::answer(policy)],
            label: vec![super::answer(json!({"tracking": "PX1", "document": "doc-1", "carrier": "Post Express"}))],
            recorder: vec![super::answer(json!({"ticket": "T-1", "note": "N-1", "return-status": "expected"}))],
            mail: vec![super::answer(json!({"message": "M-1", "subject": "Your return"}))],
        }
    }
}

pub fn not_found() -> Act {
    let output = json!({
        "eligible": false, "reason": "order-not-found", "rules": [], "ruleset-version": "", "refund": null, "order-version": null,
    });
    super::answer(output)
}

pub fn runner(acts: Acts) -> FakeRunner {
    let evidence = object(json!({"name": text(), "postal-code": text(), "birth-date": nullable_text()}), &["name", "postal-code"]);
    let policy = json!({
        "eligible": {"type": "boolean"}, "reason": text(), "rules": {"type": "array", "items": text()}, "ruleset-version": text(),
        "refund": money(), "order-version": nullable_text(),
    });
    let case = json!({
        "customer": text(), "order": text(), "order-version": nullable_text(), "decision": decision(), "reason": text(),
        "tracking": nullable_text(),
    });
    let mail = json!({
        "customer": text(), "order": text(), "decision": decision(), "reason": text(), "tracking": nullable_text(), "refund": money(),
    });
    FakeRunner::default()
        .with(
            "identity-verifier",
            object(json!({"customer": text(), "evidence": evidence}), &["customer", "evidence"]),
            object(json!({"verified": {"type": "boolean"}, "strength": {"enum": ["none", "weak", "strong"]}}), &["verified", "strength"]),
            &["crm/customers.get"],
            acts.identity,
        )
        .with(
            "returns-policy",
            object(json!({"order": text(), "requested-on": text()}), &["order", "requested-on"]),
            object(policy, &["eligible", "reason", "rules", "ruleset-version"]),
            &["orders/orders.get", "rules/tables.evaluate"],
            acts.policy,
        )
        .with(
            "return-label",
            object(json!({"order": text(), "customer": text(), "weight-grams": {"type": ["integer", "null"]}}), &["order", "customer"]),
            object(json!({"tracking": text(), "document": text(), "carrier": text()}), &["tracking", "document", "carrier"]),
            &["crm/customers.get", "shipping/parcels.create-label"],
            acts.label,
        )
        .with(
            "case-recorder",
            object(case, &["customer", "order", "decision", "reason"]),
            object(json!({"ticket": text(), "note": text(), "return-status": nullable_text()}), &["ticket", "note"]),
            &["billing/accounts.set-return-status", "ticketing/tickets.create", "crm/notes.append"],
            acts.recorder,
        )
        .with(
            "customer-mail",
            object(mail, &["customer", "order", "decision", "reason"]),
            object(json!({"message": text(), "subject": text()}), &["message", "subject"]),
            &["crm/customers.get", "notify/messages.send"],
            acts.mail,
        )
}
