//! The states of partitions and replicas, and which may follow which; pure.

/// A partition as the controller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartitionState {
    NonExistent,
    /// Assigned, but without a leader yet.
    New,
    Online,
    /// Its leader is dead.
    Offline,
}

/// One replica of a partition as the controller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplicaState {
    NonExistent,
    New,
    Online,
    Offline,
    /// StopReplica with deletion was sent.
    DeletionStarted,
    DeletionSuccessful,
    /// Cannot be deleted now; tried again when its broker returns.
    DeletionIneligible,
}

impl PartitionState {
    pub(super) fn can_become(self, target: Self) -> bool {
        match target {
            Self::New => self == Self::NonExistent,
            Self::Online | Self::Offline => self != Self::NonExistent,
            Self::NonExistent => self == Self::Offline,
        }
    }
}

impl ReplicaState {
    pub(super) fn can_become(self, target: Self) -> bool {
        match target {
            Self::New => self == Self::NonExistent,
            Self::Online | Self::Offline => {
                matches!(
                    self,
                    Self::New | Self::Online | Self::Offline | Self::DeletionIneligible
                )
            }
            Self::DeletionStarted => self == Self::Offline,
            Self::DeletionSuccessful => self == Self::DeletionStarted,
            Self::DeletionIneligible => matches!(self, Self::Offline | Self::DeletionStarted),
            Self::NonExistent => self == Self::DeletionSuccessful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_move_as_in_kafka() {
        use PartitionState::*;
        let table = [
            (New, vec![NonExistent]),
            (Online, vec![New, Online, Offline]),
            (Offline, vec![New, Online, Offline]),
            (NonExistent, vec![Offline]),
        ];
        for (target, allowed) in table {
            for from in [NonExistent, New, Online, Offline] {
                assert_eq!(
                    from.can_become(target),
                    allowed.contains(&from),
                    "{from:?} {target:?}"
                );
            }
        }
    }

    #[test]
    fn replicas_move_as_in_kafka() {
        use ReplicaState::*;
        let table = [
            (New, vec![NonExistent]),
            (Online, vec![New, Online, Offline, DeletionIneligible]),
            (Offline, vec![New, Online, Offline, DeletionIneligible]),
            (DeletionStarted, vec![Offline]),
            (DeletionSuccessful, vec![DeletionStarted]),
            (DeletionIneligible, vec![Offline, DeletionStarted]),
            (NonExistent, vec![DeletionSuccessful]),
        ];
        let all = [
            NonExistent,
            New,
            Online,
            Offline,
            DeletionStarted,
            DeletionSuccessful,
            DeletionIneligible,
        ];
        for (target, allowed) in table {
            for from in all {
                assert_eq!(
                    from.can_become(target),
                    allowed.contains(&from),
                    "{from:?} {target:?}"
                );
            }
        }
    }
}
