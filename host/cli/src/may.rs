//! The grants of `bailiwick try`: `crm/customers.get where id=C-1042 owner=… calls=…`.

use std::collections::BTreeMap;

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{Catalog, FieldPath, Operation};
use bailiwick_core::grant::{Condition, GrantRequest};
use bailiwick_core::limits::ByteCount;
use bailiwick_core::signature::WitType;
use bailiwick_core::suggest;
use serde_json::Value;

use crate::fault::Diagnosis;

/// Options of a grant; they stand beside the conditions, never among them.
const OPTIONS: [&str; 4] = ["owner", "calls", "bytes-out", "bytes-in"];

/// Reads a grant.
///
/// # Errors
/// What is wrong with it and what to write instead.
pub fn parse(text: &str, catalog: &Catalog) -> Result<GrantRequest, Diagnosis> {
    let wrong = |message: String, help: String| Diagnosis::new(format!("grant `{text}`: {message}")).with_help(help);
    let words = shlex::split(text).ok_or_else(|| wrong("a quote is not closed".to_owned(), "close it".to_owned()))?;
    let mut words = words.into_iter();
    let name = words
        .next()
        .ok_or_else(|| wrong("it is empty".to_owned(), "begin with an operation, for example `crm/customers.get`".to_owned()))?;
    let operation = catalog.resolve(&name).map_err(|unknown| wrong(format!("there is no operation `{}`", unknown.name), unknown.help))?;
    let mut request = GrantRequest {
        operation: operation.id.clone(),
        conditions: BTreeMap::new(),
        owner: None,
        budgets: Budgets::default_for(operation.spec.effect),
        delegable: false,
    };
    let mut in_conditions = false;
    for word in words {
        let taken = match word.as_str() {
            "where" if !in_conditions => {
                in_conditions = true;
                Ok(())
            }
            word => apply(word, in_conditions, operation, &mut request),
        };
        taken.map_err(|(message, help)| wrong(message, help))?;
    }
    check_bound(operation, &request).map_err(|(message, help)| wrong(message, help))?;
    Ok(request)
}

type Wrong = (String, String);

fn apply(word: &str, in_conditions: bool, operation: &Operation, request: &mut GrantRequest) -> Result<(), Wrong> {
    let at = word.find(['=', '<', '>', '^']).ok_or_else(|| {
        let help = "write `PATH=VALUE`, `PATH<=N`, `PATH>=N`, `PATH^=TEXT` or `PATH=any`; quote values with spaces".to_owned();
        (format!("`{word}` is no condition"), help)
    })?;
    let (key, rest) = word.split_at(at);
    let (sign, value) = rest.split_at(if rest.starts_with('=') { 1 } else { rest.len().min(2) });
    let is_argument = key.parse::<FieldPath>().is_ok_and(|path| operation.signature.argument(path.segments()).is_some());
    if OPTIONS.contains(&key) && !is_argument && sign == "=" {
        return option(key, value, operation, request);
    }
    if !in_conditions {
        let help = if is_argument { format!("write `where` before `{word}`") } else { suggest::help(key, OPTIONS) };
        return Err((format!("`{key}` is no option of a grant"), help));
    }
    let (path, ty) = argument(key, operation)?;
    let condition = condition(sign, value, ty).map_err(|help| (format!("`{word}` does not fit `{key}`, which is {ty}"), help))?;
    request.conditions.entry(path).or_default().push(condition);
    Ok(())
}

fn option(key: &str, value: &str, operation: &Operation, request: &mut GrantRequest) -> Result<(), Wrong> {
    let number =
        || value.parse::<u64>().map_err(|_| (format!("`{key}={value}`: a whole number is expected"), format!("for example `{key}=2`")));
    match key {
        "owner" if operation.spec.owner.is_none() => {
            return Err((format!("`{}` names no owner of its answer", operation.short), "leave `owner` out".to_owned()));
        }
        "owner" => request.owner = Some(value.to_owned()),
        "calls" => request.budgets.calls = number()?,
        "bytes-out" => request.budgets.bytes_out = ByteCount(number()?),
        _ => request.budgets.bytes_in = ByteCount(number()?),
    }
    Ok(())
}

fn argument<'o>(key: &str, operation: &'o Operation) -> Result<(FieldPath, &'o WitType), Wrong> {
    let names: Vec<&str> = operation.signature.params.iter().map(|(name, _)| name.as_str()).collect();
    let unknown = || (format!("`{}` has no argument `{key}`", operation.short), suggest::help(key, names.iter().copied()));
    let path: FieldPath = key.parse().map_err(|_| unknown())?;
    let ty = operation.signature.argument(path.segments()).ok_or_else(unknown)?;
    Ok((path, ty))
}

