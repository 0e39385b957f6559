//! Replicas of one partition without a network in between: what a leader reads
//! out is what a follower takes in, by the code that does it in a broker.
//!
//! The scenarios are those by which replicated logs lost records before
//! KIP-101, KIP-279, KIP-320 and KIP-966.

mod agreement;
mod refusals;
mod unheard;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use common::wire::Part;
use kafka_protocol::messages::fetch_response::{EpochEndOffset, PartitionData};
use parking_lot::RwLock;

use super::*;
use crate::model::{ControllerEpoch, TopicName};
use crate::protocol::interbroker::{ControlHeader, LiveBroker, UpdateMetadataRequest};
use crate::record::{BatchBuilder, Batches, Compression};
use crate::replica::fetcher::exchange::{Outcome, take_part};
use crate::replica::quota::Windows;
use crate::replica::{Acks, AppendError, Isolation};

const LAG_MAX: Duration = Duration::from_secs(30);

/// Some brokers with a replica of `t-0` each; the clock stands still.
struct Site {
    dir: tempfile::TempDir,
    in_sync_min: i32,
    cluster: Arc<Cluster>,
    replicas: BTreeMap<BrokerId, Arc<Partition>>,
}

impl Site {
    fn of(ids: &[BrokerId], in_sync_min: i32) -> Self {
        let mut site = Self {
            dir: tempfile::tempdir().unwrap(),
            in_sync_min,
            cluster: Arc::default(),
            replicas: BTreeMap::new(),
        };
        site.are_alive(ids);
        for id in ids {
            site.start(*id, 0);
        }
        site
    }

    fn are_alive(&self, ids: &[BrokerId]) {
        let live = |id: &BrokerId| LiveBroker {
            id: *id,
            epoch: 1,
            endpoints: Vec::new(),
            rack: None,
        };
        self.cluster.apply(&UpdateMetadataRequest {
            header: ControlHeader {
                controller_id: 1,
                controller_epoch: 1,
                broker_epoch: 1,
            },
            partitions: Vec::new(),
            offline_replicas: Vec::new(),
            topic_ids: Vec::new(),
            live_brokers: ids.iter().map(live).collect(),
        });
    }

    fn log_dir(&self, id: BrokerId) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    /// Starts (again) with a high watermark of its checkpoint.
    fn start(&mut self, id: BrokerId, high_watermark: Offset) {
        self.replicas.remove(&id);
        let config = LogConfig {
            min_insync_replicas: self.in_sync_min,
            ..LogConfig::default()
        };
        let log = crate::log::open_for_tests(&self.log_dir(id), &config);
        let around = Arc::new(Surroundings {
            own_id: id,
            clock: Arc::new(common::clock::ManualClock::new()),
            cluster: self.cluster.clone(),
            lag_max: LAG_MAX,
            isr_queue: Queue::default(),
            quotas: Arc::new(Quotas::new(
                Windows::default(),
                Windows::default(),
                &common::clock::system(),
            )),
            pulse: Pulse::default(),
            metrics: crate::metrics::Metrics::new(Vec::new()),
            broker_epoch: AtomicI64::new(1),
        });
        let log = Arc::new(RwLock::new(log));
        let partition = Partition::new(partition_id(), around, log, high_watermark);
        self.replicas.insert(id, Arc::new(partition));
    }

    /// Loses everything from `offset` on, as a power cut does; starts again.
    fn lose_from(&mut self, id: BrokerId, offset: Offset, high_watermark: Offset) {
        let replica = &self.replicas[&id];
        replica.log.write().truncate_to(offset, 0).unwrap();
        self.start(id, high_watermark);
    }

    /// The controller's word to `id`.
    fn tell(&self, id: BrokerId, decided: &PartitionState) {
        match decided.leader == id {
            true => self.replicas[&id].become_leader(decided).unwrap(),
            false => drop(self.replicas[&id].become_follower(decided).unwrap()),
        }
    }

    fn tell_all(&self, decided: &PartitionState) {
        for id in self.replicas.keys() {
            self.tell(*id, decided);
        }
    }

    fn append(
        &self,
        id: BrokerId,
        value: &str,
        acks: Acks,
    ) -> Result<Option<Pending>, AppendError> {
        let mut builder = BatchBuilder::new(Compression::None);
        assert!(builder.push(0, None, Some(value.as_bytes()), &[]));
        let appended = self.replicas[&id].append(builder.build().unwrap(), acks);
        appended.map(|(_, pending)| pending)
    }

