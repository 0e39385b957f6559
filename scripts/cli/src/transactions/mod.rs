//! `kafka transactions`: what becomes of transactions, and the end of those that
//! nobody else will end (KIP-664).
//!
//! Flow: the first word that is no option is the command; `arguments` says which
//! options it knows, and each command has a function here or in `hanging`.

mod arguments;
mod hanging;

use kafka_protocol::error::ResponseError;

use crate::client::consumer::TopicPartition;
use crate::client::transactions::Abort;
use crate::client::{Client, Error};
use crate::failure::{Failure, Outcome};
use crate::options::Options;
use crate::{admin, console, runtime};
use arguments::{Command, Given};

pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(given) = arguments::read(words)? else {
        return Ok(());
    };
    let Given { command, options } = given;
    let client = admin::client(&options, "command-config").map_err(Failure::new)?;
    runtime::block_on(async {
        match command {
            Command::List => list(&client, &options).await,
            Command::Describe => describe(&client, &options).await,
            Command::DescribeProducers => describe_producers(&client, &options).await,
            Command::Abort => abort(&client, &options).await,
            Command::FindHanging => hanging::find(&client, &options).await,
        }
    })
}

/// An error in the words of Kafka's tool.
fn failed(what: &str, error: &Error) -> Failure {
    Failure::new(format!(
        "{what}: {error}. Enable debug logging for additional detail."
    ))
}

async fn list(client: &Client, options: &Options) -> Outcome {
    let duration = number(options.i64("duration-filter"))?.unwrap_or(-1);
    let listed = client.list_transactions(duration, &[]).await;
    let listed = listed.map_err(|error| failed("Failed to list transactions", &error))?;
    let mut rows = Vec::new();
    for (coordinator, listings) in listed {
        for listing in listings {
            rows.push(vec![
                listing.transactional_id.to_string(),
                coordinator.to_string(),
                listing.producer_id.0.to_string(),
                listing.transaction_state.to_string(),
            ]);
        }
    }
    print_table(
        &[
            "TransactionalId",
            "Coordinator",
            "ProducerId",
            "TransactionState",
        ],
        &rows,
    );
    Ok(())
}

async fn describe(client: &Client, options: &Options) -> Outcome {
    let id = options.text("transactional-id").unwrap_or_default();
    let described = client.describe_transaction(id).await;
    let (coordinator, state) = described.map_err(|error| {
        let what = format!("Failed to describe transaction state of transactional-id `{id}`");
        match error.is(ResponseError::TransactionalIdNotFound) {
            true => Failure::new(format!(
                "{what}: DescribeTransactions request for transactionalId `{id}` failed because the ID could not be found. Enable debug logging for additional detail."
            )),
            false => failed(&what, &error),
        }
    })?;
    let started_ms = state.transaction_start_time_ms;
    let (started, duration) = match started_ms < 0 {
        true => ("None".to_owned(), "None".to_owned()),
        false => {
            let duration = client.wall_ms() - started_ms;
            (started_ms.to_string(), duration.to_string())
        }
    };
    let partitions = state.topics.iter().flat_map(|topic| {
        let name = topic.topic.0.to_string();
        let partitions = topic.partitions.iter();
        partitions.map(move |partition| format!("{name}-{partition}"))
    });
    let row = vec![
        coordinator.to_string(),
        id.to_owned(),
        state.producer_id.0.to_string(),
        state.producer_epoch.to_string(),
        state.transaction_state.to_string(),
        state.transaction_timeout_ms.to_string(),
        started,
        duration,
        partitions.collect::<Vec<_>>().join(","),
    ];
    print_table(
        &[
            "CoordinatorId",
            "TransactionalId",
            "ProducerId",
            "ProducerEpoch",
            "TransactionState",
            "TransactionTimeoutMs",
            "CurrentTransactionStartTimeMs",
            "TransactionDurationMs",
            "TopicPartitions",
        ],
        &[row],
    );
    Ok(())
}

async fn describe_producers(client: &Client, options: &Options) -> Outcome {
    let broker = number(options.i32("broker-id"))?;
    let at = partition(options)?;
    let described = client.describe_producers(&at, broker).await;
    let producers = described.map_err(|error| {
        let asked = broker.map_or_else(|| "leader".to_owned(), |id| format!("broker {id}"));
        let what = format!(
            "Failed to describe producers for partition {}-{} on {asked}",
            at.0, at.1
        );
        failed(&what, &error)
    })?;
    let rows: Vec<Vec<String>> = producers
        .iter()
        .map(|producer| {
            let open = producer.current_txn_start_offset;
            vec![
                producer.producer_id.0.to_string(),
                producer.producer_epoch.to_string(),
                producer.coordinator_epoch.to_string(),
                producer.last_sequence.to_string(),
                producer.last_timestamp.to_string(),
                if open < 0 {
                    "None".to_owned()
                } else {
                    open.to_string()
                },
            ]
        })
        .collect();
    print_table(
        &[
            "ProducerId",
            "ProducerEpoch",
            "LatestCoordinatorEpoch",
            "LastSequence",
            "LastTimestamp",
            "CurrentTransactionStartOffset",
        ],
        &rows,
    );
    Ok(())
}

