//! The place of the policy: it decides when a run is opened, when grants are issued, at each call, and on administrative acts.
//!
//! The life of a decision: [`PolicyEngine::at_open`] before a run exists, [`PolicyEngine::at_issue`] for each grant of a task,
//! [`PolicyEngine::at_call`] for each call under a grant, [`PolicyEngine::at_undo`] when the host undoes a write.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::act::Act;
use crate::capability::{Label, Operation};
use crate::grant::{Grant, GrantRequest};
use crate::ids::{AgentName, PolicyVersion, RunId, StepPath, SubjectId, TenantId, WorkflowName};

/// Who asked for a run, or for an administrative act. Authenticated at the edge; attributes are what the policy may look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Requester {
    /// Name, for example `local:anna` or `channel:web-shop`.
    pub id: String,
    /// The tenant on whose data the requester may act.
    pub tenant: TenantId,
    /// Further facts, for example `kind = "service-channel"`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// What a policy may look at of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgentFacts {
    /// Name.
    pub name: AgentName,
    /// Version.
    pub version: String,
    /// How far the operator trusts it, from 0 (not at all) upwards. 0 until somebody says otherwise.
    pub tier: u32,
    /// Highest class of data that it is meant to see: `public`, `internal`, `personal` or `secret`.
    pub data_level: String,
    /// How much harm a wrong answer does: `low`, `medium` or `high`.
    pub risk_class: String,
}

/// On whose behalf and where a decision is asked for. The same for all calls of a task.
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
    /// Which try, from 1.
    pub attempt: u32,
    /// The agent.
    pub agent: Arc<AgentFacts>,
    /// Whose data the run is about.
    pub subject: Option<SubjectId>,
    /// What the requester gave the run, where the host knows it. Values from it, and the subject, count as bound; nothing else does.
    pub run_input: Option<Arc<Value>>,
}

/// What is known only when a call is made.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// The arguments: an object by parameter name. They have passed the grant.
    pub args: &'a Value,
    /// Labels of everything that the task has read so far, its input included.
    pub labels: &'a BTreeSet<Label>,
    /// Calls counted under the grant so far, without this one.
    pub calls: u64,
    /// Bytes of arguments counted under the grant so far, without those of this call.
    pub bytes_out: u64,
}

/// The run that somebody wants to open.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The workflow.
    pub workflow: &'a WorkflowName,
    /// The tenant whose data the run would touch.
    pub tenant: &'a TenantId,
    /// Whose data the run would be about; `None` for a run about nobody.
    pub subject: Option<&'a SubjectId>,
}

/// A yes of the policy. Only [`Decision::permit`] makes one, so a grant without a decision cannot exist.
#[derive(Clone)]
pub struct Permit {
    rules: Vec<String>,
    policy_version: PolicyVersion,
    note: Option<Arc<dyn Any + Send + Sync>>,
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

    /// Replaces the rules that permitted, and keeps the engine's note: for a permit whose call was decided by other rules than its issue.
    #[must_use]
    pub fn with_rules(self, rules: Vec<String>) -> Self {
        Self { rules, ..self }
    }

    /// Adds what the engine wants to find again at each call under the permit: which of its states decided, and what is left to decide.
    #[must_use]
    pub fn with_note(self, note: Arc<dyn Any + Send + Sync>) -> Self {
        Self { note: Some(note), ..self }
    }

    /// Borrows the engine's note, where it is of this type.
    pub fn note<T: 'static>(&self) -> Option<&T> {
        self.note.as_ref()?.downcast_ref()
    }

    /// Gives the permit without the engine's note. For a grant that was narrowed for another task: the note is about its parent.
    pub(crate) fn without_note(&self) -> Self {
        Self { note: None, ..self.clone() }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("rules", &self.rules).field("policy_version", &self.policy_version).finish_non_exhaustive()
    }
}

impl PartialEq for Permit {
    /// The note is left out: it says how a permit is checked, not what it is.
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules && self.policy_version == other.policy_version
    }
}

impl Eq for Permit {}

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
        Self::Permit(Permit { rules, policy_version, note: None })
    }

    /// Whether it is a yes.
    pub fn is_permit(&self) -> bool {
        matches!(self, Self::Permit(_))
    }
}

