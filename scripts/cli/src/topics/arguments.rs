//! The command line of `kafka topics`, checked in the order Kafka checks it.

use uuid::Uuid;

use crate::client::config::Settings;
use crate::console;
use crate::failure::Failure;
use crate::options::{Options, Parser};
use crate::text::{self, TopicFilter};

use super::Error;

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];
const CONFIGS_TOOL: &str =
    " (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)";

/// How the cluster is reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    Brokers(Settings),
    ZooKeeper(String),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Alter,
    List,
    Describe,
    Delete,
}

/// A checked command line.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) way: Way,
    pub(super) action: Action,
    options: Options,
}

impl Arguments {
    /// Reads and checks; `None` when the question was only for the version.
    pub(super) fn parse(words: &[String]) -> Result<Option<Self>, Failure> {
        let parser = parser();
        let options = parser.parse(words).map_err(Failure::new)?;
        let usage = |message: String| Failure::usage(&parser, message);
        if options.is_empty() {
            return Err(usage(
                "Create, delete, describe, or change a topic.".to_owned(),
            ));
        }
        if options.has("help") {
            let purpose = "This tool helps to create, delete, describe, or change a topic.";
            return Err(usage(purpose.to_owned()));
        }
        if options.has("version") {
            console::say(text::version());
            return Ok(None);
        }
        let Some(action) = action(&options) else {
            return Err(usage(
                "Command must include exactly one action: --list, --describe, --create, --alter or --delete".to_owned(),
            ));
        };
        let way = way(&options)?;
        check_required(&options, &way).map_err(usage)?;
        check_forbidden(&options).map_err(|error| usage(error.to_string()))?;
        Ok(Some(Self {
            way,
            action,
            options,
        }))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.options.has(name)
    }

    pub(super) fn topic(&self) -> Option<&str> {
        self.options.text("topic")
    }

    /// The id asked for; a zero one counts as none.
    pub(super) fn topic_id(&self) -> Result<Option<Uuid>, Error> {
        let Some(written) = self.options.text("topic-id") else {
            return Ok(None);
        };
        let id = text::parse_topic_id(written).ok_or_else(|| {
            Error::Refused(format!(
                "Input string `{written}` is not a topic id in base64"
            ))
        })?;
        Ok((!id.is_nil()).then_some(id))
    }

    pub(super) fn partitions(&self) -> Result<Option<i32>, Error> {
        Ok(self.options.i32("partitions")?)
    }

    pub(super) fn replication_factor(&self) -> Result<Option<i32>, Error> {
        Ok(self.options.i32("replication-factor")?)
    }

