//! Reading a project's policies: parsed, checked against the schema, named. A set with anything wrong in it is refused whole.

mod check;
mod ids;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use bailiwick_core::act::Act;
use bailiwick_core::capability::{Catalog, Operation, OperationId};
use bailiwick_core::ids::{Digest, PolicyVersion};
use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicySet, PrincipalConstraint, Schema};

use crate::explain::RuleText;
use crate::names::{ACTS, ActionNames, OPEN, ResourceKind, Types, is_resource_of_call};
use crate::problem::{Place, PolicyProblem};
use crate::reads::Reads;
use crate::schema::schema_text;
use crate::slice::ActionRules;

/// A file of policies.
#[derive(Debug, Clone)]
pub struct PolicySource {
    /// Its name, for problems and for rules without an `@id`: `policy/shop.cedar`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A policy that is in force, with what is known of it.
pub(crate) struct Rule {
    pub policy: Policy,
    pub reads: Reads,
    pub text: RuleText,
    /// A permit that holds only with a second person.
    pub is_four_eyes: bool,
}

/// A set of policies that has passed every check.
pub struct Policies {
    pub(crate) version: PolicyVersion,
    pub(crate) rules: Vec<Rule>,
    pub(crate) types: Arc<Types>,
    pub(crate) operations: HashMap<OperationId, Arc<ActionRules>>,
    /// Opening a run, and the acts, by their names.
    pub(crate) others: HashMap<&'static str, Arc<ActionRules>>,
    pub(crate) by_id: HashMap<String, usize>,
    /// Names of packages, interfaces and operations that a freeze may mean.
    pub(crate) capabilities: Vec<String>,
    /// The schema, for tests of requests against it.
    #[cfg(test)]
    pub(crate) schema: Schema,
    /// The hierarchy of all actions, for the few policies that ask about others than the one at hand.
    pub(crate) all_actions: Vec<cedar_policy::Entity>,
    schema_text: String,
    warnings: Vec<PolicyProblem>,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("version", &self.version).field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl Policies {
    /// Reads policies and checks them strictly against the operations of a catalog.
    ///
    /// # Errors
    /// Everything that is wrong, each with file, line, column and what to do; the set is refused whole. Types are looked at only when every file
    /// can be read.
    pub fn load(files: &[PolicySource], catalog: &Catalog) -> Result<Self, Vec<PolicyProblem>> {
        Self::build(files, catalog, check::validate)
    }

    /// Loads without a look at types, for tests of what happens when a policy cannot be evaluated.
    #[cfg(test)]
    pub(crate) fn load_unchecked(files: &[PolicySource], catalog: &Catalog) -> Result<Self, Vec<PolicyProblem>> {
        Self::build(files, catalog, |_, _, _| Ok(Vec::new()))
    }

    fn build(files: &[PolicySource], catalog: &Catalog, validate: Validate) -> Result<Self, Vec<PolicyProblem>> {
        let schema_text = schema_text(catalog);
        let (schema, _) = Schema::from_cedarschema_str(&schema_text)
            .map_err(|error| vec![internal(format!("the schema of the project's operations is not valid: {error}"))])?;
        let types = Types::new().ok_or_else(|| vec![internal("the names of the schema are not valid".to_owned())])?;
        let mut rules = Vec::new();
        let mut wrong = Vec::new();
        for file in files {
            match read(file) {
                Ok(read) => rules.extend(read),
                Err(problems) => wrong.extend(problems),
            }
        }
        wrong.extend(ids::check(&rules));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let warnings = validate(files, &rules, schema.clone())?;
        let by_id = rules.iter().enumerate().map(|(at, rule)| (rule.text.id.clone(), at)).collect();
        let mut policies = Self {
            version: version(files, &schema_text),
            rules,
            types,
            operations: HashMap::new(),
            others: HashMap::new(),
            by_id,
            capabilities: Vec::new(),
            #[cfg(test)]
            schema: schema.clone(),
            all_actions: Vec::new(),
            schema_text,
            warnings,
        };
        policies.index(catalog);
        Ok(policies)
    }

    /// Gives the version: a digest of sources and schema, so that an operation that changes is another version too.
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// Gives the schema that the policies were checked against; see [`crate::schema_text`].
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// Gives what is no error and yet worth a look: a policy that can never apply, for example.
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.warnings
    }

    /// Gives every policy in the order of the files.
    pub fn rules(&self) -> impl Iterator<Item = &RuleText> {
        self.rules.iter().map(|rule| &rule.text)
    }

    /// Finds a policy by its id.
    pub fn rule(&self, id: &str) -> Option<&RuleText> {
        self.by_id.get(id).and_then(|at| self.rules.get(*at)).map(|rule| &rule.text)
    }

    /// Builds the index of what can match which action.
    fn index(&mut self, catalog: &Catalog) {
        let scopes: Vec<Scope> = self.rules.iter().map(|rule| Scope::of(&rule.policy)).collect();
        for operation in catalog.iter() {
            let names = ActionNames::of(operation);
            self.capabilities.extend(names.capabilities().cloned());
            let rules = self.action_rules(&names, ResourceKind::of(operation), is_resource_of_call(operation), Some(operation), &scopes);
            self.all_actions.push(rules.entity.clone());
            self.operations.insert(operation.id.clone(), Arc::new(rules));
        }
        self.capabilities.sort();
        self.capabilities.dedup();
        for (name, kind) in ACTS.iter().copied().chain([(OPEN, ResourceKind::Subject)]) {
            let names = ActionNames { own: name.to_owned(), groups: Vec::new() };
            let rules = self.action_rules(&names, kind, true, None, &scopes);
            self.all_actions.push(rules.entity.clone());
            self.others.insert(name, Arc::new(rules));
        }
    }

