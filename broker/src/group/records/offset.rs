//! The value of a committed offset (Kafka's `OffsetCommitValue`).

use super::Error;
use crate::group::api::CommittedOffset;
use crate::group::offsets::Commit;
use crate::state_log::fields::{Reader, Writer};

/// Versions 0 to 3 have fixed fields, version 4 is flexible (KIP-915).
const VERSION_MAX: i16 = 4;
const VERSION_LEADER_EPOCH: i16 = 3;
/// The only one with an explicit expiry.
const VERSION_EXPIRY: i16 = 1;
const NONE: i32 = -1;
const NO_EXPIRY: i64 = -1;

/// Writes `version`, or the only one that has an expiry where there is one.
pub(super) fn encode(commit: &Commit, version: i16) -> Result<Vec<u8>, Error> {
    let committed = &commit.committed;
    let mut out = Writer::default();
    let version = match commit.expire_timestamp_ms {
        None => version,
        Some(_) => VERSION_EXPIRY,
    };
    out.i16(version);
    out.i64(committed.offset);
    if version >= VERSION_LEADER_EPOCH {
        out.i32(committed.leader_epoch.unwrap_or(NONE));
    }
    out.string(&committed.metadata)?;
    out.i64(commit.commit_timestamp_ms);
    if version == VERSION_EXPIRY {
        out.i64(commit.expire_timestamp_ms.unwrap_or(NO_EXPIRY));
    }
    Ok(out.finish())
}

pub(super) fn decode(value: &[u8]) -> Result<Commit, Error> {
    let mut value = Reader::new(value);
    let version = value.i16()?;
    if !(0..=VERSION_MAX).contains(&version) {
        return Err(Error::UnknownValueVersion(version));
    }
    if version == VERSION_MAX {
        value.become_flexible();
    }
    let offset = value.i64()?;
    let leader_epoch = match version {
        VERSION_LEADER_EPOCH.. => Some(value.i32()?).filter(|epoch| *epoch != NONE),
        _ => None,
    };
    let metadata = value.string()?;
    let commit_timestamp_ms = value.i64()?;
    let expire_timestamp_ms = match version {
        VERSION_EXPIRY => Some(value.i64()?).filter(|ms| *ms != NO_EXPIRY),
        _ => None,
    };
    value.tagged_fields()?;
    Ok(Commit {
        committed: CommittedOffset {
            offset,
            leader_epoch,
            metadata,
        },
        commit_timestamp_ms,
        expire_timestamp_ms,
    })
}
