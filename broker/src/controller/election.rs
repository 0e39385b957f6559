//! Who leads a partition next; pure.

use std::collections::BTreeSet;

use crate::model::BrokerId;
use crate::registry::{LeaderAndIsr, LeaderRecoveryState};

/// Why an election happens, which decides who may win it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// The leader is gone, or there never was one.
    Offline,
    /// Back to the first replica of the assignment.
    Preferred,
    /// To any live replica, in sync or not: an operator said so.
    Unclean,
    /// To one of the replicas that a reassignment leaves.
    Reassignment,
    /// Away from brokers that shut down.
    ControlledShutdown,
}

/// What an election knows about a partition.
#[derive(Debug, Clone)]
pub(super) struct Ballot<'a> {
    pub(super) assignment: &'a [BrokerId],
    /// Where replicas of this partition are online.
    pub(super) live: &'a BTreeSet<BrokerId>,
    /// Brokers that asked to shut down; they still answer.
    pub(super) shutting_down: &'a BTreeSet<BrokerId>,
    /// Whether a replica outside the ISR may lead when nobody else can.
    pub(super) unclean: bool,
}

/// The state to write, and who must hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elected {
    pub(super) state: LeaderAndIsr,
    pub(super) recipients: Vec<BrokerId>,
    /// The leader was not in sync: records may be lost.
    pub(super) is_unclean: bool,
}

/// `None` when nobody can lead under this strategy.
pub(super) fn elect(
    strategy: Strategy,
    now: &LeaderAndIsr,
    ballot: &Ballot<'_>,
) -> Option<Elected> {
    match strategy {
        Strategy::Offline => offline(now, ballot),
        Strategy::Unclean => offline(
            now,
            &Ballot {
                unclean: true,
                ..ballot.clone()
            },
        ),
        Strategy::Reassignment => reassignment(now, ballot),
        Strategy::Preferred => preferred(now, ballot),
        Strategy::ControlledShutdown => controlled_shutdown(now, ballot),
    }
}

fn offline(now: &LeaderAndIsr, ballot: &Ballot<'_>) -> Option<Elected> {
    let live: Vec<BrokerId> = members(ballot.assignment, |id| ballot.live.contains(&id));
    let clean = live.iter().copied().find(|id| now.isr.contains(id));
    let state = match clean {
        Some(leader) => now.next(leader, members(&now.isr, |id| ballot.live.contains(&id))),
        None if ballot.unclean => {
            let leader = *live.first()?;
            let recovery = LeaderRecoveryState::Recovering;
            LeaderAndIsr {
                recovery,
                ..now.next(leader, vec![leader])
            }
        }
        None => return None,
    };
    Some(Elected {
        state,
        recipients: live,
        is_unclean: clean.is_none(),
    })
}

/// The assignment is the target of the reassignment.
fn reassignment(now: &LeaderAndIsr, ballot: &Ballot<'_>) -> Option<Elected> {
    let can_lead = |id: &BrokerId| ballot.live.contains(id) && now.isr.contains(id);
    let leader = ballot.assignment.iter().copied().find(can_lead)?;
    let state = now.next(leader, now.isr.clone());
    Some(Elected {
        state,
        recipients: ballot.assignment.to_vec(),
        is_unclean: false,
    })
}

fn preferred(now: &LeaderAndIsr, ballot: &Ballot<'_>) -> Option<Elected> {
    let leader = *ballot.assignment.first()?;
    if !ballot.live.contains(&leader) || !now.isr.contains(&leader) {
        return None;
    }
    let state = now.next(leader, now.isr.clone());
    Some(Elected {
        state,
        recipients: ballot.assignment.to_vec(),
        is_unclean: false,
    })
}

fn controlled_shutdown(now: &LeaderAndIsr, ballot: &Ballot<'_>) -> Option<Elected> {
    let answers = |id| ballot.live.contains(&id) || ballot.shutting_down.contains(&id);
    let stays = |id: BrokerId| !ballot.shutting_down.contains(&id);
    let recipients = members(ballot.assignment, answers);
    let leader = recipients
        .iter()
        .copied()
        .find(|id| now.isr.contains(id) && stays(*id))?;
    let state = now.next(leader, members(&now.isr, stays));
    Some(Elected {
        state,
        recipients,
        is_unclean: false,
    })
}

fn members(ids: &[BrokerId], keep: impl Fn(BrokerId) -> bool) -> Vec<BrokerId> {
    ids.iter().copied().filter(|id| keep(*id)).collect()
}

