//! Single flipped bits in any file of a data directory, and cuts of those
//! beside the log: whatever the start makes of them, it does not panic and
//! nothing wrong is served, nor is anything lost but what a flip hit.
//!
//! `BIT_FLIPS=10000` tries more than the suite does, `BIT_FLIPS_SEED` others.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use super::managing::{manager, numbered};
use super::*;

const PARTITIONS: i32 = 2;
/// The base offset, which is outside every checksum of the format.
const BASE_OFFSET_SIZE: usize = 8;

/// What the directory was before the flip.
struct Original {
    root: TempDir,
    /// By kind, so that each kind is hit as often as the others.
    files: BTreeMap<String, Vec<PathBuf>>,
    records: Vec<Vec<Record>>,
    /// What lies before the log start offset, too.
    with_deleted: Vec<Vec<Record>>,
    aborted: Vec<Vec<AbortedTransaction>>,
}

fn by_producer(id: i64, sequence: i32, value: &str, codec: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec).producer(id, 0, sequence);
    let time = NOW + i64::from(sequence);
    assert!(builder.push(time, Some(b"key"), Some(value.as_bytes()), &[]));
    builder
}

fn fill(log: &mut Log, partition: i32) {
    for sequence in 0..24 {
        let codec = Compression::from_id((sequence % 5) as u8).unwrap();
        let value = format!("{partition} {sequence} {}", "x".repeat(90));
        let epoch = sequence / 8;
        let mut put = |builder: BatchBuilder, origin| {
            let bytes = builder.build().unwrap();
            log.append_as_leader(bytes, epoch, origin, NOW).unwrap();
        };
        put(
            by_producer(1, sequence, &value, codec),
            AppendOrigin::Client,
        );
        if sequence % 4 == 0 {
            let aborted = by_producer(2, sequence / 4, "aborted", codec).transactional();
            put(aborted, AppendOrigin::Client);
            let builder = BatchBuilder::new(Compression::None).producer(2, 0, -1);
            let mut marker = builder.transactional().control();
            assert!(marker.push(NOW, Some(&[0; 4]), Some(b"\0\0\0\0\0\x05"), &[]));
            put(marker, AppendOrigin::Coordinator);
        }
    }
}

impl Original {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let manager = manager(&[root.path().to_owned()]).unwrap();
        let (mut records, mut aborted) = (Vec::new(), Vec::new());
        let mut with_deleted = Vec::new();
        for index in 0..PARTITIONS {
            let id = Some(TopicId::from_u128(77));
            let log = manager.get_or_create(&numbered(index), id, small(), NOW);
            let log = log.unwrap();
            let mut log = log.write();
            fill(&mut log, index);
            with_deleted.push(all_records(&log));
            log.maybe_increment_log_start_offset(1).unwrap();
            let home = log.home.clone().unwrap();
            home.cleaner_checkpoint.set(&numbered(index), 11).unwrap();
            records.push(all_records(&log));
            aborted.push(log.aborted_transactions(0, Offset::MAX).unwrap());
        }
        let high_watermarks = HashMap::from([(numbered(0), 20), (numbered(1), 30)]);
        manager
            .checkpoint_high_watermarks(&high_watermarks)
            .unwrap();
        manager.shutdown_cleanly(5, NOW).unwrap();
        drop(manager);
        let mut files = BTreeMap::<String, Vec<PathBuf>>::new();
        for path in files_below(root.path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let kind = match name.split_once('.') {
                Some((stem, kind))
                    if !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit()) =>
                {
                    kind
                }
                _ => name,
            };
            if fs::metadata(root.path().join(&path)).unwrap().len() > 0 {
                files.entry(kind.to_owned()).or_default().push(path);
            }
        }
        Self {
            root,
            files,
            records,
            with_deleted,
            aborted,
        }
    }
}

/// Every file in `root` and its directories, by its path from there.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        match path.is_dir() {
            true => found.extend(files_below(&path).iter().map(|below| name.join(below))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

/// How the broker ended before the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    /// What lies before the recovery points is not looked at.
    Killed,
    /// Everything is looked at.
    KilledEarly,
}

