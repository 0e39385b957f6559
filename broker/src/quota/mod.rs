//! Quotas: the keys that set them, what they allow, and what was used
//! (KIP-13, KIP-124, KIP-257, KIP-599, KIP-612).
//!
//! Pure but for its locks: `rate` and `tokens` decide `(state, amount, now) ->
//! pause`, `limits` which quota is whose; `clients` and `connections` keep both.
//!
//! **Invariant:** nothing here knows a request, a socket or a znode.
//! **Invariant:** where no quota is set, one flag is all that is read.

mod clients;
mod connections;
mod keys;
mod limits;
mod rate;
mod tokens;

pub use clients::{Client, ClientQuotas, Kind, Strictness};
pub use connections::ConnectionRates;
pub use keys::{
    CONNECTION_CREATION_RATE, CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE, Invalid, OF_CLIENTS,
    OF_IPS, PRODUCER_BYTE_RATE, QuotaKey, REQUEST_PERCENTAGE, lookup,
};
pub use limits::{Entity, Of};
pub use rate::Windows;