/// What the policy says of an administrative act.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum ActDecision {
    /// It is decided.
    Decided(Decision),
    /// It would be permitted, but a second person has to agree.
    NeedsSecond(Proposal),
}

/// An act that one person may do only with another.
///
/// It is not made to be kept: keep the requester and the act, and ask again when the second person comes, because the policy may
/// have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    first: String,
    act: Act,
    permit: Permit,
}

impl Proposal {
    /// Joins who proposes, what, and the permit that demands a second person. For implementations of [`PolicyEngine`].
    pub fn new(first: &Requester, act: Act, permit: Permit) -> Self {
        Self { first: first.id.clone(), act, permit }
    }

    /// Gives who proposes, by [`Requester::id`].
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Gives the act.
    pub fn act(&self) -> &Act {
        &self.act
    }

    /// Gives the rules that permit it to two persons.
    pub fn rules(&self) -> &[String] {
        self.permit.rules()
    }

    /// Gives the policy version that decided.
    pub fn policy_version(&self) -> &PolicyVersion {
        self.permit.policy_version()
    }

    /// Decides with the second person. It must be another one, who may do the act, alone or with somebody.
    pub fn second(self, second: &Requester, engine: &dyn PolicyEngine) -> Decision {
        if second.id == self.first {
            return Decision::Forbid {
                rules: self.permit.rules,
                policy_version: self.permit.policy_version,
                reason: format!("`{}` proposed it: another person has to agree", second.id),
            };
        }
        match engine.administer(second, &self.act) {
            ActDecision::Decided(decision) => decision,
            ActDecision::NeedsSecond(other) => Decision::Permit(other.permit),
        }
    }
}

/// What a reviewer knows before anything runs. What is `None` may turn out to be anything.
#[derive(Debug, Clone, Copy)]
pub struct Foreseen<'a> {
    /// The agent.
    pub agent: &'a AgentFacts,
    /// The tenant on whose data it would act.
    pub tenant: &'a TenantId,
    /// The workflow and the step, where the question is about one.
    pub place: Option<(&'a WorkflowName, &'a StepPath)>,
    /// Whether the grant fixes every subject, target, recipient and amount to the run's subject or to values of its input.
    pub bound: Option<bool>,
}

/// What the policy in force will say of an operation, as far as that is certain before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
pub enum Prospect {
    /// Every call that passes its grant is permitted.
    Always {
        /// The rules that permit.
        rules: Vec<String>,
    },
    /// It turns on something that is not known yet.
    Depends {
        /// Names of what it turns on, as policies write them: `labels`, `args`, `bound`, `requester`.
        on: BTreeSet<String>,
        /// The rules that read it.
        rules: Vec<String>,
    },
    /// No call is permitted, whatever a step gives.
    Never {
        /// The rules that forbid; empty where none permits.
        rules: Vec<String>,
        /// Why, for the operator.
        reason: String,
    },
}

impl Prospect {
    /// Whether some call may be permitted.
    pub fn is_possible(&self) -> bool {
        !matches!(self, Self::Never { .. })
    }
}

/// Decides. Any error while deciding is a [`Decision::Forbid`].
pub trait PolicyEngine: Send + Sync {
    /// Gives the version in force, for records.
    fn version(&self) -> PolicyVersion;

