//! The pure rules, event by event.

mod fixed;
mod random;

use bytes::Bytes;

use super::*;
use crate::group::api::{JoinRequest, LeavingMember};
use crate::group::records::MemberValue;

/// A group with a clock in milliseconds.
struct Fixture {
    group: Group,
    config: Config,
    now_ms: u64,
    last_token: Token,
    actions: Vec<Action>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Config {
            initial_rebalance_delay: Duration::ZERO,
            ..Config::default()
        })
    }

    fn with(config: Config) -> Self {
        let mut fixture = Self {
            group: Group::new(
                "g".into(),
                Now {
                    monotonic: Duration::ZERO,
                    wall_ms: 0,
                },
            ),
            config,
            now_ms: 0,
            last_token: 0,
            actions: Vec::new(),
        };
        fixture.group.loading = false;
        fixture
    }

    fn step<R>(&mut self, event: impl FnOnce(&mut Group, &mut Step<'_>) -> R) -> R {
        let now = Now {
            monotonic: Duration::from_millis(self.now_ms),
            wall_ms: i64::try_from(self.now_ms).unwrap(),
        };
        let mut step = Step::new(now, &self.config);
        let result = event(&mut self.group, &mut step);
        self.actions.extend(step.actions);
        result
    }

    /// Moves to `now_ms`, doing what is due on the way.
    fn pass_to(&mut self, now_ms: u64) {
        while let Some(deadline) = self.group.next_deadline() {
            let deadline_ms = u64::try_from(deadline.as_millis()).unwrap();
            if deadline_ms > now_ms {
                break;
            }
            self.now_ms = self.now_ms.max(deadline_ms);
            self.step(|group, step| group.on_deadline(step));
        }
        self.now_ms = now_ms;
    }

    fn join_with(&mut self, id: &str, change: impl FnOnce(&mut JoinRequest)) -> Token {
        self.last_token += 1;
        let token = self.last_token;
        let mut request = JoinRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::new())],
            ..JoinRequest::default()
        };
        if self.group.members.contains_key(id) || self.group.pending_members.contains_key(id) {
            request.member_id = id.into();
        }
        change(&mut request);
        let join = Join {
            request,
            fresh_member_id: id.into(),
            token,
        };
        self.step(|group, step| group.join(step, &join));
        token
    }

    fn join(&mut self, id: &str) -> Token {
        self.join_with(id, |_| {})
    }

    fn sync(&mut self, id: &str) -> Token {
        self.last_token += 1;
        let token = self.last_token;
        let request = SyncRequest {
            generation: self.group.generation,
            member_id: id.into(),
            ..SyncRequest::default()
        };
        self.step(|group, step| group.sync(step, &request, token));
        token
    }

    /// Commits what the group wants to be stored.
    fn commit_stores(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Store(value, stored) => self.step(|group, step| {
                    group.replay(value, step.now);
                    group.on_stored(step, stored, Ok(()));
                }),
                answer => self.actions.push(answer),
            }
        }
    }

    fn joined(&self, token: Token) -> Option<&Result<Joined, JoinFailure>> {
        self.actions.iter().find_map(|action| match action {
            Action::AnswerJoin(of, answer) if *of == token => Some(answer),
            _ => None,
        })
    }

    fn join_error(&self, token: Token) -> Option<Error> {
        self.joined(token)?
            .as_ref()
            .err()
            .map(|failure| failure.error)
    }

    fn synced(&self, token: Token) -> Option<Result<(), Error>> {
        self.actions.iter().find_map(|action| match action {
            Action::AnswerSync(of, answer) if *of == token => {
                Some(answer.as_ref().map(|_| ()).map_err(|error| *error))
            }
            _ => None,
        })
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), Error> {
        let member = MemberRef {
            generation: self.group.generation,
            member_id: id.into(),
            ..MemberRef::default()
        };
        self.step(|group, step| group.heartbeat(step, &member))
    }

    /// `ids` joined and got their assignments.
    fn stable(ids: &[&str]) -> Self {
        let mut fixture = Self::new();
        for id in ids {
            fixture.join(id);
        }
        fixture.pass_to(0);
        for id in ids {
            fixture.sync(id);
        }
        fixture.commit_stores();
        assert_eq!(fixture.group.phase, Phase::Stable);
        fixture.actions.clear();
        fixture
    }
}

#[test]
fn the_protocol_is_chosen_by_vote_among_those_that_all_know() {
    type Members<'a> = &'a [&'a [&'a str]];
    let cases: [(Members<'_>, &str); 5] = [
        (&[&["range"]], "range"),
        (&[&["a", "b"], &["b", "a"], &["b", "a"]], "b"),
        (&[&["a", "b"], &["b", "a"]], "a"),
        (&[&["x", "b"], &["a", "b"]], "b"),
        (&[&["x", "y", "b"], &["y", "b"], &["b", "y"]], "y"),
    ];
    for (members, expected) in cases {
        let mut fixture = Fixture::new();
        for (index, protocols) in members.iter().enumerate() {
            fixture.join_with(&format!("m{index}"), |request| {
                let named = |name: &&str| ((*name).to_owned(), Bytes::new());
                request.protocols = protocols.iter().map(named).collect();
            });
        }
        fixture.pass_to(0);
        assert_eq!(
            fixture.group.protocol_name.as_deref(),
            Some(expected),
            "{members:?}"
        );
    }
}

