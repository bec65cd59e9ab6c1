//! The returns sample: its workflow as it is, agents by script.

use std::sync::Arc;
use std::time::Duration;

use crate::support::returns::{Acts, not_found, runner};
use crate::support::{Act, FakeRunner, Kept, answer, loaded, sample};
use bailiwick_core::event::{FailureClass, Outcome};
use bailiwick_core::ids::RunId;
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::{Requester, StepRule};
use bailiwick_core::runner::FailureKind;
use bailiwick_orchestrator::{Options, Orchestrator, RunReport, RunRequest, StepStatus};
use serde_json::{Value, json};

fn text() -> String {
    std::fs::read_to_string(sample().join("workflow.yaml")).unwrap()
}

fn input(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(sample().join(format!("inputs/{name}.json"))).unwrap()).unwrap()
}

async fn run(acts: Acts, name: &str) -> (RunReport, Arc<FakeRunner>) {
    let runner = Arc::new(runner(acts));
    let workflow = loaded(&text(), &runner);
    assert_eq!(workflow.warnings().iter().map(|w| &w.message).collect::<Vec<_>>(), Vec::<&String>::new());
    let requester = Requester { id: "channel:web".to_owned(), tenant: "nordwind".into(), attributes: Default::default() };
    let request = RunRequest {
        workflow,
        input: input(name),
        requester: Arc::new(requester),
        run_id: RunId::from("run-1"),
        limits: Limits::default(),
    };
    let orchestrator = Orchestrator::new(runner.clone(), Arc::new(Kept::default()), Arc::new(StepRule), Options::default());
    (orchestrator.run(request, Arc::new(())).await, runner)
}

#[tokio::test(start_paused = true)]
async fn an_accepted_return() {
    let slow = Duration::from_millis(200);
    let delayed = |acts: Vec<Act>| match &acts[0] {
        Act::Answer(_, value) => vec![Act::Answer(slow, value.clone())],
        _ => acts,
    };
    let acts = Acts::default();
    let acts = Acts { identity: delayed(acts.identity), policy: delayed(acts.policy), ..acts };
    let (report, runner) = run(acts, "accepted").await;
    assert_eq!(report.outcome, Outcome::Done);
    // Side by side: 200 ms and not 400.
    assert!((200_000..300_000).contains(&report.time.total_us), "{:?}", report.time);
    let expected = json!({
        "decision": "accepted", "reason": "within-window", "rules": ["R-60"], "tracking": "PX1", "label": "doc-1", "ticket": "T-1",
        "return-status": "expected", "message": "M-1",
    });
    assert_eq!(report.output, expected);
    assert_eq!(runner.most_running.load(std::sync::atomic::Ordering::SeqCst), 2);
    let path: Vec<_> = report.critical_path.iter().map(|entry| entry.step.as_str()).collect();
    assert_eq!(path[path.len() - 3..], ["parcel", "record", "mail"]);
    // What the recorder may do is bound to what the policy read.
    let started = runner.started.lock().unwrap();
    let record = started.iter().find(|task| task.step.as_str() == "record").unwrap();
    let grant = serde_json::to_value(&record.wants[0].request.conditions).unwrap();
    assert_eq!(grant, json!({"order": [{"equals": "O-20417"}], "status": [{"equals": "expected"}], "if-version": [{"equals": "3"}]}));
}

#[tokio::test(start_paused = true)]
async fn identity_no_discloses_and_writes_nothing() {
    let acts = Acts { identity: vec![answer(json!({"verified": false, "strength": "none"}))], ..Acts::default() };
    let (report, runner) = run(acts, "accepted").await;
    assert_eq!(report.outcome, Outcome::Done);
    let expected = json!({
        "decision": "refused", "reason": "identity-not-verified", "rules": [], "tracking": null, "label": null, "ticket": null,
        "return-status": null, "message": null,
    });
    assert_eq!(report.output, expected);
    assert_eq!(runner.steps_started().len(), 2);
    let skipped = report.steps.iter().filter(|step| step.status == StepStatus::Skipped).count();
    assert_eq!(skipped, 3);
}

#[tokio::test(start_paused = true)]
async fn policy_no_is_told_without_a_label() {
    let recorder = vec![answer(json!({"ticket": "T-1", "note": "N-1", "return-status": null}))];
    let (report, runner) = run(Acts { policy: vec![not_found()], recorder, ..Acts::default() }, "other-customer").await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!((&report.output["decision"], &report.output["reason"]), (&json!("refused"), &json!("order-not-found")));
    assert_eq!(report.output["message"], "M-1");
    assert!(!runner.steps_started().iter().any(|step| step.starts_with("parcel")));
    let started = runner.started.lock().unwrap();
    let record = started.iter().find(|task| task.step.as_str() == "record").unwrap();
    assert_eq!(record.input["decision"], "refused");
    let condition = serde_json::to_value(&record.wants[0].request.conditions).unwrap();
    assert_eq!(condition["if-version"], json!([{"equals": "none"}]));
}

#[tokio::test(start_paused = true)]
async fn another_customers_order_and_an_unknown_one_are_the_same() {
    let recorder = || vec![answer(json!({"ticket": "T-1", "note": "N-1", "return-status": null}))];
    let acts = || Acts { policy: vec![not_found()], recorder: recorder(), ..Acts::default() };
    let (other, _) = run(acts(), "other-customer").await;
    let (unknown, _) = run(acts(), "unknown-order").await;
    assert_eq!((other.output, other.outcome), (unknown.output, unknown.outcome));
}

#[tokio::test(start_paused = true)]
async fn a_silent_carrier_goes_to_people_and_the_rest_goes_on() {
    let acts = Acts { label: vec![Act::Fail(FailureKind::Retryable, "the carrier does not answer")], ..Acts::default() };
    let (report, runner) = run(acts, "accepted").await;
    assert_eq!(report.outcome, Outcome::Partial);
    assert_eq!((&report.output["decision"], &report.output["tracking"]), (&json!("accepted"), &json!(null)));
    assert_eq!((&report.output["ticket"], &report.output["message"]), (&json!("T-1"), &json!("M-1")));
    assert_eq!(runner.steps_started().iter().filter(|step| step.starts_with("parcel")).count(), 3);
    assert_eq!(report.cards.len(), 1);
    assert_eq!(report.cards[0].card.queue, "returns");
    insta::assert_json_snapshot!(report.cards[0].card);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_only_a_person_can_judge_ends_the_run_with_a_card() {
    let acts = Acts { identity: vec![Act::Fail(FailureKind::NeedsHuman, "look at the flags")], ..Acts::default() };
    let (report, runner) = run(acts, "accepted").await;
    let Outcome::Failed { class, .. } = report.outcome else { panic!("{:?}", report.outcome) };
    assert_eq!((class, report.output), (FailureClass::NeedsHuman, Value::Null));
    assert_eq!(report.cards[0].card.question, "look at the flags");
    assert_eq!(runner.steps_started().len(), 2);
}

#[test]
fn every_input_fits_the_schema() {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(sample().join("schemas/return-request.json")).unwrap()).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for name in ["accepted", "day-31", "excluded-category", "other-customer", "unknown-order", "already-refunded"] {
        let errors: Vec<_> = validator.iter_errors(&input(name)).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
}
