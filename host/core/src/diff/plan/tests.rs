use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::budget::Budgets;
use crate::capability::{CapabilityFile, Effect, FieldPath, Operation};
use crate::grant::{Condition, Grant, GrantRequest};
use crate::plan::{ConditionTemplate, GrantTemplate, PLAN_FORMAT};
use crate::policy::StepRule;
use crate::signature::{Signature, WitType};

fn grant(conditions: &[(&str, ConditionTemplate)]) -> GrantTemplate {
    let mut by_path: BTreeMap<FieldPath, Vec<ConditionTemplate>> = BTreeMap::new();
    for (path, condition) in conditions {
        by_path.entry(path.parse().unwrap()).or_default().push(condition.clone());
    }
    GrantTemplate {
        operation: "bailiwick:crm/notes@0.1.0.append".parse().unwrap(),
        effect: Effect::Write,
        dedupe: None,
        conditions: by_path,
        owner: None,
        budgets: Budgets::default_for(Effect::Write),
        delegable: false,
    }
}

fn is(value: Value) -> ConditionTemplate {
    ConditionTemplate::Equals(ValueTemplate::Value(value))
}

fn node() -> AgentNode {
    AgentNode {
        agent: "writer".into(),
        input_schema: json!({"type": "object"}),
        output_schema: json!({"type": "object"}),
        with: ValueTemplate::Object([("id".to_owned(), ValueTemplate::Expression("subject".to_owned()))].into()),
        may: vec![grant(&[
            ("customer", ConditionTemplate::Equals(ValueTemplate::Expression("subject".to_owned()))),
            ("text", ConditionTemplate::Any),
        ])],
        when: None,
        needs: BTreeMap::new(),
        timeout: None,
        limits: StepLimits::default(),
        stand_in: None,
        on_error: Vec::new(),
    }
}

fn plan(node: AgentNode) -> Plan {
    Plan {
        plan_format: PLAN_FORMAT,
        workflow: "w".into(),
        version: "1".to_owned(),
        input_schema: json!({"type": "object"}),
        subject: Some(ValueTemplate::Expression("input.who".to_owned())),
        nodes: [(StepPath::from("a"), Node::Agent(Box::new(node)))].into(),
        output: ValueTemplate::Object([("x".to_owned(), ValueTemplate::Expression("a.x".to_owned()))].into()),
    }
}

type Edit = fn(&mut AgentNode);

#[test]
fn each_part_of_a_step_says_which_way_it_changed() {
    use Direction::{Changed, Narrower, Noted, Wider};
    let table: &[(Edit, &str, Direction, Direction)] = &[
        (|n| n.agent = "other".into(), "agent", Changed, Changed),
        (|n| n.when = Some("input.ok".to_owned()), "when", Narrower, Wider),
        (|n| n.with = ValueTemplate::Value(json!({"id": "C-1"})), "with.id", Changed, Changed),
        (|n| n.with = ValueTemplate::Value(json!({})), "with.id", Narrower, Wider),
        (|n| n.may.clear(), "may crm/notes.append", Narrower, Wider),
        (|n| n.may[0].budgets.calls = 2, "may crm/notes.append, calls", Wider, Narrower),
        (|n| n.may[0].delegable = true, "may crm/notes.append, delegable", Wider, Narrower),
        (|n| n.may[0].owner = Some(ValueTemplate::Expression("subject".to_owned())), "may crm/notes.append, owner", Narrower, Wider),
        (|n| n.may[0].effect = Effect::Final, "may crm/notes.append, effect", Changed, Changed),
        (
            |n| n.may[0].conditions.values_mut().for_each(|c| *c = vec![ConditionTemplate::Any]),
            "may crm/notes.append, `customer`",
            Wider,
            Narrower,
        ),
        (
            |n| n.may[0].conditions = grant(&[("text", ConditionTemplate::Any)]).conditions,
            "may crm/notes.append, `customer`",
            Narrower,
            Wider,
        ),
        (|n| n.needs.extend([("b".into(), Edge::After)]), "waits for b", Narrower, Wider),
        (|n| n.needs.extend([("b".into(), Edge::State)]), "waits for b", Noted, Noted),
        (|n| n.timeout = Some(Span::millis(5)), "timeout", Narrower, Wider),
        (|n| n.limits.fuel = Some(5), "limit fuel", Narrower, Wider),
        (|n| n.stand_in = Some(ValueTemplate::Value(json!(null))), "stand-in", Wider, Narrower),
        (|n| n.on_error = vec![OnError::Alternate { agent: "other".into(), input_schema: json!({}) }], "on-error", Wider, Narrower),
        (|n| n.input_schema = json!({}), "the agent takes, schema", Wider, Narrower),
    ];
    for (edit, what, forth, back) in table {
        let mut edited = node();
        edit(&mut edited);
        let (before, after) = (plan(node()), plan(edited));
        for (changes, direction) in [(plans(&before, &after), forth), (plans(&after, &before), back)] {
            let found: Vec<_> = changes.iter().map(|change| (change.what.as_str(), change.direction)).collect();
            assert_eq!(found, [(format!("step a, {what}").as_str(), *direction)]);
        }
    }
}

