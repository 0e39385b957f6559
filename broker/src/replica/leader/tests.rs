//! The rules of commitment and of the ISR, as tables.

use crate::model::{TopicName, TopicPartition};

use super::*;

const NOBODY_DIED: &dyn Fn(BrokerId) -> bool = &|_| true;
const LAG_MAX: Duration = Duration::from_secs(30);

fn decided(isr: &[BrokerId], replicas: &[BrokerId]) -> PartitionState {
    PartitionState {
        topic_partition: TopicPartition::new(TopicName::new("t").unwrap(), 0),
        controller_epoch: 1,
        leader: 1,
        leader_epoch: 4,
        isr: isr.to_vec(),
        partition_epoch: 7,
        replicas: replicas.to_vec(),
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
        is_new: false,
        leader_recovery_state: 0,
    }
}

fn leader(isr: &[BrokerId], replicas: &[BrokerId]) -> LeaderState {
    LeaderState::new(1, &decided(isr, replicas), 5, Duration::ZERO)
}

fn rules(log_end: Offset, in_sync_min: i32, now_s: u64) -> Rules<'static> {
    Rules {
        log_end,
        in_sync_min,
        lag_max: LAG_MAX,
        now: Duration::from_secs(now_s),
        is_alive: NOBODY_DIED,
    }
}

fn fetch(leader: &mut LeaderState, id: BrokerId, log_end: Offset, leader_end: Offset, now_s: u64) {
    let progress = Progress {
        broker_epoch: 10,
        log_end,
        log_start: 0,
        leader_end,
        now: Duration::from_secs(now_s),
    };
    leader.on_fetch(id, &progress).unwrap();
}

fn altered(isr: &[BrokerId], partition_epoch: PartitionEpoch) -> Result<AlteredIsr, i16> {
    Ok(AlteredIsr {
        leader: 1,
        leader_epoch: 4,
        isr: isr.to_vec(),
        recovery: 0,
        partition_epoch,
    })
}

#[test]
fn the_slowest_in_sync_replica_decides() {
    let alone = leader(&[1], &[1]);
    assert_eq!(alone.high_watermark(&rules(7, 1, 0)), Some(7));
    let silent = leader(&[1, 2], &[1, 2, 3]);
    assert_eq!(silent.high_watermark(&rules(7, 1, 0)), None);
    let mut heard = silent;
    fetch(&mut heard, 2, 5, 7, 1);
    assert_eq!(heard.high_watermark(&rules(7, 1, 1)), Some(5));
    let shrunk = heard.continued(1, &decided(&[1], &[1, 2, 3]), 5, Duration::ZERO);
    assert_eq!(
        shrunk.high_watermark(&rules(7, 1, 60)),
        Some(7),
        "a replica that is out and behind is not waited for"
    );
    let grown = shrunk.continued(1, &decided(&[1, 2], &[1, 2, 3]), 5, Duration::ZERO);
    assert_eq!(
        grown.high_watermark(&rules(7, 1, 60)),
        Some(5),
        "what was heard is kept"
    );
}

#[test]
fn nothing_is_committed_below_the_least_number_of_replicas() {
    let alone = leader(&[1], &[1, 2, 3]);
    assert_eq!(alone.high_watermark(&rules(9, 2, 60)), None);
    assert_eq!(alone.high_watermark(&rules(9, 1, 60)), Some(9));
    let single = leader(&[1], &[1]);
    assert_eq!(
        single.high_watermark(&rules(9, 2, 60)),
        Some(9),
        "there are no more replicas than one"
    );
}

#[test]
fn a_replica_that_is_about_to_join_is_waited_for() {
    let mut leader = leader(&[1, 2], &[1, 2, 3]);
    fetch(&mut leader, 2, 9, 9, 1);
    fetch(&mut leader, 3, 6, 6, 1);
    assert_eq!(leader.high_watermark(&rules(9, 1, 1)), Some(6));
    let dead = |id| id != 3;
    let dead_rules = Rules {
        is_alive: &dead,
        ..rules(9, 1, 1)
    };
    assert_eq!(leader.high_watermark(&dead_rules), Some(9));
    assert_eq!(leader.high_watermark(&rules(9, 1, 60)), Some(9));
}

#[test]
fn a_follower_joins_once_it_has_all_that_counts() {
    let mut leader = leader(&[1], &[1, 2]);
    // The epoch began at 5.
    for (log_end, high_watermark, joins) in [(4, 3, false), (5, 6, false), (6, 6, true)] {
        fetch(&mut leader, 2, log_end, 8, 1);
        let expanded = leader.maybe_expand(2, high_watermark, NOBODY_DIED);
        assert_eq!(expanded, joins, "{log_end} {high_watermark}");
    }
    assert_eq!(leader.proposal().unwrap().isr, [1, 2]);
    assert_eq!(leader.isr, [1]);
    assert_eq!(leader.maximal_isr(), [1, 2]);
    assert_eq!(
        leader.high_watermark(&rules(8, 1, 100)),
        Some(6),
        "a proposed member is waited for before it is one"
    );
    assert!(!leader.maybe_expand(2, 6, NOBODY_DIED), "one at a time");
    assert_eq!(
        leader.on_answer(1, &altered(&[1, 2], 8)),
        Answered::Committed
    );
    assert_eq!(
        (leader.isr.as_slice(), leader.partition_epoch),
        (&[1, 2][..], 8)
    );
    assert!(leader.proposal().is_none());
}

