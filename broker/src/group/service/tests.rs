//! Whole scenarios over a log in memory, in paused time.

mod gathered;
mod members;
mod offsets;
mod transactions;

use std::time::Duration;

use bytes::Bytes;
use futures::poll;

use super::*;
use crate::group::api::{CommittedOffset, OffsetToCommit, Phase, Transaction};
use crate::group::subscription;
use crate::model::TopicName;
use crate::state_log::fake::{FakeLog, PausedClock};

/// One broker with groups over a log that may outlive it.
struct Broker {
    log: Arc<FakeLog>,
    clock: SharedClock,
    groups: Handle,
}

impl Broker {
    async fn start() -> Self {
        Self::start_with(
            Arc::new(FakeLog::new()),
            PausedClock::shared(),
            Config::default(),
        )
        .await
    }

    async fn start_with(log: Arc<FakeLog>, clock: SharedClock, config: Config) -> Self {
        let service = Service::new(
            config,
            Arc::clone(&log) as _,
            Arc::clone(&clock),
            Metrics::new(Vec::new()),
        );
        let groups = service.handle();
        for partition in 0..4 {
            groups.load(partition, 1);
        }
        let broker = Self { log, clock, groups };
        broker.loaded().await;
        broker
    }

    /// The next broker over the same log, as after a failover.
    async fn successor(&self) -> Self {
        Self::start_with(
            Arc::clone(&self.log),
            Arc::clone(&self.clock),
            Config::default(),
        )
        .await
    }

    async fn loaded(&self) {
        while self.groups.list().await.unwrap().loading {
            tokio::task::yield_now().await;
        }
    }

    async fn describe(&self) -> Description {
        self.groups.describe("g".into()).await.unwrap().unwrap()
    }

    async fn phase(&self) -> Phase {
        self.describe().await.phase
    }
}

fn join(client: &str) -> JoinRequest {
    JoinRequest {
        group_id: "g".into(),
        client_id: client.into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), subscription::encode(&["t"]))],
        ..JoinRequest::default()
    }
}

fn rejoin(client: &str, member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.into(),
        ..join(client)
    }
}

fn fixed(client: &str, instance: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance.into()),
        ..join(client)
    }
}

fn sync(joined: &Joined, assignments: &[(&str, &'static str)]) -> SyncRequest {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    SyncRequest {
        group_id: "g".into(),
        generation: joined.generation,
        member_id: joined.member_id.clone(),
        assignments: assignments
            .iter()
            .map(|(id, text)| ((*id).into(), bytes(text)))
            .collect(),
        ..SyncRequest::default()
    }
}

fn who(joined: &Joined) -> MemberRef {
    MemberRef {
        group_id: "g".into(),
        generation: joined.generation,
        member_id: joined.member_id.clone(),
        instance_id: None,
    }
}

fn outside(member_id: &str) -> MemberRef {
    MemberRef {
        group_id: "g".into(),
        generation: -1,
        member_id: member_id.into(),
        instance_id: None,
    }
}

fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), partition)
}

fn commit_of(member: MemberRef, topic: &str, offset: i64) -> CommitRequest {
    let offset = OffsetToCommit {
        partition: tp(topic, 0),
        offset,
        leader_epoch: Some(1),
        metadata: "m".into(),
        committed_ms: None,
    };
    CommitRequest {
        member,
        transaction: None,
        retention_ms: None,
        offsets: vec![offset],
    }
}

/// A stable group of one.
async fn stable_member(broker: &Broker, request: JoinRequest) -> Joined {
    let joined = broker.groups.join(request).await.unwrap();
    let assignments = [(joined.member_id.as_str(), "t-0")];
    let synced = broker
        .groups
        .sync(sync(&joined, &assignments))
        .await
        .unwrap();
    assert_eq!(synced.assignment, "t-0");
    joined
}
