use super::*;

fn read_all(text: &str) -> (Option<Node>, Vec<crate::Diagnostic>) {
    let mut problems = Problems::new("w.yaml", text);
    let node = read(&mut problems);
    (node, problems.into_list())
}

fn refused(text: &str) -> (usize, usize, String, Option<String>) {
    let (_, list) = read_all(text);
    let first = list.first().unwrap_or_else(|| panic!("`{text}` passed"));
    (first.line, first.column, first.message.clone(), first.help.clone())
}

fn slice<'t>(text: &'t str, node: &Node) -> &'t str {
    &text[node.span.clone()]
}

#[test]
fn places_are_exact() {
    let text = "a: one # c\nb:\n  - \"two\"\n  - { c: 'th''ree', d: [x, y] }\ne: >\n  long\n  text\nf:\n";
    let (node, problems) = read_all(text);
    assert!(problems.is_empty(), "{problems:?}");
    let node = node.unwrap();
    assert_eq!(slice(text, node.at("/a")), "one");
    assert_eq!(slice(text, node.at("/b/0")), "\"two\"");
    assert_eq!(slice(text, node.at("/b/1")), "{ c: 'th''ree', d: [x, y] }");
    assert_eq!(slice(text, node.at("/b/1/d")), "[x, y]");
    assert_eq!(slice(text, node.at("/b/1/c")), "'th''ree'");
    assert_eq!(&text[node.at("/b/0").within(text, &(1..3))], "wo");
    // Escapes: the whole text is meant.
    assert_eq!(node.at("/b/1/c").within(text, &(0..1)), node.at("/b/1/c").span);
    assert!(matches!(&node.at("/e").kind, Kind::Scalar { text, style: Style::Text } if text == "long text\n"));
    assert_eq!(node.at("/f").what(), "nothing");
    assert_eq!(node.at("/nowhere").span, node.span);
}

#[test]
fn what_is_not_read_is_refused() {
    for (text, message, line, column) in [
        ("a: &x 1\nb: *x", "anchors (`&`) are not read", 1, 7),
        ("a: *x", "aliases (`*`) are not read", 1, 4),
        ("a: !!str 1", "tags (`!!str`) are not read", 1, 10),
        ("a: { b: 1 }\nc:\n  <<: {}\n", "merge keys (`<<`) are not read", 3, 3),
        ("a: 1\na: 2", "the key `a` occurs twice", 2, 1),
        ("a: 1\n---\nb: 2", "a second document begins here", 2, 1),
        ("? [a]\n: 1", "a key is a text", 1, 3),
    ] {
        let found = refused(text);
        assert_eq!((found.2.as_str(), found.0, found.1), (message, line, column), "{text}");
    }
    assert!(refused("%YAML 1.1\n---\na: 1").2.starts_with("this is no YAML"));
    assert!(refused("a: [1").2.starts_with("this is no YAML"));
}

#[test]
fn an_unquoted_expression_is_to_be_quoted() {
    for (text, quoted) in [
        ("with: { order: ${ input.order } }", "\"${ input.order }\""),
        ("when: !a.b", "\"!a.b\""),
        ("when: {a: b", "\"{a: b\""),
        ("when: *a", "\"*a\""),
        ("a: ${ x ? 'b': 'c' }: d", "\"${ x ? 'b': 'c' }\""),
    ] {
        assert_eq!(refused(text).3.as_deref(), Some(format!("quote this: {quoted}").as_str()), "{text}");
    }
}

#[test]
fn bounds_hold() {
    assert!(refused(&"x".repeat(MAX_FILE_BYTES + 1)).2.contains("at most 262144"));
    let many = format!("[{}]", "1,".repeat(MAX_FILE_VALUES + 1));
    assert_eq!(refused(&many).2, "the file has more than 20000 values");
    let deep = format!("{}{}", "[".repeat(MAX_FILE_NESTING + 1), "]".repeat(MAX_FILE_NESTING + 1));
    assert!(refused(&deep).2.starts_with("this is no YAML"));
    let fits = format!("{}{}", "[".repeat(MAX_FILE_NESTING), "]".repeat(MAX_FILE_NESTING));
    assert!(read_all(&fits).1.is_empty());
}

#[test]
fn plain_scalars_are_read_by_the_core_schema() {
    let plain = |text| Scalar::of(text, Style::Plain);
    assert_eq!(plain("~"), Scalar::Null);
    assert_eq!(plain("True"), Scalar::Bool(true));
    assert_eq!(plain("-12"), Scalar::Int(-12));
    assert_eq!(plain("+12"), Scalar::Int(12));
    assert_eq!(plain("1.50"), Scalar::Float(1.5));
    assert_eq!(plain("1e3"), Scalar::Float(1000.0));
    for odd in ["007", "0x1F", "0o7", ".inf", "-.INF", ".nan", "99999999999999999999", "1e999"] {
        assert_eq!(plain(odd), Scalar::Odd, "{odd}");
    }
    for text in ["yes", "no", "on", "1.0.0", "2026-11-20", "C-1042", "-", ".", "+", "1 2", "0b1", "e5", "..."] {
        assert_eq!(plain(text), Scalar::Text, "{text}");
    }
    assert_eq!(Scalar::of("12", Style::Text), Scalar::Text);
}
