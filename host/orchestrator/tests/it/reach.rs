//! The reach of the returns sample and of small workflows, and what changes of it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::diff::Direction;
use bailiwick_core::policy::Prospect;
use bailiwick_orchestrator::CheckedWorkflow;
use bailiwick_orchestrator::reach::{Asked, Lens, Reach, changes, reach};
use proptest::prelude::*;
use serde_json::json;

use crate::support::returns::{Acts, runner};
use crate::support::{FakeRunner, answer, catalog, loaded, sample};

fn always(_: &Asked<'_>) -> Prospect {
    Prospect::Always { rules: vec!["step-gives".to_owned()] }
}

fn reach_of(workflow: &CheckedWorkflow, agents: &FakeRunner, policy: &dyn Fn(&Asked<'_>) -> Prospect) -> Reach {
    reach(workflow.compiled(), &Lens { catalog: &catalog(), agents, policy })
}

fn returns() -> (String, FakeRunner) {
    (std::fs::read_to_string(sample().join("workflow.yaml")).unwrap(), runner(Acts::default()))
}

/// `answer: operation in step by what` for each opening.
fn openings(reach: &Reach) -> Vec<String> {
    let rows = reach.answers.iter().flat_map(|answer| {
        answer.opens.iter().map(|opening| {
            let by: Vec<String> = opening.by.iter().map(|link| format!("{:?} {}", link.how, link.what)).collect();
            format!("{}: {} in {} by {}", answer.step, opening.operation, opening.step, by.join(", "))
        })
    });
    rows.collect()
}

#[test]
fn the_reach_of_the_sample() {
    let (text, agents) = returns();
    let found = reach_of(&loaded(&text, &agents), &agents, &always);
    insta::assert_json_snapshot!(
        "returns",
        json!({ "order": found.steps.iter().map(|step| &step.step).collect::<Vec<_>>(), "openings": openings(&found), "output": found.output,
            "holds": found.steps.iter().map(|step| (step.step.to_string(), step.holds.clone())).collect::<BTreeMap<_, _>>(),
            "finals": found.finals, "findings": found.findings })
    );
}

#[test]
fn what_is_bound_is_told_from_what_may_not_be() {
    let (text, agents) = returns();
    let bound = std::cell::RefCell::new(BTreeMap::new());
    let word = |asked: &Asked<'_>| {
        bound.borrow_mut().insert(format!("{} {}", asked.step, asked.operation.short), asked.bound);
        always(asked)
    };
    reach_of(&loaded(&text, &agents), &agents, &word);
    let found = bound.into_inner();
    // By the subject and by a text of the input; by nothing, since it names nobody; and to a value that is written out.
    assert_eq!(found["mail notify/messages.send"], Some(true));
    assert_eq!(found["parcel shipping/parcels.create-label"], Some(true));
    assert_eq!(found["eligibility rules/tables.evaluate"], Some(false));
    let fixed = text.replace("where: { order: \"${ input.order }\", sender", "where: { order: O-1, sender");
    let bound = std::cell::Cell::new(Some(true));
    let word = |asked: &Asked<'_>| {
        if &*asked.operation.short == "shipping/parcels.create-label" {
            bound.set(asked.bound);
        }
        always(asked)
    };
    reach_of(&loaded(&fixed, &agents), &agents, &word);
    assert_eq!(bound.get(), None, "the input may hold that order or not");
}

#[test]
fn what_the_policy_never_permits_brings_no_data_and_opens_nothing() {
    let (text, agents) = returns();
    let workflow = loaded(&text, &agents);
    let never = |asked: &Asked<'_>| match &*asked.operation.short {
        "crm/customers.get" | "notify/messages.send" => Prospect::Never { rules: Vec::new(), reason: "no".to_owned() },
        _ => always(asked),
    };
    let (open, shut) = (reach_of(&workflow, &agents, &always), reach_of(&workflow, &agents, &never));
    assert!(shut.steps.iter().all(|step| step.holds.is_empty()), "{shut:#?}");
    assert!(shut.finals.is_empty() && !openings(&shut).iter().any(|row| row.contains("notify")));
    assert_eq!(shut.findings.iter().filter(|finding| finding.kind == "never-permitted").count(), 4, "{:?}", shut.findings);
    // It is narrower all through, and the other way round wider.
    let directions = |before: &Reach, after: &Reach| changes(before, after).iter().map(|change| change.direction).collect::<BTreeSet<_>>();
    assert_eq!(directions(&open, &shut), BTreeSet::from([Direction::Narrower]));
    assert_eq!(directions(&shut, &open), BTreeSet::from([Direction::Wider]));
    assert_eq!(directions(&open, &open), BTreeSet::new());
}

fn small(step: &str) -> String {
    format!(
        "workflow: w\nversion: \"1\"\ninput: {{ schema: {{ type: object, required: [who], properties: {{ who: {{ type: string }} }} }} }}\nsubject: \"${{ input.who }}\"\nsteps:\n{step}output: 1\n"
    )
}

fn writers() -> FakeRunner {
    let output = json!({"type": "object", "required": ["ok"], "additionalProperties": false, "properties": {"ok": {"type": "boolean"}}});
    let imports = ["crm/customers.get", "crm/notes.append", "crm/notes.void"];
    FakeRunner::default().with("writer", json!({"type": "object"}), output.clone(), &imports, [answer(json!({}))]).with(
        "reader",
        json!({"type": "object"}),
        output,
        &["crm/customers.get"],
        [answer(json!({}))],
    )
}

