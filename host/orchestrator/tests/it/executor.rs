//! Runs through a scripted runner, with time paused.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_core::event::{Event, FailureClass, Outcome};
use bailiwick_core::ids::{RunId, StepPath};
use bailiwick_core::limits::{LimitKind, Limits, Span};
use bailiwick_core::policy::{Requester, StepRule};
use bailiwick_core::record::{LedgerFailure, RecordKind};
use bailiwick_core::run::RunState;
use bailiwick_core::runner::{EndReason, FailureKind};
use bailiwick_orchestrator::{Observer, Options, Orchestrator, RunReport, RunRequest, StepReport, StepStatus};
use serde_json::{Value, json};

use crate::support::{Act, FakeRunner, Kept, answer, loaded, simple_output};

const HEAD: &str = "
workflow: test
version: \"1.0.0\"
input: { schema: { type: object, properties: { n: { type: integer }, who: { type: string } }, required: [n, who], additionalProperties: false } }
subject: \"${ input.who }\"
";

fn ok() -> Act {
    answer(json!({"ok": true}))
}

fn after(ms: u64) -> Act {
    Act::Answer(Duration::from_millis(ms), json!({"ok": true}))
}

fn retryable() -> Act {
    Act::Fail(FailureKind::Retryable, "no connection")
}

pub(crate) struct Ran {
    pub(crate) report: RunReport,
    pub(crate) runner: Arc<FakeRunner>,
    kept: Arc<Kept>,
}

impl Ran {
    fn step(&self, name: &str) -> &StepReport {
        self.report.steps.iter().find(|step| step.step.as_str() == name).unwrap()
    }

    fn failed(&self) -> (FailureClass, &str) {
        match &self.report.outcome {
            Outcome::Failed { class, message } => (*class, message),
            other => panic!("{other:?}"),
        }
    }
}

fn request(text: &str, runner: &FakeRunner, input: Value) -> RunRequest {
    RunRequest {
        workflow: loaded(&format!("{HEAD}{text}"), runner),
        input,
        requester: Arc::new(Requester { id: "local:test".to_owned(), tenant: "t".into(), attributes: Default::default() }),
        run_id: RunId::from("run-1"),
        limits: Limits::default(),
    }
}

async fn run_with(text: &str, runner: FakeRunner, kept: Kept, options: Options) -> Ran {
    let (runner, kept) = (Arc::new(runner), Arc::new(kept));
    let request = request(text, &runner, json!({"n": 1, "who": "C-1"}));
    let workflow = request.workflow.clone();
    let report = Orchestrator::new(runner.clone(), kept.clone(), Arc::new(StepRule), options).run(request, Arc::new(())).await;
    // Whatever happened, what was written can be folded, and gives what was reported.
    let state = RunState::new(workflow.plan()).unwrap().fold(&kept.events()).unwrap();
    if let Some(end) = state.end()
        && !kept.fail_durable.load(Ordering::SeqCst)
    {
        assert_eq!((&end.outcome, &end.output), (&report.outcome, &report.output));
    }
    Ran { report, runner, kept }
}

pub(crate) async fn run(text: &str, runner: FakeRunner) -> Ran {
    run_with(text, runner, Kept::default(), Options::default()).await
}