    /// One fetch of `follower`; the code with which its leader refused it.
    fn try_fetch(&self, follower: BrokerId, leader: BrokerId) -> Result<Outcome, Error> {
        let replica = &self.replicas[&follower];
        let Role::Follower(following) = replica.state.lock().role else {
            panic!("{follower} does not follow");
        };
        let position = replica.follow_position(following.epoch).unwrap();
        let request = ReadRequest {
            reader: Reader::Follower {
                id: follower,
                broker_epoch: 1,
                log_start: position.log_start,
            },
            offset: position.offset,
            bytes_max: 1 << 20,
            whole_batch: true,
            isolation: Isolation::LogEnd,
            current_epoch: Some(following.epoch),
            last_epoch: position.last_epoch,
        };
        let read = self.replicas[&leader].read(&request)?;
        let mut data = PartitionData::default()
            .with_high_watermark(read.high_watermark)
            .with_log_start_offset(read.log_start_offset)
            .with_records(read.records.map(bytes_of));
        if let Some((epoch, end)) = read.diverging {
            data.diverging_epoch = EpochEndOffset::default()
                .with_epoch(epoch)
                .with_end_offset(end);
        }
        Ok(take_part(replica, following.epoch, position, data))
    }

    /// Fetches until both logs and the high watermarks are the same.
    fn catch_up(&self, follower: BrokerId, leader: BrokerId) {
        for _ in 0..10 {
            assert_eq!(self.try_fetch(follower, leader).unwrap(), Outcome::Done);
        }
        assert_eq!(self.values(follower), self.values(leader));
    }

    fn values(&self, id: BrokerId) -> Vec<String> {
        let log = self.replicas[&id].log.read();
        let bounds = crate::log::ReadBounds {
            max_bytes: usize::MAX,
            upper_bound: Offset::MAX,
            at_least_one_batch: true,
        };
        let slice = log.read(0, bounds).unwrap().slice;
        let bytes = slice.map(|slice| slice.read().unwrap()).unwrap_or_default();
        let mut values = Vec::new();
        for batch in Batches::strict(bytes) {
            for record in batch.unwrap().records(1 << 20).unwrap() {
                let value = record.unwrap().value.unwrap();
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        values
    }

    fn high_watermark(&self, id: BrokerId) -> Offset {
        self.replicas[&id].high_watermark()
    }
}

/// A partition that nobody told anything, for tests of other modules.
pub(in crate::replica) fn any_partition(index: i32) -> (TopicPartition, Arc<Partition>) {
    let site = Site::of(&[1], 1);
    let id = TopicPartition::new(TopicName::new("t").unwrap(), index);
    (id, site.replicas[&1].clone())
}

/// Lets a partition follow a leader in `epoch`.
pub(in crate::replica) fn follow_in(partition: &Partition, epoch: LeaderEpoch) {
    partition
        .become_follower(&decided(2, epoch, &[1, 2], &[1, 2]))
        .unwrap();
}

fn bytes_of(part: Part) -> Bytes {
    match part {
        Part::Memory(bytes) => bytes,
        Part::File(range) => {
            let mut bytes = vec![0; range.length];
            let read = range.source.read_at(range.position, &mut bytes).unwrap();
            assert_eq!(read, range.length);
            bytes.into()
        }
    }
}

fn partition_id() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), 0)
}

fn decided(
    leader: BrokerId,
    epoch: LeaderEpoch,
    isr: &[BrokerId],
    all: &[BrokerId],
) -> PartitionState {
    const CONTROLLER_EPOCH: ControllerEpoch = 1;
    PartitionState {
        topic_partition: partition_id(),
        controller_epoch: CONTROLLER_EPOCH,
        leader,
        leader_epoch: epoch,
        isr: isr.to_vec(),
        partition_epoch: epoch,
        replicas: all.to_vec(),
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
        is_new: false,
        leader_recovery_state: 0,
    }
}

#[test]
fn an_append_is_committed_once_every_in_sync_replica_has_it() {
    let site = Site::of(&[1, 2], 2);
    site.tell_all(&decided(1, 0, &[1, 2], &[1, 2]));
    let pending = site.append(1, "a", Acks::All).unwrap().expect("not yet");
    assert!(pending.outcome().is_none());
    site.try_fetch(2, 1).unwrap();
    assert!(pending.outcome().is_none(), "sent is not had");
    site.try_fetch(2, 1).unwrap();
    assert!(matches!(pending.outcome(), Some(Ok(()))));
    assert_eq!((site.high_watermark(1), site.high_watermark(2)), (1, 1));
}

