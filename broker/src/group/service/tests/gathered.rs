//! Commits that come at the same time share a batch.

use futures::future::join_all;

use super::*;
use crate::state_log;

fn commit_in(group_id: &str, topic: &str, offset: i64) -> CommitRequest {
    let member = MemberRef {
        group_id: group_id.into(),
        ..outside("")
    };
    commit_of(member, topic, offset)
}

async fn offset_in(broker: &Broker, group_id: &str, topic: &str) -> Option<i64> {
    let request = FetchRequest {
        group_id: group_id.into(),
        partitions: Some(vec![tp(topic, 0)]),
        require_stable: false,
    };
    let found = broker.groups.fetch(request).await.unwrap();
    let (_, committed) = found.into_iter().next().unwrap();
    committed.unwrap().map(|committed| committed.offset)
}

/// Groups that lie in one partition.
fn neighbours(broker: &Broker, count: usize) -> Vec<String> {
    let ids = (0..).map(|number| format!("g{number}"));
    let here = |id: &String| broker.groups.partition_for(id) == Some(0);
    ids.filter(here).take(count).collect()
}

#[tokio::test(start_paused = true)]
async fn commits_at_the_same_time_share_a_batch_and_survive_a_reload() {
    let broker = Broker::start().await;
    let groups = neighbours(&broker, 5);
    let commits = groups.iter().zip(1..);
    let commits =
        commits.map(|(group, offset)| broker.groups.commit(commit_in(group, "t", offset)));
    for outcomes in join_all(commits).await {
        assert_eq!(outcomes.unwrap(), [(tp("t", 0), Ok(()))]);
    }
    assert_eq!(broker.log.batch_count(), 1);
    let successor = broker.successor().await;
    for (group, offset) in groups.iter().zip(1..) {
        assert_eq!(offset_in(&broker, group, "t").await, Some(offset));
        assert_eq!(offset_in(&successor, group, "t").await, Some(offset));
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_commits_in_one_batch_the_later_counts() {
    let broker = Broker::start().await;
    let both = join_all([
        broker.groups.commit(commit_in("g", "t", 9)),
        broker.groups.commit(commit_in("g", "t", 3)),
    ]);
    both.await;
    assert_eq!(broker.log.batch_count(), 1);
    assert_eq!(offset_in(&broker, "g", "t").await, Some(3));
    let successor = broker.successor().await;
    assert_eq!(offset_in(&successor, "g", "t").await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_shared_batch_that_is_too_large_is_written_one_by_one() {
    let broker = Broker::start().await;
    broker.log.bound_batches(1);
    let groups = neighbours(&broker, 3);
    let mut large = commit_in(&groups[1], "t", 2);
    large.offsets.push(OffsetToCommit {
        partition: tp("u", 0),
        ..large.offsets[0].clone()
    });
    let commits = [
        commit_in(&groups[0], "t", 1),
        large,
        commit_in(&groups[2], "t", 3),
    ];
    let outcomes = join_all(commits.map(|commit| broker.groups.commit(commit))).await;
    let codes = |index: usize| outcomes[index].clone().unwrap()[0].1;
    assert_eq!((codes(0), codes(2)), (Ok(()), Ok(())));
    let too_large = Error::from_offset_store(state_log::Error::TooLarge);
    assert_eq!(codes(1), Err(too_large));
    assert_eq!(offset_in(&broker, &groups[0], "t").await, Some(1));
    assert_eq!(offset_in(&broker, &groups[1], "t").await, None);
    assert_eq!(offset_in(&broker, &groups[2], "t").await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_group_is_deleted_behind_the_commits_before_it() {
    let broker = Broker::start().await;
    let committing = broker.groups.commit(commit_in("g", "t", 5));
    let deleting = broker.groups.delete("g".into());
    let (committed, deleted) = futures::join!(committing, deleting);
    assert_eq!(committed.unwrap(), [(tp("t", 0), Ok(()))]);
    assert_eq!(deleted, Ok(()));
    let successor = broker.successor().await;
    assert_eq!(offset_in(&successor, "g", "t").await, None);
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_batch_shares_its_end() {
    let broker = Broker::start().await;
    let groups = neighbours(&broker, 2);
    broker
        .log
        .fail_with(Some(state_log::Error::NotEnoughReplicas));
    let commits = groups
        .iter()
        .map(|group| broker.groups.commit(commit_in(group, "t", 1)));
    for outcomes in join_all(commits).await {
        let failed = Error::from_offset_store(state_log::Error::NotEnoughReplicas);
        assert_eq!(outcomes.unwrap()[0].1, Err(failed));
    }
    for group in &groups {
        assert_eq!(offset_in(&broker, group, "t").await, None);
    }
}
