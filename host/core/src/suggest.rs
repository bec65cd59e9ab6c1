//! Nearest names, for errors that say what was probably meant.

/// Gives the candidate that `word` was most likely meant to be, if one is near enough.
///
/// Near enough means: at most a third of the longer word has to change.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= word.len().max(candidate.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Gives `did you mean `x`?` or the list of what there is, as the next step of an error about an unknown name.
pub fn help<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let mut names: Vec<&str> = candidates.into_iter().collect();
            names.sort_unstable();
            if names.is_empty() {
                return "there are none".to_owned();
            }
            format!("known: {}", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        assert_eq!(nearest("workflwo", ["agents", "workflow"]), Some("workflow"));
        assert_eq!(nearest("banana", ["agents", "workflow"]), None);
        assert_eq!(help("banana", ["b", "a"]), "known: `a`, `b`");
    }
}
