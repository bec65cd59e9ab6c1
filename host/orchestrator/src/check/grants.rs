//! Grants: operations, argument paths, types, and the rule that nobody's answer says whose data, what thing, where to or how much.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{ArgumentRole, FieldPath, Operation};
use bailiwick_core::plan::{ConditionTemplate, GrantTemplate, ValueTemplate};
use bailiwick_core::runner::AgentInfo;
use bailiwick_core::signature::WitType;
use bailiwick_core::suggest;
use bailiwick_expr::{Mention, Template, Type};
use serde_json::Value;

use super::Known;
use super::expressions::Expressions;
use crate::convert;
use crate::diagnostic::Problems;
use crate::file::{ConditionFile, GrantFile, StepFile};
use crate::reader::Spanned;
use crate::scope::{Scope, View};
use crate::yaml::Node;

type Mentions<'n> = Vec<(&'n Node, Vec<Mention>)>;

/// Checks all grants of a step; gives them with what their conditions mention.
pub(crate) fn check<'n>(
    problems: &mut Problems,
    step: &StepFile<'n>,
    info: Option<&AgentInfo>,
    known: &Known<'_>,
    scope: &Scope,
) -> (Vec<GrantTemplate>, Mentions<'n>) {
    let mut grants = Vec::new();
    let mut mentions = Vec::new();
    let mut given: Vec<Arc<Operation>> = Vec::new();
    for file in &step.may {
        let operation = match known.catalog.resolve(&file.call.value) {
            Ok(operation) => Arc::clone(operation),
            Err(unknown) => {
                problems.error(&file.call.span, format!("there is no operation `{}`", unknown.name), unknown.help);
                continue;
            }
        };
        if given.iter().any(|other| other.id == operation.id) {
            let help = "join the two grants: several values of an argument are `{ in: [ … ] }`".to_owned();
            problems.error(&file.call.span, format!("`{}` is granted twice", operation.short), help);
            continue;
        }
        check_import(problems, file, info, known, &operation);
        let mut check = GrantCheck { problems, scope, operation: &operation, file, mentions: &mut mentions };
        grants.extend(check.grant());
        given.push(operation);
    }
    warn_of_ungranted(problems, step, info, known, &given);
    (grants, mentions)
}

/// What an agent does not import cannot be called, so granting it gives nothing and misleads the reader.
fn check_import(problems: &mut Problems, file: &GrantFile<'_>, info: Option<&AgentInfo>, known: &Known<'_>, operation: &Operation) {
    let Some(info) = info else { return };
    if info.imports.iter().any(|import| **import == *operation.full) {
        return;
    }
    let imports: Vec<&str> =
        info.imports.iter().filter_map(|full| full.parse().ok()).filter_map(|id| known.catalog.get(&id)).map(|o| &*o.short).collect();
    let help = match imports.is_empty() {
        true => "it imports no operation: leave the grant out".to_owned(),
        false => format!("leave the grant out; {}", suggest::help(&operation.short, imports.iter().copied())),
    };
    problems.error(&file.call.span, format!("agent `{}` does not import `{}`", info.name, operation.short), help);
}

/// What is imported and not granted is denied; where the agent also says that it wants it, that is probably forgotten.
fn warn_of_ungranted(problems: &mut Problems, step: &StepFile<'_>, info: Option<&AgentInfo>, known: &Known<'_>, given: &[Arc<Operation>]) {
    let Some(info) = info else { return };
    let wanted = info.wants.iter().filter_map(|wanted| known.catalog.resolve(wanted).ok());
    let missing: Vec<String> = wanted
        .filter(|wanted| !given.iter().any(|other| other.id == wanted.id))
        .map(|operation| format!("`{}`", operation.short))
        .collect();
    // Where a grant could not be read, it may be the missing one.
    if missing.is_empty() || given.len() < step.may.len() {
        return;
    }
    let message =
        format!("agent `{}` wants {}, which the step does not grant: every such call will be denied", info.name, missing.join(", "));
    problems.warning(&step.agent.span, message, "add what the step needs under `may:`".to_owned());
}

struct GrantCheck<'c, 'n> {
    problems: &'c mut Problems,
    scope: &'c Scope,
    operation: &'c Operation,
    file: &'c GrantFile<'n>,
    mentions: &'c mut Mentions<'n>,
}

/// A condition whose value is compiled.
struct Bound<'n> {
    node: Option<&'n Node>,
    template: Option<Template>,
    kind: ConditionTemplate,
}

