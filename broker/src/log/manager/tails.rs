//! Which logs may have lost what they were given last.

use super::super::boots;
use super::Manager;
use crate::model::TopicPartition;

impl Manager {
    /// Says whether a machine went down under one of the directories, or one
    /// of them is new.
    #[must_use]
    pub fn may_lack_tails(&self) -> bool {
        self.online_dirs().any(|dir| dir.may_lack_tails())
    }

    /// Says whether records of `partition` that this broker had may be gone. A
    /// log that is missing counts; one that may lie in a directory that is
    /// offline does not, since nobody takes that for an empty one.
    #[must_use]
    pub fn may_lack_tail(&self, partition: &TopicPartition) -> bool {
        match self.get(partition) {
            Some(log) => {
                let log = log.read();
                log.home.as_ref().is_some_and(|dir| dir.may_lack_tails())
            }
            None => self.may_lack_tails() && !self.has_offline_dirs(),
        }
    }

    /// Writes down that the directories are used in this boot of the machine.
    /// To be called once nobody relies any more on what may be gone.
    pub fn note_boot(&self) {
        for dir in self.online_dirs() {
            if let Err(error) = boots::note(dir.path(), self.config.boot_id.as_deref()) {
                // Costs the next start after a kill a look at its replicas.
                tracing::warn!(%error, "the boot of the machine could not be noted");
            }
        }
    }
}
