//! The critical path, and where the time on it went.

use std::collections::BTreeSet;
use std::time::Duration;

use bailiwick_core::ids::StepPath;
use bailiwick_core::plan::Plan;

use super::{PathEntry, RunTime};
use crate::executor::trace::{StepTrace, Trace};
use crate::micros;

/// Finds the steps that the end of the run waited for: the last one to be settled, the last one that it waited for, and so on.
pub(crate) fn critical(plan: &Plan, trace: &Trace) -> Vec<PathEntry> {
    let mut path = Vec::new();
    let mut next = latest(trace.steps.keys().filter_map(|step| entry(trace, step)));
    while let Some(found) = next {
        let step = found.step.clone();
        path.push(found);
        next = latest(waited_for(plan, trace, &step).into_iter());
    }
    let mut path: Vec<PathEntry> = path.into_iter().map(|found| found.entry).collect();
    path.reverse();
    path
}

/// The steps with attempts that a step waited for, looking through those that were skipped.
fn waited_for(plan: &Plan, trace: &Trace, step: &StepPath) -> Vec<Settled> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([step]);
    let mut open = vec![step];
    while let Some(at) = open.pop() {
        for need in plan.nodes.get(at).into_iter().flat_map(|node| node.needs().keys()) {
            if !seen.insert(need) {
                continue;
            }
            match entry(trace, need) {
                Some(entry) => found.push(entry),
                None => open.push(need),
            }
        }
    }
    found
}

/// A step with attempts, and as which of all it was settled.
struct Settled {
    step: StepPath,
    place: usize,
    entry: PathEntry,
}

fn entry(trace: &Trace, step: &StepPath) -> Option<Settled> {
    let times = trace.steps.get(step)?;
    let (start, end) = (times.attempts.first()?.start, times.settled?);
    let entry = PathEntry { step: step.clone(), start_us: micros(start), end_us: micros(end) };
    Some(Settled { step: step.clone(), place: times.place, entry })
}

fn latest(found: impl Iterator<Item = Settled>) -> Option<Settled> {
    found.max_by_key(|settled| settled.place)
}

/// Splits the total. Where clocks disagree by a little, the host's share takes it.
pub(crate) fn time(path: &[PathEntry], trace: &Trace, total: Duration) -> RunTime {
    let mut time = RunTime { total_us: micros(total), disk_us: micros(trace.disk), ..RunTime::default() };
    for times in path.iter().filter_map(|entry| trace.steps.get(&entry.step)) {
        add(&mut time, times);
    }
    time.host_us = time.total_us.saturating_sub(time.agents_us).saturating_sub(time.disk_us).saturating_sub(time.backoff_us);
    time
}

fn add(time: &mut RunTime, step: &StepTrace) {
    for report in step.attempts.iter().filter_map(|attempt| attempt.report.as_ref()) {
        let usage = &report.usage;
        time.disk_us += usage.disk_us;
        time.agents_us += usage.time_us.saturating_sub(usage.disk_us).saturating_sub(usage.setup_us);
    }
    for (before, after) in step.attempts.iter().zip(step.attempts.iter().skip(1)) {
        time.backoff_us += before.end.map_or(0, |end| micros(after.start.saturating_sub(end)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bailiwick_core::plan::{AgentNode, Edge, Node, PLAN_FORMAT, StepLimits, ValueTemplate};
    use bailiwick_core::runner::{EndReason, TaskOutcome, TaskReport, Usage};
    use serde_json::json;

    use super::*;
    use crate::executor::trace::AttemptTrace;

    fn plan(steps: &[(&str, &[&str])]) -> Plan {
        let node = |needs: &[&str]| {
            Node::Agent(Box::new(AgentNode {
                agent: "x".into(),
                input_schema: json!({}),
                output_schema: json!({}),
                with: ValueTemplate::Value(json!({})),
                may: Vec::new(),
                when: None,
                needs: needs.iter().map(|need| ((*need).into(), Edge::Value)).collect(),
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
            nodes: steps.iter().map(|(name, needs)| ((*name).into(), node(needs))).collect(),
            output: ValueTemplate::Value(json!(null)),
        }
    }

    fn ran(times: &[(u64, u64)]) -> StepTrace {
        let attempt = |(index, (start, end)): (usize, &(u64, u64))| AttemptTrace {
            attempt: u32::try_from(index).unwrap() + 1,
            agent: "x".into(),
            start: Duration::from_micros(*start),
            end: Some(Duration::from_micros(*end)),
            report: Some(TaskReport {
                outcome: TaskOutcome::Ended(EndReason::Trap(String::new())),
                component: None,
                usage: Usage { time_us: end - start, disk_us: 3, setup_us: 2, ..Usage::default() },
                grants: Vec::new(),
                calls: Vec::new(),
                denied_calls: 0,
                labels: Default::default(),
                log: Vec::new(),
            }),
        };
        let end = times.last().map_or(0, |(_, end)| end + 1);
        let settled = Some(Duration::from_micros(end));
        StepTrace { attempts: times.iter().enumerate().map(attempt).collect(), settled, place: usize::try_from(end).unwrap() }
    }

    #[test]
    fn the_path_goes_through_what_was_waited_for_longest() {
        let plan = plan(&[("a", &[]), ("b", &[]), ("skipped", &["a", "b"]), ("mail", &["skipped"]), ("side", &[])]);
        let skipped = StepTrace { attempts: Vec::new(), settled: Some(Duration::from_micros(60)), place: 60 };
        let steps: BTreeMap<StepPath, StepTrace> = [
            ("a".into(), ran(&[(10, 30)])),
            ("b".into(), ran(&[(10, 20), (40, 50)])),
            ("skipped".into(), skipped),
            ("mail".into(), ran(&[(60, 100)])),
            ("side".into(), ran(&[(10, 90)])),
        ]
        .into();
        let trace = Trace { steps, disk: Duration::from_micros(7) };
        let path = critical(&plan, &trace);
        let names: Vec<_> = path.iter().map(|entry| entry.step.as_str()).collect();
        assert_eq!(names, ["b", "mail"]);
        let time = time(&path, &trace, Duration::from_micros(130));
        // Attempts of 10, 10 and 40, each less 3 of disk and 2 of setup.
        assert_eq!((time.agents_us, time.disk_us, time.backoff_us), (45, 16, 20));
        assert_eq!(time.host_us, 130 - 45 - 16 - 20);
    }

    #[test]
    fn a_run_in_which_nothing_ran_has_no_path() {
        let trace = Trace::default();
        assert_eq!(critical(&plan(&[("a", &[])]), &trace), []);
        assert_eq!(time(&[], &trace, Duration::from_micros(5)).host_us, 5);
    }
}
