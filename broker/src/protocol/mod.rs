//! Kafka's wire protocol as this broker serves it.
//!
//! Flow: frame -> `RequestFrame` (header) -> `codec::decode` -> handler ->
//! `codec::encode` -> `Frame` for the connection.
//!
//! Versions that the codec's crate has forgotten are decoded and encoded by
//! `legacy`, into the same structs.
//!
//! Requests between brokers, which the codec's crate does not know, take a
//! way of their own: `InterbrokerFrame` -> `interbroker` -> handler.
//!
//! **Invariant:** `api::APIS` and `InterbrokerKey::ALL` are the only lists of
//! what is served; ApiVersions and dispatch both come from them.

pub mod api;
pub mod codec;
pub mod fetch_response;
#[cfg(test)]
mod fuzz_tests;
pub mod interbroker;
pub mod legacy;
mod throttle_time;

pub use codec::{Error, InterbrokerFrame, RequestFrame};
pub use throttle_time::with_throttle_time;
