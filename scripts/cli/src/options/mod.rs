//! Command lines in Kafka's form: which options a command knows, which were given.
//!
//! Flow: `Parser::accepts*` → `Parser::parse` → `Options` → typed getters.
//!
//! Follows what users of joptsimple see: `--x y`, `--x=y` and `-x y`, no
//! abbreviations, the last of repeated values wins, words that belong to no
//! option are passed over, and a value is converted only when it is read.
//!
//! **Invariant:** knows nothing of the network or of any command.

pub(crate) mod commands;
mod help;

use std::fmt::Write as _;

/// What is wrong with a command line, in the words Kafka's tools use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("{0} is not a recognized option")]
    Unrecognized(String),
    #[error("Option {0} requires an argument")]
    MissingArgument(String),
    #[error("Cannot parse argument '{value}' of option {name}")]
    Unparsable { name: &'static str, value: String },
    #[error("Missing required argument \"[{0}]\"")]
    MissingOption(&'static str),
    #[error("Option \"[{used}]\" can't be used with option \"[{other}]\"")]
    Conflict {
        used: &'static str,
        other: &'static str,
    },
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Required(&'static str),
    Optional(&'static str),
}

#[derive(Debug, Clone, Copy)]
struct Spec {
    name: &'static str,
    takes: Takes,
    kind: &'static str,
    doc: &'static str,
    default: Option<&'static str>,
}

/// The options that one command knows.
#[derive(Debug, Clone)]
pub(crate) struct Parser {
    specs: Vec<Spec>,
}

impl Parser {
    /// A parser that knows `--help` and `--version`, as every tool does.
    pub(crate) fn new() -> Self {
        Self { specs: Vec::new() }
            .flag("help", "Show this text.")
            .flag("version", "Show which version of Kafka this tool follows.")
    }

    /// Adds an option without a value.
    pub(crate) fn flag(self, name: &'static str, doc: &'static str) -> Self {
        self.spec(name, Takes::Nothing, "", doc)
    }

    /// Adds an option with a text value, described as `what`.
    pub(crate) fn text(self, name: &'static str, what: &'static str, doc: &'static str) -> Self {
        self.spec(name, Takes::Required(what), "String", doc)
    }

    /// Adds an option with a value that is a 32-bit number.
    pub(crate) fn int(self, name: &'static str, what: &'static str, doc: &'static str) -> Self {
        self.spec(name, Takes::Required(what), "Integer", doc)
    }

    /// Adds an option with a value that is a 64-bit number.
    pub(crate) fn long(self, name: &'static str, what: &'static str, doc: &'static str) -> Self {
        self.spec(name, Takes::Required(what), "Long", doc)
    }

    /// Adds an option whose text value may be left out.
    pub(crate) fn optional_text(
        self,
        name: &'static str,
        what: &'static str,
        doc: &'static str,
    ) -> Self {
        self.spec(name, Takes::Optional(what), "String", doc)
    }

    /// Adds an option whose value, a 64-bit number, may be left out.
    pub(crate) fn optional_long(
        self,
        name: &'static str,
        what: &'static str,
        doc: &'static str,
    ) -> Self {
        self.spec(name, Takes::Optional(what), "Long", doc)
    }

    /// Gives the option added last a default.
    pub(crate) fn or(mut self, value: &'static str) -> Self {
        if let Some(last) = self.specs.last_mut() {
            last.default = Some(value);
        }
        self
    }

    fn spec(
        mut self,
        name: &'static str,
        takes: Takes,
        kind: &'static str,
        doc: &'static str,
    ) -> Self {
        self.specs.push(Spec {
            name,
            takes,
            kind,
            doc,
            default: None,
        });
        self
    }

    fn find(&self, name: &str) -> Option<&Spec> {
        self.specs.iter().find(|spec| spec.name == name)
    }

    /// Reads the words of a command line.
    pub(crate) fn parse(&self, words: &[String]) -> Result<Options, Error> {
        let mut given: Vec<(&'static str, Option<String>)> = Vec::new();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next() {
            if word == "--" {
                break;
            }
            let Some(body) = option_body(word) else {
                continue;
            };
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let spec = self
                .find(name)
                .ok_or_else(|| Error::Unrecognized(name.to_owned()))?;
            let next_is_value = rest.peek().is_some_and(|next| match spec.kind {
                "Long" => next.parse::<i64>().is_ok(),
                _ => !self.looks_like_option(next),
            });
            let value = match (spec.takes, inline) {
                (Takes::Nothing, _) => None,
                (_, Some(value)) => Some(value),
                (Takes::Required(_), None) => {
                    let known = rest.peek().is_none_or(|next| self.is_known_option(next));
                    match known {
                        true => return Err(Error::MissingArgument(name.to_owned())),
                        false => rest.next().cloned(),
                    }
                }
                (Takes::Optional(_), None) if next_is_value => rest.next().cloned(),
                (Takes::Optional(_), None) => None,
            };
            given.push((spec.name, value));
        }
        Ok(Options {
            specs: self.specs.clone(),
            given,
            is_empty: words.is_empty(),
        })
    }

    fn looks_like_option(&self, word: &str) -> bool {
        word.len() > 1 && word.starts_with('-')
    }

    fn is_known_option(&self, word: &str) -> bool {
        option_body(word).is_some_and(|body| {
            let name = body.split_once('=').map_or(body, |(name, _)| name);
            self.find(name).is_some()
        })
    }

    /// `message`, then the table of all options, as Kafka prints it to stderr.
    pub(crate) fn usage(&self, message: &str) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{message}");
        text.push_str(&help::table(&self.specs));
        text
    }
}

fn option_body(word: &str) -> Option<&str> {
    match word.strip_prefix("--") {
        Some(body) => Some(body),
        None => word.strip_prefix('-').filter(|body| !body.is_empty()),
    }
}

/// The options of one command line.
#[derive(Debug)]
pub(crate) struct Options {
    specs: Vec<Spec>,
    given: Vec<(&'static str, Option<String>)>,
    is_empty: bool,
}

impl Options {
    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether the option was written on the command line.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// The value given last, or the default.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.given.iter().rev().find(|(given, _)| *given == name) {
            Some((_, value)) => value.as_deref(),
            None => self.default(name),
        }
    }

    /// Every value given, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.given
            .iter()
            .filter(|(given, _)| *given == name)
            .filter_map(|(_, value)| value.as_deref())
            .collect()
    }

    /// The words of every value given, each value cut at its commas.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let words = |value| match value {
            "" => vec![""],
            list => list.split(',').filter(|word| !word.is_empty()).collect(),
        };
        self.all(name).into_iter().flat_map(words).collect()
    }

    /// Every option that was written and its value, in order.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.given
            .iter()
            .map(|(name, value)| (*name, value.as_deref()))
    }

    pub(crate) fn i32(&self, name: &'static str) -> Result<Option<i32>, Error> {
        self.number(name)
    }

    pub(crate) fn i64(&self, name: &'static str) -> Result<Option<i64>, Error> {
        self.number(name)
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Error> {
        self.text(name)
            .map(|value| {
                value.parse().map_err(|_| Error::Unparsable {
                    name,
                    value: value.to_owned(),
                })
            })
            .transpose()
    }

    fn default(&self, name: &str) -> Option<&'static str> {
        self.specs
            .iter()
            .find(|spec| spec.name == name)
            .and_then(|spec| spec.default)
    }

    /// Fails when one of `required` is not there.
    pub(crate) fn require(&self, required: &[&'static str]) -> Result<(), Error> {
        match required.iter().find(|name| !self.has(name)) {
            Some(name) => Err(Error::MissingOption(name)),
            None => Ok(()),
        }
    }

    /// Fails when `used` stands beside one of `others`.
    pub(crate) fn forbid(&self, used: &'static str, others: &[&'static str]) -> Result<(), Error> {
        if !self.has(used) {
            return Ok(());
        }
        match others.iter().find(|other| self.has(other)) {
            Some(other) => Err(Error::Conflict { used, other }),
            None => Ok(()),
        }
    }
}

