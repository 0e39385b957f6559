//! Every request in every state, then the stories that several of them tell.

use super::*;
use crate::model::TopicName;

const ID: i64 = 4_000;
const EPOCH: i16 = 3;
const TIMEOUT_MS: i32 = 60_000;
const STARTED_MS: i64 = 1_000;
const NOW_MS: i64 = 9_000;
const OWNER: Producer = Producer {
    id: ID,
    epoch: EPOCH,
};

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), index)
}

fn partitions(indexes: &[i32]) -> BTreeSet<TopicPartition> {
    indexes.iter().copied().map(partition).collect()
}

/// An id in `state`, as it is loaded.
fn known(state: State) -> Transaction {
    let has_partitions = matches!(
        state,
        State::Ongoing | State::PrepareCommit | State::PrepareAbort
    );
    Transaction::loaded(Metadata {
        producer_id: ID,
        last_producer_id: NO_PRODUCER_ID,
        producer_epoch: EPOCH,
        last_producer_epoch: NO_EPOCH,
        timeout_ms: TIMEOUT_MS,
        state,
        partitions: partitions(if has_partitions { &[0] } else { &[] }),
        started_ms: if state == State::Empty {
            NO_TIME
        } else {
            STARTED_MS
        },
        updated_ms: 2_000,
    })
}

/// The same with another epoch.
fn with_epoch(state: State, epoch: i16) -> Transaction {
    let mut known = known(state);
    known.metadata.producer_epoch = epoch;
    known
}

/// What an init leads to: the state that is written, its epochs and producer id.
fn init(
    known: &mut Transaction,
    expected: Option<Producer>,
) -> Result<(State, i64, i16, i16), Error> {
    match known.init(70_000, expected, Some(5_000), NOW_MS)? {
        Init::Write(next) => {
            assert_eq!((next.state, next.timeout_ms), (State::Empty, 70_000));
            assert_eq!((next.started_ms, next.updated_ms), (NO_TIME, NOW_MS));
            assert!(next.partitions.is_empty());
            let wrote = (
                next.state,
                next.producer_id,
                next.producer_epoch,
                next.last_producer_epoch,
            );
            known.complete(next);
            Ok(wrote)
        }
        Init::Abort(next) => {
            assert_eq!(next.timeout_ms, TIMEOUT_MS, "the aborted transaction's");
            Ok((
                next.state,
                next.producer_id,
                next.producer_epoch,
                next.last_producer_epoch,
            ))
        }
        Init::NeedsProducerId => panic!("one was given"),
    }
}

#[test]
fn init_in_every_state() {
    let owns = Ok((State::Empty, ID, EPOCH + 1, NO_EPOCH));
    for (state, expected) in [
        (State::Empty, owns),
        (State::CompleteCommit, owns),
        (State::CompleteAbort, owns),
        (
            State::Ongoing,
            Ok((State::PrepareAbort, ID, EPOCH + 1, NO_EPOCH)),
        ),
        (State::PrepareCommit, Err(Error::ConcurrentTransactions)),
        (State::PrepareAbort, Err(Error::ConcurrentTransactions)),
        (State::Dead, Err(Error::Broken)),
        (State::PrepareEpochFence, Err(Error::Broken)),
    ] {
        assert_eq!(init(&mut known(state), None), expected, "{state:?}");
        let mut pending = known(state);
        pending.pending = Some(State::Ongoing);
        let refused = Err(Error::ConcurrentTransactions);
        assert_eq!(init(&mut pending, None), refused, "{state:?}");
    }
}

