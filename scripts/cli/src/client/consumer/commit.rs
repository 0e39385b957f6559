//! A member's commits: of what was delivered, or of what the caller says.

use std::collections::BTreeMap;

use super::group::{self, Beat};
use super::{Committer, Consumer, TopicPartition};
use crate::client::Error;

const COORDINATOR: &str = "org.apache.kafka.clients.consumer.internals.ConsumerCoordinator";

impl Consumer {
    /// Commits what was delivered now; a failure is told.
    pub(crate) async fn commit_delivered(&mut self) {
        if self.membership.is_member() {
            self.try_commit().await;
        }
    }

    /// Says that we live while the caller is busy with records; whether the group wants
    /// us to join again. The next `poll` does, so that what is delivered by then can
    /// still be committed.
    pub(crate) async fn stay(&mut self) -> bool {
        if !self.membership.is_member() {
            return false;
        }
        let beat = self
            .membership
            .heartbeat(&self.client, &self.settings)
            .await;
        match beat {
            Ok(Beat::Fine) => false,
            Ok(Beat::MustRejoin) => {
                self.membership.commits_still();
                true
            }
            // It shows again with the next poll.
            Err(_) => true,
        }
    }

    /// A commit that fails is told; the next one makes good for it.
    pub(super) async fn try_commit(&mut self) {
        if let Err(error) = self.commit().await {
            let context = &self.client.config().log_context;
            crate::console::warn(
                format_args!("[{context}] Asynchronous auto-commit of offsets failed: {error}"),
                COORDINATOR,
            );
        }
    }

    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        let offsets: BTreeMap<TopicPartition, i64> = self
            .positions
            .iter()
            .filter_map(|(at, position)| Some((at.clone(), position.as_ref()?.delivered)))
            .collect();
        self.commit_offsets(offsets).await
    }

    /// Commits these offsets once, whatever was delivered.
    pub(crate) async fn commit_offsets(
        &mut self,
        offsets: BTreeMap<TopicPartition, i64>,
    ) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let group = &self.settings.group_id;
        let coordinator = self.membership.coordinator(&self.client, group).await?;
        let committer = Committer {
            group_id: group::group_id(&self.settings),
            member_id: self.membership.member_id.clone(),
            generation: self.membership.generation,
            instance_id: group::instance_id(&self.settings, true),
        };
        let committed = self.client.commit(&coordinator, committer, offsets).await;
        if let Err(error) = &committed {
            self.membership.suffer(error);
        }
        committed
    }
}
