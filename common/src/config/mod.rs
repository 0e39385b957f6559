//! Configuration: properties files, overrides, and a table of typed keys.
//!
//! Flow: `Properties` (defaults < file < command line) -> `Table::resolve`
//! -> `Values`, which the daemons turn into their own config structs.
//!
//! **Invariant:** an unknown key is a warning, as in Kafka and ZooKeeper; a
//! wrong value is an error that names file, key, value and what is allowed.

mod properties;
mod table;

pub use properties::{Origin, Properties, PropertiesError};
pub use table::{Error, Key, Kind, Table, Values, Warning};
