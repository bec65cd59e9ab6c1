//! "did you mean …?"

/// Returns the name that a misspelt one most likely stands for.
pub(crate) fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // About one slip in three letters; beyond that a proposal misleads more than it helps.
    let allowed = (wanted.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter(|name| *name != wanted)
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Names that differ only in case or in `_` are as near as can be.
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    if plain(a) == plain(b) { 0 } else { strsim::damerau_levenshtein(a, b) }
}

/// Returns the help for an unknown name: the nearest one, or all of them where they are few.
pub(crate) fn help<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    const SHOWN_NAMES: usize = 8;
    let names: Vec<&str> = names.into_iter().collect();
    if let Some(name) = nearest(wanted, names.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    if names.is_empty() || names.len() > SHOWN_NAMES {
        return None;
    }
    let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("known: {}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_proposed() {
        let names = ["eligible", "reason", "tracking"];
        assert_eq!(nearest("eligble", names), Some("eligible"));
        assert_eq!(nearest("Reason", names), Some("reason"));
        assert_eq!(nearest("customer", names), None);
        assert_eq!(nearest("days_between", ["daysBetween"]), Some("daysBetween"));
    }

    #[test]
    fn few_names_are_listed() {
        assert_eq!(help("x", ["alpha", "beta"]).as_deref(), Some("known: `alpha`, `beta`"));
        assert_eq!(help("x", []), None);
    }
}