fn condition(sign: &str, value: &str, ty: &WitType) -> Result<Condition, String> {
    let whole = || value.parse::<i64>().map_err(|_| "a whole number is expected".to_owned());
    match sign {
        "=" if value == "any" => Ok(Condition::Any),
        // The parameters of a web address, for example: which names there may be. Nothing behind the sign: none.
        "=" if matches!(ty, WitType::List(inner) if inner.field(&["name".to_owned()]).is_some()) => {
            Ok(Condition::Names(value.split('|').filter(|name| !name.is_empty()).map(str::to_owned).collect()))
        }
        "=" => match value.split('|').collect::<Vec<_>>().as_slice() {
            [one] => typed(one, ty).map(Condition::Equals),
            several => several.iter().map(|one| typed(one, ty)).collect::<Result<_, _>>().map(Condition::In),
        },
        "<=" => whole().map(Condition::Max),
        ">=" => whole().map(Condition::Min),
        "^=" => Ok(Condition::Prefix(value.to_owned())),
        _ => Err("write `=`, `<=`, `>=` or `^=`".to_owned()),
    }
}

/// Reads a value as the argument's type wants it.
fn typed(text: &str, ty: &WitType) -> Result<Value, String> {
    let number = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
    match ty {
        WitType::Text | WitType::Char | WitType::Bytes => Ok(text.into()),
        WitType::Option(_) if text == "none" => Ok(Value::Null),
        WitType::Option(inner) => typed(text, inner),
        WitType::Enum(cases) if cases.iter().any(|case| case == text) => Ok(text.into()),
        WitType::Enum(cases) => Err(suggest::help(text, cases.iter().map(String::as_str))),
        WitType::Bool => text.parse::<bool>().map(Value::from).map_err(|_| "`true` or `false` is expected".to_owned()),
        WitType::Signed { .. } | WitType::Unsigned { .. } | WitType::Float { .. } => {
            number(text).ok_or_else(|| "a number is expected".to_owned())
        }
        _ => Err("only `any` can be said of it here, or a condition on one of its fields".to_owned()),
    }
}

/// What names a subject, a thing of a subject, a recipient or an amount must be bound, here as in a workflow.
fn check_bound(operation: &Operation, request: &GrantRequest) -> Result<(), Wrong> {
    for (role, path) in operation.spec.bound_arguments() {
        let bound = request.conditions.get(path).is_some_and(|conditions| conditions.iter().any(|condition| *condition != Condition::Any));
        if !bound {
            return Err((format!("`{path}` is a {role} and is not bound"), format!("add `where {path}=VALUE`")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GrantRequest, String> {
        parse(text, &bailiwick_wit::builtin_catalog().unwrap()).map_err(|diagnosis| diagnosis.to_json().to_string())
    }

    #[test]
    fn grants_are_read() {
        let grant = read("orders/orders.get where id=O-1 owner=C-1 calls=2").unwrap();
        assert_eq!(grant.conditions.get(&"id".parse().unwrap()).unwrap(), &[Condition::Equals("O-1".into())]);
        assert_eq!((grant.owner.as_deref(), grant.budgets.calls), (Some("C-1"), 2));
        let grant = read("rules/tables.evaluate where ruleset=returns|claims facts=any").unwrap();
        assert_eq!(grant.conditions.get(&"ruleset".parse().unwrap()).unwrap(), &[Condition::In(vec!["returns".into(), "claims".into()])]);
        let web = "web/http.fetch where method=get url.scheme=https url.host=api.example url.port=443 url.path^=/v1/ url.query=page|limit headers=";
        let grant = read(web).unwrap();
        let names = |names: &[&str]| vec![Condition::Names(names.iter().map(|name| (*name).to_owned()).collect())];
        assert_eq!(grant.conditions[&"url.query".parse().unwrap()], names(&["page", "limit"]));
        assert_eq!(grant.conditions[&"headers".parse().unwrap()], names(&[]));
        let grant = read("crm/customers.get where \"id=C 1\" id^=C").unwrap();
        let expected = [Condition::Equals("C 1".into()), Condition::Prefix("C".to_owned())];
        assert_eq!(grant.conditions.get(&"id".parse().unwrap()).unwrap(), &expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_a_next_step() {
        for (text, expected) in [
            ("", "begin with an operation"),
            ("crm/customer.get where id=C", "did you mean `crm/customers.get`?"),
            ("crm/customers.get", "add `where id=VALUE`"),
            ("crm/customers.get where id=any", "add `where id=VALUE`"),
            ("crm/customers.get where idd=C-1", "did you mean `id`?"),
            ("crm/customers.get id=C-1", "write `where` before `id=C-1`"),
            ("crm/customers.get cals=1 where id=C-1", "did you mean `calls`?"),
            ("crm/customers.get where id=C-1 calls=x", "a whole number"),
            ("crm/customers.get where id", "write `PATH=VALUE`"),
            ("crm/customers.get where id<C", "write `=`"),
            ("crm/customers.get where id='C", "a quote is not closed"),
            ("notify/messages.send where owner=C-1", "no owner"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
