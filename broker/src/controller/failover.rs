//! A new controller reads everything and takes over.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::active::{Active, Result};
use super::brokers::live;
use super::context::Replica;
use super::states::{PartitionState, ReplicaState};
use crate::model::TopicPartition;
use crate::registry::znode::{FeatureNode, path};
use crate::registry::{Error, FencedWrite};
use crate::zk::{self, ErrorCode};

impl Active {
    /// Loads the cluster (watches first, so nothing is missed), tells every
    /// broker who is alive, and puts right what happened while nobody led.
    pub(super) async fn take_over(&mut self) -> Result<()> {
        self.set_features_up().await?;
        self.clear_notes().await?;
        self.load().await?;

        // Brokers must know each other before they hear of leaders.
        let all = self.context.broker_ids();
        self.send_metadata(&all, &[]);

        self.start_replicas().await?;
        self.start_partitions().await?;
        tracing::info!(
            epoch = self.context.fence.epoch,
            brokers = self.context.brokers.len(),
            topics = self.context.topics.len(),
            "ready to serve as the new controller"
        );
        self.resume_reassignments().await?;
        self.on_reassignment_request().await?;
        self.on_deletions_changed().await?;
        self.on_preferred_election().await
    }

    async fn set_features_up(&self) -> Result<()> {
        let client = self.registry.client();
        let wanted = |features| FeatureNode::of(self.registry.version(), features);
        let data = client.retry(|| client.get_data(path::FEATURE, None)).await;
        let write = match zk::optional(data)? {
            None => FencedWrite::Create {
                path: path::FEATURE.to_owned(),
                data: Some(Bytes::from(wanted(BTreeMap::new()).encode())),
            },
            Some((data, stat)) => {
                let found = FeatureNode::decode(&data);
                let path = path::FEATURE.to_owned();
                let found = found.map_err(|source| Error::Malformed {
                    path: path.clone(),
                    source,
                })?;
                let stays = found.enabled && self.registry.version().has_features();
                let wanted = wanted(match stays {
                    true => found.features.clone(),
                    false => BTreeMap::new(),
                });
                if found == wanted {
                    return Ok(());
                }
                FencedWrite::Set {
                    path,
                    data: Bytes::from(wanted.encode()),
                    version: stat.version,
                }
            }
        };
        match self.registry.write_fenced(self.context.fence, &write).await {
            Ok(_) => Ok(()),
            // The write of a lost reply.
            Err(Error::Zk(error))
                if error.is(ErrorCode::NodeExists) || error.is(ErrorCode::BadVersion) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Notes to an earlier controller say nothing that `load` does not read.
    async fn clear_notes(&self) -> Result<()> {
        for parent in [path::LOG_DIR_EVENTS, path::ISR_CHANGES] {
            let notes = self.registry.children(parent, None).await?;
            self.delete_notes(parent, &notes).await?;
            self.registry.children(parent, Some(&self.watcher)).await?;
        }
        Ok(())
    }

    async fn load(&mut self) -> Result<()> {
        for broker in self.registry.brokers(Some(&self.watcher)).await? {
            let broker = live(broker);
            self.senders.add(broker.clone());
            self.context.brokers.insert(broker.id, broker);
        }
        let topics = self.registry.topics(Some(&self.watcher)).await?;
        self.load_topics(&topics).await?;
        let partitions: Vec<TopicPartition> = self.context.all_partitions().collect();
        self.refresh_leadership(&partitions).await?;
        if self.config.delete_topic_enable {
            let marked = self.registry.topics_to_delete(Some(&self.watcher)).await?;
            let is_known = |topic: &_| self.context.topics.contains_key(topic);
            let marked: BTreeSet<_> = marked.into_iter().filter(is_known).collect();
            self.queue_deletions(marked);
        }
        Ok(())
    }

    async fn start_replicas(&mut self) -> Result<()> {
        let partitions: Vec<TopicPartition> = self.context.all_partitions().collect();
        let replicas = self.context.replicas_of(&partitions);
        let is_online =
            |replica: &Replica| self.context.is_online(replica.broker, &replica.partition);
        let (online, offline): (Vec<_>, Vec<_>) = replicas.into_iter().partition(is_online);
        for replica in &online {
            self.context.init_replica(replica, ReplicaState::Online);
        }
        for replica in &offline {
            self.context
                .init_replica(replica, ReplicaState::DeletionIneligible);
            if self.context.is_to_delete(&replica.partition.topic) {
                self.context
                    .deletion_ineligible
                    .insert(replica.partition.topic.clone());
            }
        }
        self.move_replicas(online, ReplicaState::Online).await?;
        self.move_replicas(offline, ReplicaState::Offline).await
    }

    async fn start_partitions(&mut self) -> Result<()> {
        let partitions: Vec<TopicPartition> = self.context.all_partitions().collect();
        for partition in partitions {
            let state = match self.context.leader(&partition) {
                None => PartitionState::New,
                Some(leader) if self.context.is_online(leader, &partition) => {
                    PartitionState::Online
                }
                Some(_) => PartitionState::Offline,
            };
            if let Some(known) = self.context.partition_mut(&partition) {
                known.state = state;
            }
        }
        self.elect_missing_leaders().await?;
        Ok(())
    }
}
