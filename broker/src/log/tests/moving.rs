use std::path::PathBuf;

use super::managing::{manager, numbered};
use super::*;

/// A partition with records in `d1`, and its empty copy in `d2`.
fn two_dirs() -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let dirs = vec![root.path().join("d1"), root.path().join("d2")];
    (root, dirs)
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn begin(dirs: &[PathBuf]) -> (Manager, LogHandle, LogHandle) {
    let manager = manager(dirs).unwrap();
    let id = numbered(3);
    let home = manager.usable_dir(dirs[0].to_str().unwrap()).unwrap();
    manager.prefer_dir(&id, &home);
    let topic_id = Some(TopicId::from_u128(9));
    let log = manager.get_or_create(&id, topic_id, small(), NOW).unwrap();
    for _ in 0..40 {
        append(&mut log.write(), batch(2, 100, NOW));
    }
    let target = manager.usable_dir(dirs[1].to_str().unwrap()).unwrap();
    let future = manager.create_future(&id, &target, NOW).unwrap();
    (manager, log, future)
}

fn copy(log: &Log, future: &mut Log) {
    while let Some(slice) = log.read(future.log_end_offset(), EVERYTHING).unwrap().slice {
        future
            .append_as_follower(slice.read().unwrap(), NOW)
            .unwrap();
    }
}

#[test]
fn a_copy_takes_the_place_of_its_log() {
    let (_root, dirs) = two_dirs();
    let (manager, log, future) = begin(&dirs);
    assert_eq!(names_in(&dirs[0]), ["a.b-c-3"]);
    let [name] = &names_in(&dirs[1])[..] else {
        panic!("one directory");
    };
    assert!(name.starts_with("a.b-c-3.") && name.ends_with("-future"));
    copy(&log.read(), &mut future.write());
    log.write().maybe_increment_log_start_offset(7).unwrap();
    let before = all_records(&log.read());
    {
        let work = manager.directory_work();
        let mut log = log.write();
        manager.take_over(&work, &mut log, Some(4), NOW).unwrap();
    }
    // Whoever has the handle reads on, and appends.
    assert_eq!(all_records(&log.read()), before);
    assert_eq!(log.read().log_start_offset(), 7);
    assert_eq!(log.read().topic_id(), Some(TopicId::from_u128(9)));
    assert_eq!(log.read().latest_epoch(), Some(4));
    append(&mut log.write(), batch(1, 10, NOW));
    assert!(manager.future(&numbered(3)).is_none());
    assert_eq!(names_in(&dirs[1]), ["a.b-c-3"]);
    assert!(names_in(&dirs[0])[0].ends_with("-delete"));
    manager.checkpoint_log_start_offsets().unwrap();
    manager.shutdown_cleanly(1, NOW).unwrap();
    drop((manager, log, future));

    let again = super::managing::manager(&dirs).unwrap();
    let log = again.get(&numbered(3)).unwrap();
    assert_eq!(log.read().log_end_offset(), 81);
    assert_eq!(log.read().log_start_offset(), 7);
    again.cleanup(NOW + 120_000, &|_| None);
    assert!(names_in(&dirs[0]).is_empty(), "what was left is removed");
}

/// The broker was killed between the two renames: there are two logs, and the
/// older one says that it is.
#[test]
fn of_two_logs_the_one_that_was_moved_goes() {
    let (_root, dirs) = two_dirs();
    let (manager, log, future) = begin(&dirs);
    copy(&log.read(), &mut future.write());
    future.write().flush(NOW).unwrap();
    let from = future.read().dir().to_owned();
    drop((manager, log, future));
    std::fs::write(dirs[0].join("a.b-c-3/moved"), "").unwrap();
    common::fs::rename_durably(&from, &dirs[1].join("a.b-c-3")).unwrap();

    let again = super::managing::manager(&dirs).unwrap();
    let log = again.get(&numbered(3)).unwrap();
    assert_eq!(log.read().dir(), dirs[1].join("a.b-c-3"));
    assert_eq!(log.read().log_end_offset(), 80);
    assert!(names_in(&dirs[0])[0].ends_with("-delete"));
}

/// The broker was killed before the first rename, or anywhere while copying.
#[test]
fn a_copy_that_was_not_named_yet_goes_on() {
    let (_root, dirs) = two_dirs();
    let (manager, log, future) = begin(&dirs);
    copy(&log.read(), &mut future.write());
    drop((manager, log, future));
    let mark = dirs[0].join("a.b-c-3/moved");
    std::fs::write(&mark, "").unwrap();

    let again = super::managing::manager(&dirs).unwrap();
    let log = again.get(&numbered(3)).unwrap();
    assert_eq!(log.read().dir(), dirs[0].join("a.b-c-3"));
    assert!(!mark.exists());
    let future = again.future(&numbered(3)).unwrap();
    assert_eq!(future.read().log_end_offset(), 80);
    assert!(again.delete_future(&numbered(3), NOW).unwrap());
    assert!(!again.delete_future(&numbered(3), NOW).unwrap());
    assert!(names_in(&dirs[1])[0].ends_with("-delete"));
}

/// Without the mark nobody knows which of the two is right.
#[test]
fn two_logs_without_a_mark_stop_the_start() {
    let (_root, dirs) = two_dirs();
    let (manager, log, future) = begin(&dirs);
    let from = future.read().dir().to_owned();
    drop((manager, log, future));
    common::fs::rename_durably(&from, &dirs[1].join("a.b-c-3")).unwrap();
    let refused = super::managing::manager(&dirs).unwrap_err();
    assert!(matches!(refused, OpenError::Twice { .. }), "{refused}");
}

#[test]
fn only_directories_of_the_configuration_are_used() {
    let (_root, dirs) = two_dirs();
    let (manager, ..) = begin(&dirs);
    let unknown = manager.usable_dir("/nowhere").unwrap_err();
    assert!(matches!(unknown, MoveError::UnknownDir(_)), "{unknown}");
    let broken = std::io::Error::from_raw_os_error(5);
    manager.dirs()[1].fail(&broken);
    let offline = manager.usable_dir(dirs[1].to_str().unwrap()).unwrap_err();
    assert!(matches!(offline, MoveError::OfflineDir(_)), "{offline}");
}