const ENDS: [End; 3] = [End::Clean, End::Killed, End::KilledEarly];

/// One damage, shown if the test fails.
#[derive(Debug)]
struct Damaged {
    kind: String,
    file: PathBuf,
    harm: Harm,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// The bit with this number is another.
    Flip(usize),
    /// Only so many bytes are left.
    Cut(usize),
}

impl Harm {
    fn strike(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
            Self::Cut(length) => bytes.truncate(length),
        }
    }

    /// Where it begins.
    fn at(self) -> usize {
        match self {
            Self::Flip(bit) => bit / 8,
            Self::Cut(length) => length,
        }
    }
}

impl Drop for Damaged {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed at {self:?}");
        }
    }
}

/// The same seed gives the same flips.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn flip(&mut self, original: &Original) -> Damaged {
        let kind = original.files.keys().nth(self.below(original.files.len()));
        let kind = kind.unwrap().clone();
        let files = &original.files[&kind];
        let file = files[self.below(files.len())].clone();
        let length = fs::metadata(original.root.path().join(&file))
            .unwrap()
            .len() as usize;
        Damaged {
            kind,
            file,
            harm: Harm::Flip(self.below(8 * length)),
            end: ENDS[self.below(3)],
        }
    }
}

/// In memory where that is possible: there are many, each synced.
fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A copy of the directory with the damage in it.
fn damaged(original: &Original, damage: &Damaged) -> TempDir {
    let copy = quick_dir();
    for path in original.files.values().flatten() {
        let to = copy.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(original.root.path().join(path), to).unwrap();
    }
    let path = copy.path().join(&damage.file);
    let mut bytes = fs::read(&path).unwrap();
    damage.harm.strike(&mut bytes);
    fs::write(&path, bytes).unwrap();
    if damage.end != End::Clean {
        fs::remove_file(copy.path().join(".kafka_cleanshutdown")).unwrap();
    }
    if damage.end == End::KilledEarly {
        fs::remove_file(copy.path().join("recovery-point-offset-checkpoint")).unwrap();
    }
    copy
}

/// What a reader who checks every batch gets before the first bad one.
fn readable(log: &Log) -> (Vec<Record>, bool) {
    let mut records = Vec::new();
    let mut offset = log.log_start_offset();
    loop {
        let slice = match log.read(offset, EVERYTHING) {
            Ok(read) => read.slice,
            Err(_) => return (records, false),
        };
        let Some(bytes) = slice.map(|slice| slice.read()) else {
            return (records, true);
        };
        let Ok(bytes) = bytes else {
            return (records, false);
        };
        for batch in crate::record::Batches::strict(bytes) {
            let batch = batch.and_then(|batch| batch.check_crc().map(|()| batch));
            let Ok(batch) = batch else {
                return (records, false);
            };
            if batch.header().next_offset() <= offset {
                return (records, false);
            }
            offset = batch.header().next_offset();
            records.extend(batch.records(1 << 20).unwrap().map(Result::unwrap));
        }
    }
}

/// Says whether the damage lies in a batch's base offset.
fn is_in_a_base_offset(original: &Original, damage: &Damaged) -> bool {
    let bytes = Bytes::from(fs::read(original.root.path().join(&damage.file)).unwrap());
    let mut start = 0;
    for batch in crate::record::Batches::strict(bytes) {
        let at = damage.harm.at().wrapping_sub(start);
        if at < BASE_OFFSET_SIZE {
            return true;
        }
        start += batch.unwrap().bytes().len();
    }
    false
}

fn check(original: &Original, damage: &Damaged) {
    let copy = damaged(original, damage);
    let opened = manager(&[copy.path().to_owned()]);
    let Ok(manager) = opened else {
        // Whose directory it is must be known for sure.
        let refused = ["meta.properties", "partition.metadata"];
        let why = opened.expect_err("nothing opened").to_string();
        assert!(refused.contains(&damage.kind.as_str()), "{why}");
        let path = damage.file.to_str().unwrap();
        assert!(why.contains(path), "{why}");
        return;
    };
    let _ = manager.read_high_watermarks();
    for index in 0..PARTITIONS {
        let log = manager.get(&numbered(index)).unwrap();
        check_log(original, damage, &log.read(), index as usize);
        let mut log = log.write();
        let end = log.log_end_offset();
        assert_eq!(append(&mut log, batch(1, 1, NOW)).first_offset, end);
    }
    manager.shutdown_cleanly(6, NOW).unwrap();
}