    /// Settings to add, as `name=value` was written.
    pub(super) fn configs(&self) -> Result<Vec<(String, String)>, Error> {
        self.options
            .all("config")
            .into_iter()
            .map(|written| {
                let (name, value) = written.split_once('=').unwrap_or((written, ""));
                let (name, value) = (name.trim(), value.trim());
                if value.is_empty() || value.contains('=') {
                    return Err(Error::Refused(
                        "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".".to_owned(),
                    ));
                }
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect()
    }

    pub(super) fn deleted_configs(&self) -> Vec<&str> {
        self.options.all("delete-config")
    }

    /// The replicas of each partition, if they were placed by hand.
    pub(super) fn replica_assignment(&self) -> Result<Vec<Vec<i32>>, Error> {
        match self.options.text("replica-assignment") {
            None | Some("") => Ok(Vec::new()),
            Some(written) => parse_assignment(written),
        }
    }

    /// The topics among `all` (in order) that the command is about.
    pub(super) fn chosen(
        &self,
        all: impl IntoIterator<Item = (String, bool)>,
    ) -> Result<Vec<String>, Error> {
        let filter = match self.topic() {
            Some(pattern) => Some(TopicFilter::new(pattern).map_err(Error::Refused)?),
            None => None,
        };
        let hides_internal = self.has("exclude-internal");
        Ok(all
            .into_iter()
            .filter(|(_, is_internal)| !(hides_internal && *is_internal))
            .map(|(name, _)| name)
            .filter(|name| filter.as_ref().is_none_or(|filter| filter.allows(name)))
            .collect())
    }
}

fn parser() -> Parser {
    let actions = Parser::new()
        .flag("list", "List the topics.")
        .flag("create", "Create a topic.")
        .flag("delete", "Delete topics.")
        .flag("describe", "Show the partitions and settings of topics.")
        .flag(
            "alter",
            "Raise the number of partitions of topics, or place the new ones.",
        );
    let values = actions
        .text("bootstrap-server", "server to connect to", "One or more brokers, as host:port,host:port.")
        .text("zookeeper", "hosts", "The ZooKeeper or coordinator of the cluster, as host:port[/chroot]; used instead of --bootstrap-server.")
        .text("command-config", "command config property file", "A properties file with settings for the connection to the brokers.")
        .text("topic", "topic", "The topic; except with --create a regular expression that whole names must match.")
        .text("topic-id", "topic-id", "The id of the topic to describe.")
        .text("config", "name=value", "A setting of the topic that is created. May be given several times.")
        .text("delete-config", "name", "With --alter and --zookeeper: a setting to remove.")
        .int("partitions", "# of partitions", "How many partitions the topic has; the cluster's default if absent. More partitions change where a key's records go.")
        .int("replication-factor", "replication factor", "How many replicas each partition has; the cluster's default if absent.")
        .text("replica-assignment", "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : broker_id_for_part2_replica2 , ...", "Which brokers hold the replicas of each partition.")
        .int("partition-size-limit-per-response", "maximum number of partitions per response", "Accepted for compatibility.");
    values
        .flag(
            "under-replicated-partitions",
            "With --describe: only partitions with replicas out of sync.",
        )
        .flag(
            "unavailable-partitions",
            "With --describe: only partitions without an available leader.",
        )
        .flag(
            "under-min-isr-partitions",
            "With --describe: only partitions with fewer replicas in sync than configured.",
        )
        .flag(
            "at-min-isr-partitions",
            "With --describe: only partitions with just as many replicas in sync as configured.",
        )
        .flag(
            "topics-with-overrides",
            "With --describe: only topics with settings of their own.",
        )
        .flag(
            "if-exists",
            "With --alter, --delete or --describe: a missing topic is no error.",
        )
        .flag(
            "if-not-exists",
            "With --create: an existing topic is no error.",
        )
        .flag(
            "exclude-internal",
            "With --list or --describe: leave out internal topics.",
        )
        .flag("force", "Accepted for compatibility.")
}

fn action(options: &Options) -> Option<Action> {
    let mut given = ACTIONS.into_iter().filter(|name| options.has(name));
    let action = match given.next()? {
        "alter" => Action::Alter,
        "create" => Action::Create,
        "describe" => Action::Describe,
        "list" => Action::List,
        _ => Action::Delete,
    };
    given.next().is_none().then_some(action)
}

fn way(options: &Options) -> Result<Way, Failure> {
    match (options.text("bootstrap-server"), options.text("zookeeper")) {
        (Some(servers), None) => {
            let mut settings = match options.text("command-config") {
                Some(path) => Settings::load(path).map_err(Failure::new)?,
                None => Settings::default(),
            };
            settings.set("bootstrap.servers", servers);
            Ok(Way::Brokers(settings))
        }
        (None, Some(connect)) => Ok(Way::ZooKeeper(connect.to_owned())),
        (None, None) => Err(Failure::new("--bootstrap-server must be specified")),
        (Some(_), Some(_)) => Err(Failure::new(
            "Only one of --bootstrap-server or --zookeeper must be specified",
        )),
    }
}

fn check_required(options: &Options, way: &Way) -> Result<(), String> {
    let by_zookeeper = matches!(way, Way::ZooKeeper(_));
    if options.has("describe") && options.has("if-exists") {
        if !options.has("topic") && !options.has("topic-id") {
            return Err("--topic or --topic-id is required to describe a topic".to_owned());
        }
        if options.has("topic") && options.has("topic-id") {
            console::say(
                "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID",
            );
        }
    }
    if !options.has("list") && !options.has("describe") {
        options
            .require(&["topic"])
            .map_err(|error| error.to_string())?;
    }
    let is_placed = options.has("replica-assignment");
    if by_zookeeper && options.has("create") && !is_placed {
        let needed = ["partitions", "replication-factor"];
        options
            .require(&needed)
            .map_err(|error| error.to_string())?;
    }
    if options.has("alter") && !by_zookeeper {
        if options.has("config") {
            return Err(format!(
                "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\"{CONFIGS_TOOL}"
            ));
        }
        options
            .require(&["partitions"])
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn check_forbidden(options: &Options) -> Result<(), crate::options::Error> {
    let except = |allowed: &[&str]| -> Vec<&'static str> {
        let all = ACTIONS.into_iter();
        all.filter(|action| !allowed.contains(action)).collect()
    };
    options.forbid("config", &except(&["alter", "create"]))?;
    options.forbid("delete-config", &except(&["alter"]))?;
    options.forbid("partitions", &except(&["alter", "create"]))?;
    options.forbid("replication-factor", &except(&["create"]))?;
    options.forbid("replica-assignment", &except(&["alter", "create"]))?;
    if options.has("create") {
        options.forbid("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        let mut others = except(&["describe"]);
        others.push("topics-with-overrides");
        options.forbid(report, &others)?;
    }
    let mut others = except(&["describe"]);
    others.extend(REPORTS);
    options.forbid("topics-with-overrides", &others)?;
    options.forbid("if-exists", &except(&["alter", "delete", "describe"]))?;
    options.forbid("if-not-exists", &except(&["create"]))?;
    options.forbid("exclude-internal", &except(&["list", "describe"]))
}

fn parse_assignment(written: &str) -> Result<Vec<Vec<i32>>, Error> {
    let mut assignment: Vec<Vec<i32>> = Vec::new();
    for (index, list) in written.split(',').enumerate() {
        let replicas: Vec<i32> = list
            .split(':')
            .map(|id| id.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| Error::Refused(format!("For input string: \"{}\"", list.trim())))?;
        let mut repeated: Vec<i32> = Vec::new();
        for (at, id) in replicas.iter().enumerate() {
            if replicas[..at].contains(id) && !repeated.contains(id) {
                repeated.push(*id);
            }
        }
        if !repeated.is_empty() {
            return Err(Error::Refused(format!(
                "Partition replica lists may not contain duplicate entries: {}",
                text::joined(&repeated)
            )));
        }
        if assignment
            .first()
            .is_some_and(|first| first.len() != replicas.len())
        {
            return Err(Error::Refused(format!(
                "Partition {index} has different replication factor: {replicas:?}"
            )));
        }
        assignment.push(replicas);
    }
    Ok(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: &str = "--bootstrap-server localhost:9092";

    fn parse(line: &str) -> Result<Option<Arguments>, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(&words)
    }

    fn refusal(line: &str) -> String {
        let failure = parse(line).unwrap_err();
        format!("{failure:?}")
            .split("\\nOption")
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn lines_are_refused_in_kafkas_words() {
        let cases = [
            (
                B.to_owned(),
                "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
            ),
            (
                format!("{B} --list --describe"),
                "Command must include exactly one action",
            ),
            ("--list".to_owned(), "--bootstrap-server must be specified"),
            (
                format!("{B} --create"),
                r#"Missing required argument \"[topic]\""#,
            ),
            (
                format!("{B} --alter --topic x"),
                r#"Missing required argument \"[partitions]\""#,
            ),
            (
                format!("{B} --list --partitions 3"),
                r#"Option \"[partitions]\" can't be used with option \"[list]\""#,
            ),
            (
                format!("{B} --list --if-exists"),
                r#"Option \"[if-exists]\" can't be used with option \"[list]\""#,
            ),
            (
                format!("{B} --create --topic x --replica-assignment 0 --partitions 3"),
                r#"Option \"[replica-assignment]\" can't be used with option \"[partitions]\""#,
            ),
            (
                format!("{B} --alter --topic x --config a=b"),
                r#"Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\""#,
            ),
            (
                format!("{B} --describe --under-replicated-partitions --topics-with-overrides"),
                r#"Option \"[under-replicated-partitions]\" can't be used with option \"[topics-with-overrides]\""#,
            ),
            (
                format!("{B} --zookeeper x:1 --list"),
                "Only one of --bootstrap-server or --zookeeper must be specified",
            ),
            (
                "--zookeeper x:1 --create --topic x".to_owned(),
                r#"Missing required argument \"[partitions]\""#,
            ),
        ];
        for (line, words) in cases {
            let said = refusal(&line);
            assert!(said.contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn assignments() {
        assert_eq!(parse_assignment("0:1,1:2").unwrap(), [[0, 1], [1, 2]]);
        let text = |written| parse_assignment(written).unwrap_err().to_string();
        assert_eq!(
            text("0:0"),
            "Partition replica lists may not contain duplicate entries: 0"
        );
        assert_eq!(
            text("0,1:2"),
            "Partition 1 has different replication factor: [1, 2]"
        );
        assert_eq!(text("a"), "For input string: \"a\"");
    }

    #[test]
    fn settings_need_a_value() {
        let line = format!("{B} --create --topic x --config a=b --config c = ");
        let arguments = parse(&line).unwrap().unwrap();
        assert!(arguments.configs().is_err());
        let line = format!("{B} --create --topic x --config a=b --config c=d");
        let arguments = parse(&line).unwrap().unwrap();
        assert_eq!(
            arguments.configs().unwrap(),
            [("a".into(), "b".into()), ("c".into(), "d".into())]
        );
        assert_eq!(arguments.action, Action::Create);
    }

    #[test]
    fn topics_are_chosen_by_pattern() {
        let all = || {
            ["__consumer_offsets", "a", "ab"].map(|name| (name.to_owned(), name.starts_with("__")))
        };
        let chosen = |line: String| parse(&line).unwrap().unwrap().chosen(all()).unwrap();
        assert_eq!(
            chosen(format!("{B} --list")),
            ["__consumer_offsets", "a", "ab"]
        );
        assert_eq!(
            chosen(format!("{B} --list --exclude-internal")),
            ["a", "ab"]
        );
        assert_eq!(chosen(format!("{B} --list --topic a.*")), ["a", "ab"]);
        assert_eq!(chosen(format!("{B} --list --topic a")), ["a"]);
    }
}
