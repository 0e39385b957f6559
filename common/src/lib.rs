//! Only what both daemons need.

pub mod jute;
pub mod zk;