#[test]
fn a_further_condition_is_narrower_where_it_is_read_as_one() {
    use Direction::{Changed, Narrower, Wider};
    for (before, after, expected) in [
        ("a.ok", "a.ok && b.ok", Narrower),
        ("a.ok && b.ok", "a.ok", Wider),
        ("a.ok", "a.okay && b.ok", Changed),
        ("a.ok", "b.ok && a.ok", Changed),
        // `a || (b && c)`, and `a && (b ? …)`, say something else.
        ("a.ok || b.ok", "a.ok || b.ok && c.ok", Changed),
        ("a.ok", "a.ok && b.ok || c.ok", Changed),
        ("a.ok", "a.ok && b.ok ? true : c.ok", Changed),
    ] {
        let plan = |when: &str| plan(AgentNode { when: Some(when.to_owned()), ..node() });
        let found: Vec<_> = plans(&plan(before), &plan(after)).into_iter().map(|change| change.direction).collect();
        assert_eq!(found, [expected], "{before} / {after}");
    }
}

#[test]
fn steps_come_and_go_and_the_same_plan_shows_nothing() {
    let before = plan(node());
    assert_eq!(plans(&before, &before), []);
    // How a value is written down is no difference.
    let mut written = before.clone();
    written.output = ValueTemplate::Object([("x".to_owned(), ValueTemplate::Expression("a.x".to_owned()))].into());
    assert_eq!(plans(&before, &written), []);
    let mut after = before.clone();
    after.nodes.insert("b".into(), Node::Agent(Box::new(node())));
    let found: Vec<_> = plans(&before, &after).into_iter().map(|change| (change.direction, change.what)).collect();
    let expected = [(Direction::Wider, "step b".to_owned()), (Direction::Wider, "step b, may crm/notes.append".to_owned())];
    assert_eq!(found, expected);
    let found: Vec<_> = plans(&after, &before).into_iter().map(|change| (change.direction, change.what)).collect();
    assert_eq!(found, [(Direction::Narrower, "step b".to_owned())]);
}

#[test]
fn conditions_are_compared_by_what_they_let_through() {
    use Direction::{Changed, Narrower, Wider};
    let expression = |text: &str| ValueTemplate::Expression(text.to_owned());
    let list = |items: &[&str]| ConditionTemplate::In(ValueTemplate::List(items.iter().map(|item| expression(item)).collect()));
    let max = |n: i64| ConditionTemplate::Max(ValueTemplate::Value(n.into()));
    let prefix = |text: &str| ConditionTemplate::Prefix(ValueTemplate::Value(text.into()));
    for (before, after, expected) in [
        (ConditionTemplate::Any, max(1), Some(Narrower)),
        (max(1), max(2), Some(Wider)),
        (max(1), ConditionTemplate::Max(expression("input.most")), Some(Changed)),
        (prefix("a"), prefix("ab"), Some(Narrower)),
        (is(json!("abc")), prefix("ab"), Some(Wider)),
        (is(json!("x")), prefix("ab"), Some(Changed)),
        (ConditionTemplate::Equals(expression("input.a")), ConditionTemplate::Equals(expression("input.b")), Some(Changed)),
        (ConditionTemplate::Equals(expression("input.a")), list(&["input.b", "input.a"]), Some(Wider)),
        (list(&["input.b", "input.a"]), list(&["input.a"]), Some(Narrower)),
        (list(&["input.a", "input.b"]), list(&["input.b", "input.a"]), None),
    ] {
        let changes = grants::compare(&[grant(&[("text", before.clone())])], &[grant(&[("text", after.clone())])]);
        assert_eq!(changes.first().map(|change| change.direction), expected, "{before:?} {after:?}");
    }
}

