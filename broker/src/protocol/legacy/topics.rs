//! CreateTopics 0 and 1, DeleteTopics 0.

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    TopicName,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

impl OldRequest for CreateTopicsRequest {
    fn decode_old(from: &mut Fields, version: i16) -> Result<Self, Malformed> {
        let topics = from.array(topic)?;
        let timeout_ms = from.i32()?;
        let validate_only = version >= 1 && from.bool()?;
        Ok(Self::default()
            .with_topics(topics)
            .with_timeout_ms(timeout_ms)
            .with_validate_only(validate_only))
    }
}

fn topic(from: &mut Fields) -> Result<CreatableTopic, Malformed> {
    let topic = CreatableTopic::default()
        .with_name(TopicName(from.string()?))
        .with_num_partitions(from.i32()?)
        .with_replication_factor(from.i16()?);
    let assignments = from.array(|from| {
        Ok(CreatableReplicaAssignment::default()
            .with_partition_index(from.i32()?)
            .with_broker_ids(from.array(|from| from.i32().map(BrokerId))?))
    })?;
    let configs = from.array(|from| {
        Ok(CreatableTopicConfig::default()
            .with_name(from.string()?)
            .with_value(from.nullable_string()?))
    })?;
    Ok(topic.with_assignments(assignments).with_configs(configs))
}

impl OldResponse for CreateTopicsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, version: i16) -> Result<(), Malformed> {
        out.array(&self.topics, |out, topic| {
            out.string(&topic.name)?;
            out.i16(topic.error_code);
            if version >= 1 {
                out.nullable_string(topic.error_message.as_deref())?;
            }
            Ok(())
        })
    }
}

impl OldRequest for DeleteTopicsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let names = from.array(|from| from.string().map(TopicName))?;
        let timeout_ms = from.i32()?;
        Ok(Self::default()
            .with_topic_names(names)
            .with_timeout_ms(timeout_ms))
    }
}

impl OldResponse for DeleteTopicsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.array(&self.responses, |out, topic| {
            out.string(topic.name.as_ref().ok_or(Malformed)?)?;
            out.i16(topic.error_code);
            Ok(())
        })
    }
}
