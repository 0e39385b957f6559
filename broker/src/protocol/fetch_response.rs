//! Fetch responses whose records stay where they are: in the log's files.
//!
//! The general codec copies record bytes into its output; this one interleaves
//! encoded fields with file ranges, so a fetch costs no copy in user space.
//!
//! **Invariant:** the bytes equal those of the general codec (checked by test
//! in every version).

use bytes::{BufMut, Bytes, BytesMut};
use common::wire::{Frame, Part};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchResponse, LeaderIdAndEpoch, NodeEndpoint,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::codec::{Error, put_unsigned_varint};
use crate::model::{TopicId, TopicName};

const THROTTLE_TIME_FROM: i16 = 1;
const STABLE_OFFSET_FROM: i16 = 4;
const FLEXIBLE_FROM: i16 = 12;
const TOPIC_IDS_FROM: i16 = 13;

/// What is answered for one partition. Records are whole batches, or empty:
/// null records make some clients fail.
#[derive(Debug, Clone)]
pub struct Partition {
    pub index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Where the follower's log leaves the leader's (Fetch 12+).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Where the leader is instead (Fetch 12+).
    pub current_leader: Option<LeaderIdAndEpoch>,
    pub preferred_read_replica: i32,
    /// For readers of committed records: the transactions whose records in this
    /// answer they must skip.
    pub aborted: Option<Vec<AbortedTransaction>>,
    pub records: Option<Part>,
}

/// Producer and first offset of a transaction that was aborted (Fetch 4+).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl Partition {
    /// An answer without records.
    #[must_use]
    pub fn error(index: i32, error_code: i16) -> Self {
        Self {
            index,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            preferred_read_replica: -1,
            aborted: None,
            records: None,
        }
    }

    /// Bytes of records in this answer.
    #[must_use]
    pub fn records_length(&self) -> usize {
        self.records.as_ref().map_or(0, Part::length)
    }
}

/// The partitions of one topic; the name is used up to version 12, then the id.
#[derive(Debug, Clone)]
pub struct Topic {
    pub name: Option<TopicName>,
    pub id: TopicId,
    pub partitions: Vec<Partition>,
}

/// A whole response.
#[derive(Debug, Clone, Default)]
pub struct Response {
    pub error_code: i16,
    pub session_id: i32,
    pub topics: Vec<Topic>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// Encodes header and response for a connection.
pub fn encode(version: i16, correlation_id: i32, response: Response) -> Result<Frame, Error> {
    let mut out = Writer {
        version,
        parts: Vec::new(),
        memory: BytesMut::new(),
    };
    ResponseHeader::default()
        .with_correlation_id(correlation_id)
        .encode(&mut out.memory, FetchResponse::header_version(version))
        .map_err(|error| out.failed(&error))?;
    out.response(response)?;
    Ok(out.finish())
}

struct Writer {
    version: i16,
    parts: Vec<Part>,
    memory: BytesMut,
}

impl Writer {
    fn failed(&self, error: &kafka_protocol::error::ProtoError) -> Error {
        Error::Encode {
            version: self.version,
            reason: error.to_string(),
        }
    }

    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE_FROM
    }

    fn response(&mut self, response: Response) -> Result<(), Error> {
        const THROTTLE_TIME_MS: i32 = 0;
        if self.version >= THROTTLE_TIME_FROM {
            self.memory.put_i32(THROTTLE_TIME_MS);
        }
        if self.version >= 7 {
            self.memory.put_i16(response.error_code);
            self.memory.put_i32(response.session_id);
        }
        self.array_length(response.topics.len())?;
        for topic in response.topics {
            self.topic(topic)?;
        }
        if self.is_flexible() {
            self.node_endpoints(&response.node_endpoints)?;
        }
        Ok(())
    }

    fn topic(&mut self, topic: Topic) -> Result<(), Error> {
        if self.version >= TOPIC_IDS_FROM {
            self.memory.put_slice(topic.id.as_bytes());
        } else {
            self.string(topic.name.as_ref().map_or("", TopicName::as_str))?;
        }
        self.array_length(topic.partitions.len())?;
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.no_tagged_fields();
        Ok(())
    }

