//! Cleanings that do not come to their end, or meet damage.

use super::*;

#[test]
fn a_cut_of_the_log_ends_the_pass_under_way_without_a_trace() {
    type Cut = fn(&LogHandle, &Manager);
    let cuts: [(&str, Cut); 3] = [
        ("truncation", |log, _| {
            log.write().truncate_to(150, NOW).unwrap();
        }),
        ("retention", |log, _| {
            let mut log = log.write();
            log.maybe_increment_log_start_offset(100).unwrap();
            log.delete_old_segments(NOW, 200).unwrap();
        }),
        ("deletion", |_, manager| {
            manager.delete_async(&id(), NOW).unwrap();
        }),
    ];
    for (name, cut) in cuts {
        let fixture = Fixture::new(|_| {});
        let log = fixture.log();
        fill(&log, 20, 10);
        let candidate = log.read().cleaning_candidate(200, NOW).unwrap();
        let throttle = Throttle::new(1.0, fixture.clock.clone());
        let stop = AtomicBool::new(false);
        let done = AtomicBool::new(false);
        let rest = |_| {
            if !done.swap(true, Ordering::Relaxed) {
                cut(&log, &fixture.manager);
            }
        };
        let count = Arc::clone(&log.read().cuts);
        let mut pass = Pass {
            log: &log,
            candidate,
            limits: fixture.cleaner(1 << 20).limits,
            throttle: &throttle,
            guard: Guard {
                stop: &stop,
                cuts_at_start: count.load(Ordering::Relaxed),
                cuts: count,
                rest: &rest,
            },
            now_ms: NOW,
            stats: Stats::default(),
        };
        fixture.clock.advance(Duration::from_secs(1));
        let result = pass.run();
        assert!(
            matches!(result, Err(pass::Error::Interrupted)),
            "{name}: {result:?}"
        );
        assert_eq!(fixture.checkpoint(), None, "{name}");
        let dir = log.read().dir().to_owned();
        for file in names(&dir) {
            assert!(
                !file.ends_with(".cleaned") && !file.ends_with(".swap"),
                "{name}: {file}"
            );
        }
    }
}

#[test]
fn a_truncation_lowers_the_checkpoint_before_new_records_come() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    fill(&log, 20, 10);
    fixture.clean();
    let cleaned = fixture.checkpoint().unwrap();
    assert!(cleaned > 100);
    log.write().truncate_to(cleaned + 1, NOW).unwrap();
    assert_eq!(fixture.checkpoint(), Some(cleaned));
    log.write().truncate_to(100, NOW).unwrap();
    assert_eq!(fixture.checkpoint(), Some(100));
    fixture.manager.delete_async(&id(), NOW).unwrap();
    assert_eq!(fixture.checkpoint(), None);
}

/// A copy of a log's directory at each step of a swap, as a crash leaves it.
#[test]
fn a_crash_at_any_step_of_the_swap_leaves_the_old_or_the_new_segments() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    fill(&log, 20, 10);
    fixture.clean();
    log.write().roll(NOW).unwrap();
    log.write().flush(NOW).unwrap();
    let before = all_records(&log.read());
    let dir = log.read().dir().to_owned();
    let old = tempfile::tempdir().unwrap();
    copy_files(&dir, old.path());
    fixture.clean();
    let after = all_records(&log.read());
    let bases: Vec<_> = log.read().segments.keys().copied().collect();
    let (first_kept, base) = (bases[1], bases[0]);
    assert_eq!(base, 0);
    let suffixes = ["log", "index", "timeindex"];
    let replaced: Vec<_> = names(old.path())
        .into_iter()
        .filter(|name| {
            name[..20]
                .parse()
                .is_ok_and(|base: Offset| base < first_kept)
        })
        .filter(|name| !name.ends_with("snapshot"))
        .collect();
    assert!(replaced.len() > 3 * suffixes.len());
    // 0..=3: files renamed from .cleaned to .swap; then old ones to .deleted,
    // and then .swap away, file by file.
    let steps = suffixes.len() + replaced.len() + suffixes.len();
    for step in 0..=steps {
        let crashed = tempfile::tempdir().unwrap();
        copy_files(old.path(), crashed.path());
        let swapped = step.min(suffixes.len());
        let deleted = step.saturating_sub(suffixes.len()).min(replaced.len());
        let finished = step.saturating_sub(suffixes.len() + replaced.len());
        for name in &replaced[..deleted] {
            std::fs::remove_file(crashed.path().join(name)).unwrap();
            std::fs::write(crashed.path().join(format!("{name}.deleted")), b"x").unwrap();
        }
        for (index, suffix) in suffixes.iter().enumerate() {
            let name = format!("{:020}.{suffix}", 0);
            let tail = match (index < finished, index < swapped) {
                (true, _) => "",
                (_, true) => ".swap",
                _ => ".cleaned",
            };
            std::fs::copy(
                dir.join(&name),
                crashed.path().join(format!("{name}{tail}")),
            )
            .unwrap();
        }
        for clean_shutdown in [false, true] {
            let copy = tempfile::tempdir().unwrap();
            copy_files(crashed.path(), copy.path());
            let params = OpenParams {
                partition: id(),
                dir: copy.path().to_owned(),
                config: fixture.config.clone(),
                log_start_offset: 0,
                recovery_point: 200,
                clean_shutdown,
                producer_expiration_ms: 86_400_000,
                home: None,
            };
            let log = Log::open(params, Arc::new(Disk), NOW).unwrap();
            assert_eq!(log.recovery().damage, None, "step {step}");
            let expected = if swapped < suffixes.len() {
                &before
            } else {
                &after
            };
            assert_eq!(&all_records(&log), expected, "step {step}");
            assert_eq!(log.log_end_offset(), 200);
            for name in names(copy.path()) {
                let is_left = [".swap", ".cleaned", ".deleted"];
                assert!(
                    !is_left.iter().any(|tail| name.ends_with(tail)),
                    "step {step}: {name}"
                );
            }
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    for name in names(from) {
        if !name.ends_with(".deleted") {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[test]
fn a_damaged_segment_is_left_alone_and_named() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    fill(&log, 20, 10);
    let path = log.read().dir().join(format!("{:020}.log", 0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let cleaner = fixture.cleaner(1 << 20);
    assert!(!cleaner.clean_filthiest(&|_| Some(200)));
    assert_eq!(cleaner.uncleanable(), [id()]);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert!(!cleaner.clean_filthiest(&|_| Some(200)));
}

#[test]
fn a_damaged_checkpoint_may_cost_a_cleaning_but_no_value() {
    let mut at = 0;
    loop {
        let fixture = Fixture::new(|_| {});
        let log = fixture.log();
        fill(&log, 15, 4);
        fixture.clean();
        fill(&log, 15, 6);
        let expected = last_of_each(&all_records(&log.read()));
        drop(log);
        let path = fixture.checkpoint_file();
        let mut bytes = std::fs::read(&path).unwrap();
        let Some(byte) = bytes.get_mut(at) else { break };
        *byte ^= 1 << (at % 8);
        std::fs::write(&path, bytes).unwrap();
        let fixture = fixture.reopen();
        fixture.clean();
        let left = all_records(&fixture.log().read());
        assert_eq!(last_of_each(&left), expected, "byte {at}");
        at += 1;
    }
    assert!(at > 10);
}