#[test]
fn add_in_every_state() {
    let later = Err(Error::ConcurrentTransactions);
    let broken = Err(Error::Broken);
    for (state, expected) in [
        (State::Empty, Ok((NOW_MS, partitions(&[1])))),
        (State::CompleteCommit, Ok((NOW_MS, partitions(&[1])))),
        (State::CompleteAbort, Ok((NOW_MS, partitions(&[1])))),
        (State::Ongoing, Ok((STARTED_MS, partitions(&[0, 1])))),
        (State::PrepareCommit, later.clone()),
        (State::PrepareAbort, later),
        (State::Dead, broken.clone()),
        (State::PrepareEpochFence, broken),
    ] {
        let mut id = known(state);
        let added = id.add(OWNER, &partitions(&[1]), NOW_MS).map(|next| {
            let next = next.unwrap();
            assert_eq!((next.state, next.updated_ms), (State::Ongoing, NOW_MS));
            id.complete(next.clone());
            (next.started_ms, next.partitions)
        });
        assert_eq!(added, expected, "{state:?}");
        let mut pending = known(state);
        pending.pending = Some(State::Ongoing);
        let refused = pending.add(OWNER, &partitions(&[1]), NOW_MS);
        assert_eq!(refused, Err(Error::ConcurrentTransactions), "{state:?}");
    }
}

#[test]
fn end_in_every_state() {
    let commits = Ok(Some(State::PrepareCommit));
    let aborts = Ok(Some(State::PrepareAbort));
    let later = Err(Error::ConcurrentTransactions);
    let invalid = Err(Error::InvalidTxnState);
    for (state, commit, abort) in [
        (State::Ongoing, commits, aborts),
        (State::CompleteCommit, Ok(None), invalid),
        (State::CompleteAbort, invalid, Ok(None)),
        (State::PrepareCommit, later, invalid),
        (State::PrepareAbort, invalid, later),
        (State::Empty, invalid, invalid),
        (State::Dead, Err(Error::Broken), Err(Error::Broken)),
        (
            State::PrepareEpochFence,
            Err(Error::Broken),
            Err(Error::Broken),
        ),
    ] {
        for (end, expected) in [(End::Commit, commit), (End::Abort, abort)] {
            let ended = known(state).end(OWNER, end, NOW_MS).map(|next| {
                next.map(|next| {
                    assert_eq!(next.partitions, partitions(&[0]));
                    assert_eq!((next.started_ms, next.updated_ms), (STARTED_MS, NOW_MS));
                    next.state
                })
            });
            assert_eq!(ended, expected, "{state:?} {end:?}");
            let mut pending = known(state);
            pending.pending = Some(State::Ongoing);
            let refused = pending.end(OWNER, end, NOW_MS);
            assert_eq!(refused, later.map(|_: Option<State>| None), "{state:?}");
        }
    }
}

#[test]
fn verify_in_every_state() {
    let asked = [partition(0), partition(1)];
    for state in State::ALL {
        let expected = match state {
            State::PrepareCommit | State::PrepareAbort => Err(Error::ConcurrentTransactions),
            State::Ongoing => Ok(vec![true, false]),
            _ => Ok(vec![false, false]),
        };
        let mut id = known(state);
        assert_eq!(id.verify(OWNER, &asked), expected, "{state:?}");
        id.pending = Some(State::Ongoing);
        let expected = expected.clone();
        assert_eq!(id.verify(OWNER, &asked), expected, "pending {state:?}");
    }
}

#[test]
fn only_the_owner_is_heard() {
    let other = Producer { id: 1, ..OWNER };
    let older = Producer {
        epoch: EPOCH - 1,
        ..OWNER
    };
    let newer = Producer {
        epoch: EPOCH + 1,
        ..OWNER
    };
    for (producer, expected) in [
        (other, Error::InvalidProducerIdMapping),
        (older, Error::ProducerFenced),
        (newer, Error::ProducerFenced),
    ] {
        for state in State::ALL {
            let mut id = known(state);
            let added = id.add(producer, &partitions(&[1]), NOW_MS);
            assert_eq!(added, Err(expected), "{state:?}");
            let ended = id.end(producer, End::Commit, NOW_MS);
            assert_eq!(ended, Err(expected), "{state:?}");
            let verified = id.verify(producer, &[partition(0)]);
            assert_eq!(verified, Err(expected), "{state:?}");
        }
    }
}

#[test]
fn partitions_that_are_in_the_transaction_are_not_written_again() {
    let mut id = known(State::Ongoing);
    assert_eq!(id.add(OWNER, &partitions(&[0]), NOW_MS), Ok(None));
    assert!(!id.is_pending());
    let mut empty = known(State::Empty);
    let none = partitions(&[]);
    assert!(
        empty.add(OWNER, &none, NOW_MS).unwrap().is_some(),
        "a transaction without partitions begins, too"
    );
}

