use bailiwick_core::error::GuestError;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::support::*;

fn fact(name: &str, case: &str, value: Value) -> Value {
    json!({"name": name, "value": {case: value}})
}

fn order(delivered: Option<&str>, status: &str, categories: &[&str], paid: i64) -> Vec<Value> {
    let mut facts = vec![
        fact("requested-on", "date", json!("2026-11-20")),
        fact("status", "text", json!(status)),
        fact("categories", "texts", json!(categories)),
        fact("paid-minor-units", "number", json!(paid)),
    ];
    facts.extend(delivered.map(|day| fact("delivered-on", "date", json!(day))));
    facts
}

fn evaluate(facts: Vec<Value>) -> ConnectorCall {
    call("rules/tables.evaluate", json!({"ruleset": "returns", "facts": facts}), 0)
}

fn load(ruleset: &str) -> Result<std::sync::Arc<dyn Connector>, String> {
    let state = tempfile::tempdir().unwrap();
    load_text("kind = \"rules\"\n", state.path(), &[("rules/t.yaml", ruleset)])
}

const HEAD: &str =
    "ruleset: t\nversion: '1'\nfacts:\n  day: { type: date }\n  n: { type: number, optional: true }\ndefault: { outcome: none }\n";

#[tokio::test]
async fn the_rules_of_the_returns_sample_decide_as_its_inputs_say() {
    let state = tempfile::tempdir().unwrap();
    let rules = sample_connector("rules", state.path());
    type Case = (Option<&'static str>, &'static str, &'static [&'static str], i64, &'static str, &'static str);
    let cases: [Case; 14] = [
        (Some("2026-10-23"), "delivered", &["shoes"], 100, "eligible", "within-window"),
        (Some("2026-10-21"), "delivered", &["shoes"], 100, "eligible", "within-window"),
        (Some("2026-10-20"), "delivered", &["shoes"], 100, "refused", "window-exceeded"),
        (Some("2026-11-20"), "delivered", &["shoes"], 100, "eligible", "within-window"),
        (Some("2026-11-21"), "delivered", &["shoes"], 100, "refused", "date-before-delivery"),
        (Some("2026-11-05"), "delivered", &["shoes", "hygiene"], 100, "refused", "category-excluded"),
        (Some("2026-11-05"), "delivered", &["gift-cards"], 100, "refused", "category-excluded"),
        (Some("2026-11-05"), "refunded", &["shoes"], 100, "refused", "already-refunded"),
        (Some("2026-11-05"), "return-open", &["shoes"], 100, "refused", "return-open"),
        (None, "open", &["shoes"], 100, "refused", "not-delivered"),
        (None, "shipped", &["shoes"], 100, "refused", "not-delivered"),
        (None, "cancelled", &["shoes"], 100, "refused", "cancelled"),
        (Some("2026-11-05"), "delivered", &["books"], 0, "refused", "free-order"),
        (Some("2026-11-05"), "mislaid", &["books"], 100, "refused", "not-returnable"),
    ];
    for (delivered, status, categories, paid, outcome, reason) in cases {
        let answer = ok(&*rules, evaluate(order(delivered, status, categories, paid))).await.value;
        values::conform(&answer, operation("rules/tables.evaluate").signature.ok().unwrap(), "").unwrap();
        let given = answer["values"].as_array().unwrap().iter().find(|v| v["name"] == "reason").unwrap()["value"]["text"].clone();
        assert_eq!((answer["outcome"].as_str(), given.as_str()), (Some(outcome), Some(reason)), "{delivered:?} {status}");
        assert_eq!(answer["ruleset-version"], "2026-10-01");
    }
    // The deciding rule comes first, the others that hold after it.
    let answer = ok(&*rules, evaluate(order(Some("2026-09-01"), "delivered", &["hygiene"], 100))).await.value;
    assert_eq!(answer["rules"], json!(["R-07-window-exceeded", "R-08-category-excluded", "R-10-within-window"]));
    let answer = ok(&*rules, evaluate(order(Some("2026-11-05"), "mislaid", &[], 100))).await.value;
    assert_eq!(answer["rules"], json!(["default"]));
}