#[test]
fn a_dead_broker_is_not_taken_in() {
    let mut leader = leader(&[1], &[1, 2]);
    fetch(&mut leader, 2, 8, 8, 1);
    assert!(!leader.maybe_expand(2, 6, &|id| id != 2));
    assert!(!leader.maybe_expand(3, 6, NOBODY_DIED), "no replica");
}

#[test]
fn whoever_lags_for_too_long_leaves_and_is_waited_for_until_then() {
    let mut leader = leader(&[1, 2, 3], &[1, 2, 3]);
    fetch(&mut leader, 2, 9, 9, 20);
    fetch(&mut leader, 3, 6, 9, 20);
    assert!(!leader.maybe_shrink(&rules(9, 1, 30)), "in time");
    assert!(leader.maybe_shrink(&rules(9, 1, 31)));
    assert_eq!(leader.proposal().unwrap().isr, [1, 2]);
    assert_eq!(leader.high_watermark(&rules(9, 1, 31)), Some(6));
    assert_eq!(
        leader.on_answer(1, &altered(&[1, 2], 8)),
        Answered::Committed
    );
    assert_eq!(leader.high_watermark(&rules(9, 1, 31)), Some(9));
}

#[test]
fn one_that_keeps_pace_stays_although_it_never_reaches_the_end() {
    let mut leader = leader(&[1, 2], &[1, 2]);
    for second in 1..100 {
        // It always has what the leader had at its last fetch.
        let end = i64::try_from(second).unwrap() * 10;
        fetch(&mut leader, 2, end, end + 10, second);
    }
    assert!(!leader.maybe_shrink(&rules(1_000_000, 1, 100)));
}

#[test]
fn refusals_end_stop_or_repeat_a_proposal() {
    let table = [
        (Err(55), Answered::Nothing, false),
        (Err(107), Answered::Nothing, false),
        (Err(74), Answered::Nothing, true),
        (Err(95), Answered::Nothing, true),
        (Err(3), Answered::Nothing, true),
        (Err(41), Answered::Retry, true),
        (altered(&[1, 2], 6), Answered::Nothing, true),
    ];
    for (answer, expected, stays) in table {
        let mut leader = leader(&[1], &[1, 2]);
        fetch(&mut leader, 2, 8, 8, 1);
        assert!(leader.maybe_expand(2, 6, NOBODY_DIED));
        assert_eq!(leader.on_answer(0, &answer), Answered::Nothing, "late");
        assert_eq!(leader.on_answer(1, &answer), expected, "{answer:?}");
        assert_eq!(leader.proposal().is_some(), stays, "{answer:?}");
        assert_eq!(leader.isr, [1]);
    }
}

#[test]
fn fetches_of_strangers_and_of_the_past_do_not_count() {
    let mut leader = leader(&[1, 2], &[1, 2]);
    fetch(&mut leader, 2, 8, 8, 1);
    let old = Progress {
        broker_epoch: 9,
        log_end: 9,
        log_start: 0,
        leader_end: 9,
        now: Duration::from_secs(2),
    };
    assert_eq!(leader.on_fetch(2, &old), Err(NotCounted::Stale));
    assert_eq!(leader.on_fetch(3, &old), Err(NotCounted::NotAssigned));
    assert_eq!(leader.follower_end(2), Some(8));
}

/// A leader whose disk is full hands over to a follower that was just heard of,
/// and does not make itself the only member of the ISR meanwhile.
#[test]
fn a_leader_hands_over_only_to_who_is_there() {
    let at = Duration::from_secs;
    let mut alone = leader(&[1], &[1, 2]);
    fetch(&mut alone, 2, 5, 5, 1);
    assert!(!alone.hand_over(at(1), NOBODY_DIED), "2 is not in sync");
    let mut both = leader(&[1, 2], &[1, 2]);
    assert!(!both.hand_over(at(1), NOBODY_DIED), "2 was never heard of");
    fetch(&mut both, 2, 5, 5, 1);
    assert!(!both.hand_over(at(9), NOBODY_DIED), "2 is silent");
    assert!(!both.hand_over(at(1), &|_| false), "2 is dead");
    assert!(both.hand_over(at(1), NOBODY_DIED));
    assert!(!both.maybe_shrink(&rules(9, 1, 60)), "the heir stays");
    both.stay();
    assert!(both.maybe_shrink(&rules(9, 1, 60)));
    assert!(
        !both.hand_over(at(1), NOBODY_DIED),
        "the ISR is in question"
    );
}
