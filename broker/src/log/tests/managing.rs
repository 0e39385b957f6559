use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

pub(super) fn config() -> ManagerConfig {
    ManagerConfig {
        identity: Identity {
            cluster_id: "7a9JoY5vSPWT-0NdQcaWWA".to_owned(),
            broker_id: 1,
        },
        recovery_threads_per_dir: 2,
        producer_expiration_ms: 86_400_000,
        defaults: small(),
        on_dir_failure: FailureHook::default(),
        boot_id: None,
    }
}

pub(super) fn manager(dirs: &[PathBuf]) -> Result<Manager, OpenError> {
    Manager::open(
        LockedDirs::acquire(dirs)?,
        config(),
        Arc::new(Disk),
        NOW,
        &|_| small(),
    )
}

pub(super) fn numbered(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("a.b-c").unwrap(), partition)
}

fn two_dirs() -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let dirs = vec![root.path().join("d1"), root.path().join("d2")];
    (root, dirs)
}

fn fill(manager: &Manager) {
    for index in 0..6 {
        let id = Some(TopicId::from_u128(77));
        let log = manager
            .get_or_create(&numbered(index), id, small(), NOW)
            .unwrap();
        let mut log = log.write();
        for _ in 0..=index {
            append(&mut log, batch(1, 10, NOW));
        }
    }
}

#[test]
fn partitions_spread_over_directories_and_come_back() {
    let (_root, dirs) = two_dirs();
    let first = manager(&dirs).unwrap();
    fill(&first);
    for dir in &dirs {
        let partitions = std::fs::read_dir(dir)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().is_dir());
        assert_eq!(partitions.count(), 3);
    }
    let high_watermarks = HashMap::from([(numbered(5), 4), (numbered(0), 1)]);
    first.checkpoint_high_watermarks(&high_watermarks).unwrap();
    first.shutdown_cleanly(5, NOW).unwrap();
    drop(first);

    let second = manager(&dirs).unwrap();
    for index in 0..6 {
        let log = second.get(&numbered(index)).unwrap();
        let log = log.read();
        assert_eq!(log.log_end_offset(), i64::from(index) + 1);
        assert_eq!(log.recovery_point(), i64::from(index) + 1);
        assert_eq!(log.topic_id(), Some(TopicId::from_u128(77)));
        assert_eq!(log.recovery(), &Recovery::default());
    }
    let read: HashMap<_, _> = second.read_high_watermarks().unwrap().into_iter().collect();
    assert_eq!(read, high_watermarks);
    drop(second);

    // No marker this time, as after a crash: every active segment is read.
    let third = manager(&dirs).unwrap();
    for (_, log) in third.all() {
        assert_eq!(log.read().recovery().segments_scanned, 1);
        assert_eq!(log.read().recovery().damage, None);
    }
}

#[test]
fn the_second_broker_is_refused_with_the_directorys_name() {
    let (_root, dirs) = two_dirs();
    let first = manager(&dirs).unwrap();
    let refused = manager(&dirs).unwrap_err();
    assert!(refused.to_string().contains("d1"), "{refused}");
    drop(first);
    let mut other = config();
    other.identity.broker_id = 2;
    let refused = Manager::open(
        LockedDirs::acquire(&dirs).unwrap(),
        other,
        Arc::new(Disk),
        NOW,
        &|_| small(),
    )
    .unwrap_err();
    assert!(refused.to_string().contains("broker 1"), "{refused}");
}

#[test]
fn a_deleted_partition_leaves_at_once_and_its_files_later() {
    let (_root, dirs) = two_dirs();
    let manager_ = manager(&dirs).unwrap();
    fill(&manager_);
    let log = manager_.get(&numbered(3)).unwrap();
    let slice = log.read().read(0, EVERYTHING).unwrap().slice.unwrap();
    assert!(manager_.delete_async(&numbered(3), NOW).unwrap());
    assert!(!manager_.delete_async(&numbered(3), NOW).unwrap());
    assert!(manager_.get(&numbered(3)).is_none());
    let renamed = log.read().dir().to_owned();
    let name = renamed.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("a.b-c-3.") && name.ends_with("-delete") && name.len() == 8 + 32 + 7);
    // A reader of the moment can finish; a writer is told.
    assert!(slice.read().is_ok());
    assert!(
        log.write()
            .append_as_leader(batch(1, 1, NOW), 0, AppendOrigin::Client, NOW)
            .is_err()
    );
    manager_.cleanup(NOW + small().file_delete_delay_ms - 1, &|_| None);
    assert!(renamed.exists());
    // A new log of the same name is independent of the old one.
    let new = manager_
        .get_or_create(&numbered(3), None, small(), NOW)
        .unwrap();
    assert_eq!(new.read().log_end_offset(), 0);
    drop((log, slice, new));
    drop(manager_);
    let manager_ = manager(&dirs).unwrap();
    assert!(renamed.exists());
    manager_.cleanup(NOW + small().file_delete_delay_ms, &|_| None);
    assert!(!renamed.exists());
    assert!(manager_.get(&numbered(3)).is_some());
}

