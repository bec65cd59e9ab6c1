//! Whole and fractional numbers side by side, without silent rounding.

use std::cmp::Ordering;

/// 2^63, the first number above every signed 64-bit integer.
const ABOVE_INT: f64 = 9_223_372_036_854_775_808.0;

/// Returns the number as an integer where it is whole and fits.
pub(crate) fn to_int(number: f64) -> Option<i64> {
    if number.fract() == 0.0 { truncate(number) } else { None }
}

/// Returns the number cut towards zero where it fits.
pub(crate) fn truncate(number: f64) -> Option<i64> {
    // In this range the conversion is exact; `as` would saturate silently outside it.
    (-ABOVE_INT..ABOVE_INT).contains(&number).then_some(number as i64)
}

/// Compares exactly: converting the integer would make 2^53 and 2^53 + 1 equal. `None` where the number is not one.
pub(crate) fn compare(int: i64, number: f64) -> Option<Ordering> {
    if number.is_nan() {
        return None;
    }
    match truncate(number) {
        None if number > 0.0 => Some(Ordering::Less),
        None => Some(Ordering::Greater),
        Some(whole) => Some(int.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(number.fract() + 0.0)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_that_fit_are_integers() {
        assert_eq!(to_int(3.0), Some(3));
        assert_eq!(to_int(3.5), None);
        assert_eq!(to_int(-ABOVE_INT), Some(i64::MIN));
        assert_eq!(to_int(ABOVE_INT), None);
        assert_eq!(to_int(f64::NAN), None);
    }

    #[test]
    fn comparison_is_exact() {
        let big = (1_i64 << 53) + 1;
        assert_eq!(compare(big, (1_i64 << 53) as f64), Some(Ordering::Greater));
        assert_eq!(compare(1, 1.5), Some(Ordering::Less));
        assert_eq!(compare(-1, -1.5), Some(Ordering::Greater));
        assert_eq!(compare(0, -0.0), Some(Ordering::Equal));
        assert_eq!(compare(i64::MAX, ABOVE_INT), Some(Ordering::Less));
        assert_eq!(compare(0, f64::NEG_INFINITY), Some(Ordering::Greater));
    }
}
