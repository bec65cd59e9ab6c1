//! Paths of web addresses: the one form that every server reads the same way.
//!
//! A grant compares texts, and a server acts on what it makes of them. `/v1/../admin`, `/v1/%2e%2e/admin`, `/v1//x` and `/v1\..\admin` all begin
//! with `/v1/` and are elsewhere, or may be. So nothing is rewritten: a path that has a simpler form, or that two servers could read in two
//! ways, satisfies no condition.

/// Says whether a path has the one form that is compared.
///
/// It begins with `/`; segments are not empty, but for the last; none is `.` or `..`, with parameters behind `;` or without. Characters are those
/// that RFC 3986 has for a path. An encoded one is written `%XX` with capital digits and stands for a byte that could not stand there itself, and not for
/// `/`, `\`, `%`, NUL or another control character: what is behind those is read once by some servers and twice by others.
pub fn is_normal(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if (segment.is_empty() && !is_last) || !is_segment(segment) {
            return false;
        }
    }
    true
}

/// Says whether a path is `base` or below it. Both have to be in normal form; `/v1` holds `/v1` and `/v1/x`, and not `/v10`.
pub fn is_below(path: &str, base: &str) -> bool {
    let inside = || path.strip_prefix(base).is_some_and(|rest| base.ends_with('/') || rest.starts_with('/'));
    is_normal(base) && is_normal(path) && (path == base || inside())
}

fn is_segment(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    if name == "." || name == ".." {
        return false;
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'%' => match (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) {
                (Some(high), Some(low)) => has_to_be_encoded(high << 4 | low),
                _ => false,
            },
            other => stands_for_itself(other),
        };
        if !is_good {
            return false;
        }
    }
    true
}

/// The unreserved characters and those that RFC 3986 allows in a segment beside them.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn has_to_be_encoded(byte: u8) -> bool {
    !byte.is_ascii_control() && !stands_for_itself(byte) && !b"/\\%".contains(&byte)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form_and_no_other() {
        for good in [
            "/",
            "/v1",
            "/v1/",
            "/v1/a.b-c~d_e",
            "/v1/a%20b",
            "/%C3%BC",
            "/a;v=1/b",
            "/a:b@c!$&'()*+,=",
            "/...",
            "/.well-known/x",
            "/a/%3F%23",
        ] {
            assert!(is_normal(good), "{good}");
        }
        for bad in [
            "",
            "v1",
            "//",
            "//v1",
            "/v1//x",
            "/.",
            "/..",
            "/v1/.",
            "/v1/..",
            "/v1/../x",
            "/v1/./x",
            "/v1/..;/x",
            "/v1/.;a=b/x",
            "/v1\\x",
            "/v1/%5C",
            "/v1/%5c",
            "/v1/%2e%2e/x",
            "/v1/%2E%2E/x",
            "/v1/.%2E/x",
            "/v1/%2F",
            "/v1/%2f",
            "/v1/%25",
            "/v1/%252e",
            "/v1/%00",
            "/v1/%0A",
            "/v1/%7F",
            "/v1/%41",
            "/v1/%c3%bc",
            "/v1/%",
            "/v1/%2",
            "/v1/%zz",
            "/v1?x",
            "/v1#x",
            "/v1 x",
            "/v1\tx",
            "/v1\nx",
            "/v1\0",
            "/ü",
            "/v1/\u{ff0e}\u{ff0e}/x",
            "http://x/",
            "/a[b]",
            "/a|b",
            "/a\"b",
        ] {
            assert!(!is_normal(bad), "{bad:?}");
            assert!(!is_below(bad, "/"), "{bad:?}");
        }
    }

    #[test]
    fn below_ends_at_a_segment() {
        for (path, base) in
            [("/v1", "/v1"), ("/v1/", "/v1"), ("/v1/x", "/v1"), ("/v1/", "/v1/"), ("/v1/x", "/v1/"), ("/", "/"), ("/x", "/")]
        {
            assert!(is_below(path, base), "{path} {base}");
        }
        for (path, base) in [
            ("/v10", "/v1"),
            ("/v1", "/v1/"),
            ("/", "/v1"),
            ("/v1.", "/v1"),
            ("/v1;x", "/v1"),
            ("/V1", "/v1"),
            ("/v1/x", ""),
            ("/v1/x", "/v1//"),
        ] {
            assert!(!is_below(path, base), "{path} {base}");
        }
    }

    proptest! {
        // What a browser, which follows the URL standard, would make of the path is the path itself: there is nothing to rewrite.
        #[test]
        fn a_normal_path_survives_the_url_standard(path in "/[a.%2eEfF/;\\\\?#:@ -]{0,12}") {
            if is_normal(&path) {
                let url = url::Url::parse(&format!("https://h{path}")).unwrap();
                prop_assert_eq!(url.path(), path);
            }
        }

        #[test]
        fn what_is_below_begins_with_its_base(path in "/[a./%2E;]{0,10}", base in "/[a./%2E;]{0,5}") {
            if is_below(&path, &base) {
                prop_assert!(path.starts_with(&base) && is_normal(&path));
            }
        }
    }
}
