use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Cause, Failure};
use crate::plan::{AgentNode, Node, PLAN_FORMAT, StepLimits, ValueTemplate};
use crate::runner::{FailureKind, Source};

fn plan() -> Plan {
    let node = |agent: &str| {
        Node::Agent(Box::new(AgentNode {
            agent: agent.into(),
            input_schema: json!({}),
            output_schema: json!({}),
            with: ValueTemplate::Value(json!({})),
            may: Vec::new(),
            when: None,
            needs: BTreeMap::new(),
            timeout: None,
            limits: StepLimits::default(),
            stand_in: None,
            on_error: Vec::new(),
        }))
    };
    Plan {
        plan_format: PLAN_FORMAT,
        workflow: "w".into(),
        version: "1".to_owned(),
        input_schema: json!({}),
        subject: None,
        nodes: [("a".into(), node("x")), ("b".into(), node("y"))].into(),
        output: ValueTemplate::Value(json!(null)),
    }
}

fn started(plan: &Plan) -> Event {
    Event::RunStarted {
        run: "run-1".into(),
        workflow: plan.workflow.clone(),
        version: plan.version.clone(),
        plan: plan.digest().unwrap(),
        input: json!({"customer": "C-1"}),
        subject: Some("C-1".into()),
        requester: Requester { id: "local:test".to_owned(), tenant: "t".into(), attributes: BTreeMap::new() },
    }
}

fn answer() -> Answer {
    let source = |as_of: &str| Source { operation: "crm/customers.get".to_owned(), as_of: Some(as_of.to_owned()) };
    Answer {
        output: json!({"ok": true}).into(),
        confidence: Confidence::PerMille(900),
        claimed_sources: Vec::new(),
        sources: vec![source("2026-11-20T10:00:01Z"), source("2026-11-20T10:00:00Z")],
        labels: Default::default(),
    }
}

fn failure() -> Failure {
    let cause = Cause::Agent { kind: FailureKind::Retryable, message: "no connection".to_owned() };
    Failure { class: FailureClass::Upstream, cause, unrepeatable: None, labels: Default::default() }
}

fn card() -> BriefingCard {
    BriefingCard { queue: "q".to_owned(), summary: "s".to_owned(), facts: vec![], tried: vec![], question: "?".to_owned() }
}

/// Every event that could be tried on a step, legal or not.
fn step_events(step: &str, attempt: u32) -> Vec<Event> {
    let step = StepPath::from(step);
    let task = TaskId::from(format!("task-{step}-{attempt}"));
    vec![
        Event::TaskStarted { step: step.clone(), attempt, task, agent: "x".into() },
        Event::StepAnswered { step: step.clone(), attempt, answer: answer() },
        Event::AttemptFailed { step: step.clone(), attempt, failure: failure() },
        Event::RetryScheduled { step: step.clone(), at_ms: 5 },
        Event::RetryDue { step: step.clone() },
        Event::AlternateChosen { step: step.clone(), agent: "z".into() },
        Event::Escalated { step: step.clone(), card: card() },
        Event::StoodIn { step: step.clone(), by: StandInBy::Partial, value: json!(1) },
        Event::StoodIn { step: step.clone(), by: StandInBy::Escalate, value: json!(2) },
        Event::StepFailed { step: step.clone() },
        Event::StepSkipped { step: step.clone(), reason: SkipReason::When, stand_in: None },
        Event::StepSkipped { step: step.clone(), reason: SkipReason::NeedsFailed { step: "a".into() }, stand_in: None },
        Event::StepSkipped { step, reason: SkipReason::When, stand_in: Some(Value::Null) },
    ]
}

fn candidates(plan: &Plan) -> Vec<Event> {
    let mut events = vec![started(plan)];
    for step in ["a", "b", "ghost"] {
        for attempt in 1..=3 {
            events.extend(step_events(step, attempt));
        }
    }
    let failed = Outcome::Failed { class: FailureClass::Ledger, message: "x".to_owned() };
    for outcome in [Outcome::Done, Outcome::Partial, failed] {
        events.push(Event::RunFinished { outcome, output: json!(null) });
    }
    events
}

proptest! {
    /// Whatever order events are tried in: an illegal one changes nothing, and the fold of the legal ones, through JSON, gives the live
    /// state after each of them.
    #[test]
    fn folding_any_prefix_gives_the_live_state(picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..200)) {
        let plan = plan();
        let candidates = candidates(&plan);
        let fresh = RunState::new(&plan).unwrap();
        let mut live = fresh.clone();
        let mut happened: Vec<Event> = Vec::new();
        for pick in picks {
            let event = pick.get(&candidates);
            let before = live.clone();
            prop_assert_eq!(live.check(event), live.clone().apply(event));
            match live.apply(event) {
                Ok(()) => {
                    let text = serde_json::to_string(event).unwrap();
                    happened.push(serde_json::from_str(&text).unwrap());
                    let folded = fresh.clone().fold(&happened).unwrap();
                    prop_assert_eq!(&folded, &live);
                    let stored = serde_json::to_string(&live).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<RunState>(&stored).unwrap(), &live);
                }
                Err(_) => prop_assert_eq!(&live, &before),
            }
        }
    }

    /// A settled step stays as it is.
    #[test]
    fn nothing_happens_to_a_settled_step(picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..200)) {
        let plan = plan();
        let candidates = candidates(&plan);
        let mut live = RunState::new(&plan).unwrap();
        for pick in picks {
            let before = live.clone();
            let _ = live.apply(pick.get(&candidates));
            for (step, state) in before.steps() {
                if state.phase.is_settled() {
                    prop_assert_eq!(live.step(step), Some(state));
                }
            }
            if before.end().is_some() {
                prop_assert_eq!(&live, &before);
            }
        }
    }
}