type Entry = (&'static str, ConditionTemplate);

/// A condition by chance on an argument that is a record with two fields, or on one that is a number.
fn entry() -> impl Strategy<Value = Entry> {
    let value = || select(vec![json!("a"), json!("ab"), json!("b"), json!(1), json!(2), json!(null)]);
    let literal = |value: Value| ValueTemplate::Value(value);
    let condition = prop_oneof![
        2 => Just(ConditionTemplate::Any),
        2 => value().prop_map(is),
        1 => prop::collection::vec(value(), 0..3).prop_map(move |values| ConditionTemplate::In(literal(Value::from(values)))),
        1 => (0_i64..3).prop_map(move |n| ConditionTemplate::Max(literal(n.into()))),
        1 => (0_i64..3).prop_map(move |n| ConditionTemplate::Min(literal(n.into()))),
        1 => select(vec!["a", "ab"]).prop_map(move |text| ConditionTemplate::Prefix(literal(text.into()))),
    ];
    (select(vec!["r", "r.x", "r.y", "r.x.z", "n", "n"]), condition)
}

/// Two grants that let something through at all, the second mostly the first with a condition more, one less, or another one.
fn pair() -> impl Strategy<Value = (GrantTemplate, GrantTemplate)> {
    let any = |path: &'static str| (path, ConditionTemplate::Any);
    let cover = select(vec![vec![any("r"), any("n")], vec![any("r.x"), any("r.y"), any("n")], vec![any("r"), any("r.x"), any("n")]]);
    let first = (cover, prop::collection::vec(entry(), 0..3)).prop_map(|(cover, more)| [cover, more].concat());
    let other = prop::collection::vec(entry(), 0..5);
    (first, any_edit(), other, prop::bool::weighted(0.2)).prop_map(|(before, edit, other, is_other)| {
        let after = if is_other { other } else { edit.apply(before.clone()) };
        (grant(&before), grant(&after))
    })
}

#[derive(Debug, Clone)]
struct ListEdit {
    at: prop::sample::Index,
    removes: bool,
    adds: Option<Entry>,
}

impl ListEdit {
    fn apply(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        if self.removes {
            entries.remove(self.at.index(entries.len()));
        }
        entries.extend(self.adds.clone());
        entries
    }
}

fn any_edit() -> impl Strategy<Value = ListEdit> {
    (any::<prop::sample::Index>(), any::<bool>(), prop::option::of(entry())).prop_map(|(at, removes, adds)| ListEdit { at, removes, adds })
}

fn arguments() -> impl Strategy<Value = Value> {
    let value = || {
        select(vec![json!("a"), json!("abc"), json!("b"), json!(0), json!(1), json!(2), json!(null), json!({"z": "a"}), json!({"z": 1})])
    };
    (value(), value(), value(), any::<bool>()).prop_map(|(x, y, n, is_record)| {
        let record = if is_record { json!({"x": x, "y": y}) } else { x };
        json!({"r": record, "n": n})
    })
}

fn lets_through(template: &GrantTemplate, args: &Value) -> bool {
    let file = CapabilityFile::parse("package = \"a:b@1.0.0\"\nsummary = \"\"\n[i.f]\neffect = \"read\"").unwrap();
    let signature = Signature { params: vec![("r".to_owned(), WitType::Text), ("n".to_owned(), WitType::Text)], result: None };
    let operation = Operation::new("a:b/i@1.0.0.f".parse().unwrap(), file.operations["i.f"].clone(), signature);
    let bound = |condition: &ConditionTemplate| match (condition, condition.value()) {
        (_, None) => Condition::Any,
        (ConditionTemplate::Equals(_), Some(ValueTemplate::Value(value))) => Condition::Equals(value.clone()),
        (ConditionTemplate::In(_), Some(ValueTemplate::Value(value))) => Condition::In(value.as_array().unwrap().clone()),
        (ConditionTemplate::Max(_), Some(ValueTemplate::Value(value))) => Condition::Max(value.as_i64().unwrap()),
        (ConditionTemplate::Min(_), Some(ValueTemplate::Value(value))) => Condition::Min(value.as_i64().unwrap()),
        (ConditionTemplate::Prefix(_), Some(ValueTemplate::Value(value))) => Condition::Prefix(value.as_str().unwrap().to_owned()),
        other => panic!("{other:?}"),
    };
    let conditions = template.conditions.iter().map(|(path, list)| (path.clone(), list.iter().map(bound).collect()));
    let request = GrantRequest {
        operation: operation.id.clone(),
        conditions: conditions.collect(),
        owner: None,
        budgets: template.budgets,
        delegable: false,
    };
    let crate::policy::Decision::Permit(permit) = StepRule.permit_for_tests() else { panic!("it permits") };
    Grant::issue(&permit, "g".into(), "t".into(), request, 1).check_arguments(&operation, args, 0).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_direction_of_conditions_is_certain((before, after) in pair(), calls in prop::collection::vec(arguments(), 16)) {
        let changes = grants::compare(std::slice::from_ref(&before), std::slice::from_ref(&after));
        let has = |direction: Direction| changes.iter().any(|change| change.direction == direction);
        for args in &calls {
            let (was, is) = (lets_through(&before, args), lets_through(&after, args));
            if !has(Direction::Wider) && !has(Direction::Changed) {
                prop_assert!(!is || was, "{args}: {changes:#?}");
            }
            if !has(Direction::Narrower) && !has(Direction::Changed) {
                prop_assert!(!was || is, "{args}: {changes:#?}");
            }
        }
    }
}
