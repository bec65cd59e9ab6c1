//! Tracking numbers: a prefix, 14 digits made from the key, a check digit.

use bailiwick_core::ids::{Digest, IdempotencyKey};

/// Gives the tracking number of a key. `attempt` is for the case that another key has the same 14 digits already.
pub(crate) fn number(prefix: &str, key: &IdempotencyKey, attempt: u32) -> String {
    let digest = Digest::of_parts([b"bailiwick/tracking/1".as_slice(), key.to_hex().as_bytes(), &attempt.to_be_bytes()]);
    let large = digest.as_bytes().iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let digits = format!("{:014}", large % 100_000_000_000_000);
    let check = check_digit(&digits);
    format!("{prefix}{digits}{check}")
}

/// Gives the check digit of GS1: weights 3 and 1 in turn from the right, up to the next multiple of ten. It finds every wrong digit.
pub(crate) fn check_digit(digits: &str) -> u32 {
    let sum: u32 = digits.chars().rev().filter_map(|c| c.to_digit(10)).zip([3, 1].into_iter().cycle()).map(|(d, w)| d * w).sum();
    (10 - sum % 10) % 10
}

/// Whether a text can be a tracking number: the prefix, 15 digits, the right check digit.
pub(crate) fn is_valid(prefix: &str, text: &str) -> bool {
    let Some(digits) = text.strip_prefix(prefix).filter(|d| d.len() == 15 && d.bytes().all(|b| b.is_ascii_digit())) else { return false };
    digits.split_at_checked(14).is_some_and(|(body, check)| check.parse() == Ok(check_digit(body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_digit_is_that_of_gs1() {
        // The examples of the GS1 General Specifications: a GTIN-13 and an SSCC.
        assert_eq!(check_digit("629104150021"), 3);
        assert_eq!(check_digit("37610425002123456"), 9);
    }

    proptest! {
        #[test]
        fn the_same_key_gives_the_same_valid_number(ordinal: u32, attempt in 0..8_u32) {
            let key = IdempotencyKey::new(&"t".into(), &"r".into(), &"s".into(), "o", ordinal);
            let tracking = number("PX", &key, attempt);
            prop_assert_eq!(&tracking, &number("PX", &key, attempt));
            prop_assert!(is_valid("PX", &tracking));
            prop_assert_ne!(tracking, number("PX", &key, attempt + 1));
        }

        #[test]
        fn one_wrong_digit_is_found(ordinal: u32, place in 2..17_usize, by in 1..10_u8) {
            let key = IdempotencyKey::new(&"t".into(), &"r".into(), &"s".into(), "o", ordinal);
            let mut bytes = number("PX", &key, 0).into_bytes();
            bytes[place] = b'0' + (bytes[place] - b'0' + by) % 10;
            prop_assert!(!is_valid("PX", &String::from_utf8(bytes).unwrap()));
        }
    }
}
