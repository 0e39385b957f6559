//! Topics that appear, grow, or are to be deleted; notes from brokers.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;

use super::active::{Active, Result};
use super::context::Replica;
use super::election::Strategy;
use super::states::{PartitionState, ReplicaState};
use crate::model::{TopicName, TopicPartition};
use crate::registry::znode::{
    decode_isr_change, decode_log_dir_event, decode_preferred_election, path,
};
use crate::registry::{Error, FencedWrite, TopicAssignment, new_uuid};
use crate::zk::{self, ErrorCode};

impl Active {
    pub(super) async fn on_topics_changed(&mut self) -> Result<()> {
        let now = self.registry.topics(Some(&self.watcher)).await?;
        let now: BTreeSet<TopicName> = now.into_iter().collect();
        let is_gone = |name: &&TopicName| !now.contains(*name);
        let gone: Vec<TopicName> = self
            .context
            .topics
            .keys()
            .filter(is_gone)
            .cloned()
            .collect();
        for topic in &gone {
            self.context.remove_topic(topic);
        }
        let is_new = |name: &TopicName| !self.context.topics.contains_key(name);
        let new: Vec<TopicName> = now.into_iter().filter(is_new).collect();
        if !new.is_empty() || !gone.is_empty() {
            tracing::info!(?new, ?gone, "the topics changed");
        }
        let added = self.load_topics(&new).await?;
        self.create_partitions(added).await
    }

    /// Reads topics into the context, and gives an id to those without one.
    /// Returns the partitions that were not known.
    pub(super) async fn load_topics(
        &mut self,
        topics: &[TopicName],
    ) -> Result<Vec<TopicPartition>> {
        let assignments = self
            .registry
            .assignments(topics, Some(&self.watcher))
            .await?;
        let with_ids = join_all(assignments.into_iter().map(|(name, assignment)| async {
            let assignment = self.with_topic_id(&name, assignment).await?;
            Ok::<_, Error>((name, assignment))
        }));
        let with_ids = with_ids.await;
        let mut added = Vec::new();
        for loaded in with_ids {
            let (name, assignment) = loaded?;
            added.extend(self.context.add_topic(&name, assignment));
        }
        Ok(added)
    }

    async fn with_topic_id(
        &self,
        name: &TopicName,
        assignment: TopicAssignment,
    ) -> Result<TopicAssignment> {
        // A cluster of before there were ids keeps those that it finds.
        if assignment.topic_id.is_some() || !self.registry.version().has_topic_ids() {
            return Ok(assignment);
        }
        // Old tools write the node anew, without the id that the topic has.
        let known = self.context.topics.get(name).and_then(|topic| topic.id);
        let assignment = TopicAssignment {
            topic_id: Some(known.unwrap_or_else(new_uuid)),
            ..assignment
        };
        let write = FencedWrite::Set {
            path: path::topic(name),
            data: Bytes::from(assignment.encode()),
            version: zk::ANY_VERSION,
        };
        match self.registry.write_fenced(self.context.fence, &write).await {
            Ok(_) => Ok(assignment),
            // Deleted in between: the next event tells.
            Err(Error::Zk(error)) if error.is(ErrorCode::NoNode) => Ok(assignment),
            Err(error) => Err(error),
        }
    }