const NOTE: &str = "may: [ { call: crm/notes.append, where: { customer: \"${ subject }\", text: any } } ]";

#[test]
fn answers_open_effects_through_others_and_by_how_a_step_ended() {
    let agents = writers();
    let text = small(&format!(
        "  a: {{ agent: reader }}\n  b: {{ agent: reader, when: \"a.ok\" }}\n  c: {{ agent: writer, with: {{ x: \"${{ b.ok }}\" }}, {NOTE} }}\n  \
         d: {{ agent: writer, when: \"steps.c.status == 'answered'\", {NOTE} }}\n  \
         e: {{ agent: writer, after: [d], {NOTE} }}\n  f: {{ agent: writer, {NOTE} }}\n"
    ));
    let found = reach_of(&loaded(&text, &agents), &agents, &always);
    let expected = [
        "a: crm/notes.append in c by When a.ok, With b.ok",
        "a: crm/notes.append in d by When a.ok, With b.ok, When steps.c.status",
        "a: crm/notes.append in e by When a.ok, With b.ok, When steps.c.status, After d",
        "b: crm/notes.append in c by With b.ok",
        "b: crm/notes.append in d by With b.ok, When steps.c.status",
        "b: crm/notes.append in e by With b.ok, When steps.c.status, After d",
        "c: crm/notes.append in d by When steps.c.status",
        "c: crm/notes.append in e by When steps.c.status, After d",
        "d: crm/notes.append in e by After d",
    ];
    assert_eq!(openings(&found), expected);
}

#[test]
fn a_stand_in_that_mentions_a_step_says_it_and_does_not_do_it() {
    let agents = writers();
    let text = small(&format!(
        "  a: {{ agent: reader }}\n  b: {{ agent: writer, when: \"input.who == 'x'\", stand-in: {{ ok: \"${{ steps.a.status == 'failed' }}\" }}, {NOTE} }}\n  \
         c: {{ agent: writer, when: \"b.ok\", {NOTE} }}\n"
    ));
    let found = reach_of(&loaded(&text, &agents), &agents, &always);
    let expected = ["a: crm/notes.append in c by StandIn steps.a.status, When b.ok", "b: crm/notes.append in c by When b.ok"];
    assert_eq!(openings(&found), expected);
}

#[test]
fn an_alternate_counts_with_what_it_imports() {
    let agents = writers();
    let text = small(&format!("  a: {{ agent: writer, {NOTE}, on-error: [ {{ alternate: {{ agent: reader }} }} ] }}\n"));
    let found = reach_of(&loaded(&text, &agents), &agents, &always);
    let grant = &found.steps[0].grants[0];
    assert_eq!(grant.policy.keys().map(ToString::to_string).collect::<Vec<_>>(), ["writer"]);
    assert_eq!(found.steps[0].agents.len(), 2);
}

#[test]
fn findings_name_agents_for_lower_data_and_writes_without_an_undo() {
    let agents = writers();
    let read = "may: [ { call: crm/customers.get, where: { id: \"${ subject }\" } } ]";
    let void = "may: [ { call: crm/notes.void, where: { customer: \"${ subject }\", note: any } } ]";
    let text = small(&format!("  a: {{ agent: reader, {read} }}\n  b: {{ agent: writer, after: [a], {void} }}\n"));
    let found = reach_of(&loaded(&text, &agents), &agents, &always);
    let kinds: Vec<_> = found.findings.iter().map(|finding| (finding.kind, finding.message.as_str())).collect();
    let expected = [
        ("data-level", "step b: `writer` is meant for public data, and answers that may rest on personal data reach it (from a)"),
        ("no-undo", "step b: `crm/notes.void` is a write that the host cannot undo"),
    ];
    assert_eq!(kinds, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Steps by chance: each reads a customer or not, and waits for some before it.
    #[test]
    fn classes_flow_as_far_as_edges_lead_and_no_further(
        steps in prop::collection::vec((any::<bool>(), prop::collection::btree_set(0_usize..8, 0..3)), 1..8),
    ) {
        let agents = writers();
        let lines: String = steps.iter().enumerate().map(|(n, (reads, needs))| {
            let needs: Vec<String> = needs.iter().filter(|need| **need < n).map(|need| format!("s{need}")).collect();
            let may = if *reads { ", may: [ { call: crm/customers.get, where: { id: \"${ subject }\" } } ]" } else { "" };
            format!("  s{n}: {{ agent: reader, after: [{}]{may} }}\n", needs.join(", "))
        }).collect();
        let found = reach_of(&loaded(&small(&lines), &agents), &agents, &always);
        // Plainly: a step holds something where a path of needs leads to one that reads.
        fn reads(steps: &[(bool, BTreeSet<usize>)], n: usize) -> bool {
            steps[n].0 || steps[n].1.iter().filter(|need| **need < n).any(|need| reads(steps, *need))
        }
        for (n, _) in steps.iter().enumerate() {
            let step = found.steps.iter().find(|step| step.step.as_str() == format!("s{n}")).unwrap();
            prop_assert_eq!(!step.holds.is_empty(), reads(&steps, n), "s{}", n);
        }
    }
}