    fn action_rules(
        &self,
        names: &ActionNames,
        resource: ResourceKind,
        resource_of_call: bool,
        operation: Option<&Arc<Operation>>,
        scopes: &[Scope],
    ) -> ActionRules {
        let own = self.types.action(&names.own);
        let groups: Vec<EntityUid> = names.groups.iter().map(|group| self.types.action(group)).collect();
        let principal_type = if operation.is_some() { &self.types.agent } else { &self.types.requester };
        let mut rules = ActionRules::new(own.clone(), groups.clone(), resource, resource_of_call, operation.cloned());
        for (at, scope) in scopes.iter().enumerate() {
            // INVARIANT: what is put into a slice matches by principal and action for certain, because slices leave the scope out.
            let matches_action = match &scope.action {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(action) => *action == own,
                ActionConstraint::In(actions) => actions.iter().any(|action| *action == own || groups.contains(action)),
            };
            if !matches_action {
                continue;
            }
            match &scope.principal {
                PrincipalConstraint::Any => rules.any.push(at),
                PrincipalConstraint::Is(ty) if ty == principal_type => rules.any.push(at),
                PrincipalConstraint::Is(_) => {}
                PrincipalConstraint::IsIn(ty, _) if ty != principal_type => {}
                // Nobody is in a group, so `in` can mean only oneself.
                PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                    if uid.type_name() == principal_type {
                        rules.by_principal.entry(uid.id().unescaped().to_owned()).or_default().push(at);
                    }
                }
            }
        }
        rules
    }

    /// Whether a rule permits only with a second person.
    pub(crate) fn is_four_eyes(&self, id: &str) -> bool {
        self.by_id.get(id).and_then(|at| self.rules.get(*at)).is_some_and(|rule| rule.is_four_eyes)
    }

    pub(crate) fn act(&self, act: &Act) -> Option<&Arc<ActionRules>> {
        self.others.get(act.name())
    }
}

/// Looks at the types of policies; gives what is no error.
type Validate = fn(&[PolicySource], &[Rule], Schema) -> Result<Vec<PolicyProblem>, Vec<PolicyProblem>>;

/// What a policy's scope says of principal and action.
struct Scope {
    principal: PrincipalConstraint,
    action: ActionConstraint,
}

impl Scope {
    fn of(policy: &Policy) -> Self {
        Self { principal: policy.principal_constraint(), action: policy.action_constraint() }
    }
}

fn internal(reason: String) -> PolicyProblem {
    PolicyProblem::new("", None, None, reason, "this is a fault of the host: report it")
}

fn version(files: &[PolicySource], schema: &str) -> PolicyVersion {
    let mut sorted: Vec<&PolicySource> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let parts = sorted.iter().flat_map(|file| [file.name.as_bytes(), file.text.as_bytes()]);
    Digest::of_parts([b"bailiwick/policy/1".as_slice(), schema.as_bytes()].into_iter().chain(parts)).to_string().into()
}

/// Parses a file.
pub(crate) fn read(file: &PolicySource) -> Result<Vec<Rule>, Vec<PolicyProblem>> {
    let set = PolicySet::from_str(&file.text)
        .map_err(|errors| errors.iter().map(|error| PolicyProblem::of(&file.name, &file.text, None, error)).collect::<Vec<_>>())?;
    if let Some(template) = set.templates().next() {
        let offset = file.text.find(&template.to_cedar()).unwrap_or(0);
        let reason = "a template (`?principal`, `?resource`) is in force only when something links it, and nothing does".to_owned();
        let help = "name the principal or resource, or write a condition";
        return Err(vec![PolicyProblem::new(&file.name, Some(Place::at(&file.text, offset, 0)), None, reason, help)]);
    }
    // Cedar numbers the policies of a text in order; its set promises no order.
    let mut policies: Vec<(usize, &Policy)> = set.policies().map(|policy| (number(policy), policy)).collect();
    policies.sort_by_key(|(number, _)| *number);
    let mut from = 0;
    let mut wrong = Vec::new();
    let mut rules = Vec::new();
    for (_, policy) in policies {
        let source = policy.to_cedar().unwrap_or_default();
        let offset = find_policy(&file.text, from, &source);
        from = offset + source.len();
        match ids::named(file, Place::at(&file.text, offset, 0), policy, source) {
            Ok(rule) => rules.push(rule),
            Err(problems) => wrong.extend(problems),
        }
    }
    if wrong.is_empty() { Ok(rules) } else { Err(wrong) }
}

fn number(policy: &Policy) -> usize {
    let id: &str = policy.id().as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// Finds where a policy begins, from an offset on; a copy of it in a comment is passed over.
fn find_policy(text: &str, from: usize, source: &str) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let mut found = rest.match_indices(source).map(|(at, _)| from + at);
    let is_code = |at: &usize| {
        let line = text.get(..*at).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
        !line.contains("//")
    };
    found.clone().find(is_code).or_else(|| found.next()).unwrap_or(from)
}

pub(crate) fn is_permit(policy: &Policy) -> bool {
    policy.effect() == Effect::Permit
}

#[cfg(test)]
mod tests;
