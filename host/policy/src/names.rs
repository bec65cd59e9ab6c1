//! Names of Cedar entities: types, and how operations, groups and acts are called.

use std::str::FromStr;
use std::sync::Arc;

use bailiwick_core::capability::{DEFAULT_NAMESPACE, Effect, Operation};
use cedar_policy::{EntityId, EntityTypeName, EntityUid};

/// The namespace of everything.
pub(crate) const NAMESPACE: &str = "Bailiwick";

/// The action of opening a run.
pub(crate) const OPEN: &str = "runs.open";

/// The administrative actions with the type of what they are done to, as [`bailiwick_core::act::Act::name`] gives them.
pub(crate) const ACTS: &[(&str, ResourceKind)] = &[
    ("agents.install", ResourceKind::Agent),
    ("agents.activate", ResourceKind::Agent),
    ("agents.accept-wider", ResourceKind::Agent),
    ("policy.install", ResourceKind::Host),
    ("freeze", ResourceKind::Host),
    ("lift", ResourceKind::Host),
    ("approve", ResourceKind::Subject),
    ("ledger.erase", ResourceKind::Subject),
    ("ledger.hold", ResourceKind::Subject),
    ("ledger.rotate-key", ResourceKind::Host),
    ("requesters.add", ResourceKind::Host),
    ("requesters.remove", ResourceKind::Host),
];

/// Type of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceKind {
    Subject,
    Target,
    Agent,
    Host,
}

impl ResourceKind {
    /// What a call of the operation is about: whose data it names, else what thing of somebody, else the run's subject.
    pub(crate) fn of(operation: &Operation) -> Self {
        if operation.spec.subject.is_empty() && !operation.spec.target.is_empty() { Self::Target } else { Self::Subject }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subject => "Subject",
            Self::Target => "Target",
            Self::Agent => "Agent",
            Self::Host => "Host",
        }
    }
}

/// Whether what a call is about is known only when it is made.
pub(crate) fn is_resource_of_call(operation: &Operation) -> bool {
    !operation.spec.subject.is_empty() || !operation.spec.target.is_empty()
}

/// Actions of an operation: itself, and the groups that it is in, nearest first.
pub(crate) struct ActionNames {
    pub own: String,
    pub groups: Vec<String>,
}

/// Names of effects and acts, which no package group may take.
fn is_reserved(name: &str) -> bool {
    name == OPEN || effects().contains(&name) || ACTS.iter().any(|(act, _)| *act == name)
}

/// The groups by effect.
pub(crate) fn effects() -> [&'static str; 3] {
    ["read", "write", "final"]
}

/// The name of the group by effect.
pub(crate) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Final => "final",
    }
}

impl ActionNames {
    pub(crate) fn of(operation: &Operation) -> Self {
        let id = &operation.id;
        let full = &id.interface.package;
        let short = full.strip_prefix(DEFAULT_NAMESPACE).and_then(|rest| rest.strip_prefix(':')).unwrap_or(full);
        // A package `bailiwick:read` must not be the group of everything that reads.
        let package = if is_reserved(short) { full.clone() } else { short.to_owned() };
        let interface = format!("{package}/{}", id.interface.interface);
        let plain = format!("{interface}.{}", id.function);
        let by_effect = effect(operation.spec.effect).to_owned();
        match &id.interface.version {
            Some(version) => Self { own: format!("{plain}@{version}"), groups: vec![plain, interface, package, by_effect] },
            None => Self { own: plain, groups: vec![interface, package, by_effect] },
        }
    }

    /// Operation, interface and package: all but the effect.
    pub(crate) fn capabilities(&self) -> impl Iterator<Item = &String> {
        let within = self.groups.split_last().map_or(&[][..], |(_, within)| within);
        std::iter::once(&self.own).chain(within)
    }
}

/// The types of entities, parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Types {
    pub action: EntityTypeName,
    pub agent: EntityTypeName,
    pub requester: EntityTypeName,
    pub subject: EntityTypeName,
    pub target: EntityTypeName,
    pub host: EntityTypeName,
}

impl Types {
    /// Parses the names of the types; `None` only if Cedar no longer took them for names.
    pub(crate) fn new() -> Option<Arc<Self>> {
        let ty = |name: &str| EntityTypeName::from_str(&format!("{NAMESPACE}::{name}")).ok();
        Some(Arc::new(Self {
            action: ty("Action")?,
            agent: ty("Agent")?,
            requester: ty("Requester")?,
            subject: ty("Subject")?,
            target: ty("Target")?,
            host: ty("Host")?,
        }))
    }

    pub(crate) fn of(&self, kind: ResourceKind) -> &EntityTypeName {
        match kind {
            ResourceKind::Subject => &self.subject,
            ResourceKind::Target => &self.target,
            ResourceKind::Agent => &self.agent,
            ResourceKind::Host => &self.host,
        }
    }

    pub(crate) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }
}

/// Makes the id of an entity. Any text is taken as it is: nothing of it is parsed.
pub(crate) fn uid(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}
