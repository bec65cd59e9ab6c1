//! The place of the policy: it decides when grants are issued and at each call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capability::Operation;
use crate::grant::{Grant, GrantRequest};
use crate::ids::{AgentName, PolicyVersion, RunId, StepPath, TenantId, WorkflowName};

/// Who asked for a run. Authenticated at the edge; attributes are what the policy may look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Requester {
    /// Name, for example `local:anna` or `channel:web-shop`.
    pub id: String,
    /// The tenant on whose data the requester may act.
    pub tenant: TenantId,
    /// Further facts, for example `kind = "service-channel"`.
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// On whose behalf and where a decision is asked for.
#[derive(Debug, Clone)]
pub struct PolicyContext {
    /// Who asked for the run.
    pub requester: Arc<Requester>,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// The agent.
    pub agent: AgentName,
    /// Version of the agent.
    pub agent_version: String,
}

/// A yes of the policy. Only [`Decision::permit`] makes one, so a grant without a decision cannot exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    rules: Vec<String>,
    policy_version: PolicyVersion,
}

impl Permit {
    /// Gives the rules that permitted.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Gives the policy version that permitted.
    pub fn policy_version(&self) -> &PolicyVersion {
        &self.policy_version
    }
}

/// What the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Permit(Permit),
    /// No.
    Forbid {
        /// The rules that forbade; empty where none permitted.
        rules: Vec<String>,
        /// The policy version that forbade.
        policy_version: PolicyVersion,
        /// Why, for the operator.
        reason: String,
    },
}

impl Decision {
    /// Makes a yes. For implementations of [`PolicyEngine`].
    pub fn permit(rules: Vec<String>, policy_version: PolicyVersion) -> Self {
        Self::Permit(Permit { rules, policy_version })
    }
}

/// Decides. Any error while deciding is a [`Decision::Forbid`].
pub trait PolicyEngine: Send + Sync {
    /// Gives the version in force. When it is not the one that a grant names, the gate has the grant re-issued or denies.
    fn version(&self) -> PolicyVersion;

    /// Decides whether a grant may be issued.
    fn at_issue(&self, context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Decision;

    /// Decides a call whose arguments have passed the grant. `None` means: no rule that concerns the operation reads arguments, what was
    /// decided at issue holds.
    fn at_call(&self, context: &PolicyContext, operation: &Operation, grant: &Grant, args: &Value) -> Option<Decision>;
}

/// The rule that permits what the step gives, and says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepRule;

impl StepRule {
    /// Name of the rule, as it stands in the ledger.
    pub const RULE: &'static str = "step-gives";
    /// Version under which the rule stands in the ledger.
    pub const VERSION: &'static str = "step-rule/1";

    #[cfg(test)]
    pub(crate) fn permit_for_tests(self) -> Decision {
        Decision::permit(vec![Self::RULE.to_owned()], Self::VERSION.into())
    }
}

impl PolicyEngine for StepRule {
    fn version(&self) -> PolicyVersion {
        Self::VERSION.into()
    }

    fn at_issue(&self, _: &PolicyContext, _: &Operation, _: &GrantRequest) -> Decision {
        Decision::permit(vec![Self::RULE.to_owned()], self.version())
    }

    fn at_call(&self, _: &PolicyContext, _: &Operation, _: &Grant, _: &Value) -> Option<Decision> {
        None
    }
}
