//! The daemon in this process, asked over its sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod admin;
mod backup;
mod client;
mod death;
mod fuzz;
mod limits;
mod operations;
mod recovery;
mod removable;
mod sessions;
mod watches;