fn check_log(original: &Original, damage: &Damaged, log: &Log, index: usize) {
    let expected = &original.records[index];
    let is_hit = damage.file.starts_with(format!("a.b-c-{index}"));
    let (got, to_the_end) = readable(log);
    if is_hit && damage.kind == "log" {
        // A batch moved as a whole is not noticed, but its records are these.
        if is_in_a_base_offset(original, damage) {
            assert!(
                got.iter()
                    .all(|g| expected.iter().any(|e| e.value == g.value))
            );
        } else {
            assert_eq!(got[..], expected[..got.len()]);
        }
        assert!(to_the_end || damage.end != End::KilledEarly);
        return;
    }
    assert!(to_the_end);
    if damage.kind == "log-start-offset-checkpoint" {
        // Whatever start it names is believed, as in Kafka.
        let there = &original.with_deleted[index];
        assert!(got.iter().all(|record| there.contains(record)));
        return;
    }
    assert_eq!(&got, expected);
    for record in expected.iter().step_by(7) {
        let found = log.offset_for_time(record.timestamp).unwrap();
        let first = expected.iter().find(|e| e.timestamp >= record.timestamp);
        assert_eq!(found.map(|f| f.offset), first.map(|e| e.offset));
    }
    // The format gives the transaction index no checksum: it is believed where
    // its segment is not read again.
    let aborted = log.aborted_transactions(0, Offset::MAX).unwrap();
    if !is_hit || damage.kind != "txnindex" || damage.end == End::KilledEarly {
        assert_eq!(aborted, original.aborted[index]);
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_never_served() {
    let number = |name, default| {
        let given = std::env::var(name).ok();
        given.map_or(default, |text: String| text.parse().unwrap())
    };
    let original = Original::new();
    for kind in [
        "log",
        "index",
        "timeindex",
        "txnindex",
        "snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
        "meta.properties",
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
        "log-start-offset-checkpoint",
        "cleaner-offset-checkpoint",
        ".kafka_cleanshutdown",
    ] {
        assert!(original.files.contains_key(kind), "{:?}", original.files);
    }
    let mut random = Random(number("BIT_FLIPS_SEED", 1));
    for _ in 0..number("BIT_FLIPS", 100) {
        check(&original, &random.flip(&original));
    }
}

/// Every cut of the newest file of each kind that lies beside the log.
#[test]
fn a_cut_at_every_byte_of_a_side_file_loses_no_record() {
    let original = Original::new();
    for (kind, files) in original.files.iter().filter(|(kind, _)| *kind != "log") {
        let file = files.last().unwrap();
        let path = original.root.path().join(file);
        let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
        for kept in 0..length {
            let damage = Damaged {
                kind: kind.clone(),
                file: file.clone(),
                harm: Harm::Cut(kept),
                end: ENDS[kept % 3],
            };
            check(&original, &damage);
        }
    }
}

/// No checksum covers a base offset. The last batch of a segment has no neighbour
/// in its file that shows that it moved.
#[test]
fn a_batch_that_moved_into_the_next_segment_is_cut_off() {
    let original = Original::new();
    let file = PathBuf::from("a.b-c-1/00000000000000000000.log");
    let bytes = Bytes::from(fs::read(original.root.path().join(&file)).unwrap());
    let size = bytes.len();
    let last = crate::record::Batches::strict(bytes).last().unwrap();
    let start = size - last.unwrap().bytes().len();
    for bit in 8 * start..8 * (start + BASE_OFFSET_SIZE) {
        let damage = Damaged {
            kind: "log".to_owned(),
            file: file.clone(),
            harm: Harm::Flip(bit),
            end: End::KilledEarly,
        };
        check(&original, &damage);
    }
}
