//! Dates, instants and spans, read strictly: one notation each, so that two readers never differ.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::error::EvalFault;

/// Reads an instant in RFC 3339, with its offset: `2026-11-02T10:00:00Z`.
///
/// # Errors
/// The text is no such instant.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, EvalFault> {
    let refused = || EvalFault::unreadable(text, "timestamp such as `2026-11-02T10:00:00Z`");
    // jiff reads more notations than RFC 3339 has (bracketed zones, a missing minute); the shape comes first.
    let (date, time) = text.split_at_checked(10).ok_or_else(refused)?;
    let plain = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-' | 'Z' | 'z');
    let shaped = is_date_shaped(date) && time.starts_with(['T', 't']) && time.chars().skip(1).all(plain);
    if !shaped {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

/// Reads a calendar date, `2026-11-02`, or takes the date of an instant as it is written there.
///
/// # Errors
/// The text is neither.
pub(crate) fn calendar_date(text: &str) -> Result<Date, EvalFault> {
    let refused = || EvalFault::unreadable(text, "date such as `2026-11-02`");
    if text.len() != 10 {
        timestamp(text).map_err(|_| refused())?;
    }
    match text.get(..10) {
        Some(date) if is_date_shaped(date) => date.parse().map_err(|_| refused()),
        _ => Err(refused()),
    }
}

/// Counts the calendar days from one date to another: negative where the second is earlier.
///
/// # Errors
/// One of them is no date.
pub(crate) fn days_between(from: &str, to: &str) -> Result<i64, EvalFault> {
    let span = calendar_date(from)?.duration_until(calendar_date(to)?);
    Ok(span.as_hours() / 24)
}

/// Reads a span in CEL's notation: `1h30m`, `1.5s`, `-20ms`; the units are h, m, s, ms, us and ns.
///
/// # Errors
/// The text is no such span, or too long for one.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, EvalFault> {
    let refused = || EvalFault::unreadable(text, "duration such as `1h30m`");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(refused)?;
        let (amount, tail) = rest.split_at_checked(digits).ok_or_else(refused)?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters).ok_or_else(refused)?;
        let part = unit_nanoseconds(unit).and_then(|unit| scale(amount, unit)).ok_or_else(refused)?;
        nanoseconds = nanoseconds.checked_add(part).ok_or_else(refused)?;
        rest = tail;
    }
    if text.trim_start_matches(['-', '+']).is_empty() {
        return Err(refused());
    }
    let signed = if negative { -nanoseconds } else { nanoseconds };
    let seconds = i64::try_from(signed / 1_000_000_000).map_err(|_| refused())?;
    let rest = i32::try_from(signed % 1_000_000_000).map_err(|_| refused())?;
    Ok(SignedDuration::new(seconds, rest))
}

/// Writes a span in CEL's notation, in seconds: `5400s`, `-1.5s`.
pub(crate) fn duration_text(span: SignedDuration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let (seconds, nanoseconds) = (span.as_secs().unsigned_abs(), span.subsec_nanos().unsigned_abs());
    match nanoseconds {
        0 => format!("{sign}{seconds}s"),
        _ => format!("{sign}{seconds}.{}s", format!("{nanoseconds:09}").trim_end_matches('0')),
    }
}

fn is_date_shaped(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" => 1_000,
        "ns" => 1,
        _ => return None,
    })
}

/// Multiplies in decimal, so that `0.1s` is exact; what is below a nanosecond is cut off.
fn scale(amount: &str, unit: i128) -> Option<i128> {
    const MOST_DIGITS: usize = 18;
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if whole.len() + fraction.len() == 0 || whole.len().max(fraction.len()) > MOST_DIGITS {
        return None;
    }
    let read = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let power = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = read(whole)?.checked_mul(unit)?;
    whole.checked_add(read(fraction)?.checked_mul(unit)? / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_calendar_days() {
        assert_eq!(days_between("2026-11-02", "2026-11-03"), Ok(1));
        assert_eq!(days_between("2026-11-03", "2026-11-02"), Ok(-1));
        assert_eq!(days_between("2024-02-28", "2024-03-01"), Ok(2));
        assert_eq!(days_between("2026-01-01", "2026-12-31"), Ok(364));
        assert_eq!(days_between("2026-11-02T23:59:00Z", "2026-11-03T00:01:00Z"), Ok(1));
        assert_eq!(days_between("2026-11-02", "2026-11-02T23:30:00-05:00"), Ok(0));
        assert_eq!(days_between("0001-01-01", "9999-12-31"), Ok(3_652_058));
    }

    #[test]
    fn only_real_dates_are_dates() {
        for text in ["", "2026-13-01", "2026-02-30", "02.11.2026", "20261102", "2026-11-2", "2026-11-02T25:00:00Z"] {
            assert!(calendar_date(text).is_err(), "{text}");
        }
        let problem = calendar_date("2026-02-30").unwrap_err();
        assert_eq!(problem.to_string(), "`2026-02-30` is no date such as `2026-11-02`");
    }

    #[test]
    fn timestamps_need_an_offset() {
        assert!(timestamp("2026-11-02T10:00:00Z").is_ok());
        assert!(timestamp("2026-11-02T10:00:00.5+01:00").is_ok());
        assert!(timestamp("2026-11-02T10:00:00").is_err());
        assert!(timestamp("2026-11-02").is_err());
        assert!(timestamp("2026-11-02T10:00:00Z[UTC]").is_err());
    }

    #[test]
    fn durations_read_and_write() {
        for (text, written) in
            [("90m", "5400s"), ("1h30m", "5400s"), ("-1.5s", "-1.5s"), ("100ms", "0.1s"), ("0", "0s"), ("1ns", "0.000000001s")]
        {
            assert_eq!(duration_text(duration(text).unwrap()), written, "{text}");
        }
        for text in ["", "-", "1", "1d", "h", "1 h", "1.2.3s", "999999999999999999h", "s1"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