#[test]
fn a_member_without_a_common_protocol_is_refused() {
    let mut fixture = Fixture::stable(&["a"]);
    let token = fixture.join_with("b", |request| request.protocols[0].0 = "other".into());
    assert_eq!(
        fixture.join_error(token),
        Some(Error::InconsistentGroupProtocol)
    );
    let token = fixture.join_with("b", |request| request.protocols.clear());
    assert_eq!(
        fixture.join_error(token),
        Some(Error::InconsistentGroupProtocol)
    );
    assert_eq!(fixture.group.phase, Phase::Stable);
}

#[test]
fn who_rejoins_a_stable_group() {
    // The leader always makes a new generation, a follower only with news.
    let mut fixture = Fixture::stable(&["leader", "follower"]);
    let token = fixture.join("follower");
    let joined = fixture.joined(token).unwrap().as_ref().unwrap();
    assert_eq!((joined.generation, joined.members.len()), (1, 0));
    assert_eq!(fixture.group.phase, Phase::Stable);
    let token = fixture.join("leader");
    assert!(fixture.joined(token).is_none());
    assert_eq!(fixture.group.phase, Phase::PreparingRebalance);

    let mut fixture = Fixture::stable(&["leader", "follower"]);
    fixture.join_with("follower", |request| {
        request.protocols[0].1 = Bytes::from_static(b"new")
    });
    assert_eq!(fixture.group.phase, Phase::PreparingRebalance);
}

#[test]
fn a_repeated_join_gets_the_answer_and_the_first_is_sent_away() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    let first = fixture.join("a");
    let second = fixture.join("a");
    assert_eq!(
        fixture.join_error(first),
        Some(Error::CoordinatorNotAvailable)
    );
    assert!(fixture.joined(second).is_none());
    fixture.join("b");
    assert!(fixture.joined(second).unwrap().is_ok());
    // The answer was lost: the same join again is answered at once.
    let again = fixture.join("a");
    assert_eq!(
        fixture
            .joined(again)
            .unwrap()
            .as_ref()
            .unwrap()
            .members
            .len(),
        2
    );
}

#[test]
fn the_leader_is_a_member_that_joined() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.join_with("b", |request| {
        request.protocols[0].1 = Bytes::from_static(b"new")
    });
    for now_ms in [9_000, 18_000, 27_000] {
        fixture.pass_to(now_ms);
        assert_eq!(fixture.heartbeat("a"), Err(Error::RebalanceInProgress));
    }
    fixture.pass_to(30_000);
    assert_eq!(fixture.group.leader.as_deref(), Some("b"));
    assert_eq!(fixture.group.generation, 2);
    assert!(!fixture.group.members.contains_key("a"));
}

#[test]
fn who_does_not_sync_in_time_is_put_out() {
    let mut fixture = Fixture::new();
    fixture.join("a");
    fixture.join("b");
    fixture.pass_to(0);
    let waits = fixture.sync("b");
    assert_eq!(fixture.group.phase, Phase::CompletingRebalance);
    for now_ms in [9_000, 18_000, 27_000] {
        fixture.pass_to(now_ms);
        assert_eq!(fixture.heartbeat("a"), Ok(()));
    }
    fixture.pass_to(30_000);
    assert_eq!(fixture.synced(waits), Some(Err(Error::RebalanceInProgress)));
    assert!(!fixture.group.members.contains_key("a"));
    assert_eq!(fixture.group.phase, Phase::PreparingRebalance);
}

#[test]
fn an_id_that_was_given_out_is_waited_for_until_its_session_ends() {
    let mut fixture = Fixture::stable(&["a"]);
    let token = fixture.join_with("new", |request| request.member_id_required = true);
    assert_eq!(fixture.join_error(token), Some(Error::MemberIdRequired));
    assert_eq!(fixture.group.phase, Phase::Stable);
    let rejoined = fixture.join("a");
    assert!(
        fixture.joined(rejoined).is_none(),
        "the new member may come yet"
    );
    fixture.pass_to(9_999);
    assert!(fixture.joined(rejoined).is_none());
    fixture.pass_to(10_000);
    assert_eq!(
        fixture
            .joined(rejoined)
            .unwrap()
            .as_ref()
            .unwrap()
            .generation,
        2
    );

    let token = fixture.join_with("late", |request| request.member_id_required = true);
    assert!(fixture.joined(token).unwrap().is_err());
    let leaving = LeavingMember {
        member_id: "late".into(),
        ..LeavingMember::default()
    };
    let outcomes = fixture.step(|group, step| group.leave(step, &[leaving]));
    assert_eq!(outcomes, Ok(vec![Ok(())]));
    assert!(fixture.group.pending_members.is_empty());
}

