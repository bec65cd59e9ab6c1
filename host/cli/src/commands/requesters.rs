//! `bailiwick requesters`.

use bailiwick_core::act::Act;
use serde_json::json;

use crate::args::{AddRequesterArgs, Place, RemoveRequesterArgs};
use crate::display::{self, Table};
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::governance::now_ms;
use crate::requesters::{Known, Requesters};
use crate::text;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Lists who is known.
pub fn list(place: &Place) -> Result<Exit> {
    let requesters = Requesters::load(&super::state_folder(place)?)?;
    let shown = |known: &Known| json!({ "id": known.id, "tenant": known.tenant, "attributes": known.attributes, "since-ms": known.since_ms, "expires-ms": known.expires_ms });
    if place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "requesters": requesters.iter().map(shown).collect::<Vec<_>>() }));
        return Ok(Exit::Done);
    }
    if requesters.iter().next().is_none() {
        display::print("nobody is known but the accounts of this machine: `bailiwick requesters add NAME` gives out a token");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["requester", "tenant", "attributes", "since", "until"]);
    for known in requesters.iter() {
        let attributes: Vec<String> =
            known.attributes.iter().map(|(name, value)| format!("{}={}", text::clean(name), text::clean(value))).collect();
        let until =
            known.expires_ms.map_or_else(|| if known.token.is_some() { "removed".to_owned() } else { "–".to_owned() }, text::moment);
        table.row([known.id.clone(), known.tenant.to_string(), attributes.join(", "), text::moment(known.since_ms), until]);
    }
    display::print(&table.to_text());
    Ok(Exit::Done)
}

/// Lets somebody ask with a token.
pub fn add(args: &AddRequesterArgs) -> Result<Exit> {
    let mut attributes = std::collections::BTreeMap::new();
    for attribute in &args.attribute {
        let Some((name, value)) = attribute.split_once('=') else {
            let diagnosis = Diagnosis::new(format!("attribute `{attribute}` has no value"));
            return Err(Fault::bad_input(diagnosis.with_help("write NAME=VALUE, for example `kind=service-channel`".to_owned())));
        };
        attributes.insert(name.to_owned(), value.to_owned());
    }
    let now = now_ms();
    let token = super::with_governance(&args.place, &args.claim, async |project, governance, who| {
        let tenant = args.tenant.as_deref().map_or_else(|| project.tenant.clone(), Into::into);
        let expires_ms = args.days.map(|days| now.saturating_add(u64::from(days) * DAY_MS));
        let known =
            Known { id: args.id.clone(), tenant, attributes, token: None, added_by: Some(who.id.clone()), since_ms: now, expires_ms };
        let mut requesters = governance.requesters()?;
        let content = json!({ "tenant": known.tenant, "attributes": known.attributes, "days": args.days }).to_string();
        let token = requesters.add(known)?;
        governance.administer(who, &Act::AddRequester(args.id.clone()), &content).await?;
        requesters.store(&project.state)?;
        Ok(token)
    })?;
    if args.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "requester": args.id, "token": token }));
        return Ok(Exit::Done);
    }
    match token {
        Some(token) => {
            display::print(&token);
            display::tell(&format!("its holder is `{}` from now on; the token is kept nowhere and not shown again", args.id));
        }
        None => display::print(&format!(
            "`{}` has these attributes from now on; the operating system says who it is, so there is no token",
            args.id
        )),
    }
    Ok(Exit::Done)
}

/// Forgets somebody.
pub fn remove(args: &RemoveRequesterArgs) -> Result<Exit> {
    super::with_governance(&args.place, &args.claim, async |project, governance, who| {
        let mut requesters = governance.requesters()?;
        if requesters.remove(&args.id).is_none() {
            let help = bailiwick_core::suggest::help(&args.id, requesters.iter().map(|known| known.id.as_str()).collect::<Vec<_>>());
            return Err(Fault::bad_input(Diagnosis::new(format!("`{}` is not known here", args.id)).with_help(help)));
        }
        governance.administer(who, &Act::RemoveRequester(args.id.clone()), "").await?;
        requesters.store(&project.state)
    })?;
    if args.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "requester": args.id }));
    } else {
        display::print(&format!("the token of `{}` is worth nothing any more", args.id));
    }
    Ok(Exit::Done)
}
