//! What a task's end means: an answer, or a failure of one class, and whether another attempt is safe.

use std::sync::Arc;

use bailiwick_core::capability::{Dedupe, Effect};
use bailiwick_core::event::{Cause, Failure, FailureClass};
use bailiwick_core::ids::AgentName;
use bailiwick_core::limits::LimitKind;
use bailiwick_core::plan::{GrantTemplate, RetryOn};
use bailiwick_core::runner::{Answer, EndReason, FailureKind, TaskOutcome, TaskReport};
use bailiwick_core::text::is_active;
use bailiwick_schema::Schema;
use serde_json::Value;

use crate::compiled::CompiledStep;

/// Results of calls of which it is certain that nothing happened outside.
const NOTHING_HAPPENED: &[&str] =
    &["denied", "revoked", "budget", "needs-approval", "invalid", "not-found", "conflict", "rate-limited", "unavailable"];
/// Those of them that the gate gives before any connector is called.
const NEVER_LEFT: &[&str] = &["denied", "revoked", "budget", "needs-approval"];

/// Longest text of an agent that a failure keeps, in characters.
pub const MAX_MESSAGE_CHARS: usize = 2_000;

/// Checks a task's answer against what the workflow was checked with, which may be another version's schema than the sandbox knows.
pub(crate) async fn fits(output: &Arc<Schema>, report: &TaskReport) -> Result<(), String> {
    let TaskOutcome::Answered(answer) = &report.outcome else { return Ok(()) };
    checked(output, &answer.output).await
}

/// Checks a value: on a thread of its own where that may take long, since others wait for this one.
pub(crate) async fn checked(schema: &Arc<Schema>, value: &Value) -> Result<(), String> {
    if !schema.is_costly(value) {
        return schema.check(value);
    }
    let (schema, value) = (Arc::clone(schema), value.clone());
    let done = tokio::task::spawn_blocking(move || schema.check(&value));
    done.await.unwrap_or_else(|error| Err(format!("checking it failed: {error}")))
}

/// Reads a task's report: its answer, if it has one and it [`fits`].
pub(crate) fn judge(step: &CompiledStep, agent: &AgentName, report: &TaskReport, fits: Result<(), String>) -> Result<Answer, Failure> {
    let (class, cause) = match &report.outcome {
        TaskOutcome::Answered(answer) => match fits {
            Ok(()) => return Ok(answer.clone()),
            Err(message) => (FailureClass::AgentFault, Cause::Answer { message: clean(&message) }),
        },
        TaskOutcome::Ended(EndReason::InvalidInput(message)) => {
            (FailureClass::Planning, Cause::Input { agent: agent.clone(), message: clean(message) })
        }
        TaskOutcome::Failed { kind, message } => (class_of_kind(*kind, report), Cause::Agent { kind: *kind, message: clean(message) }),
        TaskOutcome::Ended(reason) => (class_of_end(reason), Cause::Ended(reason.clone())),
    };
    let class = after_denials(class, report);
    let labels = match &report.outcome {
        TaskOutcome::Answered(answer) => answer.labels.clone(),
        TaskOutcome::Failed { .. } | TaskOutcome::Ended(_) => report.labels.clone(),
    };
    Err(Failure { class, cause, unrepeatable: unrepeatable(step, report), labels })
}

/// Takes out of an agent's text what a terminal would obey, and bounds it: it is shown to people, in cards too. The report has all of it.
fn clean(text: &str) -> String {
    let mut clean: String = text.chars().take(MAX_MESSAGE_CHARS).map(|c| if is_active(c) { ' ' } else { c }).collect();
    if text.chars().nth(MAX_MESSAGE_CHARS).is_some() {
        clean.push('…');
    }
    clean
}

fn class_of_end(reason: &EndReason) -> FailureClass {
    match reason {
        EndReason::Limit { .. } | EndReason::Overloaded(_) => FailureClass::Limit,
        EndReason::Trap(_) | EndReason::InvalidAnswer(_) => FailureClass::AgentFault,
        EndReason::DeniedWithoutError(_) | EndReason::GrantDenied { .. } => FailureClass::Denied,
        EndReason::NoAgent(_) | EndReason::InvalidInput(_) => FailureClass::Planning,
        EndReason::Ledger(_) => FailureClass::Ledger,
        EndReason::Internal(_) => FailureClass::Internal,
    }
}

