use common::clock::ManualClock;

use super::*;
use crate::handlers::fetch::reader::Fetcher;
use crate::model::{TopicId, TopicName};
use crate::replica::{Isolation, Waiter};

const WATCHER: Watcher = Watcher {
    fetcher: Fetcher::Consumer(crate::replica::Reader::Client),
    isolation: Isolation::ReadUncommitted,
};

struct Reader {
    sessions: Sessions,
    clock: Arc<ManualClock>,
}

fn wanted(topic: &str, index: i32, offset: i64) -> Wanted {
    Wanted {
        name: Some(TopicName::new(topic).unwrap()),
        id: TopicId::nil(),
        index,
        offset,
        bytes_max: 100,
        current_epoch: -1,
        last_epoch: -1,
        log_start: -1,
    }
}

fn result(wanted: &Wanted, high_watermark: i64, records: &'static [u8]) -> Partition {
    Partition {
        high_watermark,
        log_start_offset: 0,
        records: Some(common::wire::Part::Memory(records.into())),
        ..Partition::error(wanted.index, 0)
    }
}

impl Reader {
    fn new(slots: usize) -> Self {
        let clock = Arc::new(ManualClock::new());
        Self {
            sessions: Sessions::new(slots, Duration::from_secs(3), clock.clone()),
            clock,
        }
    }

    fn ask(
        &self,
        (session_id, epoch): (i32, i32),
        wanted: Vec<Wanted>,
        forgotten: Vec<Key>,
    ) -> Result<Opened, ResponseError> {
        let question = Question {
            session_id,
            epoch,
            names_by_id: false,
            wanted,
            forgotten,
            watcher: WATCHER,
        };
        self.sessions.open(question, &Snapshot::default())
    }

    /// Asks and is answered with `results`; the session, the error code, and
    /// the partitions that were told.
    fn fetch(
        &self,
        place: (i32, i32),
        wanted: Vec<Wanted>,
        results: impl Fn(&Wanted) -> Partition,
    ) -> (i32, i16, Vec<i32>) {
        let opened = self.ask(place, wanted, Vec::new()).unwrap();
        let results = opened.wanted.iter().map(results).collect();
        let answered = self
            .sessions
            .answer(&opened.opened, &opened.wanted, results);
        let told = answered.results.iter().map(|(wanted, _)| wanted.index);
        (answered.session_id, answered.error_code, told.collect())
    }
}

fn quiet(wanted: &Wanted) -> Partition {
    result(wanted, 10, b"")
}

#[test]
fn a_session_tells_only_what_changed() {
    let reader = Reader::new(10);
    let both = vec![wanted("t", 0, 5), wanted("t", 1, 5)];
    let (id, _, told) = reader.fetch((0, INITIAL_EPOCH), both, quiet);
    assert!(id > 0);
    assert_eq!(told, [0, 1], "a full answer leaves nothing out");
    assert_eq!(reader.fetch((id, 1), vec![], quiet), (id, 0, vec![]));
    let moved = |wanted: &Wanted| result(wanted, 10 + i64::from(wanted.index), b"");
    assert_eq!(reader.fetch((id, 2), vec![], moved), (id, 0, vec![1]));
    let records = |wanted: &Wanted| match wanted.index {
        0 => result(wanted, 10, b"records"),
        _ => moved(wanted),
    };
    assert_eq!(reader.fetch((id, 3), vec![], records), (id, 0, vec![0]));
    // Who got records waits for the others now.
    assert_eq!(reader.fetch((id, 4), vec![], records), (id, 0, vec![0]));
    let opened = reader.ask((id, 5), vec![], vec![]).unwrap();
    let order: Vec<_> = opened.wanted.iter().map(|wanted| wanted.index).collect();
    assert_eq!(order, [1, 0]);
}

#[test]
fn a_session_takes_changes_and_forgets() {
    let reader = Reader::new(10);
    let (id, ..) = reader.fetch((0, INITIAL_EPOCH), vec![wanted("t", 0, 5)], quiet);
    let opened = reader.ask((id, 1), vec![wanted("t", 0, 9), wanted("t", 7, 1)], vec![]);
    let offsets = |opened: Opened| -> Vec<_> {
        let wanted = opened.wanted.iter();
        wanted.map(|wanted| (wanted.index, wanted.offset)).collect()
    };
    assert_eq!(offsets(opened.unwrap()), [(0, 9), (7, 1)]);
    let key = |index| wanted("t", index, 0).key().unwrap();
    let opened = reader.ask((id, 2), vec![], vec![key(0)]);
    assert_eq!(offsets(opened.unwrap()), [(7, 1)]);
    let opened = reader.ask((id, 3), vec![], vec![key(7)]).unwrap();
    assert!(
        matches!(opened.opened, OpenedAs::Sessionless),
        "nothing is left"
    );
    let gone = reader.ask((id, 4), vec![], vec![]).err();
    assert_eq!(gone, Some(ResponseError::FetchSessionIdNotFound));
}

