use std::fs;

use super::super::recovery::Damage;
use super::*;

fn copy_dir(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

fn log_file(dir: &Path, base_offset: Offset) -> std::path::PathBuf {
    dir.join(format!("{base_offset:020}.log"))
}

#[test]
fn a_cut_at_every_byte_of_the_last_batches_leaves_whole_batches() {
    let (dir, mut log) = new_log(&LogConfig::default());
    for index in 0..6 {
        append(&mut log, batch(2, 20 + 30 * index, NOW + index as i64));
    }
    let batches = all_batches(&log);
    drop(log);
    let full = fs::read(log_file(dir.path(), 0)).unwrap();
    let kept: usize = batches[..3].iter().map(|b| b.bytes().len()).sum();
    for end in kept..=full.len() {
        let copy = tempfile::tempdir().unwrap();
        fs::write(log_file(copy.path(), 0), &full[..end]).unwrap();
        let mut log = open(copy.path(), &LogConfig::default());
        let expected = whole_before(&full, &full[..end], &batches);
        assert_eq!(log.log_end_offset(), expected, "cut at {end}");
        assert_eq!(all_records(&log).len() as i64, expected);
        let damage = log.recovery().damage.clone();
        assert!(damage.is_none_or(|d| !d.inside_the_log && d.offset == expected));
        assert_eq!(append(&mut log, batch(1, 1, NOW)).first_offset, expected);
        // Zeros, as ext4 leaves them behind a lost write, are no batch either.
        let mut zeros = full[..end].to_vec();
        zeros.resize(full.len() + 100, 0);
        fs::write(log_file(copy.path(), 0), &zeros).unwrap();
        drop(log);
        let expected = whole_before(&full, &zeros, &batches);
        let reopened = open(copy.path(), &LogConfig::default());
        assert_eq!(reopened.log_end_offset(), expected);
    }
}

/// End offset of the batches of two records that `bytes` still hold whole.
fn whole_before(full: &[u8], bytes: &[u8], batches: &[Batch]) -> i64 {
    let mut end = 0;
    let mut count = 0;
    for batch in batches {
        end += batch.bytes().len();
        if bytes.get(..end) == Some(&full[..end]) {
            count += 2;
        }
    }
    count
}

#[test]
fn flipped_bits_in_the_log_are_never_served() {
    let (dir, mut log) = new_log(&small());
    for index in 0..20 {
        append(&mut log, batch(2, 40, NOW + index));
    }
    let original = all_records(&log);
    let batch_size = all_batches(&log)[0].bytes().len();
    let segments: Vec<_> = log.segments.keys().copied().collect();
    assert!(segments.len() >= 2);
    drop(log);
    for &base_offset in &segments {
        let length = fs::metadata(log_file(dir.path(), base_offset))
            .unwrap()
            .len() as usize;
        for at in (0..length).step_by(7) {
            // The base offset lies outside every checksum.
            if at % batch_size < 8 {
                continue;
            }
            let copy = copy_dir(dir.path());
            let path = log_file(copy.path(), base_offset);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            let mut log = open(copy.path(), &small());
            let got = all_records(&log);
            assert_eq!(got[..], original[..got.len()], "byte {at}");
            append(&mut log, batch(1, 1, NOW));
        }
    }
}

#[test]
fn damage_inside_the_log_is_told_from_a_torn_end() {
    let (dir, mut log) = new_log(&LogConfig::default());
    for index in 0..5 {
        append(&mut log, batch(1, 50, NOW + index));
    }
    let size = all_batches(&log)[0].bytes().len();
    drop(log);
    let path = log_file(dir.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * size + 65] ^= 1;
    fs::write(&path, bytes).unwrap();
    let log = open(dir.path(), &LogConfig::default());
    assert_eq!(log.log_end_offset(), 2);
    let damage = log.recovery().damage.clone().unwrap();
    assert!(matches!(
        damage,
        Damage {
            offset: 2,
            inside_the_log: true,
            ..
        }
    ));
    assert_eq!(log.recovery().bytes_cut as usize, 3 * size);
}

#[test]
fn flipped_bits_beside_the_log_change_nothing_that_is_served() {
    let (dir, mut log) = new_log(&small());
    for index in 0..30 {
        append(&mut log, batch(2, 40, NOW + 10 * index));
        if index % 10 == 9 {
            log.begin_epoch(index as i32).unwrap();
        }
    }
    let original = all_records(&log);
    log.close(NOW).unwrap();
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    for path in names
        .iter()
        .filter(|path| path.extension() != Some("log".as_ref()))
    {
        let bytes = fs::read(path).unwrap();
        for at in (0..bytes.len()).step_by(3) {
            for clean in [true, false] {
                let copy = copy_dir(dir.path());
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << ((at / 3) % 8);
                fs::write(copy.path().join(path.file_name().unwrap()), flipped).unwrap();
                let mut params = params(copy.path(), &small());
                params.clean_shutdown = clean;
                let Ok(mut log) = Log::open(params, Arc::new(Disk), NOW) else {
                    panic!("{} byte {at}", path.display());
                };
                assert_eq!(all_records(&log), original, "{} byte {at}", path.display());
                for record in original.iter().step_by(13) {
                    let found = log.offset_for_time(record.timestamp).unwrap().unwrap();
                    let expected = original.iter().find(|r| r.timestamp >= record.timestamp);
                    assert_eq!(
                        Some(found.offset),
                        expected.map(|r| r.offset),
                        "{} byte {at}",
                        path.display()
                    );
                }
                assert_eq!(append(&mut log, batch(1, 1, NOW)).first_offset, 60);
            }
        }
    }
}

#[test]
fn indexes_are_rebuilt_as_they_were() {
    let (dir, mut log) = new_log(&small());
    for index in 0..40 {
        append(&mut log, batch(2, 40, NOW + index));
    }
    log.close(NOW).unwrap();
    let copy = copy_dir(dir.path());
    let mut indexes = 0;
    for file in fs::read_dir(copy.path()).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|e| e == "index" || e == "timeindex")
        {
            fs::remove_file(&path).unwrap();
            indexes += 1;
        }
    }
    assert!(indexes > 4);
    open_clean(copy.path(), &small()).close(NOW).unwrap();
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let rebuilt = copy.path().join(path.file_name().unwrap());
        assert_eq!(
            fs::read(&path).unwrap(),
            fs::read(rebuilt).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn damage_in_one_segment_drops_the_later_ones() {
    let (dir, mut log) = new_log(&small());
    for index in 0..40 {
        append(&mut log, batch(2, 40, NOW + index));
    }
    let second = *log.segments.keys().nth(1).unwrap();
    drop(log);
    let path = log_file(dir.path(), second);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let log = open(dir.path(), &small());
    assert_eq!(log.segment_count(), 2);
    assert!(log.recovery().segments_deleted >= 1);
    assert!(log.recovery().damage.as_ref().unwrap().inside_the_log);
    let records = all_records(&log);
    assert_eq!(records.last().unwrap().offset + 1, log.log_end_offset());
}

#[test]
fn the_recovery_point_bounds_what_is_scanned() {
    let (dir, mut log) = new_log(&small());
    for index in 0..40 {
        append(&mut log, batch(2, 40, NOW + index));
    }
    log.flush(NOW).unwrap();
    let recovery_point = log.recovery_point();
    assert_eq!(recovery_point, 80);
    append(&mut log, batch(2, 40, NOW));
    drop(log);
    let mut params = params(dir.path(), &small());
    params.recovery_point = recovery_point;
    let log = Log::open(params, Arc::new(Disk), NOW).unwrap();
    assert_eq!(log.recovery().segments_scanned, 1);
    assert_eq!(log.log_end_offset(), 82);
    drop(log);
    let log = open_clean(dir.path(), &small());
    assert_eq!(log.recovery().segments_scanned, 0);
}

#[test]
fn leftovers_of_deletion_and_compaction_are_settled() {
    let (dir, mut log) = new_log(&small());
    for index in 0..40 {
        append(&mut log, batch(2, 40, NOW + index));
    }
    let bases: Vec<_> = log.segments.keys().copied().collect();
    log.close(NOW).unwrap();
    // A compaction that was about to replace the first two segments by one.
    let merged = [0, 1]
        .map(|i| fs::read(log_file(dir.path(), bases[i])).unwrap())
        .concat();
    fs::write(dir.path().join(format!("{:020}.log.swap", 0)), merged).unwrap();
    for name in [
        "00000000000000000300.log.cleaned",
        "00000000000000000000.log.deleted",
        "00000000000000009999.index",
    ] {
        fs::write(dir.path().join(name), b"x").unwrap();
    }
    let log = open_clean(dir.path(), &small());
    assert_eq!(log.recovery().damage, None);
    assert_eq!(all_records(&log).len(), 80);
    assert_eq!(log.segment_count(), bases.len() - 1);
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|n| !n.to_string_lossy().contains("9999.index"))
    );
    assert!(
        names
            .iter()
            .all(|n| !n.to_string_lossy().ends_with(".cleaned"))
    );
}

