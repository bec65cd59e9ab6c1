//! "Quote this": what to write instead of an expression without quotes.

/// Puts a text into quotes as YAML wants them, the plainest that do.
pub(crate) fn quoted(text: &str) -> String {
    match (text.contains(['"', '\\']), text.contains('\'')) {
        (false, _) => format!("\"{text}\""),
        (true, false) => format!("'{text}'"),
        (true, true) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Says how to quote a text.
pub(crate) fn help(text: &str) -> String {
    format!("quote this: {}", quoted(text))
}

/// Looks for an expression without quotes in the line of a byte, or in the line before where the parser noticed late, and says how to quote it.
pub(crate) fn help_for_line(file: &str, at: usize) -> Option<String> {
    let before = file.get(..at)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = |from: usize| file.get(from..)?.lines().next();
    let above = before.get(..start.saturating_sub(1)).map(|text| text.rfind('\n').map_or(0, |newline| newline + 1));
    line(start).and_then(unquoted_expression).or_else(|| unquoted_expression(line(above?)?)).map(|text| help(&text))
}

/// Finds `${ … }` without quotes around it, or the unquoted text of a `when`.
fn unquoted_expression(line: &str) -> Option<String> {
    if let Some(value) = line.trim_start().strip_prefix("when:").map(str::trim)
        && !value.is_empty()
        && !value.starts_with(['"', '\'', '|', '>'])
    {
        return Some(value.to_owned());
    }
    let mut from = 0;
    while let Some(at) = line.get(from..)?.find("${").map(|at| from + at) {
        if !line.get(..at)?.ends_with(['"', '\'']) {
            return Some(expression_at(line.get(at..)?).to_owned());
        }
        from = at + 2;
    }
    None
}

/// Takes an expression up to the brace that closes it, or to the end of the line.
fn expression_at(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return text.get(..=at).unwrap_or(text),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plainest_quotes_are_used() {
        assert_eq!(quoted("a"), "\"a\"");
        assert_eq!(quoted("a == 'b'"), "\"a == 'b'\"");
        assert_eq!(quoted("a == \"b\""), "'a == \"b\"'");
        assert_eq!(quoted("'a' == \"b\""), "\"'a' == \\\"b\\\"\"");
    }

    #[test]
    fn an_unquoted_expression_is_found() {
        assert_eq!(help_for_line("x: { a: ${ input.a }, b: 1 }", 8).unwrap(), "quote this: \"${ input.a }\"");
        assert_eq!(help_for_line("x: \"${ a }\"\ny: ${ {'b': 1}.b }", 14).unwrap(), "quote this: \"${ {'b': 1}.b }\"");
        assert_eq!(help_for_line("when: !a.b\nx: 1", 12).unwrap(), "quote this: \"!a.b\"");
        assert_eq!(help_for_line("when: \"!a.b\"", 3), None);
        assert_eq!(help_for_line("x: \"${ a }\"", 3), None);
        assert_eq!(help_for_line("", 0), None);
    }
}
