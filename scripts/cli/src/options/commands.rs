//! Command lines of tools that have commands of their own: general options, the
//! command, its options. What is wrong is said as argparse4j says it.

use super::{Error, Options, Parser};
use crate::console;
use crate::failure::Failure;

/// A tool, or one command of a tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grammar {
    /// The name before `: error:`.
    pub(crate) program: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) purpose: &'static str,
    /// One letter, and the option that it stands for.
    pub(crate) letters: &'static [(char, &'static str)],
}

/// A command line cut at its command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub(crate) before: &'a [String],
    pub(crate) command: &'a str,
    pub(crate) after: &'a [String],
}

impl Grammar {
    /// Finds the command: the first word that is neither an option nor its value.
    pub(crate) fn cut<'a>(
        &self,
        words: &'a [String],
        commands: &[&str],
        options: &Parser,
    ) -> Result<Cut<'a>, Failure> {
        let mut is_value = false;
        for (index, word) in words.iter().enumerate() {
            let is_option = word.starts_with('-') && !is_value;
            if is_option && ["-h", "--help"].contains(&word.as_str()) {
                return Err(self.help(options));
            }
            if is_option || is_value {
                is_value = is_option && !word.contains('=');
                continue;
            }
            if !commands.contains(&word.as_str()) {
                let quoted: Vec<_> = commands.iter().map(|name| format!("'{name}'")).collect();
                let choices = quoted.join(", ");
                return Err(self.refused(format_args!(
                    "invalid choice: '{word}' (choose from {choices})"
                )));
            }
            return Ok(Cut {
                before: &words[..index],
                command: word,
                after: &words[index + 1..],
            });
        }
        Err(self.refused("too few arguments"))
    }

    /// Reads options, short names among them.
    pub(crate) fn parse(&self, words: &[String], parser: &Parser) -> Result<Options, Failure> {
        let long = |word: &String| {
            let letter = word.strip_prefix('-').and_then(|rest| rest.chars().next());
            let found = self
                .letters
                .iter()
                .find(|(known, _)| Some(*known) == letter);
            match found {
                Some((_, name)) if word.len() == 2 => format!("--{name}"),
                _ => word.clone(),
            }
        };
        let words: Vec<String> = words.iter().map(long).collect();
        if words
            .iter()
            .any(|word| ["-h", "--help"].contains(&word.as_str()))
        {
            return Err(self.help(parser));
        }
        parser.parse(&words).map_err(|error| self.refuse(&error))
    }

    /// An error of the parser in argparse4j's words.
    pub(crate) fn refuse(&self, error: &Error) -> Failure {
        match error {
            Error::Unrecognized(name) => {
                self.refused(format_args!("unrecognized arguments: '--{name}'"))
            }
            Error::MissingArgument(name) => self.refused(format_args!(
                "argument {}: expected one argument",
                self.both_names(name)
            )),
            Error::MissingOption(name) => {
                self.refused(format_args!("argument {} is required", self.both_names(name)))
            }
            Error::Unparsable { name, value } => self.refused(format_args!(
                "argument {}: could not convert '{value}' to Integer (For input string: \"{value}\")",
                self.both_names(name)
            )),
            Error::Conflict { used, other } => self.refused(format_args!(
                "argument {}: not allowed with argument {}",
                self.both_names(used),
                self.both_names(other)
            )),
        }
    }

    /// `--id/-i`.
    pub(crate) fn both_names(&self, name: &str) -> String {
        match self.letters.iter().find(|(_, long)| *long == name) {
            Some((letter, _)) => format!("--{name}/-{letter}"),
            None => format!("--{name}"),
        }
    }

    /// Ends with the usage and what is wrong.
    pub(crate) fn refused(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(format!("{}\n{}: error: {what}", self.usage, self.program))
    }

    /// Help goes to standard output, and yet the exit code is 1.
    fn help(&self, parser: &Parser) -> Failure {
        let text = parser.usage(&format!("{}\n\n{}\n", self.usage, self.purpose));
        console::say(text.trim_end());
        Failure::told()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAMMAR: Grammar = Grammar {
        program: "tool",
        usage: "usage: tool",
        purpose: "",
        letters: &[('i', "id")],
    };

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_command_divides_the_options() {
        let parser = Parser::new().text("server", "s", "").int("id", "n", "");
        let line = words("--server a go --id 5");
        let cut = GRAMMAR.cut(&line, &["go", "a"], &parser).unwrap();
        assert_eq!((cut.before, cut.command), (&line[..2], "go"));
        for after in ["-i 5", "--id 5", "--id=5"] {
            let options = GRAMMAR.parse(&words(after), &parser).unwrap();
            assert_eq!(options.i32("id"), Ok(Some(5)), "{after}");
        }
        for (line, said) in [
            ("", "too few arguments"),
            ("--server a", "too few arguments"),
            ("stop", "invalid choice: 'stop' (choose from 'go', 'a')"),
        ] {
            let refused = GRAMMAR
                .cut(&words(line), &["go", "a"], &parser)
                .unwrap_err();
            assert_eq!(refused, GRAMMAR.refused(said), "{line}");
        }
        let refused = GRAMMAR.parse(&words("--bogus"), &parser).unwrap_err();
        assert_eq!(
            refused,
            GRAMMAR.refused("unrecognized arguments: '--bogus'")
        );
        assert_eq!(
            GRAMMAR.refuse(&Error::MissingOption("id")),
            GRAMMAR.refused("argument --id/-i is required")
        );
    }
}
