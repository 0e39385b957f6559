//! The value of a group's metadata (Kafka's `GroupMetadataValue`).

use bytes::Bytes;

use super::Error;
use crate::state_log::fields::{self, Reader, Writer};

/// Versions 0 to 3 have fixed fields, version 4 is flexible (KIP-915).
const VERSION_MAX: i16 = 4;
const VERSION_REBALANCE_TIMEOUT: i16 = 1;
const VERSION_STATE_TIMESTAMP: i16 = 2;
const VERSION_INSTANCE_ID: i16 = 3;
const NO_TIMESTAMP: i64 = -1;
/// Ids, host, timeouts and two byte strings, all of them empty and flexible.
const MEMBER_SIZE_MIN: usize = 10;

/// A group as it was at the end of a rebalance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::group) struct GroupValue {
    pub(in crate::group) protocol_type: String,
    pub(in crate::group) generation: i32,
    pub(in crate::group) protocol: Option<String>,
    pub(in crate::group) leader: Option<String>,
    pub(in crate::group) state_timestamp_ms: Option<i64>,
    pub(in crate::group) members: Vec<MemberValue>,
}

/// A member with its assignment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::group) struct MemberValue {
    pub(in crate::group) member_id: String,
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(in crate::group) rebalance_timeout_ms: i32,
    pub(in crate::group) session_timeout_ms: i32,
    pub(in crate::group) subscription: Bytes,
    pub(in crate::group) assignment: Bytes,
}

/// Writes `version`, one of those with fixed fields.
pub(super) fn encode(value: &GroupValue, version: i16) -> Result<Vec<u8>, Error> {
    let mut out = Writer::default();
    out.i16(version);
    out.string(&value.protocol_type)?;
    out.i32(value.generation);
    out.nullable_string(value.protocol.as_deref())?;
    out.nullable_string(value.leader.as_deref())?;
    if version >= VERSION_STATE_TIMESTAMP {
        out.i64(value.state_timestamp_ms.unwrap_or(NO_TIMESTAMP));
    }
    out.i32(i32::try_from(value.members.len()).map_err(|_| fields::Error::BadLength)?);
    for member in &value.members {
        out.string(&member.member_id)?;
        if version >= VERSION_INSTANCE_ID {
            out.nullable_string(member.instance_id.as_deref())?;
        }
        out.string(&member.client_id)?;
        out.string(&member.client_host)?;
        if version >= VERSION_REBALANCE_TIMEOUT {
            out.i32(member.rebalance_timeout_ms);
        }
        out.i32(member.session_timeout_ms);
        out.bytes(&member.subscription)?;
        out.bytes(&member.assignment)?;
    }
    Ok(out.finish())
}

pub(super) fn decode(value: &[u8]) -> Result<GroupValue, Error> {
    let mut value = Reader::new(value);
    let version = value.i16()?;
    if !(0..=VERSION_MAX).contains(&version) {
        return Err(Error::UnknownValueVersion(version));
    }
    if version == VERSION_MAX {
        value.become_flexible();
    }
    let protocol_type = value.string()?;
    let generation = value.i32()?;
    let protocol = value.nullable_string()?;
    let leader = value.nullable_string()?;
    let state_timestamp_ms = match version {
        VERSION_STATE_TIMESTAMP.. => Some(value.i64()?).filter(|ms| *ms != NO_TIMESTAMP),
        _ => None,
    };
    let count = value.count(MEMBER_SIZE_MIN)?;
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(decode_member(&mut value, version)?);
    }
    value.tagged_fields()?;
    Ok(GroupValue {
        protocol_type,
        generation,
        protocol,
        leader,
        state_timestamp_ms,
        members,
    })
}

fn decode_member(value: &mut Reader<'_>, version: i16) -> Result<MemberValue, Error> {
    let member_id = value.string()?;
    let instance_id = match version {
        VERSION_INSTANCE_ID.. => value.nullable_string()?,
        _ => None,
    };
    let client_id = value.string()?;
    let client_host = value.string()?;
    let rebalance_timeout_ms = match version {
        VERSION_REBALANCE_TIMEOUT.. => Some(value.i32()?),
        _ => None,
    };
    let session_timeout_ms = value.i32()?;
    let member = MemberValue {
        member_id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
        session_timeout_ms,
        subscription: value.bytes()?,
        assignment: value.bytes()?,
    };
    value.tagged_fields()?;
    Ok(member)
}
