//! The tokens of a source, before the parser sees it.
//!
//! The parser recurses, so hostile nesting must be refused before it; and it remembers only where an operator or an
//! opening bracket stands, so whole ranges are found again from the tokens.

use crate::error::CompileError;

/// What a token is, as far as nesting, ranges and messages need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Open,
    Close,
    /// Ends a chain of operators: `,`, `&&`, `||`, `:`.
    Break,
    Question,
    /// `!` and `-`, which may also be unary.
    Prefix,
    /// Any other operator, and `.`.
    Operator,
    Name,
    Literal,
    Unknown,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
    /// The token's own index, or for a bracket the index of its partner.
    pub mate: usize,
}

/// Finds the tokens of a source; comments and white space are left out.
///
/// # Errors
/// A text literal or a bracket is left open, or a bracket is closed that was never opened.
pub(crate) fn scan(source: &str) -> Result<Vec<Token>, CompileError> {
    let mut scanner = Scanner { source, at: 0, tokens: Vec::new(), open: Vec::new() };
    while scanner.at < source.len() {
        if let Some(stray) = scanner.next_token()? {
            let bracket = source.get(stray..stray + 1).unwrap_or_default();
            return Err(CompileError::new(stray..stray + 1, format!("`{bracket}` closes nothing")));
        }
    }
    match scanner.open.pop().and_then(|index| scanner.tokens.get(index)) {
        Some(token) => Err(CompileError::new(token.start..token.end, "this bracket is never closed")),
        None => Ok(scanner.tokens),
    }
}

/// Returns where the first `}` stands that closes nothing, for an expression inside `${ … }`.
///
/// # Errors
/// A text literal is left open, or a bracket of another kind is closed that was never opened.
pub(crate) fn end_of_embedded(source: &str) -> Result<Option<usize>, CompileError> {
    let mut scanner = Scanner { source, at: 0, tokens: Vec::new(), open: Vec::new() };
    while scanner.at < source.len() {
        if let Some(stray) = scanner.next_token()? {
            return Ok(Some(stray));
        }
    }
    Ok(None)
}