/// A denial decides the class, whatever came after it: an agent that is refused must not be able to have itself tried again, by another call that
/// fails or by a trap. What the host itself could not do, and what a person has to decide, stay what they are.
fn after_denials(class: FailureClass, report: &TaskReport) -> FailureClass {
    let is_kept = matches!(class, FailureClass::NeedsHuman | FailureClass::Ledger | FailureClass::Internal);
    if report.denied_calls > 0 && !is_kept { FailureClass::Denied } else { class }
}

/// What an agent says is for people; the class follows from what the host saw of its calls.
fn class_of_kind(kind: FailureKind, report: &TaskReport) -> FailureClass {
    match kind {
        FailureKind::InvalidInput | FailureKind::NotMine => return FailureClass::Planning,
        FailureKind::NeedsHuman => return FailureClass::NeedsHuman,
        FailureKind::Retryable | FailureKind::Permanent => {}
    }
    let last = report.calls.iter().rev().find(|call| call.result != "ok");
    match last.map(|call| call.result.as_str()) {
        Some("denied" | "revoked" | "needs-approval") => FailureClass::Denied,
        Some("budget") => FailureClass::Limit,
        Some("unavailable" | "timeout" | "bad-upstream" | "rate-limited" | "indeterminate") => FailureClass::Upstream,
        _ => FailureClass::AgentFault,
    }
}

/// Finds an operation that may have happened and whose repeat nobody would recognise.
fn unrepeatable(step: &CompiledStep, report: &TaskReport) -> Option<String> {
    let is_unrepeatable = |grant: &&GrantTemplate| grant.effect != Effect::Read && matches!(grant.dedupe, None | Some(Dedupe::None));
    step.node
        .may
        .iter()
        .filter(is_unrepeatable)
        .map(|grant| grant.operation.to_short())
        .find(|operation| may_have_happened(operation, report))
}

fn may_have_happened(operation: &str, report: &TaskReport) -> bool {
    let calls = report.calls.iter().filter(|call| call.operation == operation);
    let results: Vec<&str> = calls.map(|call| call.result.as_str()).collect();
    if results.iter().any(|result| !NOTHING_HAPPENED.contains(result)) {
        return true;
    }
    // A call that reached the connector and is not among the results was cut off, or is beyond the calls that a report lists.
    let left: u64 = report.grants.iter().filter(|used| used.operation == operation).map(|used| used.calls).sum();
    let told = results.iter().filter(|result| !NEVER_LEFT.contains(result)).count();
    left > told as u64
}

/// Whether a failure is one that a retry is for.
pub(crate) fn is_retryable(failure: &Failure, on: &[RetryOn]) -> bool {
    // A denial is final, whatever the agent makes of it.
    on.contains(&RetryOn::Retryable)
        && failure.class != FailureClass::Denied
        && matches!(
            failure.cause,
            Cause::Agent { kind: FailureKind::Retryable, .. }
                | Cause::Ended(EndReason::Limit { limit: LimitKind::Deadline, .. } | EndReason::Trap(_) | EndReason::Overloaded(_))
        )
}

