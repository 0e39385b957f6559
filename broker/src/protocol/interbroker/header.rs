//! Which requests brokers send each other, and the headers of both directions.
//!
//! The request header has version 2 and the response header version 1 where the
//! request is flexible, and one less where it is not; the first ControlledShutdown
//! has a request header of version 0, which names no client.

use bytes::Bytes;

use super::fields::{Error, Form, Reader, Writer};
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
            Self::LeaderAndIsr => (0, 7),
            Self::StopReplica => (0, 4),
            Self::UpdateMetadata => (0, 8),
            Self::ControlledShutdown => (0, 3),
            Self::AlterPartition => (0, 3),
            Self::AllocateProducerIds => (0, 0),
        }
    }

    /// Whether headers and bodies of this version have tagged fields (KIP-482).
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        let from = match self {
            Self::LeaderAndIsr => 4,
            Self::StopReplica => 2,
            Self::UpdateMetadata => 6,
            Self::ControlledShutdown => 3,
            Self::AlterPartition | Self::AllocateProducerIds => 0,
        };
        version >= from
    }

    /// Whether a request of this version names its client.
    #[must_use]
    pub const fn names_client(self, version: i16) -> bool {
        !matches!((self, version), (Self::ControlledShutdown, 0))
    }

    #[must_use]
    pub fn of(key: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as i16 == key)
    }
}

/// The version in which brokers of a cluster that speaks `cluster` send.
#[must_use]
pub fn version_in(cluster: MetadataVersion, key: InterbrokerKey) -> i16 {
    let at_least = |major, minor, step| cluster >= MetadataVersion::of(major, minor, step);
    match key {
        InterbrokerKey::LeaderAndIsr if at_least(3, 4, 0) => 7,
        InterbrokerKey::LeaderAndIsr if at_least(3, 2, 0) => 6,
        InterbrokerKey::LeaderAndIsr if at_least(2, 8, 1) => 5,
        InterbrokerKey::LeaderAndIsr if at_least(2, 4, 1) => 4,
        InterbrokerKey::LeaderAndIsr if at_least(2, 4, 0) => 3,
        InterbrokerKey::LeaderAndIsr if at_least(2, 2, 0) => 2,
        InterbrokerKey::LeaderAndIsr if at_least(1, 0, 0) => 1,
        InterbrokerKey::LeaderAndIsr => 0,
        InterbrokerKey::StopReplica if at_least(3, 4, 0) => 4,
        InterbrokerKey::StopReplica if at_least(2, 6, 0) => 3,
        InterbrokerKey::StopReplica if at_least(2, 4, 1) => 2,
        InterbrokerKey::StopReplica if at_least(2, 2, 0) => 1,
        InterbrokerKey::StopReplica => 0,
        InterbrokerKey::UpdateMetadata if at_least(3, 4, 0) => 8,
        InterbrokerKey::UpdateMetadata if at_least(2, 8, 1) => 7,
        InterbrokerKey::UpdateMetadata if at_least(2, 4, 1) => 6,
        InterbrokerKey::UpdateMetadata if at_least(2, 2, 0) => 5,
        InterbrokerKey::UpdateMetadata if at_least(1, 0, 0) => 4,
        InterbrokerKey::UpdateMetadata => 3,
        InterbrokerKey::ControlledShutdown if at_least(2, 4, 1) => 3,
        InterbrokerKey::ControlledShutdown if at_least(2, 2, 0) => 2,
        InterbrokerKey::ControlledShutdown => 1,
        // Kafka asks the controller what it knows; each version came with a
        // release that every broker of such a cluster has.
        InterbrokerKey::AlterPartition if at_least(3, 5, 1) => 3,
        InterbrokerKey::AlterPartition if at_least(3, 3, 0) => 2,
        InterbrokerKey::AlterPartition if at_least(3, 2, 0) => 1,
        InterbrokerKey::AlterPartition => 0,
        InterbrokerKey::AllocateProducerIds => 0,
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
    let mut out = Writer::of(form(key, version));
    out.i16(key as i16);
    out.i16(version);
    out.i32(correlation_id);
    if key.names_client(version) {
        out.header_string(client_id);
    }
    out.no_tags();
    out.raw(body);
    out.finish()
}

/// A whole response, without the length prefix.
#[must_use]
pub fn response(key: InterbrokerKey, version: i16, correlation_id: i32, body: &[u8]) -> Bytes {
    let mut out = Writer::of(form(key, version));
    out.i32(correlation_id);
    out.no_tags();
    out.raw(body);
    out.finish()
}

/// Takes a response's header off: the correlation id and the body.
pub fn split_response(
    key: InterbrokerKey,
    version: i16,
    frame: Bytes,
) -> Result<(i32, Bytes), Error> {
    let mut from = Reader::of(frame, form(key, version));
    let correlation_id = from.i32()?;
    from.tags()?;
    Ok((correlation_id, from.rest()))
}

fn form(key: InterbrokerKey, version: i16) -> Form {
    match key.is_flexible(version) {
        true => Form::Flexible,
        false => Form::Plain,
    }
}