/// Refuses a source whose syntax tree could be deeper than the bounds say.
///
/// # Errors
/// Brackets, ternaries and unary operators lie more than `nesting` deep, or a chain of operators is so long that the
/// tree would be more than `tree_depth` deep.
pub(crate) fn check_depth(tokens: &[Token], nesting: usize, tree_depth: usize) -> Result<(), CompileError> {
    // One entry for each open bracket: what lies around it, and the chain that runs at its level.
    let mut levels = vec![Level::default()];
    for token in tokens {
        let Some(level) = levels.last_mut() else { break };
        match token.kind {
            TokenKind::Open => {
                level.chain += 1;
                let inner = Level { nested: level.nested + 1, around: level.around + level.chain, ..Level::default() };
                levels.push(inner);
            }
            TokenKind::Close => {
                levels.pop();
            }
            TokenKind::Break => level.end_chain(),
            TokenKind::Question => {
                level.nested += 1;
                level.around += 1;
                level.end_chain();
            }
            TokenKind::Prefix => {
                level.chain += 1;
                level.prefixes += 1;
            }
            TokenKind::Operator => {
                level.chain += 1;
                level.prefixes = 0;
            }
            TokenKind::Name | TokenKind::Literal | TokenKind::Unknown => level.prefixes = 0,
        }
        let Some(level) = levels.last() else { break };
        if level.nested + level.prefixes > nesting || level.around + level.chain > tree_depth {
            let message = format!("nested deeper than {nesting} levels, or a chain longer than {tree_depth}");
            return Err(CompileError::new(token.start..token.end, message).help("split it over several steps"));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Level {
    nested: usize,
    around: usize,
    chain: usize,
    prefixes: usize,
}

impl Level {
    fn end_chain(&mut self) {
        self.chain = 0;
        self.prefixes = 0;
    }
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
    open: Vec<usize>,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Takes the next token. Returns where it stands if it closes a bracket that was never opened.
    fn next_token(&mut self) -> Result<Option<usize>, CompileError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        if first.is_whitespace() {
            self.at += first.len_utf8();
            return Ok(None);
        }
        if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Ok(None);
        }
        if let Some(prefix) = text_prefix(rest) {
            return self.take_text(prefix).map(|()| None);
        }
        let (kind, length) = match first {
            '(' | '[' | '{' => (TokenKind::Open, 1),
            ')' | ']' | '}' => return self.close(first),
            ',' | ':' => (TokenKind::Break, 1),
            '?' => (TokenKind::Question, 1),
            _ if rest.starts_with("&&") || rest.starts_with("||") => (TokenKind::Break, 2),
            _ if ["==", "!=", "<=", ">="].iter().any(|op| rest.starts_with(op)) => (TokenKind::Operator, 2),
            '!' | '-' => (TokenKind::Prefix, 1),
            '0'..='9' => (TokenKind::Literal, number_length(rest)),
            '.' if rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => (TokenKind::Literal, number_length(rest)),
            '.' | '+' | '*' | '/' | '%' | '<' | '>' => (TokenKind::Operator, 1),
            '_' | 'a'..='z' | 'A'..='Z' => {
                let length = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                let kind = if rest.get(..length) == Some("in") { TokenKind::Operator } else { TokenKind::Name };
                (kind, length)
            }
            other => (TokenKind::Unknown, other.len_utf8()),
        };
        if kind == TokenKind::Open {
            self.open.push(self.tokens.len());
        }
        self.push(kind, length);
        Ok(None)
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let mate = self.tokens.len();
        self.tokens.push(Token { kind, start: self.at, end: self.at + length, mate });
        self.at += length;
    }

    fn close(&mut self, bracket: char) -> Result<Option<usize>, CompileError> {
        let Some(open) = self.open.pop() else { return Ok(Some(self.at)) };
        let index = self.tokens.len();
        let at = self.at;
        self.push(TokenKind::Close, 1);
        if let Some(token) = self.tokens.last_mut() {
            token.mate = open;
        }
        let Some(partner) = self.tokens.get_mut(open) else { return Ok(None) };
        partner.mate = index;
        let wanted = match self.source.get(partner.start..partner.end) {
            Some("(") => ')',
            Some("[") => ']',
            _ => '}',
        };
        match wanted == bracket {
            true => Ok(None),
            false => Err(CompileError::new(at..at + 1, format!("expected `{wanted}`, found `{bracket}`"))),
        }
    }

    fn take_text(&mut self, (prefix, raw): (usize, bool)) -> Result<(), CompileError> {
        let body = self.rest().get(prefix..).unwrap_or_default();
        let quote = body.get(..1).unwrap_or_default();
        let triple = quote.repeat(3);
        let delimiter = if body.starts_with(&triple) { triple.as_str() } else { quote };
        let mut inside = body.get(delimiter.len()..).unwrap_or_default();
        let mut length = prefix + delimiter.len();
        loop {
            if inside.starts_with(delimiter) {
                self.push(TokenKind::Literal, length + delimiter.len());
                return Ok(());
            }
            let mut chars = inside.chars();
            let step = match chars.next() {
                Some('\\') if !raw => 1 + chars.next().map_or(0, char::len_utf8),
                Some(c) => c.len_utf8(),
                None => {
                    let range = self.at..self.source.len();
                    return Err(CompileError::new(range, format!("this text is never closed with `{delimiter}`")));
                }
            };
            length += step;
            inside = inside.get(step..).unwrap_or_default();
        }
    }
}

/// Returns the length of the prefix before the quotes of a text or bytes literal, and whether backslashes are plain.
fn text_prefix(rest: &str) -> Option<(usize, bool)> {
    let prefix = rest.bytes().take(3).position(|byte| byte == b'"' || byte == b'\'')?;
    let letters = rest.get(..prefix)?;
    match letters {
        "" | "b" | "B" => Some((prefix, false)),
        "r" | "R" | "br" | "bR" | "Br" | "BR" => Some((prefix, true)),
        _ => None,
    }
}

fn number_length(rest: &str) -> usize {
    let mut previous = ' ';
    for (at, c) in rest.char_indices() {
        let sign = (c == '-' || c == '+') && matches!(previous, 'e' | 'E') && !rest.starts_with("0x");
        if !(c.is_ascii_alphanumeric() || c == '.' || sign) {
            return at;
        }
        previous = c;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        scan(source).unwrap().iter().map(|t| &source[t.start..t.end]).collect()
    }

    #[test]
    fn tokens_are_found() {
        assert_eq!(texts("a.b[0] // c"), ["a", ".", "b", "[", "0", "]"]);
        assert_eq!(texts(r#"r"\" + 'a\'b' + 1.5e-3"#), [r#"r"\""#, "+", r"'a\'b'", "+", "1.5e-3"]);
        assert_eq!(texts("x in y && !z"), ["x", "in", "y", "&&", "!", "z"]);
        assert_eq!(texts("'''a'b'''"), ["'''a'b'''"]);
    }

    #[test]
    fn open_ends_are_refused() {
        assert_eq!(scan("(1").unwrap_err().message, "this bracket is never closed");
        assert_eq!(scan("1)").unwrap_err().message, "`)` closes nothing");
        assert_eq!(scan("(1]").unwrap_err().message, "expected `)`, found `]`");
        assert_eq!(scan("'abc").unwrap_err().message, "this text is never closed with `'`");
        assert!(scan("'abc\\").is_err());
    }

    #[test]
    fn depth_counts_brackets_ternaries_and_prefixes() {
        let check = |source: &str| check_depth(&scan(source).unwrap(), 3, 12).is_ok();
        assert!(check("(((1)))"));
        assert!(!check("((((1))))"));
        assert!(check("a ? b : c ? d : e ? f : g"));
        assert!(!check("a ? b : c ? d : e ? f : g ? h : i"));
        assert!(check("!!!a"));
        assert!(!check("!!!!a"));
        assert!(check("a + b + c - d - e - f - g"));
        assert!(!check(&format!("a{}", ".b".repeat(13))));
        assert!(check(&format!("a.b.c{}", " && a.b.c".repeat(50))));
    }

    #[test]
    fn the_end_of_an_embedded_expression_is_found() {
        assert_eq!(end_of_embedded(" a }").unwrap(), Some(3));
        assert_eq!(end_of_embedded(" {'a': '}'} }").unwrap(), Some(12));
        assert_eq!(end_of_embedded(" a ").unwrap(), None);
    }
}
