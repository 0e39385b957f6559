//! The APIs that this broker serves and their versions.

use kafka_protocol::messages::ApiKey;

use super::interbroker::InterbrokerKey;

/// One API with the versions that its handler serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    pub key: ApiKey,
    pub min: i16,
    pub max: i16,
}

const fn api(key: ApiKey, min: i16, max: i16) -> Api {
    Api { key, min, max }
}

/// Everything that is dispatched, in the order of the keys.
///
/// Maxima are Kafka 4.1's where the handler knows the version's meaning; minima
/// are Kafka 3.9's: what the codec's crate has forgotten is in `legacy`.
pub const APIS: &[Api] = &[
    api(ApiKey::Produce, 0, 13),
    api(ApiKey::Fetch, 0, 18),
    api(ApiKey::ListOffsets, 0, 10),
    api(ApiKey::Metadata, 0, 13),
    api(ApiKey::OffsetCommit, 0, 9),
    api(ApiKey::OffsetFetch, 0, 9),
    api(ApiKey::FindCoordinator, 0, 6),
    api(ApiKey::JoinGroup, 0, 9),
    api(ApiKey::Heartbeat, 0, 4),
    api(ApiKey::LeaveGroup, 0, 5),
    api(ApiKey::SyncGroup, 0, 5),
    api(ApiKey::DescribeGroups, 0, 6),
    api(ApiKey::ListGroups, 0, 5),
    api(ApiKey::SaslHandshake, 0, 1),
    api(ApiKey::ApiVersions, 0, 4),
    api(ApiKey::CreateTopics, 0, 7),
    api(ApiKey::DeleteTopics, 0, 6),
    api(ApiKey::DeleteRecords, 0, 2),
    api(ApiKey::InitProducerId, 0, 5),
    api(ApiKey::OffsetForLeaderEpoch, 0, 4),
    api(ApiKey::AddPartitionsToTxn, 0, 5),
    api(ApiKey::AddOffsetsToTxn, 0, 4),
    api(ApiKey::EndTxn, 0, 4),
    api(ApiKey::WriteTxnMarkers, 0, 1),
    api(ApiKey::TxnOffsetCommit, 0, 4),
    api(ApiKey::DescribeAcls, 0, 3),
    api(ApiKey::CreateAcls, 0, 3),
    api(ApiKey::DeleteAcls, 0, 3),
    api(ApiKey::DescribeConfigs, 0, 4),
    api(ApiKey::AlterConfigs, 0, 2),
    api(ApiKey::AlterReplicaLogDirs, 0, 2),
    api(ApiKey::DescribeLogDirs, 0, 4),
    api(ApiKey::SaslAuthenticate, 0, 2),
    api(ApiKey::CreatePartitions, 0, 3),
    api(ApiKey::CreateDelegationToken, 0, 3),
    api(ApiKey::RenewDelegationToken, 0, 2),
    api(ApiKey::ExpireDelegationToken, 0, 2),
    api(ApiKey::DescribeDelegationToken, 0, 3),
    api(ApiKey::DeleteGroups, 0, 2),
    api(ApiKey::ElectLeaders, 0, 2),
    api(ApiKey::IncrementalAlterConfigs, 0, 1),
    api(ApiKey::AlterPartitionReassignments, 0, 1),
    api(ApiKey::ListPartitionReassignments, 0, 0),
    api(ApiKey::OffsetDelete, 0, 0),
    api(ApiKey::DescribeClientQuotas, 0, 1),
    api(ApiKey::AlterClientQuotas, 0, 1),
    api(ApiKey::DescribeUserScramCredentials, 0, 0),
    api(ApiKey::AlterUserScramCredentials, 0, 0),
    api(ApiKey::UpdateFeatures, 0, 1),
    api(ApiKey::DescribeCluster, 0, 2),
    api(ApiKey::DescribeProducers, 0, 0),
    api(ApiKey::DescribeTransactions, 0, 0),
    api(ApiKey::ListTransactions, 0, 2),
    api(ApiKey::ConsumerGroupHeartbeat, 0, 0),
    api(ApiKey::ConsumerGroupDescribe, 0, 0),
];

/// Key, first and last version of everything that is served, brokers' own
/// requests among them, in the order of the keys.
#[must_use]
pub fn listing() -> Vec<(i16, i16, i16)> {
    let ours = InterbrokerKey::ALL.map(|key| {
        let (oldest, newest) = key.versions();
        (key as i16, oldest, newest)
    });
    let clients = APIS.iter().map(|api| (api.key as i16, api.min, api.max));
    let mut all: Vec<_> = clients.chain(ours).collect();
    all.sort_unstable();
    all
}

/// The served versions of the API with this key.
#[must_use]
pub fn lookup(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::legacy;

    #[test]
    fn keys_ascend_and_the_codec_knows_every_version() {
        assert!(APIS.is_sorted_by_key(|api| api.key as i16));
        for api in APIS {
            let known = api.key.valid_versions();
            let first = legacy::first_version(api.key);
            assert!(first <= api.min && api.max <= known.max, "{api:?}");
        }
    }

    #[test]
    fn every_key_is_listed_once_with_those_of_brokers() {
        let listing = listing();
        assert!(listing.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(listing.len(), APIS.len() + InterbrokerKey::ALL.len());
        for expected in [(4, 0, 7), (5, 0, 4), (6, 0, 8), (7, 0, 3), (56, 0, 3)] {
            assert!(listing.contains(&expected), "{expected:?}");
        }
    }
}
