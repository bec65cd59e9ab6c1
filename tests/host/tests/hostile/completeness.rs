//! Completeness: whatever agents, connectors and callers do, no request reaches a connector without its intent before it in the ledger, and every
//! intent has one outcome.
//!
//! A journal of its own stands behind every operation and looks into the ledger at the moment when a request arrives.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test stops at its first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::capability::{Catalog, Effect, Operation};
use bailiwick_core::connector::{BoxFuture, Connector, ConnectorAnswer, ConnectorCall};
use bailiwick_core::error::{CallError, GuestError};
use bailiwick_core::grant::Condition;
use bailiwick_core::ids::{Digest, Seq, TaskId};
use bailiwick_core::limits::Span;
use bailiwick_core::record::{CallOutcome, RecordKind, Recorder};
use bailiwick_core::runner::TaskSpec;
use bailiwick_runtime::Routes;
use bailiwick_test_host::upstream::{self, CUSTOMER, ORDER, OTHER_CUSTOMER, OTHER_ORDER};
use bailiwick_test_host::{Bench, MemoryRecorder, Settings};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::attacks::{CUSTOMERS, MAIL, NOTE, ORDERS, is, puppet, puppet_bench};
use crate::settings;

/// Tasks at the same time.
const BESIDE: usize = 12;
/// Tasks of a round, unless the time is over before.
const TASKS: u64 = 2_000;
/// Time of a round.
const TIME: Duration = Duration::from_secs(5);
/// The least that a round has to get through to say anything, on the slowest machine.
const LEAST: u64 = 200;

/// Numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % most
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)].clone()
    }
}

/// A request as the journal saw it, with the intent that was in the ledger then.
struct Request {
    task: TaskId,
    intent: Option<Seq>,
    /// The case of the error that was answered; none for a result; absent where there was no answer.
    answered: Option<Option<&'static str>>,
}

/// What stands behind every operation: it writes each request down, and then answers, fails, is silent or breaks.
struct Behind {
    recorder: Arc<MemoryRecorder>,
    requests: Mutex<Vec<Request>>,
    numbers: Mutex<Numbers>,
    wrong: Mutex<Vec<String>>,
}

impl Behind {
    /// Looks into the ledger: the last record of the task is the intent of this very request, and on disk unless it is a read.
    fn arrived(&self, call: &ConnectorCall) -> usize {
        let kept = self.recorder.of_task(&call.origin.task);
        let last = kept.0.last().filter(|record| {
            record.kind == RecordKind::CallIntent
                && record.fields.operation.as_deref() == Some(&*call.operation.full)
                && record.payload.get("args") == Some(&call.args)
        });
        let intent = last.map(|record| record.seq);
        match intent {
            None => self.wrong.lock().push(format!(
                "`{}` of {} left without an intent: {:?}",
                call.operation.short,
                call.origin.task,
                kept.kinds()
            )),
            Some(seq) if call.operation.spec.effect != Effect::Read && !self.recorder.is_durable(seq) => {
                self.wrong.lock().push(format!("`{}` left before its intent was on disk", call.operation.short));
            }
            Some(_) => {}
        }
        let mut requests = self.requests.lock();
        requests.push(Request { task: call.origin.task.clone(), intent, answered: None });
        requests.len() - 1
    }

    fn answer(&self, call: &ConnectorCall) -> Result<Value, CallError> {
        let id = call.args.get("id").and_then(Value::as_str).unwrap_or_default();
        let error = |guest| Err(CallError::new(guest, "as the test has it"));
        match self.numbers.lock().below(24) {
            0 => error(GuestError::Unavailable),
            1 => error(GuestError::Indeterminate("x".to_owned())),
            2 => error(GuestError::Conflict("x".to_owned())),
            3 => error(GuestError::RateLimited(5)),
            4 => error(GuestError::Timeout),
            // A result of another type than the contract says.
            5 => Ok(json!({"wrong": true})),
            6 => Ok(json!("x".repeat(100_000))),
            _ => match &*call.operation.short {
                CUSTOMERS => upstream::customer(id).ok_or_else(|| CallError::not_found("no such customer")),
                ORDERS => upstream::order(id).ok_or_else(|| CallError::not_found("no such order")),
                _ => Ok(json!("N-1")),
            },
        }
    }
}

impl Connector for Behind {
    fn name(&self) -> &str {
        "behind"
    }

    fn config_digest(&self) -> Digest {
        Digest::of(b"behind")
    }

    fn check(&self, _: &Operation) -> Result<(), String> {
        Ok(())
    }

    fn call(&self, call: ConnectorCall) -> BoxFuture<'_, Result<ConnectorAnswer, CallError>> {
        Box::pin(async move {
            let at = self.arrived(&call);
            let luck = self.numbers.lock().below(60);
            match luck {
                0 => std::future::pending().await,
                1 => panic!("a connector breaks, as the test has it"),
                2..15 => tokio::time::sleep(Duration::from_millis(luck % 4)).await,
                _ => {}
            }
            let answer = self.answer(&call);
            self.requests.lock()[at].answered = Some(answer.as_ref().err().map(|error| error.guest.case()));
            answer.map(ConnectorAnswer::of)
        })
    }
}