#[tokio::test(start_paused = true)]
async fn independent_steps_overlap_and_dependent_ones_wait() {
    let runner = FakeRunner::default().simple("a", [after(300)]);
    let text = "
steps:
  one: { agent: a }
  two: { agent: a }
  three: { agent: a }
  last: { agent: a, with: { x: \"${ one.ok && two.ok }\" }, after: [three] }
output: { ok: \"${ last.ok }\" }
";
    let ran = run(text, runner).await;
    assert_eq!((&ran.report.outcome, &ran.report.output), (&Outcome::Done, &json!({"ok": true})));
    assert_eq!(ran.runner.most_running.load(Ordering::SeqCst), 3);
    assert!((600_000..650_000).contains(&ran.report.time.total_us), "{:?}", ran.report.time);
    assert!(ran.step("last").start_us >= ran.step("three").end_us);
    assert_eq!(ran.report.critical_path.len(), 2);
    assert_eq!(ran.report.critical_path[1].step, StepPath::from("last"));
    assert!(ran.report.time.host_us < 50_000, "{:?}", ran.report.time);
    assert_eq!(ran.report.time.agents_us, 600_000);
}

#[tokio::test(start_paused = true)]
async fn no_more_tasks_than_the_bound_run_at_once() {
    let runner = FakeRunner::default().simple("a", [after(100)]);
    let steps: String = (0..7).map(|n| format!("  s{n}: {{ agent: a }}\n")).collect();
    let mut options = Options::default();
    options.max_parallel_tasks = 2;
    let ran = run_with(&format!("steps:\n{steps}output: null\n"), runner, Kept::default(), options).await;
    assert_eq!(ran.report.outcome, Outcome::Done);
    assert_eq!(ran.runner.most_running.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_longer_each_time() {
    let runner = FakeRunner::default().simple("a", [retryable(), retryable(), ok()]);
    let text = "
steps:
  s: { agent: a, on-error: [ { retry: { max: 2, backoff: 1s, jitter: false } } ] }
output: { ok: \"${ s.ok }\" }
";
    let ran = run(text, runner).await;
    assert_eq!(ran.report.outcome, Outcome::Done);
    assert_eq!(ran.runner.steps_started(), ["s#1@a", "s#2@a", "s#3@a"]);
    let starts: Vec<u64> = ran.step("s").attempts.iter().map(|attempt| attempt.start_us / 100_000).collect();
    assert_eq!(starts, [0, 10, 30]);
    assert!((2_900_000..3_100_000).contains(&ran.report.time.backoff_us), "{:?}", ran.report.time);
    assert_eq!(
        ran.kept.names(),
        [
            "run-started",
            "task-started s",
            "attempt-failed s",
            "retry-scheduled s",
            "retry-due s",
            "task-started s",
            "attempt-failed s",
            "retry-scheduled s",
            "retry-due s",
            "task-started s",
            "step-answered s",
            "run-finished",
        ]
    );
    // The attempts are different tasks that share what the step may use up.
    let started = ran.runner.started.lock().unwrap();
    assert_ne!(started[0].id, started[1].id);
}

#[tokio::test(start_paused = true)]
async fn attempts_share_their_budgets() {
    let runner = FakeRunner::default().with(
        "a",
        json!({"type": "object"}),
        simple_output(),
        &["crm/customers.get", "rules/tables.evaluate"],
        [retryable(), ok()],
    );
    let text = "
steps:
  s:
    agent: a
    may:
      - { call: crm/customers.get, where: { id: \"${ subject }\" } }
      - { call: rules/tables.evaluate, where: { ruleset: any, facts: any } }
    on-error: [ { retry: { max: 1 } } ]
output: null
";
    let ran = run(text, runner).await;
    let started = ran.runner.started.lock().unwrap();
    assert!(Arc::ptr_eq(&started[0].wants[0].used, &started[1].wants[0].used));
    assert!(!Arc::ptr_eq(&started[0].wants[0].used, &started[0].wants[1].used));
    assert_eq!(started[0].wants[0].request.operation.to_short(), "crm/customers.get");
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_or_permanent_is_not_tried_again() {
    let denied = Act::FailAfter(FailureKind::Retryable, &[("crm/customers.get", "denied")]);
    let fuel = Act::End(EndReason::Limit { limit: LimitKind::Fuel, detail: "used up".to_owned() });
    let cases = [
        (denied, FailureClass::Denied),
        (Act::Fail(FailureKind::Permanent, "no"), FailureClass::AgentFault),
        (fuel, FailureClass::Limit),
        (Act::End(EndReason::InvalidAnswer("no JSON".to_owned())), FailureClass::AgentFault),
        (answer(json!({"ok": "yes"})), FailureClass::AgentFault),
    ];
    for (act, class) in cases {
        let runner = FakeRunner::default().simple("a", [act, ok()]);
        let ran = run("\nsteps:\n  s: { agent: a, on-error: [ { retry: { max: 3 } } ] }\noutput: null\n", runner).await;
        assert_eq!(ran.failed().0, class);
        assert_eq!(ran.runner.steps_started(), ["s#1@a"]);
        assert_eq!((ran.report.output.clone(), ran.step("s").status), (Value::Null, StepStatus::Failed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_or_trap_is_tried_again_unless_a_mail_may_be_out() {
    let deadline = || Act::End(EndReason::Limit { limit: LimitKind::Deadline, detail: "800ms".to_owned() });
    let text = "
steps:
  s:
    agent: a
    may: [ { call: notify/messages.send, where: { customer: \"${ subject }\", channel: email, subject: any, body: any } } ]
    on-error:
      - retry: { max: 2 }
      - alternate: { agent: b }
      - escalate: { queue: mails, stand-in: { ok: null } }
output: { ok: \"${ s.ok }\" }
";
    let mailer = |acts: Vec<Act>| {
        FakeRunner::default().with("a", json!({"type": "object"}), simple_output(), &["notify/messages.send"], acts).with(
            "b",
            json!({"type": "object"}),
            simple_output(),
            &["notify/messages.send"],
            [ok()],
        )
    };
    let ran = run(text, mailer(vec![deadline(), Act::End(EndReason::Trap("unreachable".to_owned())), ok()])).await;
    assert_eq!((&ran.report.outcome, ran.runner.started.lock().unwrap().len()), (&Outcome::Done, 3));
    // The mail left: neither the same agent nor another one sends it again, a person looks.
    let sent = Act::FailAfter(FailureKind::Retryable, &[("notify/messages.send", "ok")]);
    let ran = run(text, mailer(vec![sent, ok()])).await;
    assert_eq!(ran.runner.steps_started(), ["s#1@a"]);
    assert_eq!((&ran.report.outcome, &ran.report.output), (&Outcome::Partial, &json!({"ok": null})));
    assert!(ran.report.cards[0].card.question.starts_with("did `notify/messages.send` happen?"));
    // It certainly did not: the same attempt again is safe.
    let refused = Act::FailAfter(FailureKind::Retryable, &[("notify/messages.send", "unavailable")]);
    assert_eq!(run(text, mailer(vec![refused, ok()])).await.report.outcome, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn an_alternate_takes_over() {
    let runner = FakeRunner::default().simple("a", [Act::Fail(FailureKind::NotMine, "other domain")]).simple("b", [retryable(), ok()]);
    let text = "
steps:
  s: { agent: a, on-error: [ { retry: { max: 1 } }, { alternate: { agent: b } } ] }
output: { ok: \"${ s.ok }\" }
";
    let ran = run(text, runner).await;
    assert_eq!(ran.report.outcome, Outcome::Done);
    assert_eq!(ran.runner.steps_started(), ["s#1@a", "s#2@b", "s#3@b"]);
    assert_eq!(ran.step("s").agent.as_str(), "b");
    assert_eq!(ran.step("s").agent_version.as_deref(), Some("1.2.3"));
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_keeps_the_rest_going() {
    let runner = FakeRunner::default().simple("a", [Act::End(EndReason::Trap("x".to_owned()))]).simple("b", [ok()]);
    let text = "
steps:
  first: { agent: a, on-error: [ { partial: { stand-in: { ok: false, n: \"${ input.n }\" } } } ] }
  second: { agent: b, with: { n: \"${ first.n }\", how: \"${ steps.first.status }\" } }
output: { n: \"${ first.n }\", why: \"${ steps.first.error }\" }
";
    let ran = run(text, runner).await;
    assert_eq!(ran.report.outcome, Outcome::Partial);
    assert_eq!(ran.report.output, json!({"n": 1, "why": "the agent trapped: x"}));
    assert_eq!(*ran.runner.started.lock().unwrap()[1].input, json!({"n": 1, "how": "stood-in"}));
    assert_eq!(ran.step("first").status, StepStatus::StoodIn);
}

#[tokio::test(start_paused = true)]
async fn escalation_puts_a_card_on_record() {
    let runner = FakeRunner::default().simple("a", [Act::Fail(FailureKind::NeedsHuman, "is this the same person?")]).simple("b", [ok()]);
    let text = "
steps:
  s: { agent: a, on-error: [ { retry: { max: 2 } }, { alternate: { agent: b } }, { escalate: { queue: desk } } ] }
  t: { agent: b, with: { x: \"${ s.ok }\" } }
output: { x: 1 }
";
    let ran = run(text, runner).await;
    // No stand-in: the step has failed, and with it the run.
    assert_eq!(ran.failed(), (FailureClass::NeedsHuman, "step `s` failed: the agent says: is this the same person?"));
    assert_eq!(ran.step("t").reason.as_deref(), Some("needs `s`, which failed"));
    assert_eq!(ran.runner.steps_started(), ["s#1@a"]);
    assert_eq!(ran.report.cards[0].card.question, "is this the same person?");
    let drafts = ran.kept.drafts.lock().unwrap();
    let card = drafts.iter().find(|draft| draft.kind == RecordKind::Escalated).unwrap();
    let payload = card.payload.as_ref().unwrap();
    assert_eq!((payload.subject.as_ref().unwrap().as_str(), payload.parts[0].0), ("C-1", "card"));
    assert_eq!(card.context.step, Some("s".into()));
}

#[tokio::test(start_paused = true)]
async fn a_skip_passes_on_with_its_reason_and_stand_ins_stop_it() {
    let runner = FakeRunner::default().simple("a", [ok()]);
    let text = "
steps:
  off: { agent: a, when: \"input.n > 1\" }
  needs: { agent: a, with: { x: \"${ off.ok }\" } }
  held: { agent: a, with: { x: \"${ off.ok }\" }, stand-in: { ok: false } }
  goes: { agent: a, with: { x: \"${ held.ok }\" } }
  later: { agent: a, after: [off] }
  none: { agent: a, when: \"false\", stand-in: null }
  seen: { agent: a, with: { x: \"${ none }\" } }
output: { off: \"${ off }\", held: \"${ held.ok }\", state: \"${ steps.needs.error }\" }
";
    let ran = run(text, runner).await;
    assert_eq!(ran.report.outcome, Outcome::Done);
    assert_eq!(ran.report.output, json!({"off": null, "held": false, "state": "needs `off`, which was skipped"}));
    let reasons: Vec<_> = ["off", "needs", "held", "goes", "later"].map(|step| ran.step(step).reason.clone()).into();
    let needs = Some("needs `off`, which was skipped".to_owned());
    assert_eq!(reasons, [Some("`when` is false".to_owned()), needs.clone(), needs, None, None]);
    assert_eq!((ran.step("none").value.clone(), ran.step("seen").status), (Some(Value::Null), StepStatus::Answered));
}

#[tokio::test(start_paused = true)]
async fn no_stand_in_hides_a_failure_and_nothing_runs_after_one() {
    let runner = FakeRunner::default().simple("a", [ok()]).simple("bad", [Act::Fail(FailureKind::Permanent, "no")]);
    let text = "
steps:
  lost: { agent: bad }
  held: { agent: a, with: { x: \"${ lost.ok }\" }, stand-in: { ok: false } }
  goes: { agent: a, with: { x: \"${ held.ok }\" } }
  later: { agent: a, after: [lost] }
  watch: { agent: a, with: { x: \"${ steps.lost.status }\" } }
output: null
";
    let ran = run(text, runner).await;
    let statuses: Vec<_> = ["lost", "held", "goes", "later", "watch"].map(|step| ran.step(step).status).into();
    use StepStatus::{Answered, Failed, Skipped};
    assert_eq!(statuses, [Failed, Skipped, Skipped, Skipped, Answered]);
    assert_eq!(ran.step("goes").reason.as_deref(), Some("needs `held`, which failed"));
    let input = ran.runner.started.lock().unwrap().iter().find(|task| task.step.as_str() == "watch").unwrap().input.clone();
    assert_eq!(*input, json!({"x": "failed"}));
}

#[tokio::test(start_paused = true)]
async fn an_expression_that_fails_or_costs_too_much_is_the_steps_failure() {
    let runner = || FakeRunner::default().simple("a", [ok()]);
    let text = "
steps:
  s: { agent: a, with: { x: \"${ 1 / (input.n - 1) }\" }, on-error: [ { retry: { max: 2 } }, { partial: { stand-in: { ok: null } } } ] }
  t: { agent: a, when: \"input.n % (input.n - 1) == 0\" }
output: null
";
    let ran = run(text, runner()).await;
    assert_eq!(ran.failed(), (FailureClass::Expression, "step `t` failed: when: division by zero"));
    assert_eq!(ran.step("s").status, StepStatus::StoodIn);
    assert!(ran.runner.steps_started().is_empty());
    let list = "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]";
    let dear = format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c + input.n >= 0)))");
    let ran = run(&format!("\nsteps:\n  s: {{ agent: a, when: \"{dear}\" }}\noutput: null\n"), runner()).await;
    let (class, message) = ran.failed();
    assert_eq!(class, FailureClass::Expression);
    assert!(message.contains("visit more than") || message.contains("more than 100000 steps"), "{message}");
    let ran = run("\nsteps:\n  s: { agent: a }\noutput: { x: \"${ 1 / (input.n - 1) }\" }\n", runner()).await;
    assert_eq!(ran.failed(), (FailureClass::Expression, "output: `/x`: division by zero"));
}

#[tokio::test(start_paused = true)]
async fn the_ledgers_failure_ends_the_run_wherever_it_comes() {
    let text = "
steps:
  one: { agent: a }
  two: { agent: a, with: { x: \"${ one.ok }\" } }
output: null
";
    let whole = run(text, FakeRunner::default().simple("a", [ok()])).await.kept.drafts.lock().unwrap().len();
    for fail_at in 0..whole {
        let runner = FakeRunner::default().simple("a", [ok()]);
        let kept = Kept { fail_at: Some(fail_at), ..Kept::default() };
        let ran = run_with(text, runner, kept, Options::default()).await;
        assert_eq!(ran.failed(), (FailureClass::Ledger, "the ledger cannot be written: no space left on device"));
        // A task starts only after its event is written: run-started, task-started, step-answered, task-started …
        let written = ran.kept.drafts.lock().unwrap().len();
        assert_eq!(written, fail_at);
        assert_eq!(
            ran.runner.started.lock().unwrap().len(),
            ran.kept.names().iter().filter(|name| name.starts_with("task-started")).count()
        );
    }
    let kept = Kept::default();
    kept.fail_durable.store(true, Ordering::SeqCst);
    let ran = run_with(text, FakeRunner::default().simple("a", [ok()]), kept, Options::default()).await;
    assert_eq!(ran.failed().0, FailureClass::Ledger);
    assert_eq!(ran.report.output, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_task_ended_by_the_ledger_stops_everything() {
    let full = Act::End(EndReason::Ledger(LedgerFailure("full".to_owned())));
    let runner = FakeRunner::default().simple("a", [full]).simple("b", [Act::Hang]);
    let text = "
steps:
  one: { agent: a, on-error: [ { partial: { stand-in: { ok: true } } } ] }
  two: { agent: b }
  three: { agent: b, with: { x: \"${ one.ok }\" } }
output: null
";
    let ran = run(text, runner).await;
    assert_eq!(ran.failed().0, FailureClass::Ledger);
    assert_eq!(ran.runner.running.load(Ordering::SeqCst), 0);
    assert_eq!((ran.step("two").status, ran.step("three").status), (StepStatus::Stopped, StepStatus::NotStarted));
}

#[tokio::test(start_paused = true)]
async fn the_result_is_on_disk_before_anybody_hears_of_it() {
    struct Watch(Arc<Kept>, Mutex<Vec<(&'static str, usize)>>);
    impl Observer for Watch {
        fn happened(&self, _: Duration, event: &Event) {
            self.1.lock().unwrap().push((event.name(), self.0.durable.lock().unwrap().len()));
        }
    }
    let runner = Arc::new(FakeRunner::default().simple("a", [ok()]));
    let kept = Arc::new(Kept::default());
    let request = request("\nsteps:\n  s: { agent: a }\noutput: null\n", &runner, json!({"n": 1, "who": "C-1"}));
    let watch = Arc::new(Watch(kept.clone(), Mutex::default()));
    Orchestrator::new(runner, kept.clone(), Arc::new(StepRule), Options::default()).run(request, watch.clone()).await;
    assert_eq!(*watch.1.lock().unwrap(), [("run-started", 0), ("task-started", 0), ("step-answered", 0), ("run-finished", 1)]);
    assert_eq!(*kept.durable.lock().unwrap(), [3]);
}

#[tokio::test(start_paused = true)]
async fn under_pressure_every_event_waits_for_the_disk() {
    let kept = Kept::default();
    kept.pressed.store(true, Ordering::SeqCst);
    let ran =
        run_with("\nsteps:\n  s: { agent: a }\noutput: null\n", FakeRunner::default().simple("a", [ok()]), kept, Options::default()).await;
    assert_eq!(ran.report.outcome, Outcome::Done);
    assert_eq!(*ran.kept.durable.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_takes_its_tasks_along() {
    let runner = Arc::new(FakeRunner::default().simple("a", [Act::Hang]));
    let request = request("\nsteps:\n  s: { agent: a }\n  t: { agent: a }\noutput: null\n", &runner, json!({"n": 1, "who": "C-1"}));
    let orchestrator = Orchestrator::new(runner.clone(), Arc::new(Kept::default()), Arc::new(StepRule), Options::default());
    let run = orchestrator.run(request, Arc::new(()));
    assert!(tokio::time::timeout(Duration::from_secs(5), run).await.is_err());
    assert_eq!(runner.most_running.load(Ordering::SeqCst), 2);
    // The tasks are told to end; the runtime lets go of them when it comes to them.
    while runner.running.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_breaks_is_an_internal_fault_of_its_step() {
    let runner = FakeRunner::default().simple("a", [Act::Panic]).simple("b", [ok()]);
    let ran = run("\nsteps:\n  s: { agent: a }\n  t: { agent: b }\noutput: null\n", runner).await;
    assert_eq!(ran.failed().0, FailureClass::Internal);
    assert_eq!(ran.step("t").status, StepStatus::Answered);
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_told_by_field_and_nothing_begins() {
    for (input, expected) in [
        (json!({"n": "1", "who": "C-1"}), "field `n`"),
        (json!({"n": 1}), "\"who\" is a required property"),
        (json!({"n": 1, "who": ""}), "the input names no subject"),
        (json!({"n": 1, "who": "x".repeat(257)}), "the input names no subject"),
        (json!({"n": 1, "who": "x".repeat(2 << 20)}), "at most 1048576 are taken"),
    ] {
        let runner = Arc::new(FakeRunner::default().simple("a", [ok()]));
        let kept = Arc::new(Kept::default());
        let request = request("\nsteps:\n  s: { agent: a }\noutput: null\n", &runner, input);
        let report =
            Orchestrator::new(runner.clone(), kept.clone(), Arc::new(StepRule), Options::default()).run(request, Arc::new(())).await;
        let Outcome::Failed { class: FailureClass::Input, message } = report.outcome else { panic!("{:?}", report.outcome) };
        assert!(message.contains(expected), "{message}");
        assert!(kept.names().is_empty() && runner.steps_started().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn limits_and_confidence_go_through() {
    let runner = FakeRunner::default().simple("a", [Act::Unsure(json!({"ok": true}), 700)]);
    let text = "
steps:
  s: { agent: a, timeout: 800ms, limits: { fuel: 1000, memory: 512MiB } }
output: { sure: \"${ steps.s.confidence }\", read: \"${ steps.s['as-of'] }\", run: \"${ run.id }\" }
";
    let ran = run(text, runner).await;
    assert_eq!(ran.report.output, json!({"sure": 700, "read": "2026-11-20T10:00:00Z", "run": "run-1"}));
    let limits = ran.runner.started.lock().unwrap()[0].limits;
    assert_eq!((limits.fuel, limits.deadline, limits.memory), (1000, Span::millis(800), Limits::default().memory));
    // A report reads back as it was written.
    let text = serde_json::to_string(&ran.report).unwrap();
    assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), ran.report);
}

#[tokio::test(start_paused = true)]
async fn events_lie_under_the_runs_subject_and_envelopes_do_not_name_it() {
    let ran = run("\nsteps:\n  s: { agent: a }\noutput: null\n", FakeRunner::default().simple("a", [ok()])).await;
    for draft in ran.kept.drafts.lock().unwrap().iter() {
        assert_eq!(draft.payload.as_ref().unwrap().subject.as_ref().unwrap().as_str(), "C-1");
        let envelope = format!("{}{}", serde_json::to_string(&*draft.context).unwrap(), serde_json::to_string(&draft.fields).unwrap());
        assert!(!envelope.contains("C-1"), "{envelope}");
    }
}