/// KIP-101, first scenario: a follower that restarts before it hears of the
/// newest high watermark has records beyond the one it knows. They are
/// committed, and stay although it becomes the leader next.
#[test]
fn kip_101_a_restarted_follower_keeps_what_is_committed() {
    let mut site = Site::of(&[1, 2], 2);
    site.tell_all(&decided(1, 0, &[1, 2], &[1, 2]));
    site.append(1, "a", Acks::All).unwrap();
    site.catch_up(2, 1);
    let pending = site.append(1, "b", Acks::All).unwrap().unwrap();
    site.try_fetch(2, 1).unwrap();
    // The leader learns that 2 has it; 2 does not learn that it is committed.
    let answer = site.replicas[&2].follow_position(0).unwrap();
    let request = ReadRequest {
        reader: Reader::Follower {
            id: 2,
            broker_epoch: 1,
            log_start: 0,
        },
        offset: answer.offset,
        bytes_max: 1 << 20,
        whole_batch: true,
        isolation: Isolation::LogEnd,
        current_epoch: Some(0),
        last_epoch: answer.last_epoch,
    };
    site.replicas[&1].read(&request).unwrap();
    assert!(matches!(pending.outcome(), Some(Ok(()))), "acknowledged");

    site.start(2, 1);
    site.tell(2, &decided(1, 0, &[1, 2], &[1, 2]));
    assert_eq!(site.values(2), ["a", "b"], "nothing is cut on suspicion");
    site.tell(2, &decided(2, 1, &[2], &[1, 2]));
    assert_eq!(site.values(2), ["a", "b"]);
    site.start(1, 2);
    site.tell(1, &decided(2, 1, &[2], &[1, 2]));
    site.catch_up(1, 2);
    assert_eq!(site.values(1), ["a", "b"]);
}

/// KIP-101, second scenario: both replicas lose power, and the one that comes
/// back first has less. What the other has beyond that gives way to what the
/// leader wrote at the same offset.
#[test]
fn kip_101_logs_that_grew_apart_come_together() {
    let mut site = Site::of(&[1, 2], 1);
    site.tell_all(&decided(1, 0, &[1, 2], &[1, 2]));
    site.append(1, "a", Acks::All).unwrap();
    site.catch_up(2, 1);
    site.append(1, "b", Acks::All).unwrap();
    site.catch_up(2, 1);
    site.lose_from(2, 1, 1);
    site.tell(2, &decided(2, 1, &[2], &[1, 2]));
    site.append(2, "c", Acks::All).unwrap();
    site.start(1, 1);
    site.tell(1, &decided(2, 1, &[2], &[1, 2]));
    site.catch_up(1, 2);
    assert_eq!(site.values(1), ["a", "c"]);
}

/// KIP-279: leaders change faster than followers fetch, so a follower has an
/// epoch that the leader lacks, and the leader one that the follower lacks.
#[test]
fn kip_279_a_follower_steps_back_through_epochs_that_its_leader_lacks() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "a", Acks::Leader).unwrap();
    site.catch_up(2, 1);
    // Each leads alone for a while, in turns, without the other hearing.
    site.tell(2, &decided(2, 1, &[2], &all));
    site.append(2, "b2", Acks::Leader).unwrap();
    site.tell(1, &decided(1, 2, &[1], &all));
    site.append(1, "b1", Acks::Leader).unwrap();
    site.append(1, "c1", Acks::Leader).unwrap();
    site.tell(2, &decided(2, 3, &[2], &all));
    site.append(2, "c2", Acks::Leader).unwrap();
    site.append(2, "d2", Acks::Leader).unwrap();

    let last = decided(2, 4, &[2], &all);
    site.tell_all(&last);
    site.catch_up(1, 2);
    assert_eq!(site.values(1), ["a", "b2", "c2", "d2"]);
    let epochs = |id| {
        let log = site.replicas[&id].log.read();
        (0..=4)
            .map(|epoch| {
                log.end_offset_for(epoch)
                    .map(|end| (end.epoch, end.end_offset))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(epochs(1)[..=3], epochs(2)[..=3]);
}

/// KIP-320: a leader that does not know that it was replaced cannot commit
/// anything, since its followers ask in the new epoch and those it still has
/// are not believed.
#[test]
fn kip_320_a_leader_of_the_past_commits_nothing() {
    let site = Site::of(&[1, 2, 3], 2);
    let all = [1, 2, 3];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "a", Acks::All).unwrap();
    site.catch_up(2, 1);
    site.catch_up(3, 1);
    site.catch_up(2, 1);
    let committed = site.high_watermark(1);
    assert_eq!(committed, 1);
    // 1 is paused; 2 leads.
    let next = decided(2, 1, &[2, 3], &all);
    site.tell(2, &next);
    site.tell(3, &next);
    site.append(2, "b", Acks::All).unwrap();
    site.catch_up(3, 2);

    // 1 goes on, and believes to lead.
    let pending = site.append(1, "zombie", Acks::All).unwrap().unwrap();
    let refused = site.try_fetch(3, 1);
    assert!(matches!(refused, Err(Error::UnknownEpoch)), "{refused:?}");
    assert_eq!(site.high_watermark(1), committed);
    assert!(pending.outcome().is_none(), "it must not be acknowledged");
    // A reader that knows of the new epoch is not misled either.
    let meant = site.replicas[&1].end_of_epoch(0, Some(1));
    assert!(matches!(meant, Err(Error::UnknownEpoch)));
    let meant = site.replicas[&2].end_of_epoch(0, Some(0));
    assert!(matches!(meant, Err(Error::FencedEpoch)));

    site.tell(1, &next);
    assert!(matches!(
        pending.outcome(),
        Some(Err(AppendError::NotLeader))
    ));
    site.catch_up(1, 2);
    assert_eq!(site.values(1), ["a", "b"]);
}

/// KIP-320: what an older leader answered late is not appended.
#[test]
fn kip_320_an_answer_of_an_older_epoch_is_not_taken() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "old", Acks::Leader).unwrap();
    let replica = &site.replicas[&2];
    let position = replica.follow_position(0).unwrap();
    let log = site.replicas[&1].log.read();
    let bounds = crate::log::ReadBounds {
        max_bytes: usize::MAX,
        upper_bound: Offset::MAX,
        at_least_one_batch: true,
    };
    let records = log.read(0, bounds).unwrap().slice.unwrap().read().unwrap();
    drop(log);
    let late = PartitionData::default()
        .with_high_watermark(1)
        .with_log_start_offset(0)
        .with_records(Some(records));
    site.tell(2, &decided(1, 1, &all, &all));
    assert_eq!(take_part(replica, 0, position, late.clone()), Outcome::Done);
    assert!(site.values(2).is_empty());
    site.tell(2, &decided(2, 2, &[2], &all));
    take_part(replica, 1, position, late);
    assert!(site.values(2).is_empty(), "a leader does not follow");
}

