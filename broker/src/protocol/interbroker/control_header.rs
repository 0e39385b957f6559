//! What every request of the controller begins with.

use super::ControlHeader;
use super::fields::{Error, Reader, Writer};

/// Whether the header tells what kind of controller sends it; that came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Told,
    Untold,
}

impl Kind {
    /// By the version of a request, and the first one that tells it.
    pub(super) fn of(version: i16, from: i16) -> Self {
        match version >= from {
            true => Self::Told,
            false => Self::Untold,
        }
    }
}

pub(super) fn put(out: &mut Writer, kind: Kind, header: &ControlHeader) {
    const IS_KRAFT_CONTROLLER: bool = false;
    out.i32(header.controller_id);
    if kind == Kind::Told {
        out.bool(IS_KRAFT_CONTROLLER);
    }
    out.i32(header.controller_epoch);
    out.i64(header.broker_epoch);
}

pub(super) fn take(from: &mut Reader, kind: Kind) -> Result<ControlHeader, Error> {
    let controller_id = from.i32()?;
    let is_kraft_controller = kind == Kind::Told && from.bool()?;
    let header = ControlHeader {
        controller_id,
        controller_epoch: from.i32()?,
        broker_epoch: from.i64()?,
    };
    match is_kraft_controller {
        true => Err(Error::KraftController),
        false => Ok(header),
    }
}
