//! Capabilities: what WIT cannot say about an operation, and the catalog of all operations that a project knows.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::signature::Signature;
use crate::suggest;

/// The namespace that may be left out in workflow files.
pub const DEFAULT_NAMESPACE: &str = "bailiwick";

/// A WIT interface with its version: `bailiwick:crm/customers@0.1.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId {
    /// Namespace and package: `bailiwick:crm`.
    pub package: String,
    /// Interface: `customers`.
    pub interface: String,
    /// Version, if the package has one: `0.1.0`.
    pub version: Option<String>,
}

/// An operation: a function of an interface. Written `bailiwick:crm/customers@0.1.0.get`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId {
    /// The interface.
    pub interface: InterfaceId,
    /// The function.
    pub function: String,
}

/// A text that should have named an interface or operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name {expected}")]
pub struct NameProblem {
    text: String,
    expected: &'static str,
}

impl FromStr for InterfaceId {
    type Err = NameProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || NameProblem { text: text.to_owned(), expected: "an interface: `namespace:package/interface@version` is expected" };
        let (package, rest) = text.split_once('/').ok_or_else(problem)?;
        let (interface, version) = match rest.split_once('@') {
            Some((interface, version)) => (interface, Some(version.to_owned())),
            None => (rest, None),
        };
        if !package.contains(':') || interface.is_empty() || interface.contains('/') {
            return Err(problem());
        }
        Ok(Self { package: package.to_owned(), interface: interface.to_owned(), version })
    }
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.package, self.interface)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

impl OperationId {
    /// Gives the form of workflow files: `crm/customers.get`, with the namespace where it is not Bailiwick's own.
    pub fn to_short(&self) -> String {
        let package = self.interface.package.strip_prefix(DEFAULT_NAMESPACE).and_then(|p| p.strip_prefix(':'));
        format!("{}/{}.{}", package.unwrap_or(&self.interface.package), self.interface.interface, self.function)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.interface, self.function)
    }
}

impl FromStr for OperationId {
    type Err = NameProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem =
            || NameProblem { text: text.to_owned(), expected: "an operation: `namespace:package/interface@version.function` is expected" };
        let (interface, function) = text.rsplit_once('.').ok_or_else(problem)?;
        let interface = interface.parse().map_err(|_| problem())?;
        if function.is_empty() {
            return Err(problem());
        }
        Ok(Self { interface, function: function.to_owned() })
    }
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(InterfaceId, OperationId, FieldPath);

/// A path into a value: field names joined by dots, `*` for every element of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Borrows the field names.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Gives the path without its first segment if that is `root`.
    pub fn within(&self, root: &str) -> Option<Self> {
        match self.0.split_first() {
            Some((first, rest)) if first == root => Some(Self(rest.to_vec())),
            _ => None,
        }
    }

    /// Gives the values at the path; several where it has a `*`, none where a field is missing or null.
    pub fn select<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for segment in &self.0 {
            found = found
                .into_iter()
                .flat_map(|value| match value {
                    Value::Array(items) if segment == "*" => items.iter().collect::<Vec<_>>(),
                    Value::Object(map) => map.get(segment).into_iter().collect(),
                    _ => Vec::new(),
                })
                .collect();
        }
        found.retain(|value| !value.is_null());
        found
    }

    /// Gives the one value at a path without `*`, which may be null.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, segment| value.as_object()?.get(segment))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl FromStr for FieldPath {
    type Err = NameProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.split('.').any(str::is_empty) {
            return Err(NameProblem { text: text.to_owned(), expected: "a field: names joined by dots are expected" });
        }
        Ok(Self(text.split('.').map(str::to_owned).collect()))
    }
}

/// What an operation does outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Changes nothing and can be repeated.
    Read,
    /// Changes something and can be undone.
    Write,
    /// A point of no return.
    Final,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Final => "final",
        })
    }
}

/// How a repeat of an effect is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dedupe {
    /// Key and effect commit together in the connector's store.
    Transaction,
    /// The system behind honours the key.
    Key,
    /// The system behind can be asked whether it happened.
    Lookup,
    /// A repeat cannot be recognised: after a crash between intent and outcome a person decides.
    None,
}

/// How a write is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Undo {
    /// Written `"none"`: the operation is itself an undo, or cannot be undone by the host.
    None(NoUndo),
    /// By calling another operation.
    Call(UndoCall),
}

/// The word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoUndo {
    /// There is no undo.
    None,
}

/// An undo by another operation of the same package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoCall {
    /// `interface.function` in the same package.
    pub operation: String,
    /// Its arguments: each a path from `args` or `result`.
    pub with: BTreeMap<String, FieldPath>,
}

/// A fact about a value's origin or sensitivity.
pub type Label = String;

