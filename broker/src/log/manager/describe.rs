//! What the directories hold, for those who ask.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::{LogDir, LogHandle, Space};
use super::Manager;
use crate::model::{Offset, TopicPartition};

/// A log directory as `DescribeLogDirs` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirDescription {
    pub path: PathBuf,
    /// `None` when the directory is offline.
    pub space: Option<Space>,
    pub logs: Vec<LogDescription>,
}

/// A log in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDescription {
    pub partition: TopicPartition,
    pub size: u64,
    pub log_end_offset: Offset,
    /// It is being moved here and does not serve yet.
    pub is_future: bool,
}

impl Manager {
    /// Every configured directory with the logs in it that `is_wanted` names.
    #[must_use]
    pub fn describe(&self, is_wanted: &dyn Fn(&TopicPartition) -> bool) -> Vec<DirDescription> {
        let mut described: Vec<_> = self.dirs.iter().map(describe).collect();
        let future = self.future_logs.read().clone();
        let logs = self.all().into_iter().map(|(id, log)| (id, log, false));
        let future = future.into_iter().map(|(id, log)| (id, log, true));
        for (partition, log, is_future) in logs.chain(future) {
            if !is_wanted(&partition) {
                continue;
            }
            let (at, description) = self.describe_log(partition, &log, is_future);
            if let Some(dir) = at.and_then(|at| described.get_mut(at))
                && dir.space.is_some()
            {
                dir.logs.push(description);
            }
        }
        for dir in &mut described {
            dir.logs.sort_by(|a, b| a.partition.cmp(&b.partition));
        }
        described
    }

    fn describe_log(
        &self,
        partition: TopicPartition,
        log: &LogHandle,
        is_future: bool,
    ) -> (Option<usize>, LogDescription) {
        let log = log.read();
        let parent = log.dir().parent();
        let at = self.dirs.iter().position(|dir| Some(dir.path()) == parent);
        let description = LogDescription {
            partition,
            size: log.size(),
            log_end_offset: log.log_end_offset(),
            is_future,
        };
        (at, description)
    }
}

fn describe(dir: &Arc<LogDir>) -> DirDescription {
    let space = match dir.is_online() {
        true => space_of(dir),
        false => None,
    };
    DirDescription {
        path: dir.path().to_owned(),
        space,
        logs: Vec::new(),
    }
}

fn space_of(dir: &LogDir) -> Option<Space> {
    Space::of(dir.path())
        .inspect_err(|error| dir.note(error))
        .ok()
}