    fn partition(&mut self, partition: Partition) -> Result<(), Error> {
        self.memory.put_i32(partition.index);
        self.memory.put_i16(partition.error_code);
        self.memory.put_i64(partition.high_watermark);
        if self.version >= STABLE_OFFSET_FROM {
            self.memory.put_i64(partition.last_stable_offset);
            if self.version >= 5 {
                self.memory.put_i64(partition.log_start_offset);
            }
            self.aborted(partition.aborted.as_deref())?;
        }
        if self.version >= 11 {
            self.memory.put_i32(partition.preferred_read_replica);
        }
        self.records(partition.records)?;
        if self.is_flexible() {
            self.partition_tags(partition.diverging_epoch, partition.current_leader)?;
        }
        Ok(())
    }

    fn aborted(&mut self, aborted: Option<&[AbortedTransaction]>) -> Result<(), Error> {
        let Some(aborted) = aborted else {
            self.null_array();
            return Ok(());
        };
        self.array_length(aborted.len())?;
        for transaction in aborted {
            self.memory.put_i64(transaction.producer_id);
            self.memory.put_i64(transaction.first_offset);
            self.no_tagged_fields();
        }
        Ok(())
    }

    fn records(&mut self, records: Option<Part>) -> Result<(), Error> {
        let length = records.as_ref().map_or(0, Part::length);
        let length = self.count(length)?;
        if self.is_flexible() {
            put_unsigned_varint(&mut self.memory, length + 1);
        } else {
            self.memory.put_u32(length);
        }
        match records {
            Some(Part::Memory(bytes)) => self.memory.put_slice(&bytes),
            Some(range @ Part::File(_)) if length > 0 => {
                let fields = self.memory.split().freeze();
                self.parts.push(Part::Memory(fields));
                self.parts.push(range);
            }
            Some(Part::File(_)) | None => {}
        }
        Ok(())
    }

    fn partition_tags(
        &mut self,
        diverging: Option<EpochEndOffset>,
        leader: Option<LeaderIdAndEpoch>,
    ) -> Result<(), Error> {
        let present = u32::from(diverging.is_some()) + u32::from(leader.is_some());
        put_unsigned_varint(&mut self.memory, present);
        if let Some(diverging) = diverging {
            self.tagged(0, &diverging)?;
        }
        if let Some(leader) = leader {
            self.tagged(1, &leader)?;
        }
        Ok(())
    }

    fn node_endpoints(&mut self, endpoints: &[NodeEndpoint]) -> Result<(), Error> {
        if endpoints.is_empty() || self.version < 16 {
            self.no_tagged_fields();
            return Ok(());
        }
        let mut value = BytesMut::new();
        put_unsigned_varint(&mut value, self.count(endpoints.len())? + 1);
        for endpoint in endpoints {
            endpoint
                .encode(&mut value, self.version)
                .map_err(|error| self.failed(&error))?;
        }
        put_unsigned_varint(&mut self.memory, 1);
        self.tag(0, &value.freeze())
    }

    fn tagged(&mut self, tag: u32, value: &impl Encodable) -> Result<(), Error> {
        let mut encoded = BytesMut::new();
        value
            .encode(&mut encoded, self.version)
            .map_err(|error| self.failed(&error))?;
        self.tag(tag, &encoded.freeze())
    }

    fn tag(&mut self, tag: u32, value: &Bytes) -> Result<(), Error> {
        put_unsigned_varint(&mut self.memory, tag);
        let size = self.count(value.len())?;
        put_unsigned_varint(&mut self.memory, size);
        self.memory.put_slice(value);
        Ok(())
    }

    fn no_tagged_fields(&mut self) {
        if self.is_flexible() {
            self.memory.put_u8(0);
        }
    }

    fn null_array(&mut self) {
        if self.is_flexible() {
            self.memory.put_u8(0);
        } else {
            self.memory.put_i32(-1);
        }
    }

