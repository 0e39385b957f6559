//! What administrators ask about groups.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::join_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, LeaveGroupRequest, ListGroupsRequest,
    OffsetDeleteRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::consumer::{Committer, TopicPartition};
use super::metadata::{AutoCreate, Topics, wire_name};
use super::{Client, Endpoint, Error, Lane};

/// Why a member left that an administrator removed (KIP-800).
const REMOVED: &str = "member was removed by an admin";

/// A group as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupListing {
    pub(crate) id: String,
    pub(crate) state: String,
    /// `Classic`, `Consumer`, or `Unknown` when the broker does not tell.
    pub(crate) kind: String,
}

/// A member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: String,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) assignment: Bytes,
}

/// A group as its coordinator knows it.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) coordinator: Endpoint,
    pub(crate) state: String,
    pub(crate) assignor: String,
    pub(crate) members: Vec<Member>,
}

impl Client {
    /// The groups of all brokers, by id.
    pub(crate) async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        self.retrying("listConsumerGroups", async || {
            self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
            let brokers = self.brokers();
            let asked = brokers.iter().map(|broker| {
                let request = |_| ListGroupsRequest::default();
                self.call(&broker.endpoint, Lane::Control, request)
            });
            let mut groups = BTreeMap::new();
            for answer in join_all(asked).await {
                let answer = answer?;
                Error::check(answer.error_code, None)?;
                for group in answer.groups {
                    let is_consumers = ["consumer", ""].contains(&group.protocol_type.as_str());
                    if is_consumers {
                        let kind = match group.group_type.to_lowercase().as_str() {
                            "classic" => "Classic",
                            "consumer" => "Consumer",
                            "share" => "Share",
                            _ => "Unknown",
                        };
                        let listing = GroupListing {
                            id: group.group_id.0.to_string(),
                            state: group.group_state.to_string(),
                            kind: kind.to_owned(),
                        };
                        groups.insert(listing.id.clone(), listing);
                    }
                }
            }
            Ok(groups.into_values().collect())
        })
        .await
    }

    /// A group, from its coordinator; one that is not there is in the state "Dead".
    pub(crate) async fn describe_group(&self, id: &str) -> Result<Group, Error> {
        self.retrying("describeConsumerGroups", async || {
            let coordinator = self.find_coordinator(id).await?;
            let group_id = GroupId(StrBytes::from_string(id.to_owned()));
            let request = |_| DescribeGroupsRequest::default().with_groups(vec![group_id]);
            let answer = self.call(&coordinator, Lane::Control, request).await?;
            let missing = || Error::Server {
                code: ResponseError::GroupIdNotFound.code(),
                message: None,
            };
            let mut group = answer.groups.into_iter().next().ok_or_else(missing)?;
            if group.error_code == ResponseError::GroupIdNotFound.code() {
                // So brokers say from version 6 on what was a state before.
                group.group_state = StrBytes::from_static_str("Dead");
            } else {
                Error::check(group.error_code, group.error_message.as_deref())?;
            }
            let members = group
                .members
                .into_iter()
                .map(|member| Member {
                    id: member.member_id.to_string(),
                    instance_id: member
                        .group_instance_id
                        .map(|id| id.to_string())
                        .unwrap_or_default(),
                    client_id: member.client_id.to_string(),
                    host: member.client_host.to_string(),
                    assignment: member.member_assignment,
                })
                .collect();
            Ok(Group {
                coordinator,
                state: group.group_state.to_string(),
                assignor: group.protocol_data.to_string(),
                members,
            })
        })
        .await
    }

    /// Everything that a group has committed.
    pub(crate) async fn all_committed(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        self.retrying("listConsumerGroupOffsets", async || {
            let coordinator = self.find_coordinator(group).await?;
            self.committed(&coordinator, group, None).await
        })
        .await
    }

    /// Commits offsets for a group that has no members.
    pub(crate) async fn alter_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), Error> {
        self.retrying("alterConsumerGroupOffsets", async || {
            let coordinator = self.find_coordinator(group).await?;
            self.commit(&coordinator, Committer::nobody(group), offsets.clone())
                .await
        })
        .await
    }

    /// Forgets a group and all it has committed.
    pub(crate) async fn delete_group(&self, group: &str) -> Result<(), Error> {
        self.retrying("deleteConsumerGroups", async || {
            let coordinator = self.find_coordinator(group).await?;
            let id = GroupId(StrBytes::from_string(group.to_owned()));
            let request = |_| DeleteGroupsRequest::default().with_groups_names(vec![id]);
            let answer = self.call(&coordinator, Lane::Control, request).await?;
            let mut results = answer.results.iter();
            results.try_for_each(|result| Error::check(result.error_code, None))
        })
        .await
    }

    /// Makes members leave their group, static ones too.
    pub(crate) async fn remove_members(
        &self,
        group: &str,
        members: &[Member],
    ) -> Result<(), Error> {
        let named = |member: &Member| {
            let text = |text: &str| StrBytes::from_string(text.to_owned());
            let identity = MemberIdentity::default();
            match member.instance_id.as_str() {
                "" => identity.with_member_id(text(&member.id)),
                instance => identity.with_group_instance_id(Some(text(instance))),
            }
        };
        self.retrying("removeMembersFromConsumerGroup", async || {
            let coordinator = self.find_coordinator(group).await?;
            let id = GroupId(StrBytes::from_string(group.to_owned()));
            let request = |version| {
                let reason = StrBytes::from_static_str(REMOVED);
                let reason = Some(reason).filter(|_| version >= 5);
                let members = members.iter().map(named);
                let members = members.map(|member| member.with_reason(reason.clone()));
                LeaveGroupRequest::default()
                    .with_group_id(id)
                    .with_members(members.collect())
            };
            let answer = self.call(&coordinator, Lane::Control, request).await?;
            Error::check(answer.error_code, None)?;
            let mut members = answer.members.iter();
            members.try_for_each(|member| Error::check(member.error_code, None))
        })
        .await
    }

    /// Forgets what a group has committed of some partitions; why not, of each.
    pub(crate) async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Result<(), Error>>, Error> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, partition) in partitions {
            let partition =
                OffsetDeleteRequestPartition::default().with_partition_index(*partition);
            topics.entry(topic).or_default().push(partition);
        }
        self.retrying("deleteConsumerGroupOffsets", async || {
            let coordinator = self.find_coordinator(group).await?;
            let topics = topics.iter().map(|(topic, partitions)| {
                OffsetDeleteRequestTopic::default()
                    .with_name(wire_name(topic))
                    .with_partitions(partitions.clone())
            });
            let id = GroupId(StrBytes::from_string(group.to_owned()));
            let request = |_| {
                OffsetDeleteRequest::default()
                    .with_group_id(id)
                    .with_topics(topics.collect())
            };
            let answer = self.call(&coordinator, Lane::Control, request).await?;
            Error::check(answer.error_code, None)?;
            let mut results = BTreeMap::new();
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let at = (topic.name.0.to_string(), partition.partition_index);
                    results.insert(at, Error::check(partition.error_code, None));
                }
            }
            Ok(results)
        })
        .await
    }
}