#[test]
fn checkpoints_bound_the_next_recovery_and_keep_the_start() {
    let (_root, dirs) = two_dirs();
    let first = manager(&dirs[..1]).unwrap();
    let log = first
        .get_or_create(&numbered(0), None, small(), NOW)
        .unwrap();
    for index in 0..40 {
        append(&mut log.write(), batch(2, 40, NOW + index));
    }
    assert!(log.read().needs_flush(NOW));
    assert!(first.flush_dirty(NOW).is_empty());
    assert!(!log.read().needs_flush(NOW));
    log.write().maybe_increment_log_start_offset(7).unwrap();
    first.checkpoint_log_start_offsets().unwrap();
    drop((log, first));
    let second = manager(&dirs[..1]).unwrap();
    let log = second.get(&numbered(0)).unwrap();
    assert_eq!(log.read().recovery().segments_scanned, 1);
    assert_eq!(log.read().log_start_offset(), 7);
    assert_eq!(log.read().log_end_offset(), 80);
    assert!(log.read().read(6, EVERYTHING).is_err());
    let failed = second.cleanup(NOW + 10 * small().retention_ms, &|_| Some(80));
    assert!(failed.is_empty());
    assert_eq!(log.read().log_start_offset(), 80);
}

#[test]
fn idle_partitions_cost_one_descriptor_each() {
    let (_root, dirs) = two_dirs();
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let manager_ = manager(&dirs).unwrap();
    let before = open_files();
    for index in 0..100 {
        let log = manager_
            .get_or_create(&numbered(index), None, small(), NOW)
            .unwrap();
        for _ in 0..40 {
            append(&mut log.write(), batch(1, 100, NOW));
        }
        assert!(log.read().segment_count() > 2);
        assert_eq!(all_records(&log.read()).len(), 40);
    }
    // Other tests of this process open files at the same time.
    assert!(
        open_files() < before + 180,
        "{} files",
        open_files() - before
    );
}

/// A disk on which everything below one directory fails from a moment on.
#[derive(Debug)]
struct FailingDisk {
    below: PathBuf,
    has_failed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FailingFile(Arc<dyn SegmentFile>, Option<Arc<AtomicBool>>);

impl FailingDisk {
    fn wrap(&self, path: &Path, file: Arc<dyn SegmentFile>) -> Arc<dyn SegmentFile> {
        let switch = path.starts_with(&self.below);
        Arc::new(FailingFile(file, switch.then(|| self.has_failed.clone())))
    }
}

impl FailingFile {
    fn check(&self) -> io::Result<()> {
        const EIO: i32 = 5;
        match &self.1 {
            Some(failed) if failed.load(Ordering::SeqCst) => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        }
    }
}

impl Storage for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.wrap(path, Disk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.wrap(path, Disk.open(path)?))
    }
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        Disk.replace(path, content)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
}

impl SegmentFile for FailingFile {
    fn write_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.check()?;
        self.0.write_at(position, parts)
    }
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.0.read_at(position, buffer)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.check()?;
        self.0.sync()
    }
    fn as_file(&self) -> Option<&std::fs::File> {
        self.0.as_file()
    }
}

#[test]
fn a_directory_that_fails_takes_its_logs_with_it_and_no_others() {
    let (_root, dirs) = two_dirs();
    let has_failed = Arc::new(AtomicBool::new(false));
    let storage = FailingDisk {
        below: dirs[0].clone(),
        has_failed: has_failed.clone(),
    };
    let heard = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let told = heard.clone();
    let mut settings = config();
    settings.on_dir_failure = FailureHook::new(move |dir, _| told.lock().push(dir.to_owned()));
    let locks = LockedDirs::acquire(&dirs).unwrap();
    let config_of = |_: &str| small();
    let manager_ = Manager::open(locks, settings, Arc::new(storage), NOW, &config_of).unwrap();
    fill(&manager_);
    has_failed.store(true, Ordering::SeqCst);
    assert!(manager_.flush_dirty(NOW).is_empty(), "nothing is due");
    let (mut lost, mut alive) = (0, 0);
    for (_, log) in manager_.all() {
        let mut log = log.write();
        let appended = log.append_as_leader(batch(1, 10, NOW), 0, AppendOrigin::Client, NOW);
        let read = log.read(0, EVERYTHING);
        if log.dir().starts_with(&dirs[0]) {
            assert!(
                matches!(appended, Err(AppendError::Storage(_))),
                "{appended:?}"
            );
            assert!(matches!(read, Err(ReadError::Storage(_))), "{read:?}");
            assert!(log.is_offline());
            lost += 1;
        } else {
            assert!(appended.is_ok() && read.is_ok() && !log.is_offline());
            alive += 1;
        }
    }
    assert_eq!((lost, alive), (3, 3));
    assert_eq!(*heard.lock(), [dirs[0].clone()], "told once");
    assert!(manager_.has_offline_dirs());
    // New logs go where there is a disk, and checkpoints are still written.
    for index in 10..14 {
        let log = manager_.get_or_create(&numbered(index), None, small(), NOW);
        assert!(log.unwrap().read().dir().starts_with(&dirs[1]));
    }
    manager_.checkpoint_recovery_points().unwrap();
    let described = manager_.describe(&|_| true);
    assert_eq!(described[0].space, None);
    assert!(described[0].logs.is_empty());
    assert!(described[1].space.unwrap().total > 0);
    assert_eq!(described[1].logs.len(), 7);
    assert!(manager_.shutdown_cleanly(1, NOW).is_err());
    let is_clean = |dir: &Path| dir.join(".kafka_cleanshutdown").exists();
    assert!(!is_clean(&dirs[0]) && is_clean(&dirs[1]));
}

