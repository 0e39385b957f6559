//! OffsetFetch: how far a group has come; from version 8 on several groups.

use futures::future::join_all;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName as WireTopicName,
};

use super::error;
use super::group_wire::{ByTopic, GroupRequestContext, owned};
use super::wire::text;
use crate::group::{CommittedOffset, Error, FetchRequest, Handle};
use crate::model::{TopicName, TopicPartition};

/// From this version on an error of the group has its own field.
const VERSION_GROUP_ERROR: i16 = 2;
/// From this version on a request carries several groups.
const VERSION_BATCH: i16 = 8;

/// What one group is asked for; `None` asks for everything.
type Wanted = Option<Vec<(WireTopicName, Vec<i32>)>>;
/// What one group answers.
type Found = ByTopic<Result<Option<CommittedOffset>, Error>>;

/// Answers at once.
pub(crate) async fn handle(
    groups: &Handle,
    ctx: &GroupRequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if ctx.api_version < VERSION_BATCH {
        let wanted = request.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        let found = fetch(groups, &request.group_id, &wanted, request.require_stable).await;
        return response_of_one(ctx.api_version, wanted, found);
    }
    let require_stable = request.require_stable;
    let answers = request.groups.into_iter().map(|asked| async move {
        let wanted = asked.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        let found = fetch(groups, &asked.group_id, &wanted, require_stable).await;
        response_group(asked.group_id, found)
    });
    OffsetFetchResponse::default().with_groups(join_all(answers).await)
}

async fn fetch(
    groups: &Handle,
    group_id: &GroupId,
    wanted: &Wanted,
    require_stable: bool,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let partitions = wanted
        .as_ref()
        .map(|topics| legal_partitions(topics, &mut found));
    let group_id = owned(group_id);
    let request = FetchRequest {
        group_id,
        partitions,
        require_stable,
    };
    for (partition, offset) in groups.fetch(request).await? {
        found.push_partition(&partition, offset);
    }
    Ok(found)
}

/// The partitions that can have offsets. A name that no topic can have is
/// answered like one that has none.
fn legal_partitions(
    topics: &[(WireTopicName, Vec<i32>)],
    found: &mut Found,
) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for (name, indexes) in topics {
        match TopicName::new(name.as_str()) {
            Ok(topic) => {
                let of_topic = indexes.iter();
                partitions.extend(of_topic.map(|index| TopicPartition::new(topic.clone(), *index)));
            }
            Err(_) => {
                for index in indexes {
                    found.push(name.clone(), *index, Ok(None));
                }
            }
        }
    }
    partitions
}

/// An offset as the wire tells it; -1 where there is none.
struct Told {
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error_code: i16,
}

impl Told {
    fn nothing(error_code: i16) -> Self {
        Self {
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
            error_code,
        }
    }

    fn of(found: Result<Option<CommittedOffset>, Error>) -> Self {
        match found {
            Ok(None) => Self::nothing(0),
            Err(error) => Self::nothing(error::group(error)),
            Ok(Some(committed)) => Self {
                offset: committed.offset,
                leader_epoch: committed.leader_epoch.unwrap_or(-1),
                metadata: committed.metadata,
                error_code: 0,
            },
        }
    }
}

