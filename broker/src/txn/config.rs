//! The settings of transactions, by Kafka's keys and defaults.

use std::time::Duration;

use common::config::Values;

/// How transactional ids behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `transaction.max.timeout.ms` (900000): longer timeouts are refused.
    pub timeout_ms_max: i32,
    /// `transactional.id.expiration.ms` (604800000): how long an idle id is kept.
    pub id_expiration: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms` (10000): how
    /// often transactions that are open for too long are looked for.
    pub abort_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms` (3600000): how
    /// often idle ids are looked for.
    pub expiration_interval: Duration,
    /// `transaction.state.log.load.buffer.size` (5242880): bytes read at a time
    /// while loading.
    pub load_buffer_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout_ms_max: 900_000,
            id_expiration: Duration::from_millis(604_800_000),
            abort_interval: Duration::from_millis(10_000),
            expiration_interval: Duration::from_millis(3_600_000),
            load_buffer_size: 5 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Takes the settings out of the broker's table of keys.
    #[must_use]
    pub fn from_values(values: &Values) -> Self {
        let ms = |name| Duration::from_millis(u64::from(values.i32(name).unsigned_abs()));
        let abort = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
        let expire = "transaction.remove.expired.transaction.cleanup.interval.ms";
        let buffer = values.i32("transaction.state.log.load.buffer.size");
        Self {
            timeout_ms_max: values.i32("transaction.max.timeout.ms"),
            id_expiration: ms("transactional.id.expiration.ms"),
            abort_interval: ms(abort),
            expiration_interval: ms(expire),
            load_buffer_size: usize::try_from(buffer).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::Properties;

    #[test]
    fn the_table_and_the_struct_agree_on_the_defaults() {
        let (values, _) = crate::config::TABLE
            .resolve(&Properties::default())
            .unwrap();
        assert_eq!(Config::from_values(&values), Config::default());
    }
}