/// Whether another agent may do better: not where a person has to decide, where access was refused, or where no agent was asked.
pub(crate) fn is_for_alternate(failure: &Failure) -> bool {
    !matches!(failure.class, FailureClass::Denied | FailureClass::NeedsHuman | FailureClass::Ledger | FailureClass::Expression)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::ids::GrantId;
    use bailiwick_core::runner::{CallSummary, GrantUse, Usage};

    fn report(results: &[&str], calls: u64) -> TaskReport {
        let call = |result: &&str| CallSummary {
            operation: "notify/messages.send".to_owned(),
            result: (*result).to_owned(),
            detail: None,
            time_us: 1,
            artifacts: Vec::new(),
        };
        TaskReport {
            outcome: TaskOutcome::Failed { kind: FailureKind::Retryable, message: "x".to_owned() },
            component: None,
            usage: Usage::default(),
            grants: vec![GrantUse { id: GrantId::from("g"), operation: "notify/messages.send".to_owned(), calls }],
            calls: results.iter().map(call).collect(),
            denied_calls: 0,
            labels: Default::default(),
            log: Vec::new(),
        }
    }

    #[test]
    fn what_may_have_happened_is_never_taken_for_nothing() {
        let happened = |results: &[&str], calls| may_have_happened("notify/messages.send", &report(results, calls));
        assert!(!happened(&[], 0));
        assert!(!happened(&["unavailable"], 1));
        assert!(!happened(&["denied", "unavailable"], 1));
        assert!(happened(&["ok"], 1));
        assert!(happened(&["unavailable", "ok"], 2));
        assert!(happened(&["timeout"], 1));
        assert!(happened(&["indeterminate"], 1));
        assert!(happened(&["a case of tomorrow"], 1));
        // Cut off in the middle, or denied after the connector had answered.
        assert!(happened(&[], 1));
        assert!(happened(&["unavailable"], 2));
        assert!(happened(&["denied"], 1));
    }

    #[test]
    fn an_agents_text_is_bounded_and_harmless() {
        assert_eq!(clean("a\u{1b}[2J\u{9b}x\nb\u{202e}c\u{e0041}"), "a [2J x b c ");
        assert_eq!(clean(&"é".repeat(MAX_MESSAGE_CHARS)).chars().count(), MAX_MESSAGE_CHARS);
        assert_eq!(clean(&"é".repeat(MAX_MESSAGE_CHARS + 1)).chars().last(), Some('…'));
    }

    #[test]
    fn the_class_is_what_the_host_saw() {
        let class = |kind, results: &[&str]| class_of_kind(kind, &report(results, 1));
        assert_eq!(class(FailureKind::Permanent, &["ok", "denied"]), FailureClass::Denied);
        assert_eq!(class(FailureKind::Retryable, &["unavailable", "ok"]), FailureClass::Upstream);
        assert_eq!(class(FailureKind::Permanent, &["budget"]), FailureClass::Limit);
        assert_eq!(class(FailureKind::Retryable, &[]), FailureClass::AgentFault);
        assert_eq!(class(FailureKind::NeedsHuman, &["denied"]), FailureClass::NeedsHuman);
    }

    #[test]
    fn a_denial_cannot_be_hidden_behind_what_came_after_it() {
        let class = |class, denied_calls| after_denials(class, &TaskReport { denied_calls, ..report(&["unavailable"], 1) });
        for after in [FailureClass::Upstream, FailureClass::AgentFault, FailureClass::Limit, FailureClass::Planning] {
            assert_eq!(class(after, 0), after);
            assert_eq!(class(after, 1), FailureClass::Denied);
        }
        for kept in [FailureClass::NeedsHuman, FailureClass::Ledger, FailureClass::Internal] {
            assert_eq!(class(kept, 1), kept);
        }
    }

    #[test]
    fn retries_are_for_what_may_pass() {
        let failure = |class, cause| Failure { class, cause, unrepeatable: None, labels: Default::default() };
        let agent = |kind| Cause::Agent { kind, message: String::new() };
        let limit = |limit| Cause::Ended(EndReason::Limit { limit, detail: String::new() });
        let on = [RetryOn::Retryable];
        for (expected, class, cause) in [
            (true, FailureClass::Upstream, agent(FailureKind::Retryable)),
            (false, FailureClass::Denied, agent(FailureKind::Retryable)),
            (false, FailureClass::Upstream, agent(FailureKind::Permanent)),
            (true, FailureClass::Limit, limit(LimitKind::Deadline)),
            (false, FailureClass::Limit, limit(LimitKind::Fuel)),
            (true, FailureClass::AgentFault, Cause::Ended(EndReason::Trap("unreachable".to_owned()))),
            (true, FailureClass::Limit, Cause::Ended(EndReason::Overloaded(String::new()))),
            (false, FailureClass::AgentFault, Cause::Ended(EndReason::InvalidAnswer(String::new()))),
        ] {
            let failure = failure(class, cause);
            assert_eq!(is_retryable(&failure, &on), expected, "{failure:?}");
            assert!(!is_retryable(&failure, &[]));
        }
    }
}
