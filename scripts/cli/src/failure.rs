//! How a command ends other than well: what it says on standard error, and its exit code.

use crate::console;
use crate::options::Parser;

/// A command's end. The text goes to standard error as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// Ends with exit code 1 after saying `text`.
    pub(crate) fn new(text: impl ToString) -> Self {
        Self {
            text: text.to_string(),
            code: 1,
        }
    }

    /// Ends with exit code 1; everything was said already.
    pub(crate) fn told() -> Self {
        Self::new("")
    }

    /// Ends with `code`; everything was said already.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            text: String::new(),
            code,
        }
    }

    /// Ends with exit code 1 after `message` and the table of options.
    pub(crate) fn usage(parser: &Parser, message: impl ToString) -> Self {
        Self::new(parser.usage(&message.to_string()).trim_end_matches('\n'))
    }

    /// The same end without its text, which was said.
    pub(crate) fn told_already(self) -> Self {
        Self::silent(self.code)
    }

    /// Says what is to be said; the exit code is the process's.
    pub(crate) fn tell(&self) -> std::process::ExitCode {
        if !self.text.is_empty() {
            console::complain(&self.text);
        }
        self.code.into()
    }
}

/// What a command ends with.
pub(crate) type Outcome = Result<(), Failure>;