#[test]
fn a_new_member_whose_client_vanished_is_put_out_after_five_minutes() {
    let mut fixture = Fixture::stable(&["a"]);
    let token = fixture.join_with("ghost", |request| request.rebalance_timeout_ms = 600_000);
    let mut now_ms = 0;
    while now_ms < 299_000 {
        now_ms += 5_000;
        fixture.pass_to(now_ms.min(299_999));
        assert_eq!(fixture.heartbeat("a"), Err(Error::RebalanceInProgress));
        assert!(fixture.joined(token).is_none());
    }
    fixture.pass_to(300_000);
    assert_eq!(fixture.join_error(token), Some(Error::UnknownMemberId));
}

#[test]
fn the_initial_delay_is_extended_while_members_come() {
    let delay_ms = 3_000;
    let config = Config {
        initial_rebalance_delay: Duration::from_millis(delay_ms),
        ..Config::default()
    };
    // When members join, and when the generation then begins.
    let cases: [(&[u64], u64); 4] = [
        (&[0], 3_000),
        (&[0, 1_000], 6_000),
        (&[0, 1_000, 4_000], 9_000),
        (&[0, 2_000, 5_000, 8_000, 11_000, 14_000], 15_000),
    ];
    for (joins, expected_ms) in cases {
        let mut fixture = Fixture::with(config.clone());
        let mut last = 0;
        for (index, at_ms) in joins.iter().enumerate() {
            fixture.pass_to(*at_ms);
            let short = |request: &mut JoinRequest| request.rebalance_timeout_ms = 15_000;
            last = fixture.join_with(&format!("m{index}"), short);
        }
        fixture.pass_to(expected_ms - 1);
        assert!(fixture.joined(last).is_none(), "{joins:?}");
        fixture.pass_to(expected_ms);
        assert!(fixture.joined(last).unwrap().is_ok(), "{joins:?}");
    }
}

#[test]
fn a_rebalance_during_the_sync_sends_everybody_back() {
    let mut fixture = Fixture::new();
    fixture.join("a");
    fixture.join("b");
    fixture.pass_to(0);
    let waits = fixture.sync("b");
    let stores = fixture.sync("a");
    fixture.join("c");
    assert_eq!(fixture.synced(waits), Some(Err(Error::RebalanceInProgress)));
    assert_eq!(
        fixture.synced(stores),
        Some(Err(Error::RebalanceInProgress))
    );
    // The assignment of the old generation is committed too late.
    fixture.commit_stores();
    assert_eq!(fixture.group.phase, Phase::PreparingRebalance);
}

#[test]
fn a_loaded_group_that_is_too_large_rebalances_down_to_its_size() {
    let mut fixture = Fixture::with(Config {
        size_max: 1,
        ..Config::default()
    });
    let member = |id: &str| MemberValue {
        member_id: id.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        ..MemberValue::default()
    };
    let value = GroupValue {
        protocol_type: "consumer".into(),
        generation: 4,
        protocol: Some("range".into()),
        leader: Some("b".into()),
        state_timestamp_ms: Some(1),
        members: vec![member("a"), member("b")],
    };
    fixture.group.loading = true;
    fixture.step(|group, step| group.replay(value, step.now));
    assert_eq!(fixture.group.leader.as_deref(), Some("b"));
    fixture.step(|group, step| group.on_loaded(step));
    assert_eq!(fixture.group.phase, Phase::PreparingRebalance);
    let kept = fixture.join("b");
    let refused = fixture.join("a");
    assert_eq!(
        fixture.join_error(refused),
        Some(Error::GroupMaxSizeReached)
    );
    assert_eq!(
        fixture.joined(kept).unwrap().as_ref().unwrap().generation,
        5
    );
}

#[test]
fn what_makes_offsets_expire() {
    let empty = Fixture::new();
    assert!(matches!(empty.group.expiry(), Expiry::SinceCommit));
    let mut stable = Fixture::stable(&["a"]);
    // The metadata of the members here is no subscription.
    assert!(matches!(stable.group.expiry(), Expiry::Never));
    assert!(stable.group.is_subscribed_to("any"));
    stable.group.subscribed_topics = Some(HashSet::new());
    assert!(matches!(
        stable.group.expiry(),
        Expiry::OutsideSubscription(_)
    ));
    assert!(!stable.group.is_subscribed_to("any"));
    stable.now_ms = 5_000;
    let leaving = LeavingMember {
        member_id: "a".into(),
        ..LeavingMember::default()
    };
    assert_eq!(
        stable.step(|group, step| group.leave(step, &[leaving])),
        Ok(vec![Ok(())])
    );
    assert!(matches!(
        stable.group.expiry(),
        Expiry::SinceEmpty(Some(5_000))
    ));
}
