//! registry
pub mod znode;
