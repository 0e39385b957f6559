//! InitProducerId: ids of idempotent producers, from blocks of the cluster's, and
//! of transactional ones, from their coordinator.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use tokio::sync::Mutex;

use super::error;
use super::group_wire::owned;
use super::producer_id_blocks::{Error, ProducerIdBlocks};
use crate::registry::ProducerIdBlock;
use crate::txn::{self, Handle, InitRequest, Initialized, Producer};

const NO_ID: i64 = -1;
const NO_EPOCH: i16 = -1;
/// From here on, a producer knows what it is to be fenced (KIP-588).
const FENCED_FROM: i16 = 4;

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

/// A producer without a transactional id gets a new id and epoch 0; one with it
/// what the coordinator says.
pub(crate) async fn handle(
    ids: &ProducerIds,
    transactions: &Handle,
    version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let has_id = request.producer_id.0 != NO_ID;
    let has_epoch = request.producer_epoch != NO_EPOCH;
    if has_id != has_epoch {
        return refused(ResponseError::InvalidRequest.code());
    }
    let expected = has_id.then_some(Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    });
    let initialized = match request.transactional_id {
        None => fresh(ids).await.map(|id| Producer { id, epoch: 0 }),
        Some(id) => {
            let request = InitRequest {
                transactional_id: owned(&id),
                timeout_ms: request.transaction_timeout_ms,
                expected,
            };
            own(ids, transactions, request).await
        }
    };
    match initialized {
        Ok(producer) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Err(error) => refused(error::transaction_in(error, version, FENCED_FROM)),
    }
}

fn refused(code: i16) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code)
        .with_producer_id(ProducerId(NO_ID))
        .with_producer_epoch(NO_EPOCH)
}

/// Makes the producer the owner of a transactional id. A new producer id is
/// fetched only when the coordinator asks for it.
async fn own(
    ids: &ProducerIds,
    transactions: &Handle,
    request: InitRequest,
) -> Result<Producer, txn::Error> {
    if let Initialized::Owner(producer) = transactions.init(request.clone(), None).await? {
        return Ok(producer);
    }
    let fresh = fresh(ids).await?;
    match transactions.init(request, Some(fresh)).await? {
        Initialized::Owner(producer) => Ok(producer),
        Initialized::NeedsProducerId => Err(txn::Error::Broken),
    }
}

async fn fresh(ids: &ProducerIds) -> Result<i64, txn::Error> {
    ids.next().await.map_err(|error| {
        tracing::warn!(%error, "no producer id can be handed out");
        // What Kafka says while it waits for its block.
        txn::Error::CoordinatorLoadInProgress
    })
}
