//! What a group is asked and what it answers, free of wire types.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use bytes::Bytes;

use super::Error;
use crate::model::TopicPartition;
use crate::state_log::Verification;

/// A consumer wants to be, or stay, a member.
#[derive(Debug, Clone, Default)]
pub struct JoinRequest {
    pub group_id: String,
    /// Empty when the member has no id yet.
    pub member_id: String,
    /// Set for a static member (KIP-345).
    pub instance_id: Option<String>,
    /// A dynamic member must first fetch an id and come back with it (KIP-394).
    pub member_id_required: bool,
    /// The client understands `skip_assignment` in the answer (KIP-814).
    pub skip_assignment_supported: bool,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// Protocol names in order of preference, each with the member's metadata.
    pub protocols: Vec<(String, Bytes)>,
    pub reason: Option<String>,
}

/// The membership of one generation as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub member_id: String,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    /// All members, for the leader alone.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it when it computes the assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

/// A refused join; `member_id` is the id to be used from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinFailure {
    pub error: Error,
    pub member_id: String,
}

/// A member asks for its assignment; the leader also brings everybody's.
#[derive(Debug, Clone, Default)]
pub struct SyncRequest {
    pub group_id: String,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

/// Who speaks, and of which generation; shared by heartbeats and commits.
#[derive(Debug, Clone, Default)]
pub struct MemberRef {
    pub group_id: String,
    /// -1 for a consumer outside the group protocol.
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// One member that leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeavingMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub reason: Option<String>,
}

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    pub partition: TopicPartition,
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: String,
    /// When it was committed by the consumer's own account, in ms since 1970, from
    /// which its retention counts; `None` is now. Only OffsetCommit 1 has it.
    pub committed_ms: Option<i64>,
}

/// The transaction inside which offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Of the group's partition of the internal topic.
    pub verification: Verification,
}

/// The end of a transaction in a partition of the internal topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionEnd {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Leader epoch of the transaction coordinator's partition.
    pub coordinator_epoch: i32,
    /// Else it is aborted.
    pub commit: bool,
}

/// Offsets of one group to commit.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    pub member: MemberRef,
    /// The offsets count once it is committed (KIP-98).
    pub transaction: Option<Transaction>,
    /// Explicit retention from the days before `offsets.retention.minutes`
    /// decided alone (request versions 2 to 4).
    pub retention_ms: Option<i64>,
    pub offsets: Vec<OffsetToCommit>,
}

/// The outcome for each partition of a commit or of a deletion.
pub type PartitionOutcomes = Vec<(TopicPartition, Result<(), Error>)>;

/// A committed offset; `None` in the answer of a fetch when there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: String,
}

/// Asks for committed offsets.
#[derive(Debug, Clone, Default)]
pub struct FetchRequest {
    pub group_id: String,
    /// `None` asks for all partitions.
    pub partitions: Option<Vec<TopicPartition>>,
    /// Refuse offsets with a commit in flight (KIP-447).
    pub require_stable: bool,
}

/// The answer for each partition of an offset fetch.
pub type FetchedOffsets = Vec<(TopicPartition, Result<Option<CommittedOffset>, Error>)>;

/// The states of a group, by Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// No members; there may be committed offsets.
    Empty,
    /// Waits for the members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// On its way out; the tombstones are being written.
    Dead,
}

impl Phase {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// How many groups and committed offsets there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    pub groups: BTreeMap<Phase, usize>,
    pub offsets: usize,
}

impl AddAssign for Census {
    fn add_assign(&mut self, other: Self) {
        for (phase, count) in other.groups {
            *self.groups.entry(phase).or_default() += count;
        }
        self.offsets += other.offsets;
    }
}

/// A group in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub group_id: String,
    pub protocol_type: String,
    pub phase: Phase,
}

/// All groups of this broker; `loading` says that some are not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub groups: Vec<Overview>,
    pub loading: bool,
}

/// A group in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub phase: Phase,
    pub protocol_type: String,
    /// The selected protocol; empty unless the group is stable.
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

/// A member in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}
