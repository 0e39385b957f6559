//! Which replica a consumer should read instead of the leader (KIP-392), as
//! Kafka's RackAwareReplicaSelector chooses; pure.

use crate::model::{BrokerId, Offset};

/// `replica.selector.class`: the one selector that there is beside none.
pub(crate) const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// A follower in the consumer's rack, the one with the most records; `None`
/// when the leader is there too, or nobody is.
pub(super) fn nearest<'a>(
    rack: &str,
    leader: BrokerId,
    followers: &[(BrokerId, Offset)],
    rack_of: impl Fn(BrokerId) -> Option<&'a str>,
) -> Option<BrokerId> {
    if rack.is_empty() || rack_of(leader) == Some(rack) {
        return None;
    }
    let near = followers
        .iter()
        .filter(|(id, _)| rack_of(*id) == Some(rack));
    // The first of those that have as much.
    let best = near.rev().max_by_key(|(_, end)| *end);
    best.map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_read_in_their_rack() {
        let rack_of = |id| match id {
            1 => Some("a"),
            2 | 3 => Some("b"),
            _ => None,
        };
        let followers = [(2, 10), (3, 12), (4, 99)];
        let table = [
            ("a", 1, None),
            ("b", 1, Some(3)),
            ("c", 1, None),
            ("", 1, None),
            ("b", 2, None),
            ("a", 4, None),
        ];
        for (rack, leader, expected) in table {
            let chosen = nearest(rack, leader, &followers, rack_of);
            assert_eq!(chosen, expected, "{rack} {leader}");
        }
        assert_eq!(nearest("b", 1, &[(2, 5), (3, 5)], rack_of), Some(2));
    }
}