#[tokio::test]
async fn facts_of_the_wrong_form_and_unknown_rulesets_are_refused() {
    let state = tempfile::tempdir().unwrap();
    let rules = sample_connector("rules", state.path());
    let unknown = call("rules/tables.evaluate", json!({"ruleset": "retuns", "facts": []}), 0);
    let failed = error(&*rules, unknown).await;
    assert!(failed.guest == GuestError::NotFound && failed.detail.contains("did you mean `returns`?"));
    let base = || order(Some("2026-11-05"), "delivered", &["shoes"], 100);
    for (change, field) in [
        (fact("status", "text", json!("again")), "facts.status"),
        (fact("requested_on", "date", json!("2026-11-20")), "facts.requested_on"),
        (fact("'; DROP TABLE", "flag", json!(true)), "facts.'; DROP TABLE"),
    ] {
        let mut facts = base();
        facts.push(change);
        assert_eq!(error(&*rules, evaluate(facts)).await.guest, GuestError::Invalid(field.to_owned()));
    }
    for (index, change, field) in [
        (0, fact("requested-on", "text", json!("2026-11-20")), "facts.requested-on"),
        (0, fact("requested-on", "date", json!("2026-11-31")), "facts.requested-on"),
        (0, fact("requested-on", "date", json!("2026-11-20T10:00:00Z")), "facts.requested-on"),
        (0, fact("requested-on", "date", json!("20261120")), "facts.requested-on"),
        (3, fact("paid-minor-units", "text", json!("100")), "facts.paid-minor-units"),
        (2, fact("categories", "texts", json!(vec!["x"; 1001])), "facts.categories"),
    ] {
        let mut facts = base();
        facts[index] = change;
        assert_eq!(error(&*rules, evaluate(facts)).await.guest, GuestError::Invalid(field.to_owned()));
    }
    let mut facts = base();
    facts.remove(0);
    assert_eq!(error(&*rules, evaluate(facts)).await.guest, GuestError::Invalid("facts.requested-on".to_owned()));
    let mut small = evaluate(base());
    small.max_result_bytes = 10;
    assert!(matches!(error(&*rules, small).await.guest, GuestError::Budget(_)));
}

