//! How much a writer or a reader asks for.

/// When a produce is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Not at all.
    None,
    /// Once the leader has it.
    Leader,
    /// Once every in-sync replica has it.
    All,
}

impl Acks {
    /// Kafka's codes: 0, 1 and -1.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            -1 => Some(Self::All),
            _ => None,
        }
    }
}

/// How far a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
    /// Up to the log end offset: replicas only.
    LogEnd,
}

impl Isolation {
    /// The level that a consumer asks for: 0 or 1.
    #[must_use]
    pub fn of_consumer(code: i8) -> Self {
        match code {
            1 => Self::ReadCommitted,
            _ => Self::ReadUncommitted,
        }
    }
}