/// KIP-966: a replica that is alone in the ISR commits nothing where two are
/// needed, so that what only it has was never acknowledged.
#[test]
fn kip_966_the_last_replica_commits_nothing_alone() {
    let site = Site::of(&[1, 2], 2);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "a", Acks::All).unwrap();
    site.catch_up(2, 1);
    let pending = site.append(1, "b", Acks::All).unwrap().unwrap();
    site.tell(1, &decided(1, 1, &[1], &all));
    assert!(matches!(
        site.append(1, "c", Acks::All),
        Err(AppendError::NotEnoughReplicas)
    ));
    site.append(1, "unsafe", Acks::Leader).unwrap();
    assert_eq!(site.high_watermark(1), 1);
    assert!(pending.outcome().is_none());
}

/// A leader that lost its role and got it back must not take an append of the
/// first time for one of the second: its log may have been cut in between.
#[test]
fn an_append_of_an_earlier_leadership_is_not_acknowledged_by_a_later_one() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    let pending = site.append(1, "lost", Acks::All).unwrap().unwrap();
    site.tell_all(&decided(2, 1, &[2], &all));
    site.append(2, "other", Acks::All).unwrap();
    site.catch_up(1, 2);
    site.tell_all(&decided(1, 2, &[1], &all));
    assert_eq!(site.high_watermark(1), 1);
    assert!(matches!(
        pending.outcome(),
        Some(Err(AppendError::NotLeader))
    ));
}

#[test]
fn an_append_outlives_a_new_epoch_of_the_same_leader() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    let pending = site.append(1, "a", Acks::All).unwrap().unwrap();
    site.tell_all(&decided(1, 1, &all, &all));
    site.catch_up(2, 1);
    assert!(matches!(pending.outcome(), Some(Ok(()))));
}

#[test]
fn a_new_leader_says_that_it_does_not_know_the_end_yet() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "a", Acks::All).unwrap();
    site.try_fetch(2, 1).unwrap();
    site.tell(2, &decided(2, 1, &all, &all));
    let latest = |isolation| site.replicas[&2].offset_at(OffsetQuery::Latest, isolation, None);
    let early = latest(Isolation::ReadUncommitted);
    assert!(matches!(early, Err(Error::OffsetNotAvailable)), "{early:?}");
    assert_eq!(latest(Isolation::LogEnd).unwrap().unwrap().offset, 1);
    site.tell(1, &decided(2, 1, &all, &all));
    site.catch_up(1, 2);
    let known = latest(Isolation::ReadUncommitted).unwrap().unwrap();
    assert_eq!(known.offset, 1);
}
