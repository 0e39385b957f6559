//! `/brokers/topics/<topic>/partitions/<partition>/state`: leader and ISR.
//!
//! The version of the znode is the partition epoch.

use serde::Deserialize;
use serde_json::{Map, json};

use super::json::{Malformed, decode, to_bytes};
use crate::model::{BrokerId, ControllerEpoch, LeaderEpoch, NO_LEADER, PartitionEpoch};

/// Whether the leader came from an unclean election and still recovers (KIP-704).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered = 0,
    Recovering = 1,
}

impl LeaderRecoveryState {
    #[must_use]
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// Leader and in-sync replicas of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAndIsr {
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub recovery: LeaderRecoveryState,
    pub partition_epoch: PartitionEpoch,
}

impl LeaderAndIsr {
    /// The state of a partition that never had one.
    #[must_use]
    pub fn initial(leader: BrokerId, isr: Vec<BrokerId>) -> Self {
        Self {
            leader,
            leader_epoch: 0,
            isr,
            recovery: LeaderRecoveryState::Recovered,
            partition_epoch: 0,
        }
    }

    /// The next leader epoch with another leader and ISR.
    #[must_use]
    pub fn next(&self, leader: BrokerId, isr: Vec<BrokerId>) -> Self {
        Self {
            leader,
            leader_epoch: self.leader_epoch + 1,
            isr,
            recovery: self.recovery,
            partition_epoch: self.partition_epoch,
        }
    }

    #[must_use]
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }
}

/// What the znode holds: the state, and the controller that last wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLeadership {
    pub state: LeaderAndIsr,
    pub controller_epoch: ControllerEpoch,
}

#[derive(Deserialize)]
struct Raw {
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    isr: Vec<BrokerId>,
    controller_epoch: ControllerEpoch,
    leader_recovery_state: Option<i8>,
}

impl PartitionLeadership {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::new();
        map.insert("controller_epoch".into(), json!(self.controller_epoch));
        map.insert("leader".into(), json!(self.state.leader));
        map.insert("version".into(), json!(1));
        if self.state.recovery != LeaderRecoveryState::Recovered {
            map.insert("leader_recovery_state".into(), json!(self.state.recovery.code()));
        }
        map.insert("leader_epoch".into(), json!(self.state.leader_epoch));
        map.insert("isr".into(), json!(self.state.isr));
        to_bytes(map)
    }

    pub fn decode(bytes: &[u8], znode_version: i32) -> Result<Self, Malformed> {
        let raw: Raw = decode("a partition state", bytes)?;
        let recovery = match raw.leader_recovery_state {
            None | Some(0) => LeaderRecoveryState::Recovered,
            Some(1) => LeaderRecoveryState::Recovering,
            Some(_) => {
                return Err(Malformed::Field {
                    what: "a partition state",
                    field: "leader_recovery_state",
                });
            }
        };
        Ok(Self {
            state: LeaderAndIsr {
                leader: raw.leader,
                leader_epoch: raw.leader_epoch,
                isr: raw.isr,
                recovery,
                partition_epoch: znode_version,
            },
            controller_epoch: raw.controller_epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_kafka_writes_it() {
        let node = PartitionLeadership {
            state: LeaderAndIsr::initial(1, vec![1]),
            controller_epoch: 1,
        };
        let golden = br#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#;
        assert_eq!(node.encode(), golden);
        assert_eq!(PartitionLeadership::decode(golden, 0).unwrap(), node);
    }

    #[test]
    fn recovery_is_written_only_while_it_lasts() {
        let mut state = LeaderAndIsr::initial(1, vec![1]).next(2, vec![2]);
        state.recovery = LeaderRecoveryState::Recovering;
        let node = PartitionLeadership { state, controller_epoch: 3 };
        let golden = br#"{"controller_epoch":3,"leader":2,"version":1,"leader_recovery_state":1,"leader_epoch":1,"isr":[2]}"#;
        assert_eq!(node.encode(), golden);
        assert_eq!(PartitionLeadership::decode(golden, 0).unwrap(), node);
        assert!(PartitionLeadership::decode(br#"{"leader":1}"#, 0).is_err());
    }
}
