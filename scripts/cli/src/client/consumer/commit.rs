//! A member's commits: of what was delivered, or of what the caller says.

use std::collections::BTreeMap;

use super::{Committer, Consumer, TopicPartition, group};
use crate::client::Error;

const COORDINATOR: &str = "org.apache.kafka.clients.consumer.internals.ConsumerCoordinator";

impl Consumer {
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
