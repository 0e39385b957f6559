//! What every request of the controller begins with.

use super::ControlHeader;
use super::fields::{Error, Reader, Writer};

/// The epoch of a receiver that the sender does not tell.
const UNKNOWN_EPOCH: i64 = -1;

/// From which version on a request's header has what came later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// The epoch of the receiving broker (KIP-380).
    pub(super) broker_epoch: i16,
    /// Whether the controller is one of KRaft (KIP-866).
    pub(super) kraft: i16,
}

pub(super) fn put(out: &mut Writer, version: i16, since: Since, header: &ControlHeader) {
    const IS_KRAFT_CONTROLLER: bool = false;
    out.i32(header.controller_id);
    if version >= since.kraft {
        out.bool(IS_KRAFT_CONTROLLER);
    }
    out.i32(header.controller_epoch);
    if version >= since.broker_epoch {
        out.i64(header.broker_epoch);
    }
}

pub(super) fn take(from: &mut Reader, version: i16, since: Since) -> Result<ControlHeader, Error> {
    let controller_id = from.i32()?;
    let is_kraft_controller = version >= since.kraft && from.bool()?;
    let header = ControlHeader {
        controller_id,
        controller_epoch: from.i32()?,
        broker_epoch: match version >= since.broker_epoch {
            true => from.i64()?,
            false => UNKNOWN_EPOCH,
        },
    };
    match is_kraft_controller {
        true => Err(Error::KraftController),
        false => Ok(header),
    }
}
