//! DeleteTopics, by name or by id (KIP-516).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::context::RequestContext;
use super::topic_admin::{TopicAdmin, limit};
use super::wire::{text, topic_name};
use super::{Role, error};
use crate::model::{TopicId, TopicName};

/// From here on, topics are named by a struct with a name or an id.
const STATES_FROM: i16 = 6;

/// Marks the topics for deletion and waits until they are gone.
pub(crate) async fn handle(
    admin: &TopicAdmin,
    role: Role,
    ctx: &RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let mut wanted = wanted(admin, ctx, &request);
    for topic in &mut wanted {
        if topic.refusal.is_none() {
            topic.refusal = refusal(admin, role, ctx);
        }
        if topic.refusal.is_none()
            && let Some(name) = &topic.name
        {
            topic.refusal = match charge(admin, ctx, name) {
                Ok(()) => mark(admin, name).await,
                Err(refusal) => Some(refusal),
            };
        }
    }
    for topic in &mut wanted {
        if let (None, Some(name)) = (&topic.refusal, &topic.name)
            && !admin
                .wait_for_deletion(name, limit(request.timeout_ms))
                .await
        {
            topic.refusal = Some((ResponseError::RequestTimedOut, None));
        }
    }
    let results = wanted
        .into_iter()
        .map(|topic| topic.result(ctx.api_version));
    DeleteTopicsResponse::default().with_responses(results.collect())
}

type Refusal = (ResponseError, Option<String>);

struct Wanted {
    /// As the client wrote it, when it did.
    text: Option<String>,
    name: Option<TopicName>,
    id: TopicId,
    refusal: Option<Refusal>,
}

fn wanted(admin: &TopicAdmin, ctx: &RequestContext, request: &DeleteTopicsRequest) -> Vec<Wanted> {
    if ctx.api_version < STATES_FROM {
        return request
            .topic_names
            .iter()
            .map(|name| by_name(admin, name))
            .collect();
    }
    let states = request.topics.iter();
    states
        .map(|state| match &state.name {
            Some(_) if !state.topic_id.is_nil() => Wanted {
                text: None,
                name: None,
                id: state.topic_id,
                refusal: Some((
                    ResponseError::InvalidRequest,
                    Some("You may not specify both topic name and topic id.".to_owned()),
                )),
            },
            Some(name) => by_name(admin, name),
            None => by_id(admin, state.topic_id),
        })
        .collect()
}

fn by_name(admin: &TopicAdmin, written: &str) -> Wanted {
    let snapshot = admin.cluster.snapshot();
    let topic = snapshot.topic(written);
    let name = TopicName::new(written).ok();
    // Its node outlives a deleted topic for a moment: what no client sees any
    // more cannot be deleted again.
    let refusal = match topic {
        Some(_) => None,
        None => Some((ResponseError::UnknownTopicOrPartition, None)),
    };
    Wanted {
        text: Some(written.to_owned()),
        name,
        id: topic.map_or_else(TopicId::nil, |topic| topic.id),
        refusal,
    }
}

fn by_id(admin: &TopicAdmin, id: TopicId) -> Wanted {
    let name = admin.cluster.snapshot().topic_name(id).cloned();
    let refusal = match name {
        Some(_) => None,
        None => Some((ResponseError::UnknownTopicId, None)),
    };
    Wanted {
        text: name.as_ref().map(|name| name.as_str().to_owned()),
        name,
        id,
        refusal,
    }
}

fn refusal(admin: &TopicAdmin, role: Role, ctx: &RequestContext) -> Option<Refusal> {
    match role {
        Role::Other => Some((ResponseError::NotController, None)),
        Role::Controller if admin.deletion_enabled => None,
        Role::Controller if ctx.api_version < 3 => Some((ResponseError::InvalidRequest, None)),
        Role::Controller => Some((
            ResponseError::TopicDeletionDisabled,
            Some("Topic deletion is disabled.".to_owned()),
        )),
    }
}

/// From here on, what is beyond the quota of mutations is refused.
const STRICT_FROM: i16 = 5;

fn charge(admin: &TopicAdmin, ctx: &RequestContext, name: &TopicName) -> Result<(), Refusal> {
    let Some(throttle) = &ctx.throttle else {
        return Ok(());
    };
    let snapshot = admin.cluster.snapshot();
    let topic = snapshot.topic(name.as_str());
    throttle.mutated(STRICT_FROM, topic.map_or(0, |topic| topic.partitions.len()))
}

async fn mark(admin: &TopicAdmin, name: &TopicName) -> Option<Refusal> {
    match admin.registry.delete_topic(name).await {
        Ok(()) | Err(crate::registry::DeleteTopicError::AlreadyMarked(_)) => None,
        Err(failed) => Some((error::delete_topic(&failed), None)),
    }
}

impl Wanted {
    fn result(self, version: i16) -> DeletableTopicResult {
        let name = match (&self.name, &self.text) {
            (Some(name), _) => Some(topic_name(name)),
            (None, Some(written)) => {
                Some(kafka_protocol::messages::TopicName(text(written.as_str())))
            }
            (None, None) => None,
        };
        let mut result = DeletableTopicResult::default().with_name(name);
        if version >= STATES_FROM {
            result.topic_id = self.id;
        }
        if let Some((error, message)) = self.refusal {
            result.error_code = error.code();
            if version >= 5 {
                result.error_message = message.map(text);
            }
        }
        result
    }
}
