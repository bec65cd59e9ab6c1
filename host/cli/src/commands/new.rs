//! `bailiwick new`.

use std::io::Write as _;
use std::path::Path;

use bailiwick_template::NewFile;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use serde_json::json;

use crate::args::NewAgentArgs;
use crate::display;
use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result};
use crate::text;

/// Writes a new agent's folder, whole or not at all.
pub fn agent(args: &NewAgentArgs) -> Result<Exit> {
    let files = bailiwick_template::new_agent(&args.name).map_err(|problem| Fault::bad_input(Diagnosis::new(problem.to_string())))?;
    let folder = args.dir.join(&args.name);
    let shown = text::path(&folder);
    if folder.symlink_metadata().is_ok() {
        let diagnosis = Diagnosis::new(format!("`{shown}` exists already, and nothing is overwritten"));
        return Err(Fault::bad_input(diagnosis.with_help("choose another name, or another `--dir`".to_owned())));
    }
    write_all(&args.dir, &args.name, &files).map_err(|error| Fault::internal(format!("`{shown}` cannot be written: {error}")))?;
    if args.json {
        let paths: Vec<&str> = files.iter().map(|file| file.path).collect();
        display::print_json(&json!({ "exit": Exit::Done.name(), "name": args.name, "folder": folder, "files": paths }));
        return Ok(Exit::Done);
    }
    display::print(&format!("agent {} is in {shown}: begin with {shown}/src/lib.rs", args.name));
    display::print(&format!("test it:      cd {shown} && cargo test"));
    display::print(&format!("use it:       {} = {{ source = \"{shown}\" }}    in `[agents]` of a project's bailiwick.toml", args.name));
    Ok(Exit::Done)
}

/// Writes into a folder beside the final one and renames it, so that a full disk leaves no half agent behind.
fn write_all(dir: &Path, name: &str, files: &[NewFile]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let draft = tempfile::Builder::new().prefix(".bailiwick-new-").tempdir_in(dir)?;
    let folder = Dir::open_ambient_dir(draft.path(), ambient_authority())?;
    for file in files {
        if let Some(parent) = Path::new(file.path).parent() {
            folder.create_dir_all(parent)?;
        }
        let mut target = folder.open_with(file.path, OpenOptions::new().write(true).create_new(true))?;
        target.write_all(file.text.as_bytes())?;
    }
    let target = dir.join(name);
    // A folder that came into being meanwhile and is not empty is not replaced: rename refuses it.
    std::fs::rename(draft.path(), target)?;
    // It is no longer where it would be removed.
    let _ = draft.keep();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, dir: &Path) -> NewAgentArgs {
        NewAgentArgs { name: name.to_owned(), dir: dir.to_owned(), json: true }
    }

    #[test]
    fn an_agent_is_written_once_and_never_over_something() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(agent(&args("order-status", dir.path())).unwrap(), Exit::Done);
        let source = dir.path().join("order-status/src/lib.rs");
        assert!(std::fs::read_to_string(&source).unwrap().contains("fn order_status"));
        std::fs::write(&source, "mine").unwrap();
        let fault = agent(&args("order-status", dir.path())).unwrap_err();
        assert_eq!(fault.exit, Exit::BadInput);
        assert_eq!(std::fs::read_to_string(&source).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_name_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../x", "Order", "match", ""] {
            assert_eq!(agent(&args(name, dir.path())).unwrap_err().exit, Exit::BadInput, "{name}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
