//! Which requests brokers send each other, and the headers of both directions.
//!
//! All served versions are flexible: the request header has version 2 and the
//! response header version 1.

use bytes::Bytes;

use super::fields::{Error, Reader, Writer};
use crate::model::MetadataVersion;

/// The requests that the client protocol's codec does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum InterbrokerKey {
    LeaderAndIsr = 4,
    StopReplica = 5,
    UpdateMetadata = 6,
    ControlledShutdown = 7,
    AlterPartition = 56,
    AllocateProducerIds = 67,
}

impl InterbrokerKey {
    /// In the order of the keys.
    pub const ALL: [Self; 6] = [
        Self::LeaderAndIsr,
        Self::StopReplica,
        Self::UpdateMetadata,
        Self::ControlledShutdown,
        Self::AlterPartition,
        Self::AllocateProducerIds,
    ];

    /// The version that Kafka 3.9 sends, the newest that is served.
    #[must_use]
    pub const fn version(self) -> i16 {
        self.versions().1
    }

    /// The oldest and the newest version that are served.
    #[must_use]
    pub const fn versions(self) -> (i16, i16) {
        match self {
            Self::LeaderAndIsr => (4, 7),
            Self::StopReplica => (3, 4),
            Self::UpdateMetadata => (6, 8),
            Self::ControlledShutdown => (3, 3),
            Self::AlterPartition => (0, 3),
            Self::AllocateProducerIds => (0, 0),
        }
    }

    #[must_use]
    pub fn of(key: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as i16 == key)
    }
}

/// The version in which a controller of a cluster that speaks `cluster` sends.
#[must_use]
pub fn control_version(cluster: MetadataVersion, key: InterbrokerKey) -> i16 {
    let at_least = |major, minor, step| cluster >= MetadataVersion::of(major, minor, step);
    match key {
        InterbrokerKey::LeaderAndIsr if at_least(3, 4, 0) => 7,
        InterbrokerKey::LeaderAndIsr if at_least(3, 2, 0) => 6,
        InterbrokerKey::LeaderAndIsr if at_least(2, 8, 1) => 5,
        InterbrokerKey::LeaderAndIsr => 4,
        InterbrokerKey::StopReplica if at_least(3, 4, 0) => 4,
        InterbrokerKey::StopReplica => 3,
        InterbrokerKey::UpdateMetadata if at_least(3, 4, 0) => 8,
        InterbrokerKey::UpdateMetadata if at_least(2, 8, 1) => 7,
        InterbrokerKey::UpdateMetadata => 6,
        InterbrokerKey::ControlledShutdown
        | InterbrokerKey::AlterPartition
        | InterbrokerKey::AllocateProducerIds => key.version(),
    }
}

/// A whole request, without the length prefix.
#[must_use]
pub fn request(
    key: InterbrokerKey,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    body: &[u8],
) -> Bytes {
    let mut out = Writer::default();
    out.i16(key as i16);
    out.i16(version);
    out.i32(correlation_id);
    out.header_string(client_id);
    out.no_tags();
    out.raw(body);
    out.finish()
}

/// A whole response, without the length prefix.
#[must_use]
pub fn response(correlation_id: i32, body: &[u8]) -> Bytes {
    let mut out = Writer::default();
    out.i32(correlation_id);
    out.no_tags();
    out.raw(body);
    out.finish()
}

/// Takes a response's header off: the correlation id and the body.
pub fn split_response(frame: Bytes) -> Result<(i32, Bytes), Error> {
    let mut from = Reader::new(frame);
    let correlation_id = from.i32()?;
    from.tags()?;
    Ok((correlation_id, from.rest()))
}