async fn abort(client: &Client, options: &Options) -> Outcome {
    let at = partition(options)?;
    let abort = match number(options.i64("start-offset"))? {
        Some(offset) => transaction_at(client, &at, offset).await?,
        None => transaction_of(options)?,
    };
    let aborted = client.abort_transaction(&at, abort).await;
    aborted.map_err(|error| {
        let what = format!(
            "Failed to abort transaction AbortTransactionSpec(topicPartition={}-{}, producerId={}, producerEpoch={}, coordinatorEpoch={})",
            at.0, at.1, abort.producer_id, abort.producer_epoch, abort.coordinator_epoch
        );
        failed(&what, &error)
    })
}

/// The open transaction of a partition that begins at `offset`.
async fn transaction_at(
    client: &Client,
    at: &TopicPartition,
    offset: i64,
) -> Result<Abort, Failure> {
    let name = format!("{}-{}", at.0, at.1);
    let producers = client.describe_producers(at, None).await;
    let producers = producers.map_err(|error| {
        let what = format!("Failed to validate producer state for partition {name}");
        failed(&what, &error)
    })?;
    let mut producers = producers.iter();
    let found = producers.find(|producer| producer.current_txn_start_offset == offset);
    let Some(found) = found else {
        return Err(Failure::new(format!(
            "Could not find any open transactions starting at offset {offset} on partition {name}"
        )));
    };
    Ok(Abort {
        producer_id: found.producer_id.0,
        producer_epoch: i16::try_from(found.producer_epoch).unwrap_or(-1),
        coordinator_epoch: found.coordinator_epoch.max(0),
    })
}

/// The transaction that older brokers cannot tell of.
fn transaction_of(options: &Options) -> Result<Abort, Failure> {
    let Some(producer_id) = number(options.i64("producer-id"))? else {
        return Err(Failure::new(
            "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
        ));
    };
    let missing = |name| Failure::new(format!("Missing required argument --{name}"));
    let epoch = number(options.i32("producer-epoch"))?.ok_or_else(|| missing("producer-epoch"))?;
    let coordinator_epoch = number(options.i32("coordinator-epoch"))?;
    Ok(Abort {
        producer_id,
        producer_epoch: i16::try_from(epoch).unwrap_or(-1),
        // Without an end yet, a producer's is -1: 0 is not above any real one.
        coordinator_epoch: coordinator_epoch
            .ok_or_else(|| missing("coordinator-epoch"))?
            .max(0),
    })
}

fn partition(options: &Options) -> Result<TopicPartition, Failure> {
    let topic = options.text("topic").unwrap_or_default().to_owned();
    let partition = number(options.i32("partition"))?.unwrap_or_default();
    Ok((topic, partition))
}

fn number<T>(read: Result<T, crate::options::Error>) -> Result<T, Failure> {
    read.map_err(|error| match error {
        crate::options::Error::Unparsable { name, value } => {
            arguments::refused(&format!("argument --{name}: could not convert '{value}'"))
        }
        other => arguments::refused(&other.to_string()),
    })
}

/// Columns are as wide as their widest field, and a tab ends each.
fn print_table(headers: &[&str], rows: &[Vec<String>]) {
    console::print(format_args!("{}", table(headers, rows)));
}

fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let count = |text: &str| text.chars().count();
    let width = |(column, header): (usize, &&str)| {
        let fields = rows.iter().filter_map(|row| row.get(column));
        fields
            .map(|field| count(field))
            .chain([count(header)])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = headers.iter().enumerate().map(width).collect();
    let line = |fields: &mut dyn Iterator<Item = &str>| {
        let padded = fields.zip(&widths);
        let padded = padded.map(|(field, width)| format!("{field:<width$}\t"));
        padded.collect::<String>() + "\n"
    };
    let mut text = line(&mut headers.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_fields() {
        let row = |fields: [&str; 2]| fields.map(str::to_owned).to_vec();
        let rows = [row(["a-long-one", "1"]), row(["b", "22222"])];
        assert_eq!(
            table(&["Id", "State"], &rows),
            "Id        \tState\t\na-long-one\t1    \t\nb         \t22222\t\n"
        );
        assert_eq!(table(&["Id"], &[]), "Id\t\n");
    }
}