/// Splits `key=value` arguments; a missing value is an empty one.
pub(crate) fn key_values(arguments: &[&str]) -> Vec<(String, String)> {
    arguments
        .iter()
        .map(|argument| argument.split_once('=').unwrap_or((argument, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser() -> Parser {
        Parser::new()
            .flag("list", "")
            .text("topic", "topic", "")
            .int("partitions", "count", "")
            .long("timeout", "ms", "")
            .or("1000")
            .optional_text("compression-codec", "codec", "")
            .optional_long("age", "ms", "")
    }

    fn parse(line: &str) -> Result<Options, Error> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parser().parse(&words)
    }

    #[test]
    fn every_written_form_is_read() {
        for line in [
            "--list --topic x",
            "-list --topic=x",
            "--topic x stray -list",
        ] {
            let options = parse(line).unwrap();
            assert!(options.has("list"), "{line}");
            assert_eq!(options.text("topic"), Some("x"), "{line}");
        }
        assert_eq!(parse("--topic -1").unwrap().text("topic"), Some("-1"));
        assert_eq!(
            parse("--topic a --topic b").unwrap().text("topic"),
            Some("b")
        );
        let both = parse("--topic a=b --topic=c=d").unwrap();
        assert_eq!(both.all("topic"), ["a=b", "c=d"]);
        let lists = parse("--topic a,,b --topic c, --topic=").unwrap();
        assert_eq!(lists.list("topic"), ["a", "b", "c", ""]);
    }

    #[test]
    fn bad_lines_fail_in_kafkas_words() {
        let cases = [
            ("--lis", "lis is not a recognized option"),
            ("--topic", "Option topic requires an argument"),
            ("--topic --list", "Option topic requires an argument"),
        ];
        for (line, text) in cases {
            assert_eq!(parse(line).unwrap_err().to_string(), text, "{line}");
        }
        let options = parse("--partitions abc").unwrap();
        assert_eq!(
            options.i32("partitions").unwrap_err().to_string(),
            "Cannot parse argument 'abc' of option partitions"
        );
    }

    #[test]
    fn a_default_is_a_value_but_not_given() {
        let options = parse("--list").unwrap();
        assert!(!options.has("timeout"));
        assert_eq!(options.i64("timeout"), Ok(Some(1000)));
        assert_eq!(options.i32("partitions"), Ok(None));
    }

    #[test]
    fn an_optional_value_may_be_absent() {
        let absent = parse("--compression-codec --topic x").unwrap();
        assert!(absent.has("compression-codec"));
        assert_eq!(absent.text("compression-codec"), None);
        let present = parse("--compression-codec lz4 --topic x").unwrap();
        assert_eq!(present.text("compression-codec"), Some("lz4"));
        // A number is one even though it begins like an option.
        for (line, value) in [("--age -1 --list", Some(-1)), ("--age x --list", None)] {
            let options = parse(line).unwrap();
            assert!(options.has("age") && options.has("list"), "{line}");
            assert_eq!(options.i64("age"), Ok(value), "{line}");
        }
    }

    #[test]
    fn required_and_forbidden_options() {
        let options = parse("--list --partitions 3").unwrap();
        assert_eq!(
            options.require(&["topic"]).unwrap_err().to_string(),
            "Missing required argument \"[topic]\""
        );
        assert_eq!(
            options
                .forbid("partitions", &["topic", "list"])
                .unwrap_err()
                .to_string(),
            "Option \"[partitions]\" can't be used with option \"[list]\""
        );
        assert_eq!(options.forbid("topic", &["list"]), Ok(()));
    }

    #[test]
    fn key_values_may_lack_a_value() {
        assert_eq!(
            key_values(&["a=b=c", "d"]),
            [("a".into(), "b=c".into()), ("d".into(), String::new())]
        );
    }
}
