//! `bailiwick ledger verify`, `export`, `erase`, `hold`, `key` and `anchor`.

use std::path::{Path, PathBuf};

use bailiwick_core::act::{Act, DataSubject};
use bailiwick_core::ids::{SubjectId, TenantId};
use bailiwick_core::policy::Requester;
use bailiwick_ledger::{BundleProblem, EraseProblem, ExportProblem, Ledger, Reader, RotateProblem, Trust, verify_against, verify_bundle};
use serde_json::json;

use super::ledger::read_fault;
use crate::args::{AnchorArgs, ClaimArgs, ExportArgs, HoldArgs, Place, RotateArgs, SubjectArgs, VerifyArgs};
use crate::display;
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::governance::Governance;
use crate::project::Project;
use crate::{text, wire};

/// Verifies the whole ledger, or a bundle.
pub fn verify(args: &VerifyArgs) -> Result<Exit> {
    let trust = Trust::read(&args.key, &args.anchor, &args.witness_key);
    let trust = trust.map_err(|problem| Fault::bad_input(Diagnosis::new(problem.to_string())))?;
    let report = match &args.bundle {
        Some(bundle) => verify_bundle(bundle, &trust).map_err(bundle_fault)?,
        None => verify_against(&super::state_folder(&args.place)?, &trust).map_err(wire::open_fault)?,
    };
    let exit = if report.is_complete() { Exit::Done } else { Exit::Failed };
    if args.place.json {
        display::print_json(&json!({ "exit": exit.name(), "intact": report.is_intact(), "report": report }));
    } else {
        display::print(&text::clean_lines(&report.to_string()));
    }
    Ok(exit)
}

/// Writes a bundle.
pub fn export(args: &ExportArgs) -> Result<Exit> {
    let reader = Reader::open(&super::state_folder(&args.place)?).map_err(wire::open_fault)?;
    let report = reader.export(&args.folder, args.payloads).map_err(export_fault)?;
    let checkpoint = report.checkpoint.checkpoint();
    if args.place.json {
        let document = json!({
            "exit": Exit::Done.name(), "origin": checkpoint.origin, "records": checkpoint.size, "root": checkpoint.root,
            "payloads": report.payloads, "checkpoint": report.checkpoint.to_string(),
        });
        display::print_json(&document);
    } else {
        let plain = if args.payloads { format!(" and {} payloads in plain", report.payloads) } else { String::new() };
        display::print(&format!("{} records{plain} written to {}", checkpoint.size, text::path(&args.folder)));
        display::print("verify them elsewhere with `bailiwick-verify` or `bailiwick ledger verify --bundle`");
    }
    Ok(Exit::Done)
}

/// Erases a data subject.
pub fn erase(args: &SubjectArgs) -> Result<Exit> {
    let erased = with_ledger(&args.place, &args.claim, async |project, governance, who| {
        let (tenant, subject) = of(args, project);
        let act = Act::EraseSubject(DataSubject { tenant: tenant.clone(), id: subject.clone() });
        governance.administer(who, &act, "").await?;
        let erased = governance.ledger.erase(Some(&tenant), &subject, Some(&who.id)).map_err(|problem| match problem {
            EraseProblem::Held { .. } => Fault::bad_input(Diagnosis::new(problem.to_string())),
            EraseProblem::Failed(failure) => wire::ledger_fault(failure),
        })?;
        if erased.payloads == 0 {
            // A slip in the name or the tenant must not look like a duty that was done.
            let message = format!("nothing is kept of `{subject}` in tenant `{tenant}`, so nothing was erased (record {})", erased.record);
            let diagnosis = Diagnosis::new(message).with_help("look at the name and at `--tenant`".to_owned());
            return Err(Fault::of(Exit::Failed, vec![diagnosis]));
        }
        Ok(erased)
    })?;
    if args.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "record": erased.record, "payloads": erased.payloads }));
    } else {
        display::print(&format!("{} payloads erased; the erasure is record {}", erased.payloads, erased.record));
        display::print("what connectors, backups and exported payloads hold is not touched by that");
    }
    Ok(Exit::Done)
}

/// Places or releases a hold.
pub fn hold(args: &HoldArgs) -> Result<Exit> {
    let seq = with_ledger(&args.subject.place, &args.subject.claim, async |project, governance, who| {
        let (tenant, subject) = of(&args.subject, project);
        let act = Act::HoldSubject(DataSubject { tenant: tenant.clone(), id: subject.clone() });
        governance.administer(who, &act, if args.release { "release" } else { "hold" }).await?;
        let place = if args.release { Ledger::release } else { Ledger::hold };
        place(&governance.ledger, Some(&tenant), &subject, Some(&who.id), &args.reason).map_err(wire::ledger_fault)
    })?;
    if args.subject.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "record": seq, "held": !args.release }));
    } else {
        display::print(&format!("{}; that is record {seq}", if args.release { "hold released" } else { "held: erasing is refused" }));
    }
    Ok(Exit::Done)
}

