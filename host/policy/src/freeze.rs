//! Freezes: what is stopped at its next call, whatever the policies say.

use std::collections::BTreeMap;

use bailiwick_core::act::FreezeScope;
use bailiwick_core::capability::Operation;
use bailiwick_core::ids::{AgentName, TenantId};
use serde::{Deserialize, Serialize};

use crate::names::ActionNames;

/// A freeze that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Freeze {
    /// What is frozen.
    pub scope: FreezeScope,
    /// Why, for those who meet it.
    pub reason: String,
    /// Who did it, by [`bailiwick_core::policy::Requester::id`].
    pub by: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Why something cannot be frozen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreezeProblem {
    /// The project knows no such capability, so nothing would be stopped.
    #[error("the project has no package, interface or operation `{name}`: {help}")]
    UnknownCapability {
        /// What was to be frozen.
        name: String,
        /// What was probably meant.
        help: String,
    },
}

/// All freezes in force. A value: the engine swaps one for another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Freeze>", into = "Vec<Freeze>")]
pub struct Freezes(BTreeMap<FreezeScope, Freeze>);

impl From<Vec<Freeze>> for Freezes {
    fn from(list: Vec<Freeze>) -> Self {
        Self(list.into_iter().map(|freeze| (freeze.scope.clone(), freeze)).collect())
    }
}

impl From<Freezes> for Vec<Freeze> {
    fn from(freezes: Freezes) -> Self {
        freezes.0.into_values().collect()
    }
}

impl Freezes {
    /// Gives every freeze, the widest first.
    pub fn iter(&self) -> impl Iterator<Item = &Freeze> {
        self.0.values()
    }

    /// Whether nothing is frozen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a freeze; one of the same scope is replaced.
    pub fn add(&mut self, freeze: Freeze) {
        self.0.insert(freeze.scope.clone(), freeze);
    }

    /// Takes a freeze out; `None` where there is none of this scope. What another freeze stops stays stopped.
    pub fn lift(&mut self, scope: &FreezeScope) -> Option<Freeze> {
        self.0.remove(scope)
    }

    /// Finds a freeze of the host or of a tenant.
    pub fn of_tenant(&self, tenant: &TenantId) -> Option<&Freeze> {
        self.0.get(&FreezeScope::Host).or_else(|| self.0.get(&FreezeScope::Tenant(tenant.clone())))
    }

    /// Finds a freeze that stops an agent of a tenant from calling an operation.
    pub fn of_call(&self, tenant: &TenantId, agent: &AgentName, operation: &Operation) -> Option<&Freeze> {
        // Nearly always nothing is frozen, and this is asked at every call.
        if self.0.is_empty() {
            return None;
        }
        self.of_tenant(tenant).or_else(|| self.0.get(&FreezeScope::Agent(agent.clone()))).or_else(|| {
            let names = capability_names(operation);
            self.0.values().find(|freeze| matches!(&freeze.scope, FreezeScope::Capability(name) if names.contains(name)))
        })
    }
}

/// Every name by which an operation, its interface or its package may be frozen.
fn capability_names(operation: &Operation) -> Vec<String> {
    let interface = &operation.id.interface;
    let mut names: Vec<String> = ActionNames::of(operation).capabilities().cloned().collect();
    let plain = format!("{}/{}", interface.package, interface.interface);
    names.extend([
        interface.package.clone(),
        format!("{plain}.{}", operation.id.function),
        plain,
        interface.to_string(),
        operation.full.to_string(),
    ]);
    names
}

/// Checks that a scope means something among these operations.
pub(crate) fn check<'a>(
    scope: &FreezeScope,
    mut operations: impl Iterator<Item = &'a Operation>,
    known: &[String],
) -> Result<(), FreezeProblem> {
    match scope {
        FreezeScope::Capability(name) if !operations.any(|operation| capability_names(operation).contains(name)) => {
            let help = bailiwick_core::suggest::help(name, known.iter().map(String::as_str));
            Err(FreezeProblem::UnknownCapability { name: name.clone(), help })
        }
        _ => Ok(()),
    }
}
