//! Committed offsets: read and write those of a group.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;

use super::TopicPartition;
use crate::client::metadata::wire_name;
use crate::client::{Client, Endpoint, Error, Lane};

/// Who commits: a member of a generation.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    pub(super) group_id: GroupId,
    pub(super) member_id: String,
    pub(super) generation: i32,
    pub(super) instance_id: Option<StrBytes>,
}

impl Committer {
    /// Somebody who is no member, for groups that have none.
    pub(crate) fn nobody(group: &str) -> Self {
        Self {
            group_id: GroupId(StrBytes::from_string(group.to_owned())),
            member_id: String::new(),
            generation: -1,
            instance_id: None,
        }
    }
}

fn by_topic<T: Copy>(
    partitions: impl IntoIterator<Item = (TopicPartition, T)>,
) -> BTreeMap<String, Vec<(i32, T)>> {
    let mut topics: BTreeMap<String, Vec<(i32, T)>> = BTreeMap::new();
    for ((topic, partition), value) in partitions {
        topics.entry(topic).or_default().push((partition, value));
    }
    topics
}

impl Client {
    /// The committed offsets among `partitions`, or all of the group's.
    pub(crate) async fn committed(
        &self,
        coordinator: &Endpoint,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        let group_id = GroupId(StrBytes::from_string(group.to_owned()));
        let wanted =
            partitions.map(|partitions| by_topic(partitions.iter().cloned().map(|at| (at, ()))));
        let indexes = |list: &[(i32, ())]| list.iter().map(|(index, ())| *index).collect();
        let build = |version| {
            let request = OffsetFetchRequest::default().with_require_stable(version >= 7);
            if version >= 8 {
                let topics = wanted.as_ref().map(|wanted| {
                    wanted
                        .iter()
                        .map(|(topic, list)| {
                            OffsetFetchRequestTopics::default()
                                .with_name(wire_name(topic))
                                .with_partition_indexes(indexes(list))
                        })
                        .collect()
                });
                let group = OffsetFetchRequestGroup::default()
                    .with_group_id(group_id)
                    .with_member_id(None)
                    .with_topics(topics);
                return request.with_groups(vec![group]);
            }
            let topics = wanted.as_ref().map(|wanted| {
                wanted
                    .iter()
                    .map(|(topic, list)| {
                        OffsetFetchRequestTopic::default()
                            .with_name(wire_name(topic))
                            .with_partition_indexes(indexes(list))
                    })
                    .collect()
            });
            request.with_group_id(group_id).with_topics(topics)
        };
        let answer = self.call(coordinator, Lane::Group, build).await?;
        Error::check(answer.error_code, None)?;
        let mut committed = BTreeMap::new();
        let mut keep = |topic: &str, partition: i32, offset: i64, code: i16| {
            Error::check(code, None)?;
            if offset >= 0 {
                committed.insert((topic.to_owned(), partition), offset);
            }
            Ok::<_, Error>(())
        };
        for group in &answer.groups {
            Error::check(group.error_code, None)?;
            for topic in &group.topics {
                for at in &topic.partitions {
                    keep(
                        &topic.name.0,
                        at.partition_index,
                        at.committed_offset,
                        at.error_code,
                    )?;
                }
            }
        }
        for topic in &answer.topics {
            for at in &topic.partitions {
                keep(
                    &topic.name.0,
                    at.partition_index,
                    at.committed_offset,
                    at.error_code,
                )?;
            }
        }
        Ok(committed)
    }

    /// Commits offsets as `committer`.
    pub(crate) async fn commit(
        &self,
        coordinator: &Endpoint,
        committer: Committer,
        offsets: BTreeMap<TopicPartition, i64>,
    ) -> Result<(), Error> {
        let topics = by_topic(offsets)
            .into_iter()
            .map(|(topic, partitions)| {
                let partitions = partitions
                    .into_iter()
                    .map(|(partition, offset)| {
                        OffsetCommitRequestPartition::default()
                            .with_partition_index(partition)
                            .with_committed_offset(offset)
                            .with_committed_metadata(Some(StrBytes::new()))
                    })
                    .collect();
                OffsetCommitRequestTopic::default()
                    .with_name(wire_name(&topic))
                    .with_partitions(partitions)
            })
            .collect();
        let answer = self
            .call(coordinator, Lane::Group, |version| {
                OffsetCommitRequest::default()
                    .with_group_id(committer.group_id)
                    .with_group_instance_id(committer.instance_id.filter(|_| version >= 7))
                    .with_member_id(StrBytes::from_string(committer.member_id))
                    .with_generation_id_or_member_epoch(committer.generation)
                    .with_topics(topics)
            })
            .await?;
        answer
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .try_for_each(|partition| Error::check(partition.error_code, None))
    }
}