/// What `capability.toml` says about one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OperationSpec {
    /// What the operation does outside.
    pub effect: Effect,
    /// Arguments that name whose data this is; a grant must bind each.
    #[serde(default)]
    pub subject: Vec<FieldPath>,
    /// Arguments that name a thing that belongs to a subject, an order for example; a grant must bind each.
    #[serde(default)]
    pub target: Vec<FieldPath>,
    /// Arguments that say where something goes; a grant must bind each.
    #[serde(default)]
    pub recipient: Vec<FieldPath>,
    /// Arguments that are amounts of money; a grant must bind each.
    #[serde(default)]
    pub amount: Vec<FieldPath>,
    /// Path from `result` to the subject whose data the answer is; checked before the guest sees it. Only for a `read`: an effect
    /// would have happened by then.
    #[serde(default)]
    pub owner: Option<FieldPath>,
    /// How a write is undone. Required for a `write`.
    #[serde(default)]
    pub undo: Option<Undo>,
    /// How a repeat is recognised. Required for a `write` or `final`.
    #[serde(default)]
    pub dedupe: Option<Dedupe>,
    /// Labels by path from `args` or `result`.
    #[serde(default)]
    pub labels: BTreeMap<FieldPath, Vec<Label>>,
    /// Personal data by path from `args` or `result`.
    #[serde(default)]
    pub personal: Vec<FieldPath>,
    /// What a call costs, as a rough class: `low`, `medium` or `high`.
    #[serde(default)]
    pub cost: Cost,
}

/// What a call costs, as a rough class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Next to nothing.
    #[default]
    Low,
    /// Something that adds up.
    Medium,
    /// Worth a budget.
    High,
}

/// A part that an argument plays, for errors and for the rule that it must be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentRole {
    /// Whose data it is.
    Subject,
    /// A thing that belongs to a subject.
    Target,
    /// Where something goes.
    Recipient,
    /// An amount of money.
    Amount,
}

impl fmt::Display for ArgumentRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Target => "target",
            Self::Recipient => "recipient",
            Self::Amount => "amount",
        })
    }
}

impl OperationSpec {
    /// Gives every argument that a grant must bind, with the part it plays.
    pub fn bound_arguments(&self) -> impl Iterator<Item = (ArgumentRole, &FieldPath)> {
        self.subject
            .iter()
            .map(|p| (ArgumentRole::Subject, p))
            .chain(self.target.iter().map(|p| (ArgumentRole::Target, p)))
            .chain(self.recipient.iter().map(|p| (ArgumentRole::Recipient, p)))
            .chain(self.amount.iter().map(|p| (ArgumentRole::Amount, p)))
    }
}

/// A `capability.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityFile {
    /// Package with version: `bailiwick:crm@0.1.0`.
    pub package: String,
    /// What the package is for, in a few words.
    pub summary: String,
    /// By `interface.function`.
    pub operations: BTreeMap<String, OperationSpec>,
}

/// What is wrong with a `capability.toml`.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityProblem {
    /// It is no TOML, or has a wrong or unknown key.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// An operation breaks a rule.
    #[error("operation `{operation}`: {message}")]
    Rule {
        /// `interface.function`.
        operation: String,
        /// What is wrong and what to do.
        message: String,
    },
}

impl CapabilityFile {
    /// Reads a `capability.toml` and checks what can be checked without its WIT package.
    ///
    /// # Errors
    /// When the text is no TOML, has a wrong or unknown key, or an operation lacks what its effect demands.
    pub fn parse(text: &str) -> Result<Self, CapabilityProblem> {
        #[derive(Deserialize)]
        struct Raw {
            package: String,
            summary: String,
            #[serde(flatten)]
            interfaces: BTreeMap<String, BTreeMap<String, OperationSpec>>,
        }
        let raw: Raw = toml::from_str(text)?;
        let mut operations = BTreeMap::new();
        for (interface, functions) in raw.interfaces {
            for (function, spec) in functions {
                let name = format!("{interface}.{function}");
                check(&name, &spec)?;
                operations.insert(name, spec);
            }
        }
        let file = Self { package: raw.package, summary: raw.summary, operations };
        file.check_undo()?;
        Ok(file)
    }

    fn check_undo(&self) -> Result<(), CapabilityProblem> {
        for (name, spec) in &self.operations {
            let Some(Undo::Call(undo)) = &spec.undo else { continue };
            if !self.operations.contains_key(&undo.operation) {
                let help = suggest::help(&undo.operation, self.operations.keys().map(String::as_str));
                let message = format!("`undo` names `{}`, which the file does not have: {help}", undo.operation);
                return Err(CapabilityProblem::Rule { operation: name.clone(), message });
            }
        }
        Ok(())
    }
}

