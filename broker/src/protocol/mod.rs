//! Kafka's wire protocol as this broker serves it.
//!
//! Flow: frame -> `RequestFrame` (header) -> `codec::decode` -> handler ->
//! `codec::encode` -> `Frame` for the connection.
//!
//! **Invariant:** `api::APIS` is the only list of what is served; ApiVersions
//! and dispatch both come from it.

pub mod api;
pub mod codec;
pub mod fetch_response;
pub mod interbroker;

pub use codec::{Error, RequestFrame};
