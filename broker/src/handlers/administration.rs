//! Dispatch of what changes topics, configurations and where replicas are.

use kafka_protocol::messages::ApiKey;

use super::alter_configs::AlterConfigs;
use super::context::RequestContext;
use super::create_topics::CreateTopics;
use super::{
    Handlers, create_partitions, delete_topics, elect_leaders, now, now_any, reassignments,
};
use crate::protocol::{Error, RequestFrame};
use crate::server::Reply;

impl Handlers {
    pub(super) async fn ask_controller(&self, frame: &RequestFrame) -> Result<Reply, Error> {
        let controller = &self.interbroker.controller;
        match frame.api.key {
            ApiKey::ElectLeaders => {
                let (version, request) = (frame.version, frame.decode()?);
                let elected = elect_leaders::handle(controller, &self.cluster, version, request);
                now(frame, &elected.await)
            }
            ApiKey::AlterPartitionReassignments => now(
                frame,
                &reassignments::alter(controller, &self.cluster, frame.decode()?).await,
            ),
            _ => now(
                frame,
                &reassignments::list(controller, frame.decode()?).await,
            ),
        }
    }

    pub(super) async fn administrate(
        &self,
        ctx: &RequestContext,
        frame: &RequestFrame,
    ) -> Result<Reply, Error> {
        let role = self.role();
        match frame.api.key {
            ApiKey::CreateTopics => {
                let handler = CreateTopics {
                    admin: &self.admin,
                    configs: &self.topic_configs,
                    defaults: self.topic_defaults,
                    role,
                    ctx,
                };
                now_any(frame, &handler.handle(frame.decode_any()?).await)
            }
            ApiKey::DeleteTopics => {
                let request = frame.decode_any()?;
                now_any(
                    frame,
                    &delete_topics::handle(&self.admin, role, ctx, request).await,
                )
            }
            _ => {
                let request = frame.decode()?;
                now(
                    frame,
                    &create_partitions::handle(&self.admin, role, ctx, request).await,
                )
            }
        }
    }

    pub(super) async fn configure(&self, frame: &RequestFrame) -> Result<Reply, Error> {
        let handler = AlterConfigs {
            registry: &self.admin.registry,
            cluster: &self.cluster,
            configs: &self.topic_configs,
            broker_id: self.broker_id,
            turn: &self.config_turn,
        };
        match frame.api.key {
            ApiKey::AlterConfigs => now(frame, &handler.replace(frame.decode()?).await),
            _ => now(frame, &handler.edit(frame.decode()?).await),
        }
    }
}