/// Shows the keys that have signed.
pub fn show_keys(place: &Place) -> Result<Exit> {
    let reader = Reader::open(&super::state_folder(place)?).map_err(wire::open_fault)?;
    let keys = reader.signing_keys().map_err(read_fault)?;
    if place.json {
        let keys: Vec<_> = keys.iter().map(|(first, key)| json!({ "from": first, "key": key.to_string() })).collect();
        display::print_json(&json!({ "exit": Exit::Done.name(), "keys": keys }));
    } else {
        for (_, key) in &keys {
            display::print(&key.to_string());
        }
    }
    Ok(Exit::Done)
}

/// Makes a new key.
pub fn rotate(args: &RotateArgs) -> Result<Exit> {
    let (record, key) = with_ledger(&args.place, &args.claim, async |_, governance, who| {
        let ledger = &governance.ledger;
        governance.administer(who, &Act::RotateKey, &ledger.verifier_key().to_string()).await?;
        let record = ledger.rotate_key(Some(&who.id)).map_err(|problem| match problem {
            RotateProblem::Key(problem) => wire::open_fault(problem),
            RotateProblem::Failed(failure) => wire::ledger_fault(failure),
            RotateProblem::Origin { .. } => Fault::internal(problem.to_string()),
        })?;
        Ok((record, ledger.verifier_key().to_string()))
    })?;
    if args.place.json {
        display::print_json(&json!({ "exit": Exit::Done.name(), "record": record, "key": key }));
    } else {
        display::print(&key);
        display::print(&format!("signs from now on; the change is record {record}, signed with the key before"));
    }
    Ok(Exit::Done)
}

/// Anchors the newest checkpoint.
pub fn anchor(args: &AnchorArgs) -> Result<Exit> {
    let ledger = open(&args.place, args.to.clone())?;
    let states = ledger.anchor_now();
    ledger.close().map_err(wire::ledger_fault)?;
    let failed = states.iter().find_map(|state| Some((state, state.problem.as_ref()?)));
    if let Some((state, problem)) = failed {
        return Err(Fault::internal(format!("`{}` has no new checkpoint: {problem}", state.place)));
    }
    if args.place.json {
        let places: Vec<_> = states.iter().map(|state| json!({ "place": state.place, "records": state.size })).collect();
        display::print_json(&json!({ "exit": Exit::Done.name(), "anchors": places }));
    } else if states.is_empty() {
        display::print("the ledger has no record yet, so there is nothing to anchor");
    } else {
        for state in &states {
            display::print(&format!("{} records anchored in {}", state.size, state.place));
        }
    }
    Ok(Exit::Done)
}

/// Opens the ledger of a state folder that has one: these commands begin none.
fn open(place: &Place, anchors: Vec<PathBuf>) -> Result<Ledger> {
    let state = super::state_folder(place)?;
    has_ledger(&state)?;
    Ledger::open(&state, wire::ledger_options(anchors)).map_err(wire::open_fault)
}

fn has_ledger(state: &Path) -> Result<()> {
    match Reader::open(state) {
        Ok(_) | Err(bailiwick_ledger::OpenProblem::Older { .. }) => Ok(()),
        Err(problem) => Err(wire::open_fault(problem)),
    }
}

/// Does something that the policies decide on, in a state folder that has a ledger.
fn with_ledger<T>(place: &Place, claim: &ClaimArgs, work: impl AsyncFnOnce(&Project, &Governance, &Requester) -> Result<T>) -> Result<T> {
    has_ledger(&super::state_folder(place)?)?;
    super::with_governance(place, claim, work)
}

/// Whose data a command is about.
fn of(args: &SubjectArgs, project: &Project) -> (TenantId, SubjectId) {
    (args.tenant.as_deref().map_or_else(|| project.tenant.clone(), Into::into), args.subject.as_str().into())
}

fn bundle_fault(problem: BundleProblem) -> Fault {
    Fault::bad_input(Diagnosis::new(problem.to_string()))
}

fn export_fault(problem: ExportProblem) -> Fault {
    let diagnosis = Diagnosis::new(problem.to_string());
    match problem {
        ExportProblem::NotEmpty(_) | ExportProblem::Empty | ExportProblem::File { .. } => Fault::bad_input(diagnosis),
        ExportProblem::TooLong(_) | ExportProblem::Read(_) => Fault::internal(problem.to_string()),
    }
}
