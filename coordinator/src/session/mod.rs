//! Sessions: their ids, their passwords, and when they expire.
//!
//! Flow: a handshake takes an id and a password from here; every request and
//! ping touches the [`Session`]; the ticker asks [`Tracker::expired`] and has the
//! pipeline close what it names.
//!
//! **Invariant:** which sessions exist is replicated state (`txn::State`); this
//! module only knows when they were last heard of.
//! **Invariant:** time enters as a value; a session never expires before its
//! timeout, and at most one tick after it.

mod expiry;
mod id;
mod password;

pub(crate) use expiry::{Session, Tracker};
pub(crate) use id::IdGenerator;
pub(crate) use password::{Password, Secret, zookeeper_password};
