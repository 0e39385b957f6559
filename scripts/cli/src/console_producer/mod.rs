//! `kafka console-producer`: each line of standard input becomes a record.
//!
//! Flow: a thread reads lines → `reader` makes records → the client's producer
//! sends them → failures are told on standard error, as Kafka's tool does, and
//! the tool goes on.

mod arguments;
mod input;
mod reader;

use bytes::Bytes;

use crate::client::Client;
use crate::client::producer::{Failed, Producer};
use crate::failure::{Failure, Outcome};
use crate::{console, runtime};
use arguments::Arguments;
use input::Line;
use reader::LineReader;

const CALLBACK: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";
/// The exit code of a shell's child that an interrupt ended.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(arguments) = Arguments::parse(words)? else {
        return Ok(());
    };
    runtime::block_on(produce(arguments))
}

async fn produce(arguments: Arguments) -> Outcome {
    let client = Client::new(arguments.config);
    let mut producer = Producer::new(client, arguments.producer, &arguments.topic);
    let mut lines = input::lines();
    let mut number = 0;
    let ended = loop {
        let due = producer.flush_in();
        let next = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => break Err(Failure::silent(INTERRUPTED)),
            line = lines.recv() => line,
            () = sleep_if(due) => {
                tell(&arguments.topic, &producer.flush().await);
                continue;
            }
        };
        let line = match next {
            Some(Line::Text(line)) => line,
            Some(Line::Unreadable(error)) => break Err(Failure::new(error)),
            None => break Ok(()),
        };
        number += 1;
        match accept(&mut producer, &arguments.reader, &line, number).await {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => tell(&arguments.topic, &lost),
            Err(error) => {
                break Err(Failure::new(format!(
                    "org.apache.kafka.common.KafkaException: {error}"
                )));
            }
        }
        if arguments.is_synchronous
            && let Some(lost) = producer.flush().await.first()
        {
            break Err(Failure::new(format!(
                "java.util.concurrent.ExecutionException: {}: {}",
                lost.class, lost.reason
            )));
        }
    };
    tell(&arguments.topic, &producer.flush().await);
    ended
}

async fn accept(
    producer: &mut Producer,
    reader: &LineReader,
    line: &str,
    number: usize,
) -> Result<Vec<Failed>, String> {
    Ok(producer.send(reader.record(line, number)?).await)
}

async fn sleep_if(due: Option<std::time::Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

fn tell(topic: &str, lost: &[Failed]) {
    for record in lost {
        let size = |bytes: &Option<Bytes>| match bytes {
            Some(bytes) => format!("{} bytes", bytes.len()),
            None => "null".to_owned(),
        };
        console::error(
            format_args!(
                "Error when sending message to topic {topic} with key: {}, value: {} with error:",
                size(&record.key),
                size(&record.value)
            ),
            CALLBACK,
        );
        console::complain(format_args!("{}: {}", record.class, record.reason));
    }
}
