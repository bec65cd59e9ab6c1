//! What a reviewer should look at.

use bailiwick_core::policy::Prospect;
use serde::Serialize;

use super::{Lens, PERSONAL, Reach, StepReach, UNTRUSTED};

/// Data levels at which an agent is meant to see personal data.
const FOR_PERSONAL: &[&str] = &["personal", "secret"];

/// Something that a reviewer should look at. It is no mistake of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Which kind: `final-without-approval`, `data-level`, `never-permitted`, `no-undo`.
    pub kind: &'static str,
    /// Where and what, for people.
    pub message: String,
}

pub(super) fn of(reach: &Reach, lens: &Lens<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for end in &reach.finals {
        let is_untrusted = reach.steps.iter().any(|step| step.step == end.step && step.holds.contains(UNTRUSTED));
        let text = if is_untrusted { ", after text that anybody may have written" } else { "" };
        let message = format!("step {}: `{}` cannot be undone, and nobody approves it{text}", end.step, end.operation);
        findings.push(Finding { kind: "final-without-approval", message });
    }
    for step in &reach.steps {
        findings.extend(data_level(step, lens));
        for grant in &step.grants {
            for (agent, prospect) in &grant.policy {
                if let Prospect::Never { reason, .. } = prospect {
                    let message = format!(
                        "step {}: `{}` is granted and never permitted to `{agent}`, so no task of it starts: {reason}",
                        step.step, grant.operation
                    );
                    findings.push(Finding { kind: "never-permitted", message });
                }
            }
            if grant.undo.as_deref() == Some("none") && grant.is_possible() {
                let message = format!("step {}: `{}` is a write that the host cannot undo", step.step, grant.operation);
                findings.push(Finding { kind: "no-undo", message });
            }
        }
    }
    findings
}

/// The policy looks at what an agent calls; what others have read reaches it by their answers.
fn data_level(step: &StepReach, lens: &Lens<'_>) -> Vec<Finding> {
    let is_personal = |label: &String| label == PERSONAL || label == "pii";
    let from: Vec<String> =
        step.receives.iter().filter(|(_, classes)| classes.iter().any(is_personal)).map(|(from, _)| from.to_string()).collect();
    let low =
        step.agents.iter().filter_map(|agent| lens.agents.agent(agent)).filter(|info| !FOR_PERSONAL.contains(&info.data_level.as_str()));
    let message = |info: std::sync::Arc<bailiwick_core::runner::AgentInfo>| Finding {
        kind: "data-level",
        message: format!(
            "step {}: `{}` is meant for {} data, and answers that may rest on personal data reach it (from {})",
            step.step,
            info.name,
            info.data_level,
            from.join(", ")
        ),
    };
    if from.is_empty() { Vec::new() } else { low.map(message).collect() }
}
