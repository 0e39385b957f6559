//! `find-hanging`: transactions that are open in a partition, while no coordinator
//! knows that it is to end them.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::describe_transactions_response::TransactionState;

use super::{failed, number, print_table};
use crate::client::consumer::TopicPartition;
use crate::client::{Client, Error};
use crate::failure::{Failure, Outcome};
use crate::options::Options;

const MINUTE_MS: i64 = 60_000;

/// A transaction that is open in a partition for too long.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    at: TopicPartition,
    producer: ProducerState,
}

pub(super) async fn find(client: &Client, options: &Options) -> Outcome {
    let broker = number(options.i32("broker-id"))?;
    let topic = options.text("topic");
    let partition = number(options.i32("partition"))?;
    if topic.is_none() && broker.is_none() {
        return Err(Failure::new(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search",
        ));
    }
    if topic.is_none() && partition.is_some() {
        return Err(Failure::new(
            "The --partition argument requires --topic to be provided",
        ));
    }
    let minutes = number(options.i32("max-transaction-timeout"))?.unwrap_or(15);
    let searched = match (topic, partition) {
        (Some(topic), Some(partition)) => vec![(topic.to_owned(), partition)],
        _ => partitions(client, topic, broker).await?,
    };
    let longest_ms = i64::from(minutes) * MINUTE_MS;
    let open = open(client, &searched, broker, longest_ms).await?;
    let hanging = match open.is_empty() {
        true => Vec::new(),
        false => hanging(client, open).await?,
    };
    print(client.wall_ms(), &hanging);
    Ok(())
}

/// The partitions of the topic, or of all, that have a replica on the broker.
async fn partitions(
    client: &Client,
    topic: Option<&str>,
    broker: Option<i32>,
) -> Result<Vec<TopicPartition>, Failure> {
    let names = match topic {
        Some(topic) => vec![topic.to_owned()],
        None => {
            let listed = client.list_topics().await;
            let listed = listed.map_err(|error| failed("Failed to list topics", &error))?;
            listed.into_iter().map(|topic| topic.name).collect()
        }
    };
    let described = client.describe_topics(&names).await.map_err(|error| {
        let what = format!("Failed to describe {} topics", names.len());
        failed(&what, &error)
    })?;
    let mut found = Vec::new();
    for topic in described {
        for partition in topic.partitions {
            if broker.is_none_or(|broker| partition.replicas.contains(&broker)) {
                found.push((topic.name.clone(), partition.index));
            }
        }
    }
    Ok(found)
}

async fn open(
    client: &Client,
    searched: &[TopicPartition],
    broker: Option<i32>,
    longest_ms: i64,
) -> Result<Vec<Open>, Failure> {
    let mut open = Vec::new();
    for at in searched {
        let producers = client.describe_producers(at, broker).await;
        let producers = producers.map_err(|error| {
            let asked = broker.map_or_else(
                || "Optional.empty".to_owned(),
                |id| format!("Optional[{id}]"),
            );
            let count = searched.len();
            let what =
                format!("Failed to describe producers for {count} partitions on broker {asked}");
            failed(&what, &error)
        })?;
        let now_ms = client.wall_ms();
        let is_late = |producer: &ProducerState| {
            producer.current_txn_start_offset >= 0 && now_ms - producer.last_timestamp > longest_ms
        };
        let late = producers.into_iter().filter(is_late);
        open.extend(late.map(|producer| Open {
            at: at.clone(),
            producer,
        }));
    }
    Ok(open)
}

/// Those of them that no coordinator will end.
async fn hanging(client: &Client, open: Vec<Open>) -> Result<Vec<Open>, Failure> {
    let mut by_producer: BTreeMap<i64, Vec<Open>> = BTreeMap::new();
    for each in open {
        let id = each.producer.producer_id.0;
        by_producer.entry(id).or_default().push(each);
    }
    let producer_ids: Vec<i64> = by_producer.keys().copied().collect();
    let listed = client.list_transactions(-1, &producer_ids).await;
    let listed = listed.map_err(|error| {
        let what = format!(
            "Failed to list transactions for {} producers",
            producer_ids.len()
        );
        failed(&what, &error)
    })?;
    let mut known = HashMap::new();
    for listing in listed.into_values().flatten() {
        let id = listing.transactional_id.to_string();
        let described = match client.describe_transaction(&id).await {
            Ok((_, described)) => described,
            Err(error) if is_unknown(&error) => continue,
            Err(error) => return Err(failed("Failed to describe 1 transactions", &error)),
        };
        known.insert(listing.producer_id.0, described);
    }
    let is_hanging = |open: &Open| match known.get(&open.producer.producer_id.0) {
        Some(described) => !has_partition(described, &open.at),
        None => true,
    };
    let all = by_producer.into_values().flatten();
    Ok(all.filter(is_hanging).collect())
}

fn is_unknown(error: &Error) -> bool {
    error.is(ResponseError::TransactionalIdNotFound)
}

/// A coordinator that names the partition will end the transaction there.
fn has_partition(described: &TransactionState, (topic, partition): &TopicPartition) -> bool {
    described
        .topics
        .iter()
        .any(|named| named.topic.as_str() == topic.as_str() && named.partitions.contains(partition))
}

fn print(now_ms: i64, hanging: &[Open]) {
    let row = |Open { at, producer }: &Open| {
        vec![
            at.0.clone(),
            at.1.to_string(),
            producer.producer_id.0.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.to_string(),
            producer.current_txn_start_offset.to_string(),
            producer.last_timestamp.to_string(),
            ((now_ms - producer.last_timestamp) / MINUTE_MS).to_string(),
        ]
    };
    let rows: Vec<_> = hanging.iter().map(row).collect();
    print_table(
        &[
            "Topic",
            "Partition",
            "ProducerId",
            "ProducerEpoch",
            "CoordinatorEpoch",
            "StartOffset",
            "LastTimestamp",
            "Duration(min)",
        ],
        &rows,
    );
}
