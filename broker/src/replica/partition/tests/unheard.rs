//! A high watermark that waits for a replica which does not come any more.

use super::*;
use crate::replica::IsrProposal;

/// INELIGIBLE_REPLICA.
const REFUSED: i16 = 107;

/// 3 has all but the newest record, which 2 in the ISR has: the leader waits for 3
/// as soon as it has asked for it to come in.
fn waits_for_3() -> (Site, IsrProposal, Pending) {
    let site = Site::of(&[1, 2, 3], 1);
    let all = [1, 2, 3];
    site.tell_all(&decided(1, 0, &[1, 2], &all));
    site.append(1, "a", Acks::All).unwrap();
    site.catch_up(2, 1);
    site.catch_up(3, 1);
    let proposal = site.replicas[&1].isr_proposal().expect("3 caught up");
    assert_eq!(proposal.isr, all);
    let pending = site.append(1, "b", Acks::All).unwrap().unwrap();
    site.catch_up(2, 1);
    assert!(pending.outcome().is_none(), "3 does not have it");
    assert!(
        !site.replicas[&1].is_settled_with(2),
        "more may be committed"
    );
    (site, proposal, pending)
}

/// The controller knows that 3 is gone before the leader does. Without this the
/// producer waited until 2 was read for again, which a quiet session puts off.
#[test]
fn a_refused_isr_lets_the_high_watermark_move() {
    let (site, proposal, pending) = waits_for_3();
    site.are_alive(&[1, 2]);
    assert!(!site.replicas[&1].on_isr_decision(&proposal, &Err(REFUSED)));
    assert!(matches!(pending.outcome(), Some(Ok(()))));
    site.catch_up(2, 1);
    assert!(site.replicas[&1].is_settled_with(2));
    assert!(!site.replicas[&1].is_settled_with(3));
}

/// It was refused while 3 lived, and the next that is heard of 3 is that it is gone.
#[test]
fn a_replica_that_is_gone_is_not_waited_for() {
    let (site, proposal, pending) = waits_for_3();
    site.replicas[&1].on_isr_decision(&proposal, &Err(REFUSED));
    assert!(pending.outcome().is_none(), "3 may still come in");
    site.are_alive(&[1, 2]);
    site.replicas[&1].look_again();
    assert!(matches!(pending.outcome(), Some(Ok(()))));
}
