//! What every request of the controller begins with.

use super::ControlHeader;
use super::fields::{Error, Reader, Writer};

pub(super) fn put(out: &mut Writer, header: &ControlHeader) {
    const IS_KRAFT_CONTROLLER: bool = false;
    out.i32(header.controller_id);
    out.bool(IS_KRAFT_CONTROLLER);
    out.i32(header.controller_epoch);
    out.i64(header.broker_epoch);
}

pub(super) fn take(from: &mut Reader) -> Result<ControlHeader, Error> {
    let controller_id = from.i32()?;
    let is_kraft_controller = from.bool()?;
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