/// A task of random calls: within and outside of its grants, with ends of every kind.
fn random(bench: &Bench, numbers: &mut Numbers) -> Result<TaskSpec> {
    let acts: Vec<Value> = (0..numbers.below(8))
        .map(|_| {
            let act = match numbers.below(40) {
                0 => "trap",
                1 => "spin",
                2..6 => "log",
                6 => "shipping/parcels.create-label",
                _ => numbers.one_of(&[CUSTOMERS, ORDERS, NOTE, MAIL]),
            };
            let id = match act {
                ORDERS => numbers.one_of(&[ORDER, OTHER_ORDER, "O-404"]),
                _ => numbers.one_of(&[CUSTOMER, CUSTOMER, CUSTOMER, OTHER_CUSTOMER, ""]),
            };
            json!({"do": act, "id": id, "text": numbers.one_of(&["a", "\u{1b}[2J", "\u{10ffff}"])})
        })
        .collect();
    let mut script = json!({ "acts": acts });
    if numbers.below(4) == 0 {
        script["fail"] = json!("as the test has it");
    }
    let mut draft = puppet(bench, script).attempt(u32::try_from(numbers.below(3)).unwrap_or(0) + 1);
    let mail = [("customer", is(CUSTOMER)), ("channel", Condition::Any), ("subject", Condition::Any), ("body", Condition::Any)];
    let calls = numbers.below(3) + 1;
    draft = draft.grant_with(CUSTOMERS, &[("id", is(CUSTOMER))], |request| request.budgets.calls = calls)?;
    draft = draft.grant_with(ORDERS, &[("id", Condition::Any)], |request| request.owner = Some(CUSTOMER.to_owned()))?;
    draft = draft.grant_with(NOTE, &[("customer", is(CUSTOMER)), ("text", Condition::Any)], |request| request.budgets.calls = calls)?;
    if numbers.below(3) > 0 {
        draft = draft.grant(MAIL, &mail)?;
    }
    draft.spec.limits.deadline = Span::millis(numbers.one_of(&[5, 20, 60]));
    draft.spec.limits.fuel = 20_000_000;
    Ok(draft.spec)
}

