//! The lines of standard input, read by a thread of their own.
//!
//! **Invariant:** at most `LINES_AHEAD` lines wait for the producer; the
//! reading thread then waits too.

use std::io::{self, BufRead as _, IsTerminal as _};

use tokio::sync::mpsc::{Receiver, channel};

use crate::console;

const LINES_AHEAD: usize = 1024;

/// What the thread has read.
#[derive(Debug)]
pub(super) enum Line {
    Text(String),
    Unreadable(String),
}

/// Starts reading. The channel closes at the end of the input.
pub(super) fn lines() -> Receiver<Line> {
    let (sender, receiver) = channel(LINES_AHEAD);
    let is_prompting = io::stdin().is_terminal() && io::stdout().is_terminal();
    common::task::spawn_blocking("standard input", move || {
        let mut input = io::stdin().lock();
        loop {
            if is_prompting {
                console::print(format_args!(">"));
            }
            let mut bytes = Vec::new();
            let line = match input.read_until(b'\n', &mut bytes) {
                Ok(0) => return,
                Ok(_) => Line::Text(text(&bytes)),
                Err(error) => Line::Unreadable(format!("cannot read standard input: {error}")),
            };
            let is_last = matches!(line, Line::Unreadable(_));
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// A line without its end; what is not UTF-8 is replaced, as Java does.
fn text(bytes: &[u8]) -> String {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn lines_lose_their_end_only() {
        assert_eq!(text(b"a b \n"), "a b ");
        assert_eq!(text(b"a\r\n"), "a");
        assert_eq!(text(b"last"), "last");
        assert_eq!(text(b"\xff\n"), "\u{fffd}");
    }
}
