//! Quotas: the keys that set them, and what they mean (KIP-13, KIP-257,
//! KIP-599, KIP-612).
//!
//! Pure: a quota is a decision `(state, amount, now) -> throttle time`.
//!
//! **Invariant:** nothing here knows a request, a socket or a znode.

mod keys;

pub use keys::{
    CONNECTION_CREATION_RATE, CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE, Invalid, OF_CLIENTS,
    OF_IPS, PRODUCER_BYTE_RATE, QuotaKey, REQUEST_PERCENTAGE, lookup,
};
