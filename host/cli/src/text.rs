//! Text for people: cleaned of what a terminal would obey, and numbers with their units.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use bailiwick_core::text::is_active;

/// Replaces control characters, and those that reorder text, so that data cannot speak to the terminal.
///
/// Everything printed that comes from agents, data or files passes this; a line break becomes a visible sign too.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_active(c) { '\u{fffd}' } else { c }).collect())
}

/// As [`clean`], but keeps line breaks and tabs: for source text and the messages of other programs.
pub fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if is_active(c) && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Shortens a text to a number of columns, with `…` where something is left out.
pub fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    console::truncate_str(text, columns, "…")
}

/// Writes a time as people read it: `840 µs`, `12.4 ms`, `3.21 s`.
pub fn time(us: u64) -> String {
    let ms = us / 1_000;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{ms}.{} ms", us % 1_000 / 100),
        100_000..1_000_000 => format!("{ms} ms"),
        _ => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
    }
}

/// As [`time`].
pub fn duration(duration: Duration) -> String {
    time(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Writes a number of bytes: `512 B`, `1.2 MiB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{}.{} KiB", bytes >> 10, ((bytes & 1023) * 10) >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, (((bytes >> 10) & 1023) * 10) >> 10),
    }
}

/// Writes a large number in millions: `1.8 M`.
pub fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{} k", n / 1_000),
        _ => format!("{}.{} M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

/// Writes a number of things: `1 agent`, `2 agents`.
pub fn number_of(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// Writes a moment, given in milliseconds since 1970-01-01T00:00:00Z: `2026-11-20 09:14:05Z`.
pub fn moment(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{time_ms} ms"), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Gives a path as seen from the working folder where it lies below it, else in full.
pub fn path(path: &Path) -> String {
    let shown = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).map(Path::to_path_buf).ok());
    let shown = shown.filter(|shown| !shown.as_os_str().is_empty()).unwrap_or_else(|| path.to_path_buf());
    clean(&shown.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("plain ü 漢"), "plain ü 漢");
        assert_eq!(clean("a\x1b[2Jb\r\n\u{9b}31m\u{202e}x"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}31m\u{fffd}x");
        assert_eq!(clean_lines("a\n\tb\x1b"), "a\n\tb\u{fffd}");
    }

    #[test]
    fn numbers_have_units() {
        let shown = [time(840), time(12_449), time(320_000), time(3_219_000), bytes(1), bytes(1_600), bytes(1_300_000), count(1_850_000)];
        assert_eq!(shown, ["840 µs", "12.4 ms", "320 ms", "3.21 s", "1 B", "1.5 KiB", "1.2 MiB", "1.8 M"]);
    }
}
