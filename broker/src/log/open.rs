//! Opens a partition's directory: tidy up, load segments, repair, restore.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::config::LogConfig;
use super::epochs::LeaderEpochs;
use super::producer_state::ProducerState;
use super::recovery::Recovery;
use super::scan::Scan;
use super::segment::{
    CLEANED_TAIL, INDEX_SUFFIX, LOG_SUFFIX, SNAPSHOT_SUFFIX, SWAP_TAIL, Segment, TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
};
use super::snapshots::Snapshots;
use super::storage::Storage;
use super::{Error, Log, LogDir, checkpoint};
use crate::model::{Offset, TopicPartition};
use crate::record::Header;

/// Base offsets beyond this would overflow relative offsets.
const BASE_OFFSET_MAX: Offset = i64::MAX - (1 << 33);

/// What `Log::open` needs to know.
#[derive(Debug, Clone)]
pub struct OpenParams {
    pub partition: TopicPartition,
    pub dir: PathBuf,
    pub config: LogConfig,
    /// From the checkpoint of log start offsets; 0 if it has no entry.
    pub log_start_offset: Offset,
    /// From the recovery checkpoint; 0 if it has no entry.
    pub recovery_point: Offset,
    /// The directory holds the marker of a clean shutdown.
    pub clean_shutdown: bool,
    pub producer_expiration_ms: i64,
    /// The directory that it lies in; a log of its own has none.
    pub home: Option<Arc<LogDir>>,
}

impl Log {
    /// Loads the log in `params.dir`, creating it when there is none.
    pub fn open(params: OpenParams, storage: Arc<dyn Storage>, now_ms: i64) -> Result<Self, Error> {
        let dir = params.dir;
        let fail = |source| Error::Io {
            dir: dir.clone(),
            source,
        };
        let is_new = make_dir(&dir).map_err(fail)?;
        let files = match is_new {
            true => Files::default(),
            false => tidy(&dir, storage.as_ref()).map_err(fail)?,
        };
        let mut segments = BTreeMap::new();
        for &base_offset in &files.segments {
            let segment = Segment::open(&dir, &storage, base_offset, &params.config, now_ms);
            segments.insert(base_offset, Box::new(segment.map_err(fail)?));
        }
        let epochs_path = dir.join(checkpoint::LEADER_EPOCH);
        let (epochs, rebuild_epochs) =
            match LeaderEpochs::open(epochs_path.clone(), Arc::clone(&storage)) {
                Ok(epochs) => (epochs, false),
                Err(error) => {
                    tracing::warn!(%error, "leader epochs are read from the log instead");
                    (LeaderEpochs::empty(epochs_path, Arc::clone(&storage)), true)
                }
            };
        let topic_id = match is_new {
            true => None,
            false => checkpoint::read_topic_id(&dir)?,
        };
        let mut log = Self {
            partition: params.partition,
            dir,
            storage,
            config: params.config,
            topic_id,
            segments,
            epochs,
            producers: ProducerState::default(),
            verifications: Default::default(),
            snapshots: Snapshots::new(files.snapshots),
            producer_expiration_ms: params.producer_expiration_ms,
            log_start_offset: params.log_start_offset.max(0),
            log_end_offset: 0,
            recovery_point: params.recovery_point.max(0),
            high_watermark_seen: AtomicI64::new(0),
            last_flush_ms: now_ms,
            cuts: Arc::default(),
            home: params.home,
            // What a clean shutdown left was synced by it.
            directory_synced: params.clean_shutdown,
            failed: false,
            refused: None,
            pending_deletes: Vec::new(),
            recovery: Recovery::default(),
        };
        let result = log.load(params.clean_shutdown, now_ms);
        let last = log.io(result)?;
        let rebuild_epochs = rebuild_epochs || log.epochs_lag(last.as_ref());
        log.settle_epochs(rebuild_epochs)?;
        let result = log.load_producers(params.clean_shutdown, now_ms);
        log.io(result)?;
        Ok(log)
    }

    /// Gives the header of the last segment's last batch.
    fn load(&mut self, clean: bool, now_ms: i64) -> io::Result<Option<Header>> {
        self.recover_segments(clean, now_ms)?;
        let (last, end) = match self.segments.last_key_value() {
            Some((base_offset, segment)) => {
                let last = segment.last_header()?;
                (last, last.map_or(*base_offset, |last| last.next_offset()))
            }
            None => (None, self.log_start_offset),
        };
        if self.segments.is_empty() || end < self.log_start_offset {
            if !self.segments.is_empty() {
                tracing::warn!(
                    partition = %self.partition,
                    log_end_offset = end,
                    log_start_offset = self.log_start_offset,
                    "all segments deleted: the log ends before it starts"
                );
            }
            self.start_empty(self.log_start_offset, now_ms)?;
            return Ok(None);
        }
        let first = self.floor_segment(0);
        self.log_start_offset = self.log_start_offset.max(first);
        self.log_end_offset = end;
        self.recovery_point = match clean {
            true => end,
            false => self.recovery_point.min(end),
        };
        self.active().activate()?;
        Ok(last)
    }

