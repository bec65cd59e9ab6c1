//! Grants: what lies outside is denied before any connector hears of it, is on record, and tells the guest nothing.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::act::Act;
use bailiwick_core::capability::Operation;
use bailiwick_core::grant::{Condition, Grant, GrantRequest};
use bailiwick_core::ids::{AgentName, PolicyVersion};
use bailiwick_core::limits::ByteCount;
use bailiwick_core::policy::{ActDecision, CallFacts, Decision, Opening, PolicyContext, PolicyEngine, Requester, StepRule};
use bailiwick_core::record::{CallOutcome, RecordKind, Verdict};
use bailiwick_core::runner::EndReason;
use bailiwick_test_artifacts::{self as artifacts, Artifact, assert_every_grants};
use bailiwick_test_host::upstream::{CUSTOMER, ORDER};
use bailiwick_test_host::{Bench, Kept, Settings, answered, ended};
use parking_lot::Mutex;
use serde_json::json;

use crate::foreseen::{grants_tries_everything, grants_tries_everything_internal};
use crate::{bench, settings};

assert_every_grants!();

const DENIED: Option<CallOutcome> = Some(CallOutcome::Denied);

/// The grant of one customer's record.
fn own() -> [(&'static str, Condition); 1] {
    [("id", Condition::Equals(json!(CUSTOMER)))]
}

/// Checks that every denial has its reference on record, says who decided, and that guests and envelopes learn nothing of what was asked.
fn assert_denials(kept: &Kept, rule: &str, count: usize) -> Result<()> {
    let denials: Vec<_> = kept.of(RecordKind::CallOutcome).into_iter().filter(|record| record.fields.outcome == DENIED).collect();
    ensure!(denials.len() == count, "{} denials are on record, {count} were expected", denials.len());
    for denial in denials {
        let fields = &denial.fields;
        ensure!(fields.rule.as_deref() == Some(rule) && fields.decision == Some(Verdict::Forbid), "{fields:?}");
        ensure!(fields.reference.as_deref().is_some_and(|reference| reference.starts_with("ref-")), "{fields:?}");
        ensure!(fields.intent.is_none(), "a denied call has an intent: {fields:?}");
        ensure!(!serde_json::to_string(fields)?.contains("C-2000"), "an envelope names a subject: {fields:?}");
    }
    Ok(())
}

/// Runs a guest that holds the grant of [`CUSTOMER`] and asks for others: all but `permitted` calls are denied, and each is a security event.
async fn assert_only_own(artifact: &Artifact, asked: usize, permitted: usize) -> Result<()> {
    let bench = bench().await?;
    let task = bench.task(artifact).await?.input(json!({"id": CUSTOMER})).grant("crm/customers.get", &own())?;
    let id = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    let expected: Vec<&str> = (0..asked).map(|n| if n < permitted { "ok" } else { "denied" }).collect();
    ensure!(answered(&report)?.output.get("results") == Some(&json!(expected)), "{:?}", report.outcome);
    assert_denials(&kept, "grant-conditions", asked - permitted)?;
    ensure!(kept.security_events() == vec!["call-outside-grant"; asked - permitted], "{:?}", kept.security_events());
    let reached = bench.upstream.of_task(&id);
    ensure!(reached.len() == permitted && reached.iter().all(|call| call.args.get("id") == Some(&json!(CUSTOMER))), "{reached:?}");
    ensure!(kept.of(RecordKind::CallIntent).len() == permitted, "{:?}", kept.kinds());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_another_customer() -> Result<()> {
    // Just inside: the own one. Just outside: one that exists and one that does not, with the same answer.
    assert_only_own(&artifacts::GRANTS_ANOTHER_CUSTOMER, 3, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_empty_id() -> Result<()> {
    assert_only_own(&artifacts::GRANTS_EMPTY_ID, 3, 0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_case_variant() -> Result<()> {
    assert_only_own(&artifacts::GRANTS_CASE_VARIANT, 5, 0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_list_all() -> Result<()> {
    assert_only_own(&artifacts::GRANTS_LIST_ALL, 8, 0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_foreign_order() -> Result<()> {
    let bench = bench().await?;
    let draft = bench.task(&artifacts::GRANTS_FOREIGN_ORDER).await?.input(json!({"id": ORDER}));
    let draft = draft.grant_with("orders/orders.get", &[("id", Condition::Any)], |request| request.owner = Some(CUSTOMER.to_owned()))?;
    let (report, kept) = bench.run_beside_neighbours(draft.spec).await?;
    let output = &answered(&report)?.output;
    ensure!(output["results"] == json!(["not-found", "not-found", "ok"]), "{output}");
    // Foreign and unknown look the same, to the letter.
    ensure!(output["text"] == format!("Error::NotFound;Error::NotFound;{CUSTOMER}"), "{output}");
    let expected = [(DENIED, "owner".to_owned()), (Some(CallOutcome::Error), String::new()), (Some(CallOutcome::Ok), String::new())];
    ensure!(kept.outcomes() == expected, "{:?}", kept.outcomes());
    ensure!(kept.security_events() == ["foreign-owner"], "{:?}", kept.security_events());
    let first = kept.of(RecordKind::CallOutcome)[0];
    ensure!(!first.payload.to_string().contains("C-2000"), "somebody else's order lies under this subject: {}", first.payload);
    Ok(())
}

/// What a foreign answer costs would tell that it exists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_answer_uses_no_budget_of_bytes() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::GRANTS_FOREIGN_ORDER).await?;
    for bytes_in in [300, 500, 700, 900] {
        let draft = bench.task_of("grants-foreign-order").input(json!({"id": "O-405"}));
        let draft = draft.grant_with("orders/orders.get", &[("id", Condition::Any)], |request| {
            request.owner = Some(CUSTOMER.to_owned());
            request.budgets.bytes_in = ByteCount(bytes_in);
        })?;
        let used = Arc::clone(&draft.spec.wants[0].used);
        let (report, _) = draft.run().await;
        ensure!(answered(&report)?.output["results"] == json!(["not-found", "not-found", "not-found"]), "{bytes_in}: {:?}", report.outcome);
        let left = used.bytes_in_left(&draft.spec.wants[0].request.budgets);
        ensure!(left == bytes_in, "{left} of {bytes_in} bytes are left after calls that gave nothing");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_ungranted_operation() -> Result<()> {
    let bench = bench().await?;
    let task =
        bench.task(&artifacts::GRANTS_UNGRANTED_OPERATION).await?.input(json!({"id": CUSTOMER})).grant("crm/customers.get", &own())?;
    let id = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    ensure!(answered(&report)?.output["results"] == json!(["ok", "denied", "denied"]), "{:?}", report.outcome);
    assert_denials(&kept, "no-grant", 2)?;
    ensure!(kept.security_events() == ["call-outside-grant", "call-outside-grant"], "{:?}", kept.security_events());
    let reached: Vec<String> = bench.upstream.of_task(&id).into_iter().map(|call| call.operation).collect();
    ensure!(reached == ["crm/customers.get"], "{reached:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_more_calls_than_budget() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::GRANTS_MORE_CALLS_THAN_BUDGET).await?;
    for (budget, of_three) in [(4, ["ok", "ok", "ok"]), (3, ["ok", "ok", "ok"]), (2, ["ok", "ok", "budget-budgetkind::calls"])] {
        let note = [("customer", Condition::Equals(json!(CUSTOMER))), ("text", Condition::Any)];
        let draft = bench.task_of("grants-more-calls-than-budget").input(json!({"id": CUSTOMER, "count": 3}));
        let draft = draft.grant_with("crm/customers.get", &own(), |request| request.budgets.calls = budget)?;
        let draft = draft.grant_with("crm/notes.append", &note, |request| request.budgets.calls = budget)?;
        let id = draft.spec.id.clone();
        let second = draft.next_attempt();
        let (report, kept) = bench.run_beside_neighbours(draft.spec).await?;
        let expected: Vec<&str> = of_three.into_iter().chain(of_three).collect();
        let seen = answered(&report)?.output["results"].clone();
        ensure!(seen == json!(expected), "{budget}: {seen}");
        let refused = expected.iter().filter(|result| result.starts_with("budget")).count();
        ensure!(
            kept.outcomes().iter().filter(|(outcome, rule)| *outcome == DENIED && rule == "budget").count() == refused,
            "{:?}",
            kept.outcomes()
        );
        ensure!(kept.security_events().is_empty(), "a budget that is used up is no attack: {:?}", kept.security_events());
        ensure!(bench.upstream.of_task(&id).len() == 6 - refused, "{budget} calls were granted");
        // Over all attempts: reads go on counting, effects of the same ordinal are the same effect.
        let report = bench.sandbox.run(second).await;
        let seen = answered(&report)?.output["results"].clone();
        let reads_left = usize::try_from(budget)?.saturating_sub(3);
        let reads = (0..3).map(|n| if n < reads_left { "ok" } else { "budget-budgetkind::calls" });
        ensure!(seen == json!(reads.chain(of_three).collect::<Vec<_>>()), "{budget}, second attempt: {seen}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_denied_flood() -> Result<()> {
    let bench = Bench::open(Settings { threads: 1, ..settings() }).await?;
    bench.recorder.press_from(500);
    let draft = bench.task(&artifacts::GRANTS_DENIED_FLOOD).await?.input(json!({"count": 5_000, "text": "x".repeat(1_000)}));
    let task = draft.grant("crm/customers.get", &own())?;
    let id = task.spec.id.clone();
    let (report, kept) = bench.run_beside_neighbours(task.spec).await?;
    ensure!(answered(&report)?.output["count"] == 5_000, "{:?}", report.outcome);
    assert_denials(&kept, "grant-conditions", 5_000)?;
    ensure!(kept.security_events().len() == 5_000, "{}", kept.security_events().len());
    ensure!(bench.upstream.of_task(&id).is_empty(), "a denied call reached the upstream");
    let bytes: usize = kept
        .of(RecordKind::CallOutcome)
        .iter()
        .filter(|record| !record.payload.is_null())
        .map(|record| record.payload.to_string().len())
        .sum();
    ensure!(bytes < 1 << 20, "{bytes} bytes of what was denied were kept");
    // A guest must not fill the host's memory with records that wait for a slow disk.
    ensure!(bench.recorder.waiting_most() < 600, "{} records waited for the disk", bench.recorder.waiting_most());
    ensure!(report.calls.len() <= 1_000, "the account shows {} calls", report.calls.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_argument_that_no_condition_mentions_is_refused() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::GRANTS_MORE_CALLS_THAN_BUDGET).await?;
    let draft = bench.task_of("grants-more-calls-than-budget").input(json!({"id": CUSTOMER, "count": 1}));
    let draft = draft.grant("crm/customers.get", &own())?.grant("crm/notes.append", &[("customer", Condition::Equals(json!(CUSTOMER)))])?;
    let (report, kept) = draft.run().await;
    ensure!(answered(&report)?.output["results"] == json!(["ok", "denied"]), "{:?}", report.outcome);
    assert_denials(&kept, "grant-conditions", 1)?;
    ensure!(kept.security_events().is_empty(), "it names nobody else: {:?}", kept.security_events());
    Ok(())
}

/// A policy that can be changed while tasks run.
#[derive(Default)]
pub(crate) struct Changing {
    pub(crate) forbids: Mutex<bool>,
    /// The agent that it forbids anything to; all of them where it is missing.
    pub(crate) forbids_only: Mutex<Option<AgentName>>,
    at_issue: Mutex<bool>,
}

impl PolicyEngine for Changing {
    fn version(&self) -> PolicyVersion {
        if *self.forbids.lock() { "2".into() } else { "1".into() }
    }

    fn at_issue(&self, context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Decision {
        let concerned = self.forbids_only.lock().as_ref().is_none_or(|name| *name == context.agent.name);
        if concerned && (*self.forbids.lock() || *self.at_issue.lock()) {
            return Decision::Forbid {
                rules: vec!["no-reading".to_owned()],
                policy_version: self.version(),
                reason: "reading is over".to_owned(),
            };
        }
        match StepRule.at_issue(context, operation, request) {
            Decision::Permit(_) => Decision::permit(vec!["step-gives".to_owned()], self.version()),
            forbid => forbid,
        }
    }

    fn at_call(&self, context: &PolicyContext, operation: &Operation, grant: &Grant, _: &CallFacts<'_>) -> Option<Decision> {
        (self.version() != *grant.policy_version()).then(|| self.at_issue(context, operation, grant.scope()))
    }

    fn at_open(&self, requester: &Requester, opening: &Opening<'_>) -> Decision {
        StepRule.at_open(requester, opening)
    }

    fn stands(&self, grant: &Grant) -> bool {
        self.version() == *grant.policy_version()
    }

    fn at_undo(&self, context: &PolicyContext, operation: &Operation) -> Decision {
        StepRule.at_undo(context, operation)
    }

    fn administer(&self, requester: &Requester, act: &Act) -> ActDecision {
        StepRule.administer(requester, act)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_bites_at_the_next_call() -> Result<()> {
    let policy = Arc::new(Changing::default());
    let bench = Bench::open(Settings { policy: Arc::clone(&policy) as Arc<dyn PolicyEngine>, ..settings() }).await?;
    let gate = bench.upstream.hold("crm/customers.get");
    let draft = bench.task(&artifacts::GRANTS_MORE_CALLS_THAN_BUDGET).await?.input(json!({"id": CUSTOMER, "count": 1}));
    let note = [("customer", Condition::Equals(json!(CUSTOMER))), ("text", Condition::Any)];
    let draft = draft.grant("crm/customers.get", &own())?.grant("crm/notes.append", &note)?;
    let (id, spec) = (draft.spec.id.clone(), draft.spec.clone());
    let sandbox = Arc::clone(&bench.sandbox);
    let running = tokio::spawn(async move { sandbox.run(spec).await });
    bench.recorder.until(|records| records.iter().any(|record| record.kind == RecordKind::CallIntent)).await;
    // The read is under way under the old version: what comes back is not delivered. The write after it meets the new one.
    *policy.forbids.lock() = true;
    gate.add_permits(1);
    let report = running.await?;
    ensure!(answered(&report)?.output["results"] == json!(["revoked", "denied"]), "{:?}", report.outcome);
    ensure!(report.denied_calls == 2, "{} denials", report.denied_calls);
    let kept = bench.recorder.of_task(&id);
    ensure!(kept.outcomes() == vec![(DENIED, "no-reading".to_owned()); 2], "{:?}", kept.outcomes());
    ensure!(kept.security_events().iter().any(|event| event == "withdrawn-in-flight"), "{:?}", kept.security_events());
    ensure!(bench.upstream.effects("crm/notes.append") == 0, "the write took effect");

    let (report, kept) = draft.run_again().await;
    ensure!(
        matches!(ended(&report)?, EndReason::GrantDenied { operation, .. } if operation == "crm/customers.get"),
        "{:?}",
        report.outcome
    );
    ensure!(kept.end() == "grant-denied" && kept.of(RecordKind::GrantDenied).len() == 1, "{:?}", kept.kinds());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_fit_its_type_never_reaches_the_guest() -> Result<()> {
    let bench = bench().await?;
    bench.install(&artifacts::GRANTS_ANOTHER_CUSTOMER).await?;
    for wrong in [json!({"id": CUSTOMER}), json!("a text"), json!(null), json!({"id": CUSTOMER, "name": 7})] {
        bench.upstream.answer("crm/customers.get", Ok(wrong.clone()));
        let (report, kept) =
            bench.task_of("grants-another-customer").input(json!({"id": CUSTOMER})).grant("crm/customers.get", &own())?.run().await;
        ensure!(answered(&report)?.output["results"][0] == "bad-upstream", "{wrong}: {:?}", report.outcome);
        ensure!(kept.outcomes()[0].0 == Some(CallOutcome::Error), "{:?}", kept.outcomes());
    }
    Ok(())
}
