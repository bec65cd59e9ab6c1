//! What steps give.

use std::collections::BTreeMap;

use super::{Change, Direction, different, is_same, text};
use crate::capability::FieldPath;
use crate::grant::Condition;
use crate::plan::{ConditionTemplate, GrantTemplate, ValueTemplate};

/// Compares the grants of a step. A grant is told by its operation; a step has at most one of each.
pub(super) fn compare(before: &[GrantTemplate], after: &[GrantTemplate]) -> Vec<Change> {
    let mut changes = Vec::new();
    for grant in after {
        match before.iter().find(|other| other.operation == grant.operation) {
            None => changes.push(whole(Direction::Wider, grant)),
            Some(other) => {
                let what = format!("may {}", grant.operation.to_short());
                changes.extend(one(other, grant).into_iter().map(|change| change.within(&what)));
            }
        }
    }
    let gone = before.iter().filter(|grant| !after.iter().any(|other| other.operation == grant.operation));
    changes.extend(gone.map(|grant| whole(Direction::Narrower, grant)));
    changes
}

/// Says that a grant is new, or gone.
pub(super) fn whole(direction: Direction, grant: &GrantTemplate) -> Change {
    let text = Some(format!("{}, {}", grant.effect, conditions_text(&grant.conditions)));
    let (before, after) = if direction == Direction::Wider { (None, text) } else { (text, None) };
    Change::new(direction, format!("may {}", grant.operation.to_short()), before, after)
}

fn one(before: &GrantTemplate, after: &GrantTemplate) -> Vec<Change> {
    use Direction::{Changed, Narrower, Wider};
    let mut changes = Vec::new();
    conditions(&mut changes, &before.conditions, &after.conditions);
    different(&mut changes, "owner", before.owner.as_ref().map(text), after.owner.as_ref().map(text), [Narrower, Wider]);
    let (old, new) = (&before.budgets, &after.budgets);
    super::amount(&mut changes, "calls", Some(old.calls), Some(new.calls));
    super::amount(&mut changes, "bytes-out", Some(old.bytes_out.0), Some(new.bytes_out.0));
    super::amount(&mut changes, "bytes-in", Some(old.bytes_in.0), Some(new.bytes_in.0));
    if before.delegable != after.delegable {
        let direction = if after.delegable { Wider } else { Narrower };
        changes.push(Change::new(direction, "delegable", Some(before.delegable.to_string()), Some(after.delegable.to_string())));
    }
    // The capability's own file says other things of it than it did.
    if before.effect != after.effect {
        changes.push(Change::new(Changed, "effect", Some(before.effect.to_string()), Some(after.effect.to_string())));
    }
    if before.dedupe != after.dedupe {
        changes.push(Change::new(Changed, "dedupe", Some(format!("{:?}", before.dedupe)), Some(format!("{:?}", after.dedupe))));
    }
    changes
}

type Conditions = BTreeMap<FieldPath, Vec<ConditionTemplate>>;

/// An argument that no condition mentions is refused at every call. So one that is mentioned now and was not is wider, unless something else was
/// said of a part of it, or of what it is a part of.
fn conditions(changes: &mut Vec<Change>, before: &Conditions, after: &Conditions) {
    for (path, new) in after {
        let what = format!("`{path}`");
        match before.get(path) {
            Some(old) => {
                let change = |direction| Change::new(direction, what, Some(list_text(old)), Some(list_text(new)));
                changes.extend(direction(old, new).map(change));
            }
            None => {
                let direction = if related(path, before).is_empty() { Direction::Wider } else { part(path, new, before).reversed() };
                changes.push(Change::new(direction, what, None, Some(list_text(new))));
            }
        }
    }
    for (path, old) in before.iter().filter(|(path, _)| !after.contains_key(*path)) {
        let direction = if related(path, after).is_empty() { Direction::Narrower } else { part(path, old, after) };
        changes.push(Change::new(direction, format!("`{path}`"), Some(list_text(old)), None));
    }
}

/// Which way a path of one side went that the other side mentions only in parts, or as a part of something: narrower where it was open and all that
/// is left lies below it.
fn part(path: &FieldPath, conditions: &[ConditionTemplate], other: &Conditions) -> Direction {
    let is_open = conditions.iter().all(|condition| matches!(condition, ConditionTemplate::Any));
    let all_below = related(path, other).iter().all(|found| found.segments().len() > path.segments().len());
    let open_above = related(path, other).iter().any(|found| {
        found.segments().len() < path.segments().len()
            && other.get(*found).is_some_and(|conditions| conditions.iter().all(|c| matches!(c, ConditionTemplate::Any)))
    });
    match (is_open && all_below, open_above) {
        (true, _) => Direction::Narrower,
        // Something was said of a part, and now the whole is open.
        (_, true) => Direction::Wider,
        _ => Direction::Changed,
    }
}