impl<'n> GrantCheck<'_, 'n> {
    fn grant(&mut self) -> Option<GrantTemplate> {
        let before = self.problems.errors();
        let mut conditions: BTreeMap<FieldPath, Vec<Bound<'n>>> = BTreeMap::new();
        for (path, files) in &self.file.conditions {
            if let Some(bound) = self.conditions(path, files) {
                conditions.insert(path.value.clone(), bound);
            }
        }
        // Where something is wrong already, what follows from it would be a second word about the same mistake.
        if self.problems.errors() == before {
            self.check_roles(&conditions);
            self.check_coverage(&conditions);
        }
        let owner = if self.problems.errors() == before { self.owner(&conditions) } else { None };
        let default = Budgets::default_for(self.operation.spec.effect);
        let conditions = conditions.into_iter().map(|(path, bound)| (path, bound.into_iter().map(|bound| bound.kind).collect()));
        Some(GrantTemplate {
            operation: self.operation.id.clone(),
            effect: self.operation.spec.effect,
            dedupe: self.operation.spec.dedupe,
            conditions: conditions.collect(),
            owner,
            budgets: Budgets {
                calls: self.file.calls.unwrap_or(default.calls),
                bytes_out: self.file.bytes_out.unwrap_or(default.bytes_out),
                bytes_in: self.file.bytes_in.unwrap_or(default.bytes_in),
            },
            delegable: self.file.delegable,
        })
        .filter(|_| self.problems.errors() == before)
    }

    fn conditions(&mut self, path: &Spanned<FieldPath>, files: &[Spanned<ConditionFile<'n>>]) -> Option<Vec<Bound<'n>>> {
        let ty = self.argument(path)?.clone();
        files.iter().map(|file| self.condition(&path.value, &ty, file)).collect()
    }

    fn argument(&mut self, path: &Spanned<FieldPath>) -> Option<&WitType> {
        let segments = path.value.segments();
        if segments.iter().any(|segment| segment == "*") {
            let help = "put the condition on the whole list, or say `any`".to_owned();
            self.problems.error(&path.span, "a condition cannot be put on each element of a list", help);
            return None;
        }
        let signature = &self.operation.signature;
        let found = signature.argument(segments);
        if found.is_none() {
            let short = &self.operation.short;
            let names = signature.params.iter().map(|(name, _)| name.as_str());
            let first = segments.first().map_or("", String::as_str);
            let (message, help) = match signature.params.iter().any(|(name, _)| name == first) {
                true => {
                    (format!("argument `{first}` of `{short}` has no field `{}`", segments.get(1..).unwrap_or_default().join(".")), None)
                }
                false => (format!("`{short}` has no argument `{first}`"), Some(suggest::help(first, names))),
            };
            self.problems.error(&path.span, message, help);
        }
        found
    }

    fn condition(&mut self, path: &FieldPath, ty: &WitType, file: &Spanned<ConditionFile<'n>>) -> Option<Bound<'n>> {
        let (node, wanted) = match file.value {
            ConditionFile::Any => return Some(Bound { node: None, template: None, kind: ConditionTemplate::Any }),
            ConditionFile::Equals(node) => (node, type_of(ty)),
            ConditionFile::In(node) => (node, Type::list(type_of(ty))),
            ConditionFile::Max(node) | ConditionFile::Min(node) => (node, self.only_for(path, ty, file, is_whole(ty), "whole numbers")?),
            ConditionFile::Prefix(node) | ConditionFile::Host(node) | ConditionFile::Path(node) => {
                (node, self.only_for(path, ty, file, is_text(ty), "text")?)
            }
            ConditionFile::Names(node) => {
                self.only_for(path, ty, file, is_named(ty), "lists of records that have a `name`")?;
                (node, Type::list(Type::String))
            }
        };
        let env = self.scope.env(View::Step);
        let template = Expressions::new(self.problems, &env).template(node)?;
        if let Some(mismatch) = wanted.mismatch(&template.ty()) {
            let message = format!("argument `{path}` of `{}` is {ty}: {mismatch}", self.operation.short);
            let help = matches!(node.kind, crate::yaml::Kind::List(_)).then(|| "several values are `{ in: [ … ] }`".to_owned());
            self.problems.error(&node.span, message, help);
            return None;
        }
        self.check_cases(ty, node, &template)?;
        self.check_path(file, node, &template)?;
        self.mentions.push((node, template.mentions()));
        let text = convert::to_text(&template);
        let kind = match file.value {
            ConditionFile::Any => ConditionTemplate::Any,
            ConditionFile::Equals(_) => ConditionTemplate::Equals(text),
            ConditionFile::In(_) => ConditionTemplate::In(text),
            ConditionFile::Max(_) => ConditionTemplate::Max(text),
            ConditionFile::Min(_) => ConditionTemplate::Min(text),
            ConditionFile::Prefix(_) => ConditionTemplate::Prefix(text),
            ConditionFile::Host(_) => ConditionTemplate::Host(text),
            ConditionFile::Path(_) => ConditionTemplate::Path(text),
            ConditionFile::Names(_) => ConditionTemplate::Names(text),
        };
        Some(Bound { node: Some(node), template: Some(template), kind })
    }

    fn only_for(&mut self, path: &FieldPath, ty: &WitType, file: &Spanned<ConditionFile<'_>>, fits: bool, what: &str) -> Option<Type> {
        if !fits {
            let message = format!("this condition is for {what}, and argument `{path}` of `{}` is {ty}", self.operation.short);
            self.problems.error(&file.span, message, "write a value, `{ in: [ … ] }` or `any`".to_owned());
            return None;
        }
        Some(if what == "text" { Type::String } else { Type::Int })
    }

    /// A case that an enum does not have would never be equal to anything.
    fn check_cases(&mut self, ty: &WitType, node: &Node, template: &Template) -> Option<()> {
        let cases = match ty {
            WitType::Enum(cases) => cases,
            WitType::Option(inner) => return self.check_cases(inner, node, template),
            _ => return Some(()),
        };
        let Template::Literal(value) = template else { return Some(()) };
        let texts = match value.as_ref() {
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        };
        let Some(stranger) = texts.into_iter().find(|text| !cases.iter().any(|case| case == text)) else { return Some(()) };
        let help = suggest::help(stranger, cases.iter().map(String::as_str));
        self.problems.error(&node.span, format!("`{stranger}` is no case of the argument"), help);
        None
    }

    /// A path that is written down is checked here; one that comes from the run's data, when it is bound.
    fn check_path(&mut self, file: &Spanned<ConditionFile<'_>>, node: &Node, template: &Template) -> Option<()> {
        let (ConditionFile::Path(_), Template::Literal(value)) = (&file.value, template) else { return Some(()) };
        if value.as_str().is_some_and(bailiwick_core::path::is_normal) {
            return Some(());
        }
        let help = "write it in its simplest form, for example `/v1/orders`: no `..`, no `//`, nothing encoded without need".to_owned();
        self.problems.error(&node.span, format!("{value} is no path of a web address that would be compared"), help);
        None
    }

    /// Whose data an answer must be: the subject's, and nobody else's.
    fn owner(&mut self, conditions: &BTreeMap<FieldPath, Vec<Bound<'n>>>) -> Option<ValueTemplate> {
        let declared = self.operation.spec.owner.is_some();
        let Some(node) = self.file.owner else {
            if declared && !self.subject_is_bound(conditions) {
                let message = format!("the answer of `{}` may be about anybody", self.operation.short);
                let help = match self.scope.has_subject() {
                    true => "add `owner: \"${ subject }\"`: what is someone else's then never reaches the agent",
                    false => "add `subject:` to the workflow and `owner: \"${ subject }\"` here",
                };
                self.problems.error(&self.file.call.span, message, help.to_owned());
            }
            return None;
        };
        if !declared {
            let message = format!("`{}` does not say whose its answer is, so `owner` cannot be checked", self.operation.short);
            self.problems.error(&node.span, message, "leave `owner` out".to_owned());
            return None;
        }
        let env = self.scope.env(View::Given);
        let template = Expressions::new(self.problems, &env).template(node)?;
        let by_subject = is_subject(&template);
        if !by_subject || Type::String.mismatch(&template.ty()).is_some() {
            let help = "write `owner: \"${ subject }\"`".to_owned();
            self.problems.error(&node.span, "the owner of an answer is the run's subject", help);
            return None;
        }
        Some(convert::to_text(&template))
    }

    fn subject_is_bound(&self, conditions: &BTreeMap<FieldPath, Vec<Bound<'n>>>) -> bool {
        self.operation.spec.subject.iter().any(|path| {
            let bound = conditions.get(path).into_iter().flatten();
            bound
                .filter(|bound| matches!(bound.kind, ConditionTemplate::Equals(_)))
                .any(|bound| bound.template.as_ref().is_some_and(is_subject))
        })
    }

    fn check_roles(&mut self, conditions: &BTreeMap<FieldPath, Vec<Bound<'n>>>) {
        let operation = self.operation;
        for (role, path) in operation.spec.bound_arguments() {
            match conditions.get(path) {
                Some(bound) if binds(role, operation.signature.argument(path.segments()), bound) => self.check_trust(role, path, bound),
                found => self.refuse_unbound(role, path, found.is_some()),
            }
        }
    }

    fn refuse_unbound(&mut self, role: ArgumentRole, path: &FieldPath, is_there: bool) {
        let short = &self.operation.short;
        let by = match role {
            ArgumentRole::Subject => "`\"${ subject }\"`",
            ArgumentRole::Recipient if self.operation.signature.argument(path.segments()).is_some_and(is_named) => {
                "a value or `{ names: [ … ] }`"
            }
            ArgumentRole::Target | ArgumentRole::Recipient => "a value, for example `\"${ input.… }\"`",
            ArgumentRole::Amount => "a value or `{ min: 0, max: … }`",
        };
        let message = match is_there {
            true => format!("argument `{path}` of `{short}` is the {role}, and its condition leaves it open"),
            false => format!("argument `{path}` of `{short}` is the {role}, and nothing binds it"),
        };
        self.problems.error(&self.file.call.span, message, format!("bind `{path}` to {by} under `where:`"));
    }

    /// An agent that needs no access can still lie, so its answer must not say on whom or what another one acts.
    fn check_trust(&mut self, role: ArgumentRole, path: &FieldPath, bound: &[Bound<'n>]) {
        for (node, template) in bound.iter().filter_map(|bound| Some((bound.node?, bound.template.as_ref()?))) {
            let mentions = template.mentions();
            if let Some(mention) = mentions.iter().find(|mention| self.scope.is_step(&mention.root) || mention.root == "steps") {
                let source =
                    std::iter::once(mention.root.as_str()).chain(mention.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
                let message = format!("the {role} `{path}` of `{}` would come from an agent's answer, `{source}`", self.operation.short);
                let help = "bind it to `subject` or to `input.…`, or let a rule or a person decide it outside of this run".to_owned();
                self.problems.error(&node.span, message, help);
            } else if role == ArgumentRole::Subject
                && self.operation.spec.owner.is_none()
                && mentions.iter().any(|mention| mention.root != "subject")
            {
                let message =
                    format!("the subject `{path}` of `{}` is bound to something else than the run's subject", self.operation.short);
                let help = match self.scope.has_subject() {
                    true => "bind it to `\"${ subject }\"`",
                    false => "add `subject:` to the workflow and bind it to `\"${ subject }\"`",
                };
                self.problems.error(&node.span, message, help.to_owned());
            }
        }
    }

    /// An argument that is not mentioned is refused at every call, so leaving one out is a mistake.
    fn check_coverage(&mut self, conditions: &BTreeMap<FieldPath, Vec<Bound<'n>>>) {
        let operation = self.operation;
        for (name, ty) in &operation.signature.params {
            for path in uncovered(&mut vec![name.clone()], ty, conditions) {
                let is_within =
                    |bound: &FieldPath| bound.to_string().strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
                if operation.spec.bound_arguments().any(|(_, bound)| is_within(bound)) {
                    // Said already, and with what it has to be bound to.
                    continue;
                }
                let message = format!("argument `{path}` of `{}` is not mentioned, so every call would be refused", operation.short);
                self.problems.error(&self.file.call.span, message, format!("add `{path}: any` under `where:`, or a condition"));
            }
        }
    }
}

/// Whether conditions say exactly who, what or where, or for an amount, how much at most and at least: without a least one a negative amount,
/// which turns a payment round, would pass.
fn binds(role: ArgumentRole, ty: Option<&WitType>, conditions: &[Bound<'_>]) -> bool {
    let any = |wanted: fn(&ConditionTemplate) -> bool| conditions.iter().any(|bound| wanted(&bound.kind));
    if any(|kind| matches!(kind, ConditionTemplate::Equals(_) | ConditionTemplate::In(_))) {
        return true;
    }
    // Parts of a web address: a host name says where, and path and names are what a request to it has to be open in. Policies still see
    // whether a grant fixes them: `context.bound`.
    if role == ArgumentRole::Recipient
        && any(|kind| matches!(kind, ConditionTemplate::Host(_) | ConditionTemplate::Path(_) | ConditionTemplate::Names(_)))
    {
        return true;
    }
    role == ArgumentRole::Amount
        && any(|kind| matches!(kind, ConditionTemplate::Max(_)))
        && (any(|kind| matches!(kind, ConditionTemplate::Min(_))) || ty.is_some_and(is_unsigned))
}

/// Whether a value is the run's subject: an expression that reads nothing else.
fn is_subject(template: &Template) -> bool {
    match template {
        Template::Expression(program) => program.source().trim() == "subject",
        _ => false,
    }
}

fn uncovered(at: &mut Vec<String>, ty: &WitType, conditions: &BTreeMap<FieldPath, Vec<Bound<'_>>>) -> Vec<String> {
    if conditions.keys().any(|path| path.segments() == at.as_slice()) {
        return Vec::new();
    }
    let deeper = conditions.keys().any(|path| path.segments().starts_with(at));
    let fields = match ty {
        WitType::Record(fields) if deeper => fields,
        WitType::Option(inner) if deeper => return uncovered(at, inner, conditions),
        _ => return vec![at.join(".")],
    };
    let mut missing = Vec::new();
    for (name, ty) in fields {
        at.push(name.clone());
        missing.extend(uncovered(at, ty, conditions));
        at.pop();
    }
    missing
}

fn is_whole(ty: &WitType) -> bool {
    match ty {
        WitType::Signed { .. } | WitType::Unsigned { .. } => true,
        WitType::Option(inner) => is_whole(inner),
        _ => false,
    }
}

fn is_unsigned(ty: &WitType) -> bool {
    match ty {
        WitType::Unsigned { .. } => true,
        WitType::Option(inner) => is_unsigned(inner),
        _ => false,
    }
}

fn is_named(ty: &WitType) -> bool {
    match ty {
        WitType::List(inner) => {
            matches!(&**inner, WitType::Record(fields) if fields.iter().any(|(name, ty)| name == "name" && is_text(ty)))
        }
        WitType::Option(inner) => is_named(inner),
        _ => false,
    }
}

fn is_text(ty: &WitType) -> bool {
    match ty {
        WitType::Text | WitType::Char => true,
        WitType::Option(inner) => is_text(inner),
        _ => false,
    }
}

/// The type of an argument in its JSON form.
fn type_of(ty: &WitType) -> Type {
    match ty {
        WitType::Bool => Type::Bool,
        WitType::Signed { .. } | WitType::Unsigned { .. } => Type::Int,
        WitType::Float { .. } => Type::Double,
        WitType::Char | WitType::Text | WitType::Bytes | WitType::Enum(_) => Type::String,
        WitType::List(inner) => Type::list(type_of(inner)),
        WitType::Record(fields) => Type::object(fields.iter().map(|(name, ty)| (name.clone(), type_of(ty)))),
        WitType::Flags(_) => Type::list(Type::String),
        WitType::Option(inner) => type_of(inner).nullable(),
        WitType::Tuple(_) => Type::list(Type::Any),
        WitType::Variant(_) | WitType::Result { .. } | WitType::Handle => Type::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(kinds: &[fn(ValueTemplate) -> ConditionTemplate]) -> Vec<Bound<'static>> {
        let value = || ValueTemplate::Value(Value::from(5));
        kinds.iter().map(|kind| Bound { node: None, template: None, kind: kind(value()) }).collect()
    }

    #[test]
    fn an_amount_is_bound_from_both_sides() {
        use ConditionTemplate::{Equals, In, Max, Min};
        let (signed, unsigned) = (WitType::Signed { bits: 64 }, WitType::Unsigned { bits: 64 });
        let is_bound =
            |ty: &WitType, kinds: &[fn(ValueTemplate) -> ConditionTemplate]| binds(ArgumentRole::Amount, Some(ty), &bound(kinds));
        assert!(is_bound(&signed, &[Equals]) && is_bound(&signed, &[In]) && is_bound(&signed, &[Min, Max]));
        // A negative amount turns a payment round.
        assert!(!is_bound(&signed, &[Max]) && !is_bound(&signed, &[Min]) && !is_bound(&signed, &[]));
        assert!(is_bound(&unsigned, &[Max]) && !is_bound(&unsigned, &[Min]));
        assert!(is_bound(&WitType::Option(Box::new(unsigned)), &[Max]));
    }

    #[test]
    fn only_a_value_says_who() {
        use ConditionTemplate::{Equals, Host, In, Max, Min, Names, Path, Prefix};
        for role in [ArgumentRole::Subject, ArgumentRole::Target, ArgumentRole::Recipient] {
            let is_bound = |kinds: &[fn(ValueTemplate) -> ConditionTemplate]| binds(role, Some(&WitType::Text), &bound(kinds));
            assert!(is_bound(&[Equals]) && is_bound(&[In]) && !is_bound(&[Min, Max]) && !is_bound(&[Prefix]));
            // A web address is a recipient that may be open below a path, and in the values of named parameters; a person is not.
            for kind in [Host as fn(ValueTemplate) -> ConditionTemplate, Path, Names] {
                assert_eq!(is_bound(&[kind]), role == ArgumentRole::Recipient);
            }
        }
    }
}
