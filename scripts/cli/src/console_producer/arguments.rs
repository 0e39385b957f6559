//! The command line of `kafka console-producer`.

use crate::client::Config;
use crate::client::config::Settings;
use crate::client::producer::ProducerSettings;
use crate::console;
use crate::failure::Failure;
use crate::options::{Options, Parser, key_values};
use crate::text;

use super::reader::LineReader;

/// The one reader there is, by the names Kafka has given it.
const LINE_READERS: [&str; 3] = [
    "kafka.tools.ConsoleProducer$LineMessageReader",
    "org.apache.kafka.tools.LineMessageReader",
    "org.apache.kafka.tools.ConsoleProducer$LineMessageReader",
];

/// Options that set a key of the producer, which they override.
const MERGED: [(&str, &str); 11] = [
    ("timeout", "linger.ms"),
    ("request-required-acks", "acks"),
    ("request-timeout-ms", "request.timeout.ms"),
    ("message-send-max-retries", "retries"),
    ("retry-backoff-ms", "retry.backoff.ms"),
    ("socket-buffer-size", "send.buffer.bytes"),
    ("max-memory-bytes", "buffer.memory"),
    ("batch-size", "batch.size"),
    ("max-partition-memory-bytes", "batch.size"),
    ("metadata-expiry-ms", "metadata.max.age.ms"),
    ("max-block-ms", "max.block.ms"),
];

/// A checked command line.
pub(super) struct Arguments {
    pub(super) topic: String,
    pub(super) config: Config,
    pub(super) producer: ProducerSettings,
    pub(super) reader: LineReader,
    pub(super) is_synchronous: bool,
}

impl Arguments {
    /// Reads and checks; `None` when the question was only for the version.
    pub(super) fn parse(words: &[String]) -> Result<Option<Self>, Failure> {
        let parser = parser();
        let usage = |message: String| Failure::usage(&parser, message);
        let options = parser
            .parse(words)
            .map_err(|error| usage(error.to_string()))?;
        if options.has("help") || (options.is_empty() && words.is_empty()) {
            let purpose =
                "This tool helps to read data from standard input and publish it to Kafka.";
            let missing = "Missing required option(s) [bootstrap-server]";
            return Err(usage(
                if options.has("help") {
                    purpose
                } else {
                    missing
                }
                .to_owned(),
            ));
        }
        if options.has("version") {
            console::say(text::version());
            return Ok(None);
        }
        let servers = options
            .text("bootstrap-server")
            .or_else(|| options.text("broker-list"));
        let Some(servers) = servers else {
            return Err(usage(
                "Missing required option(s) [bootstrap-server]".to_owned(),
            ));
        };
        options
            .require(&["topic"])
            .map_err(|error| usage(error.to_string()))?;
        text::validate_bootstrap(servers).map_err(usage)?;
        check_reader(&options)?;
        let reader = LineReader::new(&reader_properties(&options)?)
            .map_err(|error| thrown("org.apache.kafka.common.KafkaException", error))?;
        let settings = producer_settings(&options, servers)?;
        let invalid = |error| thrown("org.apache.kafka.common.config.ConfigException", error);
        Ok(Some(Self {
            topic: options.text("topic").unwrap_or_default().to_owned(),
            config: Config::from_settings(&settings, "Producer", "console-producer")
                .map_err(invalid)?,
            producer: ProducerSettings::new(&settings).map_err(invalid)?,
            reader,
            is_synchronous: options.has("sync"),
        }))
    }
}

fn thrown(class: &str, error: impl ToString) -> Failure {
    Failure::new(format!("{class}: {}", error.to_string()))
}

fn check_reader(options: &Options) -> Result<(), Failure> {
    match options.text("line-reader") {
        Some(name) if !LINE_READERS.contains(&name) => {
            Err(thrown("java.lang.ClassNotFoundException", name))
        }
        _ => Ok(()),
    }
}

fn reader_properties(options: &Options) -> Result<Settings, Failure> {
    let mut properties = load(options, "reader-config")?;
    properties.extend(key_values(&options.all("property")));
    Ok(properties)
}

fn producer_settings(options: &Options, servers: &str) -> Result<Settings, Failure> {
    let mut settings = load(options, "producer.config")?;
    settings.extend(key_values(&options.all("producer-property")));
    settings.set("bootstrap.servers", servers);
    settings.set("compression.type", codec(options));
    for (option, key) in MERGED {
        let Some(value) = options.text(option) else {
            continue;
        };
        match options.has(option) {
            true => settings.set(key, value),
            false => settings.fill(key, value),
        }
    }
    Ok(settings)
}