    /// The file of epochs is written before an epoch's first record is: where
    /// it does not know that of the last batch, it lost something.
    fn epochs_lag(&self, last: Option<&Header>) -> bool {
        let known = self.epochs.latest().unwrap_or(-1);
        let lags = last.is_some_and(|header| header.partition_leader_epoch > known);
        if lags {
            tracing::warn!(partition = %self.partition, "leader epochs are read from the log");
        }
        lags
    }

    fn settle_epochs(&mut self, rebuild: bool) -> Result<(), Error> {
        if rebuild {
            let result = self.insert_epochs_of_all_segments();
            self.io(result)?;
            self.epochs.write()?;
        }
        self.epochs.truncate_from_end(self.log_end_offset);
        self.epochs.truncate_from_start(self.log_start_offset)?;
        Ok(())
    }

    fn insert_epochs_of_all_segments(&mut self) -> io::Result<()> {
        for segment in self.segments.values() {
            let mut scan = segment.scan(0)?;
            while let Some((_, header)) = scan.next_header()? {
                self.epochs
                    .insert(header.partition_leader_epoch, header.base_offset);
            }
        }
        Ok(())
    }

    fn load_producers(&mut self, clean: bool, now_ms: i64) -> io::Result<()> {
        self.remove_stray_snapshots()?;
        if clean && self.snapshots.latest().is_none() {
            // As in Kafka: a log that was closed cleanly and has no snapshot
            // comes from before snapshots and holds no producers.
            self.producers.set_end_offset(self.log_end_offset);
            return self.snapshots.take_if_room(&self.dir, &self.producers);
        }
        self.reload_producers(now_ms)
    }

    /// Restores the producer state from the newest usable snapshot and the
    /// batches behind it.
    pub(super) fn reload_producers(&mut self, now_ms: i64) -> io::Result<()> {
        let (start, end) = (self.log_start_offset, self.log_end_offset);
        self.snapshots
            .retain(&self.dir, |offset| offset > start && offset <= end)?;
        self.producers.clear(start);
        self.snapshots
            .restore_latest(&self.dir, &mut self.producers)?;
        self.remove_expired_producers(now_ms);
        let mut producers = std::mem::take(&mut self.producers);
        let replayed = self.replay_into(&mut producers, end);
        self.producers = producers;
        replayed?;
        self.producers.set_end_offset(end);
        self.snapshots.take_if_room(&self.dir, &self.producers)
    }

    /// The producers as they were when the log ended at `end`.
    pub(super) fn producers_before(&self, end: Offset) -> io::Result<ProducerState> {
        let mut state = ProducerState::default();
        state.clear(self.log_start_offset.min(end));
        self.snapshots.restore_up_to(&self.dir, end, &mut state)?;
        self.replay_into(&mut state, end)?;
        Ok(state)
    }

    fn replay_into(&self, state: &mut ProducerState, end: Offset) -> io::Result<()> {
        let from = state.end_offset();
        if from >= end {
            return Ok(());
        }
        let floor = self.floor_segment(from);
        for segment in self.segments.range(floor..).map(|(_, segment)| segment) {
            let Some((start, _)) = segment.find(from.max(segment.base_offset()))? else {
                continue;
            };
            let mut scan = segment.scan(start)?;
            while let Some((position, header)) = scan.next_header()? {
                if header.base_offset >= end {
                    return Ok(());
                }
                if !header.is_control() {
                    state.apply(&header, header.base_offset);
                    continue;
                }
                let bytes = segment.slice(position, header.size())?.read()?;
                if let Ok(batch) = crate::record::Batch::stored(bytes) {
                    state.replay(&batch);
                }
            }
        }
        Ok(())
    }

    /// Keeps the snapshots at segments' starts and the newest of the others.
    fn remove_stray_snapshots(&mut self) -> io::Result<()> {
        let latest = self.snapshots.latest();
        let segments = &self.segments;
        self.snapshots.retain(&self.dir, |offset| {
            segments.contains_key(&offset) || Some(offset) == latest
        })
    }
}

/// Makes a log's directory; says whether it was not there.
fn make_dir(dir: &Path) -> io::Result<bool> {
    match std::fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) => std::fs::create_dir_all(dir).map(|()| true),
    }
}