fn check(name: &str, spec: &OperationSpec) -> Result<(), CapabilityProblem> {
    if spec.effect != Effect::Read && spec.owner.is_some() {
        // The answer is looked at when the effect has happened.
        let message = "only a `read` has an `owner`: an effect would have happened before its answer can be refused".to_owned();
        return Err(CapabilityProblem::Rule { operation: name.to_owned(), message });
    }
    let message = match (spec.effect, &spec.undo, spec.dedupe) {
        (Effect::Write, None, _) => "a `write` needs `undo`: name the operation, or say `undo = \"none\"`",
        (Effect::Write | Effect::Final, _, None) => "a `write` or `final` needs `dedupe`: `transaction`, `key`, `lookup` or `none`",
        (Effect::Read | Effect::Final, Some(_), _) => "only a `write` has an `undo`",
        _ => return Ok(()),
    };
    Err(CapabilityProblem::Rule { operation: name.to_owned(), message: message.to_owned() })
}

/// One operation with all that is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its full name.
    pub id: OperationId,
    /// [`OperationId`] as text, made once.
    pub full: Arc<str>,
    /// The form of workflow files, made once.
    pub short: Arc<str>,
    /// What `capability.toml` says.
    pub spec: OperationSpec,
    /// Parameters and result.
    pub signature: Signature,
}

impl Operation {
    /// Joins the parts.
    pub fn new(id: OperationId, spec: OperationSpec, signature: Signature) -> Self {
        Self { full: id.to_string().into(), short: id.to_short().into(), id, spec, signature }
    }
}

/// Every operation that a project knows.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    operations: BTreeMap<OperationId, Arc<Operation>>,
}

/// A name that no operation of the catalog has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no operation `{name}`: {help}")]
pub struct UnknownOperation {
    /// The name asked for.
    pub name: String,
    /// What was probably meant.
    pub help: String,
}

impl Catalog {
    /// Adds an operation; a later one of the same name replaces the earlier.
    pub fn insert(&mut self, operation: Operation) {
        self.operations.insert(operation.id.clone(), Arc::new(operation));
    }

    /// Finds an operation by its full name.
    pub fn get(&self, id: &OperationId) -> Option<&Arc<Operation>> {
        self.operations.get(id)
    }

    /// Gives all operations in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Operation>> {
        self.operations.values()
    }

    /// Finds an operation by the name used in files: `crm/customers.get` or the full form. Where several versions
    /// have the short name the highest is taken.
    ///
    /// # Errors
    /// When there is none; the error names the nearest.
    pub fn resolve(&self, name: &str) -> Result<&Arc<Operation>, UnknownOperation> {
        self.operations.values().rev().find(|operation| &*operation.short == name || &*operation.full == name).ok_or_else(|| {
            UnknownOperation { name: name.to_owned(), help: suggest::help(name, self.operations.values().map(|o| &*o.short)) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        package = "bailiwick:crm@0.1.0"
        summary = "x"
        [notes.append]
        effect = "write"
        subject = ["customer"]
        undo = { operation = "notes.void", with = { note = "result" } }
        dedupe = "transaction"
        [notes.void]
        effect = "write"
        undo = "none"
        dedupe = "key"
    "#;

    #[test]
    fn a_good_file_is_read() {
        let file = CapabilityFile::parse(GOOD).unwrap();
        assert_eq!(file.operations.len(), 2);
        assert!(matches!(file.operations["notes.append"].undo, Some(Undo::Call(_))));
        assert!(matches!(file.operations["notes.void"].undo, Some(Undo::None(_))));
    }

    #[test]
    fn a_write_needs_undo_and_dedupe() {
        for (from, to, expected) in [
            ("undo = \"none\"", "", "needs `undo`"),
            ("dedupe = \"key\"", "", "needs `dedupe`"),
            ("notes.void\", with", "notes.viod\", with", "did you mean `notes.void`?"),
            ("undo = \"none\"", "undo = \"none\"\nowner = \"result.id\"", "only a `read` has an `owner`"),
        ] {
            let message = CapabilityFile::parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn names_are_read_and_written() {
        let id: OperationId = "bailiwick:crm/customers@0.1.0.get".parse().unwrap();
        assert_eq!(id.to_string(), "bailiwick:crm/customers@0.1.0.get");
        assert_eq!(id.to_short(), "crm/customers.get");
        let id: OperationId = "acme:crm/customers@1.2.3.get".parse().unwrap();
        assert_eq!(id.to_short(), "acme:crm/customers.get");
        assert!("crm".parse::<OperationId>().is_err());
    }

    #[test]
    fn paths_select() {
        let value = serde_json::json!({"lines": [{"p": 1}, {"p": 2}], "x": null});
        let path: FieldPath = "lines.*.p".parse().unwrap();
        assert_eq!(path.select(&value).len(), 2);
        assert!("x".parse::<FieldPath>().unwrap().select(&value).is_empty());
        assert!("a..b".parse::<FieldPath>().is_err());
    }
}