#[test]
fn a_directory_that_cannot_be_used_is_left_out_while_there_are_others() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let (bad, good) = (file.join("below"), root.path().join("good"));
    let manager_ = manager(&[bad.clone(), good]).unwrap();
    let offline = manager_.dirs().iter().filter(|dir| !dir.is_online());
    assert_eq!(
        offline.map(|dir| dir.path()).collect::<Vec<_>>(),
        [bad.as_path()]
    );
    fill(&manager_);
    assert_eq!(manager_.all().len(), 6);
    drop(manager_);
    let refused = manager(&[bad]).unwrap_err();
    assert!(refused.to_string().contains("below"), "{refused}");
}

#[test]
fn a_log_on_its_way_to_another_directory_is_not_the_partitions_log() {
    let (_root, dirs) = two_dirs();
    let first = manager(&dirs[..1]).unwrap();
    fill(&first);
    first.shutdown_cleanly(1, NOW).unwrap();
    drop(first);
    let id = "0123456789abcdef0123456789abcdef";
    let future = dirs[0].join(format!("a.b-c-5.{id}-future"));
    std::fs::create_dir(&future).unwrap();
    for suffix in ["log", "index", "timeindex"] {
        let name = format!("{:020}.{suffix}", 0);
        std::fs::copy(dirs[0].join("a.b-c-2").join(&name), future.join(&name)).unwrap();
    }
    std::fs::create_dir(dirs[0].join(format!("a.b-c-9.{id}-stray"))).unwrap();
    let second = manager(&dirs[..1]).unwrap();
    assert_eq!(second.all().len(), 6);
    assert_eq!(second.get(&numbered(5)).unwrap().read().log_end_offset(), 6);
    let described = second.describe(&|id| *id == numbered(5));
    let logs = described[0].logs.iter();
    let logs: Vec<_> = logs
        .map(|log| (log.is_future, log.log_end_offset))
        .collect();
    assert_eq!(logs, [(false, 6), (true, 3)]);
}

#[test]
fn a_topic_id_that_a_power_cut_emptied_is_given_again() {
    let (_root, dirs) = two_dirs();
    let id = TopicId::from_u128(5);
    let first = manager(&dirs).unwrap();
    let log = first.get_or_create(&numbered(0), Some(id), small(), NOW);
    let file = log.unwrap().read().dir().join("partition.metadata");
    assert!(first.flush_dirty(NOW).is_empty());
    drop(first);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("topic_id: "), "{text}");

    std::fs::write(&file, b"").unwrap();
    let second = manager(&dirs).unwrap();
    let log = second.get(&numbered(0)).unwrap();
    assert_eq!(log.read().topic_id(), None);
    log.write().assign_topic_id(id).unwrap();
    drop((log, second));
    let third = manager(&dirs).unwrap();
    assert_eq!(third.get(&numbered(0)).unwrap().read().topic_id(), Some(id));
}

#[test]
fn another_expiration_of_producers_holds_for_logs_that_are_open_and_for_new_ones() {
    let (_root, dirs) = two_dirs();
    let manager = manager(&dirs).unwrap();
    let create = |index| {
        let log = manager.get_or_create(&numbered(index), None, small(), NOW);
        let log = log.unwrap();
        let batch = super::producers::sequenced(1, 0, 0, 1);
        super::producers::try_append(&mut log.write(), batch).unwrap();
        log
    };
    let before = create(0);
    manager.set_producer_expiration(1_000);
    let after = create(1);
    manager.remove_expired_producers(NOW + 999);
    assert!(before.read().has_producers() && after.read().has_producers());
    manager.remove_expired_producers(NOW + 1_000);
    assert!(!before.read().has_producers() && !after.read().has_producers());
}
