//! DescribeLogDirs 0 and AlterReplicaLogDirs 0, which are laid out as version 1.

use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, TopicName,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

impl OldRequest for DescribeLogDirsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let topics = from.nullable_array(|from| {
            Ok(DescribableLogDirTopic::default()
                .with_topic(TopicName(from.string()?))
                .with_partitions(from.array(Fields::i32)?))
        })?;
        Ok(Self::default().with_topics(topics))
    }
}

impl OldRequest for AlterReplicaLogDirsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let dirs = from.array(|from| {
            let path = from.string()?;
            let topics = from.array(|from| {
                Ok(AlterReplicaLogDirTopic::default()
                    .with_name(TopicName(from.string()?))
                    .with_partitions(from.array(Fields::i32)?))
            })?;
            Ok(AlterReplicaLogDir::default()
                .with_path(path)
                .with_topics(topics))
        })?;
        Ok(Self::default().with_dirs(dirs))
    }
}

impl OldResponse for AlterReplicaLogDirsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.i32(self.throttle_time_ms);
        out.array(&self.results, |out, topic| {
            out.string(&topic.topic_name)?;
            out.array(&topic.partitions, |out, partition| {
                out.i32(partition.partition_index);
                out.i16(partition.error_code);
                Ok(())
            })
        })
    }
}

impl OldResponse for DescribeLogDirsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.i32(self.throttle_time_ms);
        out.array(&self.results, |out, dir| {
            out.i16(dir.error_code);
            out.string(&dir.log_dir)?;
            out.array(&dir.topics, |out, topic| {
                out.string(&topic.name)?;
                out.array(&topic.partitions, |out, partition| {
                    out.i32(partition.partition_index);
                    out.i64(partition.partition_size);
                    out.i64(partition.offset_lag);
                    out.bool(partition.is_future_key);
                    Ok(())
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;

    /// The codec knows version 1, and the two are the same on the wire.
    #[test]
    fn version_0_is_version_1() {
        use kafka_protocol::messages::describe_log_dirs_response::{
            DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
        };
        use kafka_protocol::protocol::StrBytes;

        let name = TopicName(StrBytes::from_static_str("orders"));
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(3)
            .with_partition_size(77)
            .with_offset_lag(-1)
            .with_is_future_key(true);
        let topic = DescribeLogDirsTopic::default()
            .with_name(name.clone())
            .with_partitions(vec![partition]);
        let dir = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_static_str("/d"))
            .with_topics(vec![topic]);
        let response = DescribeLogDirsResponse::default().with_results(vec![dir]);
        let mut expected = BytesMut::new();
        response.encode(&mut expected, 1).unwrap();
        let mut encoded = BytesMut::new();
        response.encode_old(&mut Writer(&mut encoded), 0).unwrap();
        assert_eq!(encoded, expected);

        let asked = DescribableLogDirTopic::default()
            .with_topic(name)
            .with_partitions(vec![0, 3]);
        for topics in [None, Some(vec![asked])] {
            let request = DescribeLogDirsRequest::default().with_topics(topics);
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, 1).unwrap();
            let bytes = Bytes::from(bytes);
            let decoded = DescribeLogDirsRequest::decode_old(&mut Fields::new(bytes.clone()), 0);
            assert_eq!(decoded.unwrap(), request);
            let of_codec = DescribeLogDirsRequest::decode(&mut bytes.clone(), 1);
            assert_eq!(of_codec.unwrap(), request);
        }
    }

    #[test]
    fn moves_of_version_0_are_those_of_version_1() {
        use kafka_protocol::messages::alter_replica_log_dirs_response::{
            AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
        };
        use kafka_protocol::protocol::StrBytes;

        let name = TopicName(StrBytes::from_static_str("orders"));
        let topic = AlterReplicaLogDirTopic::default()
            .with_name(name.clone())
            .with_partitions(vec![0, 3]);
        let dir = AlterReplicaLogDir::default()
            .with_path(StrBytes::from_static_str("/d"))
            .with_topics(vec![topic]);
        let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes, 1).unwrap();
        let mut fields = Fields::new(bytes.freeze());
        let decoded = AlterReplicaLogDirsRequest::decode_old(&mut fields, 0);
        assert_eq!(decoded.unwrap(), request);

        let partition = AlterReplicaLogDirPartitionResult::default()
            .with_partition_index(3)
            .with_error_code(57);
        let topic = AlterReplicaLogDirTopicResult::default()
            .with_topic_name(name)
            .with_partitions(vec![partition]);
        let response = AlterReplicaLogDirsResponse::default().with_results(vec![topic]);
        let mut expected = BytesMut::new();
        response.encode(&mut expected, 1).unwrap();
        let mut encoded = BytesMut::new();
        response.encode_old(&mut Writer(&mut encoded), 0).unwrap();
        assert_eq!(encoded, expected);
    }
}
