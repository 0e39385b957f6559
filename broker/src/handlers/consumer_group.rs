//! ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848): known, but not
//! spoken by a Kafka with ZooKeeper, which says so.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse,
};

pub(crate) fn heartbeat() -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
}

pub(crate) fn describe(request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|id| {
        DescribedGroup::default()
            .with_group_id(id)
            .with_error_code(ResponseError::UnsupportedVersion.code())
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}