    /// Decides whether a run may be opened.
    fn at_open(&self, requester: &Requester, opening: &Opening<'_>) -> Decision;

    /// Decides whether a grant may be issued.
    fn at_issue(&self, context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Decision;

    /// Decides a call whose arguments have passed the grant.
    ///
    /// `None` means that the grant's permit stands: the policy in force and the freezes are those that it was made under, and no rule
    /// that concerns it reads anything of a call. It costs a few nanoseconds. After a change everything is decided anew; the caller
    /// gives a new permit to [`Grant::renew`], so that the next call is cheap again.
    fn at_call(&self, context: &PolicyContext, operation: &Operation, grant: &Grant, call: &CallFacts<'_>) -> Option<Decision>;

    /// Says whether the policy and the freezes are still those under which a grant's permit was made. Asked when a call comes back: what
    /// is forbidden meanwhile is not delivered. It costs a few nanoseconds.
    fn stands(&self, grant: &Grant) -> bool;

    /// Decides whether the host may undo a write by calling `operation`. The step does not give the undo to the agent, so the rules
    /// for agents are not asked; a freeze holds.
    fn at_undo(&self, context: &PolicyContext, operation: &Operation) -> Decision;

    /// Decides whether somebody may do an administrative act.
    fn administer(&self, requester: &Requester, act: &Act) -> ActDecision;
}

/// The rule that permits what the step gives, and says so. For tests and for projects without a policy.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepRule;

impl StepRule {
    /// Name of the rule, as it stands in the ledger.
    pub const RULE: &'static str = "step-gives";
    /// Version under which the rule stands in the ledger.
    pub const VERSION: &'static str = "step-rule/1";

    fn decide(self) -> Decision {
        Decision::permit(vec![Self::RULE.to_owned()], Self::VERSION.into())
    }

    #[cfg(test)]
    pub(crate) fn permit_for_tests(self) -> Decision {
        self.decide()
    }
}

impl PolicyEngine for StepRule {
    fn version(&self) -> PolicyVersion {
        Self::VERSION.into()
    }

    fn at_open(&self, _: &Requester, _: &Opening<'_>) -> Decision {
        self.decide()
    }

    fn at_issue(&self, _: &PolicyContext, _: &Operation, _: &GrantRequest) -> Decision {
        self.decide()
    }

    fn at_call(&self, _: &PolicyContext, _: &Operation, _: &Grant, _: &CallFacts<'_>) -> Option<Decision> {
        None
    }

    fn stands(&self, _: &Grant) -> bool {
        true
    }

    fn at_undo(&self, _: &PolicyContext, _: &Operation) -> Decision {
        self.decide()
    }

    fn administer(&self, _: &Requester, _: &Act) -> ActDecision {
        ActDecision::Decided(self.decide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Demands a second person for everything, of everybody but guests.
    struct TwoPersons;

    impl PolicyEngine for TwoPersons {
        fn version(&self) -> PolicyVersion {
            "two".into()
        }

        fn at_open(&self, requester: &Requester, opening: &Opening<'_>) -> Decision {
            StepRule.at_open(requester, opening)
        }

        fn at_issue(&self, context: &PolicyContext, operation: &Operation, request: &GrantRequest) -> Decision {
            StepRule.at_issue(context, operation, request)
        }

        fn at_call(&self, _: &PolicyContext, _: &Operation, _: &Grant, _: &CallFacts<'_>) -> Option<Decision> {
            None
        }

        fn stands(&self, _: &Grant) -> bool {
            true
        }

        fn at_undo(&self, context: &PolicyContext, operation: &Operation) -> Decision {
            StepRule.at_undo(context, operation)
        }

        fn administer(&self, requester: &Requester, act: &Act) -> ActDecision {
            let Decision::Permit(permit) = StepRule.decide() else { panic!("the step rule permits") };
            if requester.id.starts_with("guest:") {
                let reason = "guests administer nothing".to_owned();
                return ActDecision::Decided(Decision::Forbid { rules: Vec::new(), policy_version: self.version(), reason });
            }
            ActDecision::NeedsSecond(Proposal::new(requester, act.clone(), permit))
        }
    }

    #[test]
    fn the_second_person_is_another_one_who_may() {
        let person = |id: &str| Requester { id: id.to_owned(), tenant: "t".into(), attributes: BTreeMap::new() };
        for (second, permitted) in [("local:anna", false), ("guest:carl", false), ("local:bert", true)] {
            let ActDecision::NeedsSecond(proposal) = TwoPersons.administer(&person("local:anna"), &Act::InstallPolicy) else {
                panic!("a second person is demanded")
            };
            assert_eq!(proposal.first(), "local:anna");
            assert_eq!(proposal.second(&person(second), &TwoPersons).is_permit(), permitted, "{second}");
        }
    }

    #[test]
    fn a_note_is_found_by_its_type_and_is_no_part_of_equality() {
        let Decision::Permit(permit) = StepRule.decide() else { panic!("the step rule permits") };
        let noted = permit.clone().with_note(Arc::new(7_u32));
        assert_eq!(noted.note::<u32>(), Some(&7));
        assert_eq!(noted.note::<u64>(), None);
        assert_eq!(noted.without_note().note::<u32>(), None);
        assert_eq!(noted, permit);
    }
}
