//! Masking echoes: what comes back from a server may hold the secret that went there.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use memchr::memmem;
use zeroize::Zeroizing;

use super::Version;

/// What stands where a secret stood.
const INSTEAD: &[u8] = b"[masked]";

/// Finds secrets in what comes back: as they are, as base64 of both alphabets wherever in a longer text they stand, each of these also percent-encoded or
/// written as in JSON. Other forms (hexadecimal, other character sets, compressed, reversed) are not found.
pub(crate) struct Mask {
    forms: Vec<Form>,
}

struct Form {
    bytes: Zeroizing<Vec<u8>>,
    /// The characters on both sides hold bits of the secret as well.
    is_base64: bool,
}

impl Mask {
    /// Makes a mask for versions of secrets.
    pub(crate) fn of(versions: &[Arc<Version>]) -> Self {
        Self { forms: versions.iter().flat_map(|version| forms(version.reveal().as_bytes())).collect() }
    }

    /// Gives bytes without the secrets.
    pub(crate) fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let mut found = self.find(bytes, None);
        for read in [percent as Reading, json] {
            if let Some((decoded, places)) = decode(bytes, read) {
                found.extend(self.find(&decoded, Some((&places, bytes.len()))));
            }
        }
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        found.sort_by_key(|range| (range.start, range.end));
        let mut clean = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for range in found {
            if range.start >= at {
                clean.extend_from_slice(bytes.get(at..range.start).unwrap_or_default());
                clean.extend_from_slice(INSTEAD);
            }
            at = at.max(range.end);
        }
        clean.extend_from_slice(bytes.get(at..).unwrap_or_default());
        Cow::Owned(clean)
    }

    /// Gives a text without the secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Gives the places of secrets, in the bytes or, by `places` and their whole length, in what these were decoded from.
    fn find(&self, bytes: &[u8], places: Option<(&[usize], usize)>) -> Vec<Range<usize>> {
        let place = |at: usize| match places {
            Some((places, length)) => places.get(at).copied().unwrap_or(length),
            None => at,
        };
        let mut found = Vec::new();
        for form in &self.forms {
            for start in memmem::find_iter(bytes, form.bytes.as_slice()) {
                let (mut start, mut end) = (start, start + form.bytes.len());
                if form.is_base64 {
                    let is_part = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| is_base64(*byte));
                    start -= usize::from(is_part(start.checked_sub(1)));
                    end += usize::from(is_part(Some(end)));
                }
                found.push(place(start)..place(end));
            }
        }
        found
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// Gives the forms of a secret. In base64 it looks in three ways, by how many bytes stand before it; characters that hold bits of neighbours too are left
/// out, so that the form is found whatever these are.
fn forms(secret: &[u8]) -> Vec<Form> {
    let mut forms = vec![Form { bytes: Zeroizing::new(secret.to_vec()), is_base64: false }];
    for alphabet in [&STANDARD, &URL_SAFE] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        for before in 0..3_usize {
            let mut padded = Zeroizing::new(vec![0_u8; before]);
            padded.extend_from_slice(secret);
            let encoded = Zeroizing::new(engine.encode(padded.as_slice()));
            // Each character holds 6 bits: the first that is all secret, and the last.
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            let core = encoded.as_bytes().get(first..last).unwrap_or_default();
            if !forms.iter().any(|form| form.bytes.as_slice() == core) {
                forms.push(Form { bytes: Zeroizing::new(core.to_vec()), is_base64: true });
            }
        }
    }
    forms
}

/// Reads one character that is written in a longer way: how many bytes it took, and which byte it stands for.
type Reading = fn(&[u8]) -> Option<(usize, u8)>;

/// Gives the bytes as they are meant, and where each of them stood. `None` where nothing is written in a longer way.
fn decode(bytes: &[u8], read: Reading) -> Option<(Zeroizing<Vec<u8>>, Vec<usize>)> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        places.push(at);
        let (length, byte) = bytes.get(at..).and_then(read).unwrap_or((1, *byte));
        decoded.push(byte);
        at += length;
    }
    (decoded.len() < bytes.len()).then_some((decoded, places))
}