fn after(events: &[Event]) -> RunState {
    let plan = plan();
    let mut all = vec![started(&plan)];
    all.extend_from_slice(events);
    RunState::new(&plan).unwrap().fold(&all).unwrap()
}

fn refused(events: &[Event], event: &Event) -> String {
    after(events).apply(event).unwrap_err().to_string()
}

#[test]
fn a_run_begins_once_and_with_its_own_plan() {
    let own = plan();
    let mut state = RunState::new(&own).unwrap();
    assert_eq!(state.apply(&step_events("a", 1)[0]).unwrap_err().to_string(), "`task-started` before `run-started`");
    let mut other = plan();
    other.version = "2".to_owned();
    assert!(matches!(state.apply(&started(&other)), Err(IllegalEvent::OtherPlan { .. })));
    state.apply(&started(&own)).unwrap();
    assert_eq!(state.apply(&started(&own)), Err(IllegalEvent::AlreadyStarted));
}

#[test]
fn attempts_are_counted() {
    let first = step_events("a", 1);
    assert_eq!(refused(&[], &step_events("a", 2)[0]), "attempt 2 of step `a`, where 1 is due");
    assert_eq!(refused(&[first[0].clone()], &step_events("a", 2)[1]), "attempt 2 of step `a`, where 1 is due");
    let again = [first[0].clone(), first[2].clone(), first[3].clone(), first[4].clone()];
    assert_eq!(refused(&again, &first[0]), "attempt 1 of step `a`, where 2 is due");
    let mut state = after(&again);
    state.apply(&step_events("a", 2)[0]).unwrap();
    assert_eq!(state.step(&"a".into()).unwrap().attempts, 2);
    assert_eq!(state.step(&"a".into()).unwrap().retries, 1);
}

#[test]
fn nothing_out_of_turn() {
    let a = step_events("a", 1);
    assert_eq!(refused(&[], &a[1]), "`step-answered` while step `a` is waiting");
    assert_eq!(refused(&[a[0].clone()], &a[0]), "`task-started` while step `a` is running");
    assert_eq!(refused(&[a[0].clone(), a[1].clone()], &a[2]), "`attempt-failed` while step `a` is answered");
    assert_eq!(refused(&[a[10].clone()], &a[0]), "`task-started` while step `a` is skipped");
    assert_eq!(refused(&[], &step_events("ghost", 1)[0]), "the plan has no step `ghost`");
    // A card comes before its stand-in, and nothing is tried again once a person was asked.
    let failing = [a[0].clone(), a[2].clone()];
    assert_eq!(refused(&failing, &a[8]), "`stood-in` while step `a` is running");
    let escalated = [a[0].clone(), a[2].clone(), a[6].clone()];
    assert_eq!(refused(&escalated, &a[3]), "`retry-scheduled` while step `a` is running");
    assert_eq!(refused(&escalated, &a[7]), "`stood-in` while step `a` is running");
    assert_eq!(after(&escalated).apply(&a[8]), Ok(()));
}

#[test]
fn the_end_fits_the_steps() {
    let finish = |outcome| Event::RunFinished { outcome, output: json!(null) };
    let failed = || Outcome::Failed { class: FailureClass::Internal, message: String::new() };
    let (a, b) = (step_events("a", 1), step_events("b", 1));
    assert_eq!(refused(&[], &finish(Outcome::Done)), "`run-finished` while step `a` is waiting");
    assert_eq!(refused(&[a[0].clone()], &finish(failed())), "`run-finished` while step `a` is running");
    let lost = [a[0].clone(), a[2].clone(), a[9].clone(), b[11].clone()];
    assert_eq!(refused(&lost, &finish(Outcome::Done)), "the run cannot have ended as done: step `a` is failed");
    assert_eq!(refused(&lost, &finish(Outcome::Partial)), "the run cannot have ended as partial: step `a` is failed");
    let mut state = after(&lost);
    let Some(Outcome::Failed { class, message }) = state.outcome() else { panic!("failed") };
    assert_eq!((class, message.as_str()), (FailureClass::Upstream, "step `a` failed: the agent says: no connection"));
    state.apply(&finish(failed())).unwrap();
    assert_eq!(state.apply(&a[0]).unwrap_err().to_string(), "`task-started` after `run-finished`");
}

#[test]
fn a_stand_in_makes_the_run_partial() {
    let (a, b) = (step_events("a", 1), step_events("b", 1));
    let state = after(&[a[0].clone(), a[2].clone(), a[7].clone(), b[10].clone()]);
    assert_eq!(state.outcome(), Some(Outcome::Partial));
    let done = after(&[a[0].clone(), a[1].clone(), b[10].clone()]);
    assert_eq!(done.outcome(), Some(Outcome::Done));
    assert_eq!(done.step(&"a".into()).unwrap().as_of(), Some("2026-11-20T10:00:00Z"));
    assert_eq!(after(&[a[0].clone()]).outcome(), None);
}