    fn array_length(&mut self, length: usize) -> Result<(), Error> {
        let length = self.count(length)?;
        if self.is_flexible() {
            put_unsigned_varint(&mut self.memory, length + 1);
        } else {
            self.memory.put_u32(length);
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        let length = self.count(text.len())?;
        if self.is_flexible() {
            put_unsigned_varint(&mut self.memory, length + 1);
        } else {
            self.memory.put_u16(length as u16);
        }
        self.memory.put_slice(text.as_bytes());
        Ok(())
    }

    fn count(&self, length: usize) -> Result<u32, Error> {
        u32::try_from(length)
            .ok()
            .filter(|length| *length < i32::MAX as u32)
            .ok_or_else(|| Error::Encode {
                version: self.version,
                reason: format!("{length} does not fit a length"),
            })
    }

    fn finish(mut self) -> Frame {
        if !self.memory.is_empty() {
            self.parts.push(Part::Memory(self.memory.freeze()));
        }
        Frame::new(self.parts)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use common::wire::FileRange;
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::fetch_response::{self, FetchableTopicResponse, PartitionData};
    use kafka_protocol::protocol::StrBytes;
    use tokio::io::AsyncReadExt;

    use super::*;

    const RECORDS: &[u8] = b"some batches";

    fn ours(version: i16, records: Option<Part>) -> Response {
        let recent = version >= FLEXIBLE_FROM;
        Response {
            error_code: 0,
            session_id: if version >= 7 { 5 } else { 0 },
            topics: vec![Topic {
                name: Some(TopicName::new("t").unwrap()),
                id: TopicId::from_u128(9),
                partitions: vec![
                    Partition {
                        index: 1,
                        error_code: 0,
                        high_watermark: 10,
                        last_stable_offset: 9,
                        log_start_offset: 2,
                        diverging_epoch: recent
                            .then(|| EpochEndOffset::default().with_epoch(3).with_end_offset(8)),
                        current_leader: recent.then(|| {
                            LeaderIdAndEpoch::default()
                                .with_leader_id(BrokerId(1))
                                .with_leader_epoch(4)
                        }),
                        preferred_read_replica: -1,
                        aborted: Some(vec![AbortedTransaction {
                            producer_id: 70,
                            first_offset: 4,
                        }]),
                        records,
                    },
                    Partition::error(2, 3),
                ],
            }],
            node_endpoints: endpoints(version),
        }
    }

    fn endpoints(version: i16) -> Vec<NodeEndpoint> {
        if version < 16 {
            return Vec::new();
        }
        vec![
            NodeEndpoint::default()
                .with_node_id(BrokerId(1))
                .with_host(StrBytes::from_static_str("h"))
                .with_port(9092),
        ]
    }

    /// The same answer through the general codec.
    fn general(version: i16) -> Bytes {
        let mut first = PartitionData::default()
            .with_partition_index(1)
            .with_high_watermark(10)
            .with_last_stable_offset(9)
            .with_log_start_offset(2)
            .with_aborted_transactions(Some(vec![
                fetch_response::AbortedTransaction::default()
                    .with_producer_id(70.into())
                    .with_first_offset(4),
            ]))
            .with_records(Some(Bytes::from_static(RECORDS)));
        if version >= FLEXIBLE_FROM {
            first.diverging_epoch = EpochEndOffset::default().with_epoch(3).with_end_offset(8);
            first.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(1))
                .with_leader_epoch(4);
        }
        let second = PartitionData::default()
            .with_partition_index(2)
            .with_error_code(3)
            .with_high_watermark(-1)
            .with_last_stable_offset(-1)
            .with_log_start_offset(-1)
            .with_aborted_transactions(None)
            .with_records(Some(Bytes::new()));
        let mut topic = FetchableTopicResponse::default().with_partitions(vec![first, second]);
        if version >= TOPIC_IDS_FROM {
            topic.topic_id = TopicId::from_u128(9);
        } else {
            topic.topic = kafka_protocol::messages::TopicName(StrBytes::from_static_str("t"));
        }
        let response = FetchResponse::default()
            .with_session_id(if version >= 7 { 5 } else { 0 })
            .with_responses(vec![topic])
            .with_node_endpoints(endpoints(version));
        super::super::codec::encode(version, 77, &response).unwrap()
    }

    async fn sent(frame: Frame) -> Vec<u8> {
        let listener = common::net::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = common::net::connect("127.0.0.1", port).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        frame.send(&server).await.unwrap();
        drop(server);
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        all.split_off(4)
    }

    #[tokio::test]
    async fn bytes_equal_the_general_codecs_in_every_version() {
        for version in 4..=18 {
            let memory = Part::Memory(Bytes::from_static(RECORDS));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"-").unwrap();
            file.write_all(RECORDS).unwrap();
            let range = Part::File(FileRange {
                source: Arc::new(file),
                position: 1,
                length: RECORDS.len(),
            });
            for records in [memory, range] {
                let frame = encode(version, 77, ours(version, Some(records))).unwrap();
                assert_eq!(sent(frame).await, general(version), "version {version}");
            }
        }
    }
}