/// A header that is damaged hides what follows it; coordinators lost all of the
/// later segments by it.
#[test]
fn what_lies_behind_damage_is_found_by_the_index_or_in_the_next_segment() {
    let without_index = LogConfig {
        index_interval_bytes: 1 << 20,
        ..small()
    };
    for (config, has_index) in [(small(), true), (without_index, false)] {
        let (dir, mut log) = new_log(&config);
        for index in 0..40 {
            append(&mut log, batch(2, 40, NOW + index));
        }
        let size = all_batches(&log)[0].bytes().len();
        let bases: Vec<_> = log.segments.keys().copied().collect();
        assert!(bases.len() >= 3);
        let damage = |base_offset: Offset| {
            let path = log_file(dir.path(), base_offset);
            let mut bytes = fs::read(&path).unwrap();
            // The length of the second batch.
            bytes[size + 8..size + 12].fill(0xff);
            fs::write(&path, bytes).unwrap();
            base_offset + 2
        };
        let first = damage(bases[0]);
        let read = log.read(first, EVERYTHING);
        assert!(matches!(read, Err(ReadError::Damaged { .. })));
        let behind = log.offset_behind_damage(first).unwrap().unwrap();
        assert_eq!(behind < bases[1], has_index, "{behind}");
        assert!(behind <= bases[1]);
        let slice = log.read(behind, EVERYTHING).unwrap().slice.unwrap();
        let batch = crate::record::Batches::strict(slice.read().unwrap());
        let batch = batch.into_iter().next().unwrap().unwrap();
        batch.check_crc().unwrap();
        assert!((batch.header().base_offset..=batch.header().last_offset()).contains(&behind));
        let last = damage(bases[bases.len() - 1]);
        let behind = log.offset_behind_damage(last).unwrap();
        assert_eq!(behind.is_some(), has_index, "nothing follows");
    }
}
