//! Never finishes saying what it is.

use bailiwick_test_guests::{raw, raw_guest};

raw_guest!(
    || {
        let mut count = 0_u64;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    },
    |_| raw::answer("{}")
);
