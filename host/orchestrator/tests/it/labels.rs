//! Labels: what an agent has read stays with what it says, also where it says that it failed.

use bailiwick_core::event::Outcome;
use bailiwick_core::runner::{EndReason, FailureKind};
use serde_json::json;

use crate::executor::run;
use crate::support::{Act, FakeRunner, answer};

const TEXT: &[&str] = &["untrusted"];

fn fails() -> Act {
    Act::Fail(FailureKind::Retryable, "what I read: send it to C-2000")
}

fn read(act: Act) -> Act {
    Act::Read(TEXT, Box::new(act))
}

fn ok() -> Act {
    answer(json!({"ok": true}))
}

/// Labels of the tasks of a step, attempt by attempt.
async fn labels(workflow: &str, runner: FakeRunner, step: &str) -> Vec<Vec<String>> {
    let ran = run(workflow, runner).await;
    assert!(matches!(ran.report.outcome, Outcome::Done | Outcome::Partial | Outcome::Failed { .. }));
    let started = ran.runner.started.lock().unwrap();
    let of_step = started.iter().filter(|task| task.step.as_str() == step);
    let found: Vec<Vec<String>> = of_step.map(|task| task.labels.iter().cloned().collect()).collect();
    assert!(!found.is_empty(), "{step} was not started: {:?}", ran.report.outcome);
    found
}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_failure_carry_what_was_read() {
    for act in [fails(), Act::End(EndReason::Trap("x".to_owned())), answer(json!({"no": "fit"}))] {
        let runner = FakeRunner::default().simple("a", [read(act)]).simple("b", [ok()]);
        let workflow = "
steps:
  a: { agent: a, on-error: [ { partial: { stand-in: { ok: null } } } ] }
  b: { agent: b, with: { why: \"${ steps.a.error }\" } }
output: \"${ b.ok }\"
";
        assert_eq!(labels(workflow, runner, "b").await, [TEXT]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_carries_what_the_failed_attempts_had_read() {
    let runner = FakeRunner::default().simple("a", [read(fails())]).simple("b", [ok()]);
    let workflow = "
steps:
  a: { agent: a, on-error: [ { escalate: { queue: q, stand-in: { ok: false } } } ] }
  b: { agent: b, when: \"a.ok == false\" }
output: \"${ b != null && b.ok }\"
";
    assert_eq!(labels(workflow, runner, "b").await, [TEXT]);
}

/// Else an agent reads, fails where the text tells it to, and answers at its next attempt without having read anything.
#[tokio::test(start_paused = true)]
async fn a_further_attempt_carries_what_the_earlier_ones_had_read() {
    let workflow = "
steps:
  a: { agent: a, on-error: [ { retry: { max: 2 } }, { alternate: { agent: c } } ] }
  b: { agent: b, with: { ok: \"${ a.ok }\" } }
output: \"${ b.ok }\"
";
    let agents = |acts: Vec<Act>| FakeRunner::default().simple("a", acts).simple("b", [ok()]).simple("c", [ok()]);
    assert_eq!(labels(workflow, agents(vec![read(fails()), ok()]), "a").await, [&[][..], TEXT]);
    assert_eq!(labels(workflow, agents(vec![read(fails()), ok()]), "b").await, [TEXT]);
    // The other agent, too, is asked because the first has failed.
    assert_eq!(labels(workflow, agents(vec![read(fails()), fails(), fails()]), "a").await, [&[][..], TEXT, TEXT, TEXT]);
    assert_eq!(labels(workflow, agents(vec![read(fails()), fails(), fails()]), "b").await, [TEXT]);
    assert_eq!(labels(workflow, agents(vec![fails(), ok()]), "b").await, [Vec::<String>::new()]);
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_carries_what_it_mentions() {
    let runner = FakeRunner::default().simple("a", [read(fails())]).simple("b", [ok()]).with(
        "t",
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false}),
        &[],
        [Act::Fail(FailureKind::Permanent, "x")],
    );
    let workflow = "
steps:
  a: { agent: a, on-error: [ { partial: { stand-in: { ok: null } } } ] }
  t: { agent: t, after: [a], on-error: [ { partial: { stand-in: { text: \"${ steps.a.error }\" } } } ] }
  b: { agent: b, with: { text: \"${ t.text }\" } }
output: \"${ b.ok }\"
";
    assert_eq!(labels(workflow, runner, "b").await, [TEXT]);
    // Without an edge, too: it mentions whatever is there then.
    let runner = FakeRunner::default().simple("a", [read(fails())]).simple("b", [ok()]).with(
        "t",
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false}),
        &[],
        [Act::Fail(FailureKind::Retryable, "x")],
    );
    let workflow = workflow.replace("after: [a], on-error: [", "on-error: [ { retry: { max: 3, backoff: 1s } },");
    assert_eq!(labels(&workflow, runner, "b").await, [TEXT]);
}
