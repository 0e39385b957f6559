//! The command line of `kafka mirror-maker`. Reads files, asks nobody.

use regex::Regex;

use crate::client::Config;
use crate::client::config::{self, Settings};
use crate::client::consumer::ConsumerSettings;
use crate::client::producer::ProducerSettings;
use crate::console;
use crate::failure::Failure;
use crate::options::{self, Options, Parser};
use crate::text::TopicFilter;

use super::LOGGER;

const STRATEGY: &str = "partition.assignment.strategy";

pub(super) fn parser() -> Parser {
    Parser::new()
        .text(
            "consumer.config",
            "config file",
            "REQUIRED: A properties file for reading from the source cluster.",
        )
        .flag(
            "new.consumer",
            "Accepted for compatibility: there is no other.",
        )
        .text(
            "producer.config",
            "config file",
            "REQUIRED: A properties file for writing to the target cluster.",
        )
        .int(
            "num.streams",
            "Number of threads",
            "How many members read beside each other.",
        )
        .or("1")
        .text(
            "whitelist",
            "Java regex (String)",
            "The old name of --include.",
        )
        .text(
            "include",
            "Java regex (String)",
            "The topics, by a pattern that whole names must match.",
        )
        .int(
            "offset.commit.interval.ms",
            "offset commit interval in millisecond",
            "How often to commit what was acknowledged.",
        )
        .or("60000")
        .text(
            "consumer.rebalance.listener",
            "A custom rebalance listener of type ConsumerRebalanceListener",
            "Refused: a class of Java.",
        )
        .text(
            "rebalance.listener.args",
            "Arguments passed to custom rebalance listener constructor as a string.",
            "For that class.",
        )
        .text(
            "message.handler",
            "A custom message handler of type MirrorMakerMessageHandler",
            "Refused: a class of Java.",
        )
        .text(
            "message.handler.args",
            "Arguments passed to message handler constructor.",
            "For that class.",
        )
        .text(
            "abort.on.send.failure",
            "Stop the entire mirror maker when a send failure occurs",
            "Whether to end when a record cannot be stored; else it is left out.",
        )
        .or("true")
}

/// What to do with a record that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLoss {
    End,
    LeaveOut,
}

/// What is copied, from where to where, and how.
pub(super) struct Arguments {
    pub(super) include: Regex,
    pub(super) streams: usize,
    pub(super) on_loss: OnLoss,
    source: Settings,
    pub(super) reading: ConsumerSettings,
    pub(super) target: Config,
    pub(super) writing: ProducerSettings,
}

/// An exception of Java's while the tool starts: told, and the end.
fn broken(class: &str, message: impl std::fmt::Display) -> Failure {
    console::error("Exception when starting mirror maker.", LOGGER);
    Failure::new(format!("{class}: {message}"))
}

fn unusable(error: config::Error) -> Failure {
    broken("org.apache.kafka.common.config.ConfigException", error)
}

impl Arguments {
    /// Checks the options in the order in which Kafka's tool does.
    pub(super) fn of(options: &Options, parser: &Parser) -> Result<Self, Failure> {
        let unread = |error: options::Error| broken("joptsimple.OptionException", error);
        options
            .require(&["consumer.config", "producer.config"])
            .map_err(|error| Failure::usage(parser, error))?;
        let load = |name| Settings::load(options.text(name).unwrap_or_default());
        let mut source = load("consumer.config").map_err(unusable)?;
        let pattern = options
            .text("include")
            .or_else(|| options.text("whitelist"));
        let Some(pattern) = pattern else {
            console::error("include list must be specified", LOGGER);
            return Err(Failure::told());
        };
        if source.get(STRATEGY).is_none() {
            console::complain(
                "WARNING: The default partition assignment strategy of the mirror maker will change from 'range' to 'roundrobin' in an upcoming release (so that better load balancing can be achieved). If you prefer to make this switch in advance of that release add the following to the corresponding config: 'partition.assignment.strategy=org.apache.kafka.clients.consumer.RoundRobinAssignor'",
            );
        }
        let on_loss = on_loss(options.text("abort.on.send.failure").unwrap_or_default())?;
        let interval = options.i32("offset.commit.interval.ms").map_err(unread)?;
        let streams = options.i32("num.streams").map_err(unread)?;
        for class in ["consumer.rebalance.listener", "message.handler"] {
            if let Some(name) = options.text(class) {
                return Err(broken("java.lang.ClassNotFoundException", name));
            }
        }
        let mut target = load("producer.config").map_err(unusable)?;
        target.fill("delivery.timeout.ms", i32::MAX.to_string());
        target.fill("max.block.ms", i64::MAX.to_string());
        target.fill("acks", "all");
        // What is committed is what was acknowledged: the consumer does it by itself,
        // and is told of a record only then.
        source.set("enable.auto.commit", "true");
        let interval = interval.unwrap_or_default().max(0).to_string();
        source.set("auto.commit.interval.ms", interval);
        let include = TopicFilter::new(pattern);
        Ok(Self {
            include: include
                .map_err(|error| broken("java.lang.RuntimeException", error))?
                .into_pattern(),
            streams: usize::try_from(streams.unwrap_or_default()).unwrap_or_default(),
            on_loss,
            reading: ConsumerSettings::new(&source).map_err(unusable)?,
            target: Config::from_settings(&target, "Producer", "producer-1").map_err(unusable)?,
            writing: ProducerSettings::new(&target).map_err(unusable)?,
            source,
        })
    }

    /// How the stream of this number connects to the source.
    pub(super) fn source_of(&self, stream: usize) -> Result<Config, Failure> {
        let group = self.source.get("group.id").unwrap_or("null");
        let mut settings = self.source.clone();
        settings.set("client.id", format!("{group}-{stream}"));
        Config::from_settings(&settings, "Consumer", "").map_err(unusable)
    }
}

fn on_loss(written: &str) -> Result<OnLoss, Failure> {
    match written.to_ascii_lowercase().as_str() {
        "true" => Ok(OnLoss::End),
        "false" => Ok(OnLoss::LeaveOut),
        _ => {
            let message = format!("For input string: \"{written}\"");
            Err(broken("java.lang.IllegalArgumentException", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(line: &str, source: &str) -> Result<Arguments, Failure> {
        let mut files = [source, "bootstrap.servers=b:1"].map(|text| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            writeln!(file, "{text}").unwrap();
            file
        });
        let [from, to] = files
            .each_mut()
            .map(|file| file.path().display().to_string());
        let line = format!("--consumer.config {from} --producer.config {to} {line}");
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parser = parser();
        Arguments::of(&parser.parse(&words).unwrap(), &parser)
    }

    #[test]
    fn nothing_is_lost_unless_it_is_asked_for() {
        let source = "bootstrap.servers=a:1\ngroup.id=g";
        let made = read("--whitelist a,b.* --num.streams 3", source).unwrap();
        assert_eq!((made.streams, made.on_loss), (3, OnLoss::End));
        assert!(made.include.is_match("b2") && !made.include.is_match("ab"));
        assert_eq!(made.source_of(2).unwrap().client_id, "g-2");
        assert_eq!(made.target.bootstrap[0].to_string(), "b:1");
        let made = read("--include a --abort.on.send.failure FALSE", source).unwrap();
        assert_eq!(made.on_loss, OnLoss::LeaveOut);
        for line in [
            "",
            "--include a --abort.on.send.failure x",
            "--include a --message.handler x.Y",
        ] {
            assert!(read(line, source).is_err(), "{line}");
        }
    }
}
