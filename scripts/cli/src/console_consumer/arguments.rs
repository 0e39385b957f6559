//! The command line of `kafka console-consumer`.

use std::time::Duration;

use regex::Regex;

use crate::client::Config;
use crate::client::config::{self, Settings};
use crate::client::consumer::{ConsumerSettings, Start, Subscription};
use crate::failure::Failure;
use crate::options::{Options, Parser, key_values};
use crate::{console, text};

use super::formatter::Formatter;

const PURPOSE: &str =
    "This tool helps to read data from Kafka topics and outputs it to standard output.";
const GROUPS: i64 = 100_000;

/// The one formatter there is, by the names Kafka has given it.
const FORMATTERS: [&str; 2] = [
    "kafka.tools.DefaultMessageFormatter",
    "org.apache.kafka.tools.consumer.DefaultMessageFormatter",
];

/// A checked command line.
pub(super) struct Arguments {
    pub(super) subscription: Subscription,
    pub(super) settings: Settings,
    pub(super) formatter: Formatter,
    pub(super) messages_max: Option<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) skips_errors: bool,
    pub(super) tells_events: bool,
}

impl Arguments {
    /// Reads and checks; `None` when the question was only for the version.
    pub(super) fn parse(words: &[String]) -> Result<Option<Self>, Failure> {
        let parser = parser();
        let usage = |message: String| Failure::usage(&parser, message);
        let options = parser
            .parse(words)
            .map_err(|error| usage(error.to_string()))?;
        if options.is_empty() || options.has("help") {
            return Err(usage(PURPOSE.to_owned()));
        }
        if options.has("version") {
            console::say(text::version());
            return Ok(None);
        }
        check(&options).map_err(usage)?;
        let settings = consumer_settings(&options).map_err(|refused| match refused {
            Refused::Usage(message) => usage(message),
            Refused::Plain(message) => Failure::new(message),
        })?;
        let unparsable = |error: crate::options::Error| usage(error.to_string());
        let timeout = options.i64("timeout-ms").map_err(unparsable)?;
        let messages_max = options.i32("max-messages").map_err(unparsable)?;
        Ok(Some(Self {
            subscription: subscription(&options).map_err(usage)?,
            settings,
            formatter: formatter(&options).map_err(usage)?,
            messages_max: messages_max.and_then(|count| u64::try_from(count).ok()),
            timeout: timeout
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
            skips_errors: options.has("skip-message-on-error"),
            tells_events: options.has("enable-systest-events"),
        }))
    }

    /// What the client needs; wrong values show only now, as in Kafka's tool.
    pub(super) fn client_settings(&self) -> Result<(Config, ConsumerSettings), config::Error> {
        let consumer = ConsumerSettings::new(&self.settings)?;
        let mut config = Config::from_settings(&self.settings, "Consumer", "console-consumer")?;
        config.log_context = format!("{}, groupId={}", config.log_context, consumer.group_id);
        Ok((config, consumer))
    }
}

enum Refused {
    Usage(String),
    Plain(String),
}

fn pattern(options: &Options) -> Option<&str> {
    options
        .text("include")
        .or_else(|| options.text("whitelist"))
}

fn check(options: &Options) -> Result<(), String> {
    if options.has("topic") == pattern(options).is_some() {
        return Err("Exactly one of --include/--topic is required. ".to_owned());
    }
    if options.has("partition") {
        if !options.has("topic") {
            return Err("The topic is required when partition is specified.".to_owned());
        }
        if options.has("from-beginning") && options.has("offset") {
            return Err(
                "Options from-beginning and offset cannot be specified together.".to_owned(),
            );
        }
    } else if options.has("offset") {
        return Err("The partition is required when offset is specified.".to_owned());
    }
    options
        .require(&["bootstrap-server"])
        .map_err(|error| error.to_string())
}