fn load(options: &Options, option: &str) -> Result<Settings, Failure> {
    match options.text(option) {
        Some(path) => Settings::load(path).map_err(Failure::new),
        None => Ok(Settings::default()),
    }
}

/// Without a value the option means gzip.
fn codec(options: &Options) -> &str {
    match options.text("compression-codec") {
        Some(codec) if !codec.is_empty() => codec,
        _ if options.has("compression-codec") => "gzip",
        _ => "none",
    }
}

fn parser() -> Parser {
    let connection = Parser::new()
        .text(
            "topic",
            "topic",
            "REQUIRED: The topic that the records go to.",
        )
        .text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "broker-list",
            "broker-list",
            "The old name of --bootstrap-server.",
        )
        .text(
            "producer-property",
            "producer_prop",
            "A setting of the producer, as key=value. May be given several times.",
        )
        .text(
            "producer.config",
            "config file",
            "A properties file with settings of the producer; --producer-property goes before it.",
        );
    let reading = connection
        .text("property", "prop", "How lines are read, as key=value: parse.key=false, parse.headers=false, ignore.error=false, key.separator=\\t, headers.delimiter=\\t, headers.separator=,, headers.key.separator=:, null.marker= (text that stands for null). With headers and key a line is \"h1:v1,h2:v2\\tkey\\tvalue\".")
        .text("reader-config", "config file", "A properties file for how lines are read; --property goes before it.")
        .text("line-reader", "reader_class", "Accepted for the default reader only.");
    with_delivery(with_batching(reading))
}

fn with_batching(parser: Parser) -> Parser {
    parser
        .flag(
            "sync",
            "Wait for each record to be stored before the next is read.",
        )
        .optional_text(
            "compression-codec",
            "compression-codec",
            "none, gzip, snappy, lz4 or zstd; gzip if no value is given.",
        )
        .int(
            "batch-size",
            "size",
            "Bytes that a batch may grow to before it is sent.",
        )
        .or("16384")
        .int(
            "max-partition-memory-bytes",
            "memory in bytes per partition",
            "Another name of --batch-size.",
        )
        .or("16384")
        .long(
            "max-memory-bytes",
            "total memory in bytes",
            "Accepted for compatibility.",
        )
        .or("33554432")
        .long(
            "timeout",
            "timeout_ms",
            "How long a record may wait for others of its batch.",
        )
        .or("1000")
}

fn with_delivery(parser: Parser) -> Parser {
    parser
        .text(
            "request-required-acks",
            "request required acks",
            "Whose acknowledgement is waited for: 0, 1, -1 or all.",
        )
        .or("-1")
        .int(
            "request-timeout-ms",
            "request timeout ms",
            "How long an answer may take.",
        )
        .or("1500")
        .int(
            "message-send-max-retries",
            "",
            "How often a batch is sent again after a failure that may pass.",
        )
        .or("3")
        .long(
            "retry-backoff-ms",
            "",
            "How long to wait before a batch is sent again.",
        )
        .or("100")
        .long(
            "metadata-expiry-ms",
            "metadata expiration interval",
            "After this time the partitions are asked for again.",
        )
        .or("300000")
        .long(
            "max-block-ms",
            "max block on send",
            "How long to wait for a topic to appear.",
        )
        .or("60000")
        .int("socket-buffer-size", "size", "Accepted for compatibility.")
        .or("102400")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parser().parse(&words).unwrap()
    }

    #[test]
    fn an_option_wins_over_a_property_and_that_over_a_default() {
        let settings = |line: &str| producer_settings(&options(line), "h:1").unwrap();
        assert_eq!(settings("").get("acks"), Some("-1"));
        assert_eq!(settings("").get("linger.ms"), Some("1000"));
        assert_eq!(
            settings("--producer-property acks=1").get("acks"),
            Some("1")
        );
        let both = settings("--producer-property acks=1 --request-required-acks 0");
        assert_eq!(both.get("acks"), Some("0"));
        assert_eq!(settings("--batch-size 7").get("batch.size"), Some("7"));
        assert_eq!(settings("").get("batch.size"), Some("16384"));
    }

    #[test]
    fn codecs() {
        assert_eq!(codec(&options("--topic x")), "none");
        assert_eq!(codec(&options("--compression-codec --topic x")), "gzip");
        assert_eq!(codec(&options("--compression-codec lz4")), "lz4");
    }
}