/// Runs random tasks, some of which nobody waits for to the end. Gives how many.
async fn round(bench: &Arc<Bench>, seed: u64) -> Result<u64> {
    let until = Instant::now() + TIME;
    let workers = (0..BESIDE as u64).map(|worker| {
        let bench = Arc::clone(bench);
        let mut numbers = Numbers(seed.wrapping_add(worker));
        tokio::spawn(async move {
            let mut done = 0;
            while done < TASKS / BESIDE as u64 && Instant::now() < until {
                let task = bench.sandbox.run(random(&bench, &mut numbers)?);
                match numbers.below(10) {
                    0 => drop(tokio::time::timeout(Duration::from_micros(numbers.below(8_000)), task).await),
                    _ => drop(task.await),
                }
                done += 1;
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for worker in workers.collect::<Vec<_>>() {
        done += worker.await??;
    }
    bench.sandbox.settled().await;
    Ok(done)
}

async fn with_journal() -> Result<(Arc<Bench>, Arc<Behind>)> {
    let recorder = Arc::new(MemoryRecorder::default());
    let behind = Arc::new(Behind {
        recorder: Arc::clone(&recorder),
        requests: Mutex::default(),
        numbers: Mutex::new(Numbers(7)),
        wrong: Mutex::default(),
    });
    let catalog: Catalog = bailiwick_wit::builtin_catalog()?;
    let routes: Routes = catalog.iter().map(|operation| (operation.id.clone(), Arc::clone(&behind) as Arc<dyn Connector>)).collect();
    let recorder = Some(recorder as Arc<dyn Recorder>);
    let bench = puppet_bench(Settings { routes: Some(routes), recorder, ..settings() }).await?;
    Ok((Arc::new(bench), behind))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_leaves_without_an_intent_and_every_intent_has_one_outcome() -> Result<()> {
    let (bench, behind) = with_journal().await?;
    let done = round(&bench, 1).await?;
    ensure!(done >= LEAST, "only {done} tasks");
    let wrong = behind.wrong.lock().clone();
    ensure!(
        wrong.is_empty(),
        "{} of {} requests: {:#?}",
        wrong.len(),
        behind.requests.lock().len(),
        wrong.iter().take(5).collect::<Vec<_>>()
    );

    let all = behind.recorder.all();
    let mut outcomes: BTreeMap<Seq, CallOutcome> = BTreeMap::new();
    let mut reasons: BTreeMap<Seq, String> = BTreeMap::new();
    for record in all.of(RecordKind::CallOutcome) {
        let Some(intent) = record.fields.intent else { continue };
        let outcome = record.fields.outcome.context("an outcome without an outcome")?;
        ensure!(outcomes.insert(intent, outcome).is_none(), "intent {intent} has two outcomes");
        reasons.insert(intent, record.fields.reason.as_deref().unwrap_or_default().to_owned());
    }
    let intents: BTreeSet<Seq> = all.of(RecordKind::CallIntent).iter().map(|record| record.seq).collect();
    ensure!(outcomes.keys().copied().collect::<BTreeSet<_>>() == intents, "{} intents, {} outcomes", intents.len(), outcomes.len());

    let requests = behind.requests.lock();
    let asked: BTreeSet<Seq> = requests.iter().filter_map(|request| request.intent).collect();
    ensure!(asked.len() == requests.len(), "two requests for one intent");
    // An intent without a request: the task ended while it waited for the disk.
    for intent in intents.difference(&asked) {
        ensure!(outcomes[intent] == CallOutcome::Indeterminate, "intent {intent} never left, and its outcome is {:?}", outcomes[intent]);
    }
    for request in requests.iter() {
        let intent = request.intent.context("looked at above")?;
        let (outcome, reason) = (outcomes[&intent], &reasons[&intent]);
        match request.answered {
            // Nobody took the answer, or there was none: a read has no effect, of anything else nobody knows.
            None => {
                ensure!(matches!(reason.as_str(), "task-ended" | "timeout" | "indeterminate"), "{}: {outcome:?} {reason}", request.task)
            }
            Some(Some(case)) => {
                let is_told = reason == case || reason == "task-ended" || reason == "timeout" || reason == "indeterminate";
                ensure!(is_told && outcome != CallOutcome::Ok, "answered `{case}`, on record is {outcome:?} {reason}");
            }
            Some(None) => ensure!(outcome != CallOutcome::Cached, "{reason}"),
        }
    }
    // Every kind of fault was there.
    for reason in ["task-ended", "unavailable", "bad-upstream", "not-found", "conflict", "timeout"] {
        ensure!(reasons.values().any(|found| found == reason), "nothing ended as `{reason}`: the round says less than it should");
    }
    let started: BTreeSet<_> = all.of(RecordKind::TaskStarted).iter().map(|record| record.context.task.clone()).collect();
    let ended: Vec<_> = all.of(RecordKind::TaskEnded).iter().map(|record| record.context.task.clone()).collect();
    ensure!(ended.iter().cloned().collect::<BTreeSet<_>>() == started && ended.len() == started.len(), "each task has one end");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_ledger_breaks_nothing_leaves_any_more() -> Result<()> {
    let (bench, behind) = with_journal().await?;
    let tasks = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { round(&bench, 2).await }
    });
    behind.recorder.until(|records| records.iter().filter(|record| record.kind == RecordKind::CallIntent).count() > 50).await;
    behind.recorder.break_down();
    ensure!(tasks.await?? > 0, "no task ran");
    let wrong = behind.wrong.lock().clone();
    ensure!(wrong.is_empty(), "{:#?}", wrong.iter().take(5).collect::<Vec<_>>());
    // The ledger ends in the middle: what has no outcome there has an intent there.
    let all = behind.recorder.all();
    let intents: BTreeSet<Seq> = all.of(RecordKind::CallIntent).iter().map(|record| record.seq).collect();
    ensure!(
        behind.requests.lock().iter().all(|request| request.intent.is_some_and(|intent| intents.contains(&intent))),
        "a request off the record"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_nobody_waits_for_leaves_what_it_has_said() -> Result<()> {
    let bench = puppet_bench(settings()).await?;
    let _never = bench.upstream.hold(CUSTOMERS);
    let acts = [json!({"do": "log", "text": "said before"}), json!({"do": CUSTOMERS, "id": CUSTOMER})];
    let spec = puppet(&bench, json!({ "acts": acts })).grant(CUSTOMERS, &[("id", is(CUSTOMER))])?.spec;
    let (id, sandbox) = (spec.id.clone(), Arc::clone(&bench.sandbox));
    let waiting = tokio::spawn(async move { sandbox.run(spec).await });
    bench.recorder.until(|records| records.iter().any(|record| record.kind == RecordKind::CallIntent)).await;
    waiting.abort();
    ensure!(waiting.await.is_err_and(|error| error.is_cancelled()), "it was over before");
    bench.sandbox.settled().await;
    let kept = bench.recorder.of_task(&id);
    use RecordKind::{CallIntent, CallOutcome as Outcome, GrantIssued, TaskEnded, TaskStarted, TaskTranscript};
    ensure!(kept.kinds() == [TaskStarted, GrantIssued, CallIntent, Outcome, TaskTranscript, TaskEnded], "{:?}", kept.kinds());
    ensure!(kept.of(TaskTranscript)[0].payload.to_string().contains("said before"), "{:?}", kept.of(TaskTranscript));
    ensure!(kept.end() == "cancelled", "{}", kept.end());
    Ok(())
}
