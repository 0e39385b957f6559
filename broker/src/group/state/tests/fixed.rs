//! Static members (KIP-345).

use super::*;

#[test]
fn a_late_static_member_keeps_its_place_but_does_not_lead() {
    let mut fixture = Fixture::new();
    fixture.join_with("s", |request| {
        request.instance_id = Some("i".into());
        request.session_timeout_ms = 60_000;
    });
    fixture.join("d");
    fixture.pass_to(0);
    fixture.sync("s");
    fixture.sync("d");
    fixture.commit_stores();
    assert_eq!(fixture.group.leader.as_deref(), Some("s"));
    fixture.join_with("d", |request| {
        request.protocols[0].1 = Bytes::from_static(b"new")
    });
    fixture.pass_to(30_000);
    assert_eq!(fixture.group.generation, 2);
    assert_eq!(fixture.group.leader.as_deref(), Some("d"));
    assert!(fixture.group.members.contains_key("s"));
}

#[test]
fn a_static_member_with_another_protocol_makes_a_rebalance() {
    let mut fixture = Fixture::new();
    let with = |name: &'static str| {
        move |request: &mut JoinRequest| {
            request.instance_id = Some("i".into());
            request.protocols = vec![(name.into(), Bytes::new()), ("common".into(), Bytes::new())];
        }
    };
    fixture.join_with("s1", with("x"));
    fixture.pass_to(0);
    fixture.sync("s1");
    fixture.commit_stores();
    let token = fixture.join_with("s2", with("y"));
    let joined = fixture.joined(token).unwrap().as_ref().unwrap();
    assert_eq!(
        (joined.generation, joined.protocol_name.as_deref()),
        (2, Some("y"))
    );
}

#[test]
fn a_static_return_that_cannot_be_stored_is_taken_back() {
    let mut fixture = Fixture::new();
    let fixed = |request: &mut JoinRequest| request.instance_id = Some("i".into());
    fixture.join_with("old", fixed);
    fixture.pass_to(0);
    fixture.sync("old");
    fixture.commit_stores();
    let token = fixture.join_with("new", fixed);
    assert!(fixture.joined(token).is_none());
    let Some(Action::Store(_, stored)) = fixture.actions.pop() else {
        panic!("nothing is stored");
    };
    fixture.step(|group, step| group.on_stored(step, stored, Err(Error::NotCoordinator)));
    assert_eq!(fixture.join_error(token), Some(Error::NotCoordinator));
    assert_eq!(fixture.heartbeat("old"), Ok(()));
    assert_eq!(fixture.heartbeat("new"), Err(Error::UnknownMemberId));
}
