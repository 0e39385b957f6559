//! The versions of the client protocol that the general codec has forgotten.
//!
//! Flow: a request below the codec's first version is decoded here into the
//! codec's own struct, with the defaults that its missing fields stand for;
//! the handler sees no difference but the version. Its response is encoded
//! here in the same version.
//!
//! **Invariant:** `FIRST_KNOWN` says which versions are handled here, and the
//! API table advertises nothing below them.
//! **Invariant:** nothing is allocated that the request's bytes did not bring.

mod acls;
mod configs;
mod fetch;
mod fields;
pub(crate) mod leader_epoch;
mod list_offsets;
mod log_dirs;
mod offsets;
mod produce;
#[cfg(test)]
mod tests;
mod tokens;
mod topics;
pub(crate) mod txn_markers;

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

pub use self::fields::{Fields, Writer};
pub use self::list_offsets::{AnswerV0, ListOffsetsRequestV0, ListOffsetsResponseV0, PartitionV0};

pub use self::offsets::DatedOffsetCommit;
pub use super::codec::Malformed;

/// The APIs with versions that are handled here, and the first such version.
/// The last one is the one before the codec's first.
pub(crate) const FIRST_KNOWN: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 0),
    (ApiKey::Fetch, 0),
    (ApiKey::ListOffsets, 0),
    (ApiKey::OffsetCommit, 0),
    (ApiKey::OffsetFetch, 0),
    (ApiKey::CreateTopics, 0),
    (ApiKey::DeleteTopics, 0),
    (ApiKey::OffsetForLeaderEpoch, 0),
    (ApiKey::WriteTxnMarkers, 0),
    (ApiKey::DescribeAcls, 0),
    (ApiKey::CreateAcls, 0),
    (ApiKey::DeleteAcls, 0),
    (ApiKey::DescribeConfigs, 0),
    (ApiKey::AlterReplicaLogDirs, 0),
    (ApiKey::DescribeLogDirs, 0),
    (ApiKey::CreateDelegationToken, 0),
    (ApiKey::RenewDelegationToken, 0),
    (ApiKey::ExpireDelegationToken, 0),
    (ApiKey::DescribeDelegationToken, 0),
];

/// A request that has versions older than the general codec's.
pub trait OldRequest: Decodable + Sized {
    /// Decodes a version below the codec's first one.
    fn decode_old(from: &mut Fields, version: i16) -> Result<Self, Malformed>;
}

/// A response that has versions older than the general codec's.
pub trait OldResponse: Encodable + HeaderVersion {
    /// Encodes a version below the codec's first one.
    fn encode_old(&self, out: &mut Writer<'_>, version: i16) -> Result<(), Malformed>;
}

/// The first version of this API that can be decoded at all.
#[must_use]
pub fn first_version(key: ApiKey) -> i16 {
    let here = FIRST_KNOWN.iter().find(|(known, _)| *known == key);
    here.map_or_else(|| key.valid_versions().min, |(_, first)| *first)
}

/// Says whether this version is handled here and not by the general codec.
#[must_use]
pub(super) fn is_old(key: ApiKey, version: i16) -> bool {
    version < key.valid_versions().min
}

/// Encodes the body of an old response.
pub(super) fn encode<R: OldResponse>(
    response: &R,
    version: i16,
    out: &mut BytesMut,
) -> Result<(), Malformed> {
    response.encode_old(&mut Writer(out), version)
}