#[test]
fn the_first_owner_has_epoch_0() {
    let mut id = Transaction::new(ID, TIMEOUT_MS, NOW_MS);
    assert_eq!(init(&mut id, None), Ok((State::Empty, ID, 0, NO_EPOCH)));
    let mut id = Transaction::new(ID, TIMEOUT_MS, NOW_MS);
    let any = Producer { id: 7, epoch: 9 };
    let owns = Ok((State::Empty, ID, 0, NO_EPOCH));
    assert_eq!(init(&mut id, Some(any)), owns, "whatever it was before");
}

#[test]
fn an_owner_that_goes_on_after_an_error_keeps_its_id() {
    let mut id = known(State::CompleteAbort);
    let owns = Ok((State::Empty, ID, EPOCH + 1, EPOCH));
    assert_eq!(init(&mut id, Some(OWNER)), owns);
    assert_eq!(init(&mut id, Some(OWNER)), owns, "its request came again");
    assert_eq!(
        init(&mut id, None),
        Ok((State::Empty, ID, EPOCH + 2, NO_EPOCH))
    );
    let fenced = Err(Error::ProducerFenced);
    assert_eq!(init(&mut id, Some(OWNER)), fenced, "another is the owner");
    let other = Producer { id: 1, ..OWNER };
    assert_eq!(init(&mut id, Some(other)), fenced);
}

#[test]
fn epochs_that_are_used_up_need_a_new_producer_id() {
    const LAST: i16 = i16::MAX - 1;
    let mut id = with_epoch(State::CompleteCommit, LAST);
    let needs = id.init(TIMEOUT_MS, None, None, NOW_MS);
    assert_eq!(needs, Ok(Init::NeedsProducerId));
    assert!(!id.is_pending());
    let new = Ok((State::Empty, 5_000, 0, NO_EPOCH));
    assert_eq!(init(&mut id, None), new);
    let mut id = with_epoch(State::CompleteCommit, LAST);
    let owner = Producer {
        id: ID,
        epoch: LAST,
    };
    assert_eq!(
        init(&mut id, Some(owner)),
        Ok((State::Empty, 5_000, 0, LAST))
    );
    assert_eq!(
        init(&mut id, Some(owner)),
        Ok((State::Empty, 5_000, 0, LAST)),
        "its request came again"
    );
    let mut fenced = with_epoch(State::CompleteAbort, i16::MAX);
    assert_eq!(init(&mut fenced, None), new, "after a fence");
    let mut nearly = with_epoch(State::CompleteCommit, LAST - 1);
    let owns = Ok((State::Empty, ID, LAST, NO_EPOCH));
    assert_eq!(init(&mut nearly, None), owns);
}

#[test]
fn a_second_producer_aborts_the_first_ones_transaction() {
    let mut id = known(State::Ongoing);
    let Ok(Init::Abort(next)) = id.init(TIMEOUT_MS, None, None, NOW_MS) else {
        panic!("an open transaction is aborted first");
    };
    assert_eq!(id.verify(OWNER, &[]), Err(Error::ProducerFenced));
    assert_eq!(
        id.end(OWNER, End::Commit, NOW_MS),
        Err(Error::ProducerFenced)
    );
    id.complete(next);
    assert_eq!(
        id.init(TIMEOUT_MS, None, None, NOW_MS),
        Err(Error::ConcurrentTransactions)
    );
    let (end, next) = id.prepare_complete(NOW_MS).unwrap();
    assert_eq!((end, next.state), (End::Abort, State::CompleteAbort));
    id.remove_partition(&partition(0));
    id.complete(next);
    let owns = Ok((State::Empty, ID, EPOCH + 2, NO_EPOCH));
    assert_eq!(init(&mut id, None), owns);
    let seen = id.metadata();
    assert_eq!((seen.state, seen.started_ms), (State::Empty, STARTED_MS));
}

