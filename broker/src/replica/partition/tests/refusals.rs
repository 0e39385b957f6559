//! What a leader must not count, and a follower not take, although the epoch is
//! the present one.

use super::*;

fn read_of(site: &Site, leader: BrokerId, offset: Offset) -> Bytes {
    let log = site.replicas[&leader].log.read();
    let bounds = crate::log::ReadBounds {
        max_bytes: usize::MAX,
        upper_bound: Offset::MAX,
        at_least_one_batch: true,
    };
    let slice = log.read(offset, bounds).unwrap().slice;
    slice.unwrap().read().unwrap()
}

/// The log was cut between a question and its answer: what comes after the cut
/// must not be appended before what was cut.
#[test]
fn an_answer_for_another_place_in_the_log_is_not_taken() {
    let site = Site::of(&[1, 2], 1);
    site.tell_all(&decided(1, 0, &[1, 2], &[1, 2]));
    for value in ["a", "b", "c"] {
        site.append(1, value, Acks::Leader).unwrap();
        site.try_fetch(2, 1).unwrap();
    }
    let follower = &site.replicas[&2];
    let asked_at = follower.follow_position(0).unwrap();
    site.append(1, "d", Acks::Leader).unwrap();
    let late = PartitionData::default()
        .with_high_watermark(4)
        .with_log_start_offset(0)
        .with_records(Some(read_of(&site, 1, asked_at.offset)));
    follower.cut_at(0, 1).unwrap();
    assert_eq!(take_part(follower, 0, asked_at, late), Outcome::Done);
    assert_eq!(site.values(2), ["a"], "no hole");
}

/// The ISR shrank below its minimum after the records were committed and before
/// that was told: Kafka says so, although the records are there.
#[test]
fn an_append_is_not_called_safe_once_too_few_are_in_sync() {
    let site = Site::of(&[1, 2], 2);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    let pending = site.append(1, "a", Acks::All).unwrap().unwrap();
    site.catch_up(2, 1);
    assert_eq!(site.high_watermark(1), 1);
    site.tell(1, &decided(1, 1, &[1], &all));
    assert!(matches!(
        pending.outcome(),
        Some(Err(AppendError::NotEnoughReplicasAfterAppend))
    ));
}

/// A follower's fetch was read in one epoch of the leader and is counted in the
/// next: in between the log may have been cut.
#[test]
fn a_fetch_of_an_earlier_epoch_moves_nothing() {
    let site = Site::of(&[1, 2], 1);
    let all = [1, 2];
    site.tell_all(&decided(1, 0, &all, &all));
    site.append(1, "a", Acks::Leader).unwrap();
    site.tell(1, &decided(1, 1, &all, &all));
    let progress = crate::replica::leader::Progress {
        broker_epoch: 1,
        log_end: 1,
        log_start: 0,
        leader_end: 1,
        now: Duration::ZERO,
    };
    let leader = &site.replicas[&1];
    let late = leader.on_follower_fetch(2, 0, &progress);
    assert!(matches!(late, Err(Error::FencedEpoch)), "{late:?}");
    assert_eq!(leader.high_watermark(), 0);
    assert_eq!(leader.on_follower_fetch(2, 1, &progress).unwrap(), 1);
}

/// A broker that stops hears that its leaders have moved before the word on each of
/// them, or instead of it: whoever waits is not to wait for that.
#[test]
fn a_leader_that_stepped_down_keeps_nobody_waiting() {
    let site = Site::of(&[1, 2], 1);
    site.tell_all(&decided(1, 0, &[1, 2], &[1, 2]));
    let pending = site.append(1, "a", Acks::All).unwrap().unwrap();
    site.replicas[&1].step_down();
    assert!(matches!(
        pending.outcome(),
        Some(Err(AppendError::NotLeader))
    ));
    assert!(site.append(1, "b", Acks::All).is_err());
    site.tell_all(&decided(2, 1, &[1, 2], &[1, 2]));
    site.catch_up(1, 2);
    assert_eq!(site.high_watermark(1), site.high_watermark(2));
    let alone = Site::of(&[1], 1);
    alone.tell_all(&decided(1, 0, &[1], &[1]));
    alone.replicas[&1].step_down();
    assert!(alone.append(1, "a", Acks::All).is_ok());
}
