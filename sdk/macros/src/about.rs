//! What stands in the attribute.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Token};

const KEYS: [&str; 9] = ["name", "version", "purpose", "owner", "data-level", "risk-class", "review-by", "wants", "stubs"];
const DATA_LEVELS: [&str; 4] = ["public", "internal", "personal", "secret"];
const RISK_CLASSES: [&str; 3] = ["low", "medium", "high"];

/// The operations of the packages that the SDK has functions for, one a line. A test of the SDK compares the file with its functions.
const OPERATIONS: &str = include_str!("operations.txt");

/// The attribute, read and checked as far as it can be without the function.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) purpose: Option<LitStr>,
    pub(crate) owner: Option<LitStr>,
    pub(crate) data_level: Option<LitStr>,
    pub(crate) risk_class: Option<LitStr>,
    pub(crate) review_by: Option<LitStr>,
    pub(crate) wants: Option<Vec<LitStr>>,
    pub(crate) stubs: Option<Vec<LitStr>>,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attribute = Self::default();
        while !input.is_empty() {
            let (key, span) = parse_key(input)?;
            if !KEYS.contains(&key.as_str()) {
                return Err(syn::Error::new(span, format!("unknown key `{key}`: {}", help(&key, &KEYS))));
            }
            input
                .parse::<Token![=]>()
                .map_err(|problem| syn::Error::new(problem.span(), format!("`{key}` needs a value: write `{key} = …`")))?;
            attribute.set(&key, span, &input.parse::<Expr>()?)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(attribute)
    }
}

/// Reads a key with dashes, which Rust sees as names with minus signs between.
fn parse_key(input: ParseStream<'_>) -> syn::Result<(String, proc_macro2::Span)> {
    let first = input.call(Ident::parse_any)?;
    let mut key = first.to_string();
    while input.peek(Token![-]) {
        input.parse::<Token![-]>()?;
        key.push('-');
        key.push_str(&input.call(Ident::parse_any)?.to_string());
    }
    Ok((key, first.span()))
}

impl Attribute {
    fn set(&mut self, key: &str, span: proc_macro2::Span, value: &Expr) -> syn::Result<()> {
        let twice = match key {
            "name" => self.name.replace(name(value)?).is_some(),
            "version" => self.version.replace(text(key, value)?).is_some(),
            "purpose" => self.purpose.replace(text(key, value)?).is_some(),
            "owner" => self.owner.replace(text(key, value)?).is_some(),
            "data-level" => self.data_level.replace(one_of(key, value, &DATA_LEVELS)?).is_some(),
            "risk-class" => self.risk_class.replace(one_of(key, value, &RISK_CLASSES)?).is_some(),
            "review-by" => self.review_by.replace(date(key, value)?).is_some(),
            "wants" => self.wants.replace(operations(key, value)?).is_some(),
            _ => self.stubs.replace(texts(key, value)?).is_some(),
        };
        if twice { Err(syn::Error::new(span, format!("`{key}` is given twice"))) } else { Ok(()) }
    }
}

fn text(key: &str, value: &Expr) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if !text.value().trim().is_empty() => Ok(text.clone()),
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => Err(syn::Error::new(value.span(), format!("`{key}` is empty"))),
        _ => Err(syn::Error::new(value.span(), format!("`{key}` is a text: write `{key} = \"…\"`"))),
    }
}

fn texts(key: &str, value: &Expr) -> syn::Result<Vec<LitStr>> {
    match value {
        Expr::Array(list) => list.elems.iter().map(|item| text(key, item)).collect(),
        _ => Err(syn::Error::new(value.span(), format!("`{key}` is a list of texts: write `{key} = [\"…\"]`"))),
    }
}

fn one_of(key: &str, value: &Expr, choices: &[&str]) -> syn::Result<LitStr> {
    let text = text(key, value)?;
    if choices.contains(&text.value().as_str()) {
        return Ok(text);
    }
    Err(syn::Error::new(text.span(), format!("`{key}` cannot be `{}`: {}", text.value(), help(&text.value(), choices))))
}

fn name(value: &Expr) -> syn::Result<LitStr> {
    let text = text("name", value)?;
    let name = text.value();
    let good_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('-').all(good_part) {
        return Ok(text);
    }
    Err(syn::Error::new(text.span(), format!("`{name}` is no name of an agent: lower-case letters, digits and single dashes are expected")))
}

fn date(key: &str, value: &Expr) -> syn::Result<LitStr> {
    let text = text(key, value)?;
    let date = text.value();
    let shape = date.len() == 10
        && date.bytes().enumerate().all(|(index, byte)| if index == 4 || index == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    let number = |range| date.get(range).and_then(|part: &str| part.parse::<u8>().ok()).unwrap_or(0);
    if shape && (1..=12).contains(&number(5..7)) && (1..=31).contains(&number(8..10)) {
        return Ok(text);
    }
    Err(syn::Error::new(text.span(), format!("`{date}` is no date: `YYYY-MM-DD` is expected")))
}

fn operations(key: &str, value: &Expr) -> syn::Result<Vec<LitStr>> {
    let known: Vec<&str> = OPERATIONS.lines().collect();
    let list = texts(key, value)?;
    for text in &list {
        let name = text.value();
        // Packages of other namespaces are not ours to know; the host compares the list with what the component imports.
        if !name.contains(':') && !known.contains(&name.as_str()) {
            return Err(syn::Error::new(text.span(), format!("unknown operation `{name}`: {}", help(&name, &known))));
        }
    }
    Ok(list)
}

/// Gives the next step after an unknown word: the nearest known one, or all of them.
fn help(word: &str, known: &[&str]) -> String {
    // Underscores for dashes is the slip that Rust authors make.
    let word = word.replace('_', "-");
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= word.len().max(candidate.len()))
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None => format!("known: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}
