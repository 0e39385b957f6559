//! Requests of every API and version with bytes that fell over: errors, but no
//! panic and no memory that the bytes did not bring.

use bytes::{BufMut, Bytes, BytesMut};
#[allow(clippy::wildcard_imports, reason = "the requests of all APIs")]
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};

use super::legacy::{self, Fields, OldRequest};

const SEED: u64 = 0x5eed;
const ROUNDS: usize = 200;

/// A small generator: the same seed gives the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    /// A byte that means something in some encodings, or any other.
    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => self.next().to_le_bytes()[0],
        }
    }

    fn mutated(&mut self, body: &[u8]) -> Bytes {
        let mut bytes = body.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.insert(at, self.byte()),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = self.byte(),
                _ => {}
            }
        }
        Bytes::from(bytes)
    }
}

/// Bodies with something in every place: as many small numbers as there is room
/// for are strings, counts and lengths that hold together for a while.
fn seeds<R: Encodable + Default>(version: i16) -> Vec<Vec<u8>> {
    let mut default = BytesMut::new();
    let mut all = vec![vec![1; 64], vec![2; 64], [0, 0, 0, 1].repeat(16)];
    if R::default().encode(&mut default, version).is_ok() {
        all.push(default.to_vec());
    }
    all
}

fn fuzz<R: Decodable + Encodable + Default>(first: i16, last: i16) {
    let mut random = Random(SEED);
    for version in first..=last {
        for seed in seeds::<R>(version) {
            for _ in 0..ROUNDS {
                let _ = R::decode(&mut random.mutated(&seed), version);
            }
        }
    }
}

fn fuzz_old<R: OldRequest>(versions: std::ops::Range<i16>) {
    let mut random = Random(SEED);
    for version in versions {
        for seed in [
            vec![0; 64],
            vec![1; 64],
            [0, 0, 0, 1].repeat(16),
            [0, 1].repeat(32),
        ] {
            for _ in 0..ROUNDS {
                let body = random.mutated(&seed);
                let _ = R::decode_old(&mut Fields::new(body), version);
            }
        }
    }
}

macro_rules! fuzz_all {
    ($($key:ident: $request:ty),* $(,)?) => {
        let mut fuzzed = Vec::new();
        $(
            let api = super::api::lookup(kafka_protocol::messages::ApiKey::$key as i16).unwrap();
            let known = api.key.valid_versions();
            fuzz::<$request>(known.min, api.max);
            fuzzed.push(api.key as i16);
        )*
        fuzzed
    };
}

#[test]
fn mutated_requests_of_every_api_and_version_do_not_panic() {
    fn all() -> Vec<i16> {
        fuzz_all! {
            Produce: ProduceRequest, Fetch: FetchRequest, ListOffsets: ListOffsetsRequest,
            Metadata: MetadataRequest, OffsetCommit: OffsetCommitRequest,
            OffsetFetch: OffsetFetchRequest, FindCoordinator: FindCoordinatorRequest,
            JoinGroup: JoinGroupRequest, Heartbeat: HeartbeatRequest,
            LeaveGroup: LeaveGroupRequest, SyncGroup: SyncGroupRequest,
            DescribeGroups: DescribeGroupsRequest, ListGroups: ListGroupsRequest,
            ApiVersions: ApiVersionsRequest, CreateTopics: CreateTopicsRequest,
            DeleteTopics: DeleteTopicsRequest, InitProducerId: InitProducerIdRequest,
            OffsetForLeaderEpoch: OffsetForLeaderEpochRequest,
            DescribeConfigs: DescribeConfigsRequest, CreatePartitions: CreatePartitionsRequest,
            DeleteGroups: DeleteGroupsRequest, OffsetDelete: OffsetDeleteRequest,
            DescribeCluster: DescribeClusterRequest, ElectLeaders: ElectLeadersRequest,
            AlterReplicaLogDirs: AlterReplicaLogDirsRequest,
            DeleteRecords: DeleteRecordsRequest, DescribeLogDirs: DescribeLogDirsRequest,
            AlterPartitionReassignments: AlterPartitionReassignmentsRequest,
            ListPartitionReassignments: ListPartitionReassignmentsRequest,
            AlterConfigs: AlterConfigsRequest,
            IncrementalAlterConfigs: IncrementalAlterConfigsRequest,
            SaslHandshake: SaslHandshakeRequest, SaslAuthenticate: SaslAuthenticateRequest,
            DescribeAcls: DescribeAclsRequest, CreateAcls: CreateAclsRequest,
            DeleteAcls: DeleteAclsRequest, CreateDelegationToken: CreateDelegationTokenRequest,
            RenewDelegationToken: RenewDelegationTokenRequest,
            ExpireDelegationToken: ExpireDelegationTokenRequest,
            DescribeDelegationToken: DescribeDelegationTokenRequest,
            DescribeClientQuotas: DescribeClientQuotasRequest,
            AlterClientQuotas: AlterClientQuotasRequest,
            DescribeUserScramCredentials: DescribeUserScramCredentialsRequest,
            AlterUserScramCredentials: AlterUserScramCredentialsRequest,
            UpdateFeatures: UpdateFeaturesRequest, DescribeProducers: DescribeProducersRequest,
            DescribeTransactions: DescribeTransactionsRequest,
            ListTransactions: ListTransactionsRequest,
            AddPartitionsToTxn: AddPartitionsToTxnRequest,
            AddOffsetsToTxn: AddOffsetsToTxnRequest, EndTxn: EndTxnRequest,
            WriteTxnMarkers: WriteTxnMarkersRequest, TxnOffsetCommit: TxnOffsetCommitRequest,
            ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest,
            ConsumerGroupDescribe: ConsumerGroupDescribeRequest,
        }
    }
    let mut fuzzed = all();
    fuzzed.sort_unstable();
    let served: Vec<i16> = super::api::APIS.iter().map(|api| api.key as i16).collect();
    assert_eq!(fuzzed, served, "what is served is fuzzed");
}