/// The state after `broker` went offline; `None` when it is not in the ISR. The
/// last member stays in the ISR: it alone has all records.
pub(super) fn without(broker: BrokerId, now: &LeaderAndIsr) -> Option<LeaderAndIsr> {
    if !now.isr.contains(&broker) {
        return None;
    }
    let leader = if now.leader == broker {
        crate::model::NO_LEADER
    } else {
        now.leader
    };
    let isr = match now.isr.len() {
        1 => now.isr.clone(),
        _ => members(&now.isr, |id| id != broker),
    };
    Some(now.next(leader, isr))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(leader: BrokerId, isr: &[BrokerId]) -> LeaderAndIsr {
        LeaderAndIsr {
            leader_epoch: 4,
            partition_epoch: 9,
            ..LeaderAndIsr::initial(leader, isr.to_vec())
        }
    }

    /// (strategy, isr, live, shutting down, unclean) -> (leader, isr, recipients)
    type Case<'a> = (
        Strategy,
        &'a [i32],
        &'a [i32],
        &'a [i32],
        bool,
        Option<(i32, &'a [i32], &'a [i32])>,
    );

    #[test]
    fn leaders_are_chosen_as_in_kafka() {
        use Strategy::*;
        // The assignment is always 1, 2, 3.
        let table: [Case<'_>; 18] = [
            (
                Offline,
                &[1, 2, 3],
                &[2, 3],
                &[],
                false,
                Some((2, &[2, 3], &[2, 3])),
            ),
            (
                Offline,
                &[3, 2],
                &[1, 2, 3],
                &[],
                false,
                Some((2, &[3, 2], &[1, 2, 3])),
            ),
            (Offline, &[1], &[2, 3], &[], false, None),
            (Offline, &[1], &[2, 3], &[], true, Some((2, &[2], &[2, 3]))),
            (Offline, &[1], &[], &[], true, None),
            (Offline, &[2], &[2, 3], &[], true, Some((2, &[2], &[2, 3]))),
            (
                Preferred,
                &[1, 2],
                &[1, 2, 3],
                &[],
                false,
                Some((1, &[1, 2], &[1, 2, 3])),
            ),
            (Preferred, &[2], &[1, 2, 3], &[], false, None),
            (Preferred, &[1, 2], &[2, 3], &[], false, None),
            (Preferred, &[1, 2], &[2, 3], &[], true, None),
            (Unclean, &[1], &[2, 3], &[], false, Some((2, &[2], &[2, 3]))),
            (
                Reassignment,
                &[3, 2],
                &[2, 3],
                &[],
                false,
                Some((2, &[3, 2], &[1, 2, 3])),
            ),
            (Reassignment, &[1], &[2, 3], &[], true, None),
            (Reassignment, &[4], &[1, 2, 3, 4], &[], true, None),
            (
                ControlledShutdown,
                &[1, 2, 3],
                &[2, 3],
                &[1],
                false,
                Some((2, &[2, 3], &[1, 2, 3])),
            ),
            (
                ControlledShutdown,
                &[1, 3],
                &[2, 3],
                &[1],
                false,
                Some((3, &[3], &[1, 2, 3])),
            ),
            (ControlledShutdown, &[1], &[2, 3], &[1], false, None),
            (ControlledShutdown, &[1, 2], &[3], &[1, 2], true, None),
        ];
        for case in table {
            check(case);
        }
    }

    fn check(case: Case<'_>) {
        let (strategy, isr, live, leaving, unclean, expected) = case;
        let ballot = Ballot {
            assignment: &[1, 2, 3],
            live: &live.iter().copied().collect(),
            shutting_down: &leaving.iter().copied().collect(),
            unclean,
        };
        let elected = elect(strategy, &state(1, isr), &ballot);
        let got = elected
            .as_ref()
            .map(|e| (e.state.leader, &e.state.isr[..], &e.recipients[..]));
        assert_eq!(got, expected, "{case:?}");
        if let Some(elected) = &elected {
            assert_eq!(elected.state.leader_epoch, 5);
            assert_eq!(
                elected.state.partition_epoch, 9,
                "the CAS needs the version read"
            );
            let is_unclean = !isr.contains(&elected.state.leader);
            assert_eq!(elected.is_unclean, is_unclean, "{case:?}");
            let recovers = elected.state.recovery == LeaderRecoveryState::Recovering;
            assert_eq!(recovers, is_unclean, "{case:?}");
        }
    }

    #[test]
    fn a_dead_replica_leaves_the_isr_unless_it_is_the_last() {
        let after = |broker, leader, isr: &[i32]| {
            without(broker, &state(leader, isr)).map(|s| (s.leader, s.isr, s.leader_epoch))
        };
        assert_eq!(after(2, 1, &[1, 2, 3]), Some((1, vec![1, 3], 5)));
        assert_eq!(after(1, 1, &[1, 2]), Some((-1, vec![2], 5)));
        assert_eq!(after(1, 1, &[1]), Some((-1, vec![1], 5)));
        assert_eq!(after(3, 1, &[1, 2]), None);
    }
}
