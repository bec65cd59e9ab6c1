//! A program on a terminal, and what a person would see there.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use rustix::io::{FdFlags, fcntl_setfd};

/// Longest wait for something to be shown, by a program that may compile agents first.
const PATIENCE: Duration = Duration::from_secs(300);
const ROWS: u16 = 60;

/// What moves on a line while its matter goes on.
pub const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// A program whose standard error is a terminal.
pub struct Terminal {
    pub child: Child,
    written: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// Everything that was written, as it was written.
    pub raw: Vec<u8>,
}

impl Terminal {
    /// Starts a program on a terminal of so many columns. Its standard output is the terminal too, or nothing.
    pub fn start(mut command: Command, columns: u16, shows_output: bool) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let ends = openpty(&size, None).unwrap();
        for end in [&ends.master, &ends.slave] {
            fcntl_setfd(end, FdFlags::CLOEXEC).unwrap();
        }
        let other = |end: &OwnedFd| Stdio::from(end.try_clone().unwrap());
        let stdout = if shows_output { other(&ends.slave) } else { Stdio::null() };
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("COLUMNS");
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(other(&ends.slave)).spawn().unwrap();
        drop((command, ends.slave));
        let (write, written) = channel();
        let mut master = std::fs::File::from(ends.master);
        std::thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            // A terminal that nobody holds any more gives an error.
            while let Some(count) = master.read(&mut bytes).ok().filter(|count| *count > 0) {
                let _ = write.send(bytes[..count].to_vec());
            }
        });
        Self { child, written, parser: vt100::Parser::new(ROWS.try_into().unwrap(), columns.try_into().unwrap(), 0), raw: Vec::new() }
    }

    /// The rows, without what is empty at the end.
    pub fn rows(&self) -> Vec<String> {
        let (_, columns) = self.parser.screen().size();
        let mut rows: Vec<String> = self.parser.screen().rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect();
        rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
        rows
    }

    /// The text, with what the terminal broke in lines of its own put together again.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    fn take(&mut self) -> bool {
        let Ok(bytes) = self.written.recv_timeout(PATIENCE) else { return false };
        self.parser.process(&bytes);
        self.raw.extend(bytes);
        true
    }

    /// Waits until the rows are as they should be.
    pub fn until(&mut self, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        let begun = Instant::now();
        while !holds(&self.rows()) {
            // A line that moves goes on to be written for ever.
            if !self.take() || begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("it was never shown: {:#?}", self.rows());
            }
        }
        self.rows()
    }

    /// Waits for the end, and gives the exit code. The terminal is as it was found: nothing moves, the cursor is there, on a line of its own.
    pub fn end(&mut self) -> i32 {
        while self.take() {}
        let code = self.child.wait().unwrap().code().unwrap();
        let screen = self.parser.screen();
        assert!(!screen.hide_cursor() && !screen.alternate_screen(), "{}", self.text());
        assert!(!screen.bold() && screen.fgcolor() == vt100::Color::Default, "{}", self.text());
        assert_eq!(screen.cursor_position().1, 0, "{}", self.text());
        assert!(!self.text().contains(SPINNER), "{}", self.text());
        code
    }
}
