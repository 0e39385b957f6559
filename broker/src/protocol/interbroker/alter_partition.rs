//! AlterPartition, versions 0 to 3: a leader asks the controller for another ISR.
//!
//! Topics are named by their names up to version 1 and by their ids from
//! version 2 on; from version 3 on the ISR carries broker epochs.

use bytes::Bytes;
use indexmap::IndexMap;

use super::fields::{Error, Reader, Writer};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};

const RECOVERY_FROM: i16 = 1;
const TOPIC_IDS_FROM: i16 = 2;
const ISR_EPOCHS_FROM: i16 = 3;
/// The epoch of a member of the ISR whose epoch the leader does not know.
const UNKNOWN_EPOCH: BrokerEpoch = -1;

/// The ISR that a leader wants for one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrChange {
    /// `None` where the request named the topic by its id.
    pub topic: Option<TopicName>,
    /// Zero where the request named the topic by its name.
    pub topic_id: TopicId,
    pub partition: i32,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub recovery: i8,
    pub partition_epoch: PartitionEpoch,
}

/// All that a leader wants changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterPartitionRequest {
    pub broker_id: BrokerId,
    pub broker_epoch: BrokerEpoch,
    pub changes: Vec<IsrChange>,
}

/// The state of a partition after a change was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteredIsr {
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub recovery: i8,
    pub partition_epoch: PartitionEpoch,
}

/// What became of one change; the error is a code of Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrOutcome {
    pub topic: Option<TopicName>,
    pub topic_id: TopicId,
    pub partition: i32,
    pub result: Result<AlteredIsr, i16>,
}

/// The controller's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlterPartitionResponse {
    pub error_code: i16,
    pub outcomes: Vec<IsrOutcome>,
}

/// A topic as a message names it.
type Named = (Option<TopicName>, TopicId);

fn by_topic<T>(items: &[T], named: impl Fn(&T) -> Named) -> IndexMap<Named, Vec<&T>> {
    let mut topics: IndexMap<Named, Vec<&T>> = IndexMap::new();
    for item in items {
        topics.entry(named(item)).or_default().push(item);
    }
    topics
}

fn put_topic(out: &mut Writer, version: i16, (name, id): &Named) {
    match version {
        TOPIC_IDS_FROM.. => out.uuid(*id),
        _ => out.string(name.as_ref().map_or("", TopicName::as_str)),
    }
}

fn take_topic(from: &mut Reader, version: i16) -> Result<Named, Error> {
    match version {
        TOPIC_IDS_FROM.. => Ok((None, from.uuid()?)),
        _ => Ok((Some(from.topic_name()?), TopicId::nil())),
    }
}

impl AlterPartitionRequest {
    #[must_use]
    pub fn encode(&self, version: i16) -> Bytes {
        let mut out = Writer::default();
        out.i32(self.broker_id);
        out.i64(self.broker_epoch);
        let topics = by_topic(&self.changes, |c| (c.topic.clone(), c.topic_id));
        out.count(topics.len());
        for (topic, changes) in topics {
            put_topic(&mut out, version, &topic);
            out.count(changes.len());
            for change in changes {
                out.i32(change.partition);
                out.i32(change.leader_epoch);
                self.put_isr(&mut out, version, &change.isr);
                if version >= RECOVERY_FROM {
                    out.i8(change.recovery);
                }
                out.i32(change.partition_epoch);
                out.no_tags();
            }
            out.no_tags();
        }
        out.no_tags();
        out.finish()
    }

    fn put_isr(&self, out: &mut Writer, version: i16, isr: &[BrokerId]) {
        if version < ISR_EPOCHS_FROM {
            return out.i32s(isr);
        }
        out.count(isr.len());
        for id in isr {
            out.i32(*id);
            out.i64(match *id == self.broker_id {
                true => self.broker_epoch,
                false => UNKNOWN_EPOCH,
            });
            out.no_tags();
        }
    }

    pub fn decode(body: Bytes, version: i16) -> Result<Self, Error> {
        let mut from = Reader::new(body);
        let (broker_id, broker_epoch) = (from.i32()?, from.i64()?);
        let mut changes = Vec::new();
        from.each(|from| {
            let (topic, topic_id) = take_topic(from, version)?;
            from.each(|from| {
                let (partition, leader_epoch) = (from.i32()?, from.i32()?);
                let isr = take_isr(from, version)?;
                let recovery = match version {
                    RECOVERY_FROM.. => from.i8()?,
                    _ => 0,
                };
                changes.push(IsrChange {
                    topic: topic.clone(),
                    topic_id,
                    partition,
                    leader_epoch,
                    isr,
                    recovery,
                    partition_epoch: from.i32()?,
                });
                from.tags()
            })?;
            from.tags()
        })?;
        from.tags()?;
        from.end()?;
        Ok(Self {
            broker_id,
            broker_epoch,
            changes,
        })
    }
}

fn take_isr(from: &mut Reader, version: i16) -> Result<Vec<BrokerId>, Error> {
    if version < ISR_EPOCHS_FROM {
        return from.i32s();
    }
    let mut isr = Vec::new();
    from.each(|from| {
        isr.push(from.i32()?);
        from.i64()?;
        from.tags()
    })?;
    Ok(isr)
}

impl AlterPartitionResponse {
    /// An answer that concerns the request as a whole.
    #[must_use]
    pub fn refused(error_code: i16) -> Self {
        Self {
            error_code,
            outcomes: Vec::new(),
        }
    }