fn response_of_one(
    version: i16,
    wanted: Wanted,
    found: Result<Found, Error>,
) -> OffsetFetchResponse {
    match found {
        Ok(found) => {
            let topics = found.into_topics().map(|(name, partitions)| {
                let told = partitions
                    .into_iter()
                    .map(|(index, found)| (index, Told::of(found)));
                topic_of_one(name, told)
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        Err(error) if version >= VERSION_GROUP_ERROR => {
            OffsetFetchResponse::default().with_error_code(error::group(error))
        }
        Err(error) => {
            let code = error::group(error);
            let topics = wanted
                .unwrap_or_default()
                .into_iter()
                .map(|(name, indexes)| {
                    topic_of_one(
                        name,
                        indexes
                            .into_iter()
                            .map(|index| (index, Told::nothing(code))),
                    )
                });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
    }
}

fn topic_of_one(
    name: WireTopicName,
    partitions: impl Iterator<Item = (i32, Told)>,
) -> OffsetFetchResponseTopic {
    let partition = |(index, told): (i32, Told)| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(told.offset)
            .with_committed_leader_epoch(told.leader_epoch)
            .with_metadata(Some(text(told.metadata)))
            .with_error_code(told.error_code)
    };
    OffsetFetchResponseTopic::default()
        .with_name(name)
        .with_partitions(partitions.map(partition).collect())
}

fn response_group(group_id: GroupId, found: Result<Found, Error>) -> OffsetFetchResponseGroup {
    let group = OffsetFetchResponseGroup::default().with_group_id(group_id);
    let found = match found {
        Ok(found) => found,
        Err(error) => return group.with_error_code(error::group(error)),
    };
    let partition = |(index, found)| {
        let told = Told::of(found);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(told.offset)
            .with_committed_leader_epoch(told.leader_epoch)
            .with_metadata(Some(text(told.metadata)))
            .with_error_code(told.error_code)
    };
    let topics = found.into_topics().map(|(name, partitions)| {
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    group.with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn round_trip(version: i16, response: &OffsetFetchResponse) -> OffsetFetchResponse {
        let mut bytes = BytesMut::new();
        response.encode(&mut bytes, version).unwrap();
        OffsetFetchResponse::decode(&mut bytes.freeze(), version).unwrap()
    }

    fn found() -> Found {
        let mut found = Found::default();
        let committed = CommittedOffset {
            offset: 42,
            leader_epoch: Some(7),
            metadata: "m".into(),
        };
        found.push(WireTopicName(text("t")), 0, Ok(Some(committed)));
        found.push(WireTopicName(text("t")), 1, Ok(None));
        found.push(
            WireTopicName(text("t")),
            2,
            Err(Error::UnstableOffsetCommit),
        );
        found
    }

    #[test]
    fn every_version_can_be_encoded() {
        for version in 1..VERSION_BATCH {
            let read = round_trip(version, &response_of_one(version, None, Ok(found())));
            let told: Vec<_> = (read.topics[0].partitions.iter())
                .map(|p| (p.committed_offset, p.error_code))
                .collect();
            assert_eq!(told, [(42, 0), (-1, 0), (-1, 88)], "version {version}");
            let epoch = read.topics[0].partitions[0].committed_leader_epoch;
            assert_eq!(epoch, if version >= 5 { 7 } else { -1 });
        }
        for version in VERSION_BATCH..=9 {
            let group = response_group(GroupId(text("g")), Ok(found()));
            let read = round_trip(
                version,
                &OffsetFetchResponse::default().with_groups(vec![group]),
            );
            let partition = &read.groups[0].topics[0].partitions[0];
            assert_eq!(
                (partition.committed_offset, partition.committed_leader_epoch),
                (42, 7)
            );
        }
    }

    #[test]
    fn an_error_of_the_group_is_where_the_version_looks_for_it() {
        let wanted = || Some(vec![(WireTopicName(text("t")), vec![4])]);
        let refused = || Err(Error::NotCoordinator);
        let old = round_trip(1, &response_of_one(1, wanted(), refused()));
        assert_eq!(old.topics[0].partitions[0].error_code, 16);
        for version in VERSION_GROUP_ERROR..VERSION_BATCH {
            let read = round_trip(version, &response_of_one(version, wanted(), refused()));
            assert_eq!((read.error_code, read.topics.len()), (16, 0));
        }
        let group = response_group(GroupId(text("g")), refused());
        let read = round_trip(8, &OffsetFetchResponse::default().with_groups(vec![group]));
        assert_eq!(read.groups[0].error_code, 16);
    }
}