#[tokio::test]
async fn periods_hold_on_their_first_and_last_day() {
    let text =
        format!("{HEAD}as-of: day\nrules:\n  - {{ id: a, when: 'true', outcome: in, valid-from: '2026-11-10', valid-to: '2026-11-20' }}\n");
    let rules = load(&text).unwrap();
    for (day, outcome) in [("2026-11-09", "none"), ("2026-11-10", "in"), ("2026-11-20", "in"), ("2026-11-21", "none")] {
        let call = call("rules/tables.evaluate", json!({"ruleset": "t", "facts": [fact("day", "date", json!(day))]}), 0);
        assert_eq!(ok(&*rules, call).await.value["outcome"], outcome, "{day}");
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated_leaves_no_decision() {
    let text = format!(
        "{HEAD}rules:\n  - {{ id: a, when: 'true', outcome: yes-first }}\n  - {{ id: b, when: 'n != null && 1 / n > 0', outcome: x }}\n"
    );
    let rules = load(&text).unwrap();
    let with = |n: i64| {
        let facts = [fact("day", "date", json!("2026-11-20")), fact("n", "number", json!(n))];
        call("rules/tables.evaluate", json!({"ruleset": "t", "facts": facts}), 0)
    };
    ok(&*rules, with(1)).await;
    let failed = error(&*rules, with(0)).await;
    assert!(failed.guest == GuestError::BadUpstream && failed.detail.contains("rule `b`"), "{failed}");
}

#[tokio::test]
async fn values_of_every_type_are_given_and_an_empty_ruleset_gives_its_default() {
    let text = "ruleset: t\nversion: '1'\nfacts: {}\nrules: []\ndefault:\n  outcome: o\n  values: { a: x, b: 3, c: true, d: [x, y], e: { date: '2026-11-20' } }\n";
    let answer = ok(&*load(text).unwrap(), call("rules/tables.evaluate", json!({"ruleset": "t", "facts": []}), 0)).await;
    let values: Vec<&Value> = answer.value["values"].as_array().unwrap().iter().map(|v| &v["value"]).collect();
    assert_eq!(json!(values), json!([{"text": "x"}, {"number": 3}, {"flag": true}, {"texts": ["x", "y"]}, {"date": "2026-11-20"}]));
}

#[test]
fn rulesets_are_checked_when_they_are_loaded() {
    for (rules, expected) in [
        (
            "rules:\n  - { id: a, when: 'true', outcome: x }\n  - { id: a, when: 'n == 1', outcome: y }",
            "t.yaml:9:11: `a` is the id of two rules",
        ),
        ("rules:\n  - { id: default, when: 'true', outcome: x }", "belongs to the default"),
        ("rules:\n  - { id: a, when: 'n == 1', outcome: x }\n  - { id: b, when: ' n == 1', outcome: y }", "so it never decides"),
        ("rules:\n  - { id: a, when: 'nn == 1', outcome: x }", "`nn`"),
        ("rules:\n  - { id: a, when: 'n + 1', outcome: x }", "the condition of rule `a` is wrong"),
        ("rules:\n  - { id: a, when: 'n > 1', outcome: x }", "null"),
        ("rules:\n  - { id: a, when: 'day', outcome: x }", "is a string, not true or false"),
        ("rules:\n  - { id: a, when: 'true', outcome: x, valid-from: '2026-01-01' }", "does not say by which date"),
        ("as-of: n\nrules: []", "no required date fact"),
        (
            "as-of: day\nrules:\n  - { id: a, when: 'true', outcome: x, valid-from: '2026-02-01', valid-to: '2026-01-01' }",
            "before it begins",
        ),
        ("rules:\n  - { id: a, when: 'true', outcome: x, values: { v: 1.5 } }", "the value `v` is neither"),
        ("rules:\n  - { id: a, whenn: 'true', outcome: x }", "unknown key `whenn`: did you mean `when`?"),
        ("rules: []\nrules: []", "rules"),
        ("rules: [", ""),
    ] {
        let message = load(&format!("{HEAD}{rules}\n")).err().unwrap_or_else(|| panic!("accepted: {rules}"));
        assert!(message.contains(expected) && message.contains("t.yaml"), "{rules}\n{message}");
    }
    let state = tempfile::tempdir().unwrap();
    let twice = load_text(
        "kind = \"rules\"\n",
        state.path(),
        &[("rules/a.yaml", &format!("{HEAD}rules: []\n")), ("rules/b.yaml", &format!("{HEAD}rules: []\n"))],
    );
    assert!(twice.err().unwrap().contains("has the ruleset `t` too"));
    assert!(load_text("kind = \"rules\"\nfolder = \"../x\"\n", state.path(), &[]).err().unwrap().contains("cannot be read"));
}

proptest! {
    /// Day 30 is the last, whatever the day: across months, years and the change of clocks.
    #[test]
    fn the_window_ends_after_day_thirty(start in 0..3000_i32, days in 0..60_i32) {
        use jiff::ToSpan;
        let delivered = jiff::civil::date(2024, 1, 1).saturating_add(start.days());
        let facts = {
            let mut facts = order(Some(&delivered.to_string()), "delivered", &["shoes"], 100);
            facts[0] = fact("requested-on", "date", json!(delivered.saturating_add(days.days()).to_string()));
            facts
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let state = tempfile::tempdir().unwrap();
        let rules = sample_connector("rules", state.path());
        let answer = runtime.block_on(ok(&*rules, evaluate(facts)));
        prop_assert_eq!(answer.value["outcome"] == "eligible", days <= 30);
    }

    /// No text makes the loader panic.
    #[test]
    fn any_text_is_loaded_or_refused(text in ".{0,200}") {
        let source = SourceText::new(Path::new("x.yaml"), format!("{HEAD}{text}"));
        let _ = Table::load(&source);
    }
}