fn percent(bytes: &[u8]) -> Option<(usize, u8)> {
    match bytes {
        [b'%', high, low, ..] => Some((3, digit(*high)? << 4 | digit(*low)?)),
        _ => None,
    }
}

fn json(bytes: &[u8]) -> Option<(usize, u8)> {
    match bytes {
        [b'\\', b'u', b'0', b'0', high, low, ..] => Some((6, digit(*high)? << 4 | digit(*low)?)),
        [b'\\', byte @ (b'/' | b'"' | b'\\'), ..] => Some((2, *byte)),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cr3t/+\"key\\=";

    fn mask(secret: &str) -> Mask {
        Mask::of(&[Arc::new(Version { number: 1, text: Zeroizing::new(secret.to_owned()) })])
    }

    #[test]
    fn every_form_is_found_and_the_rest_stays() {
        let percent =
            |upper: bool| -> String { SECRET.bytes().map(|b| if upper { format!("%{b:02X}") } else { format!("%{b:02x}") }).collect() };
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let json = serde_json::to_string(SECRET).unwrap();
        let inner = json.trim_matches('"');
        for echo in [
            SECRET.to_owned(),
            percent(true),
            percent(false),
            form,
            inner.to_owned(),
            inner.replace('/', "\\/"),
            SECRET.bytes().map(|b| format!("\\u{:04x}", b)).collect(),
        ] {
            let text = format!("before {echo} between {echo} after");
            assert_eq!(mask(SECRET).text(&text), "before [masked] between [masked] after", "{echo}");
        }
        let harmless = "s3cr3t/+ key 100% \\n \\u00zz %zz % \\";
        assert!(matches!(mask(SECRET).bytes(harmless.as_bytes()), Cow::Borrowed(_)));
        assert_eq!(mask(SECRET).text(""), "");
        assert_eq!(mask(SECRET).text(SECRET), "[masked]");
    }

    #[test]
    fn base64_is_found_wherever_the_secret_stands_in_it() {
        for engine in
            [general_purpose::STANDARD, general_purpose::STANDARD_NO_PAD, general_purpose::URL_SAFE, general_purpose::URL_SAFE_NO_PAD]
        {
            for (before, after) in [("", ""), ("u:", ""), ("user:", ""), ("a", "b"), ("ab", "cd"), ("abc", "def"), ("Bearer ", "\n")] {
                let whole = engine.encode(format!("{before}{SECRET}{after}"));
                let masked = mask(SECRET).text(&format!("<{whole}>"));
                assert!(masked.contains("[masked]"), "{whole}");
                // What is left decodes to nothing of the secret: at most what stood around it.
                let left = masked.replace("[masked]", "").len();
                assert!(left <= 2 + (before.len() + after.len()) * 4 / 3 + 5, "{masked}");
            }
        }
    }

    #[test]
    fn base64_in_a_query_is_found_too() {
        let encoded: String = url::form_urlencoded::byte_serialize(general_purpose::STANDARD.encode("??>>??>>x").as_bytes()).collect();
        assert!(encoded.contains('%'));
        assert_eq!(mask("??>>??>>x").text(&format!("a={encoded}&b")), "a=[masked]&b");
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_survives(secret in "[!-~]{8,20}", before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
            let mask = mask(&secret);
            let plain = mask.text(&format!("{before}{secret}{after}"));
            let around = format!("{before}[masked]{after}");
            prop_assert!(!plain.contains(&secret) || around.contains(&secret));
            let whole = general_purpose::STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(mask.text(&whole).contains("[masked]"));
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            prop_assert!(mask.text(&encoded).contains("[masked]"));
        }

        #[test]
        fn any_bytes_can_be_looked_through(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = mask(SECRET).bytes(&bytes);
        }
    }
}