/// Paths of the other side that lie below or above one.
fn related<'c>(path: &FieldPath, other: &'c Conditions) -> Vec<&'c FieldPath> {
    let lies = |a: &FieldPath, b: &FieldPath| b.segments().starts_with(a.segments());
    other.keys().filter(|found| lies(path, found) || lies(found, path)).collect()
}

/// `None` where both sides say the same.
fn direction(before: &[ConditionTemplate], after: &[ConditionTemplate]) -> Option<Direction> {
    // INVARIANT: all conditions of a path hold, so a side is within the other where each condition of the other is implied by one of its own.
    let is_within = |inner: &[ConditionTemplate], outer: &[ConditionTemplate]| {
        outer.iter().all(|outer| inner.iter().any(|inner| implies(inner, outer)))
    };
    match (is_within(after, before), is_within(before, after)) {
        (true, true) => None,
        (true, false) => Some(Direction::Narrower),
        (false, true) => Some(Direction::Wider),
        (false, false) => Some(Direction::Changed),
    }
}

fn same_kind(before: &ConditionTemplate, after: &ConditionTemplate) -> bool {
    std::mem::discriminant(before) == std::mem::discriminant(after)
        && match (before.value(), after.value()) {
            (Some(before), Some(after)) => is_same(before, after),
            (before, after) => before.is_none() && after.is_none(),
        }
}

/// Whether whatever satisfies a condition satisfies another one, for every run. May say no where the answer is yes.
fn implies(inner: &ConditionTemplate, outer: &ConditionTemplate) -> bool {
    if matches!(outer, ConditionTemplate::Any) || same_kind(inner, outer) {
        return true;
    }
    if let (Some(inner), Some(outer)) = (literal(inner), literal(outer)) {
        return inner.is_within(&outer);
    }
    match (inner, outer) {
        // The same expression among others, or fewer of the same.
        (ConditionTemplate::Equals(value), ConditionTemplate::In(list)) => holds(list, value),
        (ConditionTemplate::In(few), ConditionTemplate::In(many)) => {
            items(few).is_some_and(|few| few.iter().all(|value| holds(many, value)))
        }
        _ => false,
    }
}

fn holds(list: &ValueTemplate, value: &ValueTemplate) -> bool {
    items(list).is_some_and(|items| items.iter().any(|item| is_same(item, value)))
}

fn items(list: &ValueTemplate) -> Option<Vec<ValueTemplate>> {
    match list {
        ValueTemplate::List(items) => Some(items.clone()),
        ValueTemplate::Value(serde_json::Value::Array(items)) => Some(items.iter().cloned().map(ValueTemplate::Value).collect()),
        _ => None,
    }
}

/// The condition, where its value is written out.
fn literal(condition: &ConditionTemplate) -> Option<Condition> {
    let value = match condition.value() {
        None => return Some(Condition::Any),
        Some(ValueTemplate::Value(value)) => value,
        Some(_) => return None,
    };
    Some(match condition {
        ConditionTemplate::Any => Condition::Any,
        ConditionTemplate::Equals(_) => Condition::Equals(value.clone()),
        ConditionTemplate::In(_) => Condition::In(value.as_array()?.clone()),
        ConditionTemplate::Max(_) => Condition::Max(value.as_i64()?),
        ConditionTemplate::Min(_) => Condition::Min(value.as_i64()?),
        ConditionTemplate::Prefix(_) => Condition::Prefix(value.as_str()?.to_owned()),
        ConditionTemplate::Host(_) => Condition::Host(value.as_str()?.to_owned()),
        ConditionTemplate::Path(_) => Condition::Path(value.as_str()?.to_owned()),
        ConditionTemplate::Names(_) => {
            let names = value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
            Condition::Names(names.collect::<Option<_>>()?)
        }
    })
}

/// Writes the conditions of a path as in a workflow file.
fn list_text(conditions: &[ConditionTemplate]) -> String {
    conditions.iter().map(ConditionTemplate::to_text).collect::<Vec<_>>().join(" and ")
}

fn conditions_text(conditions: &Conditions) -> String {
    let written: Vec<String> = conditions.iter().map(|(path, conditions)| format!("{path}: {}", list_text(conditions))).collect();
    if written.is_empty() { "no arguments".to_owned() } else { written.join("; ") }
}
