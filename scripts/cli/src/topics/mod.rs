//! `kafka topics`: creates, lists, describes, alters and deletes topics.
//!
//! Flow: `arguments` checks the command line → `brokers` (`--bootstrap-server`)
//! or `zookeeper` (`--zookeeper`, as in Kafka before 3.0) does the work →
//! `description` prints.
//!
//! **Invariant:** both ways print through `description`, so they cannot differ
//! in more than what the two generations of Kafka's tool differ in.

mod arguments;
mod brokers;
mod description;
mod topic_configs;
mod zookeeper;

use crate::console;
use crate::failure::{Failure, Outcome};
use crate::runtime;
use arguments::{Arguments, Way};

pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(arguments) = Arguments::parse(words)? else {
        return Ok(());
    };
    runtime::block_on(async {
        let done = match &arguments.way {
            Way::Brokers(settings) => brokers::run(&arguments, settings).await,
            Way::ZooKeeper(connect) => zookeeper::run(&arguments, connect).await,
        };
        done.map_err(|error| {
            console::say(format_args!(
                "Error while executing topic command : {error}"
            ));
            console::error(error.logged(), "org.apache.kafka.tools.TopicCommand");
            Failure::told()
        })
    })
}

/// What a topic command fails with once its command line was accepted.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    #[error(transparent)]
    Settings(#[from] crate::client::config::Error),
    #[error(transparent)]
    Options(#[from] crate::options::Error),
    #[error(transparent)]
    ZooKeeper(#[from] zookeeper::Error),
    #[error("{0}")]
    Refused(String),
    #[error("Topic '{0}' does not exist as expected")]
    NoTopic(String),
    #[error("TopicId '{0}' does not exist as expected")]
    NoTopicId(String),
}

impl Error {
    /// The text with the class that Kafka's tool logs.
    fn logged(&self) -> String {
        let class = match self {
            Self::Client(error) => error.class(),
            Self::Settings(_) => "org.apache.kafka.common.config.ConfigException".to_owned(),
            Self::Options(_) => "joptsimple.OptionArgumentConversionException".to_owned(),
            Self::ZooKeeper(error) => error.class().to_owned(),
            Self::Refused(_) | Self::NoTopic(_) | Self::NoTopicId(_) => {
                "java.lang.IllegalArgumentException".to_owned()
            }
        };
        format!("{class}: {self}\n")
    }
}

/// Tells that a name may collide with another one in metrics.
fn warn_of_collision(topic: &str) {
    if topic.contains(['.', '_']) {
        console::say(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.",
        );
    }
}