fn subscription(options: &Options) -> Result<Subscription, String> {
    let start = start(options)?;
    let Some(topic) = options.text("topic") else {
        let written = pattern(options).unwrap_or_default();
        let whole = Regex::new(&format!("^(?:{written})$")).map_err(|error| error.to_string())?;
        return Ok(Subscription::Pattern(whole));
    };
    let topic = topic.to_owned();
    match options
        .i32("partition")
        .map_err(|error| error.to_string())?
    {
        Some(partition) => Ok(Subscription::Partition((topic, partition), start)),
        None => Ok(Subscription::Topics(vec![topic])),
    }
}

fn start(options: &Options) -> Result<Start, String> {
    if !options.has("offset") {
        return Ok(match options.has("from-beginning") {
            true => Start::Earliest,
            false => Start::Latest,
        });
    }
    let written = options.text("offset").unwrap_or_default();
    match written.to_lowercase().as_str() {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Ok(Start::Offset(offset)),
            _ => Err(format!(
                "The provided offset value '{written}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
            )),
        },
    }
}

fn formatter(options: &Options) -> Result<Formatter, String> {
    match options.text("formatter") {
        Some(class) if !FORMATTERS.contains(&class) => return Err(class.to_owned()),
        _ => {}
    }
    let mut properties = load(options, "formatter-config")?;
    for part in ["key", "value"] {
        let option = format!("{part}-deserializer");
        if let Some(class) = options.text(&option).filter(|class| !class.is_empty()) {
            properties.set(&format!("{part}.deserializer"), class);
        }
    }
    properties.extend(key_values(&options.all("property")));
    Formatter::new(&properties)
}

fn consumer_settings(options: &Options) -> Result<Settings, Refused> {
    let file = load(options, "consumer.config").map_err(Refused::Plain)?;
    let given = key_values(&options.all("consumer-property"));
    let mut properties = Settings::default();
    properties.extend(given.clone());
    let places = [
        options.text("group"),
        file.get("group.id"),
        properties.get("group.id"),
    ];
    let mut groups: Vec<&str> = places.into_iter().flatten().collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > 1 {
        let found: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        return Err(Refused::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: {}",
            found.join(", ")
        )));
    }
    if !groups.is_empty() && options.has("partition") {
        return Err(Refused::Usage(
            "Options group and partition cannot be specified together.".to_owned(),
        ));
    }
    let group = groups.first().map(ToString::to_string);
    let mut settings = file;
    settings.extend(given);
    set_reset(&mut settings, options)?;
    settings.set(
        "bootstrap.servers",
        options.text("bootstrap-server").unwrap_or_default(),
    );
    let isolation_level = options.text("isolation-level").unwrap_or_default();
    match options.has("isolation-level") {
        true => settings.set("isolation.level", isolation_level),
        false => settings.fill("isolation.level", isolation_level),
    }
    match group {
        Some(group) => settings.set("group.id", group),
        None => {
            let number = common::clock::system().wall_ms().wrapping_mul(7919) % GROUPS;
            settings.set("group.id", format!("console-consumer-{number}"));
            settings.fill("enable.auto.commit", "false");
        }
    }
    Ok(settings)
}

fn set_reset(settings: &mut Settings, options: &Options) -> Result<(), Refused> {
    let from_beginning = options.has("from-beginning");
    match settings.get("auto.offset.reset") {
        Some(reset) if from_beginning && reset != "earliest" => Err(Refused::Plain(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
        ))),
        Some(_) => Ok(()),
        None => {
            let reset = if from_beginning { "earliest" } else { "latest" };
            settings.set("auto.offset.reset", reset);
            Ok(())
        }
    }
}

fn load(options: &Options, option: &str) -> Result<Settings, String> {
    match options.text(option) {
        Some(path) => Settings::load(path).map_err(|error| error.to_string()),
        None => Ok(Settings::default()),
    }
}

