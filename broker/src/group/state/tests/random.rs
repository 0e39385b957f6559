//! Invariants that hold whatever happens in whatever order.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Join {
        member: u8,
        is_static: bool,
        protocol: u8,
        asks_for_id: bool,
    },
    Sync(u8),
    Heartbeat(u8),
    Leave(u8),
    Pass(u16),
    CommitStores,
    FailStores,
}

fn event() -> impl Strategy<Value = Event> {
    let join = (0..5_u8, any::<bool>(), 0..2_u8, any::<bool>());
    prop_oneof![
        4 => join.prop_map(|(member, is_static, protocol, asks_for_id)| {
            Event::Join { member, is_static, protocol, asks_for_id }
        }),
        4 => (0..5_u8).prop_map(Event::Sync),
        2 => (0..5_u8).prop_map(Event::Heartbeat),
        1 => (0..5_u8).prop_map(Event::Leave),
        2 => (0..12_000_u16).prop_map(Event::Pass),
        3 => Just(Event::CommitStores),
        1 => Just(Event::FailStores),
    ]
}

/// A fixture that knows which ids its members have at present.
struct Run {
    fixture: Fixture,
    tokens: HashSet<Token>,
    answered: HashSet<Token>,
    fresh: u32,
    ids: [String; 5],
}

impl Run {
    fn new() -> Self {
        Self {
            fixture: Fixture::new(),
            tokens: HashSet::new(),
            answered: HashSet::new(),
            fresh: 0,
            ids: Default::default(),
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Join {
                member,
                is_static,
                protocol,
                asks_for_id,
            } => {
                self.fresh += 1;
                let slot = usize::from(*member);
                let group = &self.fixture.group;
                let known = group.members.contains_key(&self.ids[slot])
                    || group.pending_members.contains_key(&self.ids[slot]);
                if !known || *is_static {
                    self.ids[slot] = format!("m{member}-{}", self.fresh);
                }
                let id = self.ids[slot].clone();
                let token = self.fixture.join_with(&id, |request| {
                    request.instance_id = is_static.then(|| format!("i{member}"));
                    request.member_id_required = *asks_for_id && !is_static;
                    let own = format!("p{protocol}");
                    request.protocols.insert(0, (own, Bytes::new()));
                });
                self.tokens.insert(token);
            }
            Event::Sync(member) => {
                let token = self.fixture.sync(&self.ids[usize::from(*member)].clone());
                self.tokens.insert(token);
            }
            Event::Heartbeat(member) => {
                let _ = self
                    .fixture
                    .heartbeat(&self.ids[usize::from(*member)].clone());
            }
            Event::Leave(member) => {
                let leaving = LeavingMember {
                    member_id: self.ids[usize::from(*member)].clone(),
                    ..LeavingMember::default()
                };
                let left = self
                    .fixture
                    .step(|group, step| group.leave(step, &[leaving]));
                assert!(left.is_ok());
            }
            Event::Pass(ms) => {
                let now_ms = self.fixture.now_ms + u64::from(*ms);
                self.fixture.pass_to(now_ms);
            }
            Event::CommitStores => self.fixture.commit_stores(),
            Event::FailStores => self.fail_stores(),
        }
    }

    fn fail_stores(&mut self) {
        for action in std::mem::take(&mut self.fixture.actions) {
            match action {
                Action::Store(_, stored) => self.fixture.step(|group, step| {
                    group.on_stored(step, stored, Err(Error::NotCoordinator));
                }),
                answer => self.fixture.actions.push(answer),
            }
        }
    }

    fn check(&mut self) {
        for action in &self.fixture.actions {
            if let Action::AnswerJoin(token, _) | Action::AnswerSync(token, _) = action {
                assert!(self.tokens.contains(token));
                assert!(self.answered.insert(*token), "answered twice");
            }
        }
        self.fixture
            .actions
            .retain(|action| matches!(action, Action::Store(..)));
        let group = &self.fixture.group;
        if let Some(leader) = &group.leader {
            assert!(
                group.members.contains_key(leader),
                "the leader is no member"
            );
        }
        assert_eq!(group.leader.is_none(), group.members.is_empty());
        for (instance, id) in &group.static_members {
            assert_eq!(group.members[id].instance_id.as_ref(), Some(instance));
        }
        for (id, member) in &group.members {
            assert_eq!(*id, member.id);
        }
        if group.phase == Phase::Empty {
            assert!(group.members.is_empty());
        }
        let is_preparing = group.phase == Phase::PreparingRebalance;
        assert_eq!(group.join_timer.is_some(), is_preparing);
        assert!(
            group
                .pending_sync
                .iter()
                .all(|id| group.members.contains_key(id))
        );
    }
}

proptest! {
    #[test]
    fn every_token_is_answered_once_and_the_group_stays_sound(
        events in prop::collection::vec(event(), 1..120)
    ) {
        let mut run = Run::new();
        let mut generation = 0;
        for event in &events {
            run.apply(event);
            run.check();
            prop_assert!(run.fixture.group.generation >= generation);
            generation = run.fixture.group.generation;
        }
        // Everybody falls silent: whoever waits is answered in the end.
        for _ in 0..20 {
            run.apply(&Event::CommitStores);
            run.check();
            run.apply(&Event::Pass(60_000));
            run.check();
        }
        prop_assert_eq!(&run.answered, &run.tokens);
        prop_assert_eq!(run.fixture.group.phase, Phase::Empty);
    }
}
