//! WriteTxnMarkers 0, which has version 1's fields without the flexible form. It
//! is served, and asked of the leaders of old clusters.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    ProducerId, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

impl OldRequest for WriteTxnMarkersRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let markers = from.array(|from| {
            let marker = WritableTxnMarker::default()
                .with_producer_id(ProducerId(from.i64()?))
                .with_producer_epoch(from.i16()?)
                .with_transaction_result(from.bool()?);
            let topics = from.array(|from| {
                Ok(WritableTxnMarkerTopic::default()
                    .with_name(TopicName(from.string()?))
                    .with_partition_indexes(from.array(Fields::i32)?))
            })?;
            Ok(marker
                .with_topics(topics)
                .with_coordinator_epoch(from.i32()?))
        })?;
        Ok(Self::default().with_markers(markers))
    }
}

impl OldResponse for WriteTxnMarkersResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.array(&self.markers, |out, marker| {
            out.i64(marker.producer_id.0);
            out.array(&marker.topics, |out, topic| {
                out.string(&topic.name)?;
                out.array(&topic.partitions, |out, partition| {
                    out.i32(partition.partition_index);
                    out.i16(partition.error_code);
                    Ok(())
                })
            })
        })
    }
}

/// The body of a request of version 0.
pub(crate) fn encode_request(request: &WriteTxnMarkersRequest) -> Result<Bytes, Malformed> {
    let mut bytes = BytesMut::new();
    Writer(&mut bytes).array(&request.markers, |out, marker| {
        out.i64(marker.producer_id.0);
        out.i16(marker.producer_epoch);
        out.bool(marker.transaction_result);
        out.array(&marker.topics, |out, topic| {
            out.string(&topic.name)?;
            out.array(&topic.partition_indexes, |out, index| {
                out.i32(*index);
                Ok(())
            })
        })?;
        out.i32(marker.coordinator_epoch);
        Ok(())
    })?;
    Ok(bytes.freeze())
}

/// The body of an answer of version 0.
pub(crate) fn decode_response(body: Bytes) -> Result<WriteTxnMarkersResponse, Malformed> {
    let markers = Fields::new(body).array(|from| {
        let marker = WritableTxnMarkerResult::default().with_producer_id(ProducerId(from.i64()?));
        let topics = from.array(|from| {
            let topic =
                WritableTxnMarkerTopicResult::default().with_name(TopicName(from.string()?));
            let partitions = from.array(|from| {
                Ok(WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(from.i32()?)
                    .with_error_code(from.i16()?))
            })?;
            Ok(topic.with_partitions(partitions))
        })?;
        Ok(marker.with_topics(topics))
    })?;
    Ok(WriteTxnMarkersResponse::default().with_markers(markers))
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn a_request_is_read_field_by_field_and_no_cut_of_it() {
        let mut body = BytesMut::new();
        body.put_i32(1);
        body.put_i64(77);
        body.put_i16(3);
        body.put_u8(1);
        body.put_i32(1);
        body.put_i16(1);
        body.put_slice(b"t");
        body.put_i32(2);
        body.put_i32(0);
        body.put_i32(5);
        body.put_i32(9);
        let body = body.freeze();
        let whole = body.clone();
        for end in 0..body.len() {
            let mut cut = Fields::new(body.slice(..end));
            assert!(WriteTxnMarkersRequest::decode_old(&mut cut, 0).is_err());
        }
        let request = WriteTxnMarkersRequest::decode_old(&mut Fields::new(body), 0).unwrap();
        let marker = &request.markers[0];
        assert_eq!(marker.producer_id, ProducerId(77));
        assert_eq!((marker.producer_epoch, marker.coordinator_epoch), (3, 9));
        assert!(marker.transaction_result);
        assert_eq!(marker.topics[0].partition_indexes, [0, 5]);
        assert_eq!(encode_request(&request).unwrap(), whole);
    }

    /// The codec takes every version that it has forgotten for a flexible one.
    #[test]
    fn a_request_has_a_header_of_before_the_flexible_versions() {
        let mut frame = BytesMut::new();
        frame.put_i16(27);
        frame.put_i16(0);
        frame.put_i32(5);
        frame.put_i16(1);
        frame.put_slice(b"x");
        frame.put_i32(0);
        let frame = crate::protocol::RequestFrame::parse(frame.freeze()).unwrap();
        let request: WriteTxnMarkersRequest = frame.decode_any().unwrap();
        assert!(request.markers.is_empty());
    }

    #[test]
    fn a_response_is_written_field_by_field() {
        let partition = WritableTxnMarkerPartitionResult::default()
            .with_partition_index(5)
            .with_error_code(47);
        let topic = WritableTxnMarkerTopicResult::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![partition]);
        let marker = WritableTxnMarkerResult::default()
            .with_producer_id(ProducerId(77))
            .with_topics(vec![topic]);
        let response = WriteTxnMarkersResponse::default().with_markers(vec![marker]);
        let mut encoded = BytesMut::new();
        response.encode_old(&mut Writer(&mut encoded), 0).unwrap();
        let mut expected = BytesMut::new();
        expected.put_i32(1);
        expected.put_i64(77);
        expected.put_i32(1);
        expected.put_i16(1);
        expected.put_slice(b"t");
        expected.put_i32(1);
        expected.put_i32(5);
        expected.put_i16(47);
        assert_eq!(encoded, expected);
        assert_eq!(decode_response(encoded.freeze()).unwrap(), response);
    }
}