#[test]
fn wrong_epochs_and_sessions_are_refused() {
    let reader = Reader::new(10);
    let one = || vec![wanted("t", 0, 5)];
    let (id, ..) = reader.fetch((0, INITIAL_EPOCH), one(), quiet);
    let refused = |place| reader.ask(place, vec![], vec![]).err();
    assert_eq!(
        refused((id, 2)),
        Some(ResponseError::InvalidFetchSessionEpoch)
    );
    assert_eq!(
        refused((id, -2)),
        Some(ResponseError::InvalidFetchSessionEpoch)
    );
    assert_eq!(
        refused((id ^ 1, 1)),
        Some(ResponseError::FetchSessionIdNotFound)
    );
    let by_id = Question {
        session_id: id,
        epoch: 1,
        names_by_id: true,
        wanted: vec![],
        forgotten: vec![],
        watcher: WATCHER,
    };
    let refused = reader.sessions.open(by_id, &Snapshot::default()).err();
    assert_eq!(refused, Some(ResponseError::FetchSessionTopicIdError));
    // A request that was overtaken by the next one is answered with an error.
    let first = reader.ask((id, 1), vec![], vec![]).unwrap();
    reader.ask((id, 2), vec![], vec![]).unwrap();
    let results = first.wanted.iter().map(quiet).collect();
    let answered = reader
        .sessions
        .answer(&first.opened, &first.wanted, results);
    assert_eq!(
        answered.error_code,
        ResponseError::InvalidFetchSessionEpoch.code()
    );
    assert!(answered.results.is_empty());
    // The final epoch ends the session and is answered in full.
    assert_eq!(
        reader.fetch((id, FINAL_EPOCH), one(), quiet),
        (0, 0, vec![0])
    );
    let gone = reader.ask((id, 3), vec![], vec![]).err();
    assert_eq!(gone, Some(ResponseError::FetchSessionIdNotFound));
}

#[test]
fn errors_are_told_until_they_are_over_and_then_once_more() {
    let reader = Reader::new(10);
    let (id, ..) = reader.fetch((0, INITIAL_EPOCH), vec![wanted("t", 0, 5)], quiet);
    let failed = |wanted: &Wanted| Partition::error(wanted.index, 6);
    assert_eq!(reader.fetch((id, 1), vec![], failed).2, [0]);
    assert_eq!(reader.fetch((id, 2), vec![], failed).2, [0]);
    assert_eq!(reader.fetch((id, 3), vec![], quiet).2, [0]);
    assert!(reader.fetch((id, 4), vec![], quiet).2.is_empty());
}

#[test]
fn a_full_cache_keeps_what_is_in_use_and_large() {
    let reader = Reader::new(2);
    let list = |count| (0..count).map(|index| wanted("t", index, 0)).collect();
    let open = |count| reader.fetch((0, INITIAL_EPOCH), list(count), quiet).0;
    let (small, large) = (open(1), open(3));
    assert!(small > 0 && large > 0);
    assert_eq!(open(9), NO_SESSION, "both are young");
    let advance = |ms: i64| {
        reader
            .clock
            .advance(std::time::Duration::from_millis(ms.unsigned_abs()))
    };
    advance(EVICTABLE_AFTER_MS);
    for session in [small, large] {
        assert_eq!(reader.fetch((session, 1), vec![], quiet).0, session);
    }
    advance(1);
    assert_eq!(open(0), NO_SESSION, "smaller than the smallest");
    let medium = open(2);
    assert!(medium > 0);
    let gone = reader.ask((small, 2), vec![], vec![]).err();
    assert_eq!(gone, Some(ResponseError::FetchSessionIdNotFound));
    advance(EVICTABLE_AFTER_MS);
    assert_eq!(reader.fetch((medium, 1), vec![], quiet).0, medium);
    assert!(open(1) > 0, "the large one is idle");
    assert!(reader.ask((large, 2), vec![], vec![]).is_err());
    let none = Reader::new(0);
    assert_eq!(
        none.fetch((0, INITIAL_EPOCH), list(1), quiet),
        (NO_SESSION, 0, vec![0])
    );
}

#[test]
fn a_quiet_session_is_not_looked_up_again() {
    let reader = Reader::new(2);
    let (id, ..) = reader.fetch((0, 0), vec![wanted("a", 0, 10)], quiet);
    let waiter = Waiter::default();
    let keep = |opened: &OpenedAs| {
        opened.keep(Watch {
            watcher: WATCHER,
            waiter: waiter.clone(),
            _registrations: Vec::new(),
            until: Duration::MAX,
        });
    };
    let first = reader.ask((id, 1), vec![], vec![]).unwrap();
    assert_eq!((first.wanted.len(), first.watch.is_some()), (1, false));
    keep(&first.opened);
    let again = reader.ask((id, 2), vec![], vec![]).unwrap();
    assert_eq!((again.wanted.len(), again.watch.is_some()), (0, true));
    assert_eq!(again.opened.wanted(&Snapshot::default()).len(), 1);
    let answered = reader.sessions.answer(&again.opened, &[], vec![]);
    assert_eq!((answered.error_code, answered.session_id), (0, id));

    keep(&again.opened);
    let moved = reader.ask((id, 3), vec![wanted("a", 0, 11)], vec![]);
    assert!(moved.unwrap().watch.is_none(), "another position");
    let other = reader.ask((id, 4), vec![], vec![]).unwrap();
    assert!(other.watch.is_none(), "a watch serves once");
    keep(&other.opened);
    waiter.wake();
    let woken = reader.ask((id, 5), vec![], vec![]).unwrap();
    assert_eq!((woken.wanted.len(), woken.watch.is_some()), (1, false));
    keep(&other.opened);
    let late = reader.ask((id, 6), vec![], vec![]).unwrap();
    assert!(late.watch.is_none(), "kept by a request that is over");
}
