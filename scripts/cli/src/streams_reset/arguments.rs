//! The command line of `kafka streams-application-reset`. Pure.

use crate::failure::Failure;
use crate::options::{Options, Parser};

/// Where the input topics may go to; at most one of these.
const TARGETS: [&str; 7] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "from-file",
    "shift-by",
];
/// Where Kafka's tool looks for brokers that nobody names.
const SERVERS: &str = "localhost:9092";

pub(super) fn parser() -> Parser {
    Parser::new()
        .text("application-id", "id", "REQUIRED: The application.id, which is the id of its group as well.")
        .text("bootstrap-servers", "urls", "The old name of --bootstrap-server.")
        .text("bootstrap-server", "server to connect to", "One or more brokers, as host:port,host:port (localhost:9092 if absent).")
        .text("input-topics", "list", "Topics that the application reads, with commas between them. They go to their start, or to where another option says.")
        .text("intermediate-topics", "list", "Topics that the application both writes and reads. They go to their end.")
        .text("internal-topics", "list", "Of the internal topics delete only these.")
        .long("to-offset", "offset", "Go to this offset.")
        .text("to-datetime", "datetime", "Go to the first record since a time: YYYY-MM-DDThh:mm:ss.sss.")
        .text("by-duration", "duration", "Go to the first record since some time ago: PnDTnHnMnS.")
        .flag("to-earliest", "Go to the start, which is the default.")
        .flag("to-latest", "Go to the end.")
        .text("from-file", "path to CSV file", "Go to the offsets of a file: topic,partition,offset.")
        .long("shift-by", "number-of-offsets", "Go so many records on, or back if negative.")
        .text("config-file", "file name", "A properties file with settings of the clients.")
        .flag("force", "Remove members that the group still has; the application must not run.")
        .flag("dry-run", "Only show what would be done.")
}

/// Refuses what does not go together, in Kafka's words.
pub(super) fn check(options: &Options) -> Result<(), String> {
    for target in TARGETS {
        let others: Vec<&'static str> = TARGETS
            .into_iter()
            .filter(|other| *other != target)
            .collect();
        let refused = options.forbid(target, &others);
        refused.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Reads the words; help and version need no application.
pub(super) fn parse(words: &[String], parser: &Parser) -> Result<Options, Failure> {
    let usage = |message: String| Failure::usage(parser, message);
    let options = parser
        .parse(words)
        .map_err(|error| usage(error.to_string()))?;
    let asks = options.has("help") || options.has("version");
    if !asks && !options.has("application-id") {
        let missing = "Missing required option(s) [application-id]";
        return Err(usage(missing.to_owned()));
    }
    if !asks {
        check(&options).map_err(usage)?;
    }
    Ok(options)
}

/// The brokers, by whichever name.
pub(super) fn servers(options: &Options) -> &str {
    let given = options.text("bootstrap-server");
    given
        .or_else(|| options.text("bootstrap-servers"))
        .unwrap_or(SERVERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, &parser())
    }

    #[test]
    fn one_application_and_at_most_one_target() {
        for (line, said) in [
            ("", "Missing required option(s) [application-id]"),
            ("--dry-run", "Missing required option(s) [application-id]"),
            (
                "--application-id",
                "Option application-id requires an argument",
            ),
            (
                "--application-id a --shift-by 1 --to-latest",
                "Option \"[to-latest]\" can't be used with option \"[shift-by]\"",
            ),
            (
                "--application-id a --to-offset 1 --to-datetime x",
                "Option \"[to-offset]\" can't be used with option \"[to-datetime]\"",
            ),
        ] {
            assert_eq!(
                read(line).unwrap_err(),
                Failure::usage(&parser(), said),
                "{line}"
            );
        }
        assert!(read("--help").is_ok());
    }

    #[test]
    fn brokers_by_either_name() {
        for (line, found) in [
            ("", "localhost:9092"),
            ("--bootstrap-servers a:1", "a:1"),
            ("--bootstrap-servers a:1 --bootstrap-server b:1", "b:1"),
        ] {
            let options = read(&format!("--application-id a {line}")).unwrap();
            assert_eq!(servers(&options), found, "{line}");
        }
    }
}