/// The files that make up the log.
#[derive(Debug, Default)]
struct Files {
    segments: BTreeSet<Offset>,
    snapshots: BTreeSet<Offset>,
}

/// Removes what an interrupted deletion or compaction left behind and lists
/// the rest.
fn tidy(dir: &Path, storage: &dyn Storage) -> io::Result<Files> {
    let mut all = list(dir)?;
    let is_leftover = |name: &str| {
        let tails = [".deleted", ".tmp", CLEANED_TAIL, SWAP_TAIL];
        tails.iter().any(|tail| name.ends_with(tail))
    };
    if all.iter().any(|(_, name)| is_leftover(name)) {
        settle_leftovers(dir, storage, &all)?;
        all = list(dir)?;
    }
    let mut files = Files::default();
    for (_, name) in &all {
        match parse(name, "") {
            Some((offset, LOG_SUFFIX)) => files.segments.insert(offset),
            Some((offset, SNAPSHOT_SUFFIX)) => files.snapshots.insert(offset),
            _ => continue,
        };
    }
    for (path, name) in &all {
        if let Some((offset, INDEX_SUFFIX | TIME_INDEX_SUFFIX | TXN_INDEX_SUFFIX)) = parse(name, "")
            && !files.segments.contains(&offset)
        {
            tracing::warn!(path = %path.display(), "index without a segment deleted");
            std::fs::remove_file(path)?;
        }
    }
    Ok(files)
}

fn settle_leftovers(
    dir: &Path,
    storage: &dyn Storage,
    all: &[(PathBuf, String)],
) -> io::Result<()> {
    let mut cleaned = BTreeSet::new();
    for (path, name) in all {
        if name.ends_with(".deleted") || name.ends_with(".tmp") {
            std::fs::remove_file(path)?;
        } else if let Some((offset, _)) = parse(name, CLEANED_TAIL) {
            cleaned.insert(offset);
        }
    }
    let first_cleaned = cleaned.first().copied().unwrap_or(i64::MAX);
    let mut swapped = BTreeSet::new();
    for (path, name) in all {
        match parse(name, SWAP_TAIL) {
            // A swap at or behind an unfinished cleaning is unfinished too.
            Some((offset, _)) if offset >= first_cleaned => std::fs::remove_file(path)?,
            Some((offset, LOG_SUFFIX)) => {
                swapped.insert(offset);
            }
            _ => {}
        }
    }
    // Last, since they are what says that a swap is unfinished.
    for (path, name) in all {
        if parse(name, CLEANED_TAIL).is_some() {
            std::fs::remove_file(path)?;
        }
    }
    finish_swap(dir, storage, &swapped)
}

/// Completes an interrupted replacement of segments: what the new ones cover
/// goes, then they get their names.
fn finish_swap(dir: &Path, storage: &dyn Storage, swapped: &BTreeSet<Offset>) -> io::Result<()> {
    let mut covered_to = 0;
    for offset in swapped {
        let path = dir.join(format!("{offset:020}.{LOG_SUFFIX}.swap"));
        let file = storage.open(&path)?;
        let length = file.length()?;
        let mut scan = Scan::new(file, 0, length);
        while let Some((_, header)) = scan.next_header()? {
            covered_to = covered_to.max(header.next_offset());
        }
    }
    let covered_from = swapped.first().copied().unwrap_or(0);
    let mut renamed = false;
    for (path, name) in list(dir)? {
        if let Some((offset, suffix)) = parse(&name, "")
            && !name.ends_with(".swap")
            && (covered_from..covered_to).contains(&offset)
            // The snapshot at a copy's own start belongs to the copy.
            && !(suffix == SNAPSHOT_SUFFIX && swapped.contains(&offset))
        {
            std::fs::remove_file(&path)?;
        }
    }
    // Also the rest of a swap that had come as far as the segment's own file.
    for (path, name) in list(dir)? {
        if name.ends_with(".swap") {
            common::fs::rename(&path, &path.with_extension(""))?;
            renamed = true;
        }
    }
    match renamed {
        true => storage.sync_dir(dir),
        false => Ok(()),
    }
}

fn list(dir: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            files.push((entry.path(), name));
        }
    }
    Ok(files)
}

/// Splits `<20 digits>.<suffix><tail>`.
fn parse<'a>(name: &'a str, tail: &str) -> Option<(Offset, &'a str)> {
    let (digits, suffix) = name.strip_suffix(tail)?.split_once('.')?;
    let offset: Offset = digits.parse().ok()?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    (well_formed && offset <= BASE_OFFSET_MAX).then_some((offset, suffix))
}
