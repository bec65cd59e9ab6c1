//! The stepper as a function: of the plan and the state, and of nothing else.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::event::{Cause, Event, Failure, FailureClass, Outcome};
use bailiwick_core::ids::TaskId;
use bailiwick_core::plan::Plan;
use bailiwick_core::policy::Requester;
use bailiwick_core::run::RunState;
use bailiwick_core::runner::{Answer, Confidence, EndReason, FailureKind};
use bailiwick_orchestrator::{CheckedWorkflow, Command, Compiled, MAX_BACKOFF, PlanProblem, TaskOrder, step};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{FakeRunner, answer, loaded, returns, sample};

fn workflow() -> Arc<CheckedWorkflow> {
    let text = std::fs::read_to_string(sample().join("workflow.yaml")).unwrap();
    loaded(&text, &returns::runner(returns::Acts::default()))
}

fn started(compiled: &Compiled, run: &str) -> Event {
    let input = std::fs::read_to_string(sample().join("inputs/accepted.json")).unwrap();
    Event::RunStarted {
        run: run.into(),
        workflow: compiled.plan().workflow.clone(),
        version: compiled.plan().version.clone(),
        plan: *compiled.digest(),
        input: serde_json::from_str(&input).unwrap(),
        subject: Some("C-1042".into()),
        requester: Requester { id: "x".to_owned(), tenant: "nordwind".into(), attributes: Default::default() },
    }
}

/// What the agents of the sample would answer.
fn output(step: &str, yes: bool) -> Value {
    match step {
        "identity" => json!({"verified": yes, "strength": if yes { "strong" } else { "none" }}),
        "eligibility" => json!({
            "eligible": yes, "reason": "r", "rules": [], "ruleset-version": "1", "refund": null, "order-version": if yes { json!("3") } else { json!(null) },
        }),
        "parcel" => json!({"tracking": "t", "document": "d", "carrier": "c"}),
        "record" => json!({"ticket": "T", "note": "N", "return-status": null}),
        _ => json!({"message": "M", "subject": "S"}),
    }
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Yes,
    No,
    Retryable,
    Permanent,
    Trap,
    Mailed,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        4 => Just(Luck::Yes),
        1 => Just(Luck::No),
        2 => Just(Luck::Retryable),
        1 => Just(Luck::Permanent),
        1 => Just(Luck::Trap),
        1 => Just(Luck::Mailed),
    ]
}

fn ended(order: &TaskOrder, luck: Luck) -> Event {
    let (step, attempt) = (order.step.clone(), order.attempt);
    let failed = |class, cause, unrepeatable: Option<&str>| Event::AttemptFailed {
        step: step.clone(),
        attempt,
        failure: Failure { class, cause, unrepeatable: unrepeatable.map(str::to_owned), labels: Default::default() },
    };
    let said = |kind| Cause::Agent { kind, message: "m".to_owned() };
    match luck {
        Luck::Yes | Luck::No => {
            let output = output(order.step.as_str(), matches!(luck, Luck::Yes));
            let answer = Answer {
                output: Arc::new(output),
                confidence: Confidence::Certain,
                claimed_sources: Vec::new(),
                sources: Vec::new(),
                labels: Default::default(),
            };
            Event::StepAnswered { step, attempt, answer }
        }
        Luck::Retryable => failed(FailureClass::Upstream, said(FailureKind::Retryable), None),
        Luck::Permanent => failed(FailureClass::AgentFault, said(FailureKind::Permanent), None),
        Luck::Trap => failed(FailureClass::AgentFault, Cause::Ended(EndReason::Trap("t".to_owned())), None),
        Luck::Mailed => failed(FailureClass::Upstream, said(FailureKind::Retryable), Some("notify/messages.send")),
    }
}

