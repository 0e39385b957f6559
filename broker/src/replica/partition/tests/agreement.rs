//! The same histories with leaders whose Fetch does not tell where two logs
//! part: followers ask by OffsetForLeaderEpoch first.

use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset as Told;

use super::*;
use crate::replica::fetcher::agreement::{Agreement, take_told};

impl Site {
    /// Asks until the logs agree; how often it took.
    fn agree(&self, follower: BrokerId, leader: BrokerId) -> usize {
        let replica = &self.replicas[&follower];
        let epoch = replica.epoch().unwrap();
        for count in 1..10 {
            let last = replica.follow_position(epoch).unwrap().last_epoch;
            let Some(last) = last else { return count };
            let end = self.replicas[&leader].end_of_epoch(last, Some(epoch));
            let told = match end.unwrap() {
                None => Told::default(),
                Some((epoch, end)) => Told::default()
                    .with_leader_epoch(epoch)
                    .with_end_offset(end),
            };
            match take_told(replica, epoch, &told) {
                Agreement::Reached => return count,
                Agreement::Again => {}
                Agreement::Failed => panic!("refused"),
            }
        }
        panic!("the logs never agree");
    }

    /// Takes everything from the leader, which compares no epochs.
    fn copy(&self, follower: BrokerId, leader: BrokerId) {
        let replica = &self.replicas[&follower];
        let epoch = replica.epoch().unwrap();
        for _ in 0..10 {
            let position = replica.follow_position(epoch).unwrap();
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
                current_epoch: Some(epoch),
                last_epoch: None,
            };
            let read = self.replicas[&leader].read(&request).unwrap();
            let data = PartitionData::default()
                .with_high_watermark(read.high_watermark)
                .with_log_start_offset(read.log_start_offset)
                .with_records(read.records.map(bytes_of));
            assert_eq!(take_part(replica, epoch, position, data), Outcome::Done);
        }
    }
}

/// KIP-101, second scenario.
#[test]
fn what_the_leader_does_not_have_goes_before_anything_is_fetched() {
    let mut site = Site::of(&[1, 2], 1);
    site.tell_all(&decided(1, 0, &[1, 2], &[1, 2]));
    for value in ["a", "b"] {
        site.append(1, value, Acks::All).unwrap();
        site.catch_up(2, 1);
    }
    site.lose_from(2, 1, 1);
    site.tell(2, &decided(2, 1, &[2], &[1, 2]));
    site.append(2, "c", Acks::All).unwrap();
    site.start(1, 1);
    site.tell(1, &decided(2, 1, &[2], &[1, 2]));
    assert_eq!(site.agree(1, 2), 1);
    site.copy(1, 2);
    assert_eq!(site.values(1), ["a", "c"]);
}

/// KIP-279: one question is not enough.
#[test]
fn the_leader_is_asked_again_about_an_epoch_that_the_follower_lacks() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "a", Acks::Leader).unwrap();
    site.catch_up(2, 1);
    site.tell(2, &decided(2, 1, &[2], &all));
    site.append(2, "b2", Acks::Leader).unwrap();
    site.append(2, "c2", Acks::Leader).unwrap();
    site.tell(1, &decided(1, 2, &[1], &all));
    site.append(1, "b1", Acks::Leader).unwrap();
    site.tell_all(&decided(2, 3, &[2], &all));
    // 1 has epoch 2, of which 2 knows only what came before: the end of 1.
    assert_eq!(site.agree(1, 2), 2);
    site.copy(1, 2);
    assert_eq!(site.values(1), ["a", "b2", "c2"]);
}
