//! The transaction numbers of a connection that have a meaning of their own.

/// A watch event.
pub const NOTIFICATION: i32 = -1;
/// A ping and its answer.
pub const PING: i32 = -2;
/// An authentication packet and its answer.
pub const AUTH: i32 = -4;
/// The re-registration of watches after a reconnect.
pub const SET_WATCHES: i32 = -8;
