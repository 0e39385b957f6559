//! InitProducerId: ids of idempotent producers, from blocks of the cluster's.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use tokio::sync::Mutex;

use super::producer_id_blocks::{Error, ProducerIdBlocks};
use crate::registry::ProducerIdBlock;

/// Hands out producer ids; a new block is fetched when one is used up.
pub(crate) struct ProducerIds {
    blocks: ProducerIdBlocks,
    /// Held across the fetch of a block, so that only one is fetched at a time.
    block: Mutex<Option<Remaining>>,
}

struct Remaining {
    next: i64,
    block: ProducerIdBlock,
}

impl ProducerIds {
    pub(crate) fn new(blocks: ProducerIdBlocks) -> Self {
        Self {
            blocks,
            block: Mutex::new(None),
        }
    }

    async fn next(&self) -> Result<i64, Error> {
        let mut current = self.block.lock().await;
        let remaining = match current.take() {
            Some(remaining) if remaining.next <= remaining.block.end => remaining,
            _ => {
                let block = self.blocks.next().await?;
                Remaining {
                    next: block.start,
                    block,
                }
            }
        };
        let id = remaining.next;
        *current = Some(Remaining {
            next: id + 1,
            block: remaining.block,
        });
        Ok(id)
    }
}

/// A producer without a transactional id gets a new id and epoch 0.
pub(crate) async fn handle(
    ids: &ProducerIds,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    let has_id = request.producer_id.0 >= 0;
    let has_epoch = request.producer_epoch >= 0;
    let is_empty = |id: &kafka_protocol::messages::TransactionalId| id.is_empty();
    if has_id != has_epoch || request.transactional_id.as_ref().is_some_and(is_empty) {
        return refused(ResponseError::InvalidRequest);
    }
    if request.transactional_id.is_some() {
        tracing::warn!("a transactional producer was refused: transactions are not served yet");
        return refused(ResponseError::UnsupportedVersion);
    }
    match ids.next().await {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(error) => {
            tracing::warn!(%error, "no producer id can be handed out");
            refused(ResponseError::CoordinatorNotAvailable)
        }
    }
}