    /// Partitions that were never online, with or without a state on disk.
    async fn create_partitions(&mut self, partitions: Vec<TopicPartition>) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        for partition in &partitions {
            self.context.move_partition(partition, PartitionState::New);
        }
        let replicas = self.context.replicas_of(&partitions);
        self.move_replicas(replicas.clone(), ReplicaState::New)
            .await?;
        self.bring_online(partitions, Strategy::Offline).await?;
        self.move_replicas(replicas, ReplicaState::Online).await
    }

    pub(super) async fn on_topic_modified(&mut self, topic: &TopicName) -> Result<()> {
        let names = std::slice::from_ref(topic);
        if self.context.is_to_delete(topic) || !self.context.topics.contains_key(topic) {
            // Keeps the watch; a topic that is being deleted does not grow.
            self.registry
                .assignments(names, Some(&self.watcher))
                .await?;
            return Ok(());
        }
        let added = self.load_topics(names).await?;
        if !added.is_empty() {
            tracing::info!(%topic, added = added.len(), "partitions were added");
        }
        self.create_partitions(added).await
    }

    pub(super) async fn on_deletions_changed(&mut self) -> Result<()> {
        let asked = self.registry.topics_to_delete(Some(&self.watcher)).await?;
        let (known, unknown): (BTreeSet<_>, Vec<_>) = {
            let (known, unknown): (Vec<_>, Vec<_>) = asked
                .into_iter()
                .partition(|name| self.context.topics.contains_key(name));
            (known.into_iter().collect(), unknown)
        };
        let refused: Vec<TopicName> = if self.config.delete_topic_enable {
            unknown
        } else {
            unknown.into_iter().chain(known.iter().cloned()).collect()
        };
        for topic in refused {
            tracing::warn!(%topic, "ignoring the request to delete the topic");
            let marker = path::delete_topic(&topic);
            self.registry
                .delete_fenced(self.context.fence, marker)
                .await?;
        }
        if self.config.delete_topic_enable && !known.is_empty() {
            self.queue_deletions(known);
            self.resume_deletions().await?;
        }
        Ok(())
    }

    /// Leaders without AlterPartition wrote their ISR themselves.
    pub(super) async fn on_isr_notes(&mut self) -> Result<()> {
        let notes = self
            .registry
            .children(path::ISR_CHANGES, Some(&self.watcher))
            .await?;
        let mut partitions = BTreeSet::new();
        for data in self.read_notes(path::ISR_CHANGES, &notes).await? {
            match decode_isr_change(&data) {
                Ok(listed) => partitions.extend(listed),
                Err(error) => tracing::warn!(%error, "ignoring an ISR change note"),
            }
        }
        let partitions: Vec<TopicPartition> = partitions
            .into_iter()
            .filter(|p| self.context.partition(p).is_some())
            .collect();
        if !partitions.is_empty() {
            self.refresh_leadership(&partitions).await?;
            let all = self.context.broker_ids();
            self.send_metadata(&all, &partitions);
            self.maybe_complete_reassignments(&partitions).await?;
        }
        self.delete_notes(path::ISR_CHANGES, &notes).await
    }

    /// Brokers lost a log directory: LeaderAndIsr makes them say which replicas.
    pub(super) async fn on_log_dir_notes(&mut self) -> Result<()> {
        let notes = self
            .registry
            .children(path::LOG_DIR_EVENTS, Some(&self.watcher))
            .await?;
        let mut brokers = BTreeSet::new();
        for data in self.read_notes(path::LOG_DIR_EVENTS, &notes).await? {
            match decode_log_dir_event(&data) {
                Ok(broker) => {
                    brokers.insert(broker);
                }
                Err(error) => tracing::warn!(%error, "ignoring a log directory note"),
            }
        }
        let replicas: Vec<Replica> = self.context.replicas_on(&brokers);
        self.move_replicas(replicas, ReplicaState::Online).await?;
        self.delete_notes(path::LOG_DIR_EVENTS, &notes).await
    }

    async fn read_notes(&self, parent: &str, names: &[String]) -> Result<Vec<Bytes>> {
        let read = names.iter().map(|name| {
            let path = format!("{parent}/{name}");
            async move {
                let client = self.registry.client();
                client.retry(|| client.get_data(&path, None)).await
            }
        });
        let mut data = Vec::with_capacity(names.len());
        for note in join_all(read).await {
            data.extend(zk::optional(note)?.map(|(data, _)| data));
        }
        Ok(data)
    }

    pub(super) async fn delete_notes(&self, parent: &str, names: &[String]) -> Result<()> {
        let fence = self.context.fence;
        let deleted = names.iter().map(|name| {
            let path = format!("{parent}/{name}");
            self.registry.delete_fenced(fence, path)
        });
        join_all(deleted).await.into_iter().collect()
    }

    /// Takes the states of `partitions` from the registry into the context.
    pub(super) async fn refresh_leadership(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let states = self.registry.partition_states(partitions).await?;
        for (partition, state) in partitions.iter().zip(states) {
            if let Some(state) = state {
                self.context.set_leadership(partition, state);
            }
        }
        Ok(())
    }

    /// An old tool asked for preferred leaders through the registry.
    pub(super) async fn on_preferred_election(&mut self) -> Result<()> {
        let client = self.registry.client().clone();
        let path = path::PREFERRED_ELECTION;
        let exists = client
            .retry(|| client.exists(path, Some(&self.watcher)))
            .await?;
        if exists.is_none() {
            return Ok(());
        }
        let data = client.retry(|| client.get_data(path, None)).await;
        let Some((data, _)) = zk::optional(data)? else {
            return Ok(());
        };
        match decode_preferred_election(&data) {
            Ok(mut partitions) => {
                partitions.retain(|partition| {
                    let is_led = |id: &_| self.context.leader(partition) == Some(*id);
                    let preferred = self.context.replicas(partition).first();
                    !self.context.is_to_delete(&partition.topic)
                        && preferred.is_some_and(|preferred| !is_led(preferred))
                });
                self.bring_online(partitions, Strategy::Preferred).await?;
            }
            Err(error) => tracing::warn!(%error, "ignoring the request"),
        }
        self.registry
            .delete_fenced(self.context.fence, path.to_owned())
            .await?;
        // The watch fired with the deletion; the next request needs another.
        client
            .retry(|| client.exists(path, Some(&self.watcher)))
            .await?;
        Ok(())
    }
}