/// Turns commands into events; tasks end in an order that `luck` decides.
fn obey(command: Command, open: &mut Vec<TaskOrder>) -> Event {
    match command {
        Command::Record(event) => *event,
        Command::SetTimer { step, delay } => {
            assert!(delay <= MAX_BACKOFF);
            Event::RetryScheduled { step, at_ms: delay.as_millis() as u64 }
        }
        Command::RunTask(order) => {
            let event = Event::TaskStarted {
                step: order.step.clone(),
                attempt: order.attempt,
                task: TaskId::from(format!("{}-{}", order.step, order.attempt)),
                agent: order.agent.clone(),
            };
            open.push(*order);
            event
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever becomes of the attempts: the run ends after few events, every command is legal, and from each state that is read back the
    /// stepper says what it said live.
    #[test]
    fn every_run_ends_and_reads_back(lucks in proptest::collection::vec((luck(), any::<prop::sample::Index>()), 60), room in 1_usize..4) {
        let workflow = workflow();
        // The plan alone, read back: no workflow file, no agents.
        let plan: Plan = serde_json::from_value(serde_json::to_value(workflow.plan().as_ref()).unwrap()).unwrap();
        let compiled = Compiled::new(plan).unwrap();
        prop_assert_eq!(compiled.digest(), workflow.compiled().digest());
        let fresh = RunState::new(compiled.plan()).unwrap();
        let mut events = vec![started(&compiled, "run-1")];
        let mut live = fresh.clone().fold(&events).unwrap();
        let (mut open, mut timers, mut lucks) = (Vec::new(), Vec::new(), lucks.into_iter());
        while live.end().is_none() {
            prop_assert!(events.len() < 200, "{events:#?}");
            let commands = step(&compiled, &live, room - open.len());
            prop_assert_eq!(&commands, &step(&compiled, &fresh.clone().fold(&events).unwrap(), room - open.len()));
            prop_assert_eq!(&commands, &step(workflow.compiled(), &live, room - open.len()));
            let mut happened: Vec<Event> = commands.into_iter().map(|command| obey(command, &mut open)).collect();
            prop_assert!(open.len() <= room);
            if happened.is_empty() {
                match timers.pop() {
                    Some(step) => happened.push(Event::RetryDue { step }),
                    None => {
                        prop_assert!(!open.is_empty(), "nothing runs and nothing is to be done");
                        let (luck, pick) = lucks.next().unwrap_or((Luck::Yes, any_index()));
                        let order = open.remove(pick.index(open.len()));
                        happened.push(ended(&order, luck));
                    }
                }
            }
            for event in happened {
                live.apply(&event).unwrap();
                if let Event::RetryScheduled { step, .. } = &event {
                    timers.push(step.clone());
                }
                events.push(event);
            }
        }
        let end = live.end().unwrap();
        // A failed run promises nothing.
        prop_assert_eq!(matches!(end.outcome, Outcome::Failed { .. }), end.output.is_null());
        prop_assert!(step(&compiled, &live, room).is_empty());
        // Nothing is tried again once a mail may be out.
        for state in live.steps().values() {
            if let Some(at) = state.failures.iter().position(|tried| tried.failure.unrepeatable.is_some()) {
                prop_assert_eq!(at, state.failures.len() - 1);
            }
        }
    }
}

fn any_index() -> prop::sample::Index {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    any::<prop::sample::Index>().new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

#[test]
fn the_wait_doubles_up_to_a_minute_and_differs_between_runs() {
    let text = "workflow: w\nversion: \"1\"\ninput: { schema: { type: object } }\nsteps:\n  s: { agent: a, on-error: [ { retry: { max: 10, backoff: 10s } } ] }\noutput: 1\n";
    let runner = FakeRunner::default().simple("a", [answer(json!({"ok": true}))]);
    let workflow = loaded(text, &runner);
    let waits = |run: &str| -> Vec<Duration> {
        let compiled = workflow.compiled();
        let mut state = RunState::new(compiled.plan()).unwrap();
        let Event::RunStarted { workflow, version, plan, requester, .. } = started(compiled, run) else { panic!("a start") };
        let start = Event::RunStarted { run: run.into(), workflow, version, plan, input: json!({}), subject: None, requester };
        state.apply(&start).unwrap();
        let mut waits = Vec::new();
        while state.end().is_none() {
            for command in step(compiled, &state, 1) {
                if let Command::SetTimer { step, delay } = &command {
                    waits.push(*delay);
                    state.apply(&Event::RetryScheduled { step: step.clone(), at_ms: 0 }).unwrap();
                    state.apply(&Event::RetryDue { step: step.clone() }).unwrap();
                    continue;
                }
                let mut open = Vec::new();
                state.apply(&obey(command, &mut open)).unwrap();
                for order in open {
                    state.apply(&ended(&order, Luck::Retryable)).unwrap();
                }
            }
        }
        waits
    };
    let (one, other) = (waits("run-1"), waits("run-2"));
    assert_eq!(one.len(), 10);
    assert_ne!(one, other);
    assert_eq!(one, waits("run-1"));
    for (index, wait) in one.iter().enumerate() {
        let least = Duration::from_secs(10 << index).min(MAX_BACKOFF);
        assert!(*wait >= least && *wait <= (least + least / 4).min(MAX_BACKOFF), "{index}: {wait:?}");
    }
}

#[test]
fn a_plan_of_another_format_is_refused() {
    let mut plan = workflow().plan().as_ref().clone();
    plan.plan_format = 2;
    assert_eq!(Compiled::new(plan).unwrap_err(), PlanProblem::Format { found: 2 });
}