fn parser() -> Parser {
    let what = Parser::new()
        .text("topic", "topic", "The topic to read.")
        .text(
            "include",
            "Java regex (String)",
            "The topics to read, by a pattern that whole names must match.",
        )
        .text(
            "whitelist",
            "Java regex (String)",
            "The old name of --include.",
        )
        .int(
            "partition",
            "partition",
            "The partition to read; from its end unless --offset says otherwise.",
        )
        .text(
            "offset",
            "consume offset",
            "With --partition: a number, 'earliest' or 'latest'.",
        )
        .or("latest")
        .flag(
            "from-beginning",
            "Begin with the oldest record when the group has no committed offset.",
        )
        .int(
            "max-messages",
            "num_messages",
            "End after this many records.",
        )
        .long(
            "timeout-ms",
            "timeout_ms",
            "End when no record came for this long.",
        );
    let how = what
        .text("bootstrap-server", "server to connect to", "REQUIRED: One or more brokers, as host:port,host:port.")
        .text("group", "consumer group id", "The consumer group to read as a member of.")
        .text("isolation-level", "", "read_committed leaves out the records of transactions that are open or aborted; read_uncommitted reads all.")
        .or("read_uncommitted")
        .text("consumer-property", "consumer_prop", "A setting of the consumer, as key=value. May be given several times.")
        .text("consumer.config", "config file", "A properties file with settings of the consumer; --consumer-property goes before it.");
    how.text("property", "prop", "How records are printed, as key=value: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, print.value=true|false, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.")
        .text("formatter-config", "config file", "A properties file for how records are printed; --property goes before it.")
        .text("formatter", "class", "Accepted for the default formatter only.")
        .or("kafka.tools.DefaultMessageFormatter")
        .text("key-deserializer", "deserializer for key", "As --property key.deserializer.")
        .text("value-deserializer", "deserializer for values", "As --property value.deserializer.")
        .flag("skip-message-on-error", "Go on after a record that cannot be printed.")
        .flag("enable-systest-events", "Say when the consumer has shut down.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: &str = "--bootstrap-server h:1";

    fn parse(line: &str) -> Result<Option<Arguments>, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(&words)
    }

    #[test]
    fn lines_are_refused_in_kafkas_words() {
        let cases = [
            (
                B.to_owned(),
                "Exactly one of --include/--topic is required. ",
            ),
            (
                "--topic x".to_owned(),
                r#"Missing required argument \"[bootstrap-server]\""#,
            ),
            (
                format!("{B} --topic x --offset 3"),
                "The partition is required when offset is specified.",
            ),
            (
                format!("{B} --topic x --partition 0 --offset -3"),
                "The provided offset value '-3' is incorrect.",
            ),
            (
                format!("{B} --include x --partition 0"),
                "The topic is required when partition is specified.",
            ),
            (
                format!("{B} --topic x --partition 0 --group g"),
                "Options group and partition cannot be specified together.",
            ),
            (
                format!("{B} --topic x --group a --consumer-property group.id=b"),
                "Detected group ids: 'a', 'b'",
            ),
            (
                format!(
                    "{B} --topic x --from-beginning --consumer-property auto.offset.reset=latest"
                ),
                "please remove one option",
            ),
            (format!("{B} --topic x --formatter foo.Bar"), "foo.Bar"),
        ];
        for (line, words) in cases {
            let said = format!("{:?}", parse(&line).err());
            assert!(said.contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn a_group_of_ones_own_commits() {
        let settings = |line: String| parse(&line).unwrap().unwrap().settings;
        let named = settings(format!("{B} --topic x --group g"));
        assert_eq!(named.get("group.id"), Some("g"));
        assert_eq!(named.get("enable.auto.commit"), None);
        let unnamed = settings(format!("{B} --topic x"));
        assert!(
            unnamed
                .get("group.id")
                .unwrap()
                .starts_with("console-consumer-")
        );
        assert_eq!(unnamed.get("enable.auto.commit"), Some("false"));
        assert_eq!(unnamed.get("auto.offset.reset"), Some("latest"));
    }
}