    #[must_use]
    pub fn encode(&self, version: i16) -> Bytes {
        const THROTTLE_TIME_MS: i32 = 0;
        let mut out = Writer::default();
        out.i32(THROTTLE_TIME_MS);
        out.i16(self.error_code);
        let topics = by_topic(&self.outcomes, |o| (o.topic.clone(), o.topic_id));
        out.count(topics.len());
        for (topic, outcomes) in topics {
            put_topic(&mut out, version, &topic);
            out.count(outcomes.len());
            for outcome in outcomes {
                put_outcome(&mut out, version, outcome);
            }
            out.no_tags();
        }
        out.no_tags();
        out.finish()
    }

    pub fn decode(body: Bytes, version: i16) -> Result<Self, Error> {
        let mut from = Reader::new(body);
        from.i32()?;
        let error_code = from.i16()?;
        let mut outcomes = Vec::new();
        from.each(|from| {
            let (topic, topic_id) = take_topic(from, version)?;
            from.each(|from| {
                let partition = from.i32()?;
                outcomes.push(IsrOutcome {
                    topic: topic.clone(),
                    topic_id,
                    partition,
                    result: take_result(from, version)?,
                });
                from.tags()
            })?;
            from.tags()
        })?;
        from.tags()?;
        from.end()?;
        Ok(Self {
            error_code,
            outcomes,
        })
    }
}

fn put_outcome(out: &mut Writer, version: i16, outcome: &IsrOutcome) {
    let nothing = AlteredIsr {
        leader: 0,
        leader_epoch: 0,
        isr: Vec::new(),
        recovery: 0,
        partition_epoch: 0,
    };
    let (code, state) = match &outcome.result {
        Ok(state) => (0, state),
        Err(code) => (*code, &nothing),
    };
    out.i32(outcome.partition);
    out.i16(code);
    out.i32(state.leader);
    out.i32(state.leader_epoch);
    out.i32s(&state.isr);
    if version >= RECOVERY_FROM {
        out.i8(state.recovery);
    }
    out.i32(state.partition_epoch);
    out.no_tags();
}

fn take_result(from: &mut Reader, version: i16) -> Result<Result<AlteredIsr, i16>, Error> {
    let code = from.i16()?;
    let state = AlteredIsr {
        leader: from.i32()?,
        leader_epoch: from.i32()?,
        isr: from.i32s()?,
        recovery: match version {
            RECOVERY_FROM.. => from.i8()?,
            _ => 0,
        },
        partition_epoch: from.i32()?,
    };
    Ok(match code {
        0 => Ok(state),
        code => Err(code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: i16) -> AlterPartitionRequest {
        let (topic, topic_id) = match version {
            TOPIC_IDS_FROM.. => (None, TopicId::from_u128(7)),
            _ => (Some(TopicName::new("t").unwrap()), TopicId::nil()),
        };
        let change = |partition, isr: &[BrokerId]| IsrChange {
            topic: topic.clone(),
            topic_id,
            partition,
            leader_epoch: 4,
            isr: isr.to_vec(),
            recovery: i8::from(version >= RECOVERY_FROM),
            partition_epoch: 9,
        };
        AlterPartitionRequest {
            broker_id: 1,
            broker_epoch: 33,
            changes: vec![change(0, &[1, 2]), change(3, &[1])],
        }
    }

    #[test]
    fn every_version_comes_back_and_no_cut_is_read() {
        for version in 0..=3 {
            let request = request(version);
            let bytes = request.encode(version);
            let decoded = AlterPartitionRequest::decode(bytes.clone(), version);
            assert_eq!(decoded.as_ref(), Ok(&request), "{version}");
            for cut in 0..bytes.len() {
                assert!(AlterPartitionRequest::decode(bytes.slice(..cut), version).is_err());
            }
            let outcomes = request.changes.iter().map(|change| IsrOutcome {
                topic: change.topic.clone(),
                topic_id: change.topic_id,
                partition: change.partition,
                result: match change.partition {
                    0 => Err(74),
                    _ => Ok(AlteredIsr {
                        leader: 1,
                        leader_epoch: 4,
                        isr: vec![1, 2],
                        recovery: change.recovery,
                        partition_epoch: 10,
                    }),
                },
            });
            let response = AlterPartitionResponse {
                error_code: 0,
                outcomes: outcomes.collect(),
            };
            let bytes = response.encode(version);
            let decoded = AlterPartitionResponse::decode(bytes.clone(), version);
            assert_eq!(decoded.as_ref(), Ok(&response), "{version}");
            for cut in 0..bytes.len() {
                assert!(AlterPartitionResponse::decode(bytes.slice(..cut), version).is_err());
            }
        }
    }

    /// As Kafka's generated classes write it.
    #[test]
    fn the_newest_version_has_kafkas_bytes() {
        let bytes = request(3).encode(3);
        let mut expected = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 33, 2];
        expected.extend(7_u128.to_be_bytes());
        expected.extend([3, 0, 0, 0, 0, 0, 0, 0, 4, 3]);
        expected.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 33, 0]);
        expected.extend([0, 0, 0, 2]);
        expected.extend((-1_i64).to_be_bytes());
        expected.extend([0, 1, 0, 0, 0, 9, 0]);
        expected.extend([0, 0, 0, 3, 0, 0, 0, 4, 2]);
        expected.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 33, 0]);
        expected.extend([1, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }
}
