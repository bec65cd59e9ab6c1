//! Who besides its owner gets at a state folder. Records, databases, documents and mail lie there: personal data, and what the host takes for its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::fault::{Diagnosis, Fault, Result};
use crate::text;

/// May write: the group, or anybody.
const WRITE: u32 = 0o022;
/// May look into it: anybody. That its group may read a folder is how auditors are let in, so nothing is said of it.
const READ: u32 = 0o005;
/// May go through a folder: the group, or anybody.
const PASS: u32 = 0o011;

/// Looks at the permissions of a state folder: a problem where others may write, a warning where anybody may read. A folder that is not there is made for
/// its owner alone, and one that is there keeps its mode: who is meant to get at it is not ours to say.
pub fn exposure(state: &Path) -> Option<Diagnosis> {
    let found = mode(state)?;
    if found & (WRITE | READ) == 0 || !is_reachable(state) {
        return None;
    }
    let (shown, found_text) = (text::path(state), format!("{:04o}", found & 0o7777));
    Some(if found & WRITE == 0 {
        let message =
            format!("anybody on this machine may look into state folder `{shown}` (mode {found_text}), and personal data lie there");
        Diagnosis::new(message).with_help(format!("`chmod 700 {shown}`, or 750 where its group may read")).into_warning()
    } else {
        let message =
            format!("others may write in state folder `{shown}` (mode {found_text}): what they put there is taken for the host's own");
        Diagnosis::new(message).with_help(format!("`chmod 700 {shown}`, or 750 where its group may read; or pass another `--state`"))
    })
}

/// Makes a folder for a while that nobody else gets at; its content is thrown away with it.
///
/// # Errors
/// When none can be made.
pub fn scratch() -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir();
    made.map_err(|error| Fault::internal(format!("no folder for a while can be made: {error}")))
}

fn mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode())
}

/// Whether all folders on the way let others pass. What is not known does.
fn is_reachable(state: &Path) -> bool {
    let path = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    path.ancestors().skip(1).all(|folder| mode(folder).is_none_or(|mode| mode & PASS != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_state_folder_is_its_owners_and_at_most_read_by_its_group() {
        let outer = tempfile::tempdir().unwrap();
        let state = outer.path().join("state");
        set(outer.path(), 0o755);
        assert!(exposure(&state).is_none(), "it is not there");
        std::fs::create_dir(&state).unwrap();
        for (mode, is_warning) in [
            (0o700, None),
            (0o710, None),
            (0o750, None),
            (0o2750, None),
            (0o701, Some(true)),
            (0o704, Some(true)),
            (0o755, Some(true)),
            (0o720, Some(false)),
            (0o702, Some(false)),
            (0o775, Some(false)),
            (0o1777, Some(false)),
        ] {
            set(&state, mode);
            let found = exposure(&state);
            assert_eq!(found.as_ref().map(Diagnosis::is_warning), is_warning, "{mode:o}");
            if let Some(found) = found {
                let text = found.to_json().to_string();
                assert!(text.contains(&format!("(mode {mode:04o})")) && text.contains("`chmod 700 "), "{text}");
            }
            assert_eq!(super::mode(&state).unwrap() & 0o7777, mode, "it is left as it was");
        }
        // Nobody else gets that far.
        set(outer.path(), 0o700);
        assert!(exposure(&state).is_none());
    }

    #[test]
    fn a_folder_for_a_while_is_nobody_elses() {
        assert_eq!(mode(scratch().unwrap().path()).unwrap() & 0o777, 0o700);
    }
}