#[test]
fn mutated_requests_of_old_versions_do_not_panic() {
    for (key, first) in legacy::FIRST_KNOWN {
        let versions = *first..key.valid_versions().min;
        use kafka_protocol::messages::ApiKey;
        match key {
            ApiKey::Produce => fuzz_old::<ProduceRequest>(versions),
            ApiKey::Fetch => fuzz_old::<FetchRequest>(versions),
            ApiKey::OffsetCommit => fuzz_old::<OffsetCommitRequest>(versions),
            ApiKey::OffsetFetch => fuzz_old::<OffsetFetchRequest>(versions),
            ApiKey::CreateTopics => fuzz_old::<CreateTopicsRequest>(versions),
            ApiKey::DeleteTopics => fuzz_old::<DeleteTopicsRequest>(versions),
            ApiKey::OffsetForLeaderEpoch => fuzz_old::<OffsetForLeaderEpochRequest>(versions),
            ApiKey::DescribeConfigs => fuzz_old::<DescribeConfigsRequest>(versions),
            ApiKey::AlterReplicaLogDirs => fuzz_old::<AlterReplicaLogDirsRequest>(versions),
            ApiKey::DescribeLogDirs => fuzz_old::<DescribeLogDirsRequest>(versions),
            ApiKey::ListOffsets => fuzz_list_offsets(),
            ApiKey::DescribeAcls => fuzz_old::<DescribeAclsRequest>(versions),
            ApiKey::CreateAcls => fuzz_old::<CreateAclsRequest>(versions),
            ApiKey::DeleteAcls => fuzz_old::<DeleteAclsRequest>(versions),
            ApiKey::CreateDelegationToken => fuzz_old::<CreateDelegationTokenRequest>(versions),
            ApiKey::RenewDelegationToken => fuzz_old::<RenewDelegationTokenRequest>(versions),
            ApiKey::ExpireDelegationToken => fuzz_old::<ExpireDelegationTokenRequest>(versions),
            ApiKey::DescribeDelegationToken => {
                fuzz_old::<DescribeDelegationTokenRequest>(versions);
            }
            ApiKey::WriteTxnMarkers => fuzz_old::<WriteTxnMarkersRequest>(versions),
            other => panic!("{other:?} has old versions and is not fuzzed"),
        }
    }
}

fn fuzz_list_offsets() {
    let mut random = Random(SEED);
    for _ in 0..ROUNDS * 4 {
        let frame = super::RequestFrame {
            api: super::api::lookup(2).unwrap(),
            version: 0,
            correlation_id: 1,
            client_id: None,
            body: random.mutated(&[0, 0, 0, 1].repeat(16)),
        };
        let _ = legacy::ListOffsetsRequestV0::decode(&frame);
    }
}

/// A count of 2 billion behind every prefix of a request.
#[test]
fn huge_counts_anywhere_allocate_nothing() {
    for version in 0..=13 {
        for length in 0..40 {
            let mut body = BytesMut::from(&[1_u8; 40][..length]);
            body.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
            let mut compact = body.clone().freeze();
            let _ = MetadataRequest::decode(&mut compact, version);
            body.put_i32(i32::MAX);
            let mut plain = body.freeze();
            let _ = ProduceRequest::decode(&mut plain, version.max(3));
        }
    }
}