#[test]
fn an_epoch_that_could_not_be_written_is_not_raised_again() {
    let mut id = known(State::Ongoing);
    for attempt in 0..3 {
        let next = id.time_out(STARTED_MS + i64::from(TIMEOUT_MS) + 1).unwrap();
        assert_eq!(next.producer_epoch, EPOCH + 1, "attempt {attempt}");
        id.fail(Failed::Fence);
        let fenced = id.end(OWNER, End::Commit, NOW_MS);
        assert_eq!(fenced, Err(Error::ProducerFenced));
    }
    let next = id.time_out(STARTED_MS + i64::from(TIMEOUT_MS) + 1).unwrap();
    id.complete(next);
    let (_, next) = id.prepare_complete(NOW_MS).unwrap();
    id.complete(next);
    let owns = Ok((State::Empty, ID, EPOCH + 2, NO_EPOCH));
    assert_eq!(init(&mut id, None), owns);
}

#[test]
fn only_open_transactions_are_late_and_only_after_their_timeout() {
    let deadline = STARTED_MS + i64::from(TIMEOUT_MS);
    for state in State::ALL {
        let late = known(state).time_out(deadline + 1);
        assert_eq!(late.is_some(), state == State::Ongoing, "{state:?}");
    }
    assert_eq!(known(State::Ongoing).time_out(deadline), None);
    let mut pending = known(State::Ongoing);
    pending.pending = Some(State::PrepareCommit);
    assert_eq!(pending.time_out(deadline + 1), None);
}

#[test]
fn only_idle_ids_expire() {
    for state in State::ALL {
        let is_idle = matches!(
            state,
            State::Empty | State::CompleteCommit | State::CompleteAbort
        );
        let mut id = known(state);
        assert!(!id.expire(1_999), "{state:?}");
        assert_eq!(id.expire(2_000), is_idle, "{state:?}");
        assert_eq!(id.is_pending(), is_idle);
        assert!(!id.expire(2_000), "it is on its way");
    }
}

#[test]
fn a_failed_write_changes_nothing() {
    let mut id = known(State::Ongoing);
    let before = id.metadata.clone();
    id.end(OWNER, End::Commit, NOW_MS).unwrap();
    id.fail(Failed::Other);
    assert_eq!(id.metadata, before);
    let next = id.end(OWNER, End::Abort, NOW_MS).unwrap().unwrap();
    assert_eq!(next.state, State::PrepareAbort);
}

#[test]
fn a_transaction_ends_when_its_partitions_have_their_markers() {
    for (end, completed) in [
        (End::Commit, State::CompleteCommit),
        (End::Abort, State::CompleteAbort),
    ] {
        let mut id = known(State::Ongoing);
        assert_eq!(id.prepare_complete(NOW_MS), None, "nothing is decided");
        let next = id.end(OWNER, end, NOW_MS).unwrap().unwrap();
        id.complete(next);
        let (decided, next) = id.prepare_complete(NOW_MS + 1).unwrap();
        assert_eq!(decided, end);
        assert_eq!(
            id.end(OWNER, end, NOW_MS),
            Err(Error::ConcurrentTransactions)
        );
        id.remove_partition(&partition(0));
        assert!(id.metadata().partitions.is_empty());
        id.complete(next);
        assert_eq!(id.metadata().state, completed);
        assert_eq!(id.metadata().started_ms, STARTED_MS);
        assert_eq!(id.end(OWNER, end, NOW_MS), Ok(None), "it came again");
        let next = id.add(OWNER, &partitions(&[4]), NOW_MS + 2);
        assert_eq!(next.unwrap().unwrap().started_ms, NOW_MS + 2);
    }
}

#[test]
fn states_have_kafkas_numbers_and_names() {
    for (id, state) in (0_i8..).zip(State::ALL) {
        assert_eq!(state.id(), id);
        assert_eq!(State::from_id(id), Some(state));
        assert_eq!(State::from_name(state.name()), Some(state));
        assert_eq!(format!("{state:?}"), state.name());
    }
    assert_eq!(State::from_id(8), None);
    assert_eq!(State::from_name("empty"), None);
}
